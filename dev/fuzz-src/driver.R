# Hands ranges of seeds to workers, starts them again behind a crash or a hang, and adds up.
# Called by dev/fuzz, which documents the options.
options <- list(seeds = "1:500", seconds = "", workers = "2", only = "-", case = "", patience = "20")
arguments <- commandArgs(TRUE)
while (length(arguments) > 0L) {
  name <- sub("^--", "", arguments[[1L]])
  if (!startsWith(arguments[[1L]], "--") || !name %in% names(options) || length(arguments) < 2L) {
    stop("dev/fuzz has no option ", arguments[[1L]], call. = FALSE)
  }
  options[[name]] <- arguments[[2L]]
  arguments <- arguments[-(1:2)]
}
here <- Sys.getenv("FUZZ_SOURCE")
source(file.path(here, "classify.R"))
folder <- Sys.getenv("FUZZ_OUTPUT")
dir.create(file.path(folder, "cases"), recursive = TRUE, showWarnings = FALSE)

if (nzchar(options$case)) {
  source(file.path(here, "load.R"))
  grDevices::pdf(NULL)
  p <- make_problem(as.integer(options$case), if (options$only != "-") options$only)
  cat(problem_script(p), sep = "\n")
  results <- run_problem(p)
  cat("\n")
  for (result in results) {
    if (result$outcome != "ok") {
      cat(result$outcome, " | ", result$head, " | ", result$message, "\n",
          if (!is.null(result$call)) paste0("    ", deparse(result$call, 500L), "\n"), sep = "")
    }
  }
  failed <- Filter(is_failure, results)
  for (result in failed[!duplicated(vapply(failed, signature_of, ""))]) {
    small <- shrink(p, result, 60)
    cat("\n# ---- shrunk\n", paste0(problem_script(small$p, small$result), "\n"), sep = "")
  }
  quit(status = as.integer(length(failed) > 0L))
}

bounds <- as.integer(strsplit(options$seeds, ":", fixed = TRUE)[[1L]])
started <- Sys.time()
deadline <- if (nzchar(options$seconds)) as.numeric(started) + as.numeric(options$seconds) else 4e9
if (nzchar(options$seconds) && length(bounds) < 2L) bounds <- c(bounds, .Machine$integer.max)
unlink(list.files(folder, "^(trace|counts|done|pid|log)-", full.names = TRUE))

Sys.setenv(FUZZ_DRIVER = Sys.getpid())
next_seed <- bounds[[1L]]
size <- if (nzchar(options$seconds)) 1600 else bounds[[2L]] - bounds[[1L]] + 1
chunk <- as.integer(min(400, max(25, ceiling(size / (4 * as.integer(options$workers))))))
number <- 0L
running <- list()
finished <- character()
lost <- list()

launch <- function(from, to) {
  number <<- number + 1L
  id <- as.character(number)
  command <- paste(
    shQuote(file.path(R.home("bin"), "Rscript")), "--vanilla", shQuote(file.path(here, "worker.R")),
    shQuote(folder), id, from, to, shQuote(options$only), sprintf("%.0f", deadline)
  )
  log <- shQuote(file.path(folder, paste0("log-", id)))
  system(paste("exec", command, ">", log, "2>&1"), wait = FALSE)
  list(id = id, from = from, to = to, since = Sys.time())
}

file_of <- function(kind, job) file.path(folder, paste0(kind, "-", job$id))
alive <- function(job) {
  pid <- file_of("pid", job)
  if (!file.exists(pid)) return(difftime(Sys.time(), job$since, units = "secs") < 60)
  number <- suppressWarnings(as.integer(readLines(pid, warn = FALSE)[1L]))
  if (is.na(number)) return(TRUE)
  state <- suppressWarnings(tryCatch(
    readLines(file.path("/proc", number, "stat"), warn = FALSE), error = function(e) ""
  ))
  if (dir.exists("/proc/self")) {
    nzchar(state[1L]) && !grepl(") Z ", state[1L], fixed = TRUE)
  } else {
    tools::pskill(number, 0L)
  }
}
# Seconds of computing of a process, NA where /proc does not tell
computing <- function(pid) {
  text <- tryCatch(readLines(file.path("/proc", pid, "stat"), warn = FALSE)[1L],
                   error = function(e) NA, warning = function(w) NA)
  fields <- strsplit(sub("^.*\\) ", "", text), " ", fixed = TRUE)[[1L]]
  sum(as.numeric(fields[12:13])) / ticks
}
ticks <- suppressWarnings(tryCatch(as.numeric(system("getconf CLK_TCK", intern = TRUE)),
                                   error = function(e) 100))

# A job with what it does now, since when, and what it had computed then
watch <- function(job) {
  trace <- file_of("trace", job)
  at <- if (file.exists(trace)) as.numeric(file.mtime(trace)) else as.numeric(job$since) + 40
  pid <- file_of("pid", job)
  used <- if (file.exists(pid)) computing(readLines(pid, warn = FALSE)[1L]) else 0
  if (!identical(at, job$at)) {
    job$at <- at
    job$used <- used
  }
  job$now <- used
  job
}
# More than `patience` seconds of computing, or ten times that without: a machine that is busy with
# other work makes no hang
is_hanging <- function(job, patience) {
  quiet <- as.numeric(Sys.time()) - job$at
  computed <- job$now - job$used
  quiet > if (is.na(computed)) patience else if (computed > patience) patience else 10 * patience
}
last_trace <- function(job) {
  line <- tryCatch(readLines(file_of("trace", job), warn = FALSE)[1L], error = function(e) NA)
  parts <- strsplit(if (is.na(line)) "" else line, "\t", fixed = TRUE)[[1L]]
  list(seed = if (length(parts)) as.integer(parts[[1L]]) else job$from,
       what = if (length(parts) > 1L) parts[[2L]] else "start")
}
lose <- function(job, kind) {
  at <- last_trace(job)
  head <- sub("[^A-Za-z0-9_.:]+.*$", "", at$what)
  if (identical(at$what, "shrinking")) head <- "shrinking"
  lost[[length(lost) + 1L]] <<- list(key = paste(kind, "|", head, "|"), seed = at$seed,
                                     what = at$what)
  cat(kind, ": seed ", at$seed, ", ", at$what, "\n", sep = "")
  finished <<- c(finished, job$id)
  if (at$seed < job$to && as.numeric(Sys.time()) < deadline) launch(at$seed + 1L, job$to)
}

