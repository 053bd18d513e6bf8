# Smooth terms of a fit, and their columns in new rows. See R/design-smooths.R for what is kept.

#' The smooths of a fit, named by their labels; NULL where it has none
#' @noRd
smooths_of <- function(object) attr(attr(object$frame, "terms"), "smooths")

#' @noRd
has_smooths <- function(object) length(smooths_of(object)) > 0L

#' Functions that hold for fits with smooths; all others are refused
#'
#' Smooths are fixed columns and random effects together, of the population: what takes the fixed
#' effects for all of the mean, or the random effects for deviations from it, does not hold.
#' @noRd
holds_with_smooths <- c(
  "smooths", "plot.smooths.lmm", "autoplot.smooths.lmm", "print.lmm", "summary.lmm",
  "print.summary.lmm", "knit_print.lmm", "toLatex.lmm", "xtable.lmm", "as_flextable.lmm",
  "VarCorr.lmm", "ranef.lmm", "fixef.lmm", "vcov.lmm", "sigma.lmm", "nobs.lmm", "logLik.lmm",
  "deviance.lmm", "extractAIC.lmm", "REMLcrit.lmm", "df.residual.lmm", "formula.lmm", "terms.lmm",
  "family.lmm", "weights.lmm", "labels.lmm", "variable.names.lmm", "case.names.lmm", "ngrps.lmm",
  "isREML.lmm", "isLMM.lmm", "isGLMM.lmm", "isNLMM.lmm", "isSingular.lmm", "model.frame.lmm",
  "model.matrix.lmm", "getME.lmm", "getData.lmm", "getResponse.lmm", "kappa.lmm", "image.lmm",
  "as.function.lmm", "fitted.lmm", "residuals.lmm", "predict.lmm", "simulate.lmm",
  "hatvalues.lmm", "rstandard.lmm", "rstudent.lmm", "plot.lmm", "autoplot.lmm", "qqnorm.lmm",
  "qqmath.lmm", "anova.lmm", "drop1.lmm", "ranova.lmm", "contest.lmm", "confint.lmm",
  "profile.lmm", "update.lmm", "refit.lmm", "refitML.lmm", "recover_data.lmm", "emm_basis.lmm"
)

#' @param what in words, as the subject of a sentence.
#' @noRd
abort_beside_smooths <- function(what) {
  ferrolmm_abort(
    paste0(what, " is not available for models with smooth terms."), "smooth",
    x = "They are fixed columns and random effects together, and of the population.",
    i = paste0("predict(), simulate(), residuals(), anova(), smooths() and plot(smooths()) are; ",
               "see ?smooths.")
  )
}

#' Smooths that have some columns of the frame
#' @noRd
smooths_with_columns <- function(object, columns) {
  Filter(function(smooth) {
    any(smooth$blocks %in% columns) || length(smooth$fixed) > 0L && smooth$call %in% columns
  }, smooths_of(object))
}

#' Columns of the frame that smooths are made of
#' @noRd
smooth_sources <- function(smooths) {
  unique(as.character(unlist(lapply(smooths, `[[`, "sources"))))
}

#' The basis of a smooth in rows, in the parametrisation of 'mgcv': a row for each, missing ones NA
#' @param frame a frame with its sources.
#' @noRd
smooth_basis <- function(smooth, frame) {
  data <- lapply(smooth$sources, function(name) {
    x <- .subset2(frame, name)
    if (is.factor(x)) x else as.double(x)
  })
  names(data) <- names(smooth$sources)
  n <- .row_names_info(frame, 2L)
  known <- which(!Reduce(`|`, lapply(data, is.na), logical(n)))
  width <- nrow(smooth$maps[[1L]])
  x <- matrix(NA_real_, n, width)
  if (length(known) > 0L) {
    data <- structure(
      lapply(data, `[`, known), row.names = .set_row_names(length(known)), class = "data.frame"
    )
    x[known, ] <- as.matrix(mgcv::PredictMat(smooth$maker, data, n = length(known)))
  }
  x
}

#' The columns of the frame that smooths have, for new rows
#' @noRd
new_smooth_columns <- function(smooths, frame) {
  columns <- list()
  for (smooth in smooths) {
    basis <- smooth_basis(smooth, frame)
    made <- smooth_columns(smooth, lapply(smooth$maps, function(map) basis %*% map))
    columns <- c(columns, made[-1L])
    if (length(smooth$fixed) > 0L) {
      columns[[smooth$call]] <- cbind(columns[[smooth$call]], made[[1L]])
    }
  }
  columns
}

#' Numbers of the random-effects terms of smooths
#' @noRd
smooth_terms <- function(object) {
  which(lengths(lapply(object$random, function(term) term$members$smooth)) > 0L)
}

#' Numbers of the coefficients that are parts of smooths
#' @noRd
smooth_coefficients <- function(object) {
  which(names(object$coefficients) %in% unlist(lapply(smooths_of(object), `[[`, "fixed")))
}

#' Labels of the fixed part's terms that are smooths
#' @noRd
smooth_labels <- function(object) {
  unique(as.character(unlist(lapply(smooths_of(object), `[[`, "call"))))
}
