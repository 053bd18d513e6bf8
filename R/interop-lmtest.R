# Methods for generics of 'lmtest', whose defaults read coef(), which for these models is a table
# for each grouping factor.

#' Support for 'lmtest'
#'
#' `lmtest::coeftest()` and `lmtest::coefci()` test the fixed effects with the degrees of freedom
#' of [ddf], or with another covariance matrix, for which they use those of `df` or the normal
#' distribution. `lmtest::lrtest()` compares likelihoods as [anova.lmm()] does: fits by REML whose
#' fixed parts differ are fitted again by ML, with a message.
#'
#' `lmtest::waldtest()` is an error: [contest()] and [drop1()] test fixed effects.
#'
#' @param x,object A model fitted by [lmm()].
#' @param vcov. A covariance matrix or a function that gives one; without it that of `ddf`.
#' @param df Degrees of freedom to use instead; with another covariance matrix and without them the
#'   normal distribution.
#' @param ddf The method for the degrees of freedom, see [ddf]: `r ddf_choices()`.
#' @param parm The coefficients, by name or position.
#' @param level The confidence level.
#' @param name A function that gives a model its name, see `lmtest::lrtest()`.
#' @param ... Arguments of `vcov.`, where that is a function. For `lrtest()` the models to compare
#'   with, or the changes that make them, see `lmtest::lrtest()`.
#' @returns What the generics return.
#' @seealso [contest()], [anova.lmm()], [ddf]
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
  half <- half_widths(inference, tests, level)
  names <- names(fixef.lmm(x))
  probabilities <- 100 * c((1 - level) / 2, (1 + level) / 2)
  limits <- matrix(
    c(tests$estimate - half, tests$estimate + half),
    ncol = 2L, dimnames = list(names, paste(format(probabilities, trim = TRUE, digits = 3L), "%"))
  )
  if (is.null(parm)) limits else limits[match_coefficients(parm, x), , drop = FALSE]
}

#' @rdname lmtest-lmm
#' @rawNamespace S3method(lmtest::lrtest, lmm)
lrtest.lmm <- function(object, ..., name = NULL) {
  check_fit(object)
  if (any(nzchar(...names()))) {
    check_dots(..., allowed = "")
  }
  if (!is.null(name) && !is.function(name)) {
    ferrolmm_abort(
      paste0("`name` must be a function of a model, or NULL", describe_given(name), "."), "argument"
    )
  }
  if (...length() == 0L) {
    ferrolmm_abort(
      "lrtest() compares models, and there is only one.", "argument",
      i = "As in lrtest(fit, other), or lrtest(fit, . ~ . - x)."
    )
  }
  models <- Reduce(changed_model, list(...), list(object))
  names <- paste("model", seq_along(models))
  default <- utils::getS3method("lrtest", "default", envir = asNamespace("lmtest"))
  do.call(default, c(with_one_likelihood(models, names, TRUE)$models, list(name = name)))
}

#' Models and another one: itself, or a change of the last of them in the forms of 'lmtest'
#' @noRd
changed_model <- function(models, change) {
  if (inherits(change, "lm")) {
    return(c(models, list(change)))
  }
  if (inherits(change, "lmm")) {
    check_fit(change)
    return(c(models, list(change)))
  }
  last <- models[[length(models)]]
  if (is.numeric(change) || is.character(change)) {
    labels <- labels(stats::terms(last))
    gone <- if (is.numeric(change)) labels[change] else change
    if (length(gone) == 0L || !all(gone %in% labels)) {
      ferrolmm_abort(
        paste0("No term of the fixed part: ", quote_names(as.character(change)), "."), "argument",
        i = paste0("The terms are ", quote_names(labels, 12L), ".")
      )
    }
    change <- stats::as.formula(paste(". ~ . -", paste(gone, collapse = " - ")))
  }
  if (!inherits(change, "formula")) {
    ferrolmm_abort(
      paste0("A model is compared with an object of class ", class(change)[[1L]], "."), "argument",
      i = "Models are compared with models fitted by lmm() or lm(), or with changes of formulas."
    )
  }
  c(models, list(stats::update(last, change)))
}
