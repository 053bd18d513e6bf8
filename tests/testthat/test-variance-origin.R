# Where a variance function has its 1 is a matter of units: exp(delta v) and |v|^delta times a
# constant are the same model.

of_years <- function() {
  set.seed(5)
  d <- data.frame(year = rep(2000:2026, each = 10L), g = gl(10L, 1L, 270L))
  d$y <- stats::rnorm(10L)[d$g] + stats::rnorm(270L) * exp(0.1 * (d$year - 2013))
  d
}

test_that("an exponential's covariate may be moved", {
  d <- of_years()
  fit_at <- function(zero) {
    d$v <- d$year - zero
    lmm(y ~ 1 + (1 | g), d, weights = nlme::varExp(form = ~v))
  }
  centred <- fit_at(2013)
  # nlme 3.1-162: lme(y ~ 1, d, ~ 1 | g, weights = varExp(form = ~ I(year - 2013)))
  expect_equal(centred$criterion, 799.2856, tolerance = 1e-7)
  for (zero in c(1983, 1813, 1213)) {
    moved <- fit_at(zero)
    expect_equal(moved$certificate$status, "converged")
    expect_equal(moved$criterion, centred$criterion, tolerance = 1e-9)
    expect_equal(moved$phi, centred$phi, tolerance = 1e-4)
    expect_equal(
      log(sigma(moved)), log(sigma(centred)) - moved$phi[[1L]] * (2013 - zero), tolerance = 1e-4
    )
    expect_equal(vcov(moved), vcov(centred), tolerance = 1e-4)
  }
})

test_that("a power's covariate may have any unit", {
  d <- of_years()
  fit_with <- function(unit) {
    d$v <- unit * (d$year - 1990)
    lmm(y ~ 1 + (1 | g), d, weights = nlme::varPower(form = ~v))
  }
  one <- fit_with(1)
  for (unit in c(1e-10, 1e4, 1e10)) {
    other <- fit_with(unit)
    expect_equal(other$certificate$status, "converged")
    expect_equal(other$criterion, one$criterion, tolerance = 1e-9)
    expect_equal(vcov(other), vcov(one), tolerance = 1e-4)
  }
})

test_that("a sigma that no number can be is refused, with the way out", {
  d <- of_years()
  fit_with <- function(weights) lmm(y ~ 1 + (1 | g), d, weights = weights)
  expect_snapshot(error = TRUE, fit_with(nlme::varExp(form = ~year)))
  expect_error(
    fit_with(nlme::varExp(form = ~year, fixed = 0.3)), class = "ferrolmm_error_far_scale"
  )
  expect_error(
    fit_with(nlme::varPower(form = ~year, fixed = 200)), class = "ferrolmm_error_far_scale"
  )
  expect_error(fit_with(nlme::varPower(form = ~year)), class = "ferrolmm_error_far_scale")
})

test_that("a variance far from that of a row with d = 1 is no perfect fit", {
  d <- of_years()
  d$large <- 1e8 + d$year
  # nearly constant: all variances are the same
  fit <- lmm(y ~ 1 + (1 | g), d, weights = nlme::varPower(form = ~large, fixed = 2))
  plain <- lmm(y ~ 1 + (1 | g), d)
  expect_equal(vcov(fit), vcov(plain), tolerance = 1e-4)
  expect_equal(log(sigma(fit)), log(sigma(plain)) - 2 * log(1e8), tolerance = 1e-5)
})

test_that("a variance function of a constant is not identified", {
  s <- lme4::sleepstudy
  for (weights in list(nlme::varExp(), nlme::varPower())) {
    expect_warning(fit <- lmm(Reaction ~ 1, s, weights = weights), "not identified")
    expect_equal(fit$certificate$status, "not-identified")
    # t-test of the mean
    expect_equal(
      sqrt(vcov(fit)[[1L]]), stats::sd(s$Reaction) / sqrt(180), tolerance = 1e-8,
      ignore_attr = TRUE
    )
  }
})
