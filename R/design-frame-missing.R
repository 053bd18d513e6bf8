# Values that are missing or infinite, and na.action.

#' Number of rows from which the engine checks columns faster than R
#' @noRd
many_rows <- 2000L

#' Is nothing missing or infinite in a column, and has each level of a factor a row?
#'
#' @returns list(complete, all_used), logical; `all_used` is NULL where it was not determined
#' @noRd
look_at_columns <- function(columns, n, threads) {
  if (n < many_rows) {
    return(list(complete = vapply(columns, all_finite, NA), all_used = NULL))
  }
  complete <- all_used <- rep.int(TRUE, length(columns))
  names(complete) <- names(columns)
  by_engine <- vapply(columns, typeof, "") %in% c("double", "integer")
  complete[!by_engine] <- vapply(columns[!by_engine], all_finite, NA)
  found <- engine_scan(columns[by_engine], threads)
  complete[by_engine] <- found$complete
  all_used[by_engine] <- found$all_used
  list(complete = complete, all_used = all_used)
}

#' Apply na.action where something is missing, and refuse what is infinite
#' @noRd
drop_missing <- function(columns, row_names, n, na_action, skip, complete) {
  suspect <- !complete
  if (any(suspect)) {
    missing <- lapply(columns[suspect], is_missing_row)
    if (any(vapply(missing, any, NA))) {
      frame <- as_frame(columns, row_names)
      frame <- handle_missing(frame, na_action, missing)
    } else {
      frame <- as_frame(columns, row_names)
    }
    check_finite(frame, setdiff(names(columns)[suspect], skip))
    return(frame)
  }
  as_frame(columns, row_names)
}

#' A sum is finite unless something is missing or infinite (or it overflows, which a second check
#' settles)
#' @noRd
all_finite <- function(x) {
  if (is_matrix_object(x)) {
    x <- x@x
  }
  if (!is.double(x)) {
    return(!anyNA(x))
  }
  if (is.object(x)) {
    x <- unclass(x)
  }
  is.finite(sum(x))
}

#' @noRd
handle_missing <- function(frame, na_action, missing) {
  known <- match_na_action(na_action)
  if (known == "fail" || known == "pass") {
    abort_missing(missing, known)
  }
  if (known == "") {
    frame <- na_action(frame)
    left <- names(frame)[vapply(frame, anyNA, NA)]
    if (length(left)) {
      abort_missing(lapply(frame[left], is_missing_row), "left")
    }
  } else {
    frame <- omit_rows(frame, Reduce(`|`, missing), known)
  }
  if (.row_names_info(frame, 2L) == 0L) {
    abort_all_missing(missing)
  }
  frame
}

#' @noRd
match_na_action <- function(action) {
  known <- list(
    omit = stats::na.omit, exclude = stats::na.exclude, fail = stats::na.fail,
    pass = stats::na.pass
  )
  for (name in names(known)) {
    if (identical(action, known[[name]])) {
      return(name)
    }
  }
  ""
}

#' Drop rows as na.omit() does on a data frame, in one step
#' @noRd
omit_rows <- function(frame, drop, kind) {
  omitted <- which(drop)
  row_names <- attr(frame, "row.names")
  names(omitted) <- as.character(row_names[omitted])
  class(omitted) <- kind
  rows <- which(!drop)
  columns <- lapply(unclass(frame), take_rows, rows)
  frame <- as_frame(columns[names(frame)], row_names[rows])
  attr(frame, "na.action") <- omitted
  frame
}

#' @noRd
abort_missing <- function(missing, why) {
  count <- vapply(missing, sum, 0L)
  count <- count[count > 0L]
  ferrolmm_abort(
    switch(why,
      fail = "There are missing values, and `na.action` is na.fail.",
      pass = "There are missing values (NA), and `na.action` lets them pass.",
      left = "There are missing values (NA) left after `na.action`."
    ),
    "missing",
    x = paste0("`", names(count), "`: ", vapply(count, count_of, "", "missing value")),
    i = "Use na.action = na.omit or na.exclude to leave these rows out."
  )
}

#' @noRd
abort_all_missing <- function(missing) {
  all_na <- names(missing)[vapply(missing, all, NA)]
  ferrolmm_abort(
    "No row without missing values (NA) is left.", "missing",
    x = if (length(all_na)) {
      paste0(quote_names(all_na), if (length(all_na) > 1L) " are" else " is",
             " missing in all rows.")
    } else {
      paste0("Variables with missing values: ", quote_names(names(missing)), ".")
    }
  )
}

#' @noRd
check_finite <- function(frame, names) {
  for (name in names) {
    x <- frame[[name]]
    if (is.double(x) && !all(is.finite(x))) {
      row <- which(rowSums(!is.finite(as.matrix(x))) > 0)[1L]
      label <- if (startsWith(name, "(")) gsub("[()]", "", name) else name
      value <- as.matrix(x)[row, ]
      value <- value[!is.finite(value)][1L]
      name_of_row <- attr(frame, "row.names")[row]
      if (is.character(name_of_row)) {
        name_of_row <- paste0("\"", name_of_row, "\"")
      }
      ferrolmm_abort(
        paste0("`", label, "` is not finite: it is ", value, " in row ", name_of_row, "."),
        "not_finite",
        i = "Leave that row out, or correct the variable.", variable = label
      )
    }
  }
}
