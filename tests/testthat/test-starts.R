# Several optima. The lowest are by dense evaluation: V = I + sum Z G Z' (n x n) factorised by
# LAPACK, its profiled criterion minimised by stats::optim() (BFGS) from many random starts.

dense_criterion <- function(theta, y, X, Z, groups, full, reml) {
  n <- length(y)
  V <- diag(n)
  at <- 0L
  for (t in seq_along(Z)) {
    k <- ncol(Z[[t]])
    root <- matrix(0, k, k)
    own <- if (full[t]) lower.tri(root, TRUE) else diag(k) == 1
    root[own] <- theta[at + seq_len(sum(own))]
    at <- at + sum(own)
    level <- as.integer(groups[[t]])
    V <- V + tcrossprod(Z[[t]] %*% root) * outer(level, level, "==")
  }
  R <- chol(V)
  half <- backsolve(R, cbind(X, y), transpose = TRUE)
  decomposition <- qr(half[, seq_len(ncol(X)), drop = FALSE])
  q <- sum(qr.resid(decomposition, half[, ncol(X) + 1L])^2)
  d <- n - if (reml) ncol(X) else 0
  2 * sum(log(diag(R))) + d * (1 + log(2 * pi * q / d)) +
    if (reml) 2 * sum(log(abs(diag(qr.R(decomposition))))) else 0
}

dense_optimum <- function(m, starts, y, X, Z, groups, full, reml) {
  set.seed(1)
  ends <- replicate(starts, {
    found <- try(stats::optim(
      stats::rnorm(m) * 10^stats::runif(m, -1.5, 1.5), dense_criterion, y = y, X = X, Z = Z,
      groups = groups, full = full, reml = reml, method = "BFGS",
      control = list(maxit = 500, reltol = 1e-13)
    )$value, silent = TRUE)
    if (is.numeric(found)) found else Inf
  })
  stopifnot(is.finite(min(ends)))
  min(ends)
}

heavy_tailed <- function(seed) {
  set.seed(seed)
  n <- 16
  d <- data.frame(x = rnorm(n), g = factor(sample(6, n, TRUE)))
  d$y <- rt(n, 2) + rnorm(6)[d$g] * d$x
  d$y[3] <- d$y[3] - 12
  d
}

test_that("with an outlier the lowest optimum is found, from wherever the first walk ends", {
  for (seed in c(17, 90, 176, 1:5)) {
    d <- heavy_tailed(seed)
    fit <- suppressMessages(lmm(y ~ x + (x || g), d))
    one <- suppressMessages(lmm(y ~ x + (x || g), d, control = lmm_control(starts = 1)))
    X <- cbind(1, d$x)
    low <- dense_optimum(2L, 12L, d$y, X, list(X), list(d$g), FALSE, TRUE)
    expect_lte(fit$criterion, low + 1e-6 * abs(low))
    if (seed > 5) {
      # a single walk does not get there, though it ends at an optimum
      expect_gt(one$criterion, low + 0.1)
      expect_true(one$certificate$status %in% c("converged", "singular"))
      expect_lt(fit$certificate$agree, fit$certificate$starts)
    }
  }
})

test_that("the lowest optimum is found where weights are of many orders", {
  # in 27 further walks from the moments, from extremes and from a grid all end above it
  for (seed in c(27, 2:7)) {
    set.seed(seed)
    d <- data.frame(
      f = factor(sample(letters[1:3], 40, TRUE)), g = factor(rep_len(1:8, 40)),
      w = exp(5 * rnorm(40))
    )
    b <- matrix(rnorm(24), 8)
    d$y <- b[cbind(d$g, d$f)] + rt(40, 2) / sqrt(d$w)
    fit <- suppressMessages(lmm(y ~ 1 + (f | g), d, weights = w))
    root <- sqrt(d$w)
    Z <- list(model.matrix(~f, d) * root)
    low <- dense_optimum(6L, 12L, d$y * root, cbind(root), Z, list(d$g), TRUE, TRUE) -
      sum(log(d$w))
    expect_lte(fit$criterion, low + 1e-6 * abs(low))
  }
})

