## Rscript report.R --list [MODEL ...]      prints MODEL=DATA for each model to measure
## Rscript report.R FOLDER [--readme]       writes bench/results.md from FOLDER/results.csv

arguments <- commandArgs(TRUE)
file <- sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))
here <- dirname(normalizePath(file))
models <- utils::read.csv(file.path(here, "models.csv"))

list_models <- function(wanted) {
  unknown <- setdiff(wanted, models$model)
  if (length(unknown)) stop("no such model: ", paste(unknown, collapse = ", "))
  chosen <- models[if (length(wanted)) match(wanted, models$model) else models$default, ]
  cat(paste0(chosen$model, "=", chosen$data), sep = "\n")
}

show_seconds <- function(s) {
  if (is.na(s)) "" else if (s < 0.1) sprintf("%.2f ms", 1000 * s) else sprintf("%.2f s", s)
}

## How far a criterion is above the lower of the two, in words.
show_excess <- function(criterion, best) {
  excess <- criterion - best
  if (is.na(excess)) "" else if (excess < 5e-7) "" else sprintf(" (+%.2g)", excess)
}

table_of <- function(results) {
  last <- function(model, engine) {
    row <- results[results$model == model & results$engine == engine, ]
    if (nrow(row)) row[nrow(row), ] else NULL
  }
  lines <- character()
  for (name in models$model) {
    ours <- last(name, "ferrolmm")
    theirs <- last(name, "lme4")
    lm <- last(name, "lm")
    if (is.null(ours) || is.null(theirs)) next
    best <- min(ours$criterion, theirs$criterion)
    lines <- c(lines, sprintf(
      "| %s (%s rows) | %s | %s | **%.0f** | %s | %s%s | %s%s | %.0f / %.0f MB |",
      name, format(ours$rows, big.mark = " "), show_seconds(ours$seconds),
      show_seconds(theirs$seconds), theirs$seconds / ours$seconds,
      if (is.null(lm)) "" else show_seconds(lm$seconds),
      formatC(ours$criterion, format = "f", digits = 6), show_excess(ours$criterion, best),
      formatC(theirs$criterion, format = "f", digits = 6), show_excess(theirs$criterion, best),
      ours$peak, theirs$peak
    ))
    for (row in list(ours, theirs)) {
      if (row$seconds > 1.2 * row$cpu) {
        cat(sprintf(
          "%s, %s: %.1f s of wall time for %.1f s of work: the machine was busy, measure again\n",
          name, row$engine, row$seconds, row$cpu
        ))
      }
    }
    goal <- models$goal[models$model == name]
    if (!is.na(goal)) {
      cat(sprintf("%-11s %6.1f times as fast; goal %g\n", name, theirs$seconds / ours$seconds, goal))
    }
  }
  c(
    paste(
      "| model | lmm() | lmer() | times as fast | lm() without the random effects |",
      "REML criterion, lmm() | lmer() | memory above the data, lmm() / lmer() |"
    ),
    "|---|---|---|---|---|---|---|---|", lines
  )
}

provenance <- function(results) {
  last <- function(engine, field) utils::tail(results[[field]][results$engine == engine], 1L)
  cpu <- grep("^model name", readLines("/proc/cpuinfo"), value = TRUE)
  sprintf(
    paste(
      "Whole calls, least of several runs in one R session; ferrolmm %s with %s threads, lme4 %s",
      "with %s, R %s, %s, %d cores, %s. (+x): so much above the lower of the two criteria."
    ),
    last("ferrolmm", "version"), last("ferrolmm", "threads"), last("lme4", "version"),
    last("lme4", "blas"), getRversion(), sub("^.*: ", "", cpu[[1L]]), parallel::detectCores(),
    format(Sys.Date())
  )
}

insert_in_readme <- function(lines) {
  readme <- file.path(here, "..", "README.md")
  text <- readLines(readme)
  from <- grep("<!-- bench: start", text, fixed = TRUE)
  to <- grep("<!-- bench: end", text, fixed = TRUE)
  stopifnot(length(from) == 1L, length(to) == 1L, from < to)
  writeLines(c(text[seq_len(from)], lines, text[to:length(text)]), readme)
}

if (arguments[[1L]] == "--list") {
  list_models(arguments[-1L])
} else {
  results <- utils::read.csv(file.path(arguments[[1L]], "results.csv"))
  lines <- c(table_of(results), "", provenance(results))
  writeLines(c("# lmm() against lmer(), as measured by bench/run", "", lines),
             file.path(here, "results.md"))
  cat(lines, sep = "\n")
  if ("--readme" %in% arguments) insert_in_readme(lines)
}
