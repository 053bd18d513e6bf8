# Classes of variables: what a class says of the values it holds (which are missing, in what unit,
# how numbers are stored), and how a column of other data becomes one like that of the fit.

#' A variable as the plain values that its class stands for
#'
#' Missing values that a class defines become NA; 64-bit integers become doubles; what a class adds
#' for printing or for time series goes. Factors, dates, times and durations stay, as do classes
#' that are not known here.
#' @noRd
plain_values <- function(x) {
  if (!is.object(x)) {
    return(if (length(dim(x)) == 1L) as.vector(x) else x)
  }
  if (inherits(x, "AsIs")) {
    oldClass(x) <- setdiff(oldClass(x), "AsIs")
    return(plain_values(x))
  }
  if (inherits(x, "POSIXlt")) {
    return(as.POSIXct(x))
  }
  if (inherits(x, c("factor", "Date", "POSIXct", "difftime")) || !is.atomic(x)) {
    return(x)
  }
  if (is_integer64(x)) {
    return(integer64_values(x))
  }
  if (is_labelled(x)) {
    return(strip(set_missing(x)))
  }
  if (inherits(x, c("ts", "zoo", "table", "labelled", "noquote"))) {
    return(strip(x))
  }
  set_missing(x)
}

#' The same for a column of the model frame, where numbers in I() stay so, as model.frame() has them
#' @noRd
frame_values <- function(x) {
  if (is.object(x) && !(inherits(x, "AsIs") && is.numeric(x) && length(oldClass(x)) == 1L)) {
    plain_values(x)
  } else if (length(dim(x)) == 1L) {
    as.vector(x)
  } else {
    x
  }
}

#' The bare vector or matrix
#' @noRd
strip <- function(x) {
  dim <- dim(x)
  names <- if (length(dim) == 2L) dimnames(x)
  x <- unclass(x)
  attributes(x) <- NULL
  if (length(dim) == 2L) {
    dim(x) <- dim
    dimnames(x) <- names
  }
  x
}

#' @noRd
is_labelled <- function(x) {
  inherits(x, c("haven_labelled", "haven_labelled_spss", "labelled_spss"))
}

#' NA where the class of a vector says that a value is missing
#'
#' The attributes of SPSS's missing values are read here, so that they count also where the package
#' that defines is.na() for them is not loaded.
#' @noRd
set_missing <- function(x) {
  values <- unclass(x)
  missing <- tryCatch(is.na(x), error = function(e) NULL)
  if (!is.logical(missing) || length(missing) != length(values)) {
    missing <- is.na(values)
  }
  if (is_labelled(x)) {
    missing <- missing | is_missing_code(values, missing_codes(x))
  }
  if (any(missing & !is.na(values))) {
    values[missing] <- NA
    attributes(values) <- attributes(x)
    return(values)
  }
  x
}

#' @noRd
is_integer64 <- function(x) is.double(x) && inherits(x, "integer64")

#' Values that a labelled vector declares to be missing; NULL for none
#' @noRd
missing_codes <- function(x) {
  if (is_labelled(x)) {
    codes <- attributes(x)[c("na_values", "na_range")]
    codes[lengths(codes) > 0L]
  }
}

#' The same of some columns of a data frame or list, without those that have none
#' @noRd
declared_missing <- function(data, columns) {
  codes <- lapply(unclass(data)[columns], missing_codes)
  codes[lengths(codes) > 0L]
}

#' @noRd
is_missing_code <- function(values, codes) {
  # the numbers themselves: a class has its own idea of what may be compared
  values <- as.vector(unclass(values))
  missing <- values %in% codes$na_values
  range <- codes$na_range
  if (length(range) == 2L) {
    missing <- missing | (!is.na(values) & values >= range[1L] & values <= range[2L])
  }
  missing
}

