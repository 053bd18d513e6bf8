#' @rdname ddf
#' @order 8
#' @section `"residual"`:
#' Observations less the rank of X, for all tests, whatever the random effects are (SAS:
#' `DDFM=RESIDUAL`; `"Residual"` of 'mmrm'; what `nlme::gls()` takes).
#' @name ddf
NULL

#' Observations less coefficients
#' @noRd
residual_ddf <- function(object) {
  df <- count_observations(object) - rank_of_mean(object)
  labels <- labels.lmm(object)
  ruled_ddf(object, list(
    columns = rep.int(df, object$rank),
    terms = stats::setNames(rep.int(df, length(labels)), labels)
  ))
}
