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
  if (any(x$certificate$rank < full_ranks(x$random))) {
    return(TRUE)
  }
  blocks <- random_blocks(x$random)
  scales <- lapply(block_terms(x$random), function(t) effect_scales(x, t))
  sizes <- Map(least_deviations, split_theta(x$theta, x$random), blocks, scales)
  any(unlist(sizes) < tol)
}

#' Standard deviations that are zero where the covariance matrix of a block is singular
#'
#' @param scale the size of each basis column.
#' @noRd
least_deviations <- function(theta, term, scale) {
  if (!has_factors(term)) {
    return(diag(term_factor(theta, term)) * scale)
  }
  parts <- term_loadings(theta, term)
  if (is_factor_analytic(term)) sqrt(parts$specific) * scale else svd(parts$loadings * scale)$d
}