test_that("a singular optimum to which Newton steps from other places hardly ever come is found", {
  d <- data.frame(
    y = c(
      4.4794, 8.4437, 6.1896, 6.0312, 5.4018, 3.2723, 6.3673, 6.4133, 7.3535, 4.2382, 4.2693,
      5.3405, 7.1239, 5.7335, 9.3541, 6.5845, 9.9739
    ),
    f = factor(c(1, 2, 1, 1, 1, 1, 1, 1, 2, 2, 1, 2, 1, 1, 2, 2, 2)),
    g = factor(c(2, 1, 1, 1, 1, 2, 2, 1, 1, 2, 1, 2, 1, 2, 3, 1, 3)),
    w = c(
      3.01e-8, 0.00268, 0.152, 87.9, 7.72, 41.9, 967000, 3.01e-8, 7950, 6.53, 702, 7.54e-5, 4.56,
      525, 3.86, 0.0209, 3180
    )
  )
  suppressMessages(fit <- lmm(y ~ 1 + (f | g), d, weights = w, REML = FALSE))
  root <- sqrt(d$w)
  Z <- list(root * model.matrix(~f, d))
  best <- dense_optimum(
    3, 100, root * d$y, cbind(root), Z, list(d$g), TRUE, FALSE
  ) - sum(log(d$w))
  expect_lt(fit$criterion, best + 1e-6 * abs(best))
})

test_that("rows that weigh far more than all others leave the optimiser its digits", {
  for (seed in c(1, 3, 5, 6, 11, 12)) {
    set.seed(seed)
    n <- 60
    d <- data.frame(
      x = rnorm(n), f = factor(sample(letters[1:2], n, TRUE)), g = factor(rep_len(1:14, n)),
      h = factor(sample(6, n, TRUE)), w = rexp(n) + 0.1
    )
    d$w[sample(n, 8)] <- 2e9
    of_g <- 4 * rnorm(14)
    of_h <- 2 * rnorm(6)
    d$y <- of_g[d$g] + of_h[d$h] * d$x + rnorm(n) / sqrt(d$w)
    fit <- suppressMessages(lmm(y ~ 1 + (f | g) + (x | h), d, weights = w))
    expect_identical(fit$certificate$status, "singular")
    root <- sqrt(d$w)
    Z <- list(root * model.matrix(~f, d), root * cbind(1, d$x))
    at <- function(theta) {
      dense_criterion(
        theta, d$y * root, cbind(root), Z, list(d$g, d$h), c(TRUE, TRUE), TRUE
      ) - sum(log(d$w))
    }
    theta <- unname(getME(fit, "theta"))
    expect_lt(abs(at(theta) - fit$criterion), 1e-5)
    # from there, and from where the data were made, it goes no further down
    starts <- list(theta, c(4, 0, 0.1, 0.1, 0, 2))
    low <- min(vapply(starts, function(start) {
      stats::optim(start, at, method = "BFGS", control = list(maxit = 200, reltol = 1e-12))$value
    }, 0))
    expect_lte(fit$criterion, low + 1e-6 * abs(low))
  }
})

test_that("one of many responses in doubt is walked to from elsewhere too", {
  for (seed in c(17, 176)) {
    d <- heavy_tailed(seed)
    fit <- suppressMessages(lmm(y ~ x + (x || g), d))
    many <- suppressMessages(refit(fit, cbind(d$y, d$y + 1)))
    X <- cbind(1, d$x)
    low <- dense_optimum(2L, 12L, d$y, X, list(X), list(d$g), FALSE, TRUE)
    expect_true(all(many$criterion <= low + 1e-6 * abs(low)))
  }
  # a number of starts holds for each response
  d <- heavy_tailed(90)
  fit <- suppressMessages(lmm(y ~ x + (x || g), d))
  many <- suppressMessages(
    refit(fit, cbind(d$y, d$y + 1), control = lmm_control(starts = 20))
  )
  X <- cbind(1, d$x)
  low <- dense_optimum(2L, 12L, d$y, X, list(X), list(d$g), FALSE, TRUE)
  expect_true(all(many$criterion <= low + 1e-6 * abs(low)))
})

