# Fitted values and residuals of rows in a database, computed there.
#
# Within a cell the fitted value is a linear function of the numbers of a row. The coefficients of
# each cell, fixed and random effects together, go into a temporary table, which the rows join.

#' @noRd
augment_source <- function(object, data) {
  if (is.null(object$condensed)) {
    ferrolmm_abort(
      "`data` is in a database, and the fit has its rows.", "argument",
      i = "Fit the model to the table, or to moments: lmm_moments(); or collect the rows."
    )
  }
  if (!is.null(object$condensed$tables)) {
    abort_needs_rows("augment() of a fit of tables")
  }
  source <- as_source(data)
  columns <- source_columns(source)
  added <- c(".fitted", ".resid", ".fixed")
  if (any(tolower(columns) %in% added)) {
    ferrolmm_abort(
      paste0("The source has a column `", columns[tolower(columns) %in% added][[1L]], "` already."),
      "data"
    )
  }
  env <- environment(object$formula)
  model <- parse_formula(
    object$formula, stats::setNames(as.list(seq_along(columns)), columns), env
  )
  offset <- object$condensed$moments$offset_argument
  given <- list(offset = if (!is.null(offset)) unevaluated(offset, function() eval(offset, env)))
  plan <- plan_source(model, source, columns, given, env, columns)
  name <- write_cells(plan, object)
  query <- augmented_query(plan, object, columns, name, added)
  if (inherits(data, "lmm_source")) {
    found <- source
    found$rows <- paste0("(", query, ") AS lmm_augmented")
    found$what <- paste0(source$what, ", with ", quote_names(added))
    return(found)
  }
  dbplyr <- asNamespace("dbplyr")
  dplyr <- asNamespace("dplyr")
  dplyr$tbl(source$con, dbplyr$sql(query))
}

#' What is multiplied by the coefficients of a cell: 1, and the numbers
#' @noRd
cell_multipliers <- function(object) c("", object$condensed$ids)

#' Coefficients of each cell
#' @returns list(fixed, all): matrices with a row for each cell and a column for each multiplier
#' @noRd
cell_coefficients <- function(object) {
  condensed <- object$condensed
  frame <- condensed$frame
  ids <- cell_multipliers(object)
  add <- function(to, number, coefficient, column) {
    j <- match(number, ids)
    to[, j] <- to[, j] + coefficient * (if (is.null(column)) 1 else column_values(column))
    to
  }
  fixed <- matrix(0, .row_names_info(frame, 2L), length(ids))
  columns <- design_columns(object$terms, frame, object$contrasts)$columns
  numbers <- column_numbers(object$terms, frame, object$contrasts, condensed$numeric)
  for (k in kept_columns(object)) {
    fixed <- add(fixed, numbers[[k]], object$coefficients[[k]], columns[[k]])
  }
  all <- fixed
  for (t in seq_along(object$random)) {
    term <- object$random[[t]]
    modes <- term_modes(object, t)
    codes <- as.integer(condensed$flist[[term$factor]])
    columns <- term_columns(term, frame)
    numbers <- term_numbers(term, frame, condensed$numeric)
    for (j in seq_along(numbers)) {
      all <- add(all, numbers[[j]], modes[codes, j], columns[[j]])
    }
  }
  list(fixed = fixed, all = all)
}

#' SQL of what rows and the table of cells are joined by
#' @noRd
join_values <- function(plan) {
  vapply(seq_along(plan$groups), function(k) {
    group <- plan$groups[[k]]
    if (group$kind != "raw") {
      return(plan$group_names[[k]])
    }
    column <- plan$columns[[group$name]]
    if (column$kind == "other") {
      ferrolmm_abort(
        paste0("Rows cannot be joined by `", group$name, "`: it is ", column$class, "."), "sql",
        variable = group$name
      )
    }
    if (column$kind == "logical") flag_sql(group$clean) else group$clean
  }, "")
}

