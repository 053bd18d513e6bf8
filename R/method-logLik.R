#' Log-likelihood, criterion and what follows from them
#'
#' `logLik()` is the restricted log-likelihood of a fit by REML and the log-likelihood of a fit by
#' ML. `REML =` asks for the other one, *at the same estimates*: no model is refitted. Its degrees
#' of freedom count the fixed effects, the parameters of the random effects and of the residual
#' structure, and the residual variance: those that were estimated, a tied set once.
#' `deviance()` is minus twice the log-likelihood, `REMLcrit()` minus twice the restricted one.
#'
#' Of a fit with [penalties] all of these are the likelihood's, without the penalty, at the
#' estimates, where it is not at its maximum: AIC and BIC are then no more than descriptions.
#'
#' Where no factorisation was possible (see `solver` in [lmm_control()]) the likelihood is an
#' estimate, and `logLik()` warns of its Monte-Carlo error (`ferrolmm_warning_monte_carlo`).
#'
#' For a fit by REML the `deviance()` of 'lme4' warns and gives the REML criterion. Here it is the
#' deviance at the REML estimates, which is what other packages take it to be.
#'
#' @param object,fit A model fitted by [lmm()].
#' @param REML Restricted likelihood? By default `logLik()` gives the one that was maximised, and
#'   `deviance()` belongs to the unrestricted one.
#' @param scale Not used; an argument of the generic.
#' @param k The penalty for a parameter: 2 is AIC.
#' @param ... Not used.
#' @returns `logLik()`: an object of class `logLik` with the attributes `df`, `nobs`, `nall` and
#'   `REML`. `extractAIC()`: the degrees of freedom and the criterion, of the ML fit. The others: a
#'   number.
#' @seealso [anova.lmm()] to compare models.
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' logLik(fit)
#' logLik(fit, REML = FALSE)
#' REMLcrit(fit)
#' AIC(fit)
#' BIC(fit)
#' @importFrom stats logLik
#' @export
logLik.lmm <- function(object, REML = NULL, ...) {
  check_dots(...)
  warn_monte_carlo(list(object))
  log_likelihood(object, REML)
}

#' The log-likelihood, without a warning about Monte-Carlo error
#' @noRd
log_likelihood <- function(object, REML = NULL) {
  restricted <- if (is.null(REML)) object$REML else check_reml(REML)
  structure(
    -criterion_value(object, restricted) / 2,
    nobs = nobs.lmm(object),
    nall = nobs.lmm(object),
    df = count_parameters(object),
    REML = restricted,
    class = "logLik"
  )
}

#' Minus twice the (restricted) log-likelihood at the estimates
#'
#' The stored criterion when it is the one asked for, else from the stored determinants: the
#' penalised residual sum of squares and log|M| are the same for both.
#' @noRd
criterion_value <- function(object, restricted) {
  if (restricted == object$REML) {
    return(object$criterion)
  }
  refuse_eliminated(object, "The likelihood that is not restricted")
  cmp <- object$devcomp$cmp
  n <- nobs.lmm(object)
  df <- if (restricted) n - rank_of_mean(object) else n
  log_determinants <- cmp[["ldL2"]] + if (restricted) cmp[["ldRX2"]] else 0
  log_weights <- if (is.null(object$prior.weights)) 0 else sum(log(object$prior.weights))
  log_determinants - log_weights + residual_determinant(object) + likelihood_of_sigma(object, df)
}

#' What of minus twice the log-likelihood depends on sigma, where it is the best one or as it is
#' @noRd
likelihood_of_sigma <- function(object, df) {
  pwrss <- object$devcomp$cmp[["pwrss"]]
  if (is.null(object$control$sigma) && penalty_of_sigma(object) == 0) {
    df * (1 + log(2 * pi * pwrss / df))
  } else {
    df * log(2 * pi * object$sigma^2) + pwrss / object$sigma^2
  }
}

#' log |R| of the residual structure, without the weights
#' @noRd
residual_determinant <- function(object) {
  if (!has_residual(object)) {
    return(0)
  }
  # from the criterion that was maximised, whose other parts are known
  cmp <- object$devcomp$cmp
  df <- nobs.lmm(object) - if (object$REML) object$rank else 0L
  spread <- likelihood_of_sigma(object, df)
  weights <- object$prior.weights
  object$criterion - spread - cmp[["ldL2"]] - (if (object$REML) cmp[["ldRX2"]] else 0) +
    if (is.null(weights)) 0 else sum(log(weights))
}

#' Fixed effects and covariance parameters
#' @noRd
count_parameters <- function(object) {
  rank_of_mean(object) + count_covariance(object)
}

#' Parameters of the random effects and of the residuals that were estimated, and sigma
#' @noRd
count_covariance <- function(object) {
  names <- names(c(object$theta, object$phi))
  held <- c(logical(length(object$theta)), as.logical(object$residual$held))
  count_free(object$control, names, held) + is.null(object$control$sigma)
}

#' @rdname logLik.lmm
#' @importFrom stats deviance
#' @export
deviance.lmm <- function(object, REML = NULL, ...) {
  check_dots(...)
  criterion_value(object, !is.null(REML) && check_reml(REML))
}

#' @rdname logLik.lmm
#' @export
REMLcrit.lmm <- function(object, ...) {
  check_dots(...)
  criterion_value(object, TRUE)
}

#' @rdname logLik.lmm
#' @importFrom stats extractAIC
#' @export
extractAIC.lmm <- function(fit, scale = 0, k = 2, ...) {
  check_dots(...)
  check_no_scale(scale)
  check_penalty(k)
  likelihood <- logLik.lmm(refitML.lmm(fit))
  df <- attr(likelihood, "df")
  c(df, -2 * as.numeric(likelihood) + k * df)
}

#' @rdname logLik.lmm
#' @importFrom stats df.residual
#' @export
df.residual.lmm <- function(object, ...) {
  check_dots(...)
  nobs.lmm(object) - count_parameters(object)
}

#' @rdname logLik.lmm
#' @importFrom stats nobs
#' @export
nobs.lmm <- function(object, ...) {
  # stats::BIC() and step() pass `use.fallback`
  check_dots(..., allowed = "use.fallback")
  count_observations(object)
}

#' Refuse the `scale` that step() passes on, which is for models with a known residual variance
#' @noRd
check_no_scale <- function(scale) {
  if (!is.numeric(scale) || !identical(as.numeric(scale), 0)) {
    ferrolmm_abort(
      "`scale` has no meaning for a mixed model.", "argument",
      i = "A known residual standard deviation is lmm_control(sigma = )."
    )
  }
}

#' @noRd
check_penalty <- function(k) {
  if (!is.numeric(k) || length(k) != 1L || !isTRUE(k >= 0)) {
    ferrolmm_abort(
      paste0("`k` must be a number, the penalty for a parameter", describe_given(k), "."),
      "argument"
    )
  }
}
