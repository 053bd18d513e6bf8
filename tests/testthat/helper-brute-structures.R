# Models with structured G and R evaluated densely from their definition, in natural parameters: the
# oracle for fits, Satterthwaite's and Kenward and Roger's methods. Written from the formulas of
# Kenward & Roger (1997); shares nothing with the package or its engine.
#
# A model is list(y, X, variance = function(nu) V, first = function(nu) list of dV/dnu_i, and
# second = function(nu) list of lists of d2V/dnu_i dnu_j), with nu the natural parameters: entries
# of each G, the residual structure's, sigma^2.

# Central differences of a matrix function, extrapolated to sixth order
brute_slope <- function(f, nu, i, step = 1e-3 * max(abs(nu[i]), 0.1)) {
  at <- function(h) {
    nu[i] <- nu[i] + h
    f(nu)
  }
  centred <- function(h) (at(h) - at(-h)) / (2 * h)
  one <- centred(step)
  two <- centred(2 * step)
  three <- centred(3 * step)
  1.5 * one - 0.6 * two + 0.1 * three
}

# A model of which only V(nu) is written down
brute_model <- function(y, X, variance) {
  first <- function(nu) lapply(seq_along(nu), function(i) brute_slope(variance, nu, i))
  list(
    y = y, X = X, variance = variance, first = first,
    second = function(nu) {
      lapply(seq_along(nu), function(i) {
        lapply(seq_along(nu), function(j) {
          brute_slope(function(at) brute_slope(variance, at, i), nu, j)
        })
      })
    }
  )
}

# -2 log-likelihood, restricted or not, with nothing profiled out
brute_structures_criterion <- function(model, nu, reml = TRUE) {
  root <- chol(model$variance(nu))
  x <- backsolve(root, model$X, transpose = TRUE)
  y <- backsolve(root, model$y, transpose = TRUE)
  fit <- qr(x)
  q <- sum(qr.resid(fit, y)^2)
  n <- length(y) - if (reml) ncol(x) else 0
  2 * sum(log(diag(root))) + (if (reml) 2 * sum(log(abs(diag(qr.R(fit)))))  else 0) +
    q + n * log(2 * pi)
}

# Gradient of the criterion in closed form
brute_gradient <- function(model, nu, reml = TRUE) {
  inverse <- chol2inv(chol(model$variance(nu)))
  weighted <- inverse %*% model$X
  phi <- solve(t(model$X) %*% weighted)
  projector <- inverse - weighted %*% phi %*% t(weighted)
  py <- projector %*% model$y
  trace <- if (reml) projector else inverse
  vapply(model$first(nu), function(vi) sum(trace * vi) - drop(t(py) %*% vi %*% py), 0)
}

# Hessian: differences of the gradient
brute_hessian <- function(model, nu, reml = TRUE) {
  hessian <- vapply(seq_along(nu), function(i) {
    brute_slope(function(at) brute_gradient(model, at, reml), nu, i)
  }, nu)
  (hessian + t(hessian)) / 2
}

# `expected`: by the expected information, tr(P V_i P V_j) / 2, as where V is linear in nu
brute_structure_inference <- function(model, nu, reml = TRUE, expected = FALSE) {
  s <- length(nu)
  inverse <- chol2inv(chol(model$variance(nu)))
  weighted <- inverse %*% model$X
  phi <- solve(t(model$X) %*% weighted)
  beta <- drop(phi %*% t(weighted) %*% model$y)
  first <- model$first(nu)
  twice_information <- if (expected) {
    p <- inverse - weighted %*% phi %*% t(weighted)
    vapply(first, function(a) vapply(first, function(b) sum((p %*% a %*% p) * b), 0), nu)
  } else {
    brute_hessian(model, nu, reml)
  }
  w <- 2 * solve(twice_information)
  second <- model$second(nu)
  trace <- function(a, b) sum(a * t(b))
  p <- lapply(first, function(vi) -t(weighted) %*% vi %*% weighted)
  q <- function(i, j) t(weighted) %*% first[[i]] %*% inverse %*% first[[j]] %*% weighted
  r <- function(i, j) t(weighted) %*% second[[i]][[j]] %*% weighted
  adjusted <- function(linear) {
    sum <- 0
    for (i in seq_len(s)) {
      for (j in seq_len(s)) {
        term <- q(i, j) - p[[i]] %*% phi %*% p[[j]] - if (linear) 0 else r(i, j) / 4
        sum <- sum + w[i, j] * term
      }
    }
    phi + 2 * phi %*% sum %*% phi
  }
  # 2009: the second derivatives less their projection on the first ones, by tr(P A P B)
  improved <- function() {
    projector <- inverse - weighted %*% phi %*% t(weighted)
    bend <- 0
    for (i in seq_len(s)) for (j in seq_len(s)) bend <- bend + w[i, j] * second[[i]][[j]]
    product <- function(a, b) trace(projector %*% a %*% projector, b)
    metric <- vapply(first, function(a) vapply(first, product, 0, a), double(s))
    g <- solve(matrix(metric, s), vapply(first, product, 0, bend))
    left <- bend
    for (i in seq_len(s)) left <- left - g[[i]] * first[[i]]
    adjusted(TRUE) - phi %*% t(weighted) %*% left %*% weighted %*% phi / 2
  }
  variances <- list(
    "Kenward-Roger" = adjusted(FALSE), "Kenward-Roger-linear" = adjusted(TRUE),
    "Kenward-Roger2" = improved()
  )
  moved <- lapply(p, function(pi) -phi %*% pi %*% phi)
  list(
    beta = beta, phi = phi, w = w, adjusted = variances[["Kenward-Roger"]],
    linear = variances[["Kenward-Roger-linear"]], variances = variances,
    satterthwaite = function(l) {
      g <- vapply(moved, function(d) drop(t(l) %*% d %*% l), 0)
      2 * drop(t(l) %*% phi %*% l)^2 / drop(t(g) %*% w %*% g)
    },
    kenward_roger = function(L, method = "Kenward-Roger") {
      q <- nrow(L)
      theta <- t(L) %*% solve(L %*% phi %*% t(L)) %*% L
      a1 <- a2 <- 0
      for (i in seq_len(s)) {
        for (j in seq_len(s)) {
          a <- theta %*% phi %*% p[[i]] %*% phi
          b <- theta %*% phi %*% p[[j]] %*% phi
          a1 <- a1 + w[i, j] * sum(diag(a)) * sum(diag(b))
          a2 <- a2 + w[i, j] * trace(a, b)
        }
      }
      b <- (a1 + 6 * a2) / (2 * q)
      g <- ((q + 1) * a1 - (q + 4) * a2) / ((q + 2) * a2)
      below <- 3 * q + 2 * (1 - g)
      c <- c(g, q - g, q + 2 - g) / below
      mean <- 1 / (1 - a2 / q)
      variance <- 2 / q * (1 + c[[1L]] * b) / ((1 - c[[2L]] * b)^2 * (1 - c[[3L]] * b))
      rho <- variance / (2 * mean^2)
      m <- 4 + (q + 2) / (q * rho - 1)
      estimate <- L %*% beta
      wald <- drop(t(estimate) %*% solve(L %*% variances[[method]] %*% t(L)) %*% estimate)
      c(F = m / (mean * (m - 2)) * wald / q, df = m)
    }
  )
}
