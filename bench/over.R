## Notes that an engine took longer than a limit: Rscript over.R FOLDER MODEL ENGINE SECONDS

arguments <- commandArgs(TRUE)
file <- sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))
source(file.path(dirname(file), "common.R"))
engine <- arguments[[3L]]
append_row(
  data.frame(
    model = arguments[[2L]], engine = engine, rows = NA, seconds = NA,
    cpu = as.numeric(arguments[[4L]]), runs = 0L, criterion = NA, evaluations = NA, peak = NA,
    data = NA, threads = 1L, blas = basename(extSoftVersion()[["BLAS"]]),
    version = as.character(utils::packageVersion(if (engine == "lm") "stats" else engine)),
    load = NA
  ),
  file.path(arguments[[1L]], "results.csv")
)
