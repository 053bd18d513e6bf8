# Tables of cross-products: sums of products of numbers by cell, and the moments of a model.
#
# A table is list(keys (a data frame with a row for each cell), products (integer matrix with two
# rows, numbers of the moments from 1, 0 for the constant 1), counts, log_weights, sums (a column
# for each cell, and two rows for each product: a double and what is left of 32 digits)).
#
# In a fit, a column of X or Z is list(part, number): the number that it is a product with, and its
# coding on the stacked cells of all tables (NULL: 1), missing in tables whose cells do not tell it.

#' A table without rows
#' @noRd
empty_table <- function(keys, products) {
  list(
    keys = keys, products = products, counts = double(), log_weights = double(),
    sums = matrix(0, 2L * ncol(products), 0L)
  )
}

#' A table with the rows of a chunk added
#'
#' @param codes cell of each row, integers from 1 to `n_cells`; `values` list of doubles.
#' @noRd
engine_table_with_rows <- function(table, n_cells, codes, values, weights) {
  found <- engine_value(rs_table_with_rows(
    table, as.integer(n_cells), as.integer(codes), lapply(unname(values), as.double), weights
  ))
  replace(table, c("counts", "log_weights", "sums"), found[c("counts", "log_weights", "sums")])
}

#' A table with another one added, or with cells
#' @param to integer: which cell (from 1) each of `other` is among the `n_cells`.
#' @noRd
engine_table_with <- function(table, n_cells, other, to) {
  found <- engine_value(rs_table_with(table, as.integer(n_cells), other, as.integer(to)))
  replace(table, c("counts", "log_weights", "sums"), found[c("counts", "log_weights", "sums")])
}

#' A table of numbers about a centre, without it
#' @noRd
engine_table_shift <- function(table, centre) {
  table$sums <- engine_value(rs_table_shift(table, as.double(centre)))$sums
  table
}

#' Sums of columns times whole numbers, two values for each element
#' @noRd
engine_add_columns <- function(columns, times) {
  engine_value(rs_add_columns(lapply(columns, as.double), as.double(times)))$sums
}

#' Sums of one product over the cells of each group, times values of the cells
#' @param codes group of each cell from 1 to `groups`, NULL for one group.
#' @noRd
engine_table_fold <- function(table, product, codes, groups, left, right) {
  engine_value(rs_table_fold(
    table$sums, product, ncol(table$products), codes, as.integer(groups), left, right
  ))$sums
}

#' Tables as a fit keeps them, the smallest first
#' @noRd
stacked_tables <- function(tables) {
  sizes <- vapply(tables, function(table) length(table$counts), 1L)
  ends <- cumsum(sizes)
  stacked <- Map(function(table, end, size) {
    table$keys <- NULL
    table$rows <- end - size + seq_len(size)
    table
  }, tables, ends, sizes)
  unname(stacked[order(sizes)])
}

#' The coding of a column in the cells of a table, NULL for 1
#' @noRd
column_cells <- function(column, rows) {
  part <- column$part
  if (is.list(part)) part$values[as.integer(part$codes)[rows]] else part[rows]
}

#' Is a column known in a table? Its cells tell it in all of its rows or in none
#' @noRd
is_known <- function(column, table) {
  is.null(column$part) || !is.na(column_cells(column, table$rows[[1L]]))
}

#' The product of two columns of a table; 0 for none
#' @param ids the numbers of the moments.
#' @noRd
product_of <- function(table, a, b, ids) {
  pair <- match(c(a$number, b$number), c("", ids)) - 1L
  low <- pmin(table$products[1L, ], table$products[2L, ])
  high <- pmax(table$products[1L, ], table$products[2L, ])
  match(TRUE, low == min(pair) & high == max(pair), nomatch = 0L)
}

#' Sums of the products of two columns by level of grouping factors, by the smallest table that has
#' them
#'
#' @param codes list of codes on the stacked cells: of none, one or two grouping factors.
#' @param code a function of a table and its codes that returns list(codes, groups).
#' @noRd
sum_products <- function(a, b, condensed, codes, code) {
  for (at in seq_along(condensed$tables)) {
    table <- condensed$tables[[at]]
    known <- is_known(a, table) && is_known(b, table) &&
      !anyNA(vapply(codes, `[[`, 1L, table$rows[[1L]]))
    product <- if (known) product_of(table, a, b, condensed$ids) else 0L
    if (product > 0L) {
      groups <- code(at, lapply(codes, `[`, table$rows))
      return(engine_table_fold(
        table, product, groups$codes, groups$groups, column_cells(a, table$rows),
        column_cells(b, table$rows)
      ))
    }
  }
  abort_no_products()
}

