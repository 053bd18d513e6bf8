#' Fit the same model again
#'
#' `refit()` fits the model to a new response; `refitML()` fits a model that was fitted by REML
#' again by maximum likelihood. The model frame is reused: nothing is read from the data or the
#' formula's environment again.
#'
#' The responses in a matrix or data frame are fitted together and in parallel: what depends only on
#' the predictors is computed once. The result holds the estimates alone, see [lmm_many]. A response
#' with missing values is fitted to the rows where it is known.
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
#' @param weights For many responses: a matrix or data frame of the size of `newresp` with a weight
#'   for each of its values, in the place of the weights of the fit, as those of `limma::voom()`.
#'   Values with a weight of zero are left out.
#' @param contrasts For many responses: linear functions of the fixed effects to be estimated and
#'   tested, a numeric matrix with a row for each and a column for each coefficient, or with the
#'   names of some coefficients as names of its columns; or a vector for one of them.
#' @param ... Not used.
#' @returns A fitted model; for many responses an object of class [lmm_many].
#' @seealso [update.lmm()], [lmm_many]
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' fixef(refit(fit, Orthodont$distance + 100))
#' logLik(refitML(fit))
#'
#' # many responses, some values missing, with weights
#' Y <- as.matrix(simulate(fit, nsim = 3, seed = 1))
#' Y[1:4, 2] <- NA
#' refit(fit, Y, weights = matrix(runif(length(Y), 1, 2), nrow(Y)))
#' @export
#' @rawNamespace S3method(lme4::refit, lmm)
refit.lmm <- function(object, newresp = NULL, control = object$control,
                      ddf = c("Satterthwaite", "none"), weights = NULL, contrasts = NULL, ...) {
  check_dots(..., hints = c(
    newweights = "Other weights are another model: update(fit, weights = ).",
    REML = "refitML(fit) fits by maximum likelihood.",
    data = "update(fit, data = ) fits other data.",
    rename.response = "update(fit, other ~ .) fits a response of another name.",
    maxit = "lmm_control(max_evaluations = ) says how long a search may be: give it as `control`."
  ))
  of_many <- !is.null(weights) || !is.null(contrasts)
  if ((is.matrix(newresp) || is.data.frame(newresp)) && (ncol(newresp) > 1L || of_many)) {
    ddf <- match_choice(ddf, "ddf", c("Satterthwaite", "none"))
    control <- if (is.null(control)) object$control else check_control(control)
    return(with_memory(refit_many(object, newresp, control, ddf, weights, contrasts)))
  }
  if (!is.null(weights)) {
    ferrolmm_abort(
      "`weights` is for a matrix of responses.", "argument",
      i = "Other weights are another model: update(fit, weights = )."
    )
  }
  if (!is.null(contrasts)) {
    ferrolmm_abort(
      "`contrasts` is for a matrix of responses: a single fit has contest().", "argument"
    )
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
