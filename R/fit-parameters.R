# The parameters of a fit: names, number, values on the scales on which they are shown.

#' Names of all parameters: of the random effects, of the residual structure, sigma, fixed effects
#' @noRd
parameter_names <- function(object, old) {
  random <- if (old) {
    sprintf(".sig%02d", seq_along(object$theta))
  } else {
    unlist(Map(term_parameter_names, object$random, names(object$cnms)), use.names = FALSE)
  }
  if (is_nobound(object)) {
    random <- sub("^sd_", "var_", sub("^cor_", "cov_", random))
  }
  c(random, names(object$phi), if (old) ".sigma" else "sigma", names(object$coefficients))
}

#' What tells parameters of the same name apart, in the order of [parameter_names()]
#' @noRd
parameter_details <- function(object) {
  random <- unlist(lapply(object$random, function(term) {
    rep.int(paste0("of (", term$label, ")"), count_theta(term))
  }))
  c(
    random, rep.int("of the residual structure", length(object$phi)),
    "the residual standard deviation", coefficient_details(object)
  )
}

#' The number of variance parameters, sigma included
#' @noRd
count_variance <- function(object) length(object$theta) + length(object$phi) + 1L

#' Standard deviations, correlations, phi and sigma of a fit
#' @noRd
natural_parameters <- function(object) {
  drop(theta_to_sdcor(matrix(object$theta), object$sigma, object$random, object$phi))
}

#' Root mean square of each basis column of a term
#' @noRd
effect_scales <- function(object, t) {
  if (is.null(object$condensed)) {
    return(vapply(own_term_columns(object, object$random[[t]]), column_scale, 0))
  }
  found <- term_squares(object, t)
  sqrt(diag(found$squares) / found$size)
}

#' Which columns of the fixed-effects model matrix have a coefficient
#' @noRd
kept_columns <- function(object) {
  which(!is.na(object$coefficients))
}

#' Keys of the fixed effects, including those that are aliased
#' @noRd
fixed_keys <- function(object) {
  design_keys(object$terms, object$frame, object$contrasts)
}

#' Which term each coefficient belongs to, in words
#' @noRd
coefficient_details <- function(object) {
  labels <- attr(object$terms, "term.labels")
  ifelse(
    object$assign == 0L, "the intercept",
    paste0("of the term `", c(labels, "")[pmax(object$assign, 1L)], "`")
  )
}

#' X with row names, without the aliased columns, with the attributes assign and contrasts
#' @noRd
fixed_model_matrix <- function(object) {
  require_own_rows(object, "The model matrix")
  whole <- fixed_matrix(object$terms, object$frame, object$contrasts)
  kept <- kept_columns(object)
  x <- whole[, kept, drop = FALSE]
  rownames(x) <- row.names(object$frame)
  attr(x, "assign") <- object$assign[kept]
  attr(x, "contrasts") <- attr(whole, "contrasts")
  x
}

#' sigma^2 (X'V^-1X)^-1, named
#' @noRd
fixed_covariance <- function(object) {
  names <- names(object$coefficients)[kept_columns(object)]
  variance <- if (is_sampled(object)) {
    sampled_covariance(object)
  } else {
    object$sigma^2 * object$vcov_unscaled
  }
  dimnames(variance) <- list(names, names)
  variance
}

#' Correlations of a covariance matrix, which may have no rows
#' @noRd
correlation_of <- function(variance) {
  if (nrow(variance) == 0L) variance else stats::cov2cor(variance)
}
