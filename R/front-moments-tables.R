# Moments as tables of cross-products, where the cells of all keys together would be as many as the
# rows: see R/design-cells-tables.R for which tables there are.

#' Cells from which on tables are made where they are fewer
#' @noRd
many_cells <- 2e5

#' Are there so many cells that tables are better?
#'
#' Cells allow every model of their keys, so that they are kept up to a number that is soon gone
#' through, and where rows are much more.
#' @noRd
wants_tables <- function(cells, rows) cells > many_cells && cells > rows / 4

#' Moments without rows that are gathered by tables, from those without rows that are not
#' @noRd
as_empty_tables <- function(moments) {
  moments$tables <- lapply(moments$plan, function(table) {
    names <- intersect(names(moments$keys), table$keys)
    empty_table(moments$keys[0L, names, drop = FALSE], table$products)
  })
  moments$keys <- moments$keys[0L, , drop = FALSE]
  moments$omitted <- 0
  moments["cells"] <- list(NULL)
  moments
}

#' Moments by cell as tables
#' @noRd
as_tables <- function(moments) {
  if (is_of_tables(moments)) {
    return(moments)
  }
  found <- as_empty_tables(moments)
  found$omitted <- moments$omitted
  found$tables <- lapply(found$tables, function(table) {
    keys <- moments$keys[names(table$keys)]
    codes <- code_cells(keys)
    table$keys <- keys[codes$first, , drop = FALSE]
    engine_table_with(table, length(codes$first), moments$cells, codes$codes)
  })
  found
}

#' The tables of two sets of moments together
#' @noRd
unite_tables <- function(a, b) {
  order <- c(0L, match(b$numbers, a$numbers))
  keys_of <- function(tables) {
    vapply(tables, function(table) paste(sort(names(table$keys)), collapse = "\r"), "")
  }
  at <- match(keys_of(a$tables), keys_of(b$tables))
  tables <- if (!anyNA(at) && length(a$tables) == length(b$tables)) {
    Map(unite_table, a$tables, b$tables[at], MoreArgs = list(order = order, grouping = a$grouping))
  }
  if (is.null(tables) || any(vapply(tables, is.null, NA))) {
    ferrolmm_abort(
      "These moments cannot be added: they have tables of other pairs of terms.", "moments",
      i = "Take them by the same formula, or all of them with gather = \"cells\"."
    )
  }
  unname(tables)
}

#' One table with another added; NULL where products differ
#' @param order numbers of the first for those of the other, from 0.
#' @noRd
unite_table <- function(table, other, order, grouping) {
  renamed <- matrix(order[other$products + 1L], 2L)
  name <- function(products) {
    paste(pmax(products[1L, ], products[2L, ]), pmin(products[1L, ], products[2L, ]))
  }
  at <- match(name(table$products), name(renamed))
  if (anyNA(at) || ncol(table$products) != ncol(renamed)) {
    return(NULL)
  }
  rows <- as.vector(rbind(2L * at - 1L, 2L * at))
  other$sums <- other$sums[rows, , drop = FALSE]
  other$products <- table$products
  both <- unite_keys(table$keys, other$keys, grouping)
  # levels that only the other has are levels of both
  table$keys <- both$keys
  engine_table_with(table, nrow(both$keys), other, both$to)
}

#' Cells of all tables, or the cells: a rough size of moments
#' @noRd
size_of_moments <- function(moments) {
  if (is_of_tables(moments)) {
    sum(vapply(moments$tables, function(table) length(table$counts), 1L))
  } else {
    length(moments$cells$counts)
  }
}

#' Observations of each cell: of all tables
#' @noRd
cell_counts <- function(moments) {
  if (is_of_tables(moments)) {
    unlist(lapply(moments$tables, `[[`, "counts"))
  } else {
    moments$cells$counts
  }
}

#' The number of observations of moments
#' @noRd
count_moments <- function(moments) {
  sum(if (is_of_tables(moments)) moments$tables[[1L]]$counts else moments$cells$counts)
}

#' Tables with the rows of a frame added
#' @noRd
add_rows_to_tables <- function(moments, keys, values, weights) {
  moments$tables <- lapply(moments$tables, function(table) {
    own <- keys[names(table$keys)]
    codes <- code_cells(own)
    both <- unite_keys(table$keys, own[codes$first, , drop = FALSE], moments$grouping)
    table$keys <- both$keys
    engine_table_with_rows(table, nrow(both$keys), both$to[codes$codes], values, weights)
  })
  moments
}
