# Rows gathered by cell: counts, means and scatter of numbers.
#
# Cells are list(m, counts, weights, log_weights, means (m x cells), scatter (m (m + 1) / 2 x cells:
# lower triangles, row by row)): of each cell the number of observations, the sums of their weights
# and log weights, the weighted means of the m numbers, and their weighted scatter about them.

#' No cells of m numbers
#' @noRd
empty_cells <- function(m) {
  list(
    m = as.integer(m), counts = double(), weights = double(), log_weights = double(),
    means = matrix(0, m, 0L), scatter = matrix(0, m * (m + 1) / 2, 0L)
  )
}

#' Cells with the rows of a chunk added
#'
#' @param codes cell of each row, integers from 1 to `n_cells`; `values` list of m doubles.
#' @noRd
engine_cells_with_rows <- function(cells, n_cells, codes, values, weights) {
  found <- engine_value(rs_cells_with_rows(
    cells, as.integer(n_cells), as.integer(codes), lapply(unname(values), as.double), weights
  ))
  found[names(cells)]
}

#' Cells with those of others added
#' @param to integer: which cell (from 1) each of `other` is among the `n_cells`.
#' @noRd
engine_cells_with_cells <- function(cells, n_cells, other, to) {
  found <- engine_value(rs_cells_with_cells(cells, as.integer(n_cells), other, as.integer(to)))
  found[names(cells)]
}

#' Rows that have the cross-products of the observations of the cells
#'
#' @param keep which numbers (from 1), the response last.
#' @returns list(cell (of each row, from 1), one (1 in a row of means, 0 in one of scatter), values
#'   (a row each, a column for each of `keep`), weights, stands_for = list(counts, log_weights),
#'   own (0, or in the row of what the other numbers leave of the response, its dimensions))
#' @noRd
engine_condensed_rows <- function(cells, keep) {
  found <- engine_value(rs_condensed_rows(cells, as.integer(keep)))
  found[names(found) != "ok"]
}

#' Rows and columns of a lower triangle, row by row: the order of `scatter`
#' @noRd
triangle_pairs <- function(m) {
  cbind(rep.int(seq_len(m), seq_len(m)), sequence(seq_len(m)))
}
