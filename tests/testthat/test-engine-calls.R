test_that("a failure of the engine becomes a classed error with a remedy", {
  fail <- function(class) {
    engine_value(list(ok = FALSE, class = class, message = "180 of 180% %s", n = 180L))
  }
  error <- tryCatch(fail("no_residual_df"), error = identity)
  expect_s3_class(error, "ferrolmm_error_no_residual_df")
  expect_match(conditionMessage(error), "180 of 180% %s.", fixed = TRUE)
  expect_match(conditionMessage(error), "fewer fixed effects")
  expect_identical(error$details$n, 180L)
  expect_error(fail("bug"), "report it", class = "ferrolmm_error_bug")
  expect_error(fail("time_limit"), "time limit is over", class = "ferrolmm_error_time_limit")
  expect_error(fail("something new"), class = "ferrolmm_error_something new")
  expect_identical(engine_value(list(ok = TRUE, x = 1))$x, 1)
})

test_that("what the engine does for tests of many coefficients is what R does", {
  set.seed(8)
  r <- 120L
  v <- crossprod(matrix(rnorm(r^2), r))
  L <- matrix(rnorm(70 * r), 70)
  expect_equal(engine_row_variances(L, v), rowSums((L %*% v) * L))
  expect_equal(engine_row_variances(L[0L, ], v), double())
  found <- engine_eigen(v)
  expect_equal(found$values, eigen(v, symmetric = TRUE)$values)
  expect_equal(found$vectors %*% (found$values * t(found$vectors)), v)
  expect_equal(crossprod(found$vectors), diag(r))
})