#' Is a group text?
#' @noRd
joined_by_text <- function(plan) {
  vapply(plan$groups, function(group) {
    group$kind == "text" || group$kind == "raw" && plan$columns[[group$name]]$kind == "text"
  }, NA)
}

#' Write the coefficients of the cells that are in the source and in the fit
#' @returns the name of the temporary table
#' @noRd
write_cells <- function(plan, object) {
  dialect <- plan$source$dialect
  join <- join_values(plan)
  text <- joined_by_text(plan)
  t <- sprintf("t%d", seq_along(join))
  # the values that cells are joined by, beside those that R reads
  answer <- ask_source(plan$source, paste0(
    "SELECT DISTINCT ", paste(c(plan$group_names, paste(join, "AS", t)), collapse = ", "), " FROM ",
    plan$values, " WHERE ", plan$keep
  ))
  names(answer) <- c(plan$group_names, t)
  keys <- keys_of_answer(plan, answer)
  frame <- object$condensed$frame
  own <- key_columns_of(frame, ifelse(names(frame) %in% names(keys), "key", "other"))
  first <- code_cells(own)$first
  to <- unite_keys(
    own[first, , drop = FALSE], keys[names(own)], object$condensed$moments$grouping
  )$to
  seen <- which(
    to <= length(first) & stats::complete.cases(answer[t]) & stats::complete.cases(keys)
  )
  coefficients <- cell_coefficients(object)
  values <- cbind(coefficients$all, coefficients$fixed)[first[to[seen]], , drop = FALSE]
  name <- dialect$name(basename(tempfile("lmm_cells_")))
  count <- ncol(coefficients$all)
  letters <- paste0(rep(c("a", "b"), each = count), seq_len(count))
  cells <- c(
    Map(function(x, text) {
      if (text) {
        vapply(as.character(x), function(v) dialect$string(enc2utf8(v)), "")
      } else {
        vapply(as.double(x), sql_number, "", dialect)
      }
    }, unclass(answer[seen, t, drop = FALSE])[t], text),
    lapply(seq_len(ncol(values)), function(j) vapply(values[, j], sql_number, "", dialect))
  )
  rows <- paste0("(", do.call(paste, c(unname(cells), sep = ", ")), ")")
  is_text <- c(text, rep.int(FALSE, ncol(values)))
  for (statement in dialect$temporary(name, c(t, letters), is_text, rows)) {
    execute_source(plan$source, statement)
  }
  name
}

#' @noRd
execute_source <- function(source, statement) {
  tryCatch(
    DBI::dbExecute(source$con, enc2utf8(statement)),
    error = function(e) {
      ferrolmm_abort(
        "The database could not write the temporary table of the cells.", "source",
        x = driver_words(conditionMessage(e))
      )
    }
  )
}

#' @noRd
augmented_query <- function(plan, object, columns, name, added) {
  dialect <- plan$source$dialect
  numbers <- stats::setNames(plan$numbers, plan$moments$numbers)[object$condensed$ids]
  value <- function(letter) {
    terms <- c(paste0("k.", letter, "1"),
               paste0("k.", letter, seq_along(numbers) + 1L, " * (", numbers, ")", recycle0 = TRUE))
    paste0("(", paste(terms, collapse = " + "), ")")
  }
  join <- join_values(plan)
  t <- paste0("k.t", seq_along(join))
  text <- joined_by_text(plan)
  t[text] <- dialect$text(t[text])
  paste0(
    "SELECT ", paste(
      c(paste0("o", seq_along(columns)), paste(value("a"), "+ f0"), paste("y -", value("a")),
        paste(value("b"), "+ f0")),
      "AS", dialect$name(c(columns, added)), collapse = ", "
    ), " FROM ", plan$values, " LEFT JOIN ", name, " AS k ON ",
    paste(join, "=", t, collapse = " AND ")
  )
}
