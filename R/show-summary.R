#' Summarise a fitted model
#'
#' The layout is that of 'lme4' and 'lmerTest': scaled residuals, variances and correlations of the
#' random effects, fixed effects with standard errors and t tests, and their correlations.
#' Coefficients that were dropped because of rank deficiency keep their row, as `NA`. Then comes the
#' certificate.
#'
#' @section Certificate:
#' Every fit carries the proof that it is an optimum, in `fit$certificate`. The summary prints its
#' verdict. The numbers behind it are shown by `summary(fit)$certificate`, and in the summary where
#' the fit is singular or the optimum is not proved: the largest element of the scaled gradient
#' (zero at an optimum), the smallest eigenvalue of the Hessian (positive at a minimum of the
#' criterion), and, when variances or correlations are at their boundary, the smallest multiplier
#' (not negative when the boundary is where the optimum is). That proof is local.
#' How many starts there were, and from how many of them the optimiser came to this optimum and no
#' lower one, follows: see *Several optima* in [lmm_control()].
#'
#' @param object A model fitted by [lmm()].
#' @param correlation Print the correlations of the fixed effects? By default when there are at most
#'   10 (option `ferrolmm.summary.cor.max`) and residuals are not correlated.
#' @param ddf The method for the degrees of freedom of the t tests, see [ddf]: `r ddf_choices()`.
#'   `"none"` leaves them out, `"Kenward-Roger"` also adjusts the standard errors.
#' @param vcov,cluster Another covariance matrix than the model's: a type of [robust] matrix, such
#'   as `"CR2"`, with its clusters; a matrix, or a function that makes one of the fit.
#' @param x What `summary()` returned.
#' @param digits The number of significant digits.
#' @param symbolic.cor Print the correlations as symbols, see [stats::symnum()]?
#' @param ranef.comp What to print of the random effects: `"Std.Dev."`, `"Variance"` or both.
#' @param show.resids Print the quantiles of the scaled residuals?
#' @param signif.stars Print significance stars?
#' @param ... Not used.
#' @returns A list of class `summary.lmm` with, among others, `coefficients` (a matrix with the
#'   columns `Estimate`, `Std. Error`, `df`, `t value` and `Pr(>|t|)`; `z value` and `Pr(>|z|)`
#'   without `df` for the normal approximation; no `df` and no p-value for `"none"`), `ddf`,
#'   `smooths` (what [smooths()] returns, for a model that has any; their coefficients are in
#'   `coefficients`, and not printed there), `robust` (with `vcov`, its type, and the number and
#'   name of the clusters), `varcor`, `sigma`, `ngrps`, `residuals` (scaled), `vcov`, `AICtab`,
#'   `logLik` and `certificate`; with a residual structure `residual`, a matrix of its parameters,
#'   their standard errors and intervals.
#' @seealso [VarCorr.lmm()], [anova.lmm()], [confint.lmm()], [ddf], [robust], [report-tables],
#'   [methods_paragraph()]
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' summary(fit)
#' coef(summary(fit))
#' coef(summary(fit, ddf = "Kenward-Roger"))
#' @export
summary.lmm <- function(object, correlation = NULL,
                        ddf = "Satterthwaite", vcov = NULL, cluster = NULL, ...) {
  check_dots(...)
  if (!is.null(correlation)) check_flag(correlation, "correlation")
  inference <- ddf_for(object, match_ddf(ddf), vcov, cluster)
  varcor <- VarCorr.lmm(object)
  digits <- max(3L, getOption("digits") - 3L)
  structure(
    list(
      methTitle = format_title(
        object$REML, length(object$random) > 0L, is_sampled(object), has_eliminated(object)
      ),
      objClass = class(object),
      call = object$call,
      formula = full_formula(object),
      isREML = object$REML,
      nobs = nobs.lmm(object),
      ngrps = ngrps.lmm(object),
      counts = count_data(object),
      coefficients = coefficient_table(inference),
      smooths = if (has_smooths(object)) smooth_table(object),
      of_smooths = names(object$coefficients)[smooth_coefficients(object)],
      ddf = inference$method,
      robust = inference$robust,
      sigma = object$sigma,
      vcov = shown_variance(inference),
      varcor = varcor,
      logLik = if (!is_sampled(object)) log_likelihood(object),
      AICtab = criterion_table(object),
      information = restricted_information(object),
      penalty = format_penalty(object),
      sampling = format_sampling(object),
      devcomp = object$devcomp,
      residuals = if (is.null(object$condensed)) residuals.lmm(object, type = "scaled"),
      residual = residual_table(object),
      residual_lines = format_residual(object, digits, attr(varcor, "visits")),
      correlation = correlation,
      certificate = object$certificate,
      findings = format_findings(object)
    ),
    class = "summary.lmm"
  )
}

