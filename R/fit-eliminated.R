# Fits with fixed effects of levels, fixed(1 | g): what holds for them. See R/design-eliminated.R.

#' @noRd
has_eliminated <- function(object) !is.null(object$eliminated)

#' Functions that hold for fits with fixed effects of levels; all others are refused
#'
#' These effects are part of the mean, and of the rank of its columns, but neither among the
#' coefficients nor in the model matrix: what takes these for all of the mean does not hold.
#' @noRd
holds_with_eliminated <- c(
  "fixed_levels", "print.lmm", "summary.lmm", "print.summary.lmm", "formula.lmm", "terms.lmm",
  "family.lmm", "nobs.lmm", "ngrps.lmm", "labels.lmm", "variable.names.lmm", "case.names.lmm",
  "weights.lmm", "model.frame.lmm", "getData.lmm", "getResponse.lmm", "isREML.lmm", "isLMM.lmm",
  "isGLMM.lmm", "isNLMM.lmm", "isSingular.lmm", "update.lmm",
  # estimates
  "fixef.lmm", "vcov.lmm", "sigma.lmm", "VarCorr.lmm", "ranef.lmm", "logLik.lmm", "REMLcrit.lmm",
  "df.residual.lmm",
  # rows
  "fitted.lmm", "residuals.lmm", "predict.lmm",
  # tests
  "contest.lmm", "confint.lmm"
)

#' @param what in words, as the subject of a sentence.
#' @noRd
abort_beside_eliminated <- function(what) {
  ferrolmm_abort(
    paste0(what, " is not available for models with fixed effects of levels, fixed(1 | g)."),
    "fixed_levels",
    i = paste0("summary(), contest(), confint(), predict() and fixed_levels() are. With g as a ",
               "factor among the other predictors all functions are.")
  )
}

#' Refuse a part of a function that holds with fixed effects of levels, named by `what`
#' @noRd
refuse_eliminated <- function(object, what) {
  if (has_eliminated(object)) abort_beside_eliminated(what)
}

#' Rank of all columns of the mean: those of X, and those of fixed effects of levels
#' @noRd
rank_of_mean <- function(object) {
  object$rank + if (has_eliminated(object)) object$eliminated$rank else 0L
}

#' The engine's result without fixed effects of levels, which stand after the random effects, and
#' with what it says of them as `of_levels`
#' @param eliminated what [build_eliminated()] returns, `random` the random part.
#' @noRd
separate_levels <- function(result, eliminated, random) {
  if (is.null(eliminated)) {
    return(result)
  }
  q <- random$Gp[[length(random$Gp)]]
  sizes <- vapply(eliminated$terms, function(term) {
    nlevels(eliminated$flist[[term$factor]])
  }, 1L)
  own <- split(result$b[q + seq_len(sum(sizes))], rep.int(seq_along(sizes), sizes))
  result$of_levels <- list(rank = result$eliminated, b = unname(own))
  for (name in c("b", "u")) {
    result[[name]] <- result[[name]][seq_len(q)]
  }
  blocks <- seq_along(random_blocks(random$terms))
  for (name in c("rank", "multipliers")) {
    result$certificate[[name]] <- result$certificate[[name]][blocks]
  }
  result
}
