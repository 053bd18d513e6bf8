#' Covariance matrix of the fixed effects
#'
#' `sigma^2 (X'V^-1 X)^-1`, at the estimated variance parameters.
#'
#' @param object A model fitted by [lmm()], or its summary.
#' @param complete Pad coefficients that were dropped for want of rank with `NA`, as `vcov()` does
#'   for [lm()]?
#' @param correlation Add the correlation matrix as the attribute `correlation`?
#' @param ... Not used.
#' @returns A matrix with the coefficients' names.
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' vcov(fit)
#' @importFrom stats vcov
#' @export
vcov.lmm <- function(object, complete = FALSE, correlation = FALSE, ...) {
  names <- names(object$coefficients)
  kept <- kept_columns(object)
  variance <- object$sigma^2 * object$vcov_unscaled
  dimnames(variance) <- list(names[kept], names[kept])
  if (correlation) {
    attr(variance, "correlation") <- correlation_of(variance)
  }
  if (complete && length(kept) < length(names)) {
    padded <- matrix(NA_real_, length(names), length(names), dimnames = list(names, names))
    padded[kept, kept] <- variance
    return(padded)
  }
  variance
}

#' @rdname vcov.lmm
#' @export
vcov.summary.lmm <- function(object, ...) {
  object$vcov
}

#' Correlations of a covariance matrix; also when it has no rows
#' @noRd
correlation_of <- function(variance) {
  if (nrow(variance) == 0L) variance else stats::cov2cor(variance)
}

#' Which columns of the fixed-effects model matrix have a coefficient
#' @noRd
kept_columns <- function(object) {
  which(!is.na(object$coefficients))
}
