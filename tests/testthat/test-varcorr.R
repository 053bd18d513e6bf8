for_twins("VarCorr() has lme4's layout and values", function(ours, theirs) {
  v <- VarCorr(ours)
  expect_s3_class(v, c("VarCorr.lmm", "VarCorr.merMod"), exact = TRUE)
  reference <- unclass(VarCorr(theirs))
  # lme4 mangles a:b into a.b when one of the terms shares its factor with another
  names(reference) <- make.unique(names(lme4::getME(theirs, "cnms")))
  expect_equal(unclass(v), reference, tolerance = 1e-7)
})

for_twins("as.data.frame(VarCorr()) is lme4's table", function(ours, theirs) {
  for (order in c("cov.last", "lower.tri")) {
    table <- as.data.frame(VarCorr(ours), order = order)
    reference <- as.data.frame(VarCorr(theirs), order = order)
    reference$grp[-nrow(reference)] <- rep(names(VarCorr(ours)), table(factor(
      table$grp[-nrow(table)], levels = names(VarCorr(ours))
    )))
    reference[c("var1", "var2")] <- lapply(reference[c("var1", "var2")], as.character)
    expect_equal(table, reference, tolerance = 1e-7)
  }
})

test_that("sigma = scales the matrices", {
  fit <- our_twin("slope")
  relative <- VarCorr(fit, sigma = 1)
  expect_equal(attr(relative, "sc"), 1)
  expect_equal(c(relative$Subject) * sigma(fit)^2, c(VarCorr(fit)$Subject))
})

test_that("correlations are aligned whatever their sign", {
  v <- VarCorr(our_twin("slope"))
  three <- term_covariance(matrix(c(1, 0.5, -0.4, 0, 1, 0.2, 0, 0, 1), 3), 2, letters[1:3])
  v$Subject <- three
  expect_identical(
    unname(format_varcorr(v, 4)[, 4:5]),
    cbind(c("", " 0.45", "-0.37", ""), c("", "", " 0.00", ""))
  )
})

test_that("a zero variance has no correlation", {
  v <- term_covariance(matrix(c(1, 0.5, 0, 0), 2), 2, c("a", "b"))
  expect_equal(attr(v, "correlation")[2, 1], 1)
  v <- term_covariance(matrix(c(0, 0, 0, 1), 2), 2, c("a", "b"))
  expect_equal(attr(v, "correlation")[2, 1], NaN)
  expect_equal(unname(attr(v, "stddev")), c(0, 2))
})

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
