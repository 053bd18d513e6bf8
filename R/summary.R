#' Summarise a fitted model
#'
#' The layout is that of 'lme4': scaled residuals, variances and correlations of the random
#' effects, fixed effects with standard errors and t values, and their correlations. Coefficients
#' that were dropped for want of rank keep their row, as `NA`. Then comes the certificate.
#'
#' @section Certificate:
#' Every fit carries the proof that it is an optimum, in `fit$certificate`. The summary gives its
#' verdict with the numbers behind it: the largest element of the scaled gradient (zero at an
#' optimum), the smallest eigenvalue of the Hessian (positive at a minimum of the criterion), and,
#' when variances or correlations are at their boundary, the smallest multiplier (not negative when
#' the boundary is where the optimum is).
#'
#' @param object A model fitted by [lmm()].
#' @param correlation Print the correlations of the fixed effects? By default when there are at most
#'   20 (option `ferrolmm.summary.cor.max`).
#' @param x What `summary()` returned.
#' @param digits The number of significant digits.
#' @param symbolic.cor Print the correlations as symbols, see [stats::symnum()]?
#' @param ranef.comp What to print of the random effects: `"Std.Dev."`, `"Variance"` or both.
#' @param show.resids Print the quantiles of the scaled residuals?
#' @param ... Not used.
#' @returns A list of class `summary.lmm` with, among others, `coefficients` (a matrix with the
#'   columns `Estimate`, `Std. Error` and `t value`), `varcor`, `sigma`, `ngrps`, `residuals`
#'   (scaled), `vcov`, `AICtab`, `logLik` and `certificate`.
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' summary(fit)
#' coef(summary(fit))
#' @export
summary.lmm <- function(object, correlation = NULL, ...) {
  structure(
    list(
      methTitle = format_title(object$REML),
      objClass = class(object),
      call = object$call,
      formula = full_formula(object),
      isREML = object$REML,
      nobs = nobs.lmm(object),
      ngrps = ngrps.lmm(object),
      coefficients = coefficient_table(object),
      sigma = object$sigma,
      vcov = vcov.lmm(object),
      varcor = VarCorr.lmm(object),
      logLik = logLik.lmm(object),
      AICtab = criterion_table(object),
      devcomp = object$devcomp,
      residuals = residuals.lmm(object, type = "scaled"),
      correlation = correlation,
      certificate = object$certificate,
      findings = format_findings(object)
    ),
    class = "summary.lmm"
  )
}

#' Estimates, standard errors and t values; NA where a coefficient is aliased
#' @noRd
coefficient_table <- function(object) {
  estimate <- object$coefficients
  error <- rep.int(NA_real_, length(estimate))
  error[kept_columns(object)] <- object$sigma * sqrt(diag(object$vcov_unscaled))
  matrix(
    c(estimate, error, estimate / error),
    ncol = 3L,
    dimnames = list(names(estimate), c("Estimate", "Std. Error", "t value"))
  )
}

#' @rdname summary.lmm
#' @export
print.summary.lmm <- function(x, digits = max(3L, getOption("digits") - 3L), correlation = NULL,
                              symbolic.cor = FALSE,
                              ranef.comp = c("Variance", "Std.Dev."),
                              show.resids = TRUE, ...) {
  writeLines(paste0(x$methTitle, " ['lmm']"))
  writeLines(c(format_call(x$call, x$formula), ""))
  writeLines(c(format_criterion(x$AICtab, 1L), ""))
  if (show.resids) {
    print_scaled_residuals(x$residuals, digits)
  }
  print_random_effects(x$varcor, digits, ranef.comp)
  writeLines(format_groups(x$nobs, x$ngrps))
  print_coefficients(x$coefficients, digits)
  correlation <- if (is.null(correlation)) x$correlation else correlation
  print_correlations(x$vcov, correlation, symbolic.cor)
  writeLines(c("", format_certificate(x$certificate), x$findings))
  invisible(x)
}

#' Five quantiles of the scaled residuals
#' @noRd
print_scaled_residuals <- function(residuals, digits) {
  cat("Scaled residuals: \n")
  quantiles <- stats::quantile(residuals, names = FALSE, na.rm = TRUE)
  names(quantiles) <- c("Min", "1Q", "Median", "3Q", "Max")
  print(zapsmall(quantiles, digits + 1L), digits = digits)
  cat("\n")
}

#' @noRd
print_coefficients <- function(coefficients, digits) {
  if (nrow(coefficients) == 0L) {
    cat("\nNo fixed effects\n")
    return(invisible())
  }
  dropped <- sum(is.na(coefficients[, "Estimate"]))
  cat("\nFixed effects:")
  if (dropped > 0L) {
    cat(" (", dropped, " not defined because of singularities)", sep = "")
  }
  cat("\n")
  stats::printCoefmat(coefficients, digits = digits, na.print = "NA")
}

#' Correlations of the fixed effects: when asked for, or when few enough
#' @noRd
print_correlations <- function(variance, correlation, symbolic) {
  p <- ncol(variance)
  most <- getOption("ferrolmm.summary.cor.max", 20L)
  if (is.null(correlation) && p > most) {
    writeLines(c(
      "",
      paste0("Correlation of Fixed Effects: not shown by default, as p = ", p, " > ", most, "."),
      "Use print(summary(fit), correlation = TRUE) or vcov(fit) to see it."
    ))
    return(invisible())
  }
  if (p < 2L || isFALSE(correlation)) {
    return(invisible())
  }
  cat("\nCorrelation of Fixed Effects:\n")
  correlations <- correlation_of(variance)
  if (symbolic) {
    print(symbolic_correlations(correlations))
  } else {
    print(format_correlations(correlations), quote = FALSE)
  }
}

#' Lower triangle with three decimals and abbreviated names
#' @noRd
format_correlations <- function(correlations) {
  names <- rownames(correlations)
  p <- length(names)
  text <- matrix(
    format(round(correlations, 3L), nsmall = 3L), p,
    dimnames = list(abbreviate(names, 11L), abbreviate(names, 6L))
  )
  text[!lower.tri(text)] <- ""
  text[-1L, -p, drop = FALSE]
}

#' @noRd
symbolic_correlations <- function(correlations) {
  names <- rownames(correlations)
  dimnames(correlations) <- list(abbreviate(names, 11L), abbreviate(names, 1L, strict = TRUE))
  stats::symnum(correlations)
}
