## The first whole line of a file that another process writes which matches `pattern`; waits for it,
## but not for ever.
wait_for_line <- function(file, pattern, seconds = 60) {
  deadline <- Sys.time() + seconds
  while (Sys.time() < deadline) {
    lines <- whole_lines(file)
    found <- grep(pattern, lines, value = TRUE)
    if (length(found) > 0L) {
      return(trimws(found[[1L]]))
    }
    Sys.sleep(0.05)
  }
  stop("no line like '", pattern, "' in ", seconds, " seconds")
}

## The lines of a file that are ended: the last one may be half written.
whole_lines <- function(file) {
  if (!file.exists(file)) {
    return(character())
  }
  text <- readChar(file, file.size(file), useBytes = TRUE)
  if (length(text) == 0L) {
    return(character())
  }
  strsplit(sub("[^\n]*$", "", text), "\n")[[1L]]
}
