#' Predict from a mixed model
#'
#' Predictions for the rows of the fit or for new ones: of the population (fixed effects only), of
#' the levels of the grouping factors (all random effects), or with some of the random effects.
#'
#' @param object A model fitted by [lmm()].
#' @param newdata A data frame with the variables of the prediction. By default the rows of the fit.
#'   Grouping variables are needed only for the random effects that are included.
#' @param re.form Which random effects to include: `NULL`, all; `NA` or `~0`, none; a one-sided
#'   formula of bar terms, only these (`~ (1 | g)` includes the intercepts of `g` but not its
#'   slopes). Smooth terms belong to the population: they are always included, see [smooths()].
#' @param random.only Only the random effects: no fixed effects, no smooth terms, no offset?
#' @param allow.new.levels For levels of grouping factors that the fit has not seen, and missing
#'   ones: random effects of zero (`TRUE`) or an error (`FALSE`)?
#' @param na.action What to do with rows with missing values in the variables needed: `na.pass`
#'   predicts `NA`, `na.omit` leaves them out, `na.exclude` puts `NA` back, `na.fail` is an error.
#' @param type Not used: link and response are the same in a linear mixed model.
#' @param se.fit Standard errors too?
#' @param interval `"confidence"`: an interval for the conditional mean of the row. `"prediction"`:
#'   one for a new observation in it.
#' @param level With `interval`, its level, between 0 and 1. Without, levels of grouping as 'nlme'
#'   counts them, by number or name: 0, the population, to Q, with all random effects; see
#'   [residuals.lmm()]. That is another way to say `re.form`, and one of the two at a time.
#' @param ddf The method for the degrees of freedom of the intervals, for each row:
#'   `r ddf_choices(prediction_methods())`; for means of the population (`re.form = NA`, and no
#'   prediction interval) all of those of tests, see [ddf].
#' @param vcov,cluster For means of the population, another covariance matrix of the fixed effects
#'   than the model's: a type such as `"CR2"`, a matrix or a function, with degrees of freedom as
#'   [contest()] has them. See [robust].
#' @param weights Prior weights of the observations that prediction intervals are for: one number,
#'   or one for each row. By default those of the fit for the rows of the fit, and 1 for new rows.
#' @param residual.cor For correlated residuals: predict new observations in groups that already
#'   have observations, see below?
#' @param newparams Other parameters to predict with: a list with some of `beta`, `theta`, `phi` (of
#'   a residual structure) and `sigma`, named or in the order of the fit's. The others stay as they
#'   are. Random effects are their conditional modes at these parameters. ('lme4' keeps the
#'   spherical ones of the fit.)
#' @param ... Not used; `numderiv =` is accepted, any other argument is an error.
#'
#' @section Standard errors:
#' Write a prediction as \eqn{x'\hat\beta + z'\hat b}, \eqn{z} with zeros for the random effects
#' that `re.form` leaves out. Its standard error is that of \eqn{x'\hat\beta + z'\hat b - x'\beta -
#' z'b} (Henderson, 1975), the estimated variance parameters taken as known:
#' - for the population, the root of \eqn{x'Cx}, with \eqn{C} = `vcov(object)`;
#' - for levels that the fit has seen, that of Henderson's prediction error variance, which adds the
#'   uncertainty of \eqn{\hat b} and its covariance with \eqn{\hat\beta};
#' - for a new level, that of \eqn{x'Cx + z'Gz}: a level about which nothing is known varies with
#'   the full covariance matrix \eqn{G} of its random effects.
#'
#' A prediction interval adds the residual variance, \eqn{\sigma^2 / w} (times \eqn{d^2}, with a
#' variance function): it is for an observation whose residual is not correlated with those of the
#' fit. Limits are quantiles of t, with degrees of freedom by Satterthwaite's approximation to the
#' row's variance, \eqn{2 v^2 / Var(\hat v)}, at least 1. That needs the variance at a few values of
#' each variance parameter; `ddf = "asymptotic"`, which gives normal quantiles, avoids it, and so
#' does `ddf = "residual"`, with as many degrees of freedom as rows less coefficients.
#' @section Correlated residuals:
#' With a residual structure such as `corAR1()` the observed rows of a group carry information about
#' the residuals of its other rows: `residual.cor = TRUE` adds
#' \eqn{r'R^{-1}e} to the prediction, \eqn{e} the residuals of the group and \eqn{r} the covariances
#' with them of the new one. This is the best linear unbiased prediction of the observation
#' (kriging, for spatial structures), so the standard error is that of a new observation, and
#' `interval = "prediction"` the only interval. New rows are correlated with those of the fit, not
#' with each other. Where positions in a group are the order of rows, new rows follow those of the
#' fit. Groups that are new have no observed residuals.
#' @section Predictions that cannot be estimated:
#' Where columns of the fixed effects were dropped because of rank deficiency (an empty cell of two
#' factors, predictors that are combinations of others), the data determine the mean only of rows
#' that are combinations of rows of the fit. Others are `NA`, with a warning of class
#' `ferrolmm_warning_estimable` that counts them; [simulate()][simulate.lmm], standard errors and
#' intervals do the same. What is estimable does not depend on which columns were dropped.
#' @references
#' Henderson, C. R. (1975). Best linear unbiased estimation and prediction under a selection model.
#' *Biometrics*, 31, 423-447.
#' @returns A vector with one number for each row, named by row; with `interval`, a matrix of
#'   columns `fit`, `lwr` and `upr`. With `se.fit = TRUE` a list of these as `fit`, and `se.fit`.
#'   With several levels of grouping a data frame as that of 'nlme': the groups, and a column
#'   `predict.` and the name of the level for each of them.
#' @seealso [emmeans-lmm] for marginal means, [simulate.lmm()], [ranef.lmm()].
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' head(predict(fit))
#' new <- data.frame(age = 16, Subject = c("M01", "F01", "new"))
#' predict(fit, new, re.form = NA)
#' predict(fit, new[1:2, ], level = 0:1)
#' predict(fit, new, allow.new.levels = TRUE)
#' predict(fit, new, re.form = ~ (1 | Subject), allow.new.levels = TRUE)
#' predict(fit, new, allow.new.levels = TRUE, interval = "prediction")
#' @importFrom stats predict
#' @export
predict.lmm <- function(object, newdata = NULL, re.form = NULL,
                        random.only = FALSE,
                        allow.new.levels = FALSE,
                        na.action = stats::na.pass,
                        type = c("response", "link"),
                        se.fit = FALSE,
                        interval = c("none", "confidence", "prediction"),
                        level = 0.95, ddf = "Satterthwaite",
                        weights = NULL, residual.cor = FALSE, newparams = NULL,
                        vcov = NULL, cluster = NULL, ...) {
  check_dots(..., allowed = "numderiv")
  interval <- match_choice(interval, "interval", c("none", "confidence", "prediction"))
  check_flag(se.fit, "se.fit")
  if (!is.null(newparams)) {
    require_bounds(object, "`newparams`")
    refuse_eliminated(object, "`newparams`")
    check_no_errors(se.fit || isTRUE(residual.cor) || interval != "none" || !is.null(vcov))
    object <- with_parameters(object, newparams)
  }
  groups <- grouping_of_prediction(object, level, missing(level), interval, re.form)
  if (length(groups) > 1L) {
    if (se.fit || !isFALSE(residual.cor) || !is.null(vcov) || !is.null(cluster)) {
      ferrolmm_abort(
        "`se.fit`, `vcov` and `residual.cor` are for one `level` at a time.", "argument"
      )
    }
    others <- list(random.only = random.only, allow.new.levels = allow.new.levels, type = type)
    others$na.action <- if (!missing(na.action)) na.action
    return(predict_levels(object, newdata, groups, function(level) {
      do.call(predict.lmm, c(list(object, newdata, level = level), others), quote = TRUE)
    }))
  }
  check_flag(residual.cor, "residual.cor")
  check_flag(random.only, "random.only")
  check_flag(allow.new.levels, "allow.new.levels")
  match_choice(type, "type", c("response", "link"))
  ddf <- match_ddf(ddf)
  if (is_sampled(object)) {
    ddf <- check_sampled_prediction(ddf, vcov, cluster, newparams, weights, residual.cor)
  }
  na_action <- if (!missing(na.action) || !is.null(newdata)) check_na_function(na.action)
  parts <- if (is.null(groups)) {
    select_random(object, re.form)
  } else {
    parts_of_level(object, groups)
  }
  if (random.only) parts <- parts_of_bars(object, parts)
  if (residual.cor) {
    check_residual_prediction(object, newdata, parts, random.only, interval)
  }
  observation <- residual.cor || interval == "prediction"
  tested <- if (is_sampled(object)) {
    se.fit || interval != "none"
  } else {
    asks_for_tests(ddf, vcov, cluster)
  }
  if (tested) refuse_eliminated(object, "A prediction with `vcov`, `cluster` or such `ddf`")
  if (tested && has_smooths(object)) {
    ferrolmm_abort(
      "Predictions of models with smooth terms take no `vcov` and `cluster`.", "argument",
      i = paste0("`ddf` is one of ", quote_names(prediction_methods(), Inf), ".")
    )
  }
  if (tested) {
    is_mean <- length(parts) == 0L && !random.only && !observation
    check_population_mean(object, ddf, vcov, cluster, is_mean)
    if (!se.fit && interval == "none") {
      ferrolmm_abort(
        "`ddf`, `vcov` and `cluster` are for `se.fit` and `interval`.", "argument"
      )
    }
  }
  if (!is.null(weights) && !observation) {
    ferrolmm_abort(
      "`weights` are those of new observations: they are for interval = \"prediction\".", "argument"
    )
  }
  rows <- if (is.null(newdata)) {
    training_rows(object, parts, na_action)
  } else {
    new_rows(
      object, newdata, parts, random.only, allow.new.levels, na_action,
      c(
        if (!random.only) eliminated_columns(object),
        if (observation) {
          residual_columns(object$residual, if (residual.cor) "all" else "scales")
        }
      )
    )
  }
  values <- predicted_values(object, rows, parts, random.only)
  means <- values
  target <- list(
    rows = rows, parts = parts, random_only = random.only, correlated = residual.cor,
    noise = if (observation) function(phi) noise_variances(object, rows, weights, means, phi)
  )
  if (residual.cor) {
    target$design <- correlated_design(object, target, weights, means)
    values <- values + correlated_predictions(object, target, theta_of(object))$values
  }
  names(values) <- rows$names
  if (!se.fit && interval == "none") {
    return(stats::napredict(rows$omitted, values))
  }
  if (tested) {
    return(predict_population(
      object, values, rows, se.fit, interval, level, ddf, vcov, cluster
    ))
  }
  predict_uncertain(
    object, values, target, se.fit, interval, level, ddf
  )
}

