# Degrees of freedom and adjusted covariances of fits at the boundary, by the formulas on dense
# matrices V (n x n) at the same parameters: nothing is kept from zero there.

boundary_data <- function(seed, decades) {
  set.seed(seed)
  d <- expand.grid(r = 1:5, g = factor(1:9))
  n <- nrow(d)
  d$h <- factor(sample(6, n, TRUE))
  d$x <- rnorm(n)
  d$z <- rnorm(n)
  d$w <- 10^(decades * (2 * runif(n) - 1))
  d$y <- 1 + d$x + rnorm(9)[d$g] * (seed %% 2) + rnorm(n) / sqrt(d$w)
  d
}

boundary_formulas <- list(
  y ~ x + (1 | g), y ~ x + (1 | g) + (1 | h), y ~ x + (1 + z | g), y ~ x + (1 + z || g),
  y ~ x + (1 + z | g) + (1 | h)
)

# The columns and groups of each term, and the entries of T that are parameters
boundary_terms <- function(k, d) {
  one <- cbind(rep(1, nrow(d)))
  slope <- cbind(1, d$z)
  of <- function(Z, group, free) list(Z = Z, same = outer(group, group, "=="), free = free)
  lower <- lower.tri(diag(2), TRUE)
  switch(k,
    list(of(one, d$g, TRUE)),
    list(of(one, d$g, TRUE), of(one, d$h, TRUE)),
    list(of(slope, d$g, lower)),
    list(of(slope, d$g, diag(2) == 1)),
    list(of(slope, d$g, lower), of(one, d$h, TRUE))
  )
}

# T of each term
boundary_factors <- function(theta, terms) {
  at <- 0L
  lapply(terms, function(term) {
    t <- matrix(0, ncol(term$Z), ncol(term$Z))
    t[term$free] <- theta[at + seq_len(sum(term$free))]
    at <<- at + sum(term$free)
    t
  })
}

spread_out <- function(term, g) (term$Z %*% g %*% t(term$Z)) * term$same

units_of <- function(term, free) {
  lapply(which(free), function(e) {
    unit <- matrix(0, ncol(term$Z), ncol(term$Z))
    unit[e] <- 1
    unit
  })
}

# Kenward & Roger (1997): parameters are the entries of each G and the residual variance
dense_adjusted <- function(terms, factors, free, w, X) {
  parts <- list()
  V <- diag(1 / w)
  for (t in seq_along(terms)) {
    units <- units_of(terms[[t]], free[[t]])
    parts <- c(parts, lapply(units, function(e) spread_out(terms[[t]], e + t(e))))
    V <- V + spread_out(terms[[t]], tcrossprod(factors[[t]]))
  }
  parts <- c(parts, list(diag(1 / w)))
  inverse <- solve(V)
  phi <- solve(crossprod(X, inverse %*% X))
  left <- lapply(parts, function(part) inverse %*% part)
  P <- lapply(left, function(a) -crossprod(X, a %*% inverse %*% X))
  s <- seq_along(parts)
  right <- inverse %*% X
  Q <- lapply(left, function(a) lapply(left, function(b) t(X) %*% a %*% b %*% right))
  information <- outer(s, s, Vectorize(function(i, j) {
    sum(left[[i]] * t(left[[j]])) - 2 * sum(diag(phi %*% Q[[i]][[j]])) +
      sum(diag(phi %*% P[[i]] %*% phi %*% P[[j]]))
  }))
  covariance <- 2 * solve(information)
  sum_of <- 0
  for (i in s) {
    for (j in s) sum_of <- sum_of + covariance[i, j] * (Q[[i]][[j]] - P[[i]] %*% phi %*% P[[j]])
  }
  phi + 2 * phi %*% sum_of %*% phi
}

