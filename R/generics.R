# Generics that live in 'lme4'. That package is not needed to call them: each has a twin here of the
# same signature. Our methods are registered on both (NAMESPACE, zzz.R), and the default methods
# here hand over to 'lme4' when it is loaded, so that whichever package was attached last serves
# both classes.

#' Generics shared with 'lme4'
#'
#' Extract components of a model, ask what kind it is, or fit it again. With 'lme4' loaded these
#' functions also work for its models, whichever of the two packages was attached last.
#'
#' `isSingular()` says whether an estimated covariance matrix of random effects lies on the boundary
#' of its parameter space: a variance of zero, or effects that are perfectly correlated. The fit is
#' still the maximum, see the certificate in [summary.lmm()].
#'
#' @param object,x A model fitted by [lmm()].
#' @param tol A diagonal element of a relative covariance factor below it counts as zero.
#' @param ... Passed to methods.
#' @returns `isREML()`, `isLMM()`, `isGLMM()`, `isNLMM()`, `isSingular()`: `TRUE` or `FALSE`.
#'   `ngrps()`: a named vector, the number of levels of each grouping factor. `REMLcrit()`: see
#'   [logLik.lmm()].
#' @examples
#' data(sleepstudy, package = "lme4")
#' fit <- lmm(Reaction ~ Days + (Days | Subject), sleepstudy)
#' isREML(fit)
#' isSingular(fit)
#' ngrps(fit)
#' @name lmm-generics
NULL

#' Call 'lme4's function of the same name for an object that is not ours
#' @noRd
hand_over <- function(generic, object, ...) {
  if (!isNamespaceLoaded("lme4")) {
    ferrolmm_abort(
      paste0("`", generic, "()` has no method for an object of class ", class(object)[[1L]], "."),
      "argument",
      i = "It is for models fitted by lmm() and, when lme4 is loaded, for its models too."
    )
  }
  getExportedValue("lme4", generic)(object, ...)
}

#' @rdname lmm-generics
#' @export
isREML <- function(x, ...) UseMethod("isREML") # nolint: object_name_linter.

#' @export
isREML.default <- function(x, ...) hand_over("isREML", x, ...) # nolint: object_name_linter.

#' @rdname lmm-generics
#' @export
#' @rawNamespace S3method(lme4::isREML, lmm)
isREML.lmm <- function(x, ...) x$REML # nolint: object_name_linter.

#' @rdname lmm-generics
#' @export
isLMM <- function(x, ...) UseMethod("isLMM") # nolint: object_name_linter.

#' @export
isLMM.default <- function(x, ...) hand_over("isLMM", x, ...) # nolint: object_name_linter.

#' @rdname lmm-generics
#' @export
#' @rawNamespace S3method(lme4::isLMM, lmm)
isLMM.lmm <- function(x, ...) TRUE # nolint: object_name_linter.

#' @rdname lmm-generics
#' @export
isGLMM <- function(x, ...) UseMethod("isGLMM") # nolint: object_name_linter.

#' @export
isGLMM.default <- function(x, ...) hand_over("isGLMM", x, ...) # nolint: object_name_linter.

#' @rdname lmm-generics
#' @export
#' @rawNamespace S3method(lme4::isGLMM, lmm)
isGLMM.lmm <- function(x, ...) FALSE # nolint: object_name_linter.

#' @rdname lmm-generics
#' @export
isNLMM <- function(x, ...) UseMethod("isNLMM") # nolint: object_name_linter.

#' @export
isNLMM.default <- function(x, ...) hand_over("isNLMM", x, ...) # nolint: object_name_linter.

#' @rdname lmm-generics
#' @export
#' @rawNamespace S3method(lme4::isNLMM, lmm)
isNLMM.lmm <- function(x, ...) FALSE # nolint: object_name_linter.

#' @rdname lmm-generics
#' @export
isSingular <- function(x, tol = 1e-4, ...) UseMethod("isSingular") # nolint: object_name_linter.

#' @export
isSingular.default <- function(x, tol = 1e-4, ...) { # nolint: object_name_linter.
  hand_over("isSingular", x, tol = tol, ...)
}

#' @rdname lmm-generics
#' @export
isSingular.lmm <- function(x, tol = 1e-4, ...) { # nolint: object_name_linter.
  any(x$theta[x$lower == 0] < tol)
}

#' @rdname lmm-generics
#' @export
ngrps <- function(object, ...) UseMethod("ngrps")

#' @export
ngrps.default <- function(object, ...) hand_over("ngrps", object, ...)

#' @rdname lmm-generics
#' @export
#' @rawNamespace S3method(lme4::ngrps, lmm)
ngrps.lmm <- function(object, ...) vapply(object$flist, nlevels, 1L)

#' @rdname lmm-generics
#' @export
REMLcrit <- function(object, ...) UseMethod("REMLcrit") # nolint: object_name_linter.

#' @export
REMLcrit.default <- function(object, ...) { # nolint: object_name_linter.
  hand_over("REMLcrit", object, ...)
}

#' @rdname getME.lmm
#' @export
getME <- function(object, name, ...) UseMethod("getME") # nolint: object_name_linter.

#' @export
getME.default <- function(object, name, ...) { # nolint: object_name_linter.
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
refitML <- function(x, ...) UseMethod("refitML") # nolint: object_name_linter.

#' @export
refitML.default <- function(x, ...) hand_over("refitML", x, ...) # nolint: object_name_linter.

#' @rdname rePCA.lmm
#' @export
rePCA <- function(x, ...) UseMethod("rePCA") # nolint: object_name_linter.

#' @export
rePCA.default <- function(x, ...) hand_over("rePCA", x, ...) # nolint: object_name_linter.
