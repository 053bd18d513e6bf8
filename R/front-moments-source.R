#' Data that stay in a database
#'
#' A table or a query of a database, as `data` of `lmm()` and [lmm_moments()]. The rows stay there:
#' the database counts and adds them up by cell, and what comes back is as large as the number of
#' combinations of levels. Tables of 'dplyr' (`dplyr::tbl(con, "visits")`, filtered and changed at
#' will) need no `lmm_source()`: they are `data` as they are.
#'
#' @details
#' Estimates, standard errors and tests are those of `lmm()` on the rows. So are the model's
#' variables: the types of columns are those that R sees in a sample of rows, and terms that are
#' functions of columns are computed by the database, in doubles, as R computes them: `+ - * / ^`,
#' `I()`, `log()`, `log2()`, `log10()`, `log1p()`, `exp()`, `sqrt()`, `abs()`, `ifelse()`,
#' comparisons, `&`, `|`, `!`, `%in%`, `is.na()`, and constants of the formula's environment. Of
#' variables that tell cells apart, as `factor(year)` or `interaction(a, b)`, any function is
#' possible that looks at each row by itself: R computes it from the values of the columns. On the
#' sample, what the database computes is compared with what R computes, and a difference is an
#' error. A term that cannot be computed there is an error that names it.
#'
#' `weights`, `offset` and `subset` are expressions of columns, too. `NULL` and `NaN` are missing
#' values; `na.action` can be [stats::na.omit()], [stats::na.exclude()] or [stats::na.fail()].
#'
#' The table is read three times: for its means, for the number of cells, and for the sums of
#' squares and products about the means; and once more if these have lost digits, because the rows
#' of a cell differ little against how much cells differ. It must not change meanwhile: that is
#' checked by the number of rows. Where there are nearly as many cells as rows, as with crossed
#' grouping factors, the sums are by pairs of terms (see [lmm_moments()]), if that is less; a
#' message says so. Where it is not (a number that tells rows apart), nothing is gained, and beyond
#' a million cells that is an error: read the rows, by [lmm_chunks()] or `dplyr::collect()`.
#'
#' Ctrl-C ends a query where the driver of the database hears of it: 'duckdb' does, and 'RPostgres'
#' if it connects with `check_interrupts = TRUE`. With 'RSQLite', 'RPostgreSQL' and 'RMySQL' it ends
#' the fit once the query that runs is answered.
#'
#' @param con A connection of 'DBI'.
#' @param from The name of a table (a string, or what `DBI::Id()` returns), or a query: a string
#'   that begins with SELECT or WITH.
#' @param dialect How the database spells SQL: `"sqlite"`, `"duckdb"`, `"postgres"`, `"mariadb"`
#'   (and MySQL), `"spark"` or `"standard"`. Known by the connection for the packages 'RSQLite',
#'   'duckdb', 'RPostgres', 'RPostgreSQL', 'RMariaDB', 'RMySQL' and 'sparklyr'; one of 'RJDBC' does
#'   not say.
#' @param ... None: any other argument is an error.
#' @returns An object of class `lmm_source`.
#' @seealso [lmm_moments()], [lmm_chunks()]
#' @examplesIf requireNamespace("RSQLite", quietly = TRUE)
#' con <- DBI::dbConnect(RSQLite::SQLite(), ":memory:")
#' DBI::dbWriteTable(con, "growth", as.data.frame(nlme::Orthodont))
#' lmm(distance ~ age * Sex + (age | Subject), lmm_source(con, "growth"))
#' DBI::dbDisconnect(con)
#' @export
lmm_source <- function(con, from, dialect = NULL, ...) {
  check_dots(...)
  if (missing(con) || missing(from)) {
    ferrolmm_abort(
      "lmm_source() needs a connection and the name of a table or a query.", "argument",
      i = "As in lmm_source(con, \"visits\")."
    )
  }
  need_package("DBI", "lmm_source()")
  if (!methods::is(con, "DBIConnection")) {
    ferrolmm_abort(
      paste0("`con` must be a connection of 'DBI', it is ", describe_value(con), "."), "argument",
      i = "As DBI::dbConnect() returns it."
    )
  }
  name <- if (is.null(dialect)) {
    dialect_of(con)
  } else {
    match_choice(dialect, "dialect", names(sql_dialects))
  }
  if (is.null(name)) {
    ferrolmm_abort(
      paste0("The dialect of a connection of class ", class(con)[[1L]], " is not known."),
      "argument",
      i = paste0("Give `dialect`, one of ", quote_names(names(sql_dialects), Inf), ".")
    )
  }
  found <- source_rows(con, from, sql_dialects[[name]])
  structure(
    list(con = con, rows = found$rows, what = found$what, dialect_name = name,
         dialect = sql_dialects[[name]]),
    class = "lmm_source"
  )
}

