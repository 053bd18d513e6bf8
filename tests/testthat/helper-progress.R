## What an expression writes to stderr, the states of a progress bar on lines of their own;
## `dynamic`: as on a terminal.
shown_on_stderr <- function(expr, dynamic = TRUE) {
  old <- options(cli.dynamic = dynamic)
  on.exit(options(old))
  file <- tempfile()
  connection <- file(file, "w")
  sink(connection, type = "message")
  on.exit(unlink(file), add = TRUE)
  tryCatch(
    expr,
    finally = {
      sink(type = "message")
      close(connection)
    }
  )
  gsub("\r", "\n", paste(readChar(file, file.size(file)), collapse = ""))
}
