# Does the database compute what R computes? A sample of rows says so before anything is added up.

#' Rows of a sample: a number that few vectors have as length
#' @noRd
sample_rows <- 997L

#' How far a value of the database may be from R's, against the largest of its variable: floats of
#' 32 bits are read with seven digits by some drivers, and functions differ in their last digit
#' @noRd
sample_tolerance <- 1e-6

#' The model frame of a sample of the rows that are used, after comparing the database with R
#' @noRd
check_sample <- function(plan, model, given, caller) {
  rows <- ask_sample(plan, paste(" WHERE", plan$keep), c(
    unname(plan$number_names), "y", if (plan$weighted) "w", plan$group_names
  ))
  if (nrow(rows$answer) == 0L) {
    abort_no_row(plan)
  }
  frame <- sample_frame(model, rows$data, given, caller)
  kept <- as.integer(attr(frame, "row.names"))
  if (length(kept) != nrow(rows$data) && !leaves_out_later(plan)) {
    abort_other_rows("uses rows that R leaves out")
  }
  refuse_dependent(frame, plan, model)
  compare_values(frame, rows$answer[kept, , drop = FALSE], plan, model)
  check_rows_used(plan, model, given, caller)
  frame
}

#' The model frame of some rows; numbers of rows, which a table does not have, go from messages
#' @noRd
sample_frame <- function(model, data, given, caller) {
  tryCatch(
    build_frame(model, data, given, stats::na.omit, caller),
    ferrolmm_error_not_finite = function(e) {
      ferrolmm_abort(
        paste0("`", e$variable, "` is not finite in some rows."), "not_finite",
        variable = e$variable, i = "Leave these rows out by `subset`, or correct the variable."
      )
    }
  )
}

#' Rows of the columns as R has them, and what the database says of them
#' @noRd
ask_sample <- function(plan, where, what) {
  raw <- vapply(plan$columns, `[[`, "", "raw")
  answer <- ask_source(plan$source, plan$source$dialect$first(
    paste0("SELECT ", paste(c(raw, what), collapse = ", "), " FROM ", plan$values, where),
    sample_rows
  ))
  data <- answer[seq_along(raw)]
  names(data) <- names(plan$columns)
  # what is computed with is a double in the database, too: integers of R overflow
  keys <- vapply(plan$groups, `[[`, "", "name")
  whole <- vapply(data, function(x) is.integer(x) && !is.object(x), NA) & !names(data) %in% keys
  data[whole] <- lapply(data[whole], as.double)
  answer <- answer[length(raw) + seq_along(what)]
  names(answer) <- what
  list(data = data, answer = answer)
}

#' Are there keys that R computes, of which some may be missing?
#' @noRd
leaves_out_later <- function(plan) !all(vapply(plan$groups, `[[`, NA, "strict"))

#' Are the rows that the database uses those that R uses?
#' @noRd
check_rows_used <- function(plan, model, given, caller) {
  flag <- paste0("CASE WHEN ", plan$keep, " THEN 1 ELSE 0 END AS u")
  rows <- ask_sample(plan, "", flag)
  none <- function(e) NULL
  frame <- tryCatch(
    suppressWarnings(sample_frame(model, rows$data, given, caller)),
    ferrolmm_error_missing = none, ferrolmm_error_subset = none, ferrolmm_error_weights = none
  )
  used <- as.integer(attr(frame, "row.names"))
  claimed <- which(rows$answer[[1L]] == 1)
  if (!all(used %in% claimed) || !leaves_out_later(plan) && !all(claimed %in% used)) {
    abort_other_rows(
      if (all(used %in% claimed)) "uses rows that R leaves out" else "leaves out rows that R uses"
    )
  }
}

#' @noRd
abort_other_rows <- function(what) {
  ferrolmm_abort(
    paste0("The database ", what, ", in a sample of the rows."), "source",
    i = paste("Is a condition in `subset` or a function in the formula another one there? Collect",
              "the rows, or make it a column.")
  )
}

#' Variables that are functions of all rows at once
#' @noRd
refuse_dependent <- function(frame, plan, model) {
  refuse_tables(frame)
  terms <- attr(frame, "terms")
  predvars <- stats::setNames(as.list(attr(terms, "predvars"))[-1L], variable_columns(terms))
  for (name in names(plan$variables)) {
    variable <- plan$variables[[name]]
    if (!is.null(variable$from) && !identical(predvars[[name]], variable$expression)) {
      ferrolmm_abort(
        paste0("`", name, "` is a function of all rows at once, which no query can say."),
        "sql", variable = name,
        i = "Give it its breaks, levels or constants; or make it a column; or collect the rows."
      )
    }
  }
}

