# Sizes of variables: units make no difference as far as numbers reach, and an error says where they
# end.

s <- lme4::sleepstudy
plain <- lmm(Reaction ~ Days + (Days | Subject), s)

test_that("the unit of the response makes no difference", {
  for (unit in c(1e-30, 1e-12, 1e12, 1e30)) {
    s$y <- s$Reaction * unit
    fit <- lmm(y ~ Days + (Days | Subject), s)
    expect_equal(fit$theta, plain$theta, tolerance = 1e-6)
    expect_equal(
      summary(fit)$coefficients[, 3:5], summary(plain)$coefficients[, 3:5], tolerance = 1e-6
    )
    expect_equal(
      summary(fit, ddf = "Kenward-Roger")$coefficients[, 3:5],
      summary(plain, ddf = "Kenward-Roger")$coefficients[, 3:5], tolerance = 1e-6
    )
    expect_equal(anova(fit)$`F value`, anova(plain)$`F value`, tolerance = 1e-6)
  }
})

test_that("the unit of a predictor makes no difference", {
  for (unit in c(1e-30, 1e-12, 1e12, 1e30)) {
    s$x <- s$Days * unit
    fit <- lmm(Reaction ~ x + (x | Subject), s)
    expect_equal(
      unname(summary(fit)$coefficients[, 3:5]), unname(summary(plain)$coefficients[, 3:5]),
      tolerance = 1e-6
    )
    expect_equal(
      unname(summary(fit, ddf = "Kenward-Roger")$coefficients[, 3:5]),
      unname(summary(plain, ddf = "Kenward-Roger")$coefficients[, 3:5]), tolerance = 1e-6
    )
    expect_equal(
      as.data.frame(VarCorr(fit))$sdcor / c(1, 1 / unit, 1, 1), as.data.frame(VarCorr(plain))$sdcor,
      tolerance = 1e-5
    )
  }
})

test_that("variables beyond what can be squared twice are refused", {
  for (unit in c(1e-300, 1e-160, 1e-40, 1e40, 1e160, 1e300)) {
    s$v <- s$Days * unit
    s$y <- s$Reaction * unit
    s$f <- s$Days
    expect_error(
      lmm(y ~ Days + (1 | Subject), s), "response", class = "ferrolmm_error_size"
    )
    expect_error(
      lmm(Reaction ~ v + (1 | Subject), s), "fixed effects", class = "ferrolmm_error_size"
    )
    expect_error(
      lmm(Reaction ~ Days + (v | Subject), s), "random effects", class = "ferrolmm_error_size"
    )
  }
  expect_snapshot(error = TRUE, {
    lmm(Reaction ~ I(1e50 * Days) + (1 | Subject), s)
  })
})

test_that("the unit of weights makes no difference", {
  s$w <- rep(1:3, 60)
  one <- lmm(Reaction ~ Days + (1 | Subject), s, weights = w)
  for (unit in c(1e-60, 1e-20, 1e20, 1e60)) {
    s$w <- rep(1:3, 60) * unit
    fit <- lmm(Reaction ~ Days + (1 | Subject), s, weights = w)
    expect_equal(fit$criterion, one$criterion, tolerance = 1e-10)
    expect_equal(vcov(fit), vcov(one), tolerance = 1e-7)
    expect_equal(sigma(fit), sigma(one) * sqrt(unit), tolerance = 1e-7)
  }
  for (unit in c(1e-300, 1e-80, 1e80, 1e300)) {
    s$w <- rep(1:3, 60) * unit
    expect_error(
      lmm(Reaction ~ Days + (1 | Subject), s, weights = w), "weights", class = "ferrolmm_error_size"
    )
  }
})

test_that("the unit of times makes no difference while the correlation of a unit is a number", {
  set.seed(11)
  d <- data.frame(g = gl(10L, 10L), time = rep(1:10, 10L), x = stats::rnorm(100L))
  walk <- function() as.numeric(stats::filter(stats::rnorm(10L), 0.6, "recursive"))
  d$y <- unlist(lapply(1:10, function(i) walk())) + 0.5 * stats::rnorm(10L)[d$g]
  fit_in <- function(unit, from = 0) {
    d$t <- d$time * unit + from * unit
    lmm(y ~ x, d, correlation = nlme::corCAR1(form = ~ t | g))
  }
  one <- fit_in(1)
  for (unit in c(1e-2, 86400, 1e7)) {
    fit <- fit_in(unit, from = 1e6)
    expect_equal(fit$criterion, one$criterion, tolerance = 1e-8)
    expect_equal(log(fit$phi) * unit, log(one$phi), tolerance = 1e-5)
    expect_equal(
      summary(fit)$coefficients, summary(one)$coefficients, tolerance = 1e-5
    )
  }
  for (unit in c(1e-300, 1e-9, 1e-6, 1e12, 1e15, 1e17, 1e100)) {
    expect_error(fit_in(unit), "unit of time", class = "ferrolmm_error_size")
  }
})

test_that("a correlation that goes to 1, or to 0, is an end and no matter of units", {
  d <- data.frame(g = gl(6L, 2L), t = c(1, 1.5, 2, 3, 1, 4, 2, 2.5, 1, 2, 3, 5))
  set.seed(1)
  for (share in c(0, 1e-9)) {
    d$y <- rep(stats::rnorm(6L), each = 2L) + share * stats::rnorm(12L)
    fit <- tryCatch(
      suppressWarnings(lmm(y ~ 1, d, correlation = nlme::corCAR1(form = ~ t | g))),
      ferrolmm_error = identity
    )
    expect_false(inherits(fit, "ferrolmm_error_size"))
  }
  # neighbours that differ more than others
  d$y <- rep(c(-1, 1), 6L) + 0.1 * stats::rnorm(12L)
  fit <- suppressWarnings(lmm(y ~ 1, d, correlation = nlme::corCAR1(form = ~ t | g)))
  expect_lt(fit$phi[[1L]], 1e-6)
})
