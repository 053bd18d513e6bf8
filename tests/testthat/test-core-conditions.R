test_that("conditions carry their classes, bullets and fields", {
  error <- tryCatch(
    ferrolmm_abort("Head.", "data", x = c("a", "b"), i = "do", variable = "v", call = NULL),
    error = identity
  )
  expect_s3_class(error, c("ferrolmm_error_data", "ferrolmm_error", "rlang_error"), exact = FALSE)
  expect_identical(error$variable, "v")
  expect_match(conditionMessage(error), "Head.*a.*b.*do")
  expect_warning(ferrolmm_warn("Head.", "formula"), class = "ferrolmm_warning_formula")
  expect_warning(ferrolmm_warn("Head.", "formula"), class = "ferrolmm_warning")
  expect_message(ferrolmm_inform("Head.", "rank"), class = "ferrolmm_message_rank")
})

test_that("names are text, never templates or formats", {
  strange <- "50% {x} %s %n {.var y}"
  error <- tryCatch(
    ferrolmm_abort(strange, "data", x = strange, i = strange, call = NULL), error = identity
  )
  expect_match(conditionMessage(error), strange, fixed = TRUE)
  d <- data.frame(y = sin(1:20), g = strange)
  expect_error(front_end(y ~ 1 + (1 | g), d), strange, fixed = TRUE)
  names(d)[2L] <- strange
  d[[2L]] <- as.list(1:20)
  expect_error(
    front_end(stats::as.formula(call("~", quote(y), call("(", call("|", 1, as.name(strange))))), d),
    strange, fixed = TRUE
  )
})

test_that("errors are those of the function that the user called", {
  error <- tryCatch(lmm(y ~ x + (1 | g), data.frame(y = 1:3)), error = identity)
  expect_identical(conditionCall(error), quote(lmm()))
})

test_that("hints are near names only", {
  expect_identical(did_you_mean("Dayz", c("Reaction", "Days")), "Did you mean `Days`?")
  expect_identical(did_you_mean("days", c("Reaction", "Days")), "Did you mean `Days`?")
  expect_null(did_you_mean("zzz", c("Reaction", "Days")))
  expect_null(did_you_mean("g", c("x", "y")))
  expect_identical(did_you_mean("g", c("x", "G")), "Did you mean `G`?")
  expect_null(did_you_mean("x", character()))
})

test_that("words", {
  expect_identical(quote_names(c("a", "b")), "`a`, `b`")
  expect_identical(quote_names(letters[1:7], 2L), "`a`, `b` and 5 more")
  expect_identical(count_of(1L, "row"), "1 row")
  expect_identical(count_of(1e6, "row"), "1,000,000 rows")
  expect_identical(sentence("all is lost"), "All is lost.")
  expect_identical(nchar(code_label(str2lang(strrep("a+", 100) |> paste0("a")))), 60L)
})

test_that("a failure of the engine becomes a classed error with a remedy", {
  fail <- function(class) {
    engine_value(list(ok = FALSE, class = class, message = "180 of 180% %s", n = 180L))
  }
  error <- tryCatch(fail("no_residual_df"), error = identity)
  expect_s3_class(error, "ferrolmm_error_no_residual_df")
  expect_match(conditionMessage(error), "180 of 180% %s.", fixed = TRUE)
  expect_match(conditionMessage(error), "fewer fixed effects")
  expect_identical(error$details$n, 180L)
  expect_error(fail("bug"), "report it", class = "ferrolmm_error_bug")
  expect_error(fail("time_limit"), "time limit is over", class = "ferrolmm_error_time_limit")
  expect_error(fail("something new"), class = "ferrolmm_error_something new")
  expect_identical(engine_value(list(ok = TRUE, x = 1))$x, 1)
})