#' @noRd
abort_no_products <- function() {
  ferrolmm_abort(
    "The moments do not have the cross-products of this model.", "moments",
    x = paste("Tables are of the pairs of terms of one formula, and the model has a pair that it",
              "does not have."),
    i = "Take moments of the model's formula, or with gather = \"cells\": lmm_moments()."
  )
}

#' No groups
#' @noRd
no_groups <- function(at, codes) list(codes = NULL, groups = 1L)

#' Cross-products of columns with each other: two rows, ncol^2 pairs
#' @noRd
gram_of_tables <- function(columns, condensed) {
  p <- length(columns)
  found <- array(0, c(2L, p, p))
  for (a in seq_len(p)) {
    for (b in seq_len(a)) {
      found[, a, b] <- found[, b, a] <-
        sum_products(columns[[a]], columns[[b]], condensed, list(), no_groups)
    }
  }
  found
}

#' The constant 1 as a column
#' @noRd
table_constant <- list(part = NULL, number = "")

#' A matrix whose columns have the cross-products of the columns of X, the constant 1 first
#' @noRd
triangle_of_tables <- function(columns, condensed) {
  columns <- c(list(table_constant), columns, list(table_constant))
  gram <- gram_of_tables(columns, condensed)
  engine_value(rs_triangle(as.double(gram), length(columns) - 1L))$triangle
}

#' Sums of z z' by level, z the columns of a term, of a grouping factor as the engine takes it
#' @returns a matrix with a column for each level
#' @noRd
squares_of_tables <- function(columns, factor, condensed) {
  found <- products_by_level(columns, columns, factor, condensed)
  matrix(found[1L, , , ], length(columns)^2)
}

#' Root mean squares of the basis columns of each term
#' @noRd
scales_of_tables <- function(design, condensed) {
  size <- gram_of_tables(list(table_constant), condensed)[1L]
  lapply(design$terms, function(term) {
    k <- length(term$columns)
    squares <- squares_of_tables(term$columns, design$factors[[term$factor]], condensed)
    sqrt(diag(matrix(rowSums(squares), k)) / size)
  })
}

#' The cells of a table, with means and scatter of some numbers, as in R/engine-cells.R
#'
#' Sums of twice the digits are moved to the overall means first.
#' @param numbers places of the numbers in `ids`; NULL where the table does not have all products.
#' @noRd
cells_of_table <- function(table, numbers, ids) {
  m <- length(numbers)
  column <- lapply(numbers, function(at) list(part = NULL, number = ids[[at]]))
  at <- function(a, b) product_of(table, a, b, ids)
  pair <- triangle_pairs(m)
  places <- c(
    at(table_constant, table_constant), vapply(column, at, 1L, table_constant),
    vapply(seq_len(nrow(pair)), function(k) at(column[[pair[k, 1L]]], column[[pair[k, 2L]]]), 1L)
  )
  if (any(places == 0L)) {
    return(NULL)
  }
  sums <- table$sums[2L * places - 1L, , drop = FALSE]
  centre <- rowSums(sums[1L + seq_len(m), , drop = FALSE]) / sum(sums[1L, ])
  of_all <- double(length(ids))
  of_all[numbers] <- -centre
  sums <- engine_table_shift(table, of_all)$sums[2L * places - 1L, , drop = FALSE]
  weights <- sums[1L, ]
  off <- sums[1L + seq_len(m), , drop = FALSE]
  over <- off / rep(weights, each = m)
  scatter <- sums[-seq_len(m + 1L), , drop = FALSE] -
    off[pair[, 1L], , drop = FALSE] * over[pair[, 2L], , drop = FALSE]
  diagonal <- pair[, 1L] == pair[, 2L]
  # what is left of rounding
  squares <- sums[-seq_len(m + 1L), , drop = FALSE][diagonal, , drop = FALSE]
  variances <- scatter[diagonal, , drop = FALSE]
  constant <- variances <= 1e-13 * squares | rep(table$counts == 1, each = m)
  scatter[constant[pair[, 1L], , drop = FALSE] | constant[pair[, 2L], , drop = FALSE]] <- 0
  list(
    m = m, counts = table$counts, weights = weights, log_weights = table$log_weights,
    means = over + centre, scatter = scatter
  )
}