#' @noRd
compare_values <- function(frame, answer, plan, model) {
  for (name in names(plan$number_names)) {
    compare_numbers(frame[[name]], answer[[plan$number_names[[name]]]], name)
  }
  terms <- fixed_terms(model$fixed, frame)
  y <- response_vector(.subset2(frame, 1L), names(frame)[[1L]])
  offset <- total_offset(terms, frame)
  compare_numbers(if (is.null(offset)) y else y - offset, answer$y, names(frame)[[1L]])
  if (plan$weighted) compare_numbers(frame[["(weights)"]], answer$w, "weights")
  for (k in seq_along(plan$groups)) {
    group <- plan$groups[[k]]
    if (group$kind != "raw") {
      own <- decode_group(answer[[plan$group_names[[k]]]], group, NULL)
      r <- frame[[group$name]]
      same <- if (is.factor(r)) as.character(r) == own else r == own
      if (!isTRUE(all(same))) abort_other_values(group$name)
    }
  }
}

#' @noRd
compare_numbers <- function(r, database, name) {
  r <- as.double(r)
  database <- as.double(database)
  largest <- max(abs(r[is.finite(r)]), .Machine$double.xmin)
  same <- r == database | abs(r - database) <= sample_tolerance * largest
  if (!isTRUE(all(same))) abort_other_values(name)
}

#' @noRd
abort_other_values <- function(name) {
  ferrolmm_abort(
    paste0("The database computes another `", name, "` than R, in a sample of the rows."), "source",
    variable = name,
    i = paste("Is a function in it another one there, or does the driver change the values (a time",
              "zone)? Make it a column, or collect the rows.")
  )
}

#' Do the sample's variables have the roles of the plan?
#' @noRd
check_roles <- function(plan, model) {
  roles <- variable_roles(model, plan$sample)
  names(roles) <- names(plan$sample)
  numbers <- names(roles)[roles == "number"]
  other <- c(setdiff(numbers, names(plan$number_names)), setdiff(names(plan$number_names), numbers))
  if (length(other) > 0L) abort_other_values(other[[1L]])
}

#' SQL of a sum
#' @noRd
sum_sql <- function(x, name) paste0("SUM(", x, ") AS ", name)

#' @noRd
count_sql <- function(condition, name) {
  sum_sql(paste0("CASE WHEN ", condition, " THEN 1e0 ELSE 0e0 END"), name)
}

#' Counts of missing values among the rows that are used but for these, by variable
#' @noRd
count_missing <- function(plan) {
  names <- paste0("m", seq_along(plan$missing))
  counts <- unlist(ask_source(plan$source, paste0(
    "SELECT ", paste(count_sql(plan$missing, names), collapse = ", "), ", COUNT(*) AS n FROM ",
    plan$values, " WHERE ", plan$eligible
  )))
  found <- stats::setNames(as.list(counts[seq_along(names)]), gsub("[()]", "", names(plan$missing)))
  found <- lapply(found, function(count) if (is.na(count)) 0 else as.double(count))
  structure(found, rows = as.double(counts[[length(names) + 1L]]))
}

#' No row is used: why
#' @noRd
abort_no_row <- function(plan) {
  counts <- count_missing(plan)
  rows <- attr(counts, "rows")
  if (rows == 0) {
    ferrolmm_abort(
      "No row is left: `subset` is true for no row, or all `weights` are zero.",
      if (plan$weighted) "weights" else "subset", empty = TRUE
    )
  }
  abort_all_missing(lapply(counts[unlist(counts) > 0], function(count) count == rows))
}

#' Values of a group as R has them
#' @param prototype values of the same column in the sample; NULL for what SQL computes.
#' @noRd
decode_group <- function(x, group, prototype) {
  if (group$kind == "logical") {
    return(as.integer(x) == 1L)
  }
  if (group$kind == "text" || is.character(prototype)) {
    return(as.character(x))
  }
  known <- is.null(prototype) || identical(class(x), class(prototype)) ||
    is.numeric(x) && is.numeric(prototype) && !is.object(x) && !is.object(prototype)
  if (!known) {
    ferrolmm_abort(
      paste0("Column `", group$name, "` is ", describe_value(x), " as a whole, and ",
             describe_value(prototype), " in a sample of the rows."), "source",
      variable = group$name, i = "Convert it in a query, so that all of it is of one type."
    )
  }
  x
}
