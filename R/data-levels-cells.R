# Combinations of levels of several variables: cells, and those of several sets of rows as one.

#' The cell of each row, and the first row of each cell
#' @returns list(codes, first)
#' @noRd
code_cells <- function(keys) {
  if (length(keys) == 0L) {
    n <- nrow(keys)
    return(list(codes = rep.int(1L, n), first = seq_len(min(n, 1L))))
  }
  coded <- Map(code_variable, unclass(keys), names(keys))
  codes <- as.integer(interact_codes(coded)$codes)
  # levels without rows are no cells
  codes <- match(codes, unique(codes))
  list(codes = codes, first = which(!duplicated(codes)))
}

#' Keys of two sets of cells as one, those that are in both once
#'
#' @param grouping names of variables whose levels are in no order, whatever their class.
#' @returns list(keys, to: which of them each of `new` is); those of `old` keep their places
#' @noRd
unite_keys <- function(old, new, grouping) {
  columns <- Map(
    unite_values, unclass(old), unclass(new)[names(old)], names(old), names(old) %in% grouping
  )
  all <- as_frame(columns, .set_row_names(nrow(old) + nrow(new)))
  cells <- code_cells(all)
  list(
    keys = all[cells$first, , drop = FALSE],
    to = cells$codes[nrow(old) + seq_len(nrow(new))]
  )
}

#' Values of one variable of two sets, one after the other
#' @noRd
unite_values <- function(a, b, name, grouping) {
  if (is.factor(a) && is.factor(b)) {
    return(unite_factors(a, b, name, grouping))
  }
  same <- identical(class(a), class(b)) || is.numeric(a) && is.numeric(b) && !is.object(a) &&
    !is.object(b)
  if (!same) {
    ferrolmm_abort(
      paste0("`", name, "` is ", describe_value(a), " in one part, and ", describe_value(b),
             " in another."),
      "moments", variable = name, i = "Make it of one class in all parts."
    )
  }
  c(a, b)
}

#' Factors of two parts: the levels of the first, then those that only the second has; of ordered
#' factors whose order matters, the one order that has both
#' @noRd
unite_factors <- function(a, b, name, grouping) {
  levels <- union(levels(a), levels(b))
  if (!grouping && (is.ordered(a) || is.ordered(b)) && !identical(levels(a), levels(b))) {
    levels <- if (is.ordered(a) && is.ordered(b)) merge_orders(levels(a), levels(b))
    if (is.null(levels)) {
      ferrolmm_abort(
        paste0("The ordered factor `", name, "` has other levels in another part, and they do not ",
               "tell one order of all."),
        "moments", variable = name, i = "Give it all of its levels, in their order, in each part."
      )
    }
  }
  codes <- c(match(levels(a), levels)[a], match(levels(b), levels)[b])
  united <- structure(codes, levels = levels, class = class(a))
  own <- attr(a, "contrasts")
  if (!is.null(own) && length(levels) == nlevels(a)) attr(united, "contrasts") <- own
  united
}

#' The one order that has two orders in it; NULL where there is none, or more than one
#'
#' The first of what is left of the one comes next if it is not in the other, and the first of the
#' other comes later in the one.
#' @noRd
merge_orders <- function(a, b) {
  merged <- character()
  while (length(a) > 0L && length(b) > 0L) {
    of_a <- !a[[1L]] %in% b
    of_b <- !b[[1L]] %in% a
    if (!identical(a[[1L]], b[[1L]]) && of_a == of_b) {
      return(NULL)
    }
    own <- if (of_b) b[[1L]] else a[[1L]]
    merged <- c(merged, own)
    a <- setdiff(a, own)
    b <- setdiff(b, own)
  }
  c(merged, a, b)
}

#' Which rows of a frame of stacked tables tell some variables; NULL where all do
#' @noRd
known_rows <- function(frame, leaves) {
  if (!isTRUE(attr(frame, "stacked"))) {
    return(NULL)
  }
  rows <- which(!Reduce(`|`, lapply(leaves, function(leaf) is.na(.subset2(frame, leaf)))))
  if (length(rows) == 0L) abort_no_products()
  rows
}
