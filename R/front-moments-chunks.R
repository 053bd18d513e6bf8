#' Data that are read in chunks
#'
#' A way to read data that do not fit in memory, for [lmm_moments()] and `lmm()`: the rows pass by
#' once, and what is kept of them does not grow with their number.
#'
#' @details
#' Each chunk is evaluated as [lmm()] evaluates its data. What depends on the data as a whole
#' (`poly()`, `ns()`, `bs()`, `scale()`) has to be the same in each chunk: `bases` is a data frame
#' in which it is determined, as a sample of the rows, or some rows with the wanted knots. Without
#' `bases` the data are read twice, if `rewind` says how: the first time up to five million rows
#' determine it. What else depends on other rows, as `x - mean(x)`, is an error.
#'
#' @param x Where chunks come from: a function without arguments that returns the next data frame,
#'   and `NULL` at the end; a list of data frames; a result of `DBI::dbSendQuery()`; a record batch
#'   reader of 'arrow' or an array stream of 'nanoarrow'; or the name of a CSV file, or with 'arrow'
#'   of a Parquet file.
#' @param bases A data frame for functions of the data, see Details.
#' @param rewind A function without arguments that makes `x` begin again. Known for lists and files.
#' @param rows The number of rows of a chunk, where `x` lets one choose.
#' @param ... None: any other argument is an error.
#' @returns An object of class `lmm_chunks`: a list of functions.
#' @seealso [lmm_moments()]
#' @examples
#' growth <- as.data.frame(nlme::Orthodont)
#' growth$Subject <- as.character(growth$Subject)
#' chunks <- split(growth, rep(1:4, each = 27))
#' lmm(distance ~ age + (age | Subject), lmm_chunks(chunks))
#' @export
lmm_chunks <- function(x, bases = NULL, rewind = NULL, rows = 1e5, ...) {
  check_dots(...)
  rows <- check_count(rows, "rows", 1L)
  if (!is.null(bases) && !is.data.frame(bases)) {
    ferrolmm_abort("`bases` must be a data frame.", "argument")
  }
  if (!is.null(rewind) && !is.function(rewind)) {
    ferrolmm_abort("`rewind` must be a function without arguments.", "argument")
  }
  reader <- chunk_reader(x, rows)
  if (!is.null(rewind)) reader$rewind <- rewind
  structure(c(reader, list(bases = bases)), class = "lmm_chunks")
}

#' @param x What `lmm_chunks()` returned.
#' @rdname lmm_chunks
#' @export
print.lmm_chunks <- function(x, ...) {
  check_dots(...)
  cat("Data read in chunks: ", x$what, "\n", sep = "")
  invisible(x)
}

#' How chunks are read
#' @returns list(read, a function that returns the next data frame or NULL; rewind, one that begins
#'   again, or NULL; what, in words)
#' @noRd
chunk_reader <- function(x, rows) {
  if (is.function(x)) {
    return(list(read = x, rewind = NULL, what = "by a function"))
  }
  if (inherits(x, "DBIResult")) {
    need_package("DBI", "lmm_chunks() of a DBI result")
    return(list(
      read = function() DBI::dbFetch(x, n = rows), rewind = NULL, what = "result of a query"
    ))
  }
  if (inherits(x, "nanoarrow_array_stream")) {
    read <- function() {
      array <- x$get_next()
      if (!is.null(array)) as.data.frame(array)
    }
    return(list(read = read, rewind = NULL, what = "array stream"))
  }
  if (inherits(x, "RecordBatchReader")) {
    return(list(read = batch_reader(x), rewind = NULL, what = "record batches"))
  }
  if (is.list(x) && !is.data.frame(x) && all(vapply(x, is.data.frame, NA))) {
    return(list_reader(x))
  }
  if (is_string(x)) {
    return(if (grepl("[.]parquet$", x)) parquet_reader(x, rows) else csv_reader(x, rows))
  }
  ferrolmm_abort(
    paste0("`x` must be a function, a list of data frames, a DBI result, a stream of 'arrow' or ",
           "'nanoarrow', or the name of a file; it is ", describe_value(x), "."),
    "argument", i = if (is.data.frame(x)) "A data frame needs no chunks: lmm_moments(formula, x)."
  )
}

#' @noRd
list_reader <- function(x) {
  at <- 0L
  list(
    read = function() {
      at <<- at + 1L
      if (at <= length(x)) x[[at]]
    },
    rewind = function() at <<- 0L, what = count_of(length(x), "data frame")
  )
}