# Satterthwaite's degrees of freedom of each coefficient, in theta and sigma^2; what has no slope is
# left out
dense_satterthwaite <- function(terms, factors, w, X, y, reml) {
  slopes <- list()
  bends <- list()
  owner <- integer()
  for (t in seq_along(terms)) {
    units <- units_of(terms[[t]], terms[[t]]$free)
    slopes <- c(slopes, lapply(units, function(e) {
      spread_out(terms[[t]], tcrossprod(e, factors[[t]]) + tcrossprod(factors[[t]], e))
    }))
    bends <- c(bends, units)
    owner <- c(owner, rep(t, length(units)))
  }
  V <- diag(1 / w)
  for (t in seq_along(terms)) V <- V + spread_out(terms[[t]], tcrossprod(factors[[t]]))
  inverse <- solve(V)
  phi <- solve(crossprod(X, inverse %*% X))
  P <- inverse - inverse %*% X %*% phi %*% crossprod(X, inverse)
  f <- length(y) - if (reml) ncol(X) else 0
  r <- P %*% y
  sigma2 <- sum(y * r) / f
  R <- if (reml) P else inverse
  m <- length(slopes)
  H <- diag(f / sigma2^2, m + 1)
  for (a in seq_len(m)) {
    for (b in seq_len(m)) {
      bend <- 0 * V
      if (owner[a] == owner[b]) {
        e <- tcrossprod(bends[[a]], bends[[b]])
        bend <- spread_out(terms[[owner[a]]], e + t(e))
      }
      H[a, b] <- sum(R * bend) - sum((R %*% slopes[[a]]) * t(R %*% slopes[[b]])) +
        sum(r * (2 * slopes[[a]] %*% P %*% slopes[[b]] - bend) %*% r) / sigma2
    }
    H[a, m + 1] <- H[m + 1, a] <- sum(r * slopes[[a]] %*% r) / sigma2^2
  }
  moves <- c(vapply(slopes, function(v) any(v != 0), TRUE), TRUE)
  A <- 2 * solve(H[moves, moves])
  half <- phi %*% crossprod(X, inverse)
  vapply(seq_len(ncol(X)), function(j) {
    g <- vapply(slopes, function(v) sigma2 * sum(half[j, ] * (v %*% half[j, ])), 0)
    g <- c(g, phi[j, j])[moves]
    2 * (sigma2 * phi[j, j])^2 / sum(g * (A %*% g))
  }, 0)
}

test_that("Kenward-Roger and Satterthwaite at the boundary are those of dense matrices", {
  singular <- 0L
  for (case in list(c(1, 0), c(2, 0), c(4, 0), c(2, 3), c(4, 3), c(4, 6), c(6, 6))) {
    d <- boundary_data(case[1L], case[2L])
    X <- cbind(1, d$x)
    for (k in seq_along(boundary_formulas)) {
      for (reml in c(TRUE, FALSE)) {
        fit <- suppressMessages(lmm(boundary_formulas[[k]], d, weights = w, REML = reml))
        if (!isSingular(fit)) {
          next
        }
        singular <- singular + 1L
        terms <- boundary_terms(k, d)
        factors <- boundary_factors(unname(getME(fit, "theta")), terms)
        df <- unname(coef(summary(fit, ddf = "Satterthwaite"))[, "df"])
        dense <- dense_satterthwaite(terms, factors, d$w, X, d$y, reml)
        expect_lt(max(abs(df / dense - 1)), 1e-7)
        if (reml) {
          free <- lapply(terms, function(term) term$free)
          adjusted <- dense_adjusted(terms, factors, free, d$w, X)
          found <- as.matrix(vcov(fit, adjusted = TRUE)) / sigma(fit)^2
          expect_lt(max(abs(unname(found) - adjusted)) / max(abs(adjusted)), 1e-8)
        }
      }
    }
  }
  expect_gt(singular, 30L)
})

test_that("structured effects without variance leave the degrees of freedom of a model without", {
  d <- boundary_data(16, 0)
  d$f <- factor(rep_len(1:3, nrow(d)))
  without <- coef(summary(lm(y ~ x, d)))
  for (word in c("homcs", "cs", "ar1")) {
    formula <- as.formula(paste0("y ~ x + (1 | h) + ", word, "(0 + f | g)"))
    fit <- suppressMessages(lmm(formula, d))
    theta <- getME(fit, "theta")
    expect_true(all(theta[!grepl("rho", names(theta))] == 0))
    found <- coef(summary(fit, ddf = "Satterthwaite"))
    expect_equal(unname(found[, "df"]), c(43, 43), tolerance = 1e-10)
    expect_equal(found[, "Std. Error"], without[, "Std. Error"], tolerance = 1e-10)
  }
})

same_group <- function(group) outer(group, group, "==") + 0

