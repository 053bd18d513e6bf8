# Does dev/fuzz notice each kind of fault? One run for each of plant.R: it must fail, name the kind,
# and leave a small script of it (a crash or a hang: its seed).
here <- Sys.getenv("FUZZ_SOURCE")
kinds <- c("difference", "invariance", "nan", "base-error", "base-warning", "bug", "refusal", "hang",
           "crash")
passed <- 0L
for (kind in kinds) {
  folder <- tempfile("fuzz")
  dir.create(folder)
  Sys.setenv(FUZZ_PLANT = kind, FUZZ_OUTPUT = folder)
  command <- paste(
    shQuote(file.path(R.home("bin"), "Rscript")), "--vanilla", shQuote(file.path(here, "driver.R")),
    "--workers 1 --patience 12 --seeds", if (kind == "invariance") "1:14" else "1:6"
  )
  status <- system(paste(command, "> /dev/null 2>&1"))
  summary <- readLines(file.path(folder, "summary"))
  told <- if (kind == "invariance") "difference" else kind
  failures <- grep(paste0("seed +[0-9]+ +", told, " \\|"), summary, value = TRUE)
  cases <- unlist(lapply(list.files(file.path(folder, "cases"), full.names = TRUE), readLines))
  script <- kind %in% c("hang", "crash") || any(grepl("^fit <- lmm\\(", cases))
  good <- status != 0L && length(failures) > 0L && script
  passed <- passed + good
  cat(kind, if (good) "noticed\n" else "NOT noticed\n")
  unlink(folder, recursive = TRUE)
}
cat("\n", passed, " passed, ", length(kinds) - passed, " failed\n", sep = "")
quit(status = as.integer(passed < length(kinds)))
