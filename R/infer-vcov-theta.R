# The covariance matrix of the variance parameters.

#' Covariance matrix of the variance parameters on natural scales
#'
#' A = 2 H^-1, H the Hessian of the criterion (REML's for a fit by REML) in the internal parameters
#' and sigma^2; J A J' for the parameters on the scale that is asked for, J the derivatives.
#' @param scale "sdcor" or "vcov".
#' @returns NA in the rows and columns of parameters at their boundary; zero for those that are held
#'   or known
#' @noRd
theta_covariance <- function(object, scale) {
  components <- variance_components(object)
  if (scale == "vcov") {
    expressions <- own_components(object)
  } else {
    count <- count_variance(object)
    expressions <- parameter_expressions(object)[seq_len(count)]
    names(expressions) <- parameter_names(object, FALSE)[seq_len(count)]
  }
  slopes <- t(vapply(
    expressions, function(one) component_gradient(components, one), components$values
  ))
  value <- slopes %*% components$covariance %*% t(slopes)
  hidden <- vapply(expressions, function(one) any(components$hidden[components_in(one)]), NA)
  value[hidden, ] <- value[, hidden] <- NA_real_
  value <- (value + t(value)) / 2
  dimnames(value) <- list(names(expressions), names(expressions))
  value
}

#' Variances and covariances of the terms, phi and sigma^2 as expressions, named
#' @noRd
own_components <- function(object) {
  starts <- component_starts(object)
  cells <- varcorr_cells(object, all = TRUE)
  k <- block_sizes(object$random)[cells$block]
  random <- lapply(starts[cells$block] + cell_number(cells$i, cells$j, k), component_symbol)
  kind <- ifelse(is.na(cells$var2), "var_", paste0("cov_", cells$var2, "."))
  names(random) <- sprintf("%s%s|%s", kind, cells$var1, cells$grp)
  first <- starts[[length(starts)]]
  phi <- lapply(first + seq_along(object$phi), component_symbol)
  sigma2 <- component_symbol(first + length(object$phi) + 1L)
  c(random, stats::setNames(phi, names(object$phi)), list(sigma2 = sigma2))
}
