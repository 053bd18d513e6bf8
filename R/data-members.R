# Compressed rows of a matrix of weights: which levels rows have, and how much of each.
#
# list(start, level, weight): row i has the entries start[i] + 1, ..., start[i + 1], levels
# ascending, each once, none with a weight of zero.

#' The matrix of weights, transposed: a column for each row of the data, a row for each level
#'
#' @param codes list of codes by member; missing ones are left out.
#' @noRd
weight_matrix <- function(codes, weights, n_levels) {
  n <- nrow(weights)
  codes <- unlist(codes, use.names = FALSE)
  known <- which(!is.na(codes) & weights != 0)
  # a level that a row has twice has the sum of its weights
  rows <- Matrix::sparseMatrix(
    i = codes[known], j = rep.int(seq_len(n), ncol(weights))[known], x = weights[known],
    dims = c(n_levels, n)
  )
  Matrix::drop0(rows)
}

#' @noRd
compressed_rows <- function(transposed) {
  transposed <- Matrix::drop0(as_sparse(transposed))
  list(
    start = transposed@p, level = transposed@i + 1L, weight = as.double(transposed@x)
  )
}

#' The matrix of weights of members, transposed
#' @noRd
members_matrix <- function(members, n_levels) {
  new_matrix(
    "dgCMatrix", i = members$level - 1L, p = members$start, x = members$weight,
    Dim = c(as.integer(n_levels), length(members$start) - 1L)
  )
}

#' Members of rows that have one level each, or none (0 or NA)
#' @noRd
single_members <- function(codes) {
  known <- !is.na(codes) & codes > 0L
  list(
    start = c(0L, cumsum(known)), level = as.integer(codes[known]), weight = rep(1, sum(known))
  )
}

#' For each row the sum of the squares of its weights: by what a variance of its levels is
#' multiplied
#' @noRd
squared_weights <- function(members) {
  n <- length(members$start) - 1L
  row <- rep.int(seq_len(n), diff(members$start))
  out <- numeric(n)
  sums <- rowsum(members$weight^2, row)
  out[as.integer(rownames(sums))] <- sums
  out
}

#' Sums over the levels of rows, weighted: for each row a row of `values`, which has one for each
#' level
#'
#' @param codes codes of levels (NA: 0), or members.
#' @noRd
of_levels <- function(values, codes) {
  if (is.list(codes)) {
    # evaluated before the generic is called, see transposed()
    rows <- members_matrix(codes, nrow(values))
    return(as.matrix(Matrix::crossprod(rows, values)))
  }
  found <- values[codes, , drop = FALSE]
  found[is.na(codes), ] <- 0
  found
}
