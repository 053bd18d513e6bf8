# Random effects many orders of magnitude larger than residuals: balanced data have closed forms,
# here at the parameters of the fit itself, so that where the optimiser stops makes no difference.

relative <- function(x, y) max(abs(x - y) / abs(y))

test_that("one factor keeps its digits up to theta 1e8", {
  for (scale in 10^(3:8)) {
    set.seed(1)
    J <- 12
    n <- 5
    d <- data.frame(g = gl(J, n))
    d$y <- 3 + scale * rnorm(J)[d$g] + rnorm(J * n)
    fit <- lmm(y ~ 1 + (1 | g), d)
    theta <- fit$theta
    means <- tapply(d$y, d$g, mean)
    expect_gt(theta, 0.5 * scale)
    se <- sigma(fit) * sqrt((1 + n * theta^2) / (J * n))
    for (ddf in c("Satterthwaite", "Kenward-Roger")) {
      found <- summary(fit, ddf = ddf)$coefficients
      expect_lt(relative(found[, "Std. Error"], se), 1e-10)
      expect_lt(relative(found[, "df"], J - 1), 1e-10)
    }
    shrunken <- n * theta^2 / (1 + n * theta^2) * (means - mean(means))
    effects <- ranef(fit, condVar = TRUE)$g
    expect_lt(max(abs(effects[[1]] - shrunken)), 1e-12 * max(abs(shrunken)))
    variances <- as.numeric(attr(effects, "postVar"))
    expect_lt(relative(variances, sigma(fit)^2 * theta^2 / (1 + n * theta^2)), 1e-10)
    new <- predict(fit, data.frame(g = d$g[1]), se.fit = TRUE)
    expect_equal(new$fit[[1]], mean(means) + shrunken[[1]], tolerance = 1e-12)
  }
})

test_that("a slope that varies keeps its digits too", {
  for (scale in 10^c(3, 5, 7, 8)) {
    set.seed(2)
    J <- 12
    x <- c(-1.3, -0.4, 0.2, 0.9, 2.1)
    d <- data.frame(g = gl(J, 5), x = rep(x, J))
    u <- scale * matrix(rnorm(2 * J), J)
    d$y <- 3 + d$x + u[cbind(d$g, 1)] + u[cbind(d$g, 2)] * d$x + rnorm(5 * J)
    fit <- lmm(y ~ x + (x | g), d)
    # Var(beta) = (sigma^2 (X'X)^-1 + G) / J, all levels having the same X
    right <- (sigma(fit)^2 * solve(crossprod(cbind(1, x))) + VarCorr(fit)$g[1:2, 1:2]) / J
    expect_lt(relative(as.matrix(vcov(fit)), right), 1e-9)
    for (ddf in c("Satterthwaite", "Kenward-Roger")) {
      found <- summary(fit, ddf = ddf)$coefficients
      expect_lt(relative(found[, "df"], J - 1), 1e-10)
    }
    # the mean of the levels' coefficients is that of J bivariate normal vectors: Hotelling's F
    joint <- contest(fit, diag(2), ddf = "Kenward-Roger")
    expect_lt(relative(joint$DenDF, J - 2), 1e-8)
  }
})

test_that("of a nested factor the outer one may be small", {
  set.seed(3)
  d <- expand.grid(k = 1:3, b = 1:4, a = gl(8, 1))
  d$ab <- interaction(d$a, d$b)
  d$y <- 1e5 * rnorm(32)[d$ab] + 3 * rnorm(8)[d$a] + rnorm(96)
  fit <- lmm(y ~ 1 + (1 | ab), d)
  found <- summary(fit)$coefficients
  expect_lt(
    relative(found[, "Std. Error"], sigma(fit) * sqrt((1 + 3 * fit$theta^2) / 96)), 1e-10
  )
})

# REML criterion of balanced data from the eigenvalues of V / sigma^2 and their sums of squares
criterion <- function(values, times, squares, of_mean, n) {
  q <- sum(squares / values)
  sum(times * log(values)) + log(of_mean) + log(n / of_mean) +
    (n - 1) * (1 + log(2 * pi * q / (n - 1)))
}

# Variances of intercepts over sigma^2, by grouping factor
ratios <- function(fit) {
  variances <- as.data.frame(VarCorr(fit))
  setNames(variances$vcov, variances$grp)[names(ngrps(fit))] / sigma(fit)^2
}