#' Missing values of new data by the codes of the fit's variables
#'
#' A part of a labelled column can lose its attributes (where 'haven' is not loaded): the code of a
#' missing value is no number in new data either.
#' @noRd
set_missing_codes <- function(newdata, codes) {
  for (name in intersect(names(codes), names(newdata))) {
    x <- newdata[[name]]
    if (is.atomic(x) && is.null(dim(x)) && !is.factor(x)) {
      newdata[[name]] <- replace(x, is_missing_code(x, codes[[name]]), NA)
    }
  }
  newdata
}

#' Numbers of class integer64, whose doubles are the bits of 64-bit integers
#'
#' @returns doubles; NULL where they cannot hold the integers exactly (beyond 2^53)
#' @noRd
decode_integer64 <- function(x) {
  bytes <- writeBin(as.vector(unclass(x)), raw(), endian = "little")
  words <- matrix(
    readBin(bytes, "integer", 2L * length(x), size = 4L, endian = "little"), nrow = 2L
  )
  # the pattern of the smallest 32-bit integer is that of NA
  low <- as.double(words[1L, ])
  high <- as.double(words[2L, ])
  low[is.na(low)] <- -2^31
  high[is.na(high)] <- -2^31
  missing <- high == -2^31 & low == 0
  values <- high * 2^32 + ifelse(low < 0, low + 2^32, low)
  values[missing] <- NA
  if (any(abs(values) > 2^53, na.rm = TRUE)) NULL else values
}

#' @noRd
integer64_values <- function(x) {
  values <- decode_integer64(x)
  if (is.null(values)) {
    return(x)
  }
  dim(values) <- dim(x)
  dimnames(values) <- dimnames(x)
  values
}

#' Columns whose class hides missing values or the numbers themselves, before anything is computed
#' from them
#'
#' @param data a data frame or list, or anything else, which is returned as it is.
#' @noRd
readable_columns <- function(data, hidden = hidden_columns(data)) {
  if (length(hidden) == 0L) {
    return(data)
  }
  class <- oldClass(data)
  columns <- unclass(data)
  for (k in hidden) {
    x <- columns[[k]]
    columns[[k]] <- if (is_integer64(x)) integer64_values(x) else set_missing(x)
  }
  class(columns) <- class
  columns
}

#' Which columns they are
#' @noRd
hidden_columns <- function(data) {
  hidden <- integer()
  if (is.list(data)) {
    for (k in seq_along(data)) {
      x <- .subset2(data, k)
      if (is.object(x) && !is.factor(x) && (is_integer64(x) || is_labelled(x))) {
        hidden <- c(hidden, k)
      }
    }
  }
  hidden
}

#' Variables of the formula that are in no data frame, and whose class hides something
#' @noRd
outside_variables <- function(expressions, data, env) {
  known <- if (is.list(data)) names(data)
  names <- character()
  for (expression in expressions) {
    if (!(is.symbol(expression) && as.character(expression) %in% known)) {
      names <- c(names, variables_of(expression))
    }
  }
  names <- names[!names %in% known]
  if (length(names)) {
    found <- lapply(names, get0, envir = if (is.environment(data)) data else env)
    names(found) <- names
    found[hidden_columns(found)]
  }
}

#' Evaluate a call, with the classes of labelled variables where its functions know them
#'
#' as_factor() needs the class; arithmetic fails with it where 'haven' is not loaded.
#' @noRd
evaluate_labelled <- function(expression, data, env) {
  tryCatch(
    eval(expression, data, env),
    error = function(e) {
      names <- variables_of(expression)
      values <- lapply(stats::setNames(names, names), function(name) {
        if (is.list(data) && name %in% names(data)) .subset2(data, name) else get0(name, env)
      })
      values <- values[vapply(values, is_labelled, NA)]
      if (length(values) == 0L) {
        stop(e)
      }
      eval(expression, c(lapply(values, plain_values), as.list(data)), env)
    }
  )
}

# New columns like those of the fit ----------------------------------------------------------------

