test_that("VarCorr() prints standard deviations, variances, correlations, covariances", {
  local_reproducible_output()
  fit <- our_twin("slope")
  expect_snapshot({
    print(VarCorr(fit), digits = 3)
    print(VarCorr(fit), digits = 3, comp = c("Variance", "Std.Dev."))
    print(VarCorr(fit), digits = 3, comp = "Variance")
    print(VarCorr(our_twin("shared_factor")), digits = 2)
    print(VarCorr(our_twin("factor_slope"), sigma = 1), digits = 3, comp = "Var", corr = TRUE)
  })
})
