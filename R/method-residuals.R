#' Residuals and fitted values
#'
#' Fitted values contain the random effects (and the offset, if there is one): they are the
#' conditional means of the response. `level` gives those with fewer random effects.
#'
#' @param object A model fitted by [lmm()].
#' @param level Levels of grouping as 'nlme' counts them, see the section below: numbers or names.
#'   By default the last one, with all random effects.
#' @param type The type of residual. `"response"` (and `"working"`): observed minus fitted.
#'   `"pearson"` (and `"deviance"`): times the square root of the prior weight, divided by the
#'   variance function. `"scaled"`: Pearson residuals divided by the residual standard deviation.
#'   `"normalized"`: scaled residuals with their estimated correlations taken out: \eqn{L^{-1}}
#'   times those of a residual group in the order of their positions, \eqn{LL'} their correlation
#'   matrix, \eqn{L} lower triangular. Each is what its row adds to the rows before it, divided by
#'   its standard deviation. (For `corCompSymm()` 'nlme' has the mean of the group and contrasts
#'   instead, which belong to no row; their sum of squares is the same.) `"marginal"`: observed
#'   minus \eqn{X\hat\beta}. `"std_conditional"`, `"std_marginal"`: standardised, see the details.
#' @param scaled Divide by the residual standard deviation?
#' @param ... Not used.
#' @section Levels of grouping:
#' Level 0, or `"fixed"`, is the population: no random effects. Level 1 has those of the outermost
#' grouping factor, the one with the fewest levels, level 2 also those of the next one, and so on.
#' Where factors are crossed, only 0 and the last level have a meaning. Names are those of
#' [ngrps()][ngrps.lmm].
#'
#' Pearson residuals of 'nlme' are divided by the residual standard deviation: here these are
#' `"scaled"`, as `"pearson"` means what it does in 'lme4'.
#' @details
#' Standardised residuals are divided by their own estimated standard deviation (Santos Nobre and
#' Singer, 2007). With \eqn{h_i} the leverage of [hatvalues.lmm()], \eqn{w_i} the prior weight,
#' \eqn{G} the covariance matrix of the random effects and \eqn{C} = `vcov(object)`,
#' \deqn{Var(e_i) = \sigma^2 (1 - h_i) / w_i} for the conditional residual \eqn{e_i = y_i -
#' x_i'\hat\beta - z_i'\hat b}, and \deqn{Var(r_i) = \sigma^2 / w_i + z_i'Gz_i - x_i'Cx_i} for the
#' marginal one, \eqn{r_i = y_i - x_i'\hat\beta}. `rstandard()` gives the standardised conditional
#' residuals. `rstudent()` uses for each the \eqn{\sigma} that is estimated without its row (at the
#' same relative variance parameters), which makes it the residual to compare with a t distribution.
#' @returns A vector with one number for each row that was used, named by the rows of the data; for
#'   several levels a data frame with a column for each, named by it. After
#'   `na.action = na.exclude` the rows left out are there, as `NA`.
#' @references
#' Santos Nobre, J. and Singer, J. M. (2007). Residual analysis for linear mixed models.
#' *Biometrical Journal*, 49, 863-875.
#' @seealso [plot.lmm()], [hatvalues.lmm()]
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' head(fitted(fit))
#' head(fitted(fit, level = 0:1))
#' head(residuals(fit, type = "scaled"))
#' head(rstudent(fit))
#' @importFrom stats residuals
#' @export
residuals.lmm <- function(object,
                          type = c(
                            "response", "pearson", "scaled", "working", "deviance", "marginal",
                            "std_conditional", "std_marginal", "normalized"
                          ),
                          scaled = FALSE, level = NULL, ...) {
  # performance::r2_xu() passes `verbose`
  check_dots(..., allowed = "verbose", hints = c(asList = split_hint))
  type <- match_choice(type, "type", eval(formals(residuals.lmm)$type))
  check_flag(scaled, "scaled")
  if (!is.null(level)) {
    refuse_eliminated(object, "`level`")
    return(level_residuals(object, type, scaled, level))
  }
  if (is_sampled(object) && type %in% c("std_conditional", "std_marginal")) {
    abort_sampled(
      paste0("`type = \"", type, "\"`"), "Use type = \"pearson\", which takes no leverages."
    )
  }
  if (type %in% c("marginal", "std_conditional", "std_marginal", "normalized")) {
    refuse_eliminated(object, paste0("type = \"", type, "\""))
    values <- switch(type,
      normalized = normalized_residuals(object),
      marginal = marginal_residuals(object) / if (scaled) object$sigma else 1,
      std_conditional = standardised_conditional(object),
      std_marginal = standardised_marginal(object)
    )
    return(stats::naresid(object$na.action, name_rows(values, object)))
  }
  values <- object$residuals
  if (type %in% c("pearson", "deviance", "scaled")) {
    values <- values / sqrt(residual_variances(object))
  }
  if (type == "scaled" || scaled) {
    values <- values / object$sigma
  }
  stats::naresid(object$na.action, name_rows(values, object))
}

#' @noRd
split_hint <- "split(residuals(fit), getGroups(fit)) is a list of groups."

