# The likelihood of the model of a fit at other parameters than its estimates.

#' The log-likelihood at given parameters
#'
#' The engine evaluates the criterion at theta and phi, with the fixed effects and sigma that are
#' best there; away from these it falls by the quadratic form in R_X, and by the terms of sigma.
#' @param beta of the columns that were kept; `parameters` c(theta, phi).
#' @noRd
log_likelihood_at <- function(object, beta, parameters, sigma) {
  inputs <- engine_inputs(object, in_place = TRUE)
  control <- unconstrained_control(object)
  control["sigma"] <- list(NULL)
  there <- engine_fit(model_of(inputs), FALSE, as.double(parameters), control, optimize = FALSE)
  n <- count_observations(object)
  determinants <- there$criterion - n * (1 + log(2 * pi * there$pwrss / n))
  away <- there$rx %*% (beta - there$beta[!is.na(there$beta)])
  squares <- there$pwrss + sum(away^2)
  -(determinants + n * log(2 * pi * sigma^2) + squares / sigma^2) / 2
}
