## Databases that tests of rows elsewhere run on: SQLite always, others where an environment
## variable names the folder of a server (dev/postgres, dev/mariadb, dev/spark) or a program
## (dev/duckdb), and the package 'duckdb' where it is installed.

## @returns by name, lists of: open (a function that connects), dialect (NULL: known by the
##   connection), how the engine spells tables that tests write (`name`, `text`, `types`), what it
##   lacks (`nan`, `infinite`, `any_table`: tables of any name), drop(con): ends the connection
##   from elsewhere, or as if it were; interrupts: does its driver stop a query on Ctrl-C?
databases <- function() {
  found <- list(sqlite = sqlite_engine())
  folder <- Sys.getenv("FERROLMM_POSTGRES")
  if (nzchar(folder) && requireNamespace("RPostgreSQL", quietly = TRUE)) {
    found$postgres <- postgres_engine(folder)
  }
  folder <- Sys.getenv("FERROLMM_MARIADB")
  if (nzchar(folder) && nzchar(system.file(package = "RMySQL"))) {
    found$mariadb <- mariadb_engine(folder)
  }
  program <- Sys.getenv("FERROLMM_DUCKDB")
  if (nzchar(program)) found$duckdb <- duckdb_engine(program)
  if (nzchar(system.file(package = "duckdb"))) found$duckdb_package <- duckdb_package_engine()
  folder <- Sys.getenv("FERROLMM_SPARK")
  if (nzchar(folder) && nzchar(system.file(package = "rJava"))) found$spark <- spark_engine(folder)
  found
}

standard_engine <- list(
  dialect = NULL, quote = "\"",
  text = function(x) paste0("'", gsub("'", "''", x, fixed = TRUE), "'"),
  types = c(integer = "INTEGER", double = "DOUBLE PRECISION", logical = "BOOLEAN", date = "DATE",
            time = "TIMESTAMP", text = "TEXT"),
  special = function(x) paste0("'", sub("Inf", "Infinity", x), "'"), nan = TRUE, infinite = TRUE,
  any_table = TRUE, drop = function(con) DBI::dbDisconnect(con), interrupts = FALSE
)

## Text in which a backslash is an escape
escaped_text <- function(x) {
  x <- gsub("\\", "\\\\", x, fixed = TRUE)
  paste0("'", gsub("'", "\\'", x, fixed = TRUE), "'")
}

sqlite_engine <- function() {
  utils::modifyList(standard_engine, list(
    open = function(...) DBI::dbConnect(RSQLite::SQLite(), ":memory:", ...), nan = FALSE,
    special = function(x) ifelse(is.nan(x), "NULL", paste0(sign(x), "e999"))
  ))
}

postgres_engine <- function(folder) {
  force(folder)
  open <- function(...) {
    DBI::dbConnect(
      RPostgreSQL::PostgreSQL(), host = folder, user = "postgres", dbname = "postgres"
    )
  }
  utils::modifyList(standard_engine, list(
    open = open,
    drop = function(con) {
      pid <- DBI::dbGetQuery(con, "SELECT pg_backend_pid() AS pid")$pid
      other <- open()
      DBI::dbGetQuery(other, paste0("SELECT pg_terminate_backend(", pid, ")"))
      DBI::dbDisconnect(other)
    }
  ))
}

mariadb_engine <- function(folder) {
  force(folder)
  open <- function(..., user = "root") {
    con <- DBI::dbConnect(
      elsewhere("RMySQL", "MySQL")(), unix.socket = file.path(folder, "socket"), user = user,
      dbname = "ferrolmm"
    )
    do_query(con, "SET NAMES utf8mb4")
    con
  }
  first <- DBI::dbConnect(
    elsewhere("RMySQL", "MySQL")(), unix.socket = file.path(folder, "socket"), user = "root"
  )
  do_query(first, "CREATE DATABASE IF NOT EXISTS ferrolmm CHARACTER SET utf8mb4")
  DBI::dbDisconnect(first)
  utils::modifyList(standard_engine, list(
    open = open, quote = "`", text = escaped_text, nan = FALSE, infinite = FALSE,
    types = replace(standard_engine$types, "time", "DATETIME(6)"),
    special = function(x) ifelse(is.nan(x), "NULL", paste0(sign(x), "e999")),
    drop = function(con) {
      id <- DBI::dbGetQuery(con, "SELECT CONNECTION_ID() AS id")$id
      other <- open()
      do_query(other, paste("KILL", id))
      DBI::dbDisconnect(other)
    }
  ))
}