#' Sums of products of the columns of one grouping factor with others, by its levels
#' @returns doubles in the order of 2 x right x left x levels
#' @noRd
products_by_level <- function(left, right, factor, condensed) {
  by_level <- function(at, codes) list(codes = codes[[1L]], groups = factor$n_levels)
  found <- array(0, c(2L, length(right), length(left), factor$n_levels))
  for (a in seq_along(left)) {
    for (b in seq_along(right)) {
      found[, b, a, ] <-
        sum_products(left[[a]], right[[b]], condensed, list(factor$codes), by_level)
    }
  }
  found
}

#' Cells of two grouping factors in the cells of a table, by levels of the first, then the second
#' @noRd
code_pairs <- function(first, second) {
  order <- order(first, second, method = "radix")
  new <- c(TRUE, diff(first[order]) != 0L | diff(second[order]) != 0L)
  codes <- integer(length(first))
  codes[order] <- cumsum(new)
  list(codes = codes, groups = sum(new), first = first[order][new], second = second[order][new])
}

#' Sums of products of the columns of two grouping factors, by pair of levels
#' @noRd
products_by_pair <- function(left, right, f, g, condensed) {
  coded <- list()
  code <- function(at, codes) {
    if (length(coded) < at || is.null(coded[[at]])) {
      coded[[at]] <<- code_pairs(codes[[1L]], codes[[2L]])
    }
    coded[[at]]
  }
  found <- NULL
  for (a in seq_along(left)) {
    for (b in seq_along(right)) {
      own <- sum_products(left[[a]], right[[b]], condensed, list(f$codes, g$codes), code)
      if (is.null(found)) found <- array(0, c(2L, length(left), length(right), length(own) / 2L))
      found[, a, b, ] <- own
    }
  }
  pairs <- Filter(Negate(is.null), coded)[[1L]]
  list(
    start = c(0, cumsum(as.double(tabulate(pairs$first, f$n_levels)))),
    level = pairs$second - 1, value = found
  )
}

#' The moments of a model, as [engine_moments()] returns them, from tables
#'
#' @param X columns of X; `response` the number of the response; `design` the random part as the
#'   engine takes it; `condensed` list(tables, ids, stands_for).
#' @noRd
moments_of_tables <- function(X, design, condensed) {
  x <- c(X, list(list(part = NULL, number = condensed$ids[[length(condensed$ids)]])))
  factor_of <- vapply(design$terms, `[[`, 1L, "factor")
  columns <- lapply(seq_along(design$factors), function(f) {
    do.call(c, lapply(design$terms[factor_of == f], `[[`, "columns"))
  })
  factors <- Map(function(factor, z) {
    list(
      n_levels = as.integer(factor$n_levels), k = length(z),
      zz = as.double(products_by_level(z, z, factor, condensed)),
      zx = as.double(products_by_level(z, x, factor, condensed))
    )
  }, design$factors, columns)
  pairs <- list()
  for (f in seq_along(columns)) {
    for (g in seq_along(columns)[-seq_len(f)]) {
      found <- products_by_pair(
        columns[[f]], columns[[g]], design$factors[[f]], design$factors[[g]], condensed
      )
      pairs[[length(pairs) + 1L]] <- c(list(f = f - 1L, g = g - 1L), found)
    }
  }
  list(
    n = sum(condensed$stands_for$counts), p = as.double(length(X)),
    sum_log_weights = sum(condensed$stands_for$log_weights),
    xx = as.double(gram_of_tables(x, condensed)), factors = unname(factors), pairs = pairs
  )
}

#' Moments of another response: y less the column `j` of X times a number, and X without it
#' @noRd
move_column <- function(moments, j, times) {
  p1 <- moments$p + 1L
  less <- function(a, b) {
    a <- matrix(a, 2L)
    b <- matrix(b, 2L)
    engine_add_columns(list(a[1L, ], a[2L, ], b[1L, ], b[2L, ]), c(1, 1, -times, -times))
  }
  xx <- array(moments$xx, c(2L, p1, p1))
  xx[, p1, ] <- less(xx[, p1, ], xx[, j, ])
  xx[, , p1] <- less(xx[, , p1], xx[, , j])
  moments$xx <- as.double(xx[, -j, -j])
  moments$factors <- lapply(moments$factors, function(factor) {
    zx <- array(factor$zx, c(2L, p1, factor$k * factor$n_levels))
    zx[, p1, ] <- less(zx[, p1, ], zx[, j, ])
    factor$zx <- as.double(zx[, -j, ])
    factor
  })
  moments$p <- moments$p - 1L
  moments
}
