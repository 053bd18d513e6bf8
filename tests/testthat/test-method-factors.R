test_that("rotations change neither G nor what is predicted", {
  set.seed(3)
  d <- expand.grid(env = factor(1:6), rep = 1:2, gen = factor(1:50))
  lambda <- cbind(c(1, 1.2, 0.8, 0.9, 1.1, 0.7), c(0.6, -0.5, 0.4, -0.7, 0.1, 0.5))
  u <- tcrossprod(matrix(rnorm(100), 50), lambda) + matrix(rnorm(300, sd = 0.4), 50)
  d$y <- u[cbind(d$gen, d$env)] + rnorm(600, sd = 0.5)
  fit <- lmm(y ~ env + fa(0 + env | gen, k = 2), d)
  g <- matrix(VarCorr(fit)$gen, 6)
  parts <- lapply(c("none", "principal", "varimax"), function(rotate) {
    factor_loadings(fit, rotate)$gen
  })
  common <- parts[[1]]$scores %*% t(parts[[1]]$loadings)
  for (own in parts) {
    expect_equal(tcrossprod(own$loadings) + diag(own$specific), g, ignore_attr = TRUE)
    expect_equal(own$scores %*% t(own$loadings), common)
    expect_equal(crossprod(own$rotation), diag(2), ignore_attr = TRUE)
    expect_equal(
      sum(own$explained), sum(own$share * diag(g)) / sum(diag(g)), tolerance = 1e-12
    )
    expect_identical(dim(own$scores), c(50L, 2L))
  }
  expect_equal(parts[[1]]$loadings[1, 2], 0)
  expect_equal(crossprod(parts[[2]]$loadings)[1, 2], 0, tolerance = 1e-10)
  expect_true(all(colSums(parts[[2]]$loadings) > 0) && !is.unsorted(-parts[[2]]$explained))
  # E(f | u) = Lambda' G^-1 u at the predicted u
  expect_equal(
    parts[[2]]$scores, as.matrix(ranef(fit)$gen) %*% solve(g, parts[[2]]$loadings),
    ignore_attr = TRUE, tolerance = 1e-6
  )
  expect_output(print(factor_loadings(fit, "varimax")), "varimax")
  expect_error(factor_loadings(fit, "oblimin"), class = "ferrolmm_error_argument")
  none <- lmm(y ~ env + (1 | gen), d)
  expect_error(factor_loadings(none), class = "ferrolmm_error_factors")
  # scores of reduced rank give the effects back
  rr <- lmm(y ~ env + rr(0 + env | gen, k = 2), d)
  own <- factor_loadings(rr)$gen
  expect_equal(
    own$scores %*% t(own$loadings), as.matrix(ranef(rr)$gen), ignore_attr = TRUE, tolerance = 1e-6
  )
})
