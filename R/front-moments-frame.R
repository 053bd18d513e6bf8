# The moments of a frame of rows, and of several frames together.

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

#' The moments of a first frame of rows
#' @param tables gather them by tables, not by cells?
#' @noRd
start_moments <- function(model, frame, tables = FALSE) {
  roles <- variable_roles(model, frame)
  numeric <- names(frame)[roles == "number"]
  numbers <- needed_numbers(model, frame, numeric)
  moments <- structure(
    list(
      formula = model$formula, response = names(frame)[[1L]],
      keys = key_columns_of(frame, roles)[0L, , drop = FALSE], numeric = numeric,
      numbers = numbers, cells = empty_cells(length(numbers)),
      weighted = !is.null(frame[["(weights)"]]), omitted = 0, min_cell = 1L, digits = 0,
      grouping = only_grouping(model), plan = plan_tables(model, frame, numeric, numbers),
      offset = offset_names(attr(frame, "terms")), offset_argument = NULL,
      template = keep_attributes(frame, frame[0L, roles != "none", drop = FALSE])
    ),
    class = "lmm_moments"
  )
  if (tables) moments <- as_empty_tables(moments)
  add_frame(moments, model, frame)
}

#' Names of the variables that group rows, and nothing else
#' @noRd
only_grouping <- function(model) {
  sides <- lapply(model$bars, function(bar) all.vars(bar$lhs))
  setdiff(leaf_names(model$bars), c(all.vars(model$fixed), unlist(sides)))
}

#' Moments of the same kind without rows
#' @noRd
without_rows <- function(moments) {
  if (is_of_tables(moments)) {
    return(as_empty_tables(moments))
  }
  moments$keys <- moments$keys[0L, , drop = FALSE]
  moments$cells <- empty_cells(moments$cells$m)
  moments$omitted <- 0
  moments
}

#' Names of the variables that are offset() terms
#' @noRd
offset_names <- function(terms) sort(variable_columns(terms)[attr(terms, "offset")])

#' What each variable of a frame is: "response", "key" (it tells cells apart), "number", or "none"
#' (a column of weights or offsets)
#' @noRd
variable_roles <- function(model, frame) {
  leaves <- leaf_names(model$bars)
  names <- names(frame)
  offsets <- attr(attr(frame, "terms"), "offset")
  roles <- ifelse(
    names %in% leaves | vapply(unclass(frame), is_categorical, NA), "key", "number"
  )
  roles[startsWith(names, "(") & endsWith(names, ")") & names %in% c("(weights)", "(offset)")] <-
    "none"
  roles[offsets] <- "none"
  roles[[1L]] <- "response"
  roles
}

#' The variables that tell cells apart, as the user's data have them: text as text, factors with all
#' of their levels
#' @noRd
key_columns_of <- function(frame, roles) {
  terms <- attr(frame, "terms")
  columns <- unclass(frame)[roles == "key"]
  for (name in names(columns)) {
    x <- columns[[name]]
    all <- attr(terms, "all_levels")[[name]]
    if (is.factor(x) && name %in% attr(terms, "text")) {
      columns[[name]] <- as.character(x)
    } else if (is.factor(x) && !is.null(all)) {
      columns[[name]] <- factor(as.character(x), all, exclude = NULL, ordered = is.ordered(x))
    }
  }
  as_frame(columns, .set_row_names(.row_names_info(frame, 2L)))
}

#' The numbers that a model's columns are products of, each variable by itself, the response last
#' @noRd
needed_numbers <- function(model, frame, numeric) {
  frame <- with_two_levels(frame)
  terms <- fixed_terms(model$fixed, frame)
  sides <- lapply(model$bars, function(bar) {
    if (!is.numeric(bar$lhs)) column_numbers(side_terms(bar$lhs), frame, NULL, numeric)
  })
  alone <- unlist(lapply(numeric, function(name) {
    vapply(seq_len(NCOL(frame[[name]])), function(j) number_id(name, j), "")
  }))
  ids <- c(alone, column_numbers(terms, frame, NULL, numeric), unlist(sides))
  c(setdiff(unique(ids), ""), number_id(names(frame)[[1L]], "response"))
}

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

#' Moments with the rows of a frame added
#' @noRd
add_frame <- function(moments, model, frame) {
  weights <- .subset2(frame, "(weights)")
  keys <- key_columns_of(frame, variable_roles(model, frame))
  values <- number_values(moments, model, frame)
  moments$omitted <- moments$omitted + length(attr(frame, "na.action"))
  if (is_of_tables(moments)) {
    return(add_rows_to_tables(moments, keys, values, weights))
  }
  own <- code_cells(keys)
  both <- unite_keys(moments$keys, keys[own$first, , drop = FALSE], moments$grouping)
  moments$cells <- engine_cells_with_rows(
    moments$cells, nrow(both$keys), both$to[own$codes], values, weights
  )
  moments$keys <- both$keys
  moments
}

#' The values of the numbers in each row
#' @noRd
number_values <- function(moments, model, frame) {
  terms <- fixed_terms(model$fixed, frame)
  y <- response_vector(.subset2(frame, 1L), names(frame)[[1L]])
  offset <- total_offset(terms, frame)
  ids <- moments$numbers[-length(moments$numbers)]
  values <- lapply(strsplit(ids, "\n", fixed = TRUE), function(parts) {
    Reduce(`*`, lapply(strsplit(parts, "\r", fixed = TRUE), function(part) {
      x <- frame[[part[[1L]]]]
      as.double(if (is.matrix(x)) x[, as.integer(part[[2L]])] else x)
    }))
  })
  c(values, list(if (is.null(offset)) y else y - offset))
}

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