# (Z'Z + G^-1)^-1 of an outer effect over sigma^2: 1 / (1 / a + B / (b + 1 / n)), variances a and b
outer_variance <- function(B, n, ratio) {
  1 / (1 / ratio[["a"]] + B / (ratio[["ab"]] + 1 / n))
}

test_that("a nested and the outer factor may both be large", {
  A <- 8
  B <- 4
  n <- 3
  N <- A * B * n
  for (scale in 10^(3:8)) {
    set.seed(3)
    d <- expand.grid(k = 1:n, b = 1:B, a = gl(A, 1))
    d$ab <- interaction(d$a, d$b)
    d$y <- scale * rnorm(A * B)[d$ab] + scale * rnorm(A)[d$a] + rnorm(N)
    fit <- expect_no_warning(lmm(y ~ 1 + (1 | a) + (1 | ab), d))
    ratio <- ratios(fit)
    expect_gt(min(ratio), 0.01 * scale^2)
    inner <- 1 + n * ratio[["ab"]]
    outer <- inner + n * B * ratio[["a"]]
    of_a <- ave(d$y, d$a)
    of_ab <- ave(d$y, d$ab)
    squares <- c(
      sum((d$y - of_ab)^2), sum((of_ab - of_a)^2), sum((of_a - mean(d$y))^2)
    )
    right <- criterion(
      c(1, inner, outer), c(N - A * B, A * (B - 1), A - 1), squares, outer, N
    )
    expect_lt(relative(-2 * as.numeric(logLik(fit)), right), 1e-9)
    # REML of balanced data: the mean square within
    expect_lt(relative(sigma(fit)^2, squares[1] / (N - A * B)), 1e-12)
    for (ddf in c("Satterthwaite", "Kenward-Roger")) {
      found <- summary(fit, ddf = ddf)$coefficients
      expect_lt(relative(found[, "Std. Error"], sigma(fit) * sqrt(outer / N)), 1e-10)
      expect_lt(relative(found[, "df"], A - 1), 1e-10)
    }
    inside <- outer_variance(B, n, ratio) * sigma(fit)^2
    found <- as.numeric(attr(ranef(fit, condVar = TRUE)$a, "postVar"))
    expect_lt(relative(found, inside), 1e-8)
  }
})

test_that("crossed factors may both be large", {
  A <- 7
  B <- 5
  n <- 3
  N <- A * B * n
  for (scale in 10^(3:8)) {
    set.seed(4)
    d <- expand.grid(k = 1:n, b = gl(B, 1), a = gl(A, 1))
    d$y <- scale * rnorm(A)[d$a] + scale * rnorm(B)[d$b] + rnorm(N)
    fit <- expect_no_warning(lmm(y ~ 1 + (1 | a) + (1 | b), d))
    ratio <- ratios(fit)
    of_a <- 1 + n * B * ratio[["a"]]
    of_b <- 1 + n * A * ratio[["b"]]
    of_mean <- of_a + of_b - 1
    effect <- function(f) ave(d$y, f) - mean(d$y)
    squares <- c(
      sum((d$y - mean(d$y) - effect(d$a) - effect(d$b))^2), sum(effect(d$a)^2), sum(effect(d$b)^2)
    )
    left <- N - A - B + 1
    right <- criterion(c(1, of_a, of_b), c(left, A - 1, B - 1), squares, of_mean, N)
    expect_lt(relative(-2 * as.numeric(logLik(fit)), right), 1e-9)
    # the variance of the mean is a sum of mean squares: Satterthwaite (1946)
    df <- of_mean^2 / (of_a^2 / (A - 1) + of_b^2 / (B - 1) + 1 / left)
    for (ddf in c("Satterthwaite", "Kenward-Roger")) {
      found <- summary(fit, ddf = ddf)$coefficients
      expect_lt(relative(found[, "Std. Error"], sigma(fit) * sqrt(of_mean / N)), 1e-10)
      expect_lt(relative(found[, "df"], df), 1e-10)
    }
  }
})

