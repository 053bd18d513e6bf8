## Rscript report.R --list [--quick] [MODEL ...]   prints MODEL=DATA for each model to measure
## Rscript report.R FOLDER [--readme]              writes bench/results.md and bench/scaling.png
##                                                 from what is in FOLDER

arguments <- commandArgs(TRUE)
file <- sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))
source(file.path(dirname(file), "common.R"))
here <- script_folder()
models <- read_models(here)

list_models <- function(wanted, quick) {
  unknown <- setdiff(wanted, models$model)
  if (length(unknown)) stop("no such model: ", paste(unknown, collapse = ", "))
  chosen <- if (length(wanted)) match(wanted, models$model) else
    which(if (quick) models$quick else models$default)
  cat(paste0(models$model[chosen], "=", models$data[chosen]), sep = "\n")
}

## Results: the last row of each model and engine.
read_results <- function(folder) {
  results <- utils::read.csv(file.path(folder, "results.csv"))
  results[!duplicated(results[c("model", "engine")], fromLast = TRUE), ]
}

## How far a criterion is above the lowest, in words.
show_excess <- function(excess) {
  if (is.na(excess) || excess < 5e-7) "" else sprintf(" (+%.2g)", excess)
}

table_of <- function(results) {
  peers <- intersect(setdiff(engines, c("ferrolmm", "lm")), results$engine)
  lines <- vapply(intersect(models$model, results$model), function(name) {
    of <- function(engine) results[results$model == name & results$engine == engine, ]
    best <- min(results$criterion[results$model == name], na.rm = TRUE)
    ours <- of("ferrolmm")
    if (nrow(ours) == 0L) {
      return(NA_character_)
    }
    cell <- function(engine) {
      row <- of(engine)
      if (nrow(row) == 0L) {
        return("")
      }
      if (is.na(row$seconds)) {
        return(sprintf("over %.0f s", row$cpu))
      }
      times <- row$seconds / ours$seconds
      paste0(
        show_seconds(row$seconds), sprintf(if (times >= 10) ", x%.0f" else ", x%.1f", times),
        show_excess(row$criterion - best)
      )
    }
    memory <- c(ours$peak, vapply(peers, function(peer) c(of(peer)$peak, NA)[1L], 0))
    memory <- ifelse(is.na(memory), "-", sprintf("%.0f", memory))
    paste0("| ", paste(c(
      sprintf("%s (%s rows)", name, format(ours$rows, big.mark = " ", scientific = FALSE)),
      paste0("**", show_seconds(ours$seconds), "**",
             show_excess(ours$criterion - best)),
      cell("lm"), vapply(peers, cell, ""), paste(memory, collapse = " / ")
    ), collapse = " | "), " |")
  }, "")
  header <- c("model", "lmm()", "lm(), fixed effects alone", peers,
              paste0("MB above the data: lmm() / ", paste(peers, collapse = " / ")))
  c(
    paste0("| ", paste(header, collapse = " | "), " |"),
    paste0("|", strrep("---|", length(header))), stats::na.omit(unname(lines))
  )
}

warn_busy <- function(results) {
  busy <- which(!is.na(results$seconds) & results$seconds > 1.2 * results$cpu)
  for (k in busy) {
    cat(sprintf(
      "%s, %s: %.3g s of wall time for %.3g s of work: the machine was busy, measure again\n",
      results$model[k], results$engine[k], results$seconds[k], results$cpu[k]
    ))
  }
  for (name in models$model[!is.na(models$goal)]) {
    seconds <- function(engine) results$seconds[results$model == name & results$engine == engine]
    times <- seconds("lme4") / seconds("ferrolmm")
    if (length(times) == 1L && !is.na(times)) {
      cat(sprintf("%-11s %6.1f times as fast as lme4; goal %g\n", name, times,
                  models$goal[models$model == name]))
    }
  }
}