#' Give a new column the type that it had in the fit
#'
#' @param by_key is the column matched by typed levels, and otherwise not used? Then it stays.
#' @noRd
convert_column <- function(value, fitted, name, by_key) {
  value <- plain_values(value)
  if (by_key) {
    return(value)
  }
  if (is.factor(fitted)) {
    return(convert_factor(value, fitted, name))
  }
  convert_number(value, fitted, name)
}

#' @noRd
convert_factor <- function(value, fitted, name) {
  if (is.logical(value) && all(is.na(value))) {
    value <- as.character(value)
  }
  if (!is.factor(value) && !is.character(value)) {
    abort_type(value, fitted, name)
  }
  known <- levels(fitted)
  labels <- as.character(value)
  new <- setdiff(labels, c(known, NA))
  if (length(new) > 0L) {
    ferrolmm_abort(
      paste0("`newdata` has new levels of the factor `", name, "`: ", quote_names(new), "."),
      "newdata",
      x = "Its effects were not estimated.",
      i = paste0("Levels of the fit are ", quote_names(known), ".")
    )
  }
  class <- if (is.ordered(fitted)) c("ordered", "factor") else "factor"
  structure(match(labels, known), levels = known, class = class)
}

#' Numbers, dates, times, durations, logicals and matrices: the kind must be that of the fit, the
#' unit becomes it
#' @noRd
convert_number <- function(value, fitted, name) {
  fitted <- plain_values(fitted)
  if (is.logical(value) && all(is.na(value))) {
    rows <- rep.int(NA_integer_, NROW(value))
    return(if (is.matrix(fitted)) fitted[rows, , drop = FALSE] else fitted[rows])
  }
  if (is.matrix(fitted)) {
    return(convert_matrix(value, fitted, name))
  }
  if (is.matrix(value) && ncol(value) == 1L) {
    value <- value[, 1L]
  }
  if (is.list(value) || !is.null(dim(value)) || level_kind(value) != level_kind(fitted)) {
    abort_type(value, fitted, name)
  }
  if (inherits(fitted, "difftime")) {
    units(value) <- units(fitted)
  }
  value
}

#' @noRd
convert_matrix <- function(value, fitted, name) {
  if (is.null(dim(value)) && ncol(fitted) == 1L && is.numeric(value) && !is.object(value)) {
    value <- matrix(value, ncol = 1L, dimnames = list(NULL, colnames(fitted)))
  }
  if (!is.matrix(value) || ncol(value) != ncol(fitted) ||
        is.numeric(value) != is.numeric(fitted)) {
    abort_type(value, fitted, name)
  }
  order <- match(colnames(fitted), colnames(value))
  if (length(order) == ncol(value) && !anyNA(order) && is.unsorted(order)) {
    value <- value[, order, drop = FALSE]
  }
  value
}

#' @noRd
abort_type <- function(value, fitted, name) {
  ferrolmm_abort(
    paste0("`", name, "` is of another type in `newdata` than in the fit."), "newdata",
    x = paste0("It was ", value_class(fitted), " and is ", value_class(value), "."),
    i = "Convert it to what it was in the fit.", variable = name
  )
}

# Variables of expressions -------------------------------------------------------------------------

#' Is any of the variables of the formula a call?
#' @noRd
any_calls <- function(expressions) {
  for (expression in expressions) {
    if (is.call(expression)) {
      return(TRUE)
    }
  }
  FALSE
}

#' The variables of calls in the formula that have a value a row
#' @noRd
call_variables <- function(expressions, data, env, n) {
  calls <- Filter(is.call, expressions)
  names <- unique(as.character(unlist(lapply(calls, variables_of))))
  values <- lapply(stats::setNames(names, names), function(name) {
    value <- if (is.list(data)) .subset2(data, name)
    if (is.null(value)) get0(name, if (is.environment(data)) data else env) else value
  })
  values[vapply(values, NROW, 1L) == n]
}

#' What they were, as vectors of length zero
#'
#' as.integer(g) of a factor is the number of a level among *its* levels: a column of new data gets
#' those of the fit before the call is evaluated.
#' @noRd
input_prototypes <- function(variables) {
  usable <- vapply(variables, function(x) is.atomic(x) && is.null(dim(x)), NA)
  lapply(variables[usable], function(x) x[0L])
}

