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