# Intercept and effects of a factor nested in another, rows of an inner level with precision
# `inverse` (relative to sigma^2): all from sums of positive numbers, at variance ratios a and ab
nested_reference <- function(y, outer, inner, inverse, a, ab, reml = TRUE) {
  rows <- split(seq_along(y), inner)
  weight <- vapply(rows, function(i) sum(inverse[i, i]), 0)
  mean <- mapply(function(i, w) sum(inverse[i, i] %*% y[i]) / w, rows, weight)
  within <- mapply(function(i, m) sum((y[i] - m) * (inverse[i, i] %*% (y[i] - m))), rows, mean)
  parent <- outer[vapply(rows, `[`, 0L, 1L)]
  of_inner <- 1 / (1 / weight + ab)
  sums <- tapply(of_inner, parent, sum)
  means <- tapply(of_inner * mean, parent, sum) / sums
  of_outer <- 1 / (1 / sums + a)
  information <- sum(of_outer)
  beta <- sum(of_outer * means) / information
  q <- sum(within) + sum(of_inner * (mean - means[parent])^2) + sum(of_outer * (means - beta)^2)
  df <- length(y) - reml
  log_det <- -c(determinant(inverse)$modulus) + sum(log1p(ab * weight)) + sum(log1p(a * sums))
  list(
    criterion = log_det + reml * log(information) + df * (1 + log(2 * pi * q / df)),
    beta = beta, sigma = sqrt(q / df), se = sqrt(q / df / information)
  )
}

expect_reference <- function(fit, d, inverse, reml = TRUE) {
  ratio <- as.data.frame(VarCorr(fit))
  ratio <- setNames(ratio$vcov, ratio$grp)[c("a", "ab")] / sigma(fit)^2
  right <- nested_reference(d$y, d$a, d$ab, inverse, ratio[["a"]], ratio[["ab"]], reml)
  expect_lt(relative(-2 * as.numeric(logLik(fit)), right$criterion), 1e-11)
  expect_lt(relative(sigma(fit), right$sigma), 1e-9)
  expect_lt(relative(fixef(fit), right$beta), 1e-9)
  expect_lt(relative(sqrt(vcov(fit)[1, 1]), right$se), 1e-9)
  if (reml) {
    # the same from theta alone, as inference takes it
    found <- summary(fit, ddf = "Satterthwaite")$coefficients
    expect_lt(relative(found[, "Std. Error"], right$se), 1e-9)
  }
}

unbalanced <- function(scale) {
  set.seed(5)
  d <- expand.grid(k = 1:4, b = 1:4, a = gl(8, 1))
  d$ab <- interaction(d$a, d$b)
  d$y <- 3 + scale * rnorm(32)[d$ab] + scale * rnorm(8)[d$a]
  d$w <- exp(rnorm(128))
  d$s <- factor(1 + (d$k > 2))
  d$e <- rnorm(128)
  d
}

test_that("nested factors: weights, levels of all sizes, REML and ML", {
  for (scale in 10^(0:8)) {
    d <- unbalanced(scale)
    d$y <- d$y + d$e / sqrt(d$w)
    d <- droplevels(d[-c(2:4, 17, 18, 33, 40:48, 99), ])
    for (reml in c(TRUE, FALSE)) {
      fit <- expect_no_warning(lmm(y ~ 1 + (1 | a) + (1 | ab), d, weights = w, REML = reml))
      expect_reference(fit, d, diag(d$w), reml)
    }
  }
})

test_that("effects may be large beside residuals that have a structure", {
  for (scale in 10^c(0, 3, 5, 6, 7, 8)) {
    d <- unbalanced(scale)
    d$y <- d$y + d$e * c(1, 3)[d$s]
    fit <- expect_no_warning(
      lmm(y ~ 1 + (1 | a) + (1 | ab), d, weights = nlme::varIdent(form = ~ 1 | s))
    )
    expect_reference(fit, d, diag(1 / c(1, fit$phi)[d$s]^2))
  }
  for (scale in 10^c(0, 3, 5, 6, 7, 8)) {
    d <- unbalanced(scale)
    correlation <- 0.5^abs(outer(1:4, 1:4, "-"))
    d$y <- d$y + c(crossprod(chol(correlation), matrix(d$e, 4)))
    fit <- expect_no_warning(
      lmm(y ~ 1 + (1 | a) + (1 | ab), d, correlation = nlme::corAR1(form = ~ k | ab))
    )
    inverse <- solve(fit$phi^abs(outer(1:4, 1:4, "-")))
    expect_reference(fit, d, kronecker(diag(32), inverse))
  }
})

