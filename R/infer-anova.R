#' Test the terms of a model, or compare models
#'
#' With one model, F tests of the terms of its fixed part. With several, likelihood-ratio tests of
#' each model against the next smaller one.
#'
#' @section Types of tests:
#' The hypotheses are those that SAS and 'lmerTest' call type I, II and III. They depend on the
#' design but not on how factors are coded.
#'
#' - Type I: each term after those before it in the formula.
#' - Type II: each term after all others that do not contain it. A term is contained in another one
#'   that has the same covariates, its factors, and further factors.
#' - Type III: each term, averaged with equal weights over the factors of the terms that contain it.
#'   Where cells are empty, the hypotheses are those that can be estimated and that are orthogonal
#'   to those of the containing terms.
#'
#' - Marginal: the coefficients of each term, as they are coded. With treatment contrasts the test
#'   of a factor is about the reference levels of the factors that it interacts with.
#'
#' A term none of whose coefficients can be estimated has no degrees of freedom.
#'
#' @section Likelihood ratios:
#' Where a likelihood is a Monte-Carlo estimate (see `solver` in [lmm_control()]) the comparison
#' warns of its error.
#'
#' Restricted likelihoods compare only between models with the same fixed part. Where the fixed
#' parts differ, models fitted by REML are fitted again by ML, with a message of class
#' `ferrolmm_message_refit`. p-values of variances, whose null value is on the boundary, are too
#' large: see [ranova()].
#'
#' @param object A model fitted by [lmm()].
#' @param L,Terms For one model, one test in place of the table, as `nlme::anova.lme()` has it: the
#'   linear hypotheses `L`, see [contest()], or all coefficients of the terms `Terms`, given by name
#'   or by number, where the intercept is the first term.
#' @param ... Other models of the same data, by [lmm()] or by [lm()].
#' @param type The type of the tests: `"III"`, `"II"` or `"I"`, or a number; or `"marginal"`.
#' @param ddf The method for the degrees of freedom, see [ddf]: `r ddf_choices()`. `"lme4"` gives
#'   the table of 'lme4': each term after those before it, as in type I but in the metric of
#'   \eqn{X'V^{-1}X}, without p-values.
#' @param refit Fit models again by ML where their fixed parts differ? Without it, comparing them
#'   by the restricted likelihood is an error.
#' @param model.names Names of the models in the table; by default how the arguments were written.
#' @param test For one model `"F"`, for several `"Chisq"` (or `"LRT"`, the same); these are the
#'   defaults.
#' @param vcov,cluster Another covariance matrix than the model's: a type of [robust] matrix, such
#'   as `"CR2"`, with its clusters; a matrix, or a function that makes one of the fit.
#' @returns A data frame of class `anova`. One model: the columns `Sum Sq`, `Mean Sq`, `NumDF`,
#'   `DenDF`, `F value` and `Pr(>F)`. Several: `npar`, `AIC`, `BIC`, `logLik`, `deviance`, `Chisq`,
#'   `Df` and `Pr(>Chisq)`.
#' @seealso [ddf] for the methods, [robust] for other covariance matrices, [drop1.lmm()],
#'   [contest()] for other hypotheses, [ranova()] for random effects, [report-tables] for pages.
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age * Sex + (age | Subject), Orthodont)
#' anova(fit)
#' anova(fit, type = "II", ddf = "Kenward-Roger")
#' anova(fit, update(fit, . ~ . - age:Sex))
#' @importFrom stats anova
#' @export
anova.lmm <- function(object, ..., type = c("III", "II", "I", "marginal"),
                      ddf = "Satterthwaite",
                      refit = TRUE, model.names = NULL, test = NULL, L = NULL, Terms = NULL,
                      vcov = NULL, cluster = NULL) {
  others <- list(...)
  for (model in Filter(function(model) inherits(model, "lmm"), c(list(object), others))) {
    check_whole_fit(model)
    refuse_eliminated(model, "anova()")
  }
  is_model <- vapply(others, inherits, NA, what = c("lmm", "lm"))
  named <- nzchar(if (is.null(names(others))) character(length(others)) else names(others))
  if (any(!is_model & !named)) {
    wrong <- class(others[!is_model & !named][[1L]])[[1L]]
    ferrolmm_abort(
      paste0("A model is compared with an object of class ", wrong, "."), "argument",
      i = "Compare models fitted by lmm(), or by lm()."
    )
  }
  if (any(!is_model)) {
    # all of them named
    check_dots(..., allowed = names(others)[is_model])
  }
  check_flag(refit, "refit")
  one_test <- !is.null(L) || !is.null(Terms)
  if (one_test && (any(is_model) || !missing(type))) {
    ferrolmm_abort(
      paste0("`L` and `Terms` are one test of one model: leave ",
             if (any(is_model)) "the other models" else "`type`", " out."), "argument"
    )
  }
  if (any(is_model)) {
    check_no_vcov(vcov, cluster, "the tests of one model")
    check_comparison_test(test)
    if (is.null(model.names)) {
      others_written <- as.list(substitute(list(...)))[-1L]
      model.names <- written_names(c(list(substitute(object)), others_written))
    }
    return(compare_models(c(list(object), unname(others)), model.names, refit))
  }
  check_single_test(test)
  if (!is.null(model.names)) {
    ferrolmm_abort("`model.names` is for several models.", "argument")
  }
  if (one_test) {
    return(chosen_test(object, L, Terms, ddf, vcov, cluster))
  }
  as_lme4 <- identical(ddf, "lme4")
  if (as_lme4 && is_sampled(object)) abort_sampled("The table of 'lme4'", "Leave `ddf` out.")
  if (as_lme4) check_no_vcov(vcov, cluster, "tables other than that of 'lme4' (ddf = \"none\")")
  type <- if (as_lme4) lme4_type(type, missing(type)) else match_type(type)
  method <- match_ddf(ddf)
  inference <- ddf_for(object, method, vcov, cluster)
  heading <- paste0(
    describe_type(type), " Analysis of Variance Table", describe_inference(inference, " with ")
  )
  contrasts <- if (as_lme4) factor_contrasts(object) else term_contrasts(inference$object, type)
  contrasts <- contrasts[!names(contrasts) %in% smooth_labels(object)]
  if (has_smooths(object)) heading <- paste0(heading, "\nTests of smooth terms: smooths()")
  table <- f_table(inference, contrasts)
  if (as_lme4) {
    # its columns
    table <- stats::setNames(table[c("NumDF", "Sum Sq", "Mean Sq", "F value")], lme4_columns)
  }
  structure(
    table,
    heading = heading, class = c("anova.lmm", "anova", "data.frame"),
    hypotheses = shown_hypotheses(contrasts, inference$object)
  )
}

