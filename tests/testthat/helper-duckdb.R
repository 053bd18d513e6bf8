## 'DBI' over DuckDB's command line program: Debian has no R package of DuckDB. Statements go to its
## standard input, answers come back in files, so that R can wait in small pieces, and stop a query.
## The types of columns are those that the package 'duckdb' gives them.

program_classes <- function() {
  if (methods::isClass("ProgramConnection")) {
    return()
  }
  where <- new.env(parent = asNamespace("DBI"))
  methods::setClass(
    "ProgramConnection", where = where, contains = "DBIConnection",
    slots = list(state = "environment")
  )
  methods::setClass(
    "ProgramResult", where = where, contains = "DBIResult", slots = list(state = "environment")
  )
  method <- function(generic, class, definition) {
    methods::setMethod(getExportedValue("DBI", generic), class, definition, where = where)
  }
  connection <- "ProgramConnection"
  result <- "ProgramResult"
  send <- function(conn, statement, ...) program_send(conn@state, statement)
  method("dbSendQuery", c(connection, "character"), send)
  method("dbSendStatement", c(connection, "character"), send)
  method("dbFetch", result, function(res, n = -1, ...) {
    left <- nrow(res@state$answer) - res@state$at
    rows <- res@state$at + seq_len(if (is.na(n) || n < 0) left else min(n, left))
    res@state$at <- res@state$at + length(rows)
    answer <- res@state$answer[rows, , drop = FALSE]
    attr(answer, "row.names") <- .set_row_names(length(rows))
    answer
  })
  method("dbHasCompleted", result, function(res, ...) res@state$at >= nrow(res@state$answer))
  method("dbGetRowsAffected", result, function(res, ...) NA_integer_)
  method("dbClearResult", result, function(res, ...) {
    res@state$answer <- NULL
    invisible(TRUE)
  })
  method("dbIsValid", connection, function(dbObj, ...) program_alive(dbObj@state))
  method("dbIsValid", result, function(dbObj, ...) !is.null(dbObj@state$answer))
  method("dbDisconnect", connection, function(conn, ...) {
    if (!is.null(conn@state$input)) {
      # at the end of its input it ends
      suppressWarnings(try(close(conn@state$input), silent = TRUE))
    }
    conn@state$input <- NULL
    unlink(conn@state$folder, recursive = TRUE)
    invisible(TRUE)
  })
}

## @param file of the database; "" for one in memory.
program_connect <- function(program, file = "") {
  program_classes()
  state <- new.env()
  state$folder <- tempfile("duckdb-")
  dir.create(state$folder)
  at <- function(name) shQuote(file.path(state$folder, name))
  state$input <- pipe(
    paste0("echo $$ >", at("pid"), "; exec ", shQuote(program), " -interactive ",
           if (nzchar(file)) shQuote(file), " >/dev/null 2>", at("log")),
    "w"
  )
  state$step <- 0L
  state$read <- 0L
  program_run(state, "SET TimeZone = 'UTC'")
  methods::new("ProgramConnection", state = state)
}

program_alive <- function(state) {
  if (is.null(state$input)) {
    return(FALSE)
  }
  # a process that has ended is kept by the system until the pipe to it is closed
  status <- tryCatch(readLines(file.path("/proc", state$pid, "stat")), warning = function(w) "",
                     error = function(e) "")
  nzchar(status) && !grepl(") Z ", status, fixed = TRUE)
}

