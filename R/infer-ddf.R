# Degrees of freedom: one way for all tests of fixed effects.
#
# summary(), anova(), drop1(), contest() and confint() ask ddf_for() once for a method, and hand
# what it returns to test_rows() (one row of L at a time) or test_joint() (all rows together). L
# always has a column for each *kept* coefficient; contrast_matrix() makes such an L of what a user
# gives.

#' Methods for the degrees of freedom of tests of fixed effects
#'
#' The argument `ddf` of [summary.lmm()], [anova.lmm()], [contest()], [drop1.lmm()] and
#' [confint.lmm()] says how the uncertainty about the variance parameters is taken into account:
#'
#' - `"Satterthwaite"`: t and F statistics of the estimated covariance matrix. The degrees of
#'   freedom match the variance of `l'Cl`, from the exact Hessian of the criterion. For several rows
#'   the F statistic has the degrees of freedom of Fai and Cornelius (1996).
#'   They depend on which rows span the hypothesis: [contest()] and `car::linearHypothesis()` take
#'   orthonormal ones, so that it does not matter how it is written; [anova()][anova.lmm] and
#'   [drop1()][drop1.lmm] take rows as 'lmerTest' does, of which those of types I and II (not III)
#'   depend on the contrasts of the factors, and all on the order of their levels: the F statistics
#'   do not, but in unbalanced data the degrees of freedom do, a little; for type II of several
#'   interactions other rows of the same hypothesis are taken, with the same F and slightly other
#'   degrees of freedom.
#' - `"Kenward-Roger"`: the covariance matrix is corrected for its bias in small samples, F
#'   statistics are scaled, and the degrees of freedom match two moments of the scaled statistic. It
#'   is defined for REML: for a fit by ML the model is fitted again by REML, with a message, and the
#'   tests are those of that fit. A test that the method does not determine, because a corrected
#'   variance or the degrees of freedom are not positive, is `NA`, with a warning of class
#'   `ferrolmm_warning_kenward_roger`; with 'emmeans' then all are.
#'   Where the covariance matrix of the data is linear in variances and covariances (unstructured
#'   and diagonal random effects, with or without a known covariance matrix of their levels, and
#'   independent residuals), the covariance matrix of the variance
#'   parameters is the inverse of their expected information, as in 'pbkrtest'; for the other
#'   structures of random effects and residuals it is that of the observed information, as in SAS
#'   and 'mmrm'. The parameters are those of SAS: covariances for unstructured, Toeplitz and
#'   compound symmetric residuals, otherwise variances, correlations, ranges and powers. ('mmrm'
#'   takes others for unstructured residuals: there `"Kenward-Roger-Linear"` is this method.)
#' - `"Kenward-Roger-linear"`: the same without the second derivatives of the covariance matrix,
#'   which makes a difference only where it is not linear in its parameters (SAS:
#'   `DDFM=KR(FIRSTORDER)`; 'mmrm': `"Kenward-Roger-Linear"`). It does not depend on how the
#'   structure is parameterised.
#' - `"asymptotic"`: the normal distribution, and F with infinitely many degrees of freedom.
#' - `"none"`: the statistics alone, as 'lme4' has it; `"lme4"` is understood too.
#'
#' Names can be abbreviated, and case does not matter. Both methods work from factors of the
#' mixed-model equations: no matrix of the size of the data is built, whatever that size is.
#' @references
#' Fai, A. H.-T. and Cornelius, P. L. (1996). Approximate F-tests of multiple degree of freedom
#' hypotheses in generalized least squares analyses of unbalanced split-plot experiments. *Journal
#' of Statistical Computation and Simulation*, 54(4), 363-378.
#'
#' Giesbrecht, F. G. and Burns, J. C. (1985). Two-stage analysis based on a mixed model:
#' large-sample asymptotic theory and small-sample simulation results. *Biometrics*, 41(2), 477-486.
#'
#' Kenward, M. G. and Roger, J. H. (1997). Small sample inference for fixed effects from restricted
#' maximum likelihood. *Biometrics*, 53(3), 983-997.
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age * Sex + (age | Subject), Orthodont)
#' anova(fit)
#' anova(fit, ddf = "Kenward-Roger")
#' @name ddf
NULL

ddf_methods <- c(
  "Satterthwaite", "Kenward-Roger", "Kenward-Roger-linear", "asymptotic", "none"
)

#' One of `ddf_methods`, from the start of its name in any case
#' @noRd
match_ddf <- function(ddf) {
  if (missing(ddf) || identical(ddf, ddf_methods)) {
    return(ddf_methods[[1L]])
  }
  known <- c(tolower(ddf_methods), "lme4")
  found <- NA
  if (is.character(ddf) && length(ddf) == 1L && !is.na(ddf) && nzchar(ddf)) {
    # "kenward" is the first of the two
    short <- if (tolower(ddf) == "kr") "kenward-roger" else tolower(ddf)
    found <- which(startsWith(known, short))[1L]
  }
  if (is.na(found)) {
    given <- if (length(ddf) == 1L && is.atomic(ddf)) paste0(": not ", format(ddf))
    ferrolmm_abort(
      paste0("`ddf` must be one of ", quote_names(ddf_methods), given, "."), "argument"
    )
  }
  c(ddf_methods, "none")[[found]]
}

#' The inference that a method makes of a fit
#'
#' @param method one of `ddf_methods`.
#' @returns a list with `method`; `object`, the fit that is tested; `beta` and `variance` of the
#'   kept coefficients (adjusted by Kenward-Roger); `single(L)`, degrees of freedom of each row; and
#'   `joint(L, estimate)`, list(statistic, unscaled, numdf, dendf) of the hypothesis that
#'   `estimate`, which is `L beta - rhs`, is zero; `unscaled` is the statistic before Kenward and
#'   Roger's scaling. That method has `determined()` too: does it determine all tests?
#' @noRd
ddf_for <- function(object, method) {
  if (object$rank == 0L) {
    return(fixed_ddf(object, method, NA_real_))
  }
  switch(method,
    Satterthwaite = satterthwaite(object),
    `Kenward-Roger` = kenward_roger(object),
    `Kenward-Roger-linear` = kenward_roger(object, linear = TRUE),
    asymptotic = fixed_ddf(object, method, Inf),
    none = fixed_ddf(object, method, NA_real_)
  )
}
