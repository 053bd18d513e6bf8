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
