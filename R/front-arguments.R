# Arguments that lmm() and lmm_moments() share.

#' An argument to evaluate in the data: its expression, and the promise as a last resort
#'
#' @param force a function that evaluates the promise.
#' @returns list(expr, value = a function: what the promise gives, or the error that ended it). The
#'   promise is evaluated once, when asked for: R warns when one that failed is forced again.
#' @noRd
unevaluated <- function(expr, force) {
  delayedAssign("outcome", tryCatch(force(), error = identity))
  list(expr = expr, value = function() outcome)
}

#' Advice for those who try arguments that lmm() does not have
#' @noRd
lmm_hints <- c(
  family = "lmm() is for normal responses. For others there is lme4::glmer().",
  link = "lmm() is for normal responses. For others there is lme4::glmer().",
  nAGQ = "The likelihood of a linear mixed model needs no quadrature: leave `nAGQ` out.",
  random = "Random effects stand in the formula: y ~ x + (1 | g).",
  fixed = "The formula comes first: lmm(y ~ x + (1 | g), data).",
  method = "Maximum likelihood is REML = FALSE; REML = TRUE is what you get without.",
  verbose = "It is an option of the fit: control = lmm_control(verbose = 1).",
  devFunOnly = "The criterion as a function is getME(fit, \"devfun\").",
  optimizer = "There is one optimiser, and it proves its optimum: leave `optimizer` out.",
  cov.struct = "Structures stand in the formula, as in cs(x | g), or in `residual`.",
  ziformula = "lmm() is for normal responses. glmmTMB::glmmTMB() has `ziformula`.",
  dispformula = "Variances that depend on variables are weights = varIdent(...) and the like.",
  prior = "lmm() is not Bayesian: see brms::brm().",
  cov.prior = "It is a penalty: control = lmm_control(penalty = penalty_wishart()).",
  resid.prior = "The residual variance has no penalty.",
  fixef.prior = "Fixed effects have no penalty."
)

#' Evaluate `data` here, so that an error in it is reported as one of `data`
#' @noRd
check_given <- function(no_formula, data) {
  if (no_formula) {
    ferrolmm_abort(
      "`formula` is missing.", "formula", i = "Write it as in lmm(y ~ x + (1 | g), data)."
    )
  }
  tryCatch(
    force(data),
    error = function(e) {
      ferrolmm_abort(paste0("`data` could not be evaluated: ", conditionMessage(e), "."), "data")
    }
  )
}
