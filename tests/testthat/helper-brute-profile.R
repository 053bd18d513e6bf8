# The rise of the criterion when one standard deviation, correlation or sigma is fixed and all
# others are fitted again by a general-purpose optimiser, from brute_force(); for small n.

# (theta, sigma) of the parameters of a model with terms (1 | g), or with one term of two effects
brute_theta <- function(parameters, correlated) {
  sigma <- parameters[[length(parameters)]]
  if (correlated) {
    rho <- parameters[[2]]
    theta <- c(
      parameters[[1]], parameters[[3]] * rho, parameters[[3]] * sqrt(max(1 - rho^2, 0))
    )
  } else {
    theta <- parameters[-length(parameters)]
  }
  theta / sigma
}

# Unprofiled criterion: sigma is a parameter like the others
brute_criterion <- function(parameters, fit, inputs, correlated) {
  n <- length(inputs$fixed$y)
  df <- if (isREML(fit)) n - ncol(inputs$fixed$X) else n
  at <- brute_force(
    brute_theta(parameters, correlated), inputs$fixed$y, inputs$fixed$X, inputs$random$design,
    inputs$fixed$weights, inputs$fixed$offset, reml = isREML(fit)
  )
  sigma <- parameters[[length(parameters)]]
  at$criterion + df * (log(sigma^2) - log(at$sigma^2) - 1) + at$pwrss / sigma^2
}

brute_rise <- function(fit, number, value, correlated = FALSE) {
  estimates <- as.data.frame(VarCorr(fit), order = "lower.tri")$sdcor
  is_correlation <- correlated & seq_along(estimates) == 2
  inputs <- engine_inputs(fit)
  objective <- function(v) {
    parameters <- estimates
    parameters[-number] <- ifelse(is_correlation[-number], tanh(v), exp(v))
    parameters[number] <- value
    brute_criterion(parameters, fit, inputs, correlated)
  }
  # a correlation that is free may end at either side
  free <- log(pmax(estimates, 0.1))
  starts <- lapply(if (correlated && number != 2) c(-1, 1) else 1, function(sign) {
    free[is_correlation] <- sign * atanh(estimates[is_correlation])
    free[-number]
  })
  found <- vapply(starts, function(start) {
    nlminb(start, objective, control = list(rel.tol = 1e-13))$objective
  }, 1)
  min(found) - fit$criterion
}