provenance <- function(results) {
  last <- function(engine, field) utils::tail(results[[field]][results$engine == engine], 1L)
  peers <- intersect(setdiff(engines, c("ferrolmm", "lm")), results$engine)
  versions <- vapply(peers, function(peer) paste(peer, last(peer, "version")), "")
  sprintf(
    paste(
      "Whole calls with default settings (REML), each package in a process of its own: seconds of wall",
      "time, least of several runs; xN: N times the time of lmm(); (+e): the criterion is e above the",
      "lowest; memory: highest resident size during the first call less that before it. ferrolmm %s",
      "with %s threads, %s, %s, R %s, %s, %d cores, %s."
    ),
    last("ferrolmm", "version"), last("ferrolmm", "threads"), paste(versions, collapse = ", "),
    last("lme4", "blas"), getRversion(), cpu_name(), parallel::detectCores(), format(Sys.Date())
  )
}

## Slopes of log cost against log size over the upper half of the sizes, where the cost is not overhead.
exponent <- function(size, cost) {
  upper <- size >= stats::median(size)
  unname(stats::coef(stats::lm(log(cost[upper]) ~ log(size[upper])))[[2L]])
}

## The plot, and its exponents as a table.
scaling <- function(folder) {
  file <- file.path(folder, "scaling.csv")
  if (!file.exists(file)) {
    return(NULL)
  }
  points <- utils::read.csv(file)
  what <- c(n = "rows n (J = 1 000, p = 2)", J = "levels J (n = 1e6, p = 2)",
            p = "columns p (n = 1e5, J = 1 000)")
  grDevices::png(file.path(here, "scaling.png"), 1500, 520, res = 130)
  on.exit(grDevices::dev.off())
  graphics::par(mfrow = c(1, 3), mar = c(4, 4.2, 2, 1), las = 1, cex = 0.9)
  lines <- character()
  for (by in names(what)) {
    rows <- points[points$against == by, ]
    size <- rows[[by]]
    cost <- 1000 * cbind(rows$whole, rows$evaluation)
    graphics::matplot(
      size, cost, log = "xy", type = "b", pch = c(19, 1), lty = 1, col = c("#1b6ca8", "#c0504d"),
      xlab = what[[by]], ylab = "ms", ylim = range(points$whole, points$evaluation) * 1000
    )
    slopes <- apply(cost, 2L, function(cost) exponent(size, cost))
    graphics::legend(
      "topleft", bty = "n", pch = c(19, 1), lty = 1, col = c("#1b6ca8", "#c0504d"),
      legend = sprintf(c("whole call, exponent %.2f", "one evaluation, exponent %.2f"), slopes)
    )
    lines <- c(lines, sprintf(
      "| %s | %s to %s | %s to %s | %.2f | %s to %s | %.2f |", what[[by]],
      format(min(size)), format(max(size)), show_seconds(rows$whole[1L]),
      show_seconds(rows$whole[nrow(rows)]), slopes[[1L]], show_seconds(rows$evaluation[1L]),
      show_seconds(rows$evaluation[nrow(rows)]), slopes[[2L]]
    ))
  }
  c(
    "", "## Cost against size", "",
    paste(
      "`y ~ x1 + ... + xp + (x1 | g)`, g with J levels. One evaluation: criterion, gradient and Hessian,",
      "by the engine's clock; after the moments no row is looked at again, so it does not depend on n.",
      "Exponents are slopes of the logarithms over the upper half of the sizes."
    ),
    "", "| against | from, to | whole call | exponent | one evaluation | exponent |",
    "|---|---|---|---|---|---|", lines, "", "![](scaling.png)"
  )
}

determinism <- function(folder) {
  file <- file.path(folder, "hashes.csv")
  if (!file.exists(file)) {
    return(NULL)
  }
  hashes <- utils::read.csv(file)
  c(
    "", "## The same bits for any number of threads", "",
    "MD5 of all estimates (coefficients, theta, random effects, fitted values, certificate, ...), for",
    "1, 2 and 4 threads:", "",
    sprintf("- %s: %s%s", hashes$model, hashes$hash,
            ifelse(hashes$same, ", equal", ", **not equal**"))
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
  list_models(setdiff(arguments[-1L], "--quick"), "--quick" %in% arguments)
} else {
  folder <- arguments[[1L]]
  results <- read_results(folder)
  table <- c(table_of(results), "", provenance(results))
  warn_busy(results)
  lines <- c(
    "# lmm() against others, as measured by bench/run", "", table, scaling(folder), determinism(folder)
  )
  writeLines(lines, file.path(here, "results.md"))
  cat(lines, sep = "\n")
  if ("--readme" %in% arguments) insert_in_readme(table)
}
