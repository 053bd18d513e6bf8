# The general formula, not the closed forms: a^nu K_nu(a) 2^(1 - nu) / gamma(nu)
matern <- function(h, range, nu) {
  a <- sqrt(2 * nu) * h / range
  value <- a^nu * besselK(a, nu) * 2^(1 - nu) / gamma(nu)
  value[h == 0] <- 1
  value
}

places <- function(n = 8L, groups = 15L, nu = 1.5, range = 0.3, nugget = 0, seed = 11L) {
  set.seed(seed)
  d <- data.frame(
    g = factor(rep(seq_len(groups), each = n)), x = stats::runif(n * groups),
    z = stats::runif(n * groups), w = stats::rnorm(n * groups)
  )
  noise <- lapply(split(d, d$g), function(own) {
    c <- (1 - nugget) * matern(as.matrix(stats::dist(own[c("x", "z")])), range, nu)
    diag(c) <- 1
    drop(t(chol(c)) %*% stats::rnorm(n))
  })
  d$y <- 1 + 0.5 * d$w + 0.8 * unlist(noise)
  d
}

dense <- function(d, range, nu, nugget = 0) {
  n <- nrow(d)
  v <- matrix(0, n, n)
  for (rows in split(seq_len(n), d$g)) {
    h <- as.matrix(stats::dist(d[rows, c("x", "z")]))
    own <- (1 - nugget) * matern(h, range, nu)
    diag(own) <- 1
    v[rows, rows] <- own
  }
  v
}

# Profiled (restricted) log-likelihood with variance sigma^2 V
dense_loglik <- function(d, v, reml) {
  root <- chol(v)
  x <- backsolve(root, cbind(1, d$w), transpose = TRUE)
  y <- backsolve(root, d$y, transpose = TRUE)
  q <- qr(x)
  rss <- sum(qr.resid(q, y)^2)
  n <- length(y) - if (reml) 2 else 0
  -0.5 * (n * (1 + log(2 * pi * rss / n)) + 2 * sum(log(diag(root))) +
            if (reml) 2 * sum(log(abs(diag(qr.R(q))))) else 0)
}

test_that("the likelihood is that of the general formula, and the range its maximum", {
  d <- places()
  fits <- list(
    "0.5" = lmm(y ~ w, d, residual = ~ sp_matern(x, z | g, nu = 0.5)),
    "1.5" = lmm(y ~ w, d, residual = ~ sp_matern(x, z | g)),
    "2.5" = lmm(y ~ w, d, residual = ~ sp_matern(x, z | g, nu = 2.5))
  )
  for (name in names(fits)) {
    nu <- as.numeric(name)
    for (reml in c(TRUE, FALSE)) {
      fit <- if (reml) fits[[name]] else update(fits[[name]], REML = FALSE)
      at <- function(range) dense_loglik(d, dense(d, range, nu), reml)
      range <- fit$phi[["residual.range"]]
      expect_equal(as.numeric(logLik(fit)), at(range), tolerance = 1e-10)
      best <- stats::optimize(at, range * c(0.5, 2), maximum = TRUE, tol = 1e-8)
      expect_equal(range, best$maximum, tolerance = 1e-5)
    }
  }
})

test_that("nu = 0.5 is the exponential, in one dimension and in two", {
  d <- places(seed = 3L)
  for (form in c("x", "x, z")) {
    exponential <- str2lang(sprintf("~ sp_exp(%s | g)", form))
    matern <- str2lang(sprintf("~ sp_matern(%s | g, nu = 0.5)", form))
    one <- eval(bquote(lmm(y ~ w, d, residual = .(exponential))))
    two <- eval(bquote(lmm(y ~ w, d, residual = .(matern))))
    expect_identical(logLik(one), logLik(two))
    expect_identical(one$phi, two$phi)
  }
})

