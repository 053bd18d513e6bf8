## Measures one model with one engine, in this process alone:
##   Rscript measure.R FOLDER MODEL ENGINE THREADS [--quick]
## Appends a row to FOLDER/results.csv (the last row of a model and engine counts). Wall time, CPU
## time and memory (VmHWM, above what the process has with the data loaded) of whole calls.

arguments <- commandArgs(TRUE)
file <- sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))
source(file.path(dirname(file), "common.R"))
here <- script_folder()
folder <- arguments[[1L]]
models <- read_models(here)
model <- models[models$model == arguments[[2L]], ]
engine <- arguments[[3L]]
threads <- as.integer(arguments[[4L]])
quick <- "--quick" %in% arguments
options(ferrolmm.threads = threads)
quiet <- function(expr) suppressMessages(suppressWarnings(expr))

takes_it <- switch(engine, lm = model$lm, nlme = !is.na(model$nlme), TRUE) &&
  (engine == "ferrolmm" || is.na(model$solver))
if (!takes_it || !requireNamespace(if (engine == "lm") "stats" else engine, quietly = TRUE)) {
  quit(status = 0)
}
d <- readRDS(file.path(folder, paste0(model$data, ".rds")))
formulas <- model_formulas(model)
random <- if (!is.na(model$nlme)) stats::as.formula(model$nlme, env = globalenv())

## fit(fixed, full, random, data), minus twice the restricted log-likelihood, evaluations
peers <- list(
  ferrolmm = list(
    fit = function(fixed, full, random, data) {
      ferrolmm::lmm(full, data, control = ferrolmm::lmm_control(solver = model_solver(model)))
    },
    criterion = function(m) m$criterion, evaluations = function(m) m$certificate$evaluations
  ),
  lm = list(
    fit = function(fixed, full, random, data) stats::lm(fixed, data),
    criterion = function(m) NA_real_, evaluations = function(m) NA_integer_
  ),
  lme4 = list(
    fit = function(fixed, full, random, data) lme4::lmer(full, data),
    criterion = function(m) lme4::REMLcrit(m), evaluations = function(m) m@optinfo$feval
  ),
  glmmTMB = list(
    fit = function(fixed, full, random, data) glmmTMB::glmmTMB(full, data, REML = TRUE),
    criterion = function(m) 2 * m$fit$objective,
    evaluations = function(m) m$fit$evaluations[["function"]]
  ),
  nlme = list(
    fit = function(fixed, full, random, data) {
      nlme::lme(fixed, data, random, control = nlme::lmeControl(returnObject = TRUE))
    },
    criterion = function(m) -2 * as.numeric(m$logLik), evaluations = function(m) NA_integer_
  )
)
peer <- peers[[engine]]

## Memory of this process in MB, now (VmRSS) and at its highest since the last reset (VmHWM).
memory <- function(field) {
  status <- readLines("/proc/self/status")
  as.numeric(gsub("[^0-9]", "", grep(field, status, value = TRUE))) / 1024
}

## A first small fit, so that loading the package counts neither as time nor as memory.
warm <- data.frame(y = c(1, 3, 2, 5, 4, 7, 5, 9), x = 1:8, g = rep(c("a", "b", "c", "d"), 2L))
invisible(quiet(try(peer$fit(y ~ x, y ~ x + (1 | g), ~ 1 | g, warm), silent = TRUE)))
call <- function() quiet(peer$fit(formulas$fixed, formulas$full, random, d))

## Least time of up to 50 whole calls within 10 s (2 s with --quick), but of 3 where one takes less
## than 30 s.
enough <- if (quick) 2 else 10
invisible(gc(full = TRUE))
cat("5", file = "/proc/self/clear_refs")
before <- memory("VmRSS")
seconds <- cpu <- numeric()
repeat {
  time <- system.time(fit <- call(), gcFirst = length(seconds) < 3L)
  elapsed <- time[["elapsed"]]
  if (length(seconds) == 0L) peak <- memory("VmHWM") - before
  seconds <- c(seconds, elapsed)
  cpu <- c(cpu, time[["user.self"]] + time[["sys.self"]])
  few <- length(seconds) < 3L && elapsed < 30 && !quick
  if (length(seconds) == 50L || sum(seconds) > enough && !few) break
}
runs <- length(seconds)
## The clock counts milliseconds: time many calls of a short one together.
if (min(seconds) < 0.05) {
  times <- ceiling(0.5 / max(min(seconds), 5e-4))
  batches <- vapply(1:5, function(i) {
    time <- system.time(for (j in seq_len(times)) call())
    c(time[["elapsed"]], time[["user.self"]] + time[["sys.self"]]) / times
  }, c(0, 0))
  seconds <- batches[1L, ]
  cpu <- batches[2L, ]
  runs <- 5 * times
}
best <- which.min(seconds)
row <- data.frame(
  model = model$model, engine = engine, rows = nrow(d), seconds = seconds[[best]],
  cpu = cpu[[best]], runs = runs, criterion = peer$criterion(fit),
  evaluations = peer$evaluations(fit), peak = peak, data = as.numeric(utils::object.size(d)) / 2^20,
  threads = if (engine == "ferrolmm") threads else 1L, blas = basename(extSoftVersion()[["BLAS"]]),
  version = if (engine == "lm") {
    paste("R", getRversion())
  } else {
    as.character(utils::packageVersion(engine))
  },
  load = as.numeric(strsplit(readLines("/proc/loadavg"), " ")[[1L]][[1L]])
)
cat(sprintf(
  "%-11s %-9s %10.4f s wall %10.4f s CPU  criterion %.9g (%d evaluations)  peak +%.0f MB\n",
  row$model, engine, row$seconds, row$cpu, row$criterion, row$evaluations, row$peak
))
append_row(row, file.path(folder, "results.csv"))
