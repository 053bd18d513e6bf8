## 'DBI' over JDBC, for engines that R reaches in no other way here: rJava, the driver's jars, and a
## class of Java (jdbc/Rows.java, compiled by the Janino that is among the jars) that brings rows
## across as whole columns. Ctrl-C cancels what the server computes.

jdbc_classes <- function() {
  if (methods::isClass("JavaConnection")) {
    return()
  }
  where <- new.env(parent = asNamespace("DBI"))
  methods::setClass(
    "JavaConnection", where = where, contains = "DBIConnection",
    slots = list(java = "ANY", state = "environment", loader = "ANY")
  )
  methods::setClass(
    "JavaResult", where = where, contains = "DBIResult",
    slots = list(rows = "ANY", state = "environment")
  )
  method <- function(generic, class, definition) {
    classes <- if (length(class) > 1L) class else c(class, "missing")[seq_along(class)]
    methods::setMethod(getExportedValue("DBI", generic), classes, definition, where = where)
  }
  connection <- "JavaConnection"
  result <- "JavaResult"
  method("dbSendQuery", c(connection, "character"), function(conn, statement, ...) {
    jdbc_send(conn, statement)
  })
  method("dbSendStatement", c(connection, "character"), function(conn, statement, ...) {
    jdbc_send(conn, statement)
  })
  method("dbFetch", result, function(res, n = -1, ...) jdbc_fetch(res, n))
  method("dbHasCompleted", result, function(res, ...) jdbc_call(res@rows, "Z", "complete"))
  method("dbGetRowsAffected", result, function(res, ...) jdbc_call(res@rows, "I", "changed"))
  method("dbClearResult", result, function(res, ...) {
    if (res@state$open) jdbc_call(res@rows, "V", "close")
    res@state$open <- FALSE
    invisible(TRUE)
  })
  method("dbIsValid", connection, function(dbObj, ...) {
    dbObj@state$open && !jdbc_call(dbObj@java, "Z", "isClosed")
  })
  method("dbIsValid", result, function(dbObj, ...) dbObj@state$open)
  method("dbDisconnect", connection, function(conn, ...) {
    if (conn@state$open) jdbc_call(conn@java, "V", "close")
    conn@state$open <- FALSE
    invisible(TRUE)
  })
}

## A call of Java; its failures in its words
jdbc_call <- function(object, type, name, ...) {
  call <- elsewhere("rJava", ".jcall")
  tryCatch(
    call(object, type, name, ...),
    error = function(e) {
      stop("JDBC: ", sub("^.*Exception: ", "", conditionMessage(e)), call. = FALSE)
    }
  )
}

## a client: small, and soon there
jvm_parameters <- c("-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                    "-Djava.awt.headless=true")

jdbc_loaders <- new.env()
## read with this file's folder as the working one
jdbc_source <- readLines(file.path("jdbc", "Rows.java"))

## A connection by the driver of that class in the jars
jdbc_connect <- function(url, driver, jars, user = "root", password = "") {
  jdbc_classes()
  elsewhere("rJava", ".jinit")(jars, parameters = jvm_parameters)
  java <- elsewhere("rJava", "J")
  if (is.null(jdbc_loaders$rows)) {
    compiler <- elsewhere("rJava", ".jnew")("org/codehaus/janino/SimpleCompiler")
    jdbc_call(compiler, "V", "cook", paste(jdbc_source, collapse = "\n"))
    jdbc_loaders$rows <- jdbc_call(compiler, "Ljava/lang/ClassLoader;", "getClassLoader")
  }
  # quiet: drivers write lines of their own to R's standard error
  java("java.lang.Class")$forName(driver)
  connection <- java("java.sql.DriverManager")$getConnection(url, user, password)
  state <- new.env()
  state$open <- TRUE
  methods::new(
    "JavaConnection", java = connection, state = state, loader = jdbc_loaders$rows
  )
}

## Waits in R for a step in Java; an interrupt cancels the statement
jdbc_step <- function(rows, count = 0L) {
  done <- FALSE
  on.exit(if (!done) {
    try(jdbc_call(rows, "V", "cancel"), silent = TRUE)
    try(jdbc_call(rows, "V", "close"), silent = TRUE)
  })
  jdbc_call(rows, "V", "begin", count)
  # most answers come within some milliseconds
  while (!jdbc_call(rows, "Z", "ended", 20L)) Sys.sleep(0)
  done <- TRUE
  failed <- jdbc_call(rows, "S", "failed")
  if (!is.null(failed)) {
    try(jdbc_call(rows, "V", "close"), silent = TRUE)
    stop("JDBC: ", failed, call. = FALSE)
  }
}

jdbc_send <- function(conn, statement) {
  if (!conn@state$open) stop("JDBC: the connection is closed", call. = FALSE)
  java <- elsewhere("rJava", "J")
  cast <- elsewhere("rJava", ".jcast")
  class <- java("java.lang.Class")$forName("Rows", TRUE, conn@loader)
  made <- class$getConstructors()[[1L]]$newInstance(
    elsewhere("rJava", ".jarray")(
      list(cast(conn@java, "java/lang/Object"), elsewhere("rJava", ".jnew")("java/lang/String",
                                                                           enc2utf8(statement))),
      "java/lang/Object"
    )
  )
  state <- new.env()
  state$open <- TRUE
  jdbc_step(made)
  methods::new("JavaResult", rows = made, state = state)
}

jdbc_fetch <- function(res, n = -1) {
  rows <- res@rows
  kinds <- jdbc_call(rows, "[I", "kinds")
  most <- if (is.na(n) || n < 0 || is.infinite(n)) Inf else n
  parts <- list()
  got <- 0
  repeat {
    jdbc_step(rows, as.integer(min(1e5, most - got)))
    parts[[length(parts) + 1L]] <- lapply(seq_along(kinds), function(k) {
      if (kinds[[k]] == 3L) {
        text <- jdbc_call(rows, "[S", "texts", k - 1L)
        Encoding(text) <- "UTF-8"
        text
      } else {
        jdbc_call(rows, "[D", "numbers", k - 1L)
      }
    })
    got <- got + jdbc_call(rows, "I", "found")
    if (got >= most || jdbc_call(rows, "Z", "complete")) break
  }
  columns <- lapply(seq_along(kinds), function(k) {
    x <- unlist(lapply(parts, `[[`, k))
    switch(kinds[[k]] + 1L,
      as.double(x), as.integer(x), as.logical(x), as.character(x),
      structure(as.double(x), class = "Date"),
      structure(as.double(x), class = c("POSIXct", "POSIXt"), tzone = "UTC")
    )
  })
  structure(columns, names = jdbc_call(rows, "[S", "names"), class = "data.frame",
            row.names = .set_row_names(got))
}
