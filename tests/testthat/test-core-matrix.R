test_that("factors that break down say so", {
  expect_error(
    upper_cholesky(matrix(1, 2, 2) - diag(2), "The factor"), "The factor broke down numerically",
    class = "ferrolmm_error_numerical"
  )
  broken <- Matrix::forceSymmetric(Matrix::Matrix(c(1, 2, 2, 1), 2, 2, sparse = TRUE))
  expect_error(
    sparse_cholesky(broken, "The factor"), "The factor broke down",
    class = "ferrolmm_error_numerical"
  )
  expect_equal(crossprod(upper_cholesky(diag(2) + 1, "")), diag(2) + 1)
})