#' @noRd
lme4_columns <- c("npar", "Sum Sq", "Mean Sq", "F value")

#' @param x What `anova()` returned.
#' @rdname anova.lmm
#' @export
print.anova.lmm <- function(x, ...) {
  check_dots(..., allowed = c(
    "digits", "signif.stars", printing_arguments(stats::printCoefmat, print.default)
  ))
  attr(x, "heading") <- wrap_heading(attr(x, "heading"))
  NextMethod()
}

#' Lines of a heading as wide as the console; line breaks stay
#' @noRd
wrap_heading <- function(heading) {
  vapply(heading, function(text) {
    lines <- strsplit(paste0(text, " "), "\n", fixed = TRUE)[[1L]]
    paste(vapply(lines, function(line) {
      paste(wrap_text(line, exdent = 4L), collapse = "\n")
    }, ""), collapse = "\n")
  }, "", USE.NAMES = FALSE)
}

#' Models by the names of the call; "model 2" for one that is written out there
#'
#' With do.call() the models themselves stand in the call.
#' @noRd
written_names <- function(written) {
  names <- paste("model", seq_along(written))
  given <- names(written)
  for (i in seq_along(written)) {
    label <- if (is.language(written[[i]])) code_label(written[[i]])
    if (!is.null(given) && nzchar(given[[i]])) label <- given[[i]]
    if (length(label) == 1L && nchar(label) <= 20L) names[[i]] <- label
  }
  names
}

#' What lmerTest calls "lme4" is the table of 'lme4', whose tests are sequential
#' @noRd
lme4_type <- function(type, by_default) {
  if (!by_default && match_type(type) != "I") {
    ferrolmm_abort(
      paste0("`ddf = \"lme4\"` is the table of 'lme4', which has tests of type I: ",
             "`type` cannot be ", match_type(type), "."),
      "argument", i = "With ddf = \"none\" there are tests of each type without p-values."
    )
  }
  "I"
}

#' Models are compared by likelihood ratios
#' @noRd
check_comparison_test <- function(test) {
  if (!is.null(test) && is.na(match(tolower(as.character(test)[1L]), c("chisq", "lrt")))) {
    ferrolmm_abort(
      paste0("`test` of several models must be \"Chisq\" or \"LRT\", which are the same",
             describe_given(test), "."),
      "argument", i = "With one model, anova() gives F tests of its terms."
    )
  }
}

#' The terms of one model are tested by F
#' @noRd
check_single_test <- function(test) {
  if (!is.null(test) && !identical(test, "F")) {
    ferrolmm_abort(
      paste0("The tests of one model are F tests: `test` must be \"F\"", describe_given(test),
             "."),
      "argument",
      i = paste0("Likelihood ratios are drop1(fit, test = \"Chisq\"), Wald's chi-squared is ",
                 "car::Anova(fit, test.statistic = \"Chisq\").")
    )
  }
}
