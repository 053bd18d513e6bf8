# Sampling weights: the model with them, results, and calls of the engine.

#' The engine's view of a model with sampling weights
#' @noRd
weighted_model <- function(model, sampling) {
  if (is.null(sampling)) {
    return(model)
  }
  model$weights <- sampling$weights
  model$factors <- Map(function(factor, counts) {
    factor$counts <- counts
    factor
  }, model$factors, sampling$counts)
  model
}

#' A result of the engine with weights as the user has them: they sum to another number than that of
#' the rows
#' @noRd
result_of_weights <- function(result, sampling) {
  if (is.null(sampling)) {
    return(result)
  }
  times <- sampling$total / length(sampling$weights)
  for (name in c("criterion", "ldL2", "pwrss", "wrss", "ussq")) {
    result[[name]] <- result[[name]] * times
  }
  result$times <- times
  result$ldRX2 <- result$ldRX2 + result$rank * log(times)
  result$rx <- result$rx * sqrt(times)
  result$vcov_unscaled <- result$vcov_unscaled / times
  result
}

#' The robust covariance matrix of all parameters at `theta`, the optimum
#'
#' @param clusters codes of the rows from 1 to `count`.
#' @returns `covariance` of the kept coefficients and psi = (internal theta, sigma^2); `jacobian`
#'   from psi to the variance components, as [engine_satterthwaite()]
#' @noRd
engine_pseudo_likelihood <- function(model, theta, reml, control, clusters, count) {
  engine_value(rs_pseudo_likelihood(
    model, engine_options(reml, theta, control, optimize = FALSE), clusters, count
  ))
}

#' Scores of clusters as [engine_sandwich()] returns them
#'
#' @param joint with the Hessian of all parameters together, not of the fixed effects alone?
#' @noRd
engine_sampled_sandwich <- function(model, theta, reml, control, clusters, count, adjustment,
                                    moments, joint) {
  engine_value(rs_pseudo_likelihood_sandwich(
    model, engine_options(reml, theta, control, optimize = FALSE), clusters, count, adjustment,
    joint, moments
  ))
}
