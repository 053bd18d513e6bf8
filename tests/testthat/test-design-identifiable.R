meta <- data.frame(
  yi = c(.1, .5, -.2, .8, .3, .6), vi = c(.04, .09, .05, .1, .03, .06), id = factor(1:6)
)

rows <- function() {
  set.seed(1)
  d <- data.frame(
    x = rnorm(60), u = runif(60, 0.5, 2), g = factor(rep(1:20, 3)), h = factor(rep(1:30, 2)),
    id = factor(1:60), v = factor(rep(1:3, each = 20))
  )
  d$y <- rnorm(60) + 0.5 * rnorm(20)[d$g]
  d
}

test_that("with known variances one row for each level is meta-analysis", {
  fit <- lmm(yi ~ 1 + (1 | id), meta, weights = 1 / vi, control = lmm_control(sigma = 1))
  # restricted likelihood of tau^2, by hand
  restricted <- function(tau2) {
    w <- 1 / (meta$vi + tau2)
    mu <- sum(w * meta$yi) / sum(w)
    sum(log(meta$vi + tau2)) + log(sum(w)) + sum(w * (meta$yi - mu)^2)
  }
  best <- optimize(restricted, c(0, 1), tol = 1e-10)$minimum
  expect_equal(fit$theta[[1L]]^2, best, tolerance = 1e-6)
  expect_equal(fit$theta[[1L]]^2, 0.0605, tolerance = 1e-3)
})

test_that("information tells a variance from the residual one, not the number of rows", {
  d <- rows()
  expect_silent(suppressMessages(lmm(yi ~ 1 + (1 | id), meta, weights = 1 / vi)))
  expect_silent(suppressMessages(lmm(y ~ 1 + (0 + x | id), d)))
  expect_silent(suppressMessages(lmm(y ~ x + (x | h), d)))
  expect_silent(lmm(y ~ v + (0 + v | g), d, control = lmm_control(sigma = 0.3)))
  expect_silent(suppressMessages(lmm(y ~ x + (1 | id), d, residual = ~ ar1(v | g))))
})

test_that("what cannot be told is an error that names the term, or a warning if asked for", {
  d <- rows()
  expect_error(lmm(y ~ x + (1 | id), d), "(1 | id)", fixed = TRUE,
               class = "ferrolmm_error_grouping")
  expect_error(lmm(y ~ v + (0 + v | g), d), "not identifiable", class = "ferrolmm_error_grouping")
  # two rows a level at the same two points: three covariances and sigma for three moments
  two <- transform(d, x = rep(0:1, each = 30))
  expect_error(lmm(y ~ x + (x | h), two), "not identifiable", class = "ferrolmm_error_grouping")
  expect_warning(
    lmm(y ~ x + (1 | id), d, control = lmm_control(not_identified = "fit")),
    class = "ferrolmm_warning_identifiable"
  )
  expect_warning(lmm(y ~ v + homcs(0 + v | g), d), class = "ferrolmm_warning_identifiable")
  expect_error(lmm(y ~ x + (1 | one), transform(d, one = "a")), "only one level",
               class = "ferrolmm_error_grouping")
  expect_error(lmm_control(not_identified = "maybe"), class = "ferrolmm_error_argument")
})

test_that("one level is enough for several effects with one variance", {
  d <- rows()
  z <- outer(d$x, seq(-1, 1, length.out = 8), function(a, b) pmax(a - b, 0))
  d$z <- z
  fit <- suppressMessages(lmm(y ~ x + homdiag(0 + z | one), transform(d, one = "all")))
  expect_length(fit$theta, 1L)
})

test_that("known variances of the rows need no random effects", {
  d <- rows()
  fit <- lmm(y ~ x, d, weights = varFixed(~u))
  plain <- lm(y ~ x, d, weights = 1 / u)
  expect_equal(fixef(fit), coef(plain), tolerance = 1e-10)
  expect_equal(sigma(fit), sigma(plain), tolerance = 1e-10)
  expect_equal(as.matrix(vcov(fit)), vcov(plain), tolerance = 1e-10, ignore_attr = TRUE)
  expect_equal(as.numeric(logLik(fit)), as.numeric(logLik(plain, REML = TRUE)), tolerance = 1e-10)
})

