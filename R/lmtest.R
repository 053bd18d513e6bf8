# Methods for generics of 'lmtest' and 'car', whose defaults read coef(), which in a mixed model is
# a table for each grouping factor.

#' Support for 'lmtest' and 'car'
#'
#' `lmtest::coeftest()` and `lmtest::coefci()` test the fixed effects with the degrees of freedom
#' of [ddf], or with another covariance matrix, for which they use those of `df` or the normal
#' distribution. `car::Anova()` gives the tests of [anova.lmm()], `car::linearHypothesis()` those of
#' [contest()].
#'
#' @param x,mod,model A model fitted by [lmm()].
#' @param vcov. A covariance matrix or a function that gives one; without it that of `ddf`.
#' @param df Degrees of freedom for another covariance matrix; the normal distribution without.
#' @param ddf The method for the degrees of freedom, see [ddf].
#' @param parm The coefficients, by name or position.
#' @param level The confidence level.
#' @param type The type of the tests, see [anova.lmm()].
#' @param hypothesis.matrix,rhs `L` and `rhs` of [contest()].
#' @param ... Not used.
#' @returns What the generics return.
#' @examplesIf requireNamespace("lmtest", quietly = TRUE)
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' lmtest::coeftest(fit)
#' @name lmtest-lmm
#' @rawNamespace S3method(lmtest::coeftest, lmm)
coeftest.lmm <- function(x, vcov. = NULL, df = NULL, ddf = "Satterthwaite", ...) {
  method <- match_ddf(ddf)
  inference <- other_inference(x, vcov., df, method)
  table <- coefficient_table(inference)
  table <- table[kept_columns(x), , drop = FALSE]
  structure(
    table,
    class = "coeftest",
    method = if (inference$method == "asymptotic") {
      "z test of coefficients"
    } else {
      "t test of coefficients"
    },
    df = inference$single(diag(nrow(table))), nobs = nobs.lmm(x), logLik = log_likelihood(x)
  )
}

#' @rdname lmtest-lmm
#' @rawNamespace S3method(lmtest::coefci, lmm)
coefci.lmm <- function(x, parm = NULL, level = 0.95, vcov. = NULL, df = NULL,
                       ddf = "Satterthwaite", ...) {
  check_level(level)
  inference <- other_inference(x, vcov., df, match_ddf(ddf))
  tests <- test_rows(inference, diag(length(inference$beta)))
  half <- t_quantile(level, tests$df) * tests$se
  names <- names(fixef.lmm(x))
  probabilities <- 100 * c((1 - level) / 2, (1 + level) / 2)
  limits <- matrix(
    c(tests$estimate - half, tests$estimate + half),
    ncol = 2L, dimnames = list(names, paste(format(probabilities, trim = TRUE, digits = 3L), "%"))
  )
  if (is.character(parm)) {
    parm <- match_names(
      parm, names, "parm", "coefficient", coefficient_details(x)[kept_columns(x)]
    )
  }
  if (is.null(parm)) limits else limits[parm, , drop = FALSE]
}

#' Inference with a covariance matrix from elsewhere
#' @noRd
other_inference <- function(object, variance, df, method) {
  if (is.null(variance)) {
    return(ddf_for(object, method))
  }
  method <- if (is.null(df)) "asymptotic" else "given"
  inference <- fixed_ddf(object, method, if (is.null(df)) Inf else df)
  inference$variance <- if (is.function(variance)) variance(object) else variance
  inference
}

#' @rdname lmtest-lmm
#' @rawNamespace S3method(car::Anova, lmm)
Anova.lmm <- function(mod, type = "II", ddf = "Satterthwaite", ...) {
  anova.lmm(mod, type = type, ddf = ddf)
}

#' @rdname lmtest-lmm
#' @rawNamespace S3method(car::linearHypothesis, lmm)
linearHypothesis.lmm <- function(model, hypothesis.matrix, rhs = NULL, ddf = "Satterthwaite",
                                 ...) {
  test <- contest.lmm(
    model, hypothesis.matrix, if (is.null(rhs)) 0 else rhs, ddf = ddf
  )
  structure(
    test, heading = paste0("Linear hypothesis test", describe_ddf(match_ddf(ddf), " with ")),
    class = c("anova", "data.frame")
  )
}