test_that("levels with fewer rows than effects keep their digits", {
  for (scale in 10^c(1, 4, 6, 8)) {
    set.seed(6)
    d <- data.frame(g = factor(rep(1:12, c(rep(1, 4), rep(5, 8)))), x = rnorm(44))
    u <- scale * matrix(rnorm(24), 12)
    d$y <- 3 + d$x + u[cbind(d$g, 1)] + u[cbind(d$g, 2)] * d$x + rnorm(44)
    fit <- expect_no_warning(lmm(y ~ x + (x | g), d))
    G <- VarCorr(fit)$g[1:2, 1:2] / sigma(fit)^2
    information <- 0
    for (i in split(seq_len(nrow(d)), d$g)) {
      x <- cbind(1, d$x[i])
      # X'(X G X' + I)^-1 X
      information <- information + if (length(i) == 1L) {
        crossprod(x) / (1 + c(x %*% G %*% t(x)))
      } else {
        solve(G + solve(crossprod(x)))
      }
    }
    right <- sigma(fit)^2 * solve(information)
    expect_lt(relative(as.matrix(vcov(fit)), right), 1e-8)
    found <- summary(fit, ddf = "Kenward-Roger")$coefficients
    expect_true(all(found[, "df"] > 4 & found[, "df"] < 12))
  }
})

test_that("predictions at large effects have the variance of their level's mean", {
  for (scale in 10^c(4, 8)) {
    set.seed(7)
    d <- expand.grid(k = 1:3, b = 1:4, a = gl(8, 1))
    d$ab <- interaction(d$a, d$b)
    d$y <- scale * rnorm(32)[d$ab] + scale * rnorm(8)[d$a] + rnorm(96)
    fit <- lmm(y ~ 1 + (1 | a) + (1 | ab), d)
    # effects so large are as good as fixed
    found <- predict(fit, d[c(1, 50), ], se.fit = TRUE)$se.fit
    expect_lt(relative(found, sigma(fit) / sqrt(3)), 100 / scale^2 + 1e-9)
  }
})

test_that("digits that a large model loses are told", {
  fit <- lmm(Reaction ~ Days + (Days | Subject), lme4::sleepstudy)
  expect_lt(fit$certificate$rounding, 1e-12)
  expect_no_warning(warn_rounding(fit$certificate$rounding))
  expect_warning(warn_rounding(1e-4), "about 4 digits", class = "ferrolmm_warning_digits")
  expect_warning(warn_rounding(2), "no digit", class = "ferrolmm_warning_digits")
})

test_that("known matrices keep their digits: one factor with equal covariances", {
  for (scale in 10^c(0:8)) {
    set.seed(8)
    J <- 12
    n <- 5
    N <- J * n
    d <- data.frame(g = gl(J, n))
    d$y <- 3 + scale * (rnorm(J)[d$g] + rnorm(1)) + rnorm(N)
    K <- diag(J) + 0.5
    dimnames(K) <- list(levels(d$g), levels(d$g))
    within <- sum((d$y - ave(d$y, d$g))^2) / (N - J)
    between <- sum((ave(d$y, d$g) - mean(d$y))^2) / (J - 1)
    # what is equal goes into the intercept: the optimum is that of independent levels
    theta <- sqrt((between / within - 1) / n)
    variance <- between * (1 / N + 0.5 / n) - within * 0.5 / n
    spread <- (between * (1 / N + 0.5 / n))^2 / (J - 1) + (within * 0.5 / n)^2 / (N - J)
    for (fit in list(
      lmm(y ~ 1 + us(1 | g, cov = K), d), lmm(y ~ 1 + us(1 | g, prec = solve(K)), d)
    )) {
      tolerance <- if (scale < 1e3) 1e-6 else 1e-9
      expect_lt(relative(fit$theta, theta), tolerance)
      expect_lt(relative(sigma(fit)^2, within), tolerance)
      for (ddf in c("Satterthwaite", "Kenward-Roger")) {
        found <- summary(fit, ddf = ddf)$coefficients
        expect_lt(relative(found[, "Std. Error"], sqrt(variance)), tolerance)
        expect_lt(relative(found[, "df"], variance^2 / spread), tolerance)
      }
    }
  }
})

