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
