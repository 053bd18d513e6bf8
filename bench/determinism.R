## One hash over all estimates of a model, for 1, 2 and 4 threads:
##   Rscript determinism.R FOLDER MODEL ...
## Ends with an error unless they are equal.

suppressPackageStartupMessages(library(ferrolmm))
arguments <- commandArgs(TRUE)
file <- sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))
source(file.path(dirname(file), "common.R"))
folder <- arguments[[1L]]
models <- read_models(script_folder())
estimates <- c(
  "coefficients", "theta", "u", "b", "sigma", "rx", "vcov_unscaled", "fitted.values", "residuals",
  "criterion", "certificate"
)
hash <- function(fit) {
  file <- tempfile()
  on.exit(unlink(file))
  writeBin(serialize(unclass(fit)[estimates], NULL), file)
  unname(tools::md5sum(file))
}
equal <- TRUE
for (name in arguments[-1L]) {
  model <- models[models$model == name, ]
  d <- readRDS(file.path(folder, paste0(model$data, ".rds")))
  hashes <- vapply(c(1L, 2L, 4L), function(threads) {
    hash(suppressMessages(
      lmm(model_formulas(model)$full, d,
          control = lmm_control(threads = threads, solver = model_solver(model)))
    ))
  }, "")
  same <- length(unique(hashes)) == 1L
  equal <- equal && same
  cat(sprintf("%-11s %s\n", name, if (same) hashes[[1L]] else paste(hashes, collapse = " ")))
  append_row(
    data.frame(model = name, hash = hashes[[1L]], same = same), file.path(folder, "hashes.csv")
  )
}
if (!equal) stop("estimates depend on the number of threads")