test_that("known matrices keep their digits: a nested factor in the matrix", {
  for (scale in 10^c(0, 3, 5, 6, 7, 8)) {
    d <- unbalanced(scale)
    d$y <- d$y + d$e / sqrt(d$w)
    # effects of a are those that the levels of ab within it share
    of_a <- tapply(as.integer(d$a), d$ab, `[`, 1L)
    K <- 0.5 * outer(of_a, of_a, "==") + diag(32)
    dimnames(K) <- list(levels(d$ab), levels(d$ab))
    for (reml in c(TRUE, FALSE)) {
      fit <- expect_no_warning(
        lmm(y ~ 1 + us(1 | ab, cov = K), d, weights = w, REML = reml)
      )
      right <- nested_reference(
        d$y, d$a, d$ab, diag(d$w), 0.5 * fit$theta^2, fit$theta^2, reml
      )
      expect_lt(relative(-2 * as.numeric(logLik(fit)), right$criterion), 1e-11)
      expect_lt(relative(sigma(fit), right$sigma), 1e-9)
      expect_lt(relative(fixef(fit), right$beta), 1e-9)
      expect_lt(relative(sqrt(vcov(fit)[1, 1]), right$se), 1e-9)
    }
  }
})

test_that("deletions keep their digits", {
  check <- function(fit, d, inverse, groups, share = NULL) {
    for (update in c("none", "one-step", "exact")) {
      found <- influence(fit, groups = groups, update = update)
      for (i in c(2, 7)) {
        gone <- if (is.null(groups)) i else which(as.integer(d[[groups]]) == i)
        theta <- found$theta[i, ]
        ratio <- if (is.null(share)) rev(theta^2) else c(share, 1) * theta^2
        left <- droplevels(d[-gone, ])
        right <- nested_reference(
          left$y, left$a, left$ab, inverse[-gone, -gone], ratio[[1]], ratio[[2]]
        )
        expect_lt(relative(found$criterion[[i]], right$criterion), 1e-11)
        expect_lt(relative(found$sigma[[i]], right$sigma), 1e-9)
        expect_lt(relative(found$coefficients[i, ], right$beta), 1e-9)
        se <- found$sigma[[i]] * sqrt(found$vcov_unscaled[1, 1, i])
        expect_lt(relative(se, right$se), 1e-9)
      }
    }
  }
  for (scale in 10^c(0, 4, 6, 8)) {
    d <- unbalanced(scale)
    d$y <- d$y + d$e / sqrt(d$w)
    fit <- lmm(y ~ 1 + (1 | a) + (1 | ab), d, weights = w)
    check(fit, d, diag(d$w), NULL)
    check(fit, d, diag(d$w), "ab")
    of_a <- tapply(as.integer(d$a), d$ab, `[`, 1L)
    K <- 0.5 * outer(of_a, of_a, "==") + diag(32)
    dimnames(K) <- list(levels(d$ab), levels(d$ab))
    fit <- lmm(y ~ 1 + us(1 | ab, cov = K), d, weights = w)
    check(fit, d, diag(d$w), NULL, share = 0.5)
    check(fit, d, diag(d$w), "ab", share = 0.5)
  }
  for (scale in 10^c(0, 4, 8)) {
    d <- unbalanced(scale)
    d$y <- d$y + d$e * c(1, 3)[d$s]
    fit <- lmm(y ~ 1 + (1 | a) + (1 | ab), d, weights = nlme::varIdent(form = ~ 1 | s))
    found <- influence(fit, groups = "ab", update = "none")
    gone <- which(as.integer(d$ab) == 3)
    left <- droplevels(d[-gone, ])
    ratio <- rev(fit$theta^2)
    right <- nested_reference(
      left$y, left$a, left$ab, diag(1 / c(1, fit$phi)[left$s]^2), ratio[[1]], ratio[[2]]
    )
    expect_lt(relative(found$criterion[[3]], right$criterion), 1e-11)
    expect_lt(relative(found$coefficients[3, ], right$beta), 1e-9)
  }
})