duckdb_engine <- function(program) {
  force(program)
  utils::modifyList(standard_engine, list(
    open = function(...) program_connect(program), dialect = "duckdb", interrupts = TRUE,
    drop = function(con) {
      tools::pskill(con@state$pid, tools::SIGKILL)
      while (program_alive(con@state)) Sys.sleep(0.01)
    }
  ))
}

duckdb_package_engine <- function() {
  utils::modifyList(standard_engine, list(
    open = function(...) DBI::dbConnect(elsewhere("duckdb", "duckdb")()), interrupts = TRUE,
    drop = function(con) DBI::dbDisconnect(con, shutdown = TRUE)
  ))
}

spark_engine <- function(folder) {
  force(folder)
  utils::modifyList(standard_engine, list(
    open = function(...) {
      jdbc_connect(
        readLines(file.path(folder, "url")), "org.apache.hive.jdbc.HiveDriver",
        list.files(file.path(folder, "jars"), "[.]jar$", full.names = TRUE)
      )
    },
    dialect = "spark", quote = "`", text = escaped_text, any_table = FALSE, interrupts = TRUE,
    special = function(x) paste0("CAST('", x, "' AS DOUBLE)"),
    types = c(integer = "INT", double = "DOUBLE", logical = "BOOLEAN", date = "DATE",
              time = "TIMESTAMP", text = "STRING")
  ))
}

## A statement that returns no rows
do_query <- function(con, text) invisible(DBI::dbClearResult(DBI::dbSendQuery(con, text)))

engine_name <- function(engine, x) {
  paste0(engine$quote, gsub(engine$quote, strrep(engine$quote, 2L), x, fixed = TRUE), engine$quote)
}

engine_source <- function(engine, con, name) lmm_source(con, name, dialect = engine$dialect)

## The rows of a table as its driver has them
read_rows <- function(engine, con, name) {
  DBI::dbGetQuery(con, paste("SELECT * FROM", engine_name(engine, name)))
}

## Values in SQL, names and missing values as they are, NaN and Inf where the database has them
engine_values <- function(engine, x) {
  if (is.numeric(x) && !is.object(x)) {
    text <- if (is.integer(x)) as.character(x) else sprintf("%.17e", x)
    special <- !is.finite(x) & (is.nan(x) | !is.na(x))
    text[special] <- engine$special(x[special])
    text[is.na(x) & !is.nan(x)] <- "NULL"
  } else if (is.logical(x)) {
    text <- ifelse(is.na(x), "NULL", as.character(x))
  } else {
    text <- if (inherits(x, "POSIXct")) format(x, "%Y-%m-%d %H:%M:%OS3", tz = "UTC") else x
    text <- ifelse(is.na(x), "NULL", engine$text(enc2utf8(as.character(text))))
    if (inherits(x, "Date")) text <- sub("^'", "DATE '", text)
    if (inherits(x, "POSIXct")) text <- sub("^'", "TIMESTAMP '", text)
  }
  text
}

engine_type <- function(engine, x) {
  kind <- if (is.integer(x)) {
    "integer"
  } else if (is.numeric(x) && !is.object(x)) {
    "double"
  } else if (is.logical(x)) {
    "logical"
  } else if (inherits(x, "Date")) {
    "date"
  } else if (inherits(x, "POSIXct")) {
    "time"
  } else {
    "text"
  }
  engine$types[[kind]]
}

