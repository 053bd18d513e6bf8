# Predictions of the population as tests of fixed effects: every method for degrees of freedom, and
# other covariance matrices.

#' Does a prediction need what only tests of fixed effects have?
#' @noRd
asks_for_tests <- function(ddf, vcov, cluster) {
  !is.null(vcov) || !is.null(cluster) || is.null(ddf_methods[[ddf]]$prediction)
}

#' Tests of fixed effects know nothing of random effects, nor of new observations
#'
#' @param is_mean is a mean of the population predicted?
#' @noRd
check_population_mean <- function(object, ddf, vcov, cluster, is_mean) {
  if (!is_mean && is_sampled(object)) {
    abort_sampled(
      "The standard error of a prediction with random effects, or of a new observation,",
      "Predict means of the population, with re.form = NA and interval = \"confidence\"."
    )
  }
  if (!is_mean) {
    what <- if (is.null(vcov) && is.null(cluster)) paste0("ddf = \"", ddf, "\"") else "vcov"
    ferrolmm_abort(
      paste0("`", what, "` is for means of the population, not for ",
             "random effects or new observations."), "argument",
      i = paste0("It goes with re.form = NA and interval = \"confidence\"; other predictions take ",
                 "`ddf` ", quote_names(prediction_methods(), Inf), ".")
    )
  }
  if (isTRUE(ddf_methods[[ddf]]$needs_reml) && !object$REML) {
    ferrolmm_abort(
      paste0("`ddf = \"", ddf, "\"` is defined for fits by REML."), "argument",
      i = "Predict from update(fit, REML = TRUE)."
    )
  }
}

#' With sampling weights only means of the population have standard errors
#' @returns the method for degrees of freedom
#' @noRd
check_sampled_prediction <- function(ddf, vcov, cluster, newparams, weights, correlated) {
  given <- c(
    newparams = !is.null(newparams), weights = !is.null(weights), residual.cor = correlated
  )
  if (any(given)) {
    abort_sampled(paste0("`", names(given)[given][[1L]], "` of predict()"), "Leave it out.")
  }
  ddf_of_clusters(ddf, vcov, cluster)
}

#' Standard errors and intervals of means of the population, x'beta
#'
#' The standard error is the root of x'Vx, V the covariance matrix of the method or `vcov`; limits
#' are quantiles of t with the degrees of freedom of the test of x'beta.
#' @param rows the rows, as [new_rows()] returns them.
#' @noRd
predict_population <- function(object, values, rows, se_fit, interval, level, ddf, vcov, cluster) {
  inference <- ddf_for(object, ddf, vcov, cluster)
  L <- fixed_matrix(object$terms, rows$frame, object$contrasts)
  L <- L[, kept_columns(object), drop = FALSE]
  L[is.na(values), ] <- 0
  tests <- test_rows(inference, L)
  # a mean that no coefficient is part of is known
  known <- !is.na(values) & rowSums(L != 0) == 0
  tests$se[known] <- 0
  tests$df[known] <- Inf
  fit <- values
  if (interval != "none") {
    half <- half_widths(inference, tests, level)
    fit <- cbind(fit = values, lwr = values - half, upr = values + half)
  }
  fit <- stats::napredict(rows$omitted, fit)
  if (!se_fit) {
    return(fit)
  }
  list(
    fit = fit,
    se.fit = stats::napredict(rows$omitted, stats::setNames(tests$se, names(values)))
  )
}
