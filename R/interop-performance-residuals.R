# Checks of residuals by 'performance', registered in zzz.R. Where residuals are correlated they are
# of normalized residuals, which are independent and of one variance if the model holds.

#' Breusch and Pagan's test, by the score of Cook and Weisberg
#'
#' 'performance' divides squared residuals by the deviance over its degrees of freedom, whose units
#' are others: its p-value depends on the units of the response.
#' @references
#' Cook, R. D. and Weisberg, S. (1983). Diagnostics for heteroscedasticity in regression.
#' *Biometrika*, 70, 1-10.
#' @noRd
check_heteroscedasticity.lmm <- function(x, ...) {
  check_fit(x)
  squares <- checked_residuals(x)^2
  line <- stats::lm.fit(cbind(1, x$fitted.values), squares / mean(squares))
  explained <- if (line$rank == 2L) line$effects[[2L]]^2 else 0
  structure(
    stats::pchisq(explained / 2, df = 1, lower.tail = FALSE), data = x,
    object_name = deparse_call(substitute(x)),
    class = c("check_heteroscedasticity", "see_check_heteroscedasticity", "numeric")
  )
}

#' Durbin and Watson's statistic among those of residuals that are drawn anew
#' @noRd
check_autocorrelation.lmm <- function(x, nsim = 1000, ...) {
  check_fit(x)
  if (!has_correlation(x)) {
    return(their_method("performance", "check_autocorrelation", "default")(
      as_listed(x), nsim = nsim, ...
    ))
  }
  nsim <- check_count(nsim, "nsim", 1L)
  statistic <- function(e) colSums(diff(e)^2) / colSums(e^2)
  residuals <- checked_residuals(x)
  n <- length(residuals)
  drawn <- matrix(sample(residuals, n * nsim, replace = TRUE), n)
  drawn <- stats::lm.fit(fixed_model_matrix(x), drawn)$residuals
  below <- mean(statistic(as.matrix(residuals)) < statistic(as.matrix(drawn)))
  structure(
    2 * min(below, 1 - below),
    class = c("check_autocorrelation", "see_check_autocorrelation", "numeric")
  )
}

#' Rows whose deletion moves the fixed effects
#' @noRd
check_outliers.lmm <- function(x, method = c("cook", "pareto"), ...) {
  check_fit(x)
  fit <- if (has_correlation(x)) as_whitened(x) else as_listed(x)
  their_method("performance", "check_outliers", "default")(fit, method = method, ...)
}

#' Residuals of one variance, independent if the model holds
#' @noRd
checked_residuals <- function(object) {
  if (has_correlation(object)) {
    return(normalized_residuals(object))
  }
  object$residuals / sqrt(residual_variances(object))
}

# A fit whose residuals are normalized ones --------------------------------------------------------

#' A fit as functions of 'performance' are to see it that draw or test its residuals
#'
#' Whatever residuals they ask for they get normalized ones, and Cook's distances by deletion of a
#' row. It must not reach what a user gets.
#' @noRd
as_whitened <- function(object) {
  class(object) <- c("lmm_whitened", "elm", "lmm")
  object
}

#' @noRd
whitened_residuals <- function(object, ...) {
  class(object) <- "lmm"
  stats::naresid(object$na.action, name_rows(normalized_residuals(object), object))
}

#' Cook's distances where residuals are correlated: each row is deleted, the covariance matrix of
#' the others stays
#'
#' Deleting a row is adding an indicator for it, whose estimate is (Py)_i / P_ii, with P the
#' projection by which y leaves the fixed effects.
#' @noRd
cooks_by_deletion <- function(model, ...) {
  class(model) <- "lmm"
  cluster <- cluster_factor(model)
  rows <- split(seq_along(cluster), cluster)
  weights <- weightMatrix.lmm(model, cluster)
  design <- fixed_model_matrix(model)
  residuals <- marginal_residuals(model)
  weighted <- design
  own <- scores <- numeric(length(cluster))
  for (j in seq_along(rows)) {
    at <- rows[[j]]
    weighted[at, ] <- weights[[j]] %*% design[at, , drop = FALSE]
    scores[at] <- weights[[j]] %*% residuals[at]
    own[at] <- diag(weights[[j]])
  }
  variance <- solve(crossprod(design, weighted))
  moves <- weighted %*% variance
  left <- beyond_rounding(own - rowSums(moves * weighted), own)
  moves <- moves * (scores / left)
  distances <- rowSums((moves %*% solve(vcov.lmm(model))) * moves) / ncol(design)
  stats::naresid(model$na.action, name_rows(distances, model))
}
