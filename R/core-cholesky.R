# Cholesky factors of what is positive definite by definition, and may not be so in floating point.

#' Upper triangle R with R'R = x
#'
#' @param what what `x` is, as the subject of a sentence.
#' @noRd
upper_cholesky <- function(x, what, i = engine_remedies[["numerical"]]) {
  tryCatch(chol(x), error = function(e) abort_broken_down(what, i))
}

#' Sparse Cholesky factor LL' = P x P' of Matrix, of x + I where `unit` is 1
#' @noRd
sparse_cholesky <- function(x, what, unit = 0) {
  broken <- function(condition) abort_broken_down(what)
  tryCatch(
    Matrix::Cholesky(x, perm = TRUE, LDL = FALSE, Imult = unit), error = broken, warning = broken
  )
}

#' @noRd
abort_broken_down <- function(what, i = engine_remedies[["numerical"]]) {
  ferrolmm_abort(
    paste0(what, " broke down numerically: rounding errors outweigh what is computed."),
    "numerical", i = i
  )
}
