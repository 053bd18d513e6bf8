test_that("confint() has bootstrap intervals", {
  fit <- our_twin("deficient")
  limits <- confint(fit, method = "boot", nsim = 99, seed = 1)
  expect_identical(dimnames(limits), dimnames(confint(fit)))
  replicates <- bootstrap(fit, 99, seed = 1)
  expect_equal(limits["Days", ], confint(replicates)["Days", ])
  expect_true(all(is.na(limits["I(2 * Days)", ])))
  basic <- confint(fit, "Days", method = "boot", nsim = 99, seed = 1, boot.type = "basic")
  expect_equal(basic, confint(replicates, "Days", interval = "basic"))
  expect_error(confint(fit, method = "bootstrap"), "method", class = "ferrolmm_error_argument")
})

test_that("quantiles of the replicates", {
  t <- seq(0.01, 0.99, by = 0.01)
  expect_equal(bootstrap_limits(t, 0.4, 0.9, "perc"), c(0.05, 0.95))
  expect_equal(bootstrap_limits(t, 0.4, 0.9, "basic"), c(-0.15, 0.75))
  expect_equal(bootstrap_limits(c(t, NA), 0.4, 0.9, "norm"),
               0.3 + c(-1, 1) * qnorm(0.95) * sd(t))
  expect_identical(bootstrap_limits(c(1, NA), 1, 0.9, "perc"), c(NA_real_, NA_real_))
})
