# Runs the problems of a range of seeds, one after the other:
#   worker.R FOLDER ID FROM TO KIND DEADLINE     (KIND - for any; DEADLINE in seconds since 1970)
# FOLDER/trace-ID says what is being done, for the driver to see that it goes on; FOLDER/counts-ID.rds
# holds what was found so far; FOLDER/cases/ the failures, each kind once, shrunk.
arguments <- commandArgs(TRUE)
here <- Sys.getenv("FUZZ_SOURCE")
source(file.path(here, "load.R"))
folder <- arguments[[1L]]
id <- arguments[[2L]]
from <- as.integer(arguments[[3L]])
to <- as.integer(arguments[[4L]])
only <- if (arguments[[5L]] != "-") arguments[[5L]]
deadline <- as.numeric(arguments[[6L]])
writeLines(as.character(Sys.getpid()), file.path(folder, paste0("pid-", id)))

trace_file <- file.path(folder, paste0("trace-", id))
say_what <- function(seed) {
  function(what) {
    con <- file(trace_file, "w")
    cat(seed, "\t", substr(what, 1L, 300L), "\n", sep = "", file = con)
    close(con)
  }
}

driver <- Sys.getenv("FUZZ_DRIVER")
driver_is_there <- function() !dir.exists("/proc/self") || dir.exists(file.path("/proc", driver))

counts <- new.env()
bump <- function(key, seed, seconds = 0) {
  old <- counts[[key]]
  counts[[key]] <- if (is.null(old)) {
    list(n = 1L, seed = seed, seconds = seconds)
  } else {
    list(n = old$n + 1L, seed = old$seed, seconds = max(old$seconds, seconds))
  }
}
save_counts <- function(last) {
  saveRDS(list(last = last, problems = problems, passed = passed, calls = calls,
               counts = as.list(counts)), paste0(file.path(folder, "counts-"), id, ".rds"),
          compress = FALSE)
}

case_file <- function(signature) {
  slug <- gsub("[^A-Za-z0-9]+", "-", signature)
  file.path(folder, "cases", paste0(substr(slug, 1L, 120L), ".R"))
}

keep_case <- function(p, result, trace) {
  file <- case_file(signature_of(result))
  if (file.exists(file)) return(invisible())
  trace("shrinking")
  writeLines("being shrunk", file)
  small <- tryCatch(shrink(p, result), error = function(e) list(p = p, result = result))
  writeLines(enc2utf8(problem_script(small$p, small$result)), file, useBytes = TRUE)
}

problems <- passed <- calls <- 0L
grDevices::pdf(NULL)
for (seed in seq.int(from, to)) {
  if (as.numeric(Sys.time()) > deadline || !driver_is_there()) break
  trace <- say_what(seed)
  trace("generating")
  p <- tryCatch(make_problem(seed, only), error = function(e) e)
  problems <- problems + 1L
  if (inherits(p, "error")) {
    bump(paste("oracle | generator |", conditionMessage(p)), seed)
    next
  }
  results <- tryCatch(run_problem(p, trace = trace), error = function(e) {
    list(list(outcome = "oracle", head = "run_problem", class = "", message = first_line(e)))
  })
  failed <- FALSE
  for (result in results) {
    if (is.null(result$call)) {
      if (result$outcome == "ok") bump(paste("ok | check |", result$check), seed)
    } else if (result$outcome != "difference") {
      calls <- calls + 1L
      if (result$seconds > 5) bump(paste("slow |", result$head), seed, result$seconds)
    }
    if (is_failure(result)) {
      failed <- TRUE
      bump(signature_of(result), seed)
      keep_case(p, result, trace)
    } else if (!is.null(result$call)) {
      bump(if (result$outcome == "ok") paste("ok |", result$head) else signature_of(result), seed)
    }
  }
  passed <- passed + !failed
  # a crash or a hang takes nothing of what was found before
  save_counts(seed)
}
save_counts(to)
file.create(file.path(folder, paste0("done-", id)))
