## What an expression writes to stderr, the lines of a progress display on lines of their own.
shown_on_stderr <- function(expr) {
  file <- tempfile()
  connection <- file(file, "w")
  sink(connection, type = "message")
  on.exit(unlink(file))
  tryCatch(
    expr,
    finally = {
      sink(type = "message")
      close(connection)
    }
  )
  gsub("\r", "\n", paste(readChar(file, file.size(file)), collapse = ""))
}