repeat {
  while (length(running) < as.integer(options$workers) && next_seed <= bounds[[2L]] &&
           as.numeric(Sys.time()) < deadline) {
    to <- min(next_seed + chunk - 1L, bounds[[2L]])
    running[[length(running) + 1L]] <- launch(next_seed, to)
    next_seed <- to + 1L
  }
  if (length(running) == 0L) break
  Sys.sleep(0.2)
  still <- list()
  for (job in running) {
    if (file.exists(file_of("done", job))) {
      finished <- c(finished, job$id)
    } else if (!alive(job)) {
      # it may have ended between the two questions
      if (file.exists(file_of("done", job))) {
        finished <- c(finished, job$id)
      } else {
        still <- c(still, list(lose(job, "crash")))
      }
    } else if (is_hanging(job <- watch(job), as.numeric(options$patience))) {
      tools::pskill(as.integer(readLines(file_of("pid", job))), tools::SIGKILL)
      still <- c(still, list(lose(job, "hang")))
    } else {
      still <- c(still, list(job))
    }
  }
  running <- Filter(Negate(is.null), still)
}

# Add up -------------------------------------------------------------------------------------------

parts <- lapply(file.path(folder, paste0("counts-", finished, ".rds")), function(file) {
  if (file.exists(file)) readRDS(file)
})
total <- function(field) sum(vapply(parts, function(x) if (is.null(x)) 0L else x[[field]], 1L))
rows <- unlist(lapply(parts, function(x) {
  lapply(names(x$counts), function(key) c(list(key = key), x$counts[[key]]))
}), recursive = FALSE)
rows <- c(rows, lapply(lost, function(x) list(key = x$key, n = 1L, seed = x$seed, seconds = 0)))
table <- if (length(rows)) {
  key <- vapply(rows, `[[`, "", "key")
  n <- tapply(vapply(rows, `[[`, 1L, "n"), key, sum)
  seed <- tapply(vapply(rows, `[[`, 1L, "seed"), key, min)
  seconds <- tapply(vapply(rows, function(x) x$seconds, 1), key, max)
  data.frame(key = names(n), n = as.vector(n), seed = as.vector(seed), seconds = as.vector(seconds))
} else {
  data.frame(key = character(), n = integer(), seed = integer(), seconds = double())
}
table$outcome <- sub(" \\|.*", "", table$key)
failing <- table[table$outcome %in% failures, ]
elapsed <- as.numeric(difftime(Sys.time(), started, units = "secs"))
commit <- tryCatch(system("git rev-parse --short HEAD", intern = TRUE, ignore.stderr = TRUE),
                   error = function(e) "?", warning = function(w) "?")
show <- function(rows, n = Inf) {
  rows <- utils::head(rows[order(-rows$n), ], n)
  paste0(formatC(rows$n, width = 8L), "  seed ", formatC(rows$seed, width = 8L), "  ", rows$key)
}
problems <- total("problems")
counted <- !grepl("^ok \\| check|^slow", table$key)
lines <- c(
  "",
  paste0("== ", format(started, "%Y-%m-%d %H:%M:%S"), ", commit ", commit, ", seeds ", bounds[[1L]],
         ":", next_seed - 1L, if (options$only != "-") paste0(", only ", options$only)),
  paste0(problems, " problems, ", total("calls"), " calls of fits and methods in ", round(elapsed),
         " s (", format(1000 * elapsed * as.integer(options$workers) / max(total("calls"), 1),
                        digits = 3), " ms a call and worker)"),
  paste0("by outcome: ", paste(
    names(tapply(table$n[counted], table$outcome[counted], sum)),
    tapply(table$n[counted], table$outcome[counted], sum), collapse = ", "
  )),
  paste0("checks without a difference: ", paste(
    sub("^ok \\| check \\| ", "", table$key[grepl("^ok \\| check", table$key)]),
    table$n[grepl("^ok \\| check", table$key)], collapse = ", "
  )),
  "failures:", if (nrow(failing)) show(failing) else "    none",
  vapply(lost, function(x) paste0("    ", x$key, " seed ", x$seed, ": ", x$what), ""),
  "refused, by kind of text:", show(table[table$outcome == "refused", ], 60L),
  "warned:", show(table[table$outcome == "warned", ], 30L),
  "slow (over 5 s):", {
    slow <- table[table$outcome == "slow", ]
    if (nrow(slow)) paste0(show(slow), "  ", round(slow$seconds[order(-slow$n)], 1), " s") else
      "    none"
  }
)
cat(lines, sep = "\n", file = file.path(folder, "summary"), append = TRUE)
cat(lines, sep = "\n")
failed <- problems - total("passed") + length(lost)
cat("\n", problems - failed, " passed, ", failed, " failed\n", sep = "")
quit(status = as.integer(failed > 0L || problems == 0L))
