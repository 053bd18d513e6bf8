# How SQL is spelt where it differs: a table with an entry for each dialect.
#
# An entry has functions that write SQL around SQL:
#   name, string   an identifier, a text constant, quoted
#   number         a constant in digits, so that it is read as a double
#   double         a value as a double
#   finite         a double with NULL in the place of NaN, which equals itself in some databases
#   text           a text column that is compared by its characters alone, whatever its collation
#   padded         the same of a column of type CHAR(n), which R sees with its blanks
#   days, seconds  a date and a point in time as R counts them; NULL: not known
#   first          a query cut off after some rows
#   wrong_type     is a value no number, though its column has numbers? NULL: cannot be
#   temporary      statements that make a temporary table, of its name, its columns, whether each is
#                  text (else doubles), and its rows in parentheses
# and names: `infinity`, a constant larger than all numbers; `log`, the natural logarithm, where it
# has more than one name the first that computes it.

sql_name <- function(quote) {
  function(x) paste0(quote, gsub(quote, paste0(quote, quote), x, fixed = TRUE), quote)
}

sql_string <- function(x) paste0("'", gsub("'", "''", x, fixed = TRUE), "'")

#' Where a backslash in text begins an escape
#' @noRd
sql_escaped_string <- function(x) {
  x <- gsub("\\", "\\\\", x, fixed = TRUE)
  paste0("'", gsub("'", "\\'", x, fixed = TRUE), "'")
}

#' Where a setting says whether a backslash is one: by the bytes
#' @noRd
sql_bytes_string <- function(x) {
  if (!grepl("\\", x, fixed = TRUE)) {
    return(sql_string(x))
  }
  paste0("CONVERT(X'", paste(charToRaw(enc2utf8(x)), collapse = ""), "' USING utf8mb4)")
}

sql_cast <- function(type) function(x) paste0("CAST(", x, " AS ", type, ")")

sql_temporary_table <- function(name, columns, text, rows) {
  types <- ifelse(text, "TEXT", "DOUBLE PRECISION")
  parts <- split(rows, ceiling(seq_along(rows) / 500))
  c(
    paste0("CREATE TEMPORARY TABLE ", name, " (", paste(columns, types, collapse = ", "), ")"),
    vapply(parts, function(part) {
      paste("INSERT INTO", name, "VALUES", paste(part, collapse = ", "))
    }, "", USE.NAMES = FALSE)
  )
}

#' Where temporary tables are views
#' @noRd
sql_temporary_view <- function(name, columns, text, rows) {
  # a row that is never chosen: VALUES may not be empty
  none <- paste0("(", paste(rep.int("NULL", length(columns)), collapse = ", "), ")")
  casts <- paste0("CAST(", columns, " AS ", ifelse(text, "STRING", "DOUBLE"), ") AS ", columns)
  paste0(
    "CREATE TEMPORARY VIEW ", name, " AS SELECT ", paste(casts, collapse = ", "), " FROM VALUES ",
    paste(c(rows, none), collapse = ", "), " AS v(", paste(columns, collapse = ", "), ") WHERE ",
    columns[[1L]], " IS NOT NULL"
  )
}

sql_standard <- list(
  name = sql_name("\""), string = sql_string,
  number = sql_cast("DOUBLE PRECISION"), double = sql_cast("DOUBLE PRECISION"),
  finite = function(x) paste0("CASE WHEN ", x, " = ", x, " THEN ", x, " END"),
  text = identity, padded = NULL, days = NULL, seconds = NULL,
  first = function(query, n) paste(query, "FETCH FIRST", n, "ROWS ONLY"),
  wrong_type = NULL, temporary = sql_temporary_table,
  infinity = "CAST(1.7976931348623157e308 AS DOUBLE PRECISION)", log = "LN"
)

sql_limit <- function(query, n) paste(query, "LIMIT", n)

sql_nullif_nan <- function(type) {
  function(x) paste0("NULLIF(", x, ", CAST('NaN' AS ", type, "))")
}

