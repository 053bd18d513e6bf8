# What 'multcomp' and 'effects' need to know of a model: their defaults read coef(), which for these
# models is a table for each grouping factor.

#' Support for 'multcomp' and 'effects'
#'
#' `multcomp::glht()` tests linear combinations of the fixed effects by the normal distribution, or
#' with `df` degrees of freedom; `effects::Effect()` and its relatives draw them. Where the model
#' has [within_between()], effects are those in a group with an average mean: `x` away from that
#' mean is away from its own group, and the grouping factor is no predictor of the fixed effects.
#'
#' @param model,mod A model fitted by [lmm()].
#' @param coef. A function that gives the coefficients, or the coefficients.
#' @param vcov. Their covariance matrix, or a function that gives it.
#' @param df Degrees of freedom; without them the normal distribution is used.
#' @param se,level As `se` of `effects::Effect()`; `level`, that of the limits, as it is elsewhere
#'   (0.95), is passed on in it.
#' @param ... Not used; `allEffects()` passes it on to `effects::Effect()`.
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
  variance <- if (is.null(vcov.)) vcov.lmm(model) else other_variance(model, vcov., "vcov.")
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
    call = call, formula = average_formula(mod), coefficients = mod$coefficients,
    vcov = vcov.lmm(mod), family = stats::gaussian()
  )
}

#' @rdname multcomp-lmm
#' @rawNamespace S3method(effects::allEffects, lmm)
allEffects.lmm <- function(mod, ..., se = TRUE, level = NULL) {
  check_dots(..., allowed = c(names(formals(their_method("effects", "Effect", "lm"))), "vcov."))
  check_fit(mod)
  terms <- stats::terms(average_formula(mod))
  labels <- attr(terms, "term.labels")
  if (length(labels) == 0L) {
    ferrolmm_abort("The model has no fixed effects but a constant.", "argument")
  }
  parts <- attr(terms, "factors") != 0
  # terms whose variables are not all in another term
  highest <- vapply(seq_along(labels), function(k) {
    contains <- colSums(parts[parts[, k], , drop = FALSE]) == sum(parts[, k])
    sum(contains) == 1L
  }, NA)
  if (!is.null(level)) {
    check_level(level)
    se <- utils::modifyList(
      if (is.list(se)) se else list(compute = !isFALSE(se)), list(level = level)
    )
  }
  effects <- lapply(labels[highest], function(label) {
    effects::Effect(all.vars(str2lang(label)), mod, se = se, ...)
  })
  structure(effects, names = gsub(" ", "", labels[highest]), class = "efflist")
}

#' The fixed part of a formula, for rows of average groups
#' @noRd
average_formula <- function(mod) of_average_group(stats::formula(mod$terms))

#' A formula in which the grouping factors of within_between() are text, and so no variables
#'
#' 'effects' takes all variables of the formula for predictors, and those that are not asked for at
#' their mean, which a grouping factor does not have.
#' @noRd
of_average_group <- function(expr) {
  if (is_within_between(expr)) {
    arguments <- as.list(match.call(within_between, as.call(c(quote(f), as.list(expr)[-1L]))))[-1L]
    first <- list(arguments$x, code_label(arguments$g, Inf))
    return(as.call(c(expr[[1L]], first, arguments[setdiff(names(arguments), c("x", "g"))])))
  }
  if (is.call(expr)) {
    expr[-1L] <- lapply(as.list(expr)[-1L], of_average_group)
  }
  expr
}
