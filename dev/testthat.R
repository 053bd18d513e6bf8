## The tests of the package, its files beside each other in forked processes, as many as there are
## cores: the longest first, those that share tables of a server one after another in one process.
##   NOT_CRAN=true Rscript --vanilla dev/testthat.R [FILTER]
## Says of each file how long it took (times in output/testthat-times.csv order the next run), and ends with
## "N passed, N failed".
suppressPackageStartupMessages(library(testthat))

folder <- "tests/testthat"
filter <- commandArgs(TRUE)
files <- list.files(folder, "^test-.*\\.R$")
if (length(filter)) files <- files[grepl(filter, sub("^test-(.*)\\.R$", "\\1", files))]
if (!length(files)) stop("no file of tests matches ", filter)

## Files that would see each other's tables, as one piece of work; every other one is its own.
shares <- grepl("^test-front-moments-(source|sql|translate)", files)
work <- c(if (any(shares)) list(files[shares]), as.list(files[!shares]))

## Longest first, by the times of the last run where there was one.
kept <- "output/testthat-times.csv"
seconds <- if (file.exists(kept)) {
  times <- utils::read.csv(kept)
  vapply(work, function(w) sum(times$seconds[match(w, times$file)]), 0)
} else {
  vapply(work, function(w) sum(file.size(file.path(folder, w))), 0)
}
work <- work[order(-seconds, na.last = FALSE)]

## One file: what its reporter writes, and a row for each test.
run_file <- function(file) {
  log <- tempfile("testthat-")
  connection <- file(log, "w")
  sink(connection)
  begun <- proc.time()[["elapsed"]]
  results <- try(test_file(file.path(folder, file), package = "ferrolmm", load_package = "installed",
    reporter = "check", stop_on_failure = FALSE), silent = TRUE)
  sink()
  close(connection)
  if (inherits(results, "try-error")) stop(file, ": ", results)
  table <- as.data.frame(results)
  took <- proc.time()[["elapsed"]] - begun
  bad <- sum(table$failed) + sum(table$error)
  cat(sprintf("%-45s %6d passed %4d failed %4d skipped %6.1f s\n", file, sum(table$passed), bad,
    sum(table$skipped), took))
  if (bad) cat(readLines(log, warn = FALSE), sep = "\n")
  data.frame(file = file, seconds = took, passed = sum(table$passed), failed = bad,
    skipped = paste(table$test[table$skipped], collapse = "; "))
}

invisible(loadNamespace("ferrolmm"))
done <- parallel::mclapply(work, function(w) do.call(rbind, lapply(w, run_file)),
  mc.cores = parallel::detectCores(), mc.preschedule = FALSE)
lost <- !vapply(done, is.data.frame, NA)
for (i in which(lost)) {
  cat("no result of", work[[i]], ":\n", as.character(done[[i]]), "\n")
}
table <- do.call(rbind, done[!lost])
dir.create(dirname(kept), showWarnings = FALSE)
utils::write.csv(table[order(-table$seconds), c("file", "seconds")], kept, row.names = FALSE)
skipped <- table[nzchar(table$skipped), c("file", "skipped")]
if (nrow(skipped)) {
  cat("skipped:\n")
  print(skipped, row.names = FALSE, right = FALSE)
}
failed <- sum(table$failed) + sum(lost)
cat("\n", sum(table$passed), " passed, ", failed, " failed\n", sep = "")
quit(status = as.integer(failed > 0))