test_that("one logical value selects all rows or none", {
  d <- rows()
  expect_equal(lmm(y ~ x + (1 | g), d, subset = TRUE)$criterion, lmm(y ~ x + (1 | g), d)$criterion)
  expect_error(lmm(y ~ x + (1 | g), d, subset = FALSE), class = "ferrolmm_error_subset")
})

test_that("a formula that is a bar is one random-effects term, as in lme4", {
  skip_if_not_installed("lme4")
  s <- lme4::sleepstudy
  fit <- lmm(Reaction ~ Days + 1 | Subject, s)
  theirs <- lme4::lmer(Reaction ~ Days + 1 | Subject, s)
  expect_equal(fixef(fit), lme4::fixef(theirs), tolerance = 1e-5)
  expect_equal(as.numeric(logLik(fit)), as.numeric(logLik(theirs)), tolerance = 1e-8)
  plain <- lmm(Reaction ~ Days + (Days | Subject), s)
  expect_equal(
    predict(plain, re.form = ~ 1 | Subject), predict(plain, re.form = ~ (1 | Subject))
  )
})

test_that("what is held, or tied to what the data determine, need not be told apart", {
  d <- rows()
  hold <- function(...) lmm_control(hold = c(...))
  # V = sigma^2 (theta^2 + 1) I is the model of lm()
  fit <- lmm(y ~ x + (1 | id), d, control = hold("id.(Intercept)" = 1))
  linear <- lm(y ~ x, d)
  expect_equal(fit$sigma^2, sigma(linear)^2 / 2, tolerance = 1e-8)
  expect_equal(as.numeric(logLik(fit)), as.numeric(logLik(linear, REML = TRUE)), tolerance = 1e-10)
  # K = diag(x^2) and the residuals determine the free one
  fit <- suppressMessages(lmm(y ~ x + (x || id), d, control = hold("id.(Intercept)" = 1)))
  profile <- function(theta) {
    d$u <- 1 / (1 + 1 + theta^2 * d$x^2)
    -2 * as.numeric(logLik(lm(y ~ x, d, weights = u), REML = TRUE))
  }
  expect_equal(fit$criterion, optimize(profile, c(0, 10), tol = 1e-8)$objective, tolerance = 1e-8)
  fit <- lmm(y ~ x + (1 | one), transform(d, one = "a"), control = hold("one.(Intercept)" = 0.5))
  expect_identical(fit$theta[[1L]], 0.5)
  tied <- lmm_control(tie = list(c("g.(Intercept)", "id.(Intercept)")))
  expect_no_warning(suppressMessages(lmm(y ~ x + (1 | g) + (1 | id), d, control = tied)))
  # three variances, two of them tied, are one too many, unless the third is held
  pair <- list(c("g.v1", "g.v2"))
  expect_error(
    lmm(y ~ v + diag(0 + v | g), d, control = lmm_control(tie = pair)), "not identifiable",
    class = "ferrolmm_error_grouping"
  )
  control <- lmm_control(tie = pair, hold = c(g.v3 = 0))
  fit <- suppressMessages(lmm(y ~ v + diag(0 + v | g), d, control = control))
  profile <- function(theta) {
    d$u <- 1 / (1 + theta^2 * (d$v != "3"))
    -2 * as.numeric(logLik(lm(y ~ v, d, weights = u), REML = TRUE))
  }
  expect_equal(fit$criterion, optimize(profile, c(0, 10), tol = 1e-8)$objective, tolerance = 1e-8)
})

test_that("a term and a residual structure are told apart where one of them is held", {
  d <- rows()
  both <- function(...) {
    suppressMessages(lmm(y ~ x + (1 | g), d, residual = ~ cs(1 | g), control = lmm_control(...)))
  }
  suppressWarnings(expect_warning(both(), "told apart", class = "ferrolmm_warning_identifiable"))
  expect_no_warning(both(hold = c(residual.rho = 0.1)))
  expect_no_warning(both(hold = c("g.(Intercept)" = 0.5)))
})
