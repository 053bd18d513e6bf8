# In a fresh session, which packages are attached in what order is under control.
run_fresh <- function(...) {
  file <- tempfile(fileext = ".R")
  writeLines(c(
    paste0(".libPaths(", paste(deparse(.libPaths()), collapse = ""), ")"), ...
  ), file)
  rscript <- file.path(R.home("bin"), "Rscript")
  output <- suppressWarnings(
    system2(rscript, c("--vanilla", shQuote(file)), stdout = TRUE, stderr = TRUE)
  )
  expect_null(attr(output, "status"), info = paste(output, collapse = "\n"))
  output
}
