test_that("another covariance matrix can be used", {
  skip_if_not_installed("lmtest")
  fit <- our_twin("slope")
  wide <- lmtest::coeftest(fit, vcov. = 4 * vcov(fit))
  expect_equal(wide[, "Std. Error"], 2 * coef(summary(fit))[, "Std. Error"])
  expect_identical(colnames(wide)[3], "z value")
  with_df <- lmtest::coeftest(fit, vcov. = vcov, df = 17)
  expect_equal(with_df[, "Pr(>|t|)"], coef(summary(fit))[, "Pr(>|t|)"], tolerance = 1e-6)
  limits <- lmtest::coefci(fit, vcov. = vcov, df = 17)
  expect_equal(limits, confint(fit, "beta_"), tolerance = 1e-6)
})

test_that("what is no covariance matrix of the fixed effects is refused by every package", {
  fit <- our_twin("slope")
  for (wrong in list(diag(5), "HC0", list(1), function(x) diag(1))) {
    expect_error(other_variance(fit, wrong), "`vcov.`", class = "ferrolmm_error_argument")
  }
  expect_identical(other_variance(fit, function(x, by) by * vcov(x), by = 4), 4 * vcov(fit))
  expect_error(check_one_ddf(FALSE, vcov(fit)), "`vcov.`", class = "ferrolmm_error_argument")
  expect_null(check_one_ddf(TRUE, vcov(fit)))
})
