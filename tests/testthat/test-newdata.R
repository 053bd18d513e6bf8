test_that("missing columns are named", {
  fit <- our_twin("slope")
  expect_error(predict(fit, data.frame(Subject = "308")), "Days", class = "ferrolmm_error_newdata")
  expect_error(predict(fit, data.frame(Days = 1)), "Subject", class = "ferrolmm_error_newdata")
  expect_error(predict(fit, data.frame(days = 1, Subject = "308")), "Did you mean `days`")
})

test_that("a variable of the fit outside of the data is no substitute for a column", {
  local({
    Days <- twin_data()$sleepstudy$Days
    fit <- lmm(Reaction ~ Days + (1 | Subject), twin_data()$sleepstudy)
    expect_error(
      predict(fit, data.frame(Subject = "308")), "Days", class = "ferrolmm_error_newdata"
    )
  })
})

test_that("constants come from the formula's environment", {
  local({
    degree <- 2
    centre <- 4.5
    fit <- lmm(Reaction ~ poly(Days, degree) + I(Days - centre) + (1 | Subject),
               twin_data()$sleepstudy) |> suppressMessages()
    rows <- twin_data()$sleepstudy
    expect_equal(unname(predict(fit, rows)), unname(fitted(fit)))
  })
})

test_that("data-dependent bases keep the basis of the fit", {
  rows <- twin_data()$sleepstudy
  fit <- lmm(Reaction ~ splines::ns(Days, 3) + scale(w) + (scale(Days) | Subject), rows)
  expect_equal(unname(predict(fit, rows[5:8, ])), unname(fitted(fit)[5:8]))
})

test_that("wrong types are named", {
  fit <- our_twin("slope")
  expect_error(
    predict(fit, data.frame(Days = "three", Subject = "308")), "Days",
    class = "ferrolmm_error_newdata"
  )
  expect_error(
    predict(fit, data.frame(Days = TRUE, Subject = "308")), "logical",
    class = "ferrolmm_error_newdata"
  )
  poly <- our_twin("poly")
  expect_error(
    predict(poly, data.frame(Days = "three", Subject = "308")), "Days",
    class = "ferrolmm_error_newdata"
  )
  factors <- our_twin("factor_slope")
  expect_error(
    predict(factors, data.frame(late = 1, Subject = "308")), "late",
    class = "ferrolmm_error_newdata"
  )
  expect_error(predict(fit, 3), "data frame", class = "ferrolmm_error_newdata")
})

test_that("new levels of a predictor are named", {
  expect_error(
    predict(our_twin("factor_slope"), data.frame(late = "noon", Subject = "308")), "noon",
    class = "ferrolmm_error_newdata"
  )
})

test_that("missing values", {
  fit <- our_twin("slope")
  new <- data.frame(Days = c(1, NA, 3), Subject = c("308", "309", "310"))
  expect_identical(unname(is.na(predict(fit, new))), c(FALSE, TRUE, FALSE))
  expect_named(predict(fit, new, na.action = na.omit), c("1", "3"))
  expect_identical(
    unname(is.na(predict(fit, new, na.action = na.exclude))), c(FALSE, TRUE, FALSE)
  )
  expect_error(predict(fit, new, na.action = na.fail))
  new <- data.frame(Days = 1:2, Subject = c("308", NA))
  expect_named(predict(fit, new, na.action = na.omit), "1")
  # a column of nothing but NA has no type of its own
  expect_true(is.na(predict(fit, data.frame(Days = NA, Subject = "308"))))
})

test_that("tibbles and lists will do", {
  fit <- our_twin("slope")
  new <- data.frame(Days = 1:2, Subject = c("308", "309"))
  expect_equal(predict(fit, as.list(new)), predict(fit, new))
  skip_if_not_installed("tibble")
  expect_equal(predict(fit, getExportedValue("tibble", "as_tibble")(new)), predict(fit, new))
})

test_that("no rows give no predictions", {
  new <- data.frame(Days = numeric(), Subject = character())
  expect_length(predict(our_twin("slope"), new), 0)
})

test_that("the variables of an expression", {
  expect_identical(variables_of(quote(splines::ns(x, df = k))), c("x", "k"))
  expect_identical(variables_of(quote(d$y + d[["z"]] + m[, 1])), c("d", "m"))
})

test_that("messages", {
  local_reproducible_output()
  fit <- our_twin("slope")
  expect_snapshot(error = TRUE, {
    predict(fit, data.frame(Days = 1, Subject = "999"))
    predict(fit, data.frame(Subject = "308"))
    predict(fit, data.frame(Days = "three", Subject = "308"))
    predict(fit, re.form = ~ (1 | plate))
  })
})
