# Everything that a worker needs. `here` is this folder.
for (file in c("generate", "restricted", "calls", "oracle", "classify", "checks", "invariance", "deep",
               "run", "shrink")) {
  sys.source(file.path(here, paste0(file, ".R")), globalenv())
}
suppressPackageStartupMessages(library(ferrolmm))
suppressWarnings(for (package in c("lme4", "nlme", "emmeans", "car", "lmtest", "Matrix")) {
  requireNamespace(package, quietly = TRUE)
})
options(ferrolmm.progress = FALSE, warn = 1, ferrolmm.threads = 1L, nwarnings = 50L)
if (nzchar(Sys.getenv("FUZZ_PLANT"))) sys.source(file.path(here, "plant.R"), globalenv())

# A design for which no response can be drawn (a factor of one level) is drawn anew.
make_problem <- function(seed, only = NULL) {
  for (attempt in 0:9) {
    p <- tryCatch(generate(seed + attempt * 1e7, only), error = function(e) e)
    if (!inherits(p, "error")) break
  }
  if (inherits(p, "error")) stop(p)
  p$new <- random_new(p)
  p
}
