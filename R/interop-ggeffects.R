# Predictions for 'ggeffects' (2.x): a method for its internal generic, registered in zzz.R, whose
# default predicts for the group that happens to be the first.

#' Support for 'ggeffects'
#'
#' `ggeffects::ggpredict()`, `ggemmeans()`, `ggeffect()` and `predict_response()` give what they
#' give for models of 'lme4': predictions of the population. With `type = "random"` groups that are
#' focal terms, as in `c("Days", "Subject [308,309]")`, have their random effects, and the intervals
#' are for new observations: the residual variance is added, in models with a variance function that
#' of the row. Intervals have the residual degrees of freedom.
#'
#' @references
#' Lüdecke, D. (2018). ggeffects: tidy data frames of marginal effects from regression models.
#' *Journal of Open Source Software*, 3(26), 772.
#' @examplesIf requireNamespace("ggeffects", quietly = TRUE)
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age * Sex + (age | Subject), Orthodont)
#' ggeffects::ggpredict(fit, c("age", "Sex"))
#' @name ggeffects-lmm
#' @seealso [predict.lmm()]
NULL

#' @noRd
get_predictions.lmm <- function(model, data_grid = NULL, terms = NULL, ci_level = 0.95,
                                type = "fixed", typical = NULL, vcov = NULL, vcov_args = NULL,
                                condition = NULL, interval = "confidence", verbose = TRUE, ...) {
  check_fit(model)
  if (type %in% c("simulate", "simulate_random")) {
    theirs <- utils::getS3method("get_predictions", "merMod", envir = asNamespace("ggeffects"))
    return(theirs(
      model, data_grid = data_grid, terms = terms, ci_level = ci_level, type = type,
      typical = typical, condition = condition, interval = interval, verbose = verbose, ...
    ))
  }
  if (is.character(vcov)) {
    ferrolmm_abort(
      "`vcov` must be a covariance matrix, or a function that gives one.", "argument",
      i = "For instance vcov = clubSandwich::vcovCR(fit, type = \"CR2\")."
    )
  }
  if (is.function(vcov)) {
    vcov <- do.call(other_variance, c(list(model, vcov), vcov_args))
  } else if (!is.null(vcov)) {
    vcov <- other_variance(model, vcov)
  }
  focal <- c(sub(" *\\[.*", "", terms), names(condition))
  grid_predictions(model, data_grid, focal, type, ci_level, interval, vcov)
}

#' The grid with predictions and limits
#'
#' @param focal variables whose values the user chose: others that are grouping factors stand for no
#'   group.
#' @param variance NULL for the covariance matrix of the fit.
#' @noRd
grid_predictions <- function(object, grid, focal, type, level, interval, variance = NULL) {
  if (!type %in% c("fixed", "fe", "random", "re")) {
    ferrolmm_abort(
      paste0("`type` must be \"fixed\" or \"random\" for models of lmm()", describe_given(type),
             "."), "argument"
    )
  }
  random <- type %in% c("random", "re")
  known <- vapply(object$random, function(term) {
    random && all(as.character(unlist(term$leaves)) %in% focal)
  }, NA)
  re_form <- if (any(known)) {
    bars <- lapply(which(known), function(t) bar_of_term(object, t))
    stats::as.formula(call("~", Reduce(function(a, b) call("+", a, b), bars)))
  } else {
    NA
  }
  predicted <- predict.lmm(object, grid, re.form = re_form, allow.new.levels = TRUE)
  grid$predicted <- unname(predicted)
  if (is.null(level) || is.na(level)) {
    grid$conf.low <- grid$conf.high <- NA
    return(grid)
  }
  x <- fixed_matrix(
    object$terms, new_frame(object, grid, variable_columns(object$terms)[-1L]), object$contrasts
  )[, kept_columns(object), drop = FALSE]
  squares <- row_variances(x, if (is.null(variance)) vcov.lmm(object) else variance)
  squares[is.na(predicted)] <- NA
  if (random || identical(interval, "prediction")) {
    parts <- select_random(object, NA)
    rows <- new_rows(
      object, grid, parts, FALSE, TRUE, stats::na.pass, residual_columns(object$residual, "scales")
    )
    squares <- squares + object$sigma^2 * noise_variances(object, rows, NULL, predicted)
    attr(grid, "prediction.interval") <- TRUE
  }
  # the degrees of freedom that 'ggeffects' takes for models of 'lme4'
  half <- stats::qt((1 + level) / 2, df.residual.lmm(object)) * sqrt(squares)
  grid$conf.low <- grid$predicted - half
  grid$conf.high <- grid$predicted + half
  attr(grid, "std.error") <- sqrt(squares)
  grid
}
