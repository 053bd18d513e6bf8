# R of a fitted model: variances, correlations, roots. Products with all rows are the engine's; a
# correlation matrix is formed here for the one group, or the rows, that a user asks about.

#' C, or a root of it, times a matrix with a row for each row of the data
#'
#' @param design what [residual_design()] makes of the rows; `what` as for [engine_residual_rows()].
#' @noRd
correlation_times <- function(object, design, x, what) {
  design$scales <- list()
  par <- split_phi(object$residual, object$phi)$correlation
  engine_residual_rows(design, NULL, par, x, what, object$control$threads)
}

#' R, or a root of it, of the rows of a fit as a sparse matrix, relative to sigma^2
#'
#' From the product with the indicators of the first rows of all groups, of the second rows, ...
#' @noRd
residual_root <- function(object, what) {
  n <- count_rows(object)
  sd <- sqrt(residual_variances(object))
  scale <- if (what == "times") sd else 1 / sd
  if (!has_correlation(object)) {
    return(Matrix::Diagonal(x = if (what == "times") scale^2 else scale))
  }
  design <- training_design(object)
  codes <- design$groups$codes
  sorted <- order(codes)
  place <- integer(n)
  place[sorted] <- sequence(rle(codes[sorted])$lengths)
  indicators <- matrix(0, n, max(place))
  indicators[cbind(seq_len(n), place)] <- if (what == "times") 1 else scale
  blocks <- correlation_times(object, design, indicators, what)
  at <- which(blocks != 0, arr.ind = TRUE)
  partner <- matrix(NA_integer_, max(codes), max(place))
  partner[cbind(codes, place)] <- seq_len(n)
  i <- unname(at[, 1L])
  j <- partner[cbind(codes[i], at[, 2L])]
  x <- blocks[at]
  if (what == "times") {
    x <- x * scale[i] * scale[j]
  }
  Matrix::sparseMatrix(i = i, j = j, x = x, dims = c(n, n))
}

#' Does the fit have correlated residuals?
#' @noRd
has_correlation <- function(object) !is.null(object$residual$correlation)

#' Are there variances or correlations of the residuals besides sigma and the weights?
#' @noRd
has_residual <- function(object) length(object$phi) > 0L || has_correlation(object)

#' The residual structure of the rows of a fit, as the engine takes it
#' @noRd
training_design <- function(object) residual_design(object$residual, object$frame)

#' Variances of the residuals of the rows of a fit, relative to sigma^2: d^2 / w
#' @noRd
residual_variances <- function(object, phi = object$phi) {
  n <- count_rows(object)
  values <- rep.int(1, n)
  if (length(object$residual$scales) > 0L) {
    values <- scale_values(object$residual, phi, training_design(object), n)^2
  }
  values / weights_or_one(object)
}

#' Residuals with the covariance structure taken out: uncorrelated, of variance 1
#' @noRd
normalized_residuals <- function(object, values = object$residuals) {
  scaled <- values / (object$sigma * sqrt(residual_variances(object)))
  if (!has_correlation(object)) {
    return(scaled)
  }
  drop(correlation_times(object, training_design(object), scaled, "whiten"))
}

#' Refuse what is defined for independent residuals only
#' @noRd
need_independent <- function(object, what, remedy = NULL) {
  if (has_correlation(object)) {
    ferrolmm_abort(
      paste0(what, " is not defined for a model with correlated residuals."), "residual",
      x = paste0("The model has ", describe_residual_term(object$residual), "."), i = remedy
    )
  }
}

#' Refuse what needs random effects where there are none
#' @noRd
need_random <- function(object, what) {
  if (length(object$random) == 0L) {
    ferrolmm_abort(
      paste0(what, " needs a model with random effects."), "argument",
      x = "This one has a residual structure alone."
    )
  }
}

#' Covariance matrix of the residuals of some rows
#' @noRd
residual_covariance <- function(object, rows) {
  sd <- object$sigma * sqrt(residual_variances(object)[rows])
  n <- length(rows)
  correlation <- diag(n)
  if (has_correlation(object)) {
    design <- training_design(object)
    codes <- design$groups$codes[rows]
    structure <- object$residual$correlation
    par <- split_phi(object$residual, object$phi)$correlation
    classes <- design$correlation$classes$codes[rows]
    for (group in unique(codes)) {
      own <- which(codes == group)
      class <- if (is.null(classes)) 1L else classes[[own[[1L]]]]
      correlation[own, own] <- position_correlation(
        structure, class_parameters(structure, par, class),
        take_position(design$correlation$position, rows[own]), length(own)
      )
    }
  }
  value <- correlation * outer(sd, sd)
  names <- row.names(object$frame)[rows]
  dimnames(value) <- list(names, names)
  value
}

#' R of all rows, sparse, times sigma^2
#' @noRd
whole_residual_covariance <- function(object) {
  value <- object$sigma^2 * residual_root(object, "times")
  names <- row.names(object$frame)
  dimnames(value) <- list(names, names)
  value
}

#' Reciprocal residual variances relative to sigma^2, NULL where they are all 1
#' @noRd
precision_weights <- function(object) {
  if (is.null(object$prior.weights) && !has_residual(object)) {
    return(NULL)
  }
  1 / residual_variances(object)
}

#' The prior weights, 1 where there are none
#' @noRd
weights_or_one <- function(object) {
  if (is.null(object$prior.weights)) 1 else object$prior.weights
}