#' @noRd
batch_reader <- function(reader) {
  function() {
    batch <- reader$read_next_batch()
    if (!is.null(batch)) as.data.frame(batch)
  }
}

#' @noRd
parquet_reader <- function(file, rows) {
  need_package("arrow", "lmm_chunks() of a Parquet file")
  arrow <- asNamespace("arrow")
  open <- function() {
    batch_reader(arrow$Scanner$create(
      arrow$open_dataset(file), batch_size = rows
    )$ToRecordBatchReader())
  }
  read <- open()
  list(read = function() read(), rewind = function() read <<- open(), what = file)
}

#' Chunks of a CSV file with a line of names
#'
#' Classes are those that the first chunk shows; values of another class later are an error.
#' @noRd
csv_reader <- function(file, rows) {
  if (!file.exists(file)) {
    ferrolmm_abort(paste0("There is no file \"", file, "\"."), "argument")
  }
  state <- NULL
  open <- function() {
    if (!is.null(state$connection)) close(state$connection)
    state <<- list(connection = file(file, "r"), names = NULL)
  }
  done <- FALSE
  classes <- NULL
  read <- function() {
    if (done) return(NULL)
    if (is.null(state)) open()
    first <- is.null(state$names)
    # as text first: a class is that of the whole column, whatever the first rows hold
    chunk <- tryCatch(
      if (first) {
        utils::read.csv(
          state$connection, nrows = rows, check.names = FALSE, colClasses = "character"
        )
      } else {
        utils::read.csv(
          state$connection, header = FALSE, nrows = rows, col.names = state$names,
          check.names = FALSE, colClasses = "character"
        )
      },
      error = function(e) {
        if (!grepl("no lines available", conditionMessage(e), fixed = TRUE)) stop(e)
      }
    )
    if (is.null(chunk) || nrow(chunk) < rows) {
      close(state$connection)
      state <<- NULL
      done <<- TRUE
    }
    if (is.null(chunk)) {
      return(NULL)
    }
    if (first) {
      classes <<- vapply(utils::type.convert(chunk, as.is = TRUE), class, "")
      if (!is.null(state)) state$names <<- names(chunk)
    }
    chunk[] <- Map(csv_values, chunk, names(chunk), classes)
    chunk
  }
  rewind <- function() {
    done <<- FALSE
    if (!is.null(state)) {
      close(state$connection)
      state <<- NULL
    }
  }
  list(read = read, rewind = rewind, what = file)
}

#' Values of a column of the class that its first chunk has
#' @noRd
csv_values <- function(text, name, class) {
  if (class == "character") {
    return(text)
  }
  values <- if (class == "logical") as.logical(text) else suppressWarnings(as.double(text))
  lost <- which(is.na(values) & !is.na(text) & !text %in% c("", "NA", "NaN"))
  if (length(lost) > 0L) {
    ferrolmm_abort(
      paste0("The column `", name, "` begins with values of class ", class, ", and has \"",
             text[[lost[[1L]]]], "\" further on."),
      "data", variable = name, i = "Give a function that reads it: lmm_chunks(function() ...)."
    )
  }
  values
}

#' The next chunk with rows, or NULL at the end
#' @noRd
next_chunk <- function(chunks) {
  chunk <- tryCatch(chunks$read(), error = function(e) {
    ferrolmm_abort(paste0("A chunk could not be read: ", conditionMessage(e), "."), "data")
  })
  if (is.null(chunk) || is.data.frame(chunk) && nrow(chunk) == 0L) {
    return(NULL)
  }
  if (!is.data.frame(chunk)) {
    ferrolmm_abort(
      paste0("A chunk is ", describe_value(chunk), ", no data frame."), "data",
      i = "The function returns the next data frame, and NULL at the end."
    )
  }
  chunk
}