#' New data with the variables of a call as they were in the fit
#' @noRd
convert_inputs <- function(newdata, expression, prototypes) {
  for (name in intersect(variables_of(expression), names(prototypes))) {
    value <- newdata[[name]]
    if (!is.null(value)) {
      newdata[[name]] <- convert_input(value, prototypes[[name]], name)
    }
  }
  newdata
}

#' @noRd
convert_input <- function(value, prototype, name) {
  if (is.logical(value) && all(is.na(value))) {
    return(prototype[rep.int(NA_integer_, length(value))])
  }
  if (!is.atomic(value)) {
    abort_type(value, prototype, name)
  }
  if (!is.null(dim(value))) {
    return(value)
  }
  kind <- level_kind(plain_values(prototype))
  own <- level_kind(plain_values(value))
  if (kind == "text") {
    if (!own %in% c("text", "number", "logical")) {
      abort_type(value, prototype, name)
    }
    labels <- value_labels(plain_values(value))
    if (!is.factor(prototype)) {
      return(labels)
    }
    known <- levels(prototype)
    all <- c(known, setdiff(labels, c(known, NA)))
    return(structure(match(labels, all), levels = all, class = class(prototype)))
  }
  if (own == "text" && kind == "number") {
    text <- as.character(value)
    numbers <- text_numbers(text)
    if (anyNA(numbers[!is.na(text)])) {
      abort_type(value, prototype, name)
    }
    return(numbers)
  }
  if (own != kind) {
    abort_type(value, prototype, name)
  }
  if (inherits(prototype, "difftime")) {
    units(value) <- units(prototype)
  }
  if (inherits(prototype, "POSIXct")) {
    attr(value, "tzone") <- attr(prototype, "tzone")
  }
  value
}

#' An expression with what it takes from all rows of the data at its value in the fit
#'
#' `x - mean(x)` keeps the mean, `findInterval(x, quantile(x))` the quantiles: parts that are
#' vectors shorter than the data are no values of rows. So does cut() with its breaks, which
#' cut.default() computes from the range of x where it is given a number of them.
#' @noRd
with_constants <- function(expression, inputs, env, n) {
  # of sums, which are as deep as they are long, the innermost first
  outer <- list()
  while (is_call_to(expression, arithmetic) && is_call_to(expression[[2L]], arithmetic)) {
    outer[[length(outer) + 1L]] <- expression
    expression <- expression[[2L]]
  }
  expression <- with_own_constants(expression, inputs, env, n)
  for (around in rev(outer)) {
    # the first operand has its constants, and is none itself
    operands <- as.list(with_own_constants(replace_operand(around, quote(.)), inputs, env, n))
    around[seq_along(around)[-2L]] <- operands[-2L]
    expression <- replace_operand(around, expression)
  }
  expression
}

#' Operators whose operands are looked at one by one
#' @noRd
arithmetic <- c("+", "-", "*", "/", "^", "(")

#' @noRd
replace_operand <- function(call, by) {
  call[[2L]] <- by
  call
}

#' @noRd
with_own_constants <- function(expression, inputs, env, n) {
  if (!is.call(expression) || is_call_to(expression, c("function", "~", "quote", "::", "$", "@"))) {
    return(expression)
  }
  expression <- with_breaks(expression, inputs, env)
  if ("labels" %in% names(expression)) {
    expression <- with_factor_levels(expression, inputs, env)
  }
  for (k in seq_along(expression)[-1L]) {
    part <- expression[[k]]
    if (missing(part) || !is.call(part) || !any(variables_of(part) %in% names(inputs))) {
      next
    }
    value <- tryCatch(suppressWarnings(eval(part, inputs, env)), error = function(e) NULL)
    constant <- is.atomic(value) && is.null(dim(value)) && length(value) > 0L && length(value) < n
    expression[[k]] <- if (constant) {
      value
    } else {
      with_constants(with_factor_levels(part, inputs, env), inputs, env, n)
    }
  }
  expression
}