test_that("a perfect correlation beside a strong one is seen", {
  set.seed(7)
  for (i in 1:8) {
    d <- data.frame(x = 10 + rnorm(33), g = factor(rep_len(1:11, 33)))
    d$y <- rnorm(33) + (rnorm(11) * 3)[d$g] * (d$x - 9.5)
    fit <- suppressMessages(lmm(y ~ 1 + (x | g), d, REML = FALSE))
    X <- matrix(1, 33)
    low <- dense_optimum(3L, 15L, d$y, X, list(cbind(1, d$x)), list(d$g), TRUE, FALSE)
    expect_lte(fit$criterion, low + 1e-6 * abs(low))
  }
})

test_that("the certificate says how many starts there were and how many agree", {
  fit <- lmm(Reaction ~ Days + (Days | Subject), lme4::sleepstudy)
  expect_gt(fit$certificate$starts, 1L)
  expect_identical(fit$certificate$agree, fit$certificate$starts)
  expect_identical(fit$certificate$vanishing, 0L)
  expect_match(
    paste(capture.output(print(summary(fit)$certificate)), collapse = " "),
    "[0-9]+ of [0-9]+\\s+starts\\s+agree"
  )
  one <- lmm(Reaction ~ Days + (Days | Subject), lme4::sleepstudy,
             control = lmm_control(starts = 1))
  expect_identical(one$certificate$starts, 1L)
  expect_identical(one$certificate$agree, 1L)
  expect_equal(one$criterion, fit$criterion, tolerance = 1e-12)
  # the user's start is the only one
  own <- lmm(Reaction ~ Days + (Days | Subject), lme4::sleepstudy, start = c(1, 0, 0.3))
  expect_identical(own$certificate$starts, 1L)
  many <- lmm(Reaction ~ Days + (Days | Subject), lme4::sleepstudy,
              control = lmm_control(starts = 20))
  expect_identical(many$certificate$starts, 20L)
  expect_gt(many$certificate$agree, 10L)
})

test_that("starts are the same for any number of threads and every time", {
  d <- heavy_tailed(17)
  fit <- function(threads) {
    suppressMessages(lmm(y ~ x + (x | g), d, control = lmm_control(threads = threads)))
  }
  first <- fit(1)
  expect_identical(fit(2)$certificate, first$certificate)
  expect_identical(fit(1)$theta, first$theta)
})

test_that("refits and many responses look for the lowest optimum too", {
  d <- heavy_tailed(17)
  fit <- suppressMessages(lmm(y ~ x + (x || g), d))
  Y <- vapply(c(17, 90, 1:4), function(seed) heavy_tailed(seed)$y, double(16))
  together <- suppressMessages(refit(fit, Y, control = lmm_control(threads = 1)))
  apart <- vapply(1:6, function(i) suppressMessages(refit(fit, Y[, i]))$criterion, 0)
  expect_equal(unname(together$criterion), apart, tolerance = 1e-9)
})

test_that("`starts` is checked", {
  for (wrong in list(0, 1.5, NA, "a", c(1, 2))) {
    expect_error(lmm_control(starts = wrong), class = "ferrolmm_error_argument")
  }
  expect_match(format(lmm_control(starts = 5)), "starts: +5", all = FALSE)
})

