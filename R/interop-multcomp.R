# What 'multcomp' and 'effects' need to know of a model: their defaults read coef(), which for these
# models is a table for each grouping factor.

#' Support for 'multcomp' and 'effects'
#'
#' `multcomp::glht()` tests linear combinations of the fixed effects by the normal distribution, or
#' with `df` degrees of freedom; `effects::Effect()` and its relatives draw them.
#'
#' @param model,mod A model fitted by [lmm()].
#' @param coef. A function that gives the coefficients, or the coefficients.
#' @param vcov. Their covariance matrix, or a function that gives it.
#' @param df Degrees of freedom; without them the normal distribution is used.
#' @param ... Not used.
#' @returns What the generics return.
#' @seealso [contest()], [emmeans-lmm]
#' @examplesIf requireNamespace("multcomp", quietly = TRUE)
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + Sex + (age | Subject), Orthodont)
#' summary(multcomp::glht(fit, linfct = multcomp::mcp(Sex = "Tukey")))
#' @name multcomp-lmm
#' @rawNamespace S3method(multcomp::modelparm, lmm)
modelparm.lmm <- function(model, coef. = NULL, vcov. = NULL, df = NULL, ...) {
  check_dots(...)
  coefficients <- if (is.function(coef.)) coef.(model) else coef.
  if (is.null(coefficients)) coefficients <- fixef.lmm(model)
  variance <- if (is.null(vcov.)) vcov.lmm(model) else other_variance(model, vcov.)
  if (!is.numeric(coefficients) || length(coefficients) != model$rank) {
    ferrolmm_abort(
      paste0("`coef.` must be the ", count_of(model$rank, "fixed effect"), "."), "argument"
    )
  }
  if (!is.null(df) && (!is.numeric(df) || length(df) != 1L || !isTRUE(df >= 0))) {
    ferrolmm_abort(
      paste0("`df` must be a number, at least 0", describe_given(df), "."), "argument"
    )
  }
  structure(
    list(
      coef = coefficients, vcov = variance, df = if (is.null(df)) 0 else df,
      estimable = rep.int(TRUE, length(coefficients))
    ),
    class = "modelparm"
  )
}

#' @rdname multcomp-lmm
#' @rawNamespace S3method(effects::effSources, lmm)
effSources.lmm <- function(mod) {
  check_fit(mod)
  call <- mod$call
  # 'effects' looks for the data elsewhere
  data <- tryCatch(eval(call$data, fit_home(mod)), error = function(e) NULL)
  # it evaluates the call as one of glm(), which reads the options of today
  call$contrasts <- mod$contrasts
  if (!is.null(data)) {
    if (is.data.frame(data)) attr(data, "na.action") <- stats::na.omit
    call$data <- data
  }
  list(
    call = call, formula = stats::formula(mod$terms), coefficients = mod$coefficients,
    vcov = vcov.lmm(mod), family = stats::gaussian()
  )
}