#' The covariance matrix, NA for coefficients whose variance the clusters do not determine
#' @noRd
shown_variance <- function(inference) {
  variance <- inference$variance
  if (!is.null(inference$robust) && !is.null(inference$determined) && !inference$determined()) {
    lost <- is.na(suppressWarnings(inference$single(diag(nrow(variance)))))
    variance[lost, ] <- NA_real_
    variance[, lost] <- NA_real_
  }
  variance
}

#' Parameters of the residual structure with standard errors and intervals; NULL without one
#' @noRd
residual_table <- function(object, level = 0.95) {
  if (length(object$phi) == 0L) {
    return(NULL)
  }
  table <- varcorr_uncertainty(object)
  table <- table[table$part == "residual", ]
  limits <- parameter_limits(table$sdcor, table$se.sdcor, table$kind, level)
  matrix(
    c(table$sdcor, table$se.sdcor, limits), ncol = 4L,
    dimnames = list(
      sub("^residual[.]", "", table$var1), c("Estimate", "Std. Error", percent_names(level))
    )
  )
}

#' Estimates, standard errors and tests; NA where a coefficient is aliased
#' @noRd
coefficient_table <- function(inference) {
  kept <- kept_columns(inference$object)
  names <- names(inference$object$coefficients)
  tests <- as.matrix(test_rows(inference, diag(length(kept))))
  columns <- switch(inference$statistic,
    z = c("Estimate" = 1L, "Std. Error" = 2L, "z value" = 4L, "Pr(>|z|)" = 5L),
    none = c("Estimate" = 1L, "Std. Error" = 2L, "t value" = 4L),
    t = c("Estimate" = 1L, "Std. Error" = 2L, "df" = 3L, "t value" = 4L, "Pr(>|t|)" = 5L)
  )
  table <- matrix(
    NA_real_, length(names), length(columns), dimnames = list(names, names(columns))
  )
  table[kept, ] <- tests[, columns]
  table
}

#' @rdname summary.lmm
#' @export
print.summary.lmm <- function(x, digits = max(3L, getOption("digits") - 3L), correlation = NULL,
                              symbolic.cor = FALSE,
                              ranef.comp = c("Variance", "Std.Dev."),
                              show.resids = TRUE,
                              signif.stars = getOption("show.signif.stars"), ...) {
  check_dots(..., allowed = c("signif.legend", "dig.tst", "eps.Pvalue"))
  check_digits(digits)
  check_flag(symbolic.cor, "symbolic.cor")
  check_flag(show.resids, "show.resids")
  if (!is.null(correlation)) check_flag(correlation, "correlation")
  if (!is.null(signif.stars)) check_flag(signif.stars, "signif.stars")
  tests <- if (nrow(x$coefficients) > 0L) format_test_title(x$ddf, x$robust)
  writeLines(wrap_text(paste0(x$methTitle, tests, " ['lmm']"), exdent = 2L))
  writeLines(c(format_call(x$call, x$formula), ""))
  writeLines(c(
    format_criterion(x$AICtab, 1L), if (!is.null(x$information)) format_information(x$information),
    x$penalty, x$sampling, ""
  ))
  if (show.resids) {
    print_scaled_residuals(x$residuals, digits)
  }
  if (missing(ranef.comp) && isTRUE(attr(x$varcor, "nobound"))) ranef.comp <- "Variance"
  print_random_effects(x$varcor, digits, ranef.comp)
  writeLines(as.character(x$residual_lines))
  visits <- attr(x$varcor, "visits")
  if (!is.null(x$residual) && !(is_printed(visits, digits) && attr(visits, "complete"))) {
    print(x$residual, digits = digits, na.print = "")
  }
  writeLines(format_counts(x$counts))
  print_coefficients(parametric_rows(x), digits, isTRUE(signif.stars), ...)
  if (!is.null(x$smooths)) {
    cat("\n")
    print_smooths(x$smooths, digits, isTRUE(signif.stars))
  }
  correlation <- if (is.null(correlation)) x$correlation else correlation
  shown <- !rownames(x$vcov) %in% x$of_smooths
  print_correlations(
    x$vcov[shown, shown, drop = FALSE], correlation, symbolic.cor, !is.null(x$counts$subjects)
  )
  writeLines(c("", format_certificate(x$certificate, brief = TRUE), x$findings))
  invisible(x)
}