#' Residuals from the fitted values of levels of grouping
#' @noRd
level_residuals <- function(object, type, scaled, level) {
  if (type %in% c("marginal", "std_conditional", "std_marginal")) {
    ferrolmm_abort(
      paste0("Residuals of type \"", type, "\" belong to one level: leave `level` out."), "argument"
    )
  }
  levels <- match_group_levels(level, object)
  y <- response_values(object)
  by_level(object, levels, function(level) {
    values <- y - fitted_at(object, level)
    if (type == "normalized") {
      return(normalized_residuals(object, values))
    }
    if (type %in% c("pearson", "deviance", "scaled")) {
      values <- values / sqrt(residual_variances(object))
    }
    if (type == "scaled" || scaled) values / object$sigma else values
  }, stats::naresid)
}

#' Response minus X beta and offset
#' @noRd
marginal_residuals <- function(object) {
  response_values(object) - fixed_part(object, object$frame, object$offset)
}

#' Conditional residuals over their standard deviations; 0/0 where a row determines its own fit
#' @noRd
standardised_conditional <- function(object, sigma = object$sigma,
                                     leverages = training_leverages(object)) {
  values <- leverages$residuals / (sigma * sqrt(residual_variances(object) * leverages$left))
  values[leverages$left <= 0] <- NaN
  values
}

#' Marginal residuals over their standard deviations
#' @noRd
standardised_marginal <- function(object) {
  x <- fixed_matrix(object$terms, object$frame, object$contrasts)
  x <- x[, kept_columns(object), drop = FALSE]
  total <- residual_variances(object) + random_variances(object)
  left <- total - rowSums((x %*% object$vcov_unscaled) * x)
  marginal_residuals(object) / (object$sigma * sqrt(beyond_rounding(left, total)))
}

#' What is left of `total`, NA where that is mere rounding: a row that alone determines an effect
#' has a residual of zero, and without it the effect is not determined
#' @noRd
beyond_rounding <- function(left, total = 1) {
  left[left <= 1e-10 * total] <- NA
  left
}

#' z'Gz of the rows of the fit, relative to sigma^2
#' @noRd
random_variances <- function(object) {
  require_bounds(object, "A standardized residual")
  factors <- term_factors(unname(object$theta), object$random)
  variances <- numeric(nobs.lmm(object))
  for (t in seq_along(factors)) {
    term <- object$random[[t]]
    codes <- as.integer(object$flist[[term$factor]])
    members <- factor_members(object, term$factor)
    level <- if (is.null(members)) {
      level_variances(object, term$factor)[codes]
    } else {
      squared_weights(members)
    }
    columns <- term_columns(term, object$frame)
    for (class in seq_along(factors[[t]])) {
      own <- if (is.null(term$class_of)) 1 else term$class_of[codes] == class
      variances <- variances + own * level * basis_variances(factors[[t]][[class]], columns)
    }
  }
  variances
}

#' z'TT'z of rows with these basis columns
#' @noRd
basis_variances <- function(factor, columns) {
  variances <- 0
  for (j in seq_along(columns)) {
    # the j-th entry of T'z
    entry <- 0
    for (i in which(factor[, j] != 0)) {
      entry <- entry + factor[i, j] * if (is.null(columns[[i]])) 1 else columns[[i]]
    }
    variances <- variances + entry^2
  }
  variances
}

#' @rdname residuals.lmm
#' @param model A model fitted by [lmm()].
#' @importFrom stats rstandard
#' @export
rstandard.lmm <- function(model, ...) {
  check_dots(...)
  residuals.lmm(model, "std_conditional")
}

#' @rdname residuals.lmm
#' @importFrom stats rstudent
#' @export
rstudent.lmm <- function(model, ...) {
  check_dots(...)
  leverages <- training_leverages(model)
  values <- standardised_conditional(model, deletion_sigma(model, leverages), leverages)
  stats::naresid(model$na.action, name_rows(values, model))
}

#' The residual standard deviation without each row, at the same theta
#'
#' Deleting row i lowers the penalised residual sum of squares by w e^2 / (1 - h), as in a linear
#' model.
#' @noRd
deletion_sigma <- function(object, leverages) {
  if (!is.null(object$control$sigma)) {
    return(rep.int(object$sigma, length(leverages$hat)))
  }
  degrees <- nobs.lmm(object) - (if (object$REML) object$rank else 0L) - penalty_of_sigma(object)
  left <- beyond_rounding(leverages$left, 0)
  squares <- leverages$residuals^2 / residual_variances(object) / left
  left <- object$devcomp$cmp[["pwrss"]] - squares
  sqrt(pmax(left, 0) / (degrees - 1))
}

#' @rdname residuals.lmm
#' @importFrom stats fitted
#' @export
fitted.lmm <- function(object, level = NULL, ...) {
  check_dots(..., hints = c(asList = sub("residuals", "fitted", split_hint)))
  if (!is.null(level)) {
    refuse_eliminated(object, "`level`")
    levels <- match_group_levels(level, object)
    return(by_level(object, levels, function(level) fitted_at(object, level), stats::napredict))
  }
  stats::napredict(object$na.action, name_rows(object$fitted.values, object))
}