test_that("a nugget, for all functions of distance", {
  d <- places(n = 12L, groups = 20L, nugget = 0.3, seed = 5L)
  fit <- lmm(y ~ w, d, residual = ~ sp_matern(x, z | g, nu = 1.5, nugget = TRUE))
  expect_named(fit$phi, c("residual.range", "residual.nugget"))
  expect_equal(
    as.numeric(logLik(fit)), dense_loglik(d, dense(d, fit$phi[[1L]], 1.5, fit$phi[[2L]]), TRUE),
    tolerance = 1e-10
  )
  structure <- lmm(y ~ w, d, residual = ~ sp_gau(x, z | g, nugget = TRUE))
  nlme <- lmm(y ~ w, d, correlation = nlme::corGaus(form = ~ x + z | g, nugget = TRUE))
  expect_identical(logLik(structure), logLik(nlme))
})

test_that("the range of simulated data is found", {
  d <- places(n = 20L, groups = 40L, seed = 7L)
  fit <- lmm(y ~ w, d, residual = ~ sp_matern(x, z | g, nu = 1.5))
  interval <- confint(fit, "residual.range", method = "profile", level = 0.999)
  expect_lt(interval[[1L]], 0.3)
  expect_gt(interval[[2L]], 0.3)
  expect_lt(abs(fit$phi[[1L]] - 0.3), 0.06)
})

test_that("residual matrices, predictions and simulations are those of the structure", {
  d <- places(n = 6L, groups = 12L, seed = 9L)
  out <- c(3L, 40L)
  fit <- lmm(y ~ w, d[-out, ], residual = ~ sp_matern(x, z | g, nu = 2.5))
  v <- dense(d, fit$phi[[1L]], 2.5)
  expect_equal(
    unname(as.matrix(whole_residual_covariance(fit))), sigma(fit)^2 * v[-out, -out],
    tolerance = 1e-10
  )
  expect_equal(
    unname(residual_covariance(fit, 1:5)), sigma(fit)^2 * v[-out, -out][1:5, 1:5],
    tolerance = 1e-10
  )
  x <- cbind(1, d$w)
  beta <- fixef(fit)
  best <- x[out, ] %*% beta + v[out, -out] %*% solve(v[-out, -out], d$y[-out] - x[-out, ] %*% beta)
  found <- predict(fit, d[out, ], residual.cor = TRUE)
  expect_equal(unname(found), drop(best), tolerance = 1e-8)
  set.seed(1)
  draws <- as.matrix(simulate(fit, 4000))
  own <- stats::cor(t(draws[1:5, ]))
  expect_lt(max(abs(own - v[-out, -out][1:5, 1:5])), 0.08)
})

test_that("it is printed, written in equations, and described", {
  d <- places(n = 6L, groups = 12L, seed = 9L)
  fit <- lmm(y ~ w, d, residual = ~ sp_matern(x, z | g, nu = 2.5))
  printed <- paste(capture.output(print(summary(fit))), collapse = "\n")
  expect_match(printed, "Matern (nu = 2.5) spatial by x, z within g", fixed = TRUE)
  expect_match(describe_residual_term(fit$residual), "sp_matern(x, z | g, nu = 2.5)", fixed = TRUE)
  text <- function(...) paste(equations(fit, ...)$lines, collapse = "\n")
  expect_match(text(format = "latex"), "\\sqrt{5} h/\\phi", fixed = TRUE)
  skip_if_not(l10n_info()[["UTF-8"]])
  expect_match(text(), "(1 + a + a^2/3) exp(-a)", fixed = TRUE)
  expect_match(text(), "(a = sqrt(5) h/\u03c6)", fixed = TRUE)
})

test_that("what is no smoothness or no argument is refused", {
  d <- places(n = 4L, groups = 5L)
  refused <- function(...) expect_error(lmm(y ~ w, d, ...), class = "ferrolmm_error_residual")
  expect_match(
    conditionMessage(refused(residual = ~ sp_matern(x, z | g, nu = 1))),
    "one of the numbers 0.5, 1.5, 2.5", fixed = TRUE
  )
  refused(residual = ~ sp_matern(x, z | g, nu = c(0.5, 1.5)))
  refused(residual = ~ sp_matern(x, z | g, nugget = 1))
  expect_match(
    conditionMessage(refused(residual = ~ sp_exp(x, z | g, nu = 1.5))), "no argument `nu`",
    fixed = TRUE
  )
  refused(residual = ~ us(x | g, nugget = TRUE))
  refused(residual = ~ sp_matern(x, z | g, range = 2))
})
