# Covariance matrices and degrees of freedom that other packages hand over.

#' Inference with a covariance matrix or degrees of freedom from elsewhere
#' @param variance NULL, a type of [robust], a matrix, or a function that makes one.
#' @param ... arguments of `variance`, where it is a function.
#' @noRd
other_inference <- function(object, variance, df, method, ...) {
  if (is.null(df) && (is.null(variance) || is.character(variance))) {
    return(ddf_for(object, method, variance))
  }
  if (!is.null(df) && (!is.numeric(df) || length(df) != 1L || !isTRUE(df > 0))) {
    ferrolmm_abort(
      paste0("`df` must be a positive number or NULL", describe_given(df), "."), "argument"
    )
  }
  inference <- fixed_ddf(
    object, if (is.null(df)) Inf else df,
    if (!is.null(variance)) other_variance(object, variance, "vcov.", ...)
  )
  c(list(statistic = if (is.null(df)) "z" else "t", object = object), inference)
}

#' Which of the coefficients, by name or position
#' @noRd
match_coefficients <- function(parm, object) {
  names <- names(fixef.lmm(object))
  if (is.character(parm)) {
    details <- coefficient_details(object)[kept_columns(object)]
    return(match_names(parm, names, "parm", "coefficient", details))
  }
  match_numbers(parm, length(names), "parm", "coefficient")
}

#' Refuse `ddf` together with another covariance matrix or other degrees of freedom
#' @noRd
check_one_ddf <- function(no_ddf, variance, df = NULL) {
  if (!no_ddf && (!is.null(variance) && !is.character(variance) || !is.null(df))) {
    ferrolmm_abort(
      paste0("`ddf` goes with the model's covariance matrix: it cannot be used beside ",
             if (is.null(df)) "`vcov.`" else "`df`", "."), "argument"
    )
  }
}