#' factor(x) inside of another call, or with labels, with the levels that it had
#'
#' as.integer(factor(x)) numbers the values among those of the fit.
#' @noRd
with_factor_levels <- function(expression, inputs, env) {
  named <- names(expression)
  unnamed <- if (is.null(named)) length(expression) - 1L else sum(!nzchar(named[-1L]))
  if (!is_call_to(expression, c("factor", "as.factor", "ordered")) ||
        any(c("x", "levels", "exclude") %in% named)) {
    return(expression)
  }
  x <- tryCatch(plain_values(eval(expression[[2L]], inputs, env)), error = function(e) NULL)
  if (unnamed != 1L || !is.atomic(x) || is.null(x) || !is.null(dim(x)) || length(x) < 2L) {
    return(expression)
  }
  expression$levels <- if (is.factor(x)) levels(droplevels(x)) else sort(unique(x))
  if (is_call_to(expression, "as.factor")) {
    if (is.factor(x)) expression$levels <- levels(x)
    expression[[1L]] <- quote(factor)
  }
  expression
}

#' @noRd
with_breaks <- function(expression, inputs, env) {
  if (!is_call_to(expression, "cut") && !identical(expression[[1L]], quote(base::cut))) {
    return(expression)
  }
  matched <- match.call(function(x, breaks, ...) NULL, expression, expand.dots = TRUE)
  found <- tryCatch(
    list(x = eval(matched$x, inputs, env), breaks = eval(matched$breaks, inputs, env)),
    error = function(e) NULL
  )
  if (is.numeric(found$x) && is.numeric(found$breaks) && length(found$breaks) == 1L) {
    matched$breaks <- cut_points(found$x, found$breaks)
    return(matched)
  }
  expression
}

#' @noRd
cut_points <- function(x, breaks) {
  range <- range(x, na.rm = TRUE)
  width <- range[2L] - range[1L]
  margin <- if (width > 0) width else if (range[1L] != 0) abs(range[1L]) else 1
  outer <- c(range[1L] - margin / 1000, range[2L] + margin / 1000)
  if (width == 0) {
    return(seq.int(outer[1L], outer[2L], length.out = breaks + 1))
  }
  points <- seq.int(range[1L], range[2L], length.out = breaks + 1)
  points[c(1L, length(points))] <- outer
  points
}

#' Values of expressions that depend on all rows of the data, by the variables' own values
#'
#' `factor(g)` gives a row the same level whatever the other rows are; `as.integer(factor(g))`,
#' `ave(x, g)`, `rank(x)` and `cumsum(x)` do not. An expression is evaluated again for some of the
#' rows; where that gives other values, what it gave in the fit is kept, and is all that is known of
#' it. What poly() and others keep of the data is in `predvars` already.
#' @param names variables that only group rows: their values are levels.
#' @returns list by name of list(variables, key, values), values NULL where equal variables had
#'   different ones
#' @noRd
value_tables <- function(predvars, columns, names, inputs, env) {
  tables <- list()
  expressions <- as.list(predvars)[-1L]
  seed <- globalenv()[[".Random.seed"]]
  on.exit(restore_seed(seed))
  # new rows need no response
  for (k in seq_along(columns)[-1L]) {
    name <- names(columns)[k]
    if (is.call(expressions[[k]]) && !is_elementwise(expressions[[k]], env) &&
          !is_row_wise(expressions[[k]], columns[[k]], inputs, env, name %in% names)) {
      tables[[name]] <- value_table(expressions[[k]], columns[[k]], inputs)
    }
  }
  if (length(tables)) tables
}

#' Random numbers in a formula are not drawn once more
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

#' Does each of a few rows alone, and a part of the rows, get the value that it has among all?
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

#' Are values those that rows had in the fit? Numbers but for rounding, others to the letter
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
