# The likelihood ratios of ranova(), and what makes them none.

#' Likelihood ratios of a model against smaller ones: NA where the smaller one fits better
#'
#' Models are nested, so that this happens only where the search for the larger optimum ended
#' beside it. Differences within rounding are zero.
#' @param labels what tells the smaller models apart
#' @noRd
likelihood_ratios <- function(criterion, smaller, labels) {
  ratio <- smaller - criterion
  better <- !is.na(ratio) & ratio < -1e-6 * pmax(1, abs(criterion))
  if (any(better)) {
    ferrolmm_warn(
      paste0(
        "Without ", quote_names(labels[better]), " the likelihood is higher than with ",
        if (sum(better) > 1L) "them" else "it", ": the fit is not the optimum."
      ),
      "convergence",
      x = paste(if (sum(better) > 1L) "Their tests are" else "Its test is", "NA."),
      i = "Fit again from other values (`start`), or the smaller model."
    )
  }
  replace(pmax(ratio, 0), better, NA)
}

#' Say which of the fits that are compared ended before their optimum
#'
#' @param smaller a list of what [reduced_fit()] returned
#' @returns `TRUE` for each comparison with such a fit
#' @noRd
warn_stopped_short <- function(model, smaller, labels) {
  short <- vapply(smaller, function(x) has_stopped_short(x$status), NA)
  whole <- has_stopped_short(model$certificate$status)
  if (any(short, whole)) {
    unsettled <- identical(model$certificate$status, "not-settled")
    which <- c(
      if (whole) "of the model", if (any(short)) paste("without", quote_names(labels[short]))
    )
    ferrolmm_warn(
      paste0("The fit ", paste(which, collapse = " and "),
             " ended before the optimum."),
      "convergence",
      x = "Likelihood ratios are those of the fits as they are; `Pr(>LRT)` is NA.",
      i = if (unsettled) {
        "Use a variable as covariate of the variances: varPower(form = ~ x)."
      } else {
        "Raise the limits with control = lmm_control(max_evaluations = , time_limit = )."
      }
    )
  }
  short | whole
}
