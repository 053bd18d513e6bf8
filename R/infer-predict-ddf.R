# Degrees of freedom of a prediction, by Satterthwaite's method.

#' Satterthwaite's degrees of freedom of estimated variances: 2 v^2 / Var(v-hat), at least 1
#'
#' Var(v-hat) = g'Ag, with A the covariance matrix of (theta, phi, sigma^2) and g the derivatives of
#' v: v / sigma^2 for sigma^2, central differences for theta and phi.
#'
#' @param variances at the estimates; `relative` a function of (theta, phi) that returns them
#'   relative to sigma^2.
#' @noRd
prediction_ddf <- function(object, variances, relative) {
  theta <- theta_of(object)
  covariance <- user_covariance(object)
  sigma2 <- object$sigma^2
  steps <- 1e-4 * pmax(abs(theta), sqrt(diag(covariance))[seq_along(theta)])
  base <- inner_theta(object, theta, steps)
  gradient <- vapply(seq_along(theta), function(a) {
    sigma2 * slope_inside(relative, base, a, steps[[a]], numeric(length(variances)))
  }, numeric(length(variances)))
  gradient <- cbind(
    matrix(gradient, length(variances), length(theta)), variances / sigma2
  )
  df <- pmax(2 * variances^2 / rowSums((gradient %*% covariance) * gradient), 1)
  # predictions that contain nothing estimated: zero without fixed effects
  df[which(variances == 0)] <- Inf
  df
}

#' (theta, phi) moved off the boundary of what is possible, where a step would leave it
#'
#' Correlations of a structure are drawn towards zero: C of rho (1 - d) is (1 - d) C + d I, which is
#' d away from singularity, and a step in rho changes its eigenvalues by a few times the step.
#' @noRd
inner_theta <- function(object, theta, steps) {
  at <- 0L
  blocks <- random_blocks(object$random)
  for (i in seq_along(blocks)) {
    term <- blocks[[i]]
    here <- at + seq_len(count_theta(term))
    at <- at + length(here)
    sds <- here[seq_len(count_sd(term))]
    rho <- setdiff(here, sds)
    if (!is_natural(term) || has_factors(term) || length(rho) == 0L) {
      next
    }
    correlation <- tcrossprod(
      theta_matrix(replace(theta, sds, 1)[seq_along(object$theta)], object$random)[[i]]
    )
    room <- 4 * length(term$cnms) * max(steps[rho])
    if (min(eigen(correlation, symmetric = TRUE, only.values = TRUE)$values) < room) {
      theta[rho] <- theta[rho] * (1 - room)
    }
  }
  theta
}

#' Derivative of a function of parameters by differences that stay within the parameter space
#'
#' Central; where a step is not possible a tenth of it, and so on; then one to the other side only;
#' zero where the parameter cannot move.
#' @param zero the derivative of what does not change.
#' @noRd
slope_inside <- function(f, theta, a, step, zero) {
  if (step == 0) {
    return(zero)
  }
  at <- function(step) {
    tryCatch(
      f(replace(theta, a, theta[[a]] + step)),
      ferrolmm_error_dimension = function(e) NULL, ferrolmm_error_residual_start = function(e) NULL,
      ferrolmm_error_numerical = function(e) NULL
    )
  }
  for (size in step * c(1, 0.1, 0.01)) {
    up <- at(size)
    down <- at(-size)
    if (!is.null(up) && !is.null(down)) {
      return((up - down) / (2 * size))
    }
  }
  if (is.null(up) && is.null(down)) {
    return(zero)
  }
  center <- f(theta)
  if (is.null(down)) (up - center) / size else (center - down) / size
}

#' Covariance matrix of (theta, phi, sigma^2), theta as the user sees it
#'
#' From that of the variance components gamma = (lower triangles of each G, phi, sigma^2), by the
#' generalised inverse of d gamma / d (theta, phi, sigma^2); directions without information (a
#' variance of zero) have no variance.
#' @noRd
user_covariance <- function(object) {
  found <- engine_inference(engine_satterthwaite, object)
  inverse <- generalised_inverse(components_jacobian(object))
  root <- inverse %*% found$jacobian
  root %*% found$covariance %*% t(root)
}

#' d gamma / d (theta, phi, sigma^2)
#' @noRd
components_jacobian <- function(object) {
  theta <- unname(object$theta)
  sigma2 <- object$sigma^2
  n_phi <- length(object$phi)
  lower <- function(factors) {
    as.double(unlist(lapply(factors, function(g) g[lower.tri(g, diag = TRUE)])))
  }
  blocks <- random_blocks(object$random)
  owner <- rep.int(seq_along(blocks), vapply(blocks, count_theta, 1L))
  factors <- theta_matrix(theta, object$random)
  columns <- lapply(seq_along(theta), function(a) {
    term <- blocks[[owner[[a]]]]
    if (is_natural(term)) {
      is_sd <- !has_factors(term) && a - match(owner[[a]], owner) < count_sd(term)
      return(difference_column(theta, a, is_sd, sigma2, object$random, lower))
    }
    unit <- theta_matrix(replace(numeric(length(theta)), a, 1), object$random)
    unit[-owner[[a]]] <- lapply(unit[-owner[[a]]], function(t) 0 * t)
    lower(Map(function(t, e) sigma2 * (tcrossprod(e, t) + tcrossprod(t, e)), factors, unit))
  })
  last <- lower(lapply(factors, tcrossprod))
  whole <- cbind(
    matrix(as.double(unlist(columns)), length(last)), matrix(0, length(last), n_phi), last
  )
  rbind(whole, cbind(matrix(0, n_phi + 1L, length(theta)), diag(n_phi + 1L)))
}

#' Derivative of the covariance matrices, where theta are standard deviations and correlations
#'
#' Standard deviations are in units of their own, and covariances of the second degree in them:
#' central differences are exact with any step, and at zero, where there is one side only, the
#' smaller the step the better.
#' @noRd
difference_column <- function(theta, a, is_sd, sigma2, random, lower) {
  at <- function(theta) lower(lapply(theta_matrix(theta, random), tcrossprod))
  step <- if (!is_sd) {
    1e-5 * max(abs(theta[[a]]), 1e-3)
  } else if (theta[[a]] == 0) {
    1e-60
  } else {
    1e-5 * theta[[a]]
  }
  sigma2 * slope_inside(at, theta, a, step, numeric(length(at(theta))))
}

#' A generalised inverse: the shortest solution of a x = b where there is one, on the scales of `a`
#'
#' Units of rows and columns must not decide what counts as zero: both are scaled, a root at a time
#' (Ruiz 2001, Rutherford Appleton Laboratory RAL-TR-2001-034).
#' @noRd
generalised_inverse <- function(a) {
  rows <- rep(1, nrow(a))
  columns <- rep(1, ncol(a))
  for (round in 1:20) {
    size <- abs(a * rows * rep(columns, each = nrow(a)))
    largest <- list(apply(size, 1L, max), apply(size, 2L, max))
    largest <- lapply(largest, function(x) sqrt(ifelse(x == 0, 1, x)))
    rows <- rows / largest[[1L]]
    columns <- columns / largest[[2L]]
  }
  parts <- svd(a * rows * rep(columns, each = nrow(a)))
  keep <- parts$d > 1e-8 * max(parts$d)
  inverse <- parts$v[, keep, drop = FALSE] %*% (t(parts$u[, keep, drop = FALSE]) / parts$d[keep])
  inverse * columns * rep(rows, each = ncol(a))
}
