# What a penalty on covariances means for a fit.

#' Has a fit penalised covariances?
#' @noRd
is_penalised <- function(object) !is.null(object$control$penalty)

#' The degrees of freedom that a penalty on absolute covariances takes from the residual variance
#' @noRd
penalty_of_sigma <- function(object) {
  if (is_penalised(object)) engine_control(object)$penalties$log_sigma2 else 0
}

#' Refuse what is about the maximum of the likelihood
#' @param what in words, as the subject of a sentence.
#' @noRd
require_maximum <- function(object, what) {
  if (is_sampled(object)) abort_sampled(what)
  if (is_penalised(object)) {
    ferrolmm_abort(
      paste0(what, " is about the maximum of the likelihood, and the fit has penalised ",
             "covariances."),
      "penalty", i = "Fit the model without `penalty` in lmm_control(), or use a bootstrap()."
    )
  }
}

#' The penalties in words, for prints
#' @noRd
format_penalty <- function(object) {
  words <- penalty_words(object$control, object$random)
  if (length(words) == 0L) {
    return(character())
  }
  paste0("Penalty: ", words)
}

#' @export
format.lmm_penalty <- function(x, ...) {
  check_dots(...)
  number <- function(value) format(value, digits = 4L, trim = TRUE)
  scale <- if (is.matrix(x$scale)) "a matrix" else if (!is.null(x$scale)) number(x$scale)
  parameters <- switch(x$family,
    wishart = , inverse_wishart = c(
      df = if (is.null(x$df)) "effects + 2.5" else number(x$df), scale = scale
    ),
    gamma = c(shape = number(x$shape), rate = number(x$rate)),
    inverse_gamma = c(shape = number(x$shape), scale = scale)
  )
  of <- if (is_of_matrix(x)) "covariances" else if (x$of == "sd") "standard deviations" else
    "variances"
  paste0(
    sub("wishart", "Wishart", gsub("_", " ", x$family, fixed = TRUE)), " (",
    paste(names(parameters), "=", parameters, collapse = ", "), ") on ",
    if (x$relative) "relative " else "", of
  )
}

#' @export
print.lmm_penalty <- function(x, ...) {
  check_dots(...)
  writeLines(paste0("Penalty: ", format(x)))
  invisible(x)
}
