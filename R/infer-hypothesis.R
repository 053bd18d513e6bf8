# Rows of L: which are independent, the variances of L beta, Wald's statistic.

#' Quadratic form of `estimate` in the inverse of L C L', and the rank of L
#'
#' @param variance C; `rx` an upper triangular root of its inverse, NULL where there is none.
#' @noRd
wald_statistic <- function(L, estimate, variance, rx = NULL) {
  rows <- independent_rows(L, variance)
  if (length(rows) == 0L) {
    return(list(value = NA_real_, rank = 0L))
  }
  L <- L[rows, , drop = FALSE]
  root <- covariance_root(L, variance, rx)
  list(value = sum(backsolve(root, estimate[rows], transpose = TRUE)^2), rank = length(rows))
}

#' For L C L' to have half of its digits: the least ratio of l'Cl of a row, less what rows before it
#' explain, to the sums
#' @noRd
enough_left <- 1e-8

#' Upper triangular root of L C L'
#'
#' Where next to nothing is left of the sums, or of a row given the others, as with predictors far
#' from zero, the product has lost it, and the Cholesky factor is noise or fails. With C^-1 = R'R
#' the triangle of the QR decomposition of R^-T L' is a root of it too, at the square root of its
#' condition.
#' @noRd
covariance_root <- function(L, variance, rx = NULL) {
  root <- tryCatch(chol(L %*% variance %*% t(L)), error = function(e) NULL)
  sums <- row_variances(abs(L), abs(variance))
  if (!is.null(root) && all(diag(root)^2 > enough_left * sums)) {
    return(root)
  }
  half <- if (is.null(rx)) {
    what <- "The covariance matrix of the tested combinations of coefficients"
    advice <- "Test fewer rows together, or a model whose variances the data tell."
    upper_cholesky(variance, what, i = advice) %*% t(L)
  } else {
    backsolve(rx, t(L), transpose = TRUE)
  }
  qr.R(qr(half, tol = 0))
}

#' A maximal set of linearly independent rows of L, each column in units of its standard error
#' @noRd
independent_rows <- function(L, variance) {
  if (!is.null(single_entries(L)) && all(diag(variance) != 0)) {
    return(seq_len(nrow(L)))
  }
  # the absolute value, as only the unit matters: a corrected variance may be negative
  scaled <- t(L) * sqrt(abs(diag(variance)))
  size <- sqrt(colSums(scaled^2))
  used <- which(size > 0)
  if (length(used) == 0L) {
    return(integer())
  }
  decomposed <- qr(scaled[, used, drop = FALSE] / rep(size[used], each = nrow(scaled)))
  sort(used[decomposed$pivot[seq_len(decomposed$rank)]])
}

#' The column of the only entry of each row, if no two share a column; NULL for other matrices
#' @noRd
single_entries <- function(L) {
  at <- max.col(abs(L), "first")
  is_single <- sum(L != 0) == nrow(L) && all(L[cbind(seq_along(at), at)] != 0)
  if (is_single && !anyDuplicated(at)) at
}

#' Number of operations from which products are left to the engine: it is faster, and can be
#' interrupted
#' @noRd
many_operations <- 1e8

#' l'Cl of each row l of L
#'
#' Rows have few entries where coefficients are many: a summary of thousands of them needs no
#' product of matrices of that size.
#' @noRd
row_variances <- function(L, variance) {
  if (nrow(L) == 0L || sum(L != 0) > length(L) / 8) {
    if (as.double(length(L)) * ncol(L) > many_operations) {
      return(engine_row_variances(L, variance))
    }
    return(rowSums((L %*% variance) * L))
  }
  vapply(seq_len(nrow(L)), function(i) {
    at <- which(L[i, ] != 0)
    l <- L[i, at]
    sum(l * (variance[at, at, drop = FALSE] %*% l))
  }, 0)
}
