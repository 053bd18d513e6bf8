#' Fit the same model again
#'
#' `refit()` fits the model to a new response; `refitML()` fits a model that was fitted by REML
#' again by maximum likelihood. The model frame is reused: nothing is read from the data or the
#' formula's environment again.
#'
#' The responses in a matrix or data frame are fitted together and in parallel: what depends only on
#' the predictors is computed once. The result holds the estimates alone, see [lmm_many]. A response
#' with missing values is not fitted; its results are `NA`, with a message.
#'
#' @param object,x A model fitted by [lmm()].
#' @param newresp The new response: a numeric vector, or a list or data frame of one (as
#'   [stats::simulate()] gives), with a value for each used row, or for each row before those
#'   with missing values were left out (rows outside `subset` or with a weight of zero have none).
#'   Without it the model is fitted to its own response. A matrix or data frame with more than one
#'   column holds a response in each.
#' @param control A new [lmm_control()].
#' @param ddf For many responses: `"Satterthwaite"` degrees of freedom, or `"none"`, a little
#'   faster.
#' @param ... Not used.
#' @returns A fitted model; for many responses an object of class [lmm_many].
#' @seealso [update.lmm()], [lmm_many]
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' fixef(refit(fit, Orthodont$distance + 100))
#' logLik(refitML(fit))
#' @export
#' @rawNamespace S3method(lme4::refit, lmm)
refit.lmm <- function(object, newresp = NULL, control = object$control,
                      ddf = c("Satterthwaite", "none"), ...) {
  check_dots(..., hints = c(
    weights = "Other weights are another model: update(fit, weights = ).",
    newweights = "Other weights are another model: update(fit, weights = ).",
    REML = "refitML(fit) fits by maximum likelihood.",
    data = "update(fit, data = ) fits other data.",
    rename.response = "update(fit, other ~ .) fits a response of another name.",
    maxit = "lmm_control(max_evaluations = ) says how long a search may be: give it as `control`."
  ))
  if ((is.matrix(newresp) || is.data.frame(newresp)) && ncol(newresp) > 1L) {
    ddf <- match_choice(ddf, "ddf", c("Satterthwaite", "none"))
    return(with_memory(refit_many(object, newresp, control, ddf)))
  }
  if (!missing(ddf)) {
    ferrolmm_abort(
      "`ddf` is for a matrix of responses: a single fit has its tests from summary().", "argument"
    )
  }
  # plain lists: for each element of an object R would look for a method
  model <- unclass(object)
  if (!is.null(newresp)) {
    model$frame <- set_column(model$frame, 1L, check_new_response(newresp, model))
  }
  if (!is.null(control)) {
    # lme4::bootMer() passes NULL
    model$control <- check_control(control)
  }
  fit_again(model)
}

#' @rdname refit.lmm
#' @export
#' @rawNamespace S3method(lme4::refitML, lmm)
refitML.lmm <- function(x, ...) {
  check_dots(...)
  if (!x$REML) {
    return(x)
  }
  model <- unclass(x)
  model$REML <- FALSE
  model$call$REML <- FALSE
  fit_again(model)
}
