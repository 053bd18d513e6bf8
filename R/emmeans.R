# Methods for 'emmeans': what a reference grid of a model of lmm() is made of.

#' Support for 'emmeans'
#'
#' `emmeans::emmeans()` and its relatives work on models fitted by [lmm()]. The argument `mode` of
#' those functions is the method for the degrees of freedom, see [ddf]: Satterthwaite's by default.
#' With `mode = "kenward-roger"` the covariance matrix is the adjusted one. Models of any size have
#' their degrees of freedom.
#'
#' A reference grid has no groups: in [within_between()] each of its rows is one of a group with an
#' average mean. Marginal means are those of an average group, then, and the slope that
#' `emmeans::emtrends()` gives in such a predictor is the one within groups.
#'
#' @param object A model fitted by [lmm()].
#' @param data The data, where they cannot be found again.
#' @param trms,xlev,grid See `emmeans::emm_basis()`.
#' @param mode The method for the degrees of freedom: one of those of [ddf].
#' @param vcov. A covariance matrix, or a function that gives one, to use instead.
#' @param ... Passed on.
#' @returns What the generics of 'emmeans' return.
#' @examplesIf requireNamespace("emmeans", quietly = TRUE)
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age * Sex + (age | Subject), Orthodont)
#' emmeans::emmeans(fit, "Sex", at = list(age = c(8, 14)), by = "age")
#' emmeans::emtrends(fit, "Sex", var = "age", mode = "kenward-roger")
#' @name emmeans-lmm
#' @rawNamespace S3method(emmeans::recover_data, lmm)
recover_data.lmm <- function(object, data = NULL, ...) {
  emmeans::recover_data(
    object$call, stats::delete.response(object$terms), object$na.action, data = data,
    frame = object$frame, pwts = object$prior.weights, ...
  )
}

#' @rdname emmeans-lmm
#' @rawNamespace S3method(emmeans::emm_basis, lmm)
emm_basis.lmm <- function(object, trms, xlev, grid, mode = "satterthwaite", vcov., ...) {
  inference <- ddf_for(object, match_ddf(mode))
  # the values that the grid has for grouping factors are means of their numbers, not groups
  trms <- of_average_groups(trms)
  frame <- stats::model.frame(trms, grid, na.action = stats::na.pass, xlev = xlev)
  x <- stats::model.matrix(trms, frame, contrasts.arg = object$contrasts)
  coefficients <- inference$object$coefficients
  space <- unestimable_space(object)
  nbasis <- if (is.null(space)) matrix(NA) else qr.Q(qr(space$null / space$size))
  variance <- if (missing(vcov.)) {
    inference$variance
  } else {
    emmeans::.my.vcov(object, vcov. = vcov., ...)
  }
  ## 'emmeans' takes dffun's environment away, so that all it needs is in dfargs.
  dffun <- function(k, dfargs) {
    df <- dfargs$single(matrix(k, 1L))
    if (is.na(df)) Inf else df
  }
  attr(dffun, "mesg") <- tolower(inference$method)
  list(
    X = x, bhat = unname(coefficients), nbasis = nbasis, V = variance, dffun = dffun,
    dfargs = list(single = inference$single), misc = list(),
    model.matrix = fixed_model_matrix(object)
  )
}
