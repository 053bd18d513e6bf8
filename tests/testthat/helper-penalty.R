# Penalised criteria by their definition, and direct optimisation.

off_zero <- function(...) lmm_control(..., threads = 1)

# Minus twice the penalised log-likelihood by its definition: V formed from the model matrices
dense_penalised <- function(fit, penalty) {
  z <- as.matrix(getME(fit, "Z"))
  x <- model.matrix(fit)
  y <- getME(fit, "y")
  weights <- weights(fit)
  n <- length(y)
  function(theta, sigma2 = NULL, restricted = fit$REML) {
    lambda <- as.matrix(getME(with_theta(fit, theta), "Lambda"))
    v <- diag(1 / weights, n) + tcrossprod(z %*% lambda)
    root <- chol(v)
    wx <- backsolve(root, x, transpose = TRUE)
    wy <- backsolve(root, y, transpose = TRUE)
    rss <- sum(qr.resid(qr(wx), wy)^2)
    df <- n - if (restricted) ncol(x) else 0
    of_fixed <- if (restricted) as.numeric(determinant(crossprod(wx))$modulus) else 0
    log_det <- 2 * sum(log(diag(root))) + of_fixed
    total <- function(s2) {
      log_det + df * log(2 * pi * s2) + rss / s2 + penalty(theta, s2)
    }
    if (!is.null(sigma2)) total(sigma2) else stats::optimize(
      function(log_s2) total(exp(log_s2)), log(rss / df) + c(-2, 4), tol = 1e-10
    )$objective
  }
}

with_theta <- function(fit, theta) {
  fit$theta[] <- theta
  fit
}

lowest <- function(f, start, ...) {
  control <- list(reltol = 1e-15, maxit = 5000)
  for (i in 1:3) start <- stats::optim(start, f, control = control, ...)$par
  list(par = start, value = f(start))
}