#' Moments of chunks
#' @noRd
chunk_moments <- function(formula, chunks, given, na_action, control, caller, gather) {
  model <- parse_formula(formula, NULL, caller)
  fixed <- fixed_bases(model, chunks)
  first <- NULL
  parts <- list()
  rows <- omitted <- 0
  tables <- gather == "tables"
  while (!is.null(chunk <- next_chunk(chunks))) {
    require_time_to_fit(control)
    frame <- chunk_frame(model, chunk, given, na_action, control, caller, fixed)
    if (is.null(frame)) {
      omitted <- omitted + nrow(chunk)
      next
    }
    if (is.null(first)) {
      inform_logical(frame)
      first <- without_rows(start_moments(model, frame, tables))
    }
    check_chunk(first, model, frame)
    part <- add_frame(if (tables) as_tables(first) else first, model, frame)
    parts <- fold_chunks(c(parts, list(part)))
    rows <- rows + nrow(frame)
    if (gather == "auto" && !tables && wants_tables(size_of_moments(parts[[1L]]), rows)) {
      tables <- TRUE
      parts <- lapply(parts, as_tables)
    }
  }
  if (is.null(first)) {
    ferrolmm_abort("There is no data: no chunk has a row to use.", "data")
  }
  moments <- Reduce(add_moments, parts)
  moments$omitted <- moments$omitted + omitted
  moments
}

#' Moments of chunks, the last ones added up where they are of about one size: so each cell is
#' looked at as often as the number of chunks has binary digits
#' @noRd
fold_chunks <- function(parts) {
  while ((k <- length(parts)) > 1L &&
           size_of_moments(parts[[k - 1L]]) <= 2 * size_of_moments(parts[[k]])) {
    parts <- c(parts[seq_len(k - 2L)], list(add_moments(parts[[k - 1L]], parts[[k]])))
  }
  parts
}

#' The model frame of a chunk; NULL where none of its rows is used
#' @noRd
chunk_frame <- function(model, chunk, given, na_action, control, caller, fixed) {
  frame <- tryCatch(
    build_frame(
      model, chunk, given, na_action, caller, threads = control$threads, fixed = fixed
    ),
    ferrolmm_error_missing = function(e) if (all_rows_go(na_action)) NULL else stop(e),
    ferrolmm_error_subset = function(e) if (nothing_left(e)) NULL else stop(e)
  )
  if (!is.null(frame)) {
    refuse_tables(frame)
    refuse_free_bases(frame, model, fixed)
    check_by_row(model, chunk, fixed)
  }
  frame
}

#' Refuse variables whose value in a row depends on the other rows, as x - mean(x) and ave(x, g)
#'
#' They are evaluated for one row, and for it before and after two rows with larger and smaller
#' numbers: the value has to be the same.
#' @noRd
check_by_row <- function(model, chunk, fixed) {
  expressions <- as.list(attr(formula_terms(model$frame), "variables"))[-1L]
  names <- variable_names(expressions)
  own <- which(vapply(expressions, is.call, NA) & !names %in% names(fixed))
  used <- intersect(unique(unlist(lapply(expressions[own], all.vars))), names(chunk))
  complete <- which(stats::complete.cases(chunk[used]))
  if (length(own) == 0L || length(used) == 0L || length(complete) == 0L) {
    return(invisible())
  }
  row <- chunk[complete[[1L]], used, drop = FALSE]
  others <- rbind(row, row)
  for (name in used) {
    if (is.numeric(row[[name]])) others[[name]] <- others[[name]] + c(1L, -2L)
  }
  value_at <- function(rows, at) {
    columns <- tryCatch(
      evaluate_variables(expressions[own], rows, model$env), error = function(e) NULL
    )
    lapply(columns, function(x) {
      x <- if (is.matrix(x)) x[at, ] else x[at]
      if (is.factor(x)) as.character(x) else as.vector(x)
    })
  }
  alone <- value_at(row, 1L)
  for (beside in list(value_at(rbind(row, others), 1L), value_at(rbind(others, row), 3L))) {
    if (length(alone) != length(own) || length(beside) != length(own)) {
      next
    }
    same <- mapply(function(a, b) isTRUE(all.equal(a, b)), alone, beside)
    if (!all(same)) abort_not_by_row(names[own][!same][[1L]])
  }
}

#' @noRd
abort_not_by_row <- function(name) {
  ferrolmm_abort(
    paste0("`", name, "` depends on other rows than its own, and no chunk has all."), "moments",
    variable = name,
    i = "Make it a column of the data first, or write a constant in the place of mean(x)."
  )
}

#' Does this na.action leave out rows, and so perhaps all of a chunk?
#' @noRd
all_rows_go <- function(na_action) match_na_action(na_action) %in% c("omit", "exclude")

#' Is it the error that no row is left?
#' @noRd
nothing_left <- function(e) isTRUE(e$empty)

