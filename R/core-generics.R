# Generics that live in 'lme4'. That package is not needed to call them: each has a twin here of the
# same signature. Our methods are registered on both (NAMESPACE, R/zzz.R), and these default methods
# hand over to 'lme4' when it is loaded, so that whichever package was attached last serves both
# classes.

#' Generics shared with 'lme4'
#'
#' Extract components of a model, ask what kind it is, or fit it again. With 'lme4' loaded these
#' functions also work for its models, whichever of the two packages was attached last.
#'
#' `isSingular()` says whether an estimated covariance matrix of random effects lies on the boundary
#' of its parameter space: a variance of zero, or effects that are perfectly correlated. The fit is
#' still the maximum, see the certificate in [summary.lmm()]. The units of the predictors do not
#' matter: a slope counts by what it contributes to the response.
#'
#' @param object,x A model fitted by [lmm()].
#' @param tol The tolerance: a diagonal element of a relative covariance factor, times the root mean
#'   square of its predictor, counts as zero below it.
#' @param ... Passed to methods.
#' @returns `isREML()`, `isLMM()`, `isGLMM()`, `isNLMM()`, `isSingular()`: `TRUE` or `FALSE`.
#'   `ngrps()`: a named vector, the number of levels of each grouping factor. `REMLcrit()`: see
#'   [logLik.lmm()].
#' @seealso [lmm-accessors], [refit.lmm], [logLik.lmm]
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' isREML(fit)
#' isSingular(fit)
#' ngrps(fit)
#' @name lmm-generics
NULL

#' Call another package's function of the same name for an object that is not ours
#' @noRd
hand_over <- function(generic, object, ..., package = "lme4") {
  if (!isNamespaceLoaded(package)) {
    ferrolmm_abort(
      paste0("`", generic, "()` has no method for an object of class ", class(object)[[1L]], "."),
      "argument",
      i = paste0("It is for models fitted by lmm() and, when ", package,
                 " is loaded, for its models too.")
    )
  }
  ## Called in that package's namespace: from here its generic would find our default method.
  do.call(generic, list(object, ...), quote = TRUE, envir = asNamespace(package))
}

#' @rdname lmm-generics
#' @export
isREML <- function(x, ...) UseMethod("isREML")

#' @export
isREML.default <- function(x, ...) hand_over("isREML", x, ...)

#' @rdname lmm-generics
#' @export
isLMM <- function(x, ...) UseMethod("isLMM")

#' @export
isLMM.default <- function(x, ...) hand_over("isLMM", x, ...)

#' @rdname lmm-generics
#' @export
isGLMM <- function(x, ...) UseMethod("isGLMM")

#' @export
isGLMM.default <- function(x, ...) hand_over("isGLMM", x, ...)

#' @rdname lmm-generics
#' @export
isNLMM <- function(x, ...) UseMethod("isNLMM")

#' @export
isNLMM.default <- function(x, ...) hand_over("isNLMM", x, ...)

#' @rdname lmm-generics
#' @export
isSingular <- function(x, tol = 1e-4, ...) UseMethod("isSingular")

#' @export
isSingular.default <- function(x, tol = 1e-4, ...) {
  hand_over("isSingular", x, tol = tol, ...)
}

#' @rdname lmm-generics
#' @export
ngrps <- function(object, ...) UseMethod("ngrps")

#' @export
ngrps.default <- function(object, ...) hand_over("ngrps", object, ...)

#' @rdname lmm-generics
#' @export
REMLcrit <- function(object, ...) UseMethod("REMLcrit")

#' @export
REMLcrit.default <- function(object, ...) {
  hand_over("REMLcrit", object, ...)
}

#' @rdname getME.lmm
#' @export
getME <- function(object, name, ...) UseMethod("getME")

#' @export
getME.default <- function(object, name, ...) {
  hand_over("getME", object, name = name, ...)
}

#' @rdname refit.lmm
#' @export
refit <- function(object, newresp, ...) UseMethod("refit")

#' @export
refit.default <- function(object, newresp, ...) {
  hand_over("refit", object, newresp = newresp, ...)
}

#' @rdname refit.lmm
#' @export
refitML <- function(x, ...) UseMethod("refitML")

#' @export
refitML.default <- function(x, ...) hand_over("refitML", x, ...)

#' @rdname rePCA.lmm
#' @export
rePCA <- function(x, ...) UseMethod("rePCA")

#' @export
rePCA.default <- function(x, ...) hand_over("rePCA", x, ...)