#' @param x What `lmm_source()` returned.
#' @rdname lmm_source
#' @export
print.lmm_source <- function(x, ...) {
  check_dots(...)
  cat("Rows that stay in a database (dialect ", x$dialect_name, "): ", x$what, "\n", sep = "")
  invisible(x)
}

#' What follows FROM
#' @returns list(rows, what: in words)
#' @noRd
source_rows <- function(con, from, dialect) {
  if (methods::is(from, "Id")) {
    parts <- unname(methods::slot(from, "name"))
    return(list(
      rows = paste(dialect$name(parts), collapse = "."), what = paste(parts, collapse = ".")
    ))
  }
  if (!is_string(from) || is.na(from) || !nzchar(trimws(from))) {
    ferrolmm_abort(
      paste0("`from` must be the name of a table or a query, it is ", describe_value(from), "."),
      "argument"
    )
  }
  from <- enc2utf8(as.character(from))
  query <- sub("[[:space:];]+$", "", from)
  if (grepl("^[[:space:]]*(select|with)[[:space:]]", query, ignore.case = TRUE)) {
    # a line of its own: the query may end in a comment
    return(list(rows = paste0("(", query, "\n) AS lmm_rows"), what = code_text(query)))
  }
  list(rows = dialect$name(from), what = from)
}

#' A query on one line
#' @noRd
code_text <- function(query) {
  text <- gsub("[[:space:]]+", " ", trimws(query))
  if (nchar(text) > 60L) paste0(substr(text, 1L, 57L), "...") else text
}

#' Are these rows in a database?
#' @noRd
is_source <- function(data) inherits(data, c("lmm_source", "tbl_lazy"))

#' A table of 'dplyr' as a source; a source as it is
#' @noRd
as_source <- function(data) {
  if (inherits(data, "lmm_source")) {
    return(data)
  }
  need_package("dbplyr", "A lazy table as `data`")
  dbplyr <- asNamespace("dbplyr")
  con <- dbplyr$remote_con(data)
  if (!methods::is(con, "DBIConnection")) {
    ferrolmm_abort(
      paste0("`data` is a lazy table without a connection of 'DBI'."), "argument",
      i = "dplyr::collect() makes a data frame of it."
    )
  }
  lmm_source(con, as.character(dbplyr$sql_render(data)))
}

#' What a driver keeps of the last error, where its condition does not say it
#' @noRd
failed_statement <- function(con) {
  if (inherits(con, "PostgreSQLConnection")) {
    said <- tryCatch(DBI::dbGetException(con)$errorMsg, error = function(e) NULL)
    if (is_string(said) && nzchar(trimws(said))) said
  }
}

#' What a driver says of an error, without the places in its own code
#' @noRd
driver_words <- function(said) sentence(trimws(sub("\n[[:space:]]+at .*", "", said)))

#' The answer of the database, a data frame
#'
#' Failures become errors of ours: of the drivers some warn and return NULL.
#' @noRd
ask_source <- function(source, query) {
  warned <- character()
  failed <- NULL
  answer <- tryCatch(
    withCallingHandlers(
      DBI::dbGetQuery(source$con, enc2utf8(query)),
      warning = function(w) {
        warned <<- c(warned, conditionMessage(w))
        invokeRestart("muffleWarning")
      }
    ),
    error = function(e) {
      failed <<- conditionMessage(e)
      NULL
    }
  )
  mixed <- grepl("mixed type", warned, fixed = TRUE)
  if (!is.data.frame(answer) || any(mixed)) {
    said <- c(failed_statement(source$con), failed, warned, "it returned no table")[[1L]]
    ferrolmm_abort(
      if (any(mixed)) {
        "A column of the database has values of several types."
      } else {
        "The database could not answer a query."
      },
      "source", x = driver_words(said), query = query,
      i = "The query is in the field `query` of this condition: rlang::last_error()$query."
    )
  }
  as_frame(readable_columns(unclass(answer)), .set_row_names(nrow(answer)))
}
