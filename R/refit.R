#' Fit the same model again
#'
#' `refit()` fits the model to a new response; `refitML()` fits a model that was fitted by REML
#' again by maximum likelihood. The model frame is reused: nothing is read from the data or the
#' formula's environment again.
#'
#' A matrix or data frame of several responses is fitted in one go and in parallel: what depends on
#' the predictors only is computed once. The result holds the estimates alone, see [lmm_many]. A
#' response with missing values is not fitted; its results are `NA`, with a message.
#'
#' @param object,x A model fitted by [lmm()].
#' @param newresp The new response: a numeric vector, or a list or data frame of one (as
#'   [stats::simulate()] gives), with a value for each used row, or for each row of the data when
#'   rows with missing values were left out. Without it the model is fitted to its own response. A
#'   matrix or data frame with more than one column holds a response in each.
#' @param control A new [lmm_control()].
#' @param ddf For many responses: `"Satterthwaite"` degrees of freedom, or `"none"`, a little
#'   faster.
#' @param ... Not used.
#' @returns A fitted model; for many responses an object of class [lmm_many].
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' fixef(refit(fit, Orthodont$distance + 100))
#' logLik(refitML(fit))
#' @export
#' @rawNamespace S3method(lme4::refit, lmm)
refit.lmm <- function(object, newresp = NULL, control = object$control,
                      ddf = c("Satterthwaite", "none"), ...) {
  if ((is.matrix(newresp) || is.data.frame(newresp)) && ncol(newresp) > 1L) {
    return(refit_many(object, newresp, control, match.arg(ddf)))
  }
  if (!is.null(newresp)) {
    object$frame <- set_column(object$frame, 1L, check_new_response(newresp, object))
  }
  if (!is.null(control)) {
    # lme4::bootMer() passes NULL
    object$control <- check_control(control)
  }
  fit_again(object)
}

#' @rdname refit.lmm
#' @export
#' @rawNamespace S3method(lme4::refitML, lmm)
refitML.lmm <- function(x, ...) {
  if (!x$REML) {
    return(x)
  }
  x$REML <- FALSE
  x$call$REML <- FALSE
  fit_again(x)
}

#' Run the engine on the model that an object describes, and put the result in its place
#' @noRd
fit_again <- function(object) {
  fixed <- fixed_inputs(object, in_place = TRUE)
  random <- random_inputs(object, in_place = TRUE)
  found <- fit_design(
    fixed, random, object$residual, object$frame, object$REML, NULL, object$control
  )
  report_fit(found$result, fixed, random, object$control, object$residual)
  object$frame <- found$frame
  set_result(object, found$result)
}

#' A new response as a plain vector of the used rows
#' @noRd
check_new_response <- function(newresp, object) {
  if (is.list(newresp)) {
    if (length(newresp) != 1L) {
      ferrolmm_abort(
        paste0("`newresp` must hold one response, it holds ", length(newresp), "."), "argument",
        i = "Several responses are the columns of a matrix or data frame."
      )
    }
    newresp <- newresp[[1L]]
  }
  n <- nobs.lmm(object)
  omitted <- object$na.action
  if (length(omitted) > 0L && length(newresp) == n + length(omitted)) {
    newresp <- newresp[-omitted]
  }
  if (!is.numeric(newresp) && !is.logical(newresp)) {
    ferrolmm_abort(
      paste0("`newresp` must be numeric, it is of class ", class(newresp)[[1L]], "."), "argument"
    )
  }
  if (length(newresp) != n) {
    ferrolmm_abort(
      paste0("`newresp` has ", count_of(length(newresp), "value"), ", the model ",
             count_of(n, "row"), "."),
      "argument"
    )
  }
  if (!all(is.finite(newresp))) {
    ferrolmm_abort(
      "`newresp` has values that are missing or infinite.", "argument",
      i = "Fit the rows that are left with update() or lmm()."
    )
  }
  as.vector(newresp)
}
