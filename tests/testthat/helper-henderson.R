## A fit's model as dense matrices at its own theta, from the definitions: the oracle for
## predictions, leverages and deletions. Relative to sigma^2.
dense_model <- function(fit) {
  inputs <- engine_inputs(fit)
  x <- inputs$fixed$X[, kept_columns(fit), drop = FALSE]
  z <- dense_z(inputs$random$design, nobs(fit))
  lambda <- dense_lambda(unname(fit$theta), inputs$random$design)
  w <- if (is.null(fit$prior.weights)) rep(1, nobs(fit)) else fit$prior.weights
  offset <- if (is.null(fit$offset)) 0 else fit$offset
  v <- diag(1 / w) + tcrossprod(z %*% lambda)
  t <- cbind(x, z %*% lambda)
  equations <- crossprod(t, w * t)
  random <- ncol(x) + seq_len(ncol(lambda))
  diag(equations)[random] <- diag(equations)[random] + 1
  list(
    x = x, z = z, lambda = lambda, w = w, v = v, t = t, inverse = solve(equations),
    e = inputs$fixed$y - offset, p = ncol(x)
  )
}

## Generalised least squares on some of the rows, theta as it is
dense_gls <- function(model, rows, reml = TRUE) {
  v <- model$v[rows, rows]
  x <- model$x[rows, , drop = FALSE]
  unscaled <- solve(crossprod(x, solve(v, x)))
  beta <- drop(unscaled %*% crossprod(x, solve(v, model$e[rows])))
  residual <- model$e[rows] - drop(x %*% beta)
  degrees <- length(residual) - if (reml) ncol(x) else 0
  list(
    beta = unname(beta), unscaled = unname(unscaled),
    sigma = sqrt(sum(residual * solve(v, residual)) / degrees)
  )
}
