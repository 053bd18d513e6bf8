# Matrices of 'Matrix', and Cholesky factors of what is positive definite by definition, and may not
# be so in floating point.

#' A matrix of a class of 'Matrix', a package that is loaded when it is needed
#' @noRd
new_matrix <- function(class, ...) {
  methods::new(methods::getClass(class, where = asNamespace("Matrix")), ...)
}

#' Is a value a matrix of 'Matrix'? Columns of other classes are S4, too
#' @noRd
is_matrix_object <- function(x) isS4(x) && methods::is(x, "Matrix")

#' A matrix of any class in compressed columns, with all entries of a symmetric one
#' @noRd
as_sparse <- function(x) {
  methods::as(methods::as(Matrix::Matrix(x, sparse = TRUE), "generalMatrix"), "CsparseMatrix")
}

#' A sparse matrix in compressed columns, with both triangles, as the engine takes it
#' @noRd
compressed_columns <- function(matrix) {
  list(start = matrix@p, row = matrix@i, value = as.double(matrix@x))
}

#' The transpose of a sparse matrix
#'
#' The argument is evaluated before Matrix's generic is called: an error raised inside an argument
#' of an S4 generic is wrapped by R, and loses its class.
#' @noRd
transposed <- function(x) {
  force(x)
  Matrix::t(x)
}

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

#' Lower triangular root of a positive semidefinite matrix
#'
#' @param tolerance what is left of a variance is zero up to this share of it.
#' @noRd
lower_root <- function(x, tolerance = 0) {
  k <- nrow(x)
  least <- tolerance * diag(x)
  for (j in seq_len(k)) {
    before <- seq_len(j - 1L)
    for (i in j:k) {
      rest <- x[i, j] - sum(x[i, before] * x[j, before])
      x[i, j] <- if (i == j) {
        if (rest > least[[i]]) sqrt(rest) else 0
      } else if (x[j, j] > 0) {
        rest / x[j, j]
      } else {
        0
      }
    }
  }
  x[upper.tri(x)] <- 0
  x
}
