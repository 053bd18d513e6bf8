# Formula, names of parameters, estimator: what 'insight' finds in a fit. The other packages of
# 'easystats', 'ggeffects', 'marginaleffects' and 'effects' build on its answers. Its defaults take
# bar terms for predictors, and coef() for a vector. Registered in zzz.R.

#' The parts of the formula, those of the residual structure as 'insight' has them for nlme's fits
#'
#' `random`, a formula or a list of them, is in the order of the terms of [VarCorr.lmm()].
#' `correlation` has the variables of the correlation of the residuals, `dispersion` those of their
#' variance that are not in it.
#' @noRd
find_formula.lmm <- function(x, verbose = TRUE, ...) {
  check_fit(x)
  env <- environment(x$formula)
  one_sided <- function(side) stats::as.formula(call("~", side), env)
  random <- lapply(x$random, function(term) {
    side <- str2lang(term$label)
    # 'insight' takes the names of variables from groups and their interactions alone
    if (!is.null(term$members)) side[[3L]] <- sum_of(lapply(all.vars(side[[3L]]), as.name), ":")
    one_sided(side)
  })
  correlation <- x$residual$correlation
  variances <- variables_of_variance(x)
  parts <- list(
    conditional = stats::formula(x$terms),
    random = if (length(random) == 1L) random[[1L]] else if (length(random) > 1L) random,
    correlation = if (!is.null(correlation) && !has_known_rows(x$residual)) {
      one_sided(correlation_side(x, correlation))
    },
    dispersion = if (length(variances) > 0L) one_sided(sum_of(frame_expressions(x, variances)))
  )
  structure(Filter(Negate(is.null), parts), class = c("insight_formula", "list"))
}

#' covariates | groups, as in the `form` of nlme's structures
#' @noRd
correlation_side <- function(object, correlation) {
  covariates <- frame_expressions(object, correlation$covariates)
  groups <- frame_expressions(object, correlation$group)
  left <- if (length(covariates) > 0L) sum_of(covariates) else 1
  if (length(groups) > 0L) call("|", left, sum_of(groups, ":")) else left
}

#' Variables of variance functions that the correlation does not have
#' @noRd
variables_of_variance <- function(object) {
  used <- lapply(object$residual$scales, function(scale) c(scale$covariate, scale$stratum))
  setdiff(
    unique(c(unlist(used), object$residual$fixed)), c(object$residual$correlation$covariates)
  )
}

#' Columns of the model frame as expressions
#' @noRd
frame_expressions <- function(object, names) {
  expressions <- as.list(attr(attr(object$frame, "terms"), "variables"))[-1L]
  expressions[match(names, variable_names(expressions))]
}

#' @noRd
sum_of <- function(expressions, operator = "+") {
  Reduce(function(left, right) call(operator, left, right), expressions)
}

#' Names of the coefficients, and of the effects of each grouping factor
#' @noRd
find_parameters.lmm <- function(x, effects = "all", flatten = FALSE, ...) {
  check_fit(x)
  effects <- match_part(effects)
  names <- list(
    conditional = if (effects != "random") text_names(names(fixef.lmm(x))),
    random = if (effects != "fixed") effects_by_factor(x)
  )
  names <- Filter(length, names)
  if (isTRUE(flatten)) unique(unlist(names, use.names = FALSE)) else names
}

#' Names of the effects of each grouping factor
#' @noRd
effects_by_factor <- function(object) {
  factor <- attr(object$flist, "assign")
  effects <- lapply(seq_along(object$flist), function(f) {
    unlist(object$cnms[factor == f], use.names = FALSE)
  })
  stats::setNames(effects, names(object$flist))
}

#' The argument `weights`, unless it is a variance function
#' @noRd
find_weights.lmm <- function(x, ...) {
  check_fit(x)
  if (!is.null(x$prior.weights) && length(x$residual$fixed) == 0L && !is.null(x$call$weights)) {
    deparse_call(x$call$weights)
  }
}

#' @noRd
find_algorithm.lmm <- function(x, ...) {
  check_fit(x)
  list(algorithm = if (x$REML) "REML" else "ML", optimizer = "trust-region Newton")
}

#' Whether the optimum is certified, with its largest scaled gradient
#' @noRd
is_converged.lmm <- function(x, tolerance = 0.001, ...) {
  check_fit(x)
  structure(
    x$certificate$status %in% c("converged", "singular"), gradient = x$certificate$max_gradient
  )
}

#' What kind of model it is; where degrees of freedom are chosen, one for repeated measures without
#' random effects counts as a mixed model, too
#' @noRd
model_info.lmm <- function(x, ...) {
  check_fit(x)
  info <- their_method("insight", "model_info", "default")(x, ...)
  if (inherits(x, "elm")) info$is_mixed <- TRUE
  info
}

#' @noRd
get_call.lmm <- function(x) {
  check_fit(x)
  x$call
}
