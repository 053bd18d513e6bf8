test_that("every fit is what fit-object.R says", {
  for (name in names(twin_calls)) {
    expect_silent(validate_lmm(our_twin(name)))
  }
})

test_that("validate_lmm() names what does not hold", {
  fit <- our_twin("slope")
  fit$b <- fit$b[-1]
  fit$sigma <- NULL
  expect_error(validate_lmm(fit), "q entries", class = "ferrolmm_error_bug")
})

test_that("a fit holds no pointer and no model matrix, and survives saveRDS()", {
  fit <- our_twin("slope")
  expect_null(fit$X)
  file <- tempfile(fileext = ".rds")
  saveRDS(fit, file)
  restored <- readRDS(file)
  numbers <- c("coefficients", "theta", "b", "fitted.values", "certificate", "frame")
  expect_equal(restored[numbers], fit[numbers], ignore_formula_env = TRUE)
  expect_equal(ranef(restored), ranef(fit))
})
