# Data, model matrices, predictions and reference grids for 'insight'.

#' @noRd
get_data.lmm <- function(x, effects = "all", source = "environment", verbose = TRUE, ...) {
  check_fit(x)
  their_method("insight", "get_data", "merMod")(
    x, effects = match_part(effects), source = source, verbose = verbose, ...
  )
}

#' The model matrix of the fixed effects, for the rows of the fit or of `data`
#' @noRd
get_modelmatrix.lmm <- function(x, data = NULL, ...) {
  check_fit(x)
  matrix_of_rows(x, data)
}

#' Predictions in the class that 'insight' has for them
#'
#' Random effects are included where `data` has grouping variables with levels that are known, or by
#' `include_random`. With `iterations`, predictions are those of the parametric bootstrap given the
#' random effects, as for models of 'lme4'.
#' @noRd
get_predicted.lmm <- function(x, data = NULL, predict = "expectation", ci = NULL, ci_method = NULL,
                              include_random = "default", iterations = NULL, verbose = TRUE,
                              allow.new.levels = FALSE, newdata = NULL, type = NULL, vcov = NULL,
                              vcov_args = NULL, ...) {
  check_fit(x)
  answer <- answer_ggeffects(x)
  if (!is.null(answer)) {
    return(answer)
  }
  if (is.null(data)) data <- newdata
  predict <- match_choice(
    if (is.null(type)) predict else type, "predict",
    c("expectation", "expected", "response", "link", "prediction", "predicted")
  )
  if (is.null(data)) data <- get_data.lmm(x, verbose = FALSE)
  re_form <- included_random(x, data, include_random, allow.new.levels)
  parts <- insight::find_variables(x)
  if (is_no_random(re_form)) {
    data[setdiff(parts$random, unlist(parts[c("response", "conditional", "correlation")]))] <- NA
  }
  value <- function(fit) {
    predict.lmm(
      fit, data, re.form = re_form, random.only = all(names(data) %in% parts$random),
      allow.new.levels = allow.new.levels
    )
  }
  values <- if (is.null(iterations)) value(x) else drawn_values(x, iterations, value)
  limits <- get_predicted_ci.lmm(
    x, values, data = data, ci = ci, ci_method = ci_method, vcov = vcov, vcov_args = vcov_args,
    ci_type = if (startsWith(predict, "predict")) "prediction" else "confidence",
    verbose = verbose
  )
  attributes(values) <- c(
    attributes(values),
    Filter(Negate(is.null), list(ci_data = limits, data = data, ci = ci, predict = predict))
  )
  class(values) <- c("get_predicted", class(values))
  values
}

#' Means of a statistic of bootstrap fits, given the random effects, with its draws as an attribute
#' @noRd
drawn_values <- function(object, iterations, value) {
  draws <- as.data.frame(t(bootstrap.lmm(object, iterations, value, use.u = TRUE)$t))
  names(draws) <- paste0("iter_", seq_along(draws))
  structure(rowMeans(draws), iterations = draws)
}

#' Which random effects a prediction includes, as `re.form`
#' @noRd
included_random <- function(object, data, include, allow_new_levels) {
  if (inherits(include, "formula")) {
    return(include)
  }
  if (isFALSE(include) || identical(include, NA) || length(object$random) == 0L) {
    return(NA)
  }
  parts <- select_random(object, NULL)
  known <- tryCatch(
    {
      new_rows(object, data, parts, TRUE, allow_new_levels, stats::na.pass)
      TRUE
    },
    ferrolmm_error_newdata = identity
  )
  if (isTRUE(known)) {
    return(NULL)
  }
  if (isTRUE(include)) {
    stop(known)
  }
  NA
}