test_that("weights over twenty orders of magnitude keep their digits", {
  for (scale in 10^c(0, 2, 4)) {
    d <- unbalanced(scale)
    heavy <- sample(128, 32)
    d$w[heavy] <- 10^runif(32, -10, 10)
    d$y <- d$y + d$e / sqrt(d$w)
    for (reml in c(TRUE, FALSE)) {
      fit <- suppressMessages(lmm(y ~ 1 + (1 | a) + (1 | ab), d, weights = w, REML = reml))
      ratio <- rev(fit$theta^2)
      right <- nested_reference(d$y, d$a, d$ab, diag(d$w), ratio[[1]], ratio[[2]], reml)
      expect_lt(relative(-2 * as.numeric(logLik(fit)), right$criterion), 1e-10)
      expect_lt(relative(sigma(fit), right$sigma), 1e-8)
      expect_lt(relative(sqrt(vcov(fit)[1, 1]), right$se), 1e-8)
    }
  }
})

# Criterion, sigma and standard error of y ~ x with one random effect a level, whose column is z:
# rotations take each level's z into one row, of variance 1 + z'z
single_effect <- function(d, z) {
  turned <- lapply(split(seq_len(nrow(d)), d$g), function(i) {
    own <- sqrt(d$w[i]) * z[i]
    rows <- crossprod(qr.Q(qr(own), complete = TRUE), sqrt(d$w[i]) * cbind(1, d$x, d$y)[i, ])
    rows[1, ] <- rows[1, ] / sqrt(1 + sum(own^2))
    list(rows = rows, log_det = log1p(sum(own^2)))
  })
  rows <- do.call(rbind, lapply(turned, `[[`, "rows"))
  least <- qr(rows[, 1:2])
  df <- nrow(d) - 2
  q <- sum(qr.resid(least, rows[, 3])^2)
  log_det <- sum(vapply(turned, `[[`, 0, "log_det")) - sum(log(d$w)) +
    2 * sum(log(abs(diag(qr.R(least)))))
  list(
    criterion = log_det + df * (1 + log(2 * pi * q / df)), sigma = sqrt(q / df),
    se = sqrt(q / df * diag(chol2inv(qr.R(least))))
  )
}

test_that("covariance matrices of lower rank keep their digits at large effects", {
  for (scale in 10^c(0, 2, 4, 6)) {
    for (heavy in c(FALSE, TRUE)) {
      set.seed(9)
      d <- data.frame(g = gl(12, 5), x = rnorm(60), w = 1)
      if (heavy) d$w[sample(60, 8)] <- 10^runif(8, -4, 4)
      z <- scale * (1 + 0.4 * d$x)
      d$y <- 3 + d$x + rnorm(12)[d$g] * z + rnorm(60) / sqrt(d$w)
      fit <- suppressMessages(suppressWarnings(
        lmm(
          y ~ x + (x | g), d, weights = w, start = scale * c(1, 0.4, 0),
          control = lmm_control(max_evaluations = 1L, starts = 1L)
        ),
        classes = "ferrolmm_warning_convergence"
      ))
      expect_equal(unname(fit$theta), scale * c(1, 0.4, 0))
      right <- single_effect(d, z)
      expect_lt(relative(-2 * as.numeric(logLik(fit)), right$criterion), 1e-9)
      expect_lt(relative(sigma(fit), right$sigma), 1e-7)
      expect_lt(relative(sqrt(diag(as.matrix(vcov(fit)))), right$se), 1e-7)
    }
  }
})

test_that("what follows a fit stands where effects cannot be taken out of the response", {
  # Weights over twenty orders of magnitude, an intercept and a slope that are one: about the centre
  # that was found for `k` nothing of the residuals is left.
  set.seed(386)
  n <- 20
  d <- data.frame(
    k = factor(sample(3, n, TRUE)), g = factor(rep_len(1:9, n)), l = runif(n) < 0.4,
    x = rnorm(n), w = signif(10^runif(n, -10, 10), 2)
  )
  d$y <- round(1000 * rnorm(n))
  fit <- suppressMessages(suppressWarnings(lmm(y ~ x + (l | g) + (1 | k), d, weights = w)))

  # independent: the augmented least-squares problem, rows by size, which makes Householder's QR
  # stable row by row (Cox and Higham 1998)
  Z <- as.matrix(getME(fit, "Z")) %*% as.matrix(getME(fit, "Lambda"))
  X <- getME(fit, "X")
  A <- rbind(sqrt(d$w) * cbind(Z, X), cbind(diag(ncol(Z)), matrix(0, ncol(Z), ncol(X))))
  by_size <- order(-apply(abs(A), 1, max))
  Q <- qr.Q(qr(A[by_size, ], LAPACK = TRUE))
  leverage <- rowSums(Q^2)[order(by_size)][1:n]

  expect_equal(unname(hatvalues(fit)), leverage, tolerance = 1e-8)
  se <- predict(fit, se.fit = TRUE)$se.fit
  expect_equal(unname(se), sigma(fit) * sqrt(leverage / d$w), tolerance = 1e-8)
})