# Three effects of each level of g, another factor h, crossed or with g in it
structured_data <- function(seed, nested) {
  set.seed(seed)
  d <- expand.grid(r = 1:6, g = factor(1:9))
  n <- nrow(d)
  d$h <- factor(if (nested) (as.integer(d$g) + 2L) %/% 3L else sample(6, n, TRUE))
  d$f <- factor(rep_len(1:3, n))
  d$x <- rnorm(n)
  d$z <- rnorm(n)
  d$y <- 1 + d$x + 0.8 * rnorm(6)[d$h] + rnorm(n)
  d
}

# Both methods against the definitions, in natural parameters that none of which is at a boundary
expect_brute_ddf <- function(fit, d, variance, nu, reml, tolerance) {
  nu <- unname(nu)
  brute <- brute_structure_inference(brute_model(d$y, cbind(1, d$x), variance), nu, reml)
  near <- function(x, y) expect_equal(unname(x), unname(y), tolerance = tolerance)
  near(ddf_for(fit, "Satterthwaite")$single(diag(2)), apply(diag(2), 1, brute$satterthwaite))
  if (!reml) {
    return(invisible())
  }
  for (ddf in names(brute$variances)) {
    method <- ddf_for(fit, ddf)
    near(method$variance, brute$variances[[ddf]])
    wanted <- function(l) brute$kenward_roger(t(l), ddf)[["df"]]
    near(method$single(diag(2)), apply(diag(2), 1, wanted))
  }
}

test_that("what a structure has at zero is known: both methods are those of the model without it", {
  none <- some <- 0L
  for (seed in c(8:10, 13, 14, 21, 35)) {
    nested <- seed %% 7 == 0
    d <- structured_data(seed, nested)
    for (word in c("homcs", "cs", "ar1", "toep")) {
      formula <- as.formula(paste0("y ~ x + (1 | h) + ", word, "(0 + f | g)"))
      for (reml in c(TRUE, FALSE)) {
        fit <- suppressWarnings(suppressMessages(lmm(formula, d, REML = reml)))
        theta <- getME(fit, "theta")
        of_g <- startsWith(names(theta), "g") & !grepl("rho", names(theta))
        deviations <- theta[of_g] * sigma(fit)
        of_h <- theta[[grep("^h", names(theta))]] * sigma(fit)
        if (of_h < 0.1) {
          next
        }
        if (all(deviations == 0)) {
          none <- none + 1L
          variance <- function(nu) nu[1L] * same_group(d$h) + nu[2L] * diag(nrow(d))
          expect_brute_ddf(fit, d, variance, c(of_h^2, sigma(fit)^2), reml, 1e-6)
        } else if (word == "cs" && any(deviations == 0)) {
          rho <- theta[[grep("rho", names(theta))]]
          keep <- deviations > 0
          if (sum(keep) < 2L || rho < -0.49 || rho > 0.99) {
            next
          }
          some <- some + 1L
          own <- which(keep)
          variance <- function(nu) {
            s <- numeric(3)
            s[own] <- sqrt(nu[seq_along(own)])
            G <- outer(s, s) * (nu[3L] + (1 - nu[3L]) * diag(3))
            G[d$f, d$f] * same_group(d$g) + nu[4L] * same_group(d$h) + nu[5L] * diag(nrow(d))
          }
          nu <- c(deviations[own]^2, rho, of_h^2, sigma(fit)^2)
          expect_brute_ddf(fit, d, variance, nu, reml, 1e-6)
        }
      }
    }
  }
  expect_gt(none, 10L)
  expect_gt(some, 1L)
})

