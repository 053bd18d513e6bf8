# The moments of a frame of rows, and of several frames together.

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
  for (bar in model$bars) refuse_members(bar$groups, "moments: it needs rows", bar$call)
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
