# Which tables of cross-products a model needs.
#
# [Z X y]'W[Z X y] has a block for each pair of terms, and a block is known by the cells of the keys
# (grouping variables and factors) of its two terms: tables by these keys, of the products that the
# two terms have. They are planned by kind of block: X and y with each other, a grouping factor with
# itself, X and y, and each pair of grouping factors. Within a kind, the keys of one block that are
# among those of another need no table of their own.

#' Numbers and keys of the columns of a design, different ones
#' @returns list of list(keys, number)
#' @noRd
distinct_parts <- function(parts) {
  found <- Map(function(keys, number) list(keys = sort(keys), number = number), parts$keys,
               parts$numbers)
  unname(found[!duplicated(found)])
}

#' Columns of the left side of a bar
#' @noRd
side_parts <- function(lhs, frame, numeric) {
  if (is.numeric(lhs) && identical(as.double(lhs), 1)) {
    return(list(numbers = "", keys = list(character())))
  }
  coded_parts(side_terms(lhs), frame, NULL, numeric)
}

#' The tables of a model
#'
#' @param frame rows, of which levels and classes matter; `numeric` and `numbers` as in
#'   [start_moments()].
#' @returns list of list(keys, products), as in a table
#' @noRd
plan_tables <- function(model, frame, numeric, numbers) {
  frame <- with_two_levels(frame)
  fixed <- distinct_parts(coded_parts(fixed_terms(model$fixed, frame), frame, NULL, numeric))
  response <- list(keys = character(), number = numbers[[length(numbers)]])
  constant <- list(keys = character(), number = "")
  own <- c(list(constant), fixed, list(response))
  leaves <- columns <- list()
  for (bar in model$bars) {
    parts <- side_parts(bar$lhs, frame, numeric)
    for (group in bar$groups) {
      key <- group_key(group, bar$known)
      leaves[[key]] <- union(leaves[[key]], variable_names(c(group$leaves, bar$by)))
      columns[[key]] <- c(columns[[key]], distinct_parts(parts))
    }
  }
  all_fixed <- unlist(lapply(own, `[[`, "keys"))
  plan <- list(plan_block(own, own, all_fixed, numbers))
  for (f in seq_along(columns)) {
    plan <- c(plan, plan_blocks(columns[[f]], c(own, columns[[f]]), leaves[[f]], numbers))
    for (g in seq_along(columns)[-seq_len(f)]) {
      both <- c(leaves[[f]], leaves[[g]])
      plan <- c(plan, plan_blocks(columns[[f]], columns[[g]], both, numbers))
    }
  }
  unite_plans(plan, by = "same")
}

#' One block: the products of two sets of columns, by given keys
#' @noRd
plan_block <- function(a, b, keys, numbers) {
  pairs <- expand.grid(a = seq_along(a), b = seq_along(b))
  place <- function(parts) match(vapply(parts, `[[`, "", "number"), c("", numbers)) - 1L
  a <- place(a)[pairs$a]
  b <- place(b)[pairs$b]
  # with the sums that move a centre
  products <- cbind(rbind(pmax(a, b), pmin(a, b)), rbind(c(a, b, 0L), 0L))
  list(keys = sort(unique(keys), method = "radix"), products = order_products(products))
}

#' @noRd
order_products <- function(products) {
  products <- products[, !duplicated(products, MARGIN = 2L), drop = FALSE]
  products <- products[, order(products[1L, ], products[2L, ]), drop = FALSE]
  matrix(as.integer(products), 2L)
}

#' The blocks of two sets of columns, each by the keys that it has besides `leaves`
#' @noRd
plan_blocks <- function(a, b, leaves, numbers) {
  plan <- list()
  for (left in a) {
    for (right in b) {
      keys <- c(leaves, left$keys, right$keys)
      plan[[length(plan) + 1L]] <- plan_block(list(left), list(right), keys, numbers)
    }
  }
  unite_plans(plan, by = "within")
}

#' Blocks of the same keys, or of keys that are among those of another, as one
#' @noRd
unite_plans <- function(plan, by) {
  plan <- plan[order(-lengths(lapply(plan, `[[`, "keys")))]
  united <- list()
  for (block in plan) {
    is_part <- function(other) {
      all(block$keys %in% other$keys) &&
        (by == "within" || length(block$keys) == length(other$keys))
    }
    at <- Position(is_part, united)
    if (is.na(at)) {
      united[[length(united) + 1L]] <- block
    } else {
      united[[at]]$products <- order_products(cbind(united[[at]]$products, block$products))
    }
  }
  united
}

#' The cells of all tables, one after the other; keys that a table does not have are missing there
#' @returns a data frame
#' @noRd
stack_keys <- function(tables, grouping) {
  sizes <- vapply(tables, function(table) length(table$counts), 1L)
  ends <- cumsum(sizes)
  names <- unique(unlist(lapply(tables, function(table) names(table$keys))))
  columns <- lapply(stats::setNames(nm = names), function(name) {
    has <- which(vapply(tables, function(table) name %in% names(table$keys), NA))
    values <- lapply(tables[has], function(table) table$keys[[name]])
    united <- Reduce(function(a, b) unite_values(a, b, name, name %in% grouping), values)
    rows <- unlist(Map(function(end, size) end - size + seq_len(size), ends[has], sizes[has]))
    at <- rep.int(NA_integer_, sum(sizes))
    at[rows] <- seq_along(rows)
    united[at]
  })
  as_frame(columns, .set_row_names(sum(sizes)))
}

#' What a fit keeps in place of rows, of tables: see [condense_cells()]
#'
#' @param X columns of X.
#' @returns as [condense_cells()], with nothing in the place of rows, and `tables` (see
#'   [stacked_tables()]); `fixed`, the condensed rows of the fixed part alone, from the table of its
#'   keys
#' @noRd
condense_tables <- function(moments, frame, numeric, X) {
  first <- moments$tables[[1L]]
  found <- list(
    frame = frame, numeric = numeric, ids = moments$numbers, cell = integer(), one = double(),
    values = NULL, y = double(), weights = NULL,
    stands_for = list(counts = sum(first$counts), log_weights = sum(first$log_weights)),
    tables = stacked_tables(moments$tables)
  )
  found["fixed"] <- list(condense_fixed(found, X))
  found
}

#' Condensed rows of X and y: those of the smallest table that knows all columns
#' @noRd
condense_fixed <- function(condensed, X) {
  ids <- condensed$ids
  used <- setdiff(vapply(X, `[[`, "", "number"), "")
  places <- c(match(used, ids), length(ids))
  for (table in condensed$tables) {
    known <- all(vapply(X, is_known, NA, table))
    cells <- if (known) cells_of_table(table, places, ids)
    if (!is.null(cells)) {
      frame <- condensed$frame[table$rows, , drop = FALSE]
      attr(frame, "row.names") <- .set_row_names(nrow(frame))
      return(condense_cells(cells, frame, condensed$numeric, ids[places], used))
    }
  }
}

#' Are moments by tables?
#' @noRd
is_of_tables <- function(moments) !is.null(moments$tables)

#' A frame in which each factor can be coded, even that of a chunk of one level
#' @noRd
with_two_levels <- function(frame) {
  for (k in seq_along(frame)) {
    x <- .subset2(frame, k)
    if (is.factor(x) && nlevels(x) < 2L) {
      levels <- c(levels(x), "another level", "one more")
      frame <- set_column(
        frame, k, structure(as.integer(x), levels = levels, class = class(x))
      )
    }
  }
  frame
}
