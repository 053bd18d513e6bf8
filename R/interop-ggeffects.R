# Predictions for 'ggeffects', whose default predicts for the group that happens to be the first: a
# method for its internal generic, registered in zzz.R; and for version 1, which has no generic,
# what get_predicted() of 'insight' answers to it.

#' Support for 'ggeffects'
#'
#' `ggeffects::ggpredict()`, `ggemmeans()`, `ggeffect()` and `predict_response()` give what they
#' give for models of 'lme4': predictions of the population. With `type = "random"` groups that are
#' focal terms, as in `c("Days", "Subject [308,309]")`, have their random effects. With
#' `interval = "prediction"`, and in version 1 with `type = "random"`, intervals are for new
#' observations: the residual variance is added, in models with a variance function that of the row.
#' Intervals have the residual degrees of freedom. `test_predictions()` works by 'emmeans'.
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
  variance <- ggeffects_variance(model, vcov, vcov_args)
  grid_predictions(
    model, data_grid, focal_variables(terms, condition), type, ci_level, interval, variance
  )
}

#' Tests of predictions, which stop at a class that 'insight' does not list
#' @noRd
test_predictions.lmm <- function(object, ...) {
  check_fit(object)
  theirs <- utils::getS3method("test_predictions", "default", envir = asNamespace("ggeffects"))
  theirs(as_listed(object), ...)
}

#' @noRd
focal_variables <- function(terms, condition) {
  c(trimws(sub("\\[.*", "", terms)), names(condition))
}

#' @noRd
ggeffects_variance <- function(model, variance, arguments = NULL) {
  if (is.null(variance)) {
    return(NULL)
  }
  if (is.character(variance)) {
    ferrolmm_abort(
      "The covariance matrix must be a matrix, or a function that gives one.", "argument",
      i = "For instance clubSandwich::vcovCR(fit, type = \"CR2\")."
    )
  }
  if (is.function(variance)) {
    return(do.call(other_variance, c(list(model, variance), arguments)))
  }
  other_variance(model, variance, "vcov")
}

#' What version 1 of 'ggeffects' asks for, when it asks get_predicted(); NULL where it does not
#'
#' It passes neither the kind of prediction nor the level on. Its frames have both, and the grid,
#' whose standard errors it reads from attributes.
#' @returns a data frame with the columns `Predicted`, `CI_low` and `CI_high`
#' @noRd
answer_ggeffects <- function(object) {
  if (!isNamespaceLoaded("ggeffects")) {
    return(NULL)
  }
  home <- asNamespace("ggeffects")
  asks <- get0("select_prediction_method", home, inherits = FALSE)
  takes <- get0("get_predictions_generic", home, inherits = FALSE)
  if (is.null(asks) || is.null(takes)) {
    return(NULL)
  }
  frame_of <- function(f) {
    at <- Filter(function(i) identical(sys.function(i), f), seq_len(sys.nframe()))
    if (length(at) > 0L) sys.frame(max(at))
  }
  asked <- frame_of(asks)
  taken <- frame_of(takes)
  if (is.null(asked) || is.null(taken)) {
    return(NULL)
  }
  grid <- if (asked$type %in% c("sim", "sim_re")) {
    level <- if (is.null(asked$ci.lvl) || is.na(asked$ci.lvl)) 0.95 else asked$ci.lvl
    simulated <- get(".do_simulate", home)
    simulated(object, asked$terms, (1 + level) / 2, asked$type)
  } else {
    grid_predictions(
      object, taken$data_grid, focal_variables(asked$terms, asked$condition), asked$type,
      asked$ci.lvl, if (asked$type == "re") "prediction" else asked$interval,
      ggeffects_variance(object, asked$vcov.fun, asked$vcov.args)
    )
  }
  taken$data_grid <- grid
  data.frame(Predicted = grid$predicted, CI_low = grid$conf.low, CI_high = grid$conf.high)
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
  if (identical(interval, "prediction")) {
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
