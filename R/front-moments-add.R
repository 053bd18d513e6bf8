# Moments of two sets of rows together.

#' The moments of two sets of rows together
#' @noRd
add_moments <- function(a, b) {
  check_same_moments(a, b)
  a$omitted <- a$omitted + b$omitted
  a$weighted <- a$weighted || b$weighted
  a$min_cell <- max(a$min_cell, b$min_cell)
  a$digits <- max(a$digits, b$digits)
  if (is_of_tables(a) || is_of_tables(b)) {
    # cells give tables, not the other way round
    a <- as_tables(a)
    a$tables <- unite_tables(a, as_tables(b))
    return(a)
  }
  both <- unite_keys(a$keys, b$keys, a$grouping)
  # the numbers of b in the order of those of a
  order <- match(a$numbers, b$numbers)
  a$cells <- engine_cells_with_cells(
    a$cells, nrow(both$keys), select_numbers(b$cells, order), both$to
  )
  a$keys <- both$keys
  a
}

#' Cells with their numbers in another order
#' @noRd
select_numbers <- function(cells, order) {
  if (identical(order, seq_len(cells$m))) {
    return(cells)
  }
  pairs <- triangle_pairs(cells$m)
  row <- pmax(order[pairs[, 1L]], order[pairs[, 2L]])
  col <- pmin(order[pairs[, 1L]], order[pairs[, 2L]])
  cells$means <- cells$means[order, , drop = FALSE]
  cells$scatter <- cells$scatter[row * (row - 1L) / 2L + col, , drop = FALSE]
  cells
}

#' @noRd
check_same_moments <- function(a, b) {
  differ <- if (!identical(a$response, b$response)) {
    paste0("the responses `", a$response, "` and `", b$response, "`")
  } else if (!identical(a$offset, b$offset) ||
               !identical(a$offset_argument, b$offset_argument)) {
    "other offsets"
  } else if (!setequal(a$numbers, b$numbers)) {
    lost <- setdiff(union(a$numbers, b$numbers), intersect(a$numbers, b$numbers))
    paste0(quote_names(vapply(lost, number_label, "")), ", which is not in both")
  } else if (!setequal(names(a$keys), names(b$keys))) {
    lost <- setdiff(
      union(names(a$keys), names(b$keys)), intersect(names(a$keys), names(b$keys))
    )
    paste0(quote_names(lost), ", which does not tell cells apart in both")
  } else if (!same_bases(a, b)) {
    "functions of the data with other coefficients (poly(), ns(), scale() ...)"
  }
  if (!is.null(differ)) {
    ferrolmm_abort(
      paste0("These moments cannot be added: they have ", differ, "."), "moments",
      i = "Take them by the same formula, with fixed bases where it has functions of the data."
    )
  }
}

#' Do functions of the data have the same coefficients in both?
#' @noRd
same_bases <- function(a, b) {
  predvars <- function(m) {
    terms <- attr(m$template, "terms")
    stats::setNames(as.list(attr(terms, "predvars"))[-1L], variable_columns(terms))[m$numeric]
  }
  isTRUE(all.equal(predvars(a), predvars(b)[a$numeric], tolerance = 1e-12))
}