#' Standard errors and intervals of predictions
#'
#' Those of the population, as 'insight' has them for models of 'lme4': random effects are left out,
#' whatever the predictions have. A prediction interval adds the residual variance of the row.
#' [predict.lmm()] has those of rows of known groups.
#' @noRd
get_predicted_ci.lmm <- function(x, predictions = NULL, data = NULL, se = NULL, ci = 0.95,
                                 ci_type = "confidence", ci_method = NULL, vcov = NULL,
                                 vcov_args = NULL, verbose = TRUE, ...) {
  check_fit(x)
  theirs <- function(se) {
    their_method("insight", "get_predicted_ci", "default")(
      as_listed(x), predictions, data = data, se = se, ci = ci, ci_type = ci_type,
      ci_method = ci_method, vcov = vcov, vcov_args = vcov_args, verbose = verbose, ...
    )
  }
  drawn <- "iterations" %in% names(attributes(predictions))
  if (drawn || !is.null(se) || !is.null(vcov) || is.null(ci)) {
    return(theirs(se))
  }
  method <- easystats_ddf[if (is.null(ci_method)) "wald" else tolower(ci_method)]
  rows <- matrix_of_rows(x, data)
  inference <- if (is.na(method)) NULL else ddf_for(x, method)
  variance <- rep(NA_real_, nrow(rows))
  whole <- !is.na(rowSums(rows))
  variance[whole] <- row_variances(
    rows[whole, , drop = FALSE],
    if (is.null(inference)) fixed_covariance(x) else inference$variance
  )
  if (match_choice(ci_type, "ci_type", c("confidence", "prediction")) == "prediction") {
    variance <- variance + residual_variance_of_rows(x, data)
  }
  se <- sqrt(variance)
  if (is.null(inference) || is.null(predictions)) {
    return(theirs(se))
  }
  df <- rep(NA_real_, nrow(rows))
  df[whole] <- inference$single(rows[whole, , drop = FALSE])
  half <- outer(seq_along(se), (1 + ci) / 2, function(i, p) se[i] * stats::qt(p, df[i]))
  limits <- lapply(seq_along(ci), function(k) {
    limits <- list(
      CI_low = as.numeric(predictions) - half[, k], CI_high = as.numeric(predictions) + half[, k]
    )
    if (length(ci) > 1L) names(limits) <- paste0(names(limits), "_", ci[[k]])
    limits
  })
  data.frame(SE = se, do.call(c, limits))
}

#' Variances of new observations about their means, for the rows of the fit or of `data`
#' @noRd
residual_variance_of_rows <- function(object, data = NULL) {
  if (is.null(data)) {
    return(object$sigma^2 * residual_variances(object))
  }
  parts <- select_random(object, NA)
  rows <- new_rows(
    object, data, parts, FALSE, TRUE, stats::na.pass, residual_columns(object$residual, "scales")
  )
  means <- predicted_values(object, rows, parts, FALSE)
  object$sigma^2 * noise_variances(object, rows, NULL, means)
}

#' A reference grid of the predictors; variables of the residual structure alone are none
#' @noRd
get_datagrid.lmm <- function(x, ..., data = NULL, include_random = FALSE) {
  check_fit(x)
  asked <- list(...)
  parts <- insight::find_variables(x)
  other <- setdiff(
    unlist(parts[c("correlation", "dispersion")]),
    c(unlist(parts[c("response", "conditional")]), unlist(asked[c("at", "by")]),
      if (isTRUE(include_random)) parts$random)
  )
  if (is.null(data)) {
    data <- insight::get_data(x, verbose = FALSE)
    data <- data[setdiff(names(data), other)]
  }
  grid <- their_method("insight", "get_datagrid", "default")(
    as_listed(x), ..., data = data, include_random = include_random
  )
  # no group, as for models of 'lme4'
  variables <- insight::find_random(x, split_nested = TRUE, flatten = TRUE)
  absent <- setdiff(variables, c(names(grid), parts$conditional))
  if (isFALSE(include_random)) grid[absent] <- 0
  attr(grid, "model") <- x
  grid
}