## A table by plain SQL
write_rows <- function(engine, con, name, data, types = NULL) {
  values <- lapply(data, engine_values, engine = engine)
  if (inherits(con, "SQLiteConnection")) values <- lapply(values, sub, pattern = "^[A-Z]+ '",
                                                          replacement = "'")
  own <- vapply(data, engine_type, "", engine = engine)
  own[names(types)] <- types
  rows <- paste0("(", do.call(paste, c(unname(values), sep = ", ")), ")")
  table <- engine_name(engine, name)
  suppressWarnings(try(do_query(con, paste("DROP TABLE IF EXISTS", table)), silent = TRUE))
  columns <- engine_name(engine, names(data))
  if (identical(engine$dialect, "spark")) {
    # a statement is a job there: one
    casts <- paste0("CAST(v", seq_along(own), " AS ", own, ") AS ", columns, collapse = ", ")
    do_query(con, paste0(
      "CREATE TABLE ", table, " USING parquet AS SELECT ", casts, " FROM VALUES ",
      paste(rows, collapse = ", "), " AS v(", paste0("v", seq_along(own), collapse = ", "), ")"
    ))
    return(invisible())
  }
  do_query(con, paste0("CREATE TABLE ", table, " (", paste(columns, own, collapse = ", "), ")"))
  for (part in split(rows, ceiling(seq_along(rows) / 400))) {
    do_query(con, paste("INSERT INTO", table, "VALUES", paste(part, collapse = ", ")))
  }
}

## Code that runs with another value of a name of the package
with_value <- function(name, value, code) {
  home <- topenv(environment(lmm))
  before <- get(name, home)
  set <- function(value) {
    unlockBinding(name, home)
    assign(name, value, home)
    lockBinding(name, home)
  }
  on.exit(set(before))
  set(value)
  force(code)
}

## Estimates, standard errors, degrees of freedom, criterion and names of two fits
expect_same_model <- function(object, rows, label) {
  a <- summary(object)$coefficients
  b <- summary(rows)$coefficients
  expect_identical(rownames(a), rownames(b), label = label)
  relative <- function(x, y) max(abs(x - y) / pmax(abs(y), 1e-4))
  expect_lt(relative(object$theta, rows$theta), 1e-8, label = paste("theta,", label))
  expect_lt(relative(a[, 1L], b[, 1L]), 1e-8, label = paste("beta,", label))
  expect_lt(relative(a[, 2L], b[, 2L]), 1e-8, label = paste("se,", label))
  expect_lt(relative(a[, "df"], b[, "df"]), 1e-5, label = paste("df,", label))
  criterion <- as.numeric(logLik(rows))
  expect_lt(abs(as.numeric(logLik(object)) - criterion), 1e-6 + 1e-12 * abs(criterion),
            label = paste("criterion,", label))
  expect_equal(nobs(object), nobs(rows), label = label)
  expect_equal(lapply(ranef(object), as.matrix), lapply(ranef(rows), as.matrix),
               tolerance = 1e-7, label = paste("modes,", label))
}

visits <- function(n = 3000L) {
  set.seed(20)
  d <- data.frame(
    g = sample(sprintf("s%02d", 1:40), n, TRUE), h = sample(1:12, n, TRUE),
    f = sample(c("b", "a", "c"), n, TRUE), x = rnorm(n, 3), z = runif(n), w = runif(n, 0.5, 2),
    year = sample(2001:2004, n, TRUE)
  )
  g <- as.integer(factor(d$g))
  d$y <- 1 + d$x + 0.5 * (d$f == "b") + rnorm(40)[g] + rnorm(40, sd = 0.3)[g] * d$x +
    rnorm(12)[d$h] + rnorm(n)
  d$y[5] <- d$x[c(17, 100)] <- d$z[4] <- NA
  d$f[20] <- d$g[31] <- NA
  d$w[c(30, 5)] <- 0
  d$w[40] <- NA
  d
}
