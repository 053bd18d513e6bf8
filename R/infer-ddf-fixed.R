# Inference that takes the variance parameters as known: by the normal distribution, or none.

#' @rdname ddf
#' @order 9
#' @section `"asymptotic"`:
#' The normal distribution, and F with infinitely many degrees of freedom.
#' @section `"none"`:
#' The statistics alone, as in 'lme4'; `"lme4"` is understood too.
#' @name ddf
NULL

#' Inference that takes the variance parameters as known
#'
#' @param variance of the coefficients; NULL: that of the fit. What is returned has an upper
#'   triangular root `rx` of the inverse of that one.
#' @noRd
fixed_ddf <- function(object, ddf, variance = NULL) {
  rx <- if (is.null(variance) && !is_sampled(object)) object$rx / object$sigma
  variance <- if (is.null(variance)) fixed_covariance(object) else variance
  list(
    beta = object$beta, variance = variance, rx = rx,
    single = function(L) rep.int(ddf, nrow(L)),
    joint = function(L, estimate) {
      wald <- wald_statistic(L, estimate, variance, rx)
      f <- wald$value / wald$rank
      list(statistic = f, unscaled = f, numdf = wald$rank, dendf = ddf)
    }
  )
}
