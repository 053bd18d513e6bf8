# Fits with rr() or fa(): what holds for them. theta has loadings there, which are defined up to a
# rotation, and where a model has more factors than the data need they are not even that: what tests
# or profiles elements of theta, or takes them for standard deviations and correlations, does not.

#' Functions that hold for fits with factors; all others are refused
#' @noRd
holds_with_factors <- c(
  # what the fit is and was made from
  "print.lmm", "summary.lmm", "formula.lmm", "terms.lmm", "family.lmm", "nobs.lmm", "ngrps.lmm",
  "model.frame.lmm", "model.matrix.lmm", "weights.lmm", "case.names.lmm", "variable.names.lmm",
  "labels.lmm", "getData.lmm", "getResponse.lmm", "getGroups.lmm", "getGroupsFormula.lmm",
  "isREML.lmm", "isLMM.lmm", "isGLMM.lmm", "isNLMM.lmm", "isSingular.lmm", "get_data.lmm",
  "getME.lmm", "update.lmm", "refit.lmm", "refitML.lmm",
  # estimates and likelihood
  "factor_loadings", "factor_loadings.lmm", "fixef.lmm", "coef.lmm", "sigma.lmm",
  "df.residual.lmm", "VarCorr.lmm", "vcov.lmm", "ranef.lmm", "logLik.lmm", "deviance.lmm",
  "REMLcrit.lmm", "extractAIC.lmm",
  # rows
  "fitted.lmm", "residuals.lmm", "predict.lmm", "simulate.lmm",
  # tests of fixed effects, comparisons of models
  "anova.lmm", "contest.lmm", "drop1.lmm", "confint.lmm", "recover_data.lmm", "emm_basis.lmm"
)

#' @param what in words, as the subject of a sentence.
#' @noRd
abort_beside_factors <- function(what, hint = NULL) {
  ferrolmm_abort(
    paste0(what, " is not available for models with rr() or fa()."), "factors",
    x = "Loadings are defined up to a rotation, and have no intervals or tests one by one.",
    i = if (is.null(hint)) {
      "factor_loadings(), VarCorr(), ranef(), predict() and tests of fixed effects are."
    } else {
      hint
    }
  )
}

#' Refuse a part of a function that holds with factors
#' @noRd
require_no_factors <- function(object, what, hint = NULL) {
  if (has_factor_terms(object)) abort_beside_factors(what, hint)
}

#' What a model with factors must not have
#'
#' @param fixed,random,control parts of the design, the user's options.
#' @param condensed the rows' sums, where there are no rows.
#' @noRd
check_factor_model <- function(fixed, random, control, condensed) {
  if (!any(vapply(random$terms, has_factors, NA))) {
    return(invisible())
  }
  given <- c(
    "sampling weights" = !is.null(fixed$sampling),
    "moments, and rows in a database" = !is.null(condensed)
  )
  of_control <- c("hold", "tie", "penalty")
  given[paste0("`", of_control, "` of lmm_control()")] <- lengths(control[of_control]) > 0L
  if (any(given)) {
    ferrolmm_abort(
      paste0("rr() and fa() do not go with ", toString(names(given)[given]), "."), "factors",
      i = "Leave them out, or use us() or diag()."
    )
  }
}