#' The table of coefficients without those that are parts of smooths
#' @noRd
parametric_rows <- function(summary) {
  table <- summary$coefficients
  table[!rownames(table) %in% summary$of_smooths, , drop = FALSE]
}

#' @noRd
format_test_title <- function(method, robust) {
  inference <- list(method = method, robust = robust)
  describe_inference(inference, paste0(". ", ddf_statistic(method), "-tests use "))
}

#' Five quantiles of the scaled residuals
#' @noRd
print_scaled_residuals <- function(residuals, digits) {
  # a fit of moments has none
  if (is.null(residuals)) return(invisible())
  cat("Scaled residuals: \n")
  quantiles <- stats::quantile(residuals, names = FALSE, na.rm = TRUE)
  names(quantiles) <- c("Min", "1Q", "Median", "3Q", "Max")
  print(zapsmall(quantiles, digits + 1L), digits = digits)
  cat("\n")
}

#' @noRd
print_coefficients <- function(coefficients, digits, signif.stars, ...) {
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
  tested <- grepl("^Pr", colnames(coefficients)[[ncol(coefficients)]])
  stats::printCoefmat(
    coefficients, digits = digits, signif.stars = signif.stars, na.print = "NA", cs.ind = 1:2,
    tst.ind = grep("value$", colnames(coefficients)), has.Pvalue = tested, P.values = tested,
    ...
  )
}

#' Correlations of the fixed effects: when asked for, or when few enough
#'
#' @param structured are residuals correlated? Such models often have visits times treatments as
#'   fixed effects, whose correlations nobody reads.
#' @noRd
print_correlations <- function(variance, correlation, symbolic, structured) {
  p <- ncol(variance)
  most <- getOption("ferrolmm.summary.cor.max", 10L)
  if (is.null(correlation) && p > 1L && (structured || p > most)) {
    writeLines(c("", wrap_text(
      "Correlation of Fixed Effects: print(summary(fit), correlation = TRUE) shows it."
    )))
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
    dimnames = list(short_names(names, 11L), short_names(names, 6L))
  )
  text[!lower.tri(text)] <- ""
  text[-1L, -p, drop = FALSE]
}

#' abbreviate() handles only ASCII, and warns of other letters: names with such letters are
#' truncated
#' @noRd
short_names <- function(names, length, strict = FALSE) {
  foreign <- grepl("[^ -~]", names)
  short <- names
  short[!foreign] <- abbreviate(names[!foreign], length, strict = strict)
  short[foreign] <- substr(names[foreign], 1L, length)
  if (strict) short else make.unique(short)
}

#' @noRd
symbolic_correlations <- function(correlations) {
  names <- rownames(correlations)
  dimnames(correlations) <- list(short_names(names, 11L), short_names(names, 1L, strict = TRUE))
  stats::symnum(correlations)
}
