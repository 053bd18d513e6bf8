# What kind of model a fit is: methods of generics shared with 'lme4'.

#' @rdname lmm-generics
#' @export
#' @rawNamespace S3method(lme4::isREML, lmm)
isREML.lmm <- function(x, ...) {
  check_dots(...)
  x$REML
}

#' @rdname lmm-generics
#' @export
#' @rawNamespace S3method(lme4::isLMM, lmm)
isLMM.lmm <- function(x, ...) {
  check_dots(...)
  TRUE
}

#' @rdname lmm-generics
#' @export
#' @rawNamespace S3method(lme4::isGLMM, lmm)
isGLMM.lmm <- function(x, ...) {
  check_dots(...)
  FALSE
}

#' @rdname lmm-generics
#' @export
#' @rawNamespace S3method(lme4::isNLMM, lmm)
isNLMM.lmm <- function(x, ...) {
  check_dots(...)
  FALSE
}

#' @rdname lmm-generics
#' @export
isSingular.lmm <- function(x, tol = 1e-4, ...) {
  check_dots(...)
  if (!is.numeric(tol) || length(tol) != 1L || !isTRUE(tol >= 0)) {
    ferrolmm_abort(
      paste0("`tol` must be a number, at least 0", describe_given(tol), "."), "argument"
    )
  }
  # nothing is at a boundary where there is none
  if (is_nobound(x)) {
    return(FALSE)
  }
  if (any(x$certificate$rank < block_sizes(x$random))) {
    return(TRUE)
  }
  diagonals <- lapply(theta_matrix(x$theta, x$random), diag)
  scales <- lapply(block_terms(x$random), function(t) effect_scales(x, t))
  if (length(diagonals) == 0L) {
    return(FALSE)
  }
  any(unlist(diagonals) * unlist(scales) < tol)
}
