# Fits without bounds on the covariance matrices of random effects (lmm_control(nobound = TRUE)).
#
# G need not be positive semidefinite there, only V = sigma^2 R + Z G Z' positive definite. So it
# has no factor, and no theta: `theta` and `u` of such a fit are NA, and `covariances` has the
# entries of G relative to sigma^2 in the order and with the names of theta. What reads theta is an
# error; functions that read `covariances` instead are listed here, and all others are refused where
# a fit enters.

#' @noRd
is_nobound <- function(object) !is.null(unclass(object)$covariances)

#' Functions that hold without bounds
#' @noRd
holds_nobound <- c(
  # what the fit is and was made from
  "print.lmm", "summary.lmm", "formula.lmm", "terms.lmm", "family.lmm", "nobs.lmm", "ngrps.lmm",
  "model.frame.lmm", "model.matrix.lmm", "weights.lmm", "case.names.lmm", "variable.names.lmm",
  "labels.lmm", "getData.lmm", "getResponse.lmm", "getGroups.lmm", "getGroupsFormula.lmm",
  "isREML.lmm", "isLMM.lmm", "isGLMM.lmm", "isNLMM.lmm", "isSingular.lmm", "get_data.lmm",
  "update.lmm", "refit.lmm", "refitML.lmm",
  # estimates and likelihood
  "fixef.lmm", "coef.lmm", "sigma.lmm", "df.residual.lmm", "VarCorr.lmm", "vcov.lmm", "ranef.lmm",
  "logLik.lmm", "deviance.lmm", "REMLcrit.lmm", "extractAIC.lmm", "vpredict.lmm",
  # rows
  "fitted.lmm", "residuals.lmm", "predict.lmm", "simulate.lmm",
  # tests
  "anova.lmm", "ranova.lmm", "contest.lmm", "confint.lmm", "drop1.lmm", "emm_basis.lmm",
  "recover_data.lmm"
)

#' Refuse a part of a function that holds without bounds, named by `what`
#' @noRd
require_bounds <- function(object, what) {
  if (is_nobound(object)) abort_nobound(what)
}

#' What a model must not have where variances have no bounds
#'
#' @param fixed,random,residual,start,control parts of the design, the user's start.
#' @noRd
check_nobound <- function(fixed, random, residual, start, control, condensed) {
  if (!isTRUE(control$nobound)) {
    return(invisible())
  }
  has <- function(what) any(lengths(lapply(random$terms, `[[`, what)) > 0L)
  structures <- vapply(random$terms, is_structured, NA)
  given <- c(
    "residual structures" = !is.null(residual), "known matrices of levels" = has("known"),
    "mm() and smooths" = !is.null(random$members), "sampling weights" = !is.null(fixed$sampling),
    "`by` of terms" = has("classes"),
    "structures other than us() and diag()" = any(structures),
    "moments, and rows in a database" = !is.null(condensed), "`start`" = !is.null(start),
    "solver = \"iterative\"" = identical(control$solver, "iterative")
  )
  of_control <- c("sigma", "hold", "tie", "penalty")
  given[paste0("`", of_control, "` of lmm_control()")] <- lengths(control[of_control]) > 0L
  if (any(given)) {
    ferrolmm_abort(
      paste0("`nobound = TRUE` does not go with ", toString(names(given)[given]), "."),
      "nobound", i = "Leave `nobound` out, or the other."
    )
  }
}

#' Symmetric matrix of one term from its entries, which stand for those of its factor
#' @noRd
entries_matrix <- function(values, term) {
  k <- length(term$cnms)
  out <- matrix(0, k, k)
  entries <- theta_entries(term)
  out[entries] <- values
  out[entries[, 2:1, drop = FALSE]] <- values
  out
}

#' Covariance matrices relative to sigma^2, one for each block
#' @noRd
relative_covariances <- function(object) {
  if (is_nobound(object)) {
    return(unname(Map(
      entries_matrix, split_theta(object$covariances, object$random), random_blocks(object$random)
    )))
  }
  lapply(theta_matrix(object$theta, object$random), tcrossprod)
}

#' Covariance matrix of one term, as [term_covariance()] returns it: no standard deviation of a
#' variance that is negative, and no correlation with its effect
#' @noRd
nobound_covariance <- function(relative, term, sigma) {
  covariance <- sigma^2 * relative
  variances <- diag(covariance)
  variances[variances < 0] <- NA
  deviations <- sqrt(variances)
  correlation <- covariance / outer(deviations, deviations)
  correlation[!is.finite(correlation)] <- NA
  diag(correlation) <- 1
  dimnames(covariance) <- dimnames(correlation) <- list(term$cnms, term$cnms)
  structure(
    covariance, stddev = structure(deviations, names = term$cnms), correlation = correlation
  )
}
