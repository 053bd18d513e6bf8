# The posterior of smooth terms: covariances of their coefficients, effective degrees of freedom,
# values with standard errors.
#
# With u = Lambda^-1 b, the mixed model equations are C (beta, u) = (X'Wy, Lambda'Z'Wy),
#   C = [X'WX, X'WZ Lambda; Lambda'Z'WX, Lambda'Z'WZ Lambda + I],
# and sigma^2 C^-1 is the covariance matrix of (beta, u) given y, which is also that of prediction
# errors (Henderson, 1975), and Vp of gam() (Wood, 2017, section 6.10). With A = LL' the block of u,
# B its block with X, H = A^-1 B, and S^-1 = (X'V^-1X)^-1,
#   C^-1 = [S^-1, -S^-1 H'; -H S^-1, A^-1 + H S^-1 H'].

#' Columns of C^-1 for the coefficients of all smooths
#'
#' @returns list(beta: S^-1 (rank x rank); cross: u x rank, the block of u and beta; own: u x s, the
#'   columns of the random effects of smooths, numbered by `at`; lambda: of these the relative
#'   standard deviations; kept: which coefficients beta are)
#' @noRd
smooth_posterior <- function(object) {
  at <- unlist(lapply(smooth_terms(object), function(t) effects_of_term(object, t)))
  l <- cholesky_of_system(object)
  kept <- kept_columns(object)
  x <- whiten_rows(object, fixed_model_matrix(object))
  # before the generic is called, see transposed()
  system <- weighted_system(object)
  b <- as.matrix(system %*% x)
  h <- as.matrix(Matrix::solve(l, b, system = "A"))
  inverse <- matrix(object$vcov_unscaled, length(kept))
  cross <- -h %*% inverse
  unit <- Matrix::sparseMatrix(
    i = at, j = seq_along(at), x = 1, dims = c(length(object$b), length(at))
  )
  own <- as.matrix(Matrix::solve(l, unit, system = "A")) - tcrossprod(cross, h[at, , drop = FALSE])
  lambda <- unlist(lapply(smooth_terms(object), function(t) {
    rep.int(unname(object$theta)[[theta_of_term(object, t)]], length(effects_of_term(object, t)))
  }))
  list(
    beta = inverse, cross = cross, own = own, at = at, lambda = as.double(lambda), kept = kept
  )
}

#' Where the random effects of a term are in b
#' @noRd
effects_of_term <- function(object, t) seq.int(object$Gp[[t]] + 1L, object$Gp[[t + 1L]])

#' @noRd
theta_of_term <- function(object, t) sum(theta_counts(object)[seq_len(t - 1L)]) + 1L

#' The coefficients of a smooth with their covariance, in the mixed model's parametrisation
#'
#' @param posterior what [smooth_posterior()] returns.
#' @returns list(values: fixed ones, then blocks; covariance, absolute; fixed: their places among
#'   the kept coefficients; random: places in posterior$at; dropped: which are aliased; map: M)
#' @noRd
smooth_estimates <- function(object, smooth, posterior) {
  names <- names(object$coefficients)[posterior$kept]
  fixed <- match(smooth$fixed, names)
  terms <- terms_of_smooth(object, smooth)
  effects <- unlist(lapply(terms, effects_of_term, object = object))
  random <- match(effects, posterior$at)
  known <- fixed[!is.na(fixed)]
  lambda <- posterior$lambda[random]
  across <- t(posterior$cross[effects, known, drop = FALSE] * lambda)
  inner <- posterior$own[effects, random, drop = FALSE] * tcrossprod(lambda)
  covariance <- object$sigma^2 * rbind(
    cbind(posterior$beta[known, known, drop = FALSE], across), cbind(t(across), inner)
  )
  whole <- do.call(cbind, smooth$maps)
  dropped <- which(is.na(fixed))
  list(
    values = c(unname(object$beta)[known], object$b[effects]), covariance = covariance,
    fixed = known, random = random, dropped = dropped,
    map = if (length(dropped)) whole[, -dropped, drop = FALSE] else whole
  )
}

#' Numbers of the terms of a smooth, in the order of its blocks
#' @noRd
terms_of_smooth <- function(object, smooth) {
  columns <- vapply(object$random, function(term) {
    if (is.null(term$members$smooth)) "" else term$members$weights
  }, "")
  match(smooth$blocks, columns)
}

#' Effective degrees of freedom of each smooth
#'
#' F = C^-1 (C - P), P with ones for u, turns the unpenalised least-squares estimate into the
#' penalised one; edf = tr(F) over a smooth's coefficients, and tr(2F - FF) is that of Wood (2017,
#' section 6.12.1). F = I - C^-1 P, so the first is the number of coefficients less the sum of the
#' diagonal of C^-1 over its u, and the second that less the sum of the squares of these columns
#' over all of u. Both are the same in every parametrisation of the smooth.
#' @returns a matrix with a row for each smooth and the columns edf, edf1
#' @noRd
smooth_edf <- function(object, posterior) {
  found <- vapply(smooths_of(object), function(smooth) {
    own <- smooth_estimates(object, smooth, posterior)
    columns <- posterior$own[, own$random, drop = FALSE]
    all <- length(own$fixed) + length(own$random)
    c(
      edf = all - sum(columns[cbind(posterior$at[own$random], seq_along(own$random))]),
      edf1 = all - sum(columns^2)
    )
  }, double(2L))
  t(found)
}

#' Values of smooths with standard errors in rows
#'
#' @param frame a frame with the sources of the smooth.
#' @returns list(fit, se), NA in rows with missing values
#' @noRd
smooth_values_at <- function(object, smooth, frame, posterior) {
  own <- smooth_estimates(object, smooth, posterior)
  x <- smooth_basis(smooth, frame) %*% own$map
  list(
    fit = drop(x %*% own$values),
    se = sqrt(pmax(rowSums((x %*% own$covariance) * x), 0))
  )
}