test_that("beside residual structures, too, a variance of zero is known", {
  found <- 0L
  for (seed in 1:4) {
    d <- structured_data(seed, FALSE)
    d$y <- 1 + d$x + rnorm(54) + as.numeric(arima.sim(list(ar = 0.4), 54))
    for (cs in c(TRUE, FALSE)) {
      residual <- if (cs) ~ cs(1 | g) else ~ ar1(r | g)
      for (effects in c("(1 | h)", "us(1 + r | h)", "cs(0 + f | h)")) {
        formula <- as.formula(paste("y ~ x +", effects))
        for (reml in c(TRUE, FALSE)) {
          fit <- suppressWarnings(suppressMessages(
            lmm(formula, d, residual = residual, REML = reml)
          ))
          theta <- getME(fit, "theta")
          if (any(theta[!grepl("rho", names(theta))] != 0)) {
            next
          }
          found <- found + 1L
          # of compound symmetry the parameters are the covariance and the variance
          variance <- function(nu) {
            if (cs) {
              return(nu[1L] * same_group(d$g) + (nu[2L] - nu[1L]) * diag(54))
            }
            nu[2L] * nu[1L]^abs(outer(d$r, d$r, "-")) * same_group(d$g)
          }
          nu <- c(fit$phi * (if (cs) sigma(fit)^2 else 1), sigma(fit)^2)
          expect_brute_ddf(fit, d, variance, nu, reml, 1e-6)
        }
      }
    }
  }
  expect_gt(found, 3L)
})

test_that("a perfect correlation beside a residual structure is tested as dense matrices are", {
  found <- 0L
  for (seed in 2:5) {
    d <- structured_data(seed, FALSE)
    d$y <- 1 + d$x + rnorm(9)[d$g] * (1 + 0.6 * d$z) + as.numeric(arima.sim(list(ar = 0.4), 54))
    fit <- suppressMessages(lmm(y ~ x + (z | g), d, residual = ~ ar1(r | g)))
    theta <- unname(getME(fit, "theta"))
    if (theta[1L] == 0 || theta[3L] != 0) {
      next
    }
    found <- found + 1L
    # the entries of T that V moves with
    variance <- function(nu) {
      z <- nu[1L] + nu[2L] * d$z
      nu[4L] * (outer(z, z) + nu[3L]^abs(outer(d$r, d$r, "-"))) * same_group(d$g)
    }
    model <- brute_model(d$y, cbind(1, d$x), variance)
    # unstructured effects are linear in their covariances: what bends is the correlation of rows
    second <- model$second
    model$second <- function(nu) {
      found <- second(nu)
      for (i in 1:2) for (j in 1:2) found[[i]][[j]] <- 0 * found[[i]][[j]]
      found
    }
    brute <- brute_structure_inference(model, unname(c(theta[1:2], fit$phi, sigma(fit)^2)))
    near <- function(x, y) expect_equal(unname(x), unname(y), tolerance = 1e-7)
    near(ddf_for(fit, "Satterthwaite")$single(diag(2)), apply(diag(2), 1, brute$satterthwaite))
    for (ddf in c("Kenward-Roger-linear", "Kenward-Roger2")) {
      method <- ddf_for(fit, ddf)
      near(method$variance, brute$variances[[ddf]])
      wanted <- function(l) brute$kenward_roger(t(l), ddf)[["df"]]
      near(method$single(diag(2)), apply(diag(2), 1, wanted))
    }
  }
  expect_gt(found, 1L)
})

test_that("of nested factors of any number of levels one may be at zero", {
  found <- 0L
  for (seed in 101:104) {
    set.seed(seed)
    d <- expand.grid(k = 1:2, b = 1:2, a = factor(1:80))
    d$ab <- interaction(d$a, d$b)
    d$x <- rnorm(nrow(d))
    d$y <- 1 + rnorm(160)[d$ab] + rnorm(nrow(d))
    fit <- suppressMessages(lmm(y ~ x + (1 | a) + (1 | ab), d))
    if (!isSingular(fit)) {
      next
    }
    found <- found + 1L
    term <- function(f) {
      variance <- matrix(as.numeric(VarCorr(fit)[[f]]), 1L)
      list(z = dense_columns(d[[f]], levels(d[[f]])), K = diag(nlevels(d[[f]])), G = variance)
    }
    model <- dense_known(list(term("a"), term("ab")), sigma(fit))
    X <- cbind(1, d$x)
    dense <- dense_ddf(model, X, d$y, diag(2))
    method <- ddf_for(fit, "Kenward-Roger")
    expect_equal(unname(method$variance), unname(dense$adjusted), tolerance = 1e-10)
    expect_equal(method$single(diag(2)), dense$kenward_roger, tolerance = 1e-10)
    without <- dense_ddf(model, X, d$y, diag(2), model$values > 0)
    single <- ddf_for(fit, "Satterthwaite")$single(diag(2))
    expect_equal(single, without$satterthwaite, tolerance = 1e-7)
  }
  expect_gt(found, 0L)
})