sql_dialects <- list(
  standard = sql_standard,
  sqlite = utils::modifyList(sql_standard, list(
    number = identity, double = sql_cast("REAL"), finite = identity,
    text = function(x) paste0("CAST(", x, " AS TEXT) COLLATE BINARY"),
    # a column of dates holds numbers or text, as who wrote it likes
    days = function(x) {
      paste0("CASE WHEN typeof(", x, ") = 'text' THEN julianday(", x, ") - 2440587.5 ELSE CAST(", x,
             " AS REAL) END")
    },
    seconds = function(x) {
      paste0("CASE WHEN typeof(", x, ") = 'text' THEN CAST(strftime('%s', ", x,
             ") AS REAL) ELSE CAST(", x, " AS REAL) END")
    },
    first = sql_limit, wrong_type = function(x) paste0("typeof(", x, ") IN ('text', 'blob')"),
    infinity = "9e999", log = c("LN", "LOG")
  )),
  duckdb = utils::modifyList(sql_standard, list(
    number = identity, double = sql_cast("DOUBLE"), finite = sql_nullif_nan("DOUBLE"),
    text = function(x) paste0("CAST(", x, " AS VARCHAR) COLLATE \"binary\""),
    days = function(x) {
      paste0("CAST(DATE_DIFF('day', DATE '1970-01-01', CAST(", x, " AS DATE)) AS DOUBLE)")
    },
    seconds = function(x) paste0("EPOCH_US(", x, ") / 1e6"),
    first = sql_limit, infinity = "CAST('Infinity' AS DOUBLE)"
  )),
  postgres = utils::modifyList(sql_standard, list(
    string = function(x) {
      # the same whatever standard_conforming_strings says
      ifelse(grepl("\\", x, fixed = TRUE),
             paste0("E", gsub("\\", "\\\\", sql_string(x), fixed = TRUE)), sql_string(x))
    },
    finite = sql_nullif_nan("DOUBLE PRECISION"),
    text = function(x) paste0("CAST(", x, " AS TEXT) COLLATE \"C\""),
    padded = function(x) {
      paste0("CASE WHEN ", x, " IS NOT NULL THEN FORMAT('%s', ", x, ") COLLATE \"C\" END")
    },
    days = function(x) {
      paste0("CAST(CAST(", x, " AS DATE) - DATE '1970-01-01' AS DOUBLE PRECISION)")
    },
    seconds = function(x) paste0("CAST(EXTRACT(EPOCH FROM ", x, ") AS DOUBLE PRECISION)"),
    first = sql_limit, infinity = "CAST('Infinity' AS DOUBLE PRECISION)"
  )),
  mariadb = utils::modifyList(sql_standard, list(
    name = sql_name("`"), string = sql_bytes_string,
    number = identity, double = sql_cast("DOUBLE"), finite = identity,
    text = function(x) paste0("CONVERT(", x, " USING utf8mb4) COLLATE utf8mb4_nopad_bin"),
    days = function(x) paste0("CAST(DATEDIFF(", x, ", '1970-01-01') AS DOUBLE)"),
    seconds = function(x) {
      paste0("TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', ", x, ") / 1e6")
    },
    # MariaDB has no infinite numbers: the largest stands for them, and counts as one
    first = sql_limit, infinity = "1.7976931348623157e308"
  )),
  spark = utils::modifyList(sql_standard, list(
    name = sql_name("`"), string = sql_escaped_string,
    number = function(x) paste0(x, "D"), double = sql_cast("DOUBLE"),
    finite = sql_nullif_nan("DOUBLE"),
    days = function(x) paste0("CAST(DATEDIFF(", x, ", DATE '1970-01-01') AS DOUBLE)"),
    seconds = function(x) paste0("UNIX_MICROS(", x, ") / 1e6D"),
    first = sql_limit, temporary = sql_temporary_view, infinity = "CAST('Infinity' AS DOUBLE)"
  ))
)

#' Dialects by the class of a connection
#' @noRd
connection_dialects <- c(
  SQLiteConnection = "sqlite", duckdb_connection = "duckdb", PqConnection = "postgres",
  PostgreSQLConnection = "postgres", MariaDBConnection = "mariadb", MySQLConnection = "mariadb",
  spark_connection = "spark", `Spark SQL` = "spark", PostgreSQL = "postgres", MySQL = "mariadb",
  MariaDB = "mariadb", SQLite = "sqlite", DuckDB = "duckdb"
)

#' The dialect of a connection, by its class; NULL where that says nothing
#' @noRd
dialect_of <- function(con) {
  known <- connection_dialects[intersect(methods::is(con), names(connection_dialects))]
  if (length(known) > 0L) known[[1L]]
}

#' A number in SQL
#'
#' The fewest digits that R reads as the same double: parsers that round the last digit of seventeen
#' are common. With an exponent, as 0.1 without one is a decimal number to some databases.
#' @noRd
sql_number <- function(x, dialect) {
  if (is.na(x)) {
    return(dialect$double("NULL"))
  }
  if (is.infinite(x)) {
    return(if (x > 0) dialect$infinity else paste0("(-", dialect$infinity, ")"))
  }
  for (digits in 14:16) {
    text <- sprintf("%.*e", digits, abs(x))
    if (identical(as.double(text), abs(x))) break
  }
  # trailing zeros of the digits make no difference, and queries longer
  text <- dialect$number(sub("[.]?0*e", "e", text))
  if (x < 0) paste0("(-", text, ")") else text
}
