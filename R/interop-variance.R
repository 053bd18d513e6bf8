# Covariance matrices and degrees of freedom that other packages hand over.

#' Inference with a covariance matrix or degrees of freedom from elsewhere
#' @param ... arguments of `variance`, where it is a function.
#' @noRd
other_inference <- function(object, variance, df, method, ...) {
  if (is.null(variance) && is.null(df)) {
    return(ddf_for(object, method))
  }
  if (!is.null(df) && (!is.numeric(df) || length(df) != 1L || !isTRUE(df > 0))) {
    ferrolmm_abort(
      paste0("`df` must be a positive number or NULL", describe_given(df), "."), "argument"
    )
  }
  inference <- fixed_ddf(
    object, if (is.null(df)) Inf else df,
    if (!is.null(variance)) other_variance(object, variance, ...)
  )
  c(list(statistic = if (is.null(df)) "z" else "t", object = object), inference)
}

#' A covariance matrix of the fixed effects that a user gives, or what a function makes of the fit
#' @noRd
other_variance <- function(object, variance, ...) {
  if (is.function(variance)) {
    variance <- variance(object, ...)
  }
  variance <- tryCatch(as.matrix(variance), error = function(e) NULL)
  if (!is.numeric(variance) || !identical(dim(variance), rep(object$rank, 2L))) {
    ferrolmm_abort(
      paste0("`vcov.` must be a covariance matrix of the ",
             count_of(object$rank, "fixed effect"), ", or a function that gives one."),
      "argument"
    )
  }
  variance
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
  if (!no_ddf && (!is.null(variance) || !is.null(df))) {
    ferrolmm_abort(
      paste0("`ddf` goes with the model's covariance matrix: it cannot be used beside ",
             if (is.null(df)) "`vcov.`" else "`df`", "."), "argument"
    )
  }
}
