# The model evaluated densely from its definition, for small n: the oracle of the tests.
#
# V = W^-1 + Z Lambda Lambda' Z' (relative to sigma^2) is formed as an n x n matrix and everything
# follows from generalised least squares. Nothing here is shared with the package or its engine.

# Random-effects model matrix, n x q: term after term, level after level, effect after effect
dense_z <- function(design, n) {
  blocks <- lapply(design$terms, function(term) {
    group <- design$factors[[term$factor]]
    k <- length(term$columns)
    z <- matrix(0, n, k * group$n_levels)
    for (e in seq_len(k)) {
      value <- if (is.null(term$columns[[e]])) rep(1, n) else term$columns[[e]]
      members <- group$members
      if (is.null(members)) {
        z[cbind(seq_len(n), (group$codes - 1L) * k + e)] <- value
      } else {
        row <- rep(seq_len(n), diff(members$start))
        z[cbind(row, (members$level - 1L) * k + e)] <- members$weight * value[row]
      }
    }
    z
  })
  do.call(cbind, blocks)
}

# Relative covariance factor Lambda(theta), q x q
dense_lambda <- function(theta, design) {
  at <- 0L
  blocks <- list()
  for (term in design$terms) {
    k <- length(term$columns)
    factor <- matrix(0, k, k)
    if (identical(term$structure, "diag")) {
      diag(factor) <- theta[at + seq_len(k)]
      at <- at + k
    } else {
      for (j in seq_len(k)) {
        for (i in j:k) {
          at <- at + 1L
          factor[i, j] <- theta[at]
        }
      }
    }
    blocks <- c(blocks, rep(list(factor), design$factors[[term$factor]]$n_levels))
  }
  sizes <- vapply(blocks, nrow, 0L)
  lambda <- matrix(0, sum(sizes), sum(sizes))
  ends <- cumsum(sizes)
  for (b in seq_along(blocks)) {
    here <- seq(to = ends[b], length.out = sizes[b])
    lambda[here, here] <- blocks[[b]]
  }
  lambda
}

# Criterion and estimates at a given theta
brute_force <- function(theta, y, X, design, weights = NULL, offset = NULL, reml = TRUE) {
  n <- length(y)
  w <- if (is.null(weights)) rep(1, n) else weights
  e <- y - if (is.null(offset)) 0 else offset
  z_lambda <- dense_z(design, n) %*% dense_lambda(theta, design)
  v <- diag(1 / w, n) + tcrossprod(z_lambda)
  root <- chol(v)
  log_det_v <- 2 * sum(log(diag(root)))
  e_white <- backsolve(root, e, transpose = TRUE)
  p <- ncol(X)
  if (p > 0L) {
    x_white <- backsolve(root, X, transpose = TRUE)
    xtvx <- crossprod(x_white)
    vcov_unscaled <- solve(xtvx)
    beta <- drop(vcov_unscaled %*% crossprod(x_white, e_white))
    residual_white <- e_white - drop(x_white %*% beta)
    log_det_x <- as.numeric(determinant(xtvx)$modulus)
  } else {
    vcov_unscaled <- matrix(0, 0, 0)
    beta <- double()
    residual_white <- e_white
    log_det_x <- 0
  }
  q <- sum(residual_white^2)
  dof <- if (reml) n - p else n
  u <- drop(crossprod(z_lambda, backsolve(root, residual_white)))
  b <- drop(dense_lambda(theta, design) %*% u)
  fitted <- drop(X %*% beta) + drop(dense_z(design, n) %*% b) + (y - e)
  list(
    criterion = log_det_v + (if (reml) log_det_x else 0) + dof * (1 + log(2 * pi * q / dof)),
    beta = beta, sigma = sqrt(q / dof), vcov_unscaled = vcov_unscaled, u = u, b = b,
    fitted = fitted, pwrss = q, wrss = sum(w * (y - fitted)^2), ussq = sum(u^2),
    ldL2 = log_det_v + sum(log(w)), ldRX2 = log_det_x, rx = if (p > 0L) chol(xtvx)
  )
}
