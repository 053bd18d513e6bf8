## The first line of a file that another process writes which matches `pattern`; waits for it, but
## not for ever.
wait_for_line <- function(file, pattern, seconds = 60) {
  deadline <- Sys.time() + seconds
  while (Sys.time() < deadline) {
    lines <- if (file.exists(file)) readLines(file, warn = FALSE) else character()
    found <- grep(pattern, lines, value = TRUE)
    if (length(found) > 0L) {
      return(trimws(found[[1L]]))
    }
    Sys.sleep(0.05)
  }
  stop("no line like '", pattern, "' in ", seconds, " seconds")
}
