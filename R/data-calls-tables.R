# Calls whose value in a row depends on the other rows, remembered as a table: ave(), rank().

#' Values of expressions that depend on all rows of the data, by the variables' own values
#'
#' `factor(g)` gives a row the same level whatever the other rows are; `as.integer(factor(g))`,
#' `ave(x, g)`, `rank(x)` and `cumsum(x)` do not. An expression is evaluated again for some of the
#' rows; where that gives other values, those of the fit are kept, and are all that is known of it.
#' What poly() and others keep of the data is in `predvars` already.
#' @param names variables that only group rows: their values are levels.
#' @returns list by name of list(variables, key, values), values NULL where equal variables had
#'   different ones
#' @noRd
value_tables <- function(predvars, columns, names, inputs, env) {
  tables <- list()
  expressions <- as.list(predvars)[-1L]
  seed <- globalenv()[[".Random.seed"]]
  on.exit(restore_seed(seed))
  # new rows do not need a response
  for (k in seq_along(columns)[-1L]) {
    name <- names(columns)[k]
    if (is.call(expressions[[k]]) && !is_elementwise(expressions[[k]], env) &&
          !is_row_wise(expressions[[k]], columns[[k]], inputs, env, name %in% names)) {
      tables[[name]] <- value_table(expressions[[k]], columns[[k]], inputs)
    }
  }
  if (length(tables)) tables
}

#' Restores the generator: random numbers in a formula are not drawn a second time
#' @noRd
restore_seed <- function(seed) {
  now <- globalenv()[[".Random.seed"]]
  if (is.null(seed)) {
    if (!is.null(now)) rm(".Random.seed", envir = globalenv())
  } else if (!identical(now, seed)) {
    assign(".Random.seed", seed, envir = globalenv())
  }
}

elementwise_functions <- c(
  "+", "-", "*", "/", "^", "%%", "%/%", "(", "I", "log", "log2", "log10", "log1p", "exp", "expm1",
  "sqrt", "abs", "sin", "cos", "tan", "==", "!=", "<", ">", "<=", ">=", "!", "&", "|"
)

#' Is an expression made of functions of one row only, as they are in base R?
#' @noRd
is_elementwise <- function(expression, env) {
  called <- unique(setdiff(all.names(expression), variables_of(expression)))
  all(called %in% elementwise_functions) && all(vapply(called, function(name) {
    identical(get0(name, env, mode = "function"), baseenv()[[name]])
  }, NA))
}

#' Does each of a few rows get the same value alone, and in a part of the rows, as among all of
#' them?
#' @param grouping are the values levels? An expression that fails for a few rows is then one of all
#'   rows; elsewhere it would fail for new rows too, with its own error.
#' @noRd
is_row_wise <- function(expression, value, inputs, env, grouping) {
  n <- NROW(value)
  if (n == 0L || grouping && !is.null(dim(value))) {
    return(TRUE)
  }
  columns <- inputs[intersect(variables_of(expression), names(inputs))]
  few <- if (grouping) {
    labels <- value_labels(value)
    utils::head(match(unique(labels), labels), 4L)
  } else {
    n %/% 2L + 1L
  }
  for (rows in c(few, n, list(seq.int(n, n - n %/% 2L), seq.int(1L, n, by = 2L)))) {
    part <- lapply(columns, take_rows, rows)
    again <- tryCatch(suppressWarnings(eval(expression, part, env)), error = function(e) NULL)
    if (is.null(again) && !grouping) {
      next
    }
    if (NROW(again) != length(rows) || !same_row_values(again, take_rows(value, rows), value)) {
      return(FALSE)
    }
  }
  TRUE
}

#' Are values those that rows had in the fit? Numbers up to rounding, others exactly
#' @noRd
same_row_values <- function(again, before, all) {
  if (!is.numeric(all) && !inherits(all, c("Date", "POSIXct", "difftime"))) {
    return(identical(value_labels(again), value_labels(before)))
  }
  number <- function(x) {
    as.double(if (inherits(x, "difftime")) as.double(x, units = "secs") else unclass(x))
  }
  again <- number(again)
  before <- number(before)
  size <- abs(number(all))
  size <- max(size[is.finite(size)], 0)
  length(again) == length(before) && identical(is.na(again), is.na(before)) &&
    all(abs(again - before) <= 1e-7 * size | again == before, na.rm = TRUE)
}

#' @noRd
value_table <- function(expression, value, inputs) {
  if (!is.null(dim(value))) {
    return(list(variables = character(), key = NULL, values = NULL))
  }
  variables <- intersect(variables_of(expression), names(inputs))
  columns <- lapply(inputs[variables], plain_values)
  usable <- length(columns) > 0L &&
    all(vapply(columns, function(x) is.atomic(x) && is.null(dim(x)), NA))
  table <- list(variables = variables, key = NULL, values = NULL)
  complete <- if (usable) which(!Reduce(`|`, lapply(columns, is.na)))
  if (length(complete) == 0L) {
    return(table)
  }
  group <- group_factor(variables, lapply(columns, `[`, complete))
  first <- match(seq_along(group$levels), group$codes)
  values <- value[complete][first]
  if (same_row_values(values[group$codes], value[complete], value)) {
    table$key <- group$key
    table$values <- values
  }
  table
}

#' Values of an expression that depends on all rows, for new rows
#' @noRd
tabled_values <- function(table, name, newdata) {
  unknown <- TRUE
  if (!is.null(table$values)) {
    columns <- unclass(newdata)[table$variables]
    codes <- match_groups(table$key, columns)
    unknown <- is.na(codes) & !missing_rows(newdata, table$variables)
  }
  if (any(unknown)) {
    ferrolmm_abort(
      paste0("`", name, "` has no value in `newdata`: it depends on all rows of the data at once."),
      "newdata", variable = name,
      i = "Make it a column of the data before the fit, and give that column in `newdata`."
    )
  }
  table$values[codes]
}
