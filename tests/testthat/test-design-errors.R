orthodont <- function() {
  data(Orthodont, package = "nlme", envir = environment())
  as.data.frame(Orthodont)
}

# What a failure of the engine becomes
failure_told <- function(class, details, spec_correlation = quote(corAR1(form = ~ 1 | Subject))) {
  d <- orthodont()
  end <- do.call(
    front_end, list(distance ~ age + (1 | Subject), d, correlation = spec_correlation)
  )
  result <- c(list(ok = FALSE, class = class, message = "the engine says so"), details)
  tryCatch(
    naming_errors(engine_value(result), end$residual, end$frame, end$random),
    ferrolmm_error = function(e) e
  )
}

test_that("numbers of groups and rows are told by their names", {
  end <- front_end(
    distance ~ age, orthodont(), correlation = nlme::corAR1(form = ~ 1 | Subject)
  )
  second <- residual_groups(end$residual$correlation, end$frame)$levels[[2L]]
  error <- failure_told("long_residual_group", list(group = 2))
  expect_s3_class(error, "ferrolmm_error_long_residual_group")
  expect_match(conditionMessage(error), paste0("`Subject` ", second), fixed = TRUE)
  expect_match(conditionMessage(error), "smaller groups")
  error <- failure_told("duplicate_position", list(group = 2, first = 5, second = 6))
  expect_match(conditionMessage(error), "rows 5 and 6 of the data", fixed = TRUE)
  expect_match(conditionMessage(failure_told("single_row_groups", NULL)), "levels of `Subject`")
  expect_match(conditionMessage(failure_told("zero_covariate", list(row = 7))), "row 7 of the data")
  error <- failure_told("not_positive_definite", list(factor = 1))
  expect_match(conditionMessage(error), "`Subject`")
  expect_match(conditionMessage(failure_told("residual_start", NULL)), "residual.rho", fixed = TRUE)
  # the others stay as they are
  expect_match(conditionMessage(failure_told("numerical", NULL)), "rescale")
  expect_match(conditionMessage(failure_told("perfect_fit", NULL)), "exact function")
})

test_that("impossible starts name the parameters", {
  d <- orthodont()
  expect_error(
    lmm(distance ~ age, d, correlation = nlme::corSymm(c(0.9, -0.9, 0, 0.9, 0, 0), ~ 1 | Subject)),
    "residual.cor(2,1)", fixed = TRUE, class = "ferrolmm_error"
  )
})
