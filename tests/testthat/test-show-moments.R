test_that("moments are printed in a few lines", {
  d <- data.frame(
    g = rep(1:4, each = 5), x = c(NA, 1:19), y = c(1:10, 12:3), w = 1:20 / 10
  )
  expect_snapshot(lmm_moments(y ~ x + (1 | g), d))
  expect_snapshot(lmm_moments(log(y) ~ x + I(x^2) + (x | g), d, weights = w))
  expect_snapshot(lmm_chunks(list(d, d)))
  expect_error(print(lmm_moments(y ~ x + (1 | g), d), 3), class = "ferrolmm_error_argument")
})
