## Cost against rows n, levels J and columns p:  Rscript scaling.R FOLDER THREADS [--quick]
## Each point in FOLDER/scaling.csv: seconds of a whole call of lmm() (the least of several), and of one
## evaluation of the criterion with its derivatives. Report.R fits exponents and draws them.

suppressPackageStartupMessages(library(ferrolmm))
arguments <- commandArgs(TRUE)
file <- sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))
source(file.path(dirname(file), "common.R"))
folder <- arguments[[1L]]
threads <- as.integer(arguments[[2L]])
quick <- "--quick" %in% arguments
output <- file.path(folder, "scaling.csv")
unlink(output)

simulate <- function(n, levels, p) {
  set.seed(n + levels + p)
  x <- matrix(rnorm(n * p), n, dimnames = list(NULL, paste0("x", seq_len(p))))
  g <- sample.int(levels, n, TRUE)
  g[seq_len(levels)] <- seq_len(levels)
  y <- drop(x %*% rep_len(c(0.5, -0.25), p)) + rnorm(levels)[g] + 0.5 * rnorm(levels)[g] * x[, 1L] +
    rnorm(n, 0, 2)
  factor <- structure(g, levels = as.character(seq_len(levels)), class = "factor")
  data.frame(y = y, x, g = factor)
}

point <- function(what, n, levels, p) {
  d <- simulate(n, levels, p)
  formula <- stats::reformulate(c(paste0("x", seq_len(p)), "(x1 | g)"), "y")
  control <- lmm_control(threads = threads)
  fit <- lmm(formula, d, control = control)
  whole <- min(replicate(if (quick) 3 else 7, {
    system.time(lmm(formula, d, control = control))[["elapsed"]]
  }))
  ## the engine's own clock: from the first evaluation to the optimum
  inputs <- ferrolmm:::engine_inputs(fit, in_place = TRUE)
  each <- min(replicate(if (quick) 3 else 7, {
    found <- ferrolmm:::engine_fit(ferrolmm:::model_of(inputs), TRUE, NULL, control)
    found$optimizer_seconds / found$certificate$evaluations
  }))
  row <- data.frame(
    against = what, n = n, J = levels, p = p, whole = max(whole, 5e-4), evaluation = each,
    evaluations = fit$certificate$evaluations, threads = threads
  )
  cat(sprintf(
    "%s: n = %g, J = %g, p = %g: %.4f s, %.3g ms an evaluation (%d)\n", what, n, levels, p, whole,
    1000 * each, row$evaluations
  ))
  append_row(row, output)
}

for (n in c(1e4, 1e5, 1e6, if (!quick) c(3e6, 1e7))) point("n", n, 1000, 2)
for (levels in c(100, 1000, 1e4, if (!quick) 1e5)) point("J", 1e6, levels, 2)
for (p in c(2, 10, 50, if (!quick) 200)) point("p", 1e5, 1000, p)