test_that("levels of different sizes alone are no reason to doubt where rows are plentiful", {
  set.seed(5)
  d <- data.frame(g = factor(rep(1:50, 1:50)))
  d$y <- rnorm(50)[d$g] + rnorm(nrow(d))
  expect_identical(lmm(y ~ 1 + (1 | g), d)$certificate$starts, 2L)
  # few rows, or levels that tell very different amounts, are
  few <- d[as.integer(d$g) %in% c(1:3, 20), , drop = FALSE]
  expect_gt(lmm(y ~ 1 + (1 | g), few)$certificate$starts, 2L)
  d$w <- 10^(as.integer(d$g) %% 7)
  d$y <- rnorm(50)[d$g] + rnorm(nrow(d)) / sqrt(d$w)
  expect_gt(lmm(y ~ 1 + (1 | g), d, weights = w)$certificate$starts, 2L)
})

test_that("the limit of evaluations holds for the whole walk, also after the response is centred", {
  # twelve rows, effects that dwarf residuals: the walk goes on and on
  set.seed(2)
  d <- data.frame(g = factor(rep(1:4, each = 3)), x = rep(1:3, 4))
  d$y <- 1e6 * rnorm(4)[d$g] + 1e5 * rnorm(4)[d$g] * d$x + rnorm(12)
  fit <- suppressWarnings(suppressMessages(
    lmm(y ~ x + (x | g), d, control = lmm_control(max_evaluations = 5, starts = 1))
  ))
  expect_identical(fit$certificate$status, "iteration-limit")
  # those to the limit, and a few for the digits each time that the response is centred
  expect_lte(fit$certificate$evaluations, 5L + 3L * 8L + 3L)
})

test_that("an optimum at which residuals are a tiny share of heavy rows is found", {
  d <- data.frame(
    y = c(
      0.90466, 6.4781, 7.5497, 52.697, 1.8094, 6.7121, 38.803, 73.18, 3.3891, 4.0829, 5.5823,
      2.7839, 3.2615
    ),
    x = c(
      9.4874, 11.019, 9.5676, 9.3207, 8.6125, 10.621, 11.193, 11.289, 9.8714, 10.892, 10.722,
      10.833, 9.9142
    ),
    f = c("b", "b", "a", "a", "b", "a", "b", "a", "b", "a", "a", "b", "a"),
    g = c(1:4, 1:4, 1:4, 1), h = c(2, 6, 8, 12, 3, 4, 7, 10, 1, 5, 9, 11, 1),
    w = c(
      0.000342, 29.7, 0.29, 223000, 0.00578, 14800000, 253000, 636, 0.000201, 147, 64900, 0.269,
      2.31e-06
    )
  )
  fit <- suppressMessages(lmm(y ~ x + f + (x || g) + (1 | h), d, weights = w))
  # the best of 20 starts of a dense criterion, data with more digits: 96.20185; lme4's: 98.02267
  expect_lt(fit$criterion, 96.2019)
  expect_gt(fit$criterion, 96.1)
  again <- suppressWarnings(
    suppressMessages(lmm(y ~ x + f + (x || g) + (1 | h), d, weights = w, start = c(10, 10, 10))),
    classes = "ferrolmm_warning_convergence"
  )
  expect_equal(fit$criterion, again$criterion, tolerance = 1e-5)
})

