## Processes that are interrupted from outside.

## A shell lets its background jobs ignore SIGINT, and R from 4.6 on leaves it so: what undoes that.
hearing <- function(command) {
  undo <- c("env", "--default-signal=INT")
  able <- nzchar(Sys.which("env")) && suppressWarnings(
    system2(undo[[1L]], c(undo[[2L]], "true"), stdout = FALSE, stderr = FALSE)
  ) == 0L
  if (able) c(undo, command) else command
}

rscript <- function(code, arguments = character(), timeout = 60, wait = TRUE, shell = NULL) {
  script <- tempfile(fileext = ".R")
  writeLines(c("suppressPackageStartupMessages(library(ferrolmm))", code), script)
  libraries <- paste0("R_LIBS=", paste(.libPaths(), collapse = .Platform$path.sep))
  output <- tempfile(fileext = ".txt")
  command <- file.path(R.home("bin"), "Rscript")
  if (!wait) command <- hearing(command)
  command <- c(command, "--vanilla", shQuote(c(script, arguments)))
  if (!is.null(shell)) {
    ## `shell`: what the shell does before, such as "ulimit -v 500000"
    command <- c("sh", "-c", shQuote(paste(shell, "&& exec", paste(command, collapse = " "))))
  }
  status <- suppressWarnings(system2(
    command[[1L]], command[-1L],
    stdout = output, stderr = output, env = libraries, timeout = timeout, wait = wait
  ))
  list(status = status, output = output)
}

## A child process that evaluates `setup`, then each element of `works` again and again until it is
## interrupted, at the moments `after` (seconds) of each. Returns a data frame: work, after, how it
## ended, seconds from the signal to the end. NULL where no signal reaches a child.
interrupted_works <- function(setup, works, after) {
  log <- tempfile(fileext = ".txt")
  go <- tempfile()
  rscript(
    c(
      "log <- commandArgs(TRUE)[[1]]",
      "tell <- function(...) cat(paste(...), '\\n', sep = '', file = log, append = TRUE)",
      "deaf <- tryCatch({",
      "  tools::pskill(Sys.getpid(), tools::SIGINT)",
      "  Sys.sleep(0.5)",
      "  TRUE",
      "}, interrupt = function(e) FALSE)",
      setup,
      paste0("works <- ", paste(deparse(works), collapse = "\n")),
      paste0("moments <- ", length(after)),
      "tell('pid', if (deaf) 0L else Sys.getpid())",
      "for (name in names(works)) for (moment in seq_len(moments)) {",
      "  work <- parse(text = works[[name]])",
      "  ended <- tryCatch(",
      "    {",
      "      tell('begin', name, moment)",
      "      suppressWarnings(suppressMessages(repeat eval(work, globalenv())))",
      "    },",
      "    interrupt = function(e) 'interrupt',",
      "    error = function(e) paste('error:', conditionMessage(e))",
      "  )",
      "  tell('end', name, moment, format(as.numeric(Sys.time()), digits = 15), ended)",
      "  while (!any(readLines(log) == paste('sent', name, moment))) Sys.sleep(0.01)",
      "}"
    ),
    log, wait = FALSE, timeout = 0
  )
  pid <- as.integer(sub("pid ", "", wait_for_line(log, "^pid", 120)))
  if (pid == 0L) {
    return(NULL)
  }
  rows <- list()
  for (name in names(works)) {
    for (moment in seq_along(after)) {
      wait_for_line(log, paste0("^begin ", name, " ", moment, "$"))
      Sys.sleep(after[[moment]])
      sent <- as.numeric(Sys.time())
      tools::pskill(pid, tools::SIGINT)
      ended <- wait_for_line(log, paste0("^end ", name, " ", moment, " "))
      cat("sent ", name, " ", moment, "\n", sep = "", file = log, append = TRUE)
      parts <- strsplit(sub(paste0("^end ", name, " ", moment, " "), "", ended), " ")[[1L]]
      rows <- c(rows, list(data.frame(
        work = name, after = after[[moment]], latency = as.numeric(parts[[1L]]) - sent,
        ended = paste(parts[-1L], collapse = " ")
      )))
    }
  }
  do.call(rbind, rows)
}