## Statements, one after the other; waits for the end of the last one
program_run <- function(state, statements) {
  if (is.null(state$input)) stop("DuckDB: the connection is closed", call. = FALSE)
  state$step <- state$step + 1L
  done <- file.path(state$folder, paste0("done-", state$step))
  ended <- FALSE
  text <- c(paste0(statements, "\n;"), paste0("COPY (SELECT 1) TO ", quoted_text(done), ";"))
  suppressWarnings(try({
    writeLines(enc2utf8(text), state$input, useBytes = TRUE)
    flush(state$input)
  }, silent = TRUE))
  on.exit(if (!ended && !is.null(state$pid)) {
    tools::pskill(state$pid, tools::SIGINT)
    # what is left of these statements comes to its end, too
    for (wait in 1:500) if (file.exists(done) || !program_alive(state)) break else Sys.sleep(0.01)
    state$read <- length(program_log(state))
  })
  wait <- 0.001
  while (!file.exists(done)) {
    if (is.null(state$pid)) {
      pid <- suppressWarnings(try(readLines(file.path(state$folder, "pid")), silent = TRUE))
      if (length(pid) == 1L && grepl("^[0-9]+$", pid)) state$pid <- as.integer(pid)
    } else if (!program_alive(state)) {
      ended <- TRUE
      stop("DuckDB: the program has ended", call. = FALSE)
    }
    Sys.sleep(wait)
    wait <- min(0.02, wait * 1.5)
  }
  ended <- TRUE
  unlink(done)
  said <- program_log(state)
  news <- said[seq_along(said) > state$read]
  state$read <- length(said)
  if (any(grepl("Error", news))) stop("DuckDB: ", paste(news, collapse = "\n"), call. = FALSE)
}

quoted_text <- function(x) paste0("'", gsub("'", "''", x, fixed = TRUE), "'")

program_log <- function(state) readLines(file.path(state$folder, "log"), warn = FALSE)

program_send <- function(state, statement) {
  result <- new.env()
  result$at <- 0L
  if (grepl("^[[:space:](]*(select|with|from|values)\\b", statement, ignore.case = TRUE)) {
    result$answer <- program_ask(state, statement)
  } else {
    program_run(state, statement)
    result$answer <- data.frame()
  }
  methods::new("ProgramResult", state = result)
}

program_ask <- function(state, query) {
  types <- file.path(state$folder, "types")
  values <- file.path(state$folder, "values")
  null <- "<<null>>"
  copy <- function(query, file) {
    paste0("COPY (", query, "\n) TO ", quoted_text(file), " (FORMAT csv, HEADER false, NULLSTR '",
           null, "')")
  }
  unlink(c(types, values))
  query <- sub("[;[:space:]]+$", "", query)
  program_run(state, c(
    copy(paste("SELECT column_name, column_type FROM (DESCRIBE", query, "\n)"), types),
    copy(query, values)
  ))
  read <- function(file, what) {
    scan(file, what, sep = ",", quote = "\"", na.strings = null, quiet = TRUE, encoding = "UTF-8",
         comment.char = "", allowEscapes = FALSE, multi.line = TRUE)
  }
  described <- read(types, list("", ""))
  texts <- rep(list(""), length(described[[1L]]))
  # numbers at once, which takes a fraction of the memory; R does not know nan and inf
  what <- replace(texts, grepl(program_numbers, described[[2L]]), list(0))
  answer <- tryCatch(read(values, what), error = function(e) read(values, texts))
  columns <- Map(typed_text, answer, described[[2L]])
  structure(unname(columns), names = described[[1L]], class = "data.frame",
            row.names = .set_row_names(length(columns[[1L]])))
}

program_numbers <- "^(DOUBLE|FLOAT|DECIMAL|U?BIGINT|U?HUGEINT|UINTEGER)"

## Text of the program as values of R
typed_text <- function(x, type) {
  if (grepl(program_numbers, type)) {
    as.double(x)
  } else if (grepl("^U?(INTEGER|SMALLINT|TINYINT)", type)) {
    as.integer(x)
  } else if (type == "BOOLEAN") {
    x == "true"
  } else if (type == "DATE") {
    as.Date(x)
  } else if (grepl("^TIMESTAMP", type)) {
    as.POSIXct(sub("[+]00$", "", x), tz = "UTC", format = "%Y-%m-%d %H:%M:%OS")
  } else if (grepl("^ENUM", type)) {
    # ENUM('b', 'a'): its values in their order
    inside <- regmatches(type, gregexpr("'([^']|'')*'", type))[[1L]]
    factor(x, gsub("''", "'", substr(inside, 2L, nchar(inside) - 1L), fixed = TRUE))
  } else {
    x
  }
}