#' Variances of predictions that there are where those of random effects may be negative: effects
#' that would have a negative variance cannot be predicted with an error
#' @noRd
known_variances <- function(variances) {
  negative <- which(variances < 0)
  if (length(negative) > 0L) {
    ferrolmm_warn(
      paste0("Standard errors of ", count_of(length(negative), "prediction"), " are NA: a ",
             "negative variance of random effects leaves ",
             if (length(negative) > 1L) "them" else "it", " without a variance."),
      "nobound", i = "Predict means of the population, with re.form = NA."
    )
  }
  replace(variances, negative, NA_real_)
}

#' Given parameters have no standard errors
#' @noRd
check_no_errors <- function(wanted) {
  if (wanted) {
    ferrolmm_abort(
      "Parameters that are given have no standard errors.", "argument",
      i = "`newparams` goes without `se.fit`, `interval` and `residual.cor`."
    )
  }
}

#' Standard errors and intervals around predicted values
#'
#' @param target list(rows, parts, random_only, noise): what is predicted; `noise` gives the
#'   residual variance relative to sigma^2 of each row at a phi, NULL for a conditional mean.
#' @noRd
predict_uncertain <- function(object, values, target, se_fit, interval, level, ddf) {
  relative <- function(theta, noise) {
    if (target$correlated) {
      return(correlated_predictions(object, target, theta)$variances)
    }
    variances <- target_variances(object, target, theta)
    if (noise && !is.null(target$noise)) {
      variances + target$noise(theta[length(object$theta) + seq_along(object$phi)])
    } else {
      variances
    }
  }
  if (interval != "none") {
    require_bounds(object, "An interval of predictions that depend on random effects or new noise")
  }
  means <- relative(theta_of(object), noise = FALSE)
  means[is.na(values)] <- NA
  if (is_nobound(object)) means <- known_variances(means)
  fit <- values
  if (interval != "none") {
    variances <- object$sigma^2 * if (is.null(target$noise) || target$correlated) {
      means
    } else {
      means + target$noise(unname(object$phi))
    }
    df <- ddf_methods[[ddf]]$prediction(
      object, variances, function(theta) relative(theta, noise = TRUE)
    )
    half <- stats::qt((1 + level) / 2, df) * sqrt(variances)
    fit <- cbind(fit = values, lwr = values - half, upr = values + half)
  }
  omitted <- target$rows$omitted
  fit <- stats::napredict(omitted, fit)
  if (!se_fit) {
    return(fit)
  }
  se <- object$sigma * sqrt(means)
  names(se) <- names(values)
  list(fit = fit, se.fit = stats::napredict(omitted, se))
}