# Leverages and what deletions change, from the rows left: the row's prediction and its error
# variance by them, which cancel nowhere; NaN where they leave the row's effects undetermined
from_the_others <- function(fit, d) {
  Z <- as.matrix(getME(fit, "Z")) %*% as.matrix(getME(fit, "Lambda"))
  X <- getME(fit, "X")
  rows <- cbind(Z, X)
  A <- rbind(sqrt(d$w) * rows, cbind(diag(ncol(Z)), matrix(0, ncol(Z), ncol(X))))
  b <- c(sqrt(d$w) * d$y, numeric(ncol(Z)))
  fixed <- ncol(Z) + seq_len(ncol(X))
  least <- function(keep) {
    by_size <- keep[order(-apply(abs(A[keep, ]), 1, max))]
    decomposed <- qr(A[by_size, ], LAPACK = TRUE)
    list(
      R = qr.R(decomposed), pivot = decomposed$pivot, solution = qr.coef(decomposed, b[by_size])
    )
  }
  all <- seq_len(nrow(A))
  t(vapply(seq_along(d$y), function(i) {
    rest <- least(setdiff(all, i))
    half <- backsolve(rest$R, rows[i, rest$pivot], transpose = TRUE)
    gain <- numeric(ncol(A))
    gain[rest$pivot] <- backsolve(rest$R, half)
    total <- 1 / d$w[i] + sum(half^2)
    residual <- d$y[i] - sum(rows[i, ] * rest$solution)
    known <- min(abs(diag(rest$R))) > 1e-12 * max(abs(diag(rest$R)[rest$pivot %in% fixed]))
    c(
      hat = sum(half^2) / total, standard = residual / sqrt(total) / sigma(fit),
      change = residual / total * gain[fixed]
    ) * if (known) 1 else NaN
  }, double(2 + ncol(X))))
}

test_that("what follows from a row has its digits beside weights of any size", {
  formulas <- list(
    y ~ x + (1 | g), y ~ x + (1 | g) + (1 | k), y ~ x + (t | g), y ~ x + (l | g) + (1 | k),
    y ~ t + (t || g) + (1 | k)
  )
  for (seed in 1:15) {
    set.seed(seed)
    n <- 22
    d <- data.frame(
      k = factor(sample(4, n, TRUE)), g = factor(rep_len(1:8, n)), l = runif(n) < 0.4,
      x = rnorm(n), t = runif(n, 1, 3), w = signif(10^runif(n, -10, 10), 2)
    )
    d$y <- round(30 * rnorm(8)[d$g] + 30 * rnorm(4)[d$k] + 100 * rnorm(n), 3)
    formula <- formulas[[seed %% length(formulas) + 1]]
    fit <- suppressMessages(suppressWarnings(lmm(formula, d, weights = w)))
    right <- from_the_others(fit, d)
    known <- !is.nan(right[, "hat"])
    expect_gt(sum(known), n / 2)
    right <- right[known, ]
    hat <- unname(hatvalues(fit))
    expect_true(all(hat <= 1))
    expect_equal(hat[known], right[, "hat"], tolerance = 1e-8)
    expect_equal(unname(rstandard(fit))[known], right[, "standard"], tolerance = 1e-7)
    change <- right[, -(1:2)]
    expect_equal(unname(dfbeta(fit))[known, ], unname(change), tolerance = 1e-7)
    distance <- rowSums((change %*% solve(vcov(fit))) * change) / ncol(change)
    expect_equal(unname(cooks.distance(fit))[known], distance, tolerance = 1e-6)
    se <- unname(predict(fit, se.fit = TRUE)$se.fit)[known]
    expect_equal(se, sigma(fit) * sqrt(right[, "hat"] / d$w[known]), tolerance = 1e-8)
  }
})

