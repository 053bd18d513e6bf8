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