test_that("a residual variance of zero is reason to look for other optima", {
  d <- data.frame(
    g = c(
      7, 6, 4, 7, 6, 9, 6, 9, 9, 7, 3, 9, 6, 10, 10, 7, 1, 3, 6, 5, 4, 9,
      10, 2, 6, 2, 1, 4, 8, 5, 5, 1, 3, 5, 5, 9, 2, 10, 7, 1, 4, 3, 4, 8,
      4, 8, 10, 1, 3, 8, 2, 7, 2, 10, 2, 3, 5, 1
    ),
    t = factor(
      c(
        5, 1, 5, 2, 5, 1, 2, 3, 4, 3, 3, 6, 3, 5, 4, 4, 5, 5, 6, 6, 2, 2,
        6, 1, 4, 3, 1, 1, 2, 5, 1, 2, 1, 2, 4, 5, 6, 3, 6, 3, 3, 6, 4, 3,
        6, 1, 2, 6, 4, 5, 4, 1, 2, 1, 5, 2, 3, 4
      )
    ),
    y = c(
      -2.36, 0.92, 2.76, -0.137, 3.27, 2.54, -1.01, 3.29, -1.85, -2.31, -0.988, -0.368,
      0.89, -3.53, 0.995, 2.49, 1.8, 1.19, -2.84, 2.07, -3.12, -1.57, 2.59, 4.03,
      0.831, 1.89, 2.01, 1.56, 1.02, 0.701, -1.36, 3.13, 3.36, 2.29, 2.42, 2.26,
      -2.89, -1.07, 0.992, -1.74, 2.97, -1.69, 3.24, 0.696, -1.45, -0.504, 1.55, 2.06,
      1.78, -1.22, 0.129, -1.96, -0.465, -2.35, 3.82, -0.471, -1.4, -3.74
    )
  )
  # three walks agree on 241.197, without residuals; a dense criterion's best of 20 starts, data
  # with more digits: 229.345
  fit <- suppressMessages(lmm(y ~ 1 + hetar1(0 + t | g), d))
  expect_lt(fit$criterion, 229.36)
  # and in another order of levels
  d$g <- 11 - d$g
  again <- suppressMessages(lmm(y ~ 1 + hetar1(0 + t | g), d[rev(seq_len(nrow(d))), ]))
  expect_equal(again$criterion, fit$criterion, tolerance = 1e-6)
})

test_that("structured effects are looked for at any correlation", {
  # in such units 25 walks from a few correlations agree on no effects at all, 23 above the optimum
  unit <- 1e-8
  d <- data.frame(
    y = c(
      0.33694, 1.6478, -3.9925, -1.4729, -6.119, 1.7759, -1.8817, -1.0947, 0.14449, 4.8411, -1.9014,
      0.36684, -0.58278, -2.1394, 2.2794, 0.11242, -0.99943, 0.80512, 1.1713, -0.44544, 3.3051,
      -0.7899, -2.1857, -2.1675, 3.5221, -1.2689, -2.9274
    ),
    x = c(
      0.7844, -0.98758, -2.5792, -0.70952, -0.88701, 1.4461, 0.56844, 1.3556, 0.054298, 1.373,
      1.1769, 0.26306, 0.65907, -1.5037, -0.086235, -1.184, 0.53532, -1.1463, -0.61726, 1.9392,
      -0.9282, -0.034675, 0.10694, -0.89325, 1.9296, -0.071492, 2.0176
    ) * unit,
    g = factor(c(
      5, 4, 8, 7, 5, 8, 6, 1, 3, 5, 1, 6, 6, 8, 1, 7, 1, 7, 7, 7, 2, 1, 6, 8, 8, 6, 2
    )),
    w = c(1, 1, 1, 1, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 2, 2)
  )
  K <- diag(c(1.881, 1.296, 1.106, 1.652, 1.152, 1.982, 1.153, 0.645)) / 2
  K[upper.tri(K)] <- c(
    0.212, -0.324, 0.702, 0.515, -0.238, -0.378, -0.36, -0.137, 0.465, 0.096, -0.295, 0.711, 0.302,
    -0.152, -0.48, -0.377, 0.029, 0.1, -0.279, 0.102, 0.347, 0.017, 0.124, -0.114, 0.067, -0.256,
    0.53, 0.09
  )
  K <- K + t(K)
  dimnames(K) <- list(1:8, 1:8)
  fit <- suppressMessages(
    lmm(y ~ I(x^2) + cs(x | g, cov = K), d, REML = FALSE, weights = w)
  )
  Z <- cbind(1, d$x / unit)
  X <- cbind(1, Z[, 2]^2)
  at <- function(par) {
    sd <- par[1:2]
    G <- outer(sd, sd) * matrix(c(1, par[3], par[3], 1), 2)
    V <- diag(1 / d$w) + K[d$g, d$g] * Z %*% G %*% t(Z)
    R <- chol(V)
    half <- backsolve(R, cbind(X, d$y), transpose = TRUE)
    n <- nrow(d)
    2 * sum(log(diag(R))) + n * (1 + log(2 * pi * sum(qr.resid(qr(half[, 1:2]), half[, 3])^2) / n))
  }
  low <- stats::nlminb(c(1, 2, -0.9), at, lower = c(0, 0, -1), upper = c(9, 9, 1))$objective
  expect_lte(fit$criterion, low + 1e-6 * abs(low))
})

