## Measures one model: Rscript measure.R FOLDER MODEL both|ferrolmm|lme4 THREADS
## Appends a row per engine to FOLDER/results.csv (the last row of a model and engine counts).

arguments <- commandArgs(TRUE)
folder <- arguments[[1L]]
file <- sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))
models <- utils::read.csv(file.path(dirname(file), "models.csv"))
model <- models[models$model == arguments[[2L]], ]
only <- arguments[[3L]]
options(ferrolmm.threads = as.integer(arguments[[4L]]))

d <- readRDS(file.path(folder, paste0(model$data, ".rds")))
text <- sub("x1 + ... + x200", paste0("x", 1:200, collapse = " + "), model$formula, fixed = TRUE)
formula <- stats::as.formula(text, env = globalenv())
fixed <- stats::as.formula(sub(" [+] [(].*$", "", text), env = globalenv())

## Memory of this process in MB, now (VmRSS) and at its highest since the last reset (VmHWM).
memory <- function(field) {
  status <- readLines("/proc/self/status")
  as.numeric(gsub("[^0-9]", "", grep(field, status, value = TRUE))) / 1024
}
reset_peak <- function() cat("5", file = "/proc/self/clear_refs")

## Least time of up to 50 whole calls within 10 s, but of 3 where one takes less than 30 s.
measure <- function(engine, call, criterion, evaluations) {
  invisible(gc(full = TRUE))
  reset_peak()
  before <- memory("VmRSS")
  seconds <- cpu <- numeric()
  repeat {
    time <- system.time(fit <- call(), gcFirst = length(seconds) < 3L)
    elapsed <- time[["elapsed"]]
    if (length(seconds) == 0L) peak <- memory("VmHWM") - before
    seconds <- c(seconds, elapsed)
    cpu <- c(cpu, time[["user.self"]] + time[["sys.self"]])
    spent <- sum(seconds)
    if (length(seconds) == 50L || spent > 10 && (length(seconds) >= 3L || elapsed > 30)) break
  }
  ## The clock counts milliseconds: time many calls of a short one together.
  if (min(seconds) < 0.05) {
    times <- ceiling(0.5 / max(min(seconds), 5e-4))
    batches <- vapply(1:5, function(i) {
      system.time(for (j in seq_len(times)) call())[["elapsed"]] / times
    }, 0)
    seconds <- cpu <- batches
  }
  row <- data.frame(
    model = model$model, engine = engine, rows = nrow(d), seconds = min(seconds),
    cpu = cpu[[which.min(seconds)]], runs = length(seconds), criterion = criterion(fit), evaluations = evaluations(fit), peak = peak,
    threads = as.integer(arguments[[4L]]), blas = basename(extSoftVersion()[["BLAS"]]),
    version = if (engine == "lm") {
      paste("R", getRversion())
    } else {
      as.character(utils::packageVersion(engine))
    }
  )
  cat(sprintf(
    "%-11s %-9s %10.4f s  criterion %.9g (%d evaluations)  peak +%.0f MB\n",
    row$model, engine, row$seconds, row$criterion, row$evaluations, row$peak
  ))
  results <- file.path(folder, "results.csv")
  utils::write.table(
    row, results,
    append = file.exists(results), col.names = !file.exists(results), sep = ",", row.names = FALSE
  )
}

## A first small fit, so that loading the package counts neither as time nor as memory.
warm <- data.frame(y = c(1, 3, 2, 5, 4, 7, 5, 9), x = 1:8, g = rep(c("a", "b", "c", "d"), 2L))
warm_up <- function(fit) {
  invisible(suppressMessages(suppressWarnings(fit(y ~ x + (1 | g), warm))))
}

## Ours first: memory that an earlier fit has given back may still count as the process's.
if (only != "lme4") {
  suppressPackageStartupMessages(library(ferrolmm))
  warm_up(lmm)
  measure(
    "ferrolmm", function() lmm(formula, d), REMLcrit, function(m) m$certificate$evaluations
  )
}
if (only != "ferrolmm") {
  warm_up(lme4::lmer)
  if (model$lm) {
    measure("lm", function() stats::lm(fixed, d), function(m) NA_real_, function(m) 0L)
  }
  lmer <- function() suppressMessages(suppressWarnings(lme4::lmer(formula, d)))
  measure("lme4", lmer, lme4::REMLcrit, function(m) m@optinfo$feval)
}
