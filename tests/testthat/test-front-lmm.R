d <- data.frame(
  g = factor(rep(1:12, each = 6)), h = rep(letters[1:4], 18), x = rep(c(-2, -1, 0, 0.5, 1, 3), 12)
)
set.seed(42)
d$y <- 3 + d$x + rep(rnorm(12, sd = 1.5), each = 6) + rep(rnorm(12, sd = 0.7), each = 6) * d$x +
  rnorm(4)[factor(d$h)] + rnorm(72)
d$w <- rep(c(0.5, 1, 2), 24)

estimates <- function(fit) list(fixef(fit), fit$theta, sigma(fit), fit$criterion)

test_that("the estimates at the engine's theta are those of the dense oracle", {
  models <- list(
    quote(lmm(y ~ x + (x | g) + (1 | h), d)),
    quote(lmm(y ~ x + (x || g), d, REML = FALSE)),
    quote(lmm(y ~ x + h + (1 | g / h), d, weights = w, offset = x^2)),
    quote(lmm(y ~ 0 + (0 + x | g), d)),
    quote(lmm(y ~ x + diag(x | g) + (1 | h), d, weights = w, REML = FALSE))
  )
  for (call in models) {
    fit <- suppressMessages(eval(call))
    call[[1L]] <- quote(front_end)
    call$REML <- NULL
    parts <- suppressWarnings(eval(call))
    brute <- brute_force(
      fit$theta, parts$fixed$y, parts$fixed$X, parts$random$design, parts$fixed$weights,
      parts$fixed$offset, fit$REML
    )
    info <- paste(deparse(call), collapse = "")
    expect_equal(fit$criterion, brute$criterion, tolerance = 1e-9, info = info)
    expect_equal(unname(fixef(fit)), unname(brute$beta), tolerance = 1e-8, info = info)
    expect_equal(sigma(fit), brute$sigma, tolerance = 1e-8, info = info)
    expect_equal(unname(fit$b), brute$b, tolerance = 1e-7, info = info)
    expect_equal(unname(fitted(fit)), brute$fitted, tolerance = 1e-8, info = info)
    expect_equal(
      unname(as.matrix(vcov(fit))), unname(brute$sigma^2 * brute$vcov_unscaled), tolerance = 1e-7,
      info = info
    )
  }
})

test_that("the optimum is a minimum of the oracle's criterion", {
  fit <- lmm(y ~ x + (x | g), d)
  parts <- front_end(y ~ x + (x | g), d)
  criterion <- function(theta) {
    brute_force(theta, parts$fixed$y, parts$fixed$X, parts$random$design)$criterion
  }
  for (k in seq_along(fit$theta)) {
    for (step in c(-1e-3, 1e-3)) {
      expect_gt(criterion(replace(fit$theta, k, fit$theta[k] + step)), fit$criterion)
    }
  }
})

test_that("a zero weight drops the row exactly as subset does", {
  d$w[c(3, 20)] <- 0
  a <- lmm(y ~ x + (1 | g), d, weights = w)
  b <- lmm(y ~ x + (1 | g), d, weights = w, subset = w > 0)
  expect_identical(estimates(a), estimates(b))
  expect_identical(nobs(a), 70L)
  expect_identical(logLik(a), logLik(b))
})

test_that("formulas in variables, strings and functions; data of every class", {
  reference <- estimates(lmm(y ~ x + (1 | g), d))
  f <- y ~ x + (1 | g)
  expect_identical(estimates(lmm(f, d)), reference)
  expect_identical(estimates(lmm("y ~ x + (1 | g)", d)), reference)
  expect_identical(estimates(lmm(f, as.list(d))), reference)
  expect_identical(estimates(lmm(f, list2env(d))), reference)
  expect_identical(estimates(do.call(lmm, list(f, d))), reference)
  expect_identical(estimates(do.call("lmm", list(f, quote(d), weights = rep(1, 72)))), reference)
  expect_identical(estimates(with(d, lmm(y ~ x + (1 | g)))), reference)
  wrapper <- function(formula, data, ...) lmm(formula, data, ...)
  local_weights <- rep(1, 72)
  expect_identical(estimates(wrapper(f, d, weights = local_weights)), reference)
  expect_identical(estimates(lmm(y ~ x + (1 | as.integer(g)), d))[3:4], reference[3:4])
  expect_equal(estimates(lmm(y ~ x + (1 | as.character(g)), d))[4], reference[4])
  skip_if_not_installed("tibble")
  expect_identical(estimates(lmm(f, tibble::as_tibble(d))), reference)
  skip_if_not_installed("data.table")
  expect_identical(estimates(lmm(f, data.table::as.data.table(d))), reference)
})

test_that("the call holds the formula, so that update() works anywhere", {
  f <- y ~ x + (1 | g)
  fit <- lmm(f, d)
  expect_identical(fit$call$formula, f)
  expect_identical(fit$call$data, quote(d))
  expect_identical(names(fit$call)[2:3], c("formula", "data"))
  rm(f)
  smaller <- update(fit, . ~ . - x)
  expect_identical(names(fixef(smaller)), "(Intercept)")
  larger <- update(fit, . ~ . + (1 | h))
  expect_identical(estimates(larger), estimates(lmm(y ~ x + (1 | g) + (1 | h), d)))
  in_function <- (function(local_data) lmm(y ~ x + (1 | g), local_data))(d)
  expect_identical(estimates(in_function), estimates(fit))
})

test_that("start and REML", {
  fit <- lmm(y ~ x + (x | g), d)
  again <- lmm(y ~ x + (x | g), d, start = list(theta = fit$theta))
  expect_equal(again$criterion, fit$criterion, tolerance = 1e-10)
  expect_equal(again$theta, fit$theta, tolerance = 1e-5)
  expect_true(lmm(y ~ x + (1 | g), d, REML = 1)$REML)
  expect_false(lmm(y ~ x + (1 | g), d, REML = 0)$REML)
})

test_that("a fit is silent where nothing is wrong", {
  expect_silent(lmm(y ~ x + (x | g), d))
})

test_that("what a fit has to say", {
  expect_message(lmm(y ~ x + I(2 * x) + (1 | g), d), "`I\\(2 \\* x\\)`",
                 class = "ferrolmm_message_rank")
  d$y0 <- d$y - stats::ave(d$y, d$g)
  expect_message(lmm(y0 ~ x + (1 | g), d), "variance of `\\(Intercept\\)` for group `g`.*zero",
                 class = "ferrolmm_message_singular")
  expect_warning(lmm(y ~ x + (1 | g) + (1 | g), d), class = "ferrolmm_warning_duplicate_term")
})

test_that("too few rows and exact fits are errors of the engine with a remedy", {
  expect_error(lmm(y ~ factor(seq_along(y)) + (1 | g), d), "fewer fixed effects",
               class = "ferrolmm_error_no_residual_df")
})
