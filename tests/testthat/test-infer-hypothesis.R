test_that("variances of rows are the same whether they have few entries or many", {
  set.seed(81)
  variance <- crossprod(matrix(rnorm(900), 30L))
  few <- matrix(0, 40L, 30L)
  few[cbind(1:39, sample(30L, 39L, TRUE))] <- rnorm(39)
  few[cbind(1:39, sample(30L, 39L, TRUE))] <- rnorm(39)
  for (L in list(few, few + 1)) {
    expect_equal(row_variances(L, variance), diag(L %*% variance %*% t(L)), tolerance = 1e-13)
  }
  expect_identical(row_variances(few[0L, ], variance), double())
})

test_that("Wald's statistic is that of independent rows, by either root", {
  set.seed(7)
  variance <- crossprod(matrix(rnorm(16), 4L))
  L <- rbind(c(1, 0, 0, 0), c(0, 1, -1, 0), c(1, 1, -1, 0))
  estimate <- drop(L %*% 1:4)
  expect_identical(independent_rows(L, variance), 1:2)
  inverse <- solve(L[1:2, ] %*% variance %*% t(L[1:2, ]))
  expected <- drop(estimate[1:2] %*% inverse %*% estimate[1:2])
  expect_equal(wald_statistic(L, estimate, variance), list(value = expected, rank = 2L))
  rx <- chol(solve(variance))
  expect_equal(wald_statistic(L, estimate, variance, rx)$value, expected)
  expect_identical(wald_statistic(0 * L, estimate, variance)$rank, 0L)
  ## a row that all but vanishes beside another: the product has lost it
  far <- rbind(c(1, 0), c(1e9, 1))
  root <- covariance_root(far, diag(2), diag(2))
  expect_equal(abs(prod(diag(root))), 1, tolerance = 1e-6)
})
