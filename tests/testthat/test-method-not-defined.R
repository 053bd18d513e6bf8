test_that("generics of other models say what to use instead", {
  fit <- our_twin("slope")
  for (call in list(
    quote(alias(fit)), quote(dummy.coef(fit)), quote(effects(fit)), quote(kappa(fit)),
    quote(model.tables(fit)), quote(proj(fit)), quote(se.contrast(fit, list())),
    quote(TukeyHSD(fit))
  )) {
    expect_error(eval(call), "not defined", class = "ferrolmm_error_argument")
  }
  skip_if_not_installed("MASS")
  expect_error(MASS::boxcox(fit), "transformed response", class = "ferrolmm_error_argument")
  expect_error(MASS::logtrans(fit), "transformed response", class = "ferrolmm_error_argument")
  skip_if_not_installed("lmtest")
  expect_error(lmtest::waldtest(fit, fit), "drop1", class = "ferrolmm_error_argument")
})
