test_that("confint() has profile intervals, in its order and with its names", {
  fit <- our_twin("slope")
  whole <- confint(fit, method = "profile")
  expect_identical(dimnames(whole), dimnames(confint(fit)))
  expect_equal(whole, confint(profile(fit, cutoff = 2.2)), tolerance = 1e-3)
  some <- confint(fit, c("Days", ".sigma"), level = 0.9, method = "profile")
  expect_identical(dimnames(some), list(c("Days", ".sigma"), c("5 %", "95 %")))
  expect_true(all(some[, 1] > whole[c("Days", ".sigma"), 1]))
  expect_identical(rownames(confint(fit, "theta_", method = "profile", oldNames = FALSE))[[4]],
                   "sigma")
  aliased <- confint(our_twin("deficient"), method = "profile")
  expect_identical(which(is.na(aliased[, 1])), c("I(2 * Days)" = 5L))
})

test_that("profile intervals of data without any group difference start at zero", {
  e <- new.env()
  utils::data("Dyestuff2", package = "lme4", envir = e)
  fit <- suppressMessages(lmm(Yield ~ 1 + (1 | Batch), e$Dyestuff2))
  limits <- confint(fit, ".sig01", method = "profile")
  expect_identical(limits[[1]], 0)
  expect_equal(brute_rise(fit, 1, limits[[2]]), qnorm(0.975)^2, tolerance = 1e-3)
})

test_that("rising_path() keeps what is monotone, from the estimate outwards", {
  path <- list(value = 1:7, zeta = c(-1.9, -2, -1, 0, 1, 0.9, 2))
  expect_identical(rising_path(path), list(value = c(2:5, 7L), zeta = c(-2, -1, 0, 1, 2)))
  at_boundary <- list(value = c(0, 1, 2), zeta = c(0, 1, 2))
  expect_identical(rising_path(at_boundary), at_boundary)
  expect_equal(profile_limits(at_boundary, 1.5, c(0, Inf)), c(0, 1.5))
  expect_equal(profile_limits(path, 1.95, c(1, Inf))[[1]], 2.05, tolerance = 0.02)
  expect_identical(profile_limits(path, 3, c(1, Inf)), c(1, NA))
})

test_that("a profile with as low a criterion at both sides of the estimate has limits", {
  path <- list(value = 1:8, zeta = c(-2.4, -0.6, 0, -0.7, -1.8, 0, 0.9, 2.2))
  rising <- rising_path(path)
  expect_identical(rising$value, c(1L, 5L, 6L, 7L, 8L))
  expect_false(is.unsorted(rising$zeta, strictly = TRUE))
  limits <- profile_limits(path, 1.96, c(-Inf, Inf))
  expect_true(limits[[1L]] > 1 && limits[[1L]] < 5 && limits[[2L]] > 7 && limits[[2L]] < 8)
  # a path that starts in the boundary
  expect_identical(rising_path(list(value = 0:3, zeta = c(0, 1, 0.5, 2)))$value, c(0L, 1L, 3L))
})
