## What the scripts of bench/ share.

## The folder of the running script.
script_folder <- function() {
  file <- sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))
  dirname(normalizePath(file))
}

read_models <- function(here) {
  utils::read.csv(file.path(here, "models.csv"), colClasses = c(goal = "numeric"), na.strings = "")
}

## Formula of a model, and that of its fixed part.
model_formulas <- function(model) {
  text <- sub("x1 + ... + x200", paste0("x", 1:200, collapse = " + "), model$formula, fixed = TRUE)
  list(
    full = stats::as.formula(text, env = globalenv()),
    fixed = stats::as.formula(sub(" [+] [(].*$", "", text), env = globalenv())
  )
}

## `solver` of lmm_control() for a model; models that name one are for lmm() alone.
model_solver <- function(model) {
  if (is.na(model$solver)) "auto" else model$solver
}

append_row <- function(row, file) {
  utils::write.table(
    row, file, append = file.exists(file), col.names = !file.exists(file), sep = ",",
    row.names = FALSE
  )
}

## Engines to measure, ours first; those that are not installed are left out.
engines <- c("ferrolmm", "lm", "lme4", "glmmTMB", "nlme")

cpu_name <- function() {
  line <- grep("^model name", readLines("/proc/cpuinfo"), value = TRUE)[1L]
  trimws(sub("^.*: ", "", line))
}

show_seconds <- function(s) {
  if (length(s) == 0L || is.na(s)) {
    ""
  } else if (s < 0.1) {
    sprintf("%.3g ms", 1000 * s)
  } else if (s < 100) {
    sprintf("%.2f s", s)
  } else {
    sprintf("%.0f s", s)
  }
}
