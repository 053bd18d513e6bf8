## The passes over the rows against a plain read of the same bytes:
##   Rscript streaming.R FOLDER THREADS [MODEL ...]
## The read is the engine's look for missing values at the columns of the model frame, on as many
## threads: one multiplication and one addition a number, at the speed of memory. What a fit takes beside
## the optimiser (front end, cross-products, fitted values) is told as a multiple of it.

suppressPackageStartupMessages(library(ferrolmm))
arguments <- commandArgs(TRUE)
file <- sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))
source(file.path(dirname(file), "common.R"))
folder <- arguments[[1L]]
threads <- as.integer(arguments[[2L]])
wanted <- if (length(arguments) > 2L) arguments[-(1:2)] else c("slope1e6", "int1e7", "wide")
models <- read_models(script_folder())
control <- lmm_control(threads = threads)
least <- function(expr, times = 9L) {
  expr <- substitute(expr)
  frame <- parent.frame()
  min(vapply(seq_len(times), function(i) system.time(eval(expr, frame))[["elapsed"]], 0))
}
for (name in wanted) {
  model <- models[models$model == name, ]
  d <- readRDS(file.path(folder, paste0(model$data, ".rds")))
  formula <- model_formulas(model)$full
  fit <- lmm(formula, d, control = control)
  columns <- unclass(fit$frame)
  attributes(columns) <- list(names = names(fit$frame))
  read <- least(for (i in 1:10) ferrolmm:::engine_scan(columns, threads)) / 10
  inputs <- ferrolmm:::engine_inputs(fit, in_place = TRUE)
  optimizer <- min(replicate(5L, {
    ferrolmm:::engine_fit(ferrolmm:::model_of(inputs), TRUE, NULL, control)$optimizer_seconds
  }))
  engine <- least(ferrolmm:::engine_fit(ferrolmm:::model_of(inputs), TRUE, NULL, control))
  whole <- least(lmm(formula, d, control = control))
  bytes <- as.numeric(utils::object.size(columns))
  cat(sprintf(
    "| %s | %.0f MB | %.1f ms (%.0f GB/s) | %.1f ms | %.1f ms | %.1f ms | %.1f |\n", name,
    bytes / 1e6, 1e3 * read, bytes / read / 1e9, 1e3 * optimizer, 1e3 * (engine - optimizer),
    1e3 * whole, (whole - optimizer) / read
  ))
}