test_that("a number of starts holds where only residuals have parameters", {
  set.seed(77)
  d <- data.frame(
    y = rt(12, 1.5), v = rexp(12) + .1, g = gl(3, 4), t = rep(1:4, 3), f = factor(rep(1:2, 6)),
    x = rnorm(12)
  )
  starts_of <- function(...) suppressWarnings(lmm(y ~ x, d, ...))$certificate$starts
  control <- lmm_control(starts = 7)
  expect_identical(starts_of(residual = ~ ar1(t | g), control = control), 7L)
  expect_identical(starts_of(weights = nlme::varPower(form = ~v), control = control), 7L)
  expect_identical(
    starts_of(
      correlation = nlme::corAR1(form = ~ t | g), weights = nlme::varExp(form = ~v),
      control = control
    ), 7L
  )
  # all parameters of the random effects held
  held <- suppressWarnings(lmm(
    y ~ x + (1 | f), d, residual = ~ ar1(t | g),
    control = lmm_control(starts = 7, hold = c("f.(Intercept)" = 0.4))
  ))
  expect_identical(held$certificate$starts, 7L)
  # nothing to search
  expect_identical(starts_of(weights = nlme::varFixed(~v), control = control), 1L)
  expect_error(lmm_control(starts = 2, solver = "iterative"), class = "ferrolmm_error_argument")

  # walks from other powers come to a lower optimum than those from the first
  two_powers <- nlme::varPower(form = ~ v | f)
  one <- lmm(y ~ x, d, weights = two_powers, control = lmm_control(starts = 1))
  many <- lmm(y ~ x, d, weights = two_powers, control = lmm_control(starts = 60))
  expect_lt(many$criterion, one$criterion - 0.03)
  expect_lt(many$certificate$agree, 60L)
  X <- cbind(1, d$x)
  dense <- function(power) {
    s <- d$v^power[d$f]
    fit <- stats::lm.fit(X / s, d$y / s)
    2 * sum(log(s)) + 10 * (1 + log(2 * pi * sum(fit$residuals^2) / 10)) +
      2 * sum(log(abs(diag(qr.R(fit$qr)))))
  }
  expect_equal(dense(many$phi), many$criterion, tolerance = 1e-10)
  expect_equal(dense(one$phi), one$criterion, tolerance = 1e-10)
  low <- min(vapply(seq(-3, 3, 0.5), function(first) {
    stats::optim(c(first, 0), dense, method = "BFGS")$value
  }, 0))
  expect_lte(many$criterion, low + 1e-6 * abs(low))
})

test_that("a likelihood without bound at a singular R does not hide an optimum", {
  set.seed(20)
  d <- expand.grid(visit = factor(1:5), g = factor(1:8))[-c(3, 11, 19, 26, 33, 38), ]
  d$y <- rt(34, 2)
  fits <- lapply(c(1, 40), function(starts) {
    suppressWarnings(
      lmm(y ~ 1, d, residual = ~ toep(visit | g), control = lmm_control(starts = starts))
    )
  })
  expect_identical(fits[[1L]]$certificate$status, "converged")
  expect_identical(fits[[2L]]$certificate$status, "converged")
})
