# Methods for generics of 'lmtest', whose defaults read coef(), which for these models is a table
# for each grouping factor.

#' Support for 'lmtest'
#'
#' `lmtest::coeftest()` and `lmtest::coefci()` test the fixed effects with the degrees of freedom
#' of [ddf], or with another covariance matrix, for which they use those of `df` or the normal
#' distribution.
#'
#' @param x A model fitted by [lmm()].
#' @param vcov. A covariance matrix or a function that gives one; without it that of `ddf`.
#' @param df Degrees of freedom to use instead; with another covariance matrix and without them the
#'   normal distribution.
#' @param ddf The method for the degrees of freedom, see [ddf]: `r ddf_choices()`.
#' @param parm The coefficients, by name or position.
#' @param level The confidence level.
#' @param ... Arguments of `vcov.`, where that is a function.
#' @returns What the generics return.
#' @examplesIf requireNamespace("lmtest", quietly = TRUE)
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' lmtest::coeftest(fit)
#' @name lmtest-lmm
#' @rawNamespace S3method(lmtest::coeftest, lmm)
coeftest.lmm <- function(x, vcov. = NULL, df = NULL, ddf = "Satterthwaite", ...) {
  if (!is.function(vcov.)) check_dots(...)
  check_one_ddf(missing(ddf), vcov., df)
  inference <- other_inference(x, vcov., df, match_ddf(ddf), ...)
  table <- coefficient_table(inference)
  table <- table[kept_columns(x), , drop = FALSE]
  structure(
    table,
    class = "coeftest",
    method = paste(if (inference$statistic == "z") "z" else "t", "test of coefficients"),
    df = inference$single(diag(nrow(table))), nobs = nobs.lmm(x), logLik = log_likelihood(x)
  )
}

#' @rdname lmtest-lmm
#' @rawNamespace S3method(lmtest::coefci, lmm)
coefci.lmm <- function(x, parm = NULL, level = 0.95, vcov. = NULL, df = NULL,
                       ddf = "Satterthwaite", ...) {
  if (!is.function(vcov.)) check_dots(...)
  check_one_ddf(missing(ddf), vcov., df)
  check_level(level)
  inference <- other_inference(x, vcov., df, match_ddf(ddf), ...)
  tests <- test_rows(inference, diag(length(inference$beta)))
  half <- t_quantile(level, tests$df) * tests$se
  names <- names(fixef.lmm(x))
  probabilities <- 100 * c((1 - level) / 2, (1 + level) / 2)
  limits <- matrix(
    c(tests$estimate - half, tests$estimate + half),
    ncol = 2L, dimnames = list(names, paste(format(probabilities, trim = TRUE, digits = 3L), "%"))
  )
  if (is.null(parm)) limits else limits[match_coefficients(parm, x), , drop = FALSE]
}
