# Methods for 'performance' and the model comparisons that start at 'insight', registered in zzz.R.
# R2 and intraclass correlations follow from get_variance(), criteria from get_loglikelihood().

#' @noRd
model_performance.lmm <- function(model, ...) {
  check_fit(model)
  their_method("performance", "model_performance", "merMod")(model, ...)
}

#' R2 of [r_squared()]; with `ci`, quantiles of the parametric bootstrap
#' @noRd
r2.lmm <- function(model, by_group = FALSE, ci = NULL, iterations = 100, ...) {
  check_fit(model)
  if (isTRUE(by_group)) {
    return(performance::r2_nakagawa(model, by_group = TRUE, ...))
  }
  values <- r_squared(model)
  limits <- if (!is.null(ci)) {
    draws <- bootstrap.lmm(model, iterations, function(fit) r_squared(fit))$t
    apply(draws, 2L, stats::quantile, c(1 - ci, 1 + ci) / 2)
  }
  with_limits <- function(value, column) {
    c(value, if (!is.null(ci)) c(CI_low = limits[[1L, column]], CI_high = limits[[2L, column]]))
  }
  structure(
    list(
      R2_conditional = with_limits(c(`Conditional R2` = values[["conditional"]]), 2L),
      R2_marginal = with_limits(c(`Marginal R2` = values[["marginal"]]), 1L)
    ),
    class = c("r2_nakagawa", "list"), ci = ci
  )
}

#' AIC of the likelihood that was maximised, or of the other one
#' @noRd
performance_aic.lmm <- function(x, estimator = if (x$REML) "REML" else "ML", ...) {
  stats::AIC(get_loglikelihood.lmm(
    x, REML = match_choice(estimator, "estimator", c("ML", "REML")) == "REML",
    check_response = TRUE
  ))
}

#' @noRd
performance_aicc.lmm <- function(x, estimator = if (x$REML) "REML" else "ML", ...) {
  match_choice(estimator, "estimator", c("ML", "REML"))
  their_method("performance", "performance_aicc", "default")(x, estimator = estimator)
}

#' Normality of the residuals, or of the random effects
#'
#' Of studentized residuals; where residuals are correlated, of normalized ones.
#' @noRd
check_normality.lmm <- function(x, effects = "fixed", ...) {
  check_fit(x)
  effects <- match_choice(effects, "effects", c("fixed", "random"))
  if (effects == "random") need_random(x, "check_normality(effects = \"random\")")
  result <- if (effects == "fixed" && has_correlation(x)) {
    values <- normalized_residuals(x)
    test <- if (length(values) < 5000) {
      stats::shapiro.test(values)
    } else {
      stats::ks.test(values, "pnorm")
    }
    structure(
      test$p.value, type = "residuals", data = x, effects = effects,
      class = c("check_normality", "see_check_normality", "numeric")
    )
  } else {
    their_method("performance", "check_normality", "merMod")(x, effects = effects, ...)
  }
  attr(result, "object_name") <- paste(deparse(substitute(x), 500L), collapse = " ")
  result
}

#' Uniformity of simulated residuals, in later versions of 'performance'
#' @noRd
check_residuals.lmm <- function(x, alternative = "two.sided", ...) {
  check_fit(x)
  simulate_residuals <- getExportedValue("performance", "simulate_residuals")
  check_residuals <- getExportedValue("performance", "check_residuals")
  check_residuals(simulate_residuals(x, ...), alternative = alternative)
}

#' Overdispersion, which simulated residuals tell of in later versions of 'performance'
#' @noRd
check_overdispersion.lmm <- function(x, ...) {
  check_fit(x)
  their_method("performance", "check_overdispersion", "merMod")(x, ...)
}

#' Which predictors vary within groups
#' @noRd
check_group_variation.lmm <- function(x, ...) {
  check_fit(x)
  their_method("performance", "check_group_variation", "default")(as_listed(x), ...)
}

#' All diagnostics together
#' @noRd
check_model.lmm <- function(x, ...) {
  check_fit(x)
  if (has_correlation(x)) x <- as_whitened(x)
  their_method("performance", "check_model", "default")(x, ...)
}

#' @noRd
check_singularity.lmm <- function(x, tolerance = 1e-5, ...) {
  isSingular.lmm(x, tol = tolerance)
}

#' @noRd
check_convergence.lmm <- function(x, tolerance = 0.001, ...) {
  is_converged.lmm(x, tolerance)
}

#' Models to be compared, of which the first is one of ours
#' @noRd
ellipsis_info.lmm <- function(objects, ...) {
  check_fit(objects)
  # the models as they are written in the call of the function that hands them on
  written <- if (exists("...", parent.frame(), inherits = FALSE)) {
    as.list(eval(quote(substitute(list(...))), parent.frame()))[-1L]
  }
  given <- list(objects, ...)
  is_option <- names(given) %in% c("only_models", "verbose")
  if (length(is_option) == 0L) is_option <- logical(length(given))
  models <- given[!is_option]
  names <- if (length(written) == length(models)) {
    vapply(written, deparse_call, "")
  } else {
    rep_len("model", length(models))
  }
  result <- call_compared(
    their_method("insight", "ellipsis_info", "default"), models, unname(names), given[is_option]
  )
  if (length(models) > 1L) names(result) <- make.unique(unname(names))
  result
}

#' Bayes factors from BIC
#' @noRd
bayesfactor_models.lmm <- function(..., denominator = 1, verbose = TRUE) {
  models <- list(...)
  written <- as.list(match.call(expand.dots = FALSE))
  names <- vapply(written$..., deparse_call, "")
  is_option <- names(models) %in% c("estimator", "check_response")
  if (length(is_option) == 0L) is_option <- logical(length(models))
  arguments <- c(models[is_option], list(denominator = denominator, verbose = verbose))
  models <- models[!is_option]
  names <- names[!is_option]
  if (inherits(denominator, "lmm")) {
    # by its name, so that it is recognised among the others
    name <- deparse_call(written$denominator)
    arguments$denominator <- as.name(name)
    if (!name %in% names) {
      models <- c(models, list(denominator))
      names <- c(names, name)
    }
  }
  call_compared(
    their_method("bayestestR", "bayesfactor_models", "default"), models, names, arguments
  )
}