#' @noRd
check_chunk <- function(moments, model, frame) {
  roles <- variable_roles(model, frame)
  numeric <- names(frame)[roles == "number"]
  other <- c(setdiff(numeric, moments$numeric), setdiff(moments$numeric, numeric))
  if (length(other) > 0L) {
    ferrolmm_abort(
      paste0("`", other[[1L]], "` is a number in some chunks, and of another class in others."),
      "moments", variable = other[[1L]], i = "Make it of one class in all chunks."
    )
  }
}

#' @noRd
refuse_tables <- function(frame) {
  tables <- names(attr(attr(frame, "terms"), "tables"))
  if (length(tables) > 0L) {
    ferrolmm_abort(
      paste0("`", tables[[1L]], "` depends on all rows at once, which no chunk has."), "moments",
      variable = tables[[1L]], i = "Make it a column of the data first."
    )
  }
}

#' Variables that are functions of the data, by what they are once they are determined
#'
#' @returns named list of calls, those of poly(), ns(), scale() ... with their coefficients
#' @noRd
data_functions <- function(frame, model) {
  terms <- attr(frame, "terms")
  expressions <- as.list(attr(formula_terms(model$frame), "variables"))[-1L]
  names <- variable_names(expressions)
  predvars <- as.list(attr(terms, "predvars"))[-1L]
  found <- vapply(seq_along(expressions), function(k) {
    is.call(expressions[[k]]) && k > 1L && !identical(
      stats::makepredictcall(frame[[names[[k]]]], expressions[[k]]), expressions[[k]]
    )
  }, NA)
  stats::setNames(predvars[found], names[found])
}

#' @noRd
refuse_free_bases <- function(frame, model, fixed) {
  free <- setdiff(names(data_functions(frame, model)), names(fixed))
  if (length(free) > 0L) {
    ferrolmm_abort(
      paste0("`", free[[1L]], "` is a function of the data: each chunk would have another one."),
      "moments", variable = free[[1L]],
      i = c(
        "lmm_chunks(bases = ) is a data frame that determines it, as a sample of the rows.",
        "With lmm_chunks(rewind = ) the data are read twice."
      )
    )
  }
}

#' Rows that a first pass reads at most to determine functions of the data
#' @noRd
most_basis_rows <- 5e6

#' Functions of the data with their coefficients, from `bases` or a first pass
#' @noRd
fixed_bases <- function(model, chunks) {
  used <- basis_variables(model)
  if (length(used) == 0L) {
    return(NULL)
  }
  rows <- chunks$bases
  if (is.null(rows)) {
    if (is.null(chunks$rewind)) {
      return(NULL)
    }
    rows <- first_pass(chunks, used)
  }
  expressions <- as.list(attr(formula_terms(model$frame), "variables"))[-1L]
  names <- variable_names(expressions)
  own <- which(vapply(expressions, function(e) is.call(e) && all(all.vars(e) %in% names(rows)), NA))
  own <- setdiff(own, 1L)
  rows <- rows[stats::complete.cases(rows[intersect(used, names(rows))]), , drop = FALSE]
  columns <- evaluate_variables(expressions[own], rows, model$env)
  calls <- Map(stats::makepredictcall, columns, expressions[own])
  changed <- !mapply(identical, calls, expressions[own])
  stats::setNames(calls[changed], names[own][changed])
}

#' Variables of the calls in a formula that may be functions of the data
#' @noRd
basis_variables <- function(model) {
  expressions <- as.list(attr(formula_terms(model$frame), "variables"))[-(1:2)]
  plain <- c("I", "log", "exp", "sqrt", "factor", "as.factor", "log2", "log10", "abs", "offset",
             "log1p", "expm1")
  calls <- Filter(function(e) {
    is.call(e) && !(is.symbol(e[[1L]]) && as.character(e[[1L]]) %in% plain)
  }, expressions)
  unique(unlist(lapply(calls, all.vars)))
}

#' @noRd
first_pass <- function(chunks, used) {
  parts <- list()
  count <- 0
  while (count < most_basis_rows && !is.null(chunk <- next_chunk(chunks))) {
    parts[[length(parts) + 1L]] <- as.data.frame(chunk)[intersect(used, names(chunk))]
    count <- count + nrow(chunk)
  }
  if (count >= most_basis_rows && !is.null(next_chunk(chunks))) {
    ferrolmm_abort(
      paste0("There are more than ", format(most_basis_rows, big.mark = ",", scientific = FALSE),
             " rows: functions of the data are not determined from all of them."),
      "moments", i = "lmm_chunks(bases = ) is a data frame that determines them, as a sample."
    )
  }
  chunks$rewind()
  do.call(rbind, parts)
}