# Groups that differ by `scale` residual standard deviations, x between and w within them
large_groups <- function(scale) {
  set.seed(3)
  d <- data.frame(g = gl(20, 6))
  d$x <- rnorm(20)[d$g]
  d$w <- rnorm(120)
  d$y <- 5 + 3 * d$x + scale * rnorm(20)[d$g] + rnorm(120)
  d
}

test_that("residuals of compound symmetry are a random intercept", {
  for (scale in 10^(0:4)) {
    d <- large_groups(scale)
    fit <- expect_no_warning(lmm(y ~ x, d, residual = ~ cs(1 | g)))
    intercept <- lmm(y ~ x + (1 | g), d)
    expect_equal(as.numeric(logLik(fit)), as.numeric(logLik(intercept)), tolerance = 1e-10)
    expect_equal(vcov(fit), vcov(intercept), tolerance = 1e-6)
    # both are the share of the residual variance
    expect_equal((1 - fit$phi[[1]]) * (1 + intercept$theta[[1]]^2), 1, tolerance = 1e-6)
    for (ddf in c("Satterthwaite", "Kenward-Roger")) {
      found <- lapply(list(fit, intercept), function(fit) summary(fit, ddf = ddf)$coefficients)
      expect_equal(found[[1]], found[[2]], tolerance = 1e-6)
    }
  }
})

test_that("compound symmetry next to 1: means and deviations have their own degrees of freedom", {
  # of the means of 20 groups two coefficients are estimated, of 100 deviations one: with w
  # orthogonal to groups they are independent, and each has the degrees of freedom that are left
  for (scale in c(1e3, 1e4, 2e4, 4e4)) {
    d <- large_groups(scale)
    d$w <- d$w - ave(d$w, d$g)
    fit <- suppressWarnings(
      lmm(y ~ x + w, d, residual = ~ cs(1 | g)), classes = "ferrolmm_warning_digits"
    )
    left <- 1 - fit$phi[[1]]
    # rounding of phi, and that an optimum is one to 1e-5 of theta
    tolerance <- 1e-5 + 100 * .Machine$double.eps / left
    for (ddf in c("Satterthwaite", "Kenward-Roger")) {
      found <- summary(fit, ddf = ddf)$coefficients
      expect_lt(relative(found[, "df"], c(18, 18, 99)), tolerance)
    }
  }
})

test_that("that phi tells a correlation only in part is said", {
  expect_no_warning(fit <- lmm(y ~ x, large_groups(5e3), residual = ~ cs(1 | g)))
  expect_lt(fit$certificate$rounding_of_phi, 1e-8)
  for (scale in c(2e4, 4e4, 5e4)) {
    expect_warning(
      fit <- lmm(y ~ x, large_groups(scale), residual = ~ cs(1 | g)),
      "of what is left to it a number has only [67] digits", class = "ferrolmm_warning_digits"
    )
    # a double of the size of rho is the next one's neighbour at half an epsilon
    left <- 1 - fit$phi[[1]]
    expect_gt(fit$certificate$rounding_of_phi, 0.2 * .Machine$double.eps / left)
    expect_lt(fit$certificate$rounding_of_phi, 4 * .Machine$double.eps / left)
  }
  expect_warning(
    lmm(y ~ x, large_groups(1e6), residual = ~ cs(1 | g)),
    "a random effect has to stand for them", class = "ferrolmm_warning_convergence"
  )
})

test_that("compound symmetric effects have the degrees of freedom of two terms, also next to 1", {
  for (scale in 10^(1:5)) {
    set.seed(3)
    d <- expand.grid(k = 1:2, f = factor(1:3), g = factor(1:12))
    cell <- as.integer(interaction(d$g, d$f))
    d$y <- scale * rnorm(12)[d$g] + rnorm(36)[cell] + rnorm(72) + as.integer(d$f)
    one <- lmm(y ~ f + homcs(0 + f | g), d)
    two <- lmm(y ~ f + (1 | g) + (1 | g:f), d)
    for (ddf in c("Satterthwaite", "Kenward-Roger")) {
      found <- summary(one, ddf = ddf)$coefficients
      expected <- summary(two, ddf = ddf)$coefficients
      # what the two optima differ by
      expect_lt(relative(found[, "Std. Error"], expected[, "Std. Error"]), 1e-5)
      expect_lt(relative(found[, "df"], expected[, "df"]), 1e-4)
    }
  }
})
