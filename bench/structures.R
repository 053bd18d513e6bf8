#!/usr/bin/env Rscript
# Models with structured random effects and residuals against nlme and glmmTMB, whole calls in one
# session on the same data.
#   Rscript bench/structures.R [--readme] [--quick]     some minutes, nearly all of it the peers'
# --readme puts the table into README.md, between its markers; --quick takes smaller data for a look.
# mmrm is not in Debian: gls() of nlme stands for it, on fewer subjects.
suppressPackageStartupMessages({
  library(nlme)
  library(ferrolmm)
})
arguments <- commandArgs(TRUE)
quick <- "--quick" %in% arguments
quiet <- function(expr) suppressWarnings(suppressMessages(expr))
memory <- function() {
  status <- tryCatch(readLines("/proc/self/status"), error = function(e) character())
  peak <- grep("^VmHWM", status, value = TRUE)
  if (length(peak)) as.numeric(gsub("[^0-9]", "", peak)) / 1024 else NA
}
# The highest resident size from here on is counted anew
reset_memory <- function() {
  gc()
  tryCatch(cat("5", file = "/proc/self/clear_refs"), error = function(e) NULL, warning = function(w) NULL)
  memory()
}
measure <- function(call, times = 1L) {
  before <- reset_memory()
  fit <- NULL
  seconds <- vapply(seq_len(times), function(i) {
    system.time(fit <<- quiet(call()), gcFirst = TRUE)[["elapsed"]]
  }, 0)
  list(seconds = min(seconds), mb = memory() - before, loglik = as.numeric(logLik(fit)), fit = fit)
}
show <- function(s) if (s < 0.1) sprintf("%.0f ms", 1000 * s) else sprintf("%.2f s", s)
rows <- list()
compare <- function(what, ours, theirs = NULL, peer = "", times = 3L) {
  mine <- measure(ours, times)
  stopifnot(mine$fit$certificate$status %in% c("converged", "singular"))
  other <- if (!is.null(theirs)) measure(theirs)
  cells <- c(what, show(mine$seconds), if (is.null(other)) c("", "", "") else c(
    paste0(show(other$seconds), " (", peer, ")"), sprintf("**%.0f**", other$seconds / mine$seconds),
    sprintf("%+.1g", mine$loglik - other$loglik)
  ), sprintf("%.0f / %s MB", mine$mb, if (is.null(other)) "-" else sprintf("%.0f", other$mb)))
  rows[[length(rows) + 1L]] <<- cells
  message(paste(cells, collapse = " | "))
  invisible(list(ours = mine, theirs = other))
}
ar <- function(n, rho) as.numeric(stats::filter(rnorm(n, sd = sqrt(1 - rho^2)), rho, "recursive"))

# (a) crossed random effects and AR(1) within id
set.seed(1)
n <- if (quick) 1e4 else 1e5
ids <- n / 10
d <- data.frame(id = factor(rep(seq_len(ids), each = 10)), time = rep(1:10, ids), x = rnorm(n))
d$item <- factor(sample(50L, n, TRUE))
d$tf <- factor(d$time)
d$y <- 1 + 0.3 * d$x + rnorm(ids, sd = 0.7)[d$id] + rnorm(50, sd = 0.5)[d$item] +
  c(replicate(ids, ar(10, 0.6)))
peer <- if (requireNamespace("glmmTMB", quietly = TRUE)) {
  function() {
    glmmTMB::glmmTMB(
      y ~ x + (1 | item) + (1 | id) + ar1(tf + 0 | id), d, dispformula = ~0, REML = TRUE
    )
  }
}
crossed <- compare(
  sprintf("crossed random effects and AR(1), %s rows", format(n, big.mark = " ", scientific = FALSE)),
  function() lmm(y ~ x + (1 | item) + (1 | id), d, correlation = corAR1(form = ~ time | id)),
  peer, "glmmTMB, dispformula = ~0", if (quick) 3L else 2L
)
satterthwaite <- system.time(table <- coef(summary(crossed$ours$fit)))[["elapsed"]]

# (b) MMRM
visits <- 4L
trial <- function(subjects) {
  d <- expand.grid(visit = seq_len(visits), id = seq_len(subjects))
  d$arm <- factor(c("control", "treated")[1L + d$id %% 2L])
  root <- chol(0.6^abs(outer(1:4, 1:4, "-")) * outer(c(1, 1.2, 1.4, 1.7), c(1, 1.2, 1.4, 1.7)))
  d$base <- rnorm(subjects)[d$id]
  d$y <- d$base + 0.1 * d$visit * (d$arm == "treated") + c(t(matrix(rnorm(nrow(d)), subjects) %*% root))
  d$visit <- factor(d$visit)
  d$id <- factor(d$id)
  d[runif(nrow(d)) > 0.15 * (as.integer(d$visit) > 1L), ]
}
set.seed(2)
large <- trial(if (quick) 2000L else 10000L)
small <- trial(500L)
mmrm <- function(d) lmm(y ~ base + arm * visit, d, residual = ~ us(visit | id))
gls_of <- function(d) {
  gls(
    y ~ base + arm * visit, d, correlation = corSymm(form = ~ as.integer(visit) | id),
    weights = varIdent(form = ~ 1 | visit)
  )
}
compare("MMRM, unstructured, 4 visits, 500 subjects, 11 % missing", function() mmrm(small),
        function() gls_of(small), "gls")
compare(
  sprintf("the same, %s subjects", format(nlevels(large$id), big.mark = " ")),
  function() mmrm(large)
)

# (c) lme with AR(1)
f <- follicles ~ sin(2 * pi * Time) + cos(2 * pi * Time)
compare(
  "Ovary, random intercept and AR(1), 308 rows",
  function() {
    lmm(
      follicles ~ sin(2 * pi * Time) + cos(2 * pi * Time) + (1 | Mare), Ovary,
      correlation = corAR1(form = ~ 1 | Mare)
    )
  },
  function() lme(f, Ovary, ~ 1 | Mare, correlation = corAR1()), "lme", 10L
)
some <- subset(d, as.integer(id) <= 2000L)
compare(
  "random intercept and AR(1), 20 000 rows",
  function() lmm(y ~ x + (1 | id), some, correlation = corAR1(form = ~ time | id)),
  function() lme(y ~ x, some, ~ 1 | id, correlation = corAR1(form = ~ time | id)), "lme"
)

# (d) gls with a spatial correlation
compare(
  "corExp in time, 20 000 rows",
  function() lmm(y ~ x, some, correlation = corExp(form = ~ time | id)),
  function() gls(y ~ x, some, correlation = corExp(form = ~ time | id)), "gls"
)
compare(
  "Wheat2, corRatio in the plane with nugget, 224 rows, one group",
  function() {
    lmm(
      yield ~ variety - 1, Wheat2,
      correlation = corRatio(form = ~ latitude + longitude, nugget = TRUE)
    )
  },
  function() {
    gls(
      yield ~ variety - 1, Wheat2,
      correlation = corRatio(c(12.5, 0.2), form = ~ latitude + longitude, nugget = TRUE)
    )
  }, "gls"
)

# (e) variance functions
some$v <- runif(nrow(some), 1, 5)
some$z <- some$y + rnorm(nrow(some)) * some$v^0.8
compare(
  "varPower and a random intercept, 20 000 rows",
  function() lmm(z ~ x + (1 | id), some, weights = varPower(form = ~ v)),
  function() lme(z ~ x, some, ~ 1 | id, weights = varPower(form = ~ v)), "lme"
)

# (f) the shapes of the two data sets of mmrm's article "Comparison with other software": its published
# times, on its authors' machine, are 56 ms (FEV: mmrm 0.3.15; gls 688, glmmTMB 716) and 3.36 s (BCVA;
# gls 164, glmmTMB 19). The time depends on the number of patterns of missing visits.
shaped <- function(subjects, visits, observed) {
  set.seed(6)
  d <- expand.grid(visit = factor(seq_len(visits)), id = factor(seq_len(subjects)))
  d$arm <- factor(c("control", "treated")[1L + as.integer(d$id) %% 2L])
  d$race <- factor(sample(3L, subjects, TRUE))[d$id]
  d$base <- rnorm(subjects, 75, 10)[d$id]
  sd <- seq(1, 2, length.out = visits)
  root <- chol(0.7^abs(outer(seq_len(visits), seq_len(visits), "-")) * outer(sd, sd))
  d$y <- 0.05 * d$base + 0.4 * as.integer(d$visit) +
    c(crossprod(root, matrix(rnorm(nrow(d)), visits)))
  d[observed(d), ]
}
at_random <- function(rate) function(d) runif(nrow(d)) > rate
dropout <- function(rate) {
  function(d) as.integer(d$visit) <= (1L + rgeom(nlevels(d$id), rate))[d$id]
}
unstructured <- function(d) {
  function() lmm(y ~ base + race + arm * visit, d, residual = ~ us(visit | id))
}
compare(
  "MMRM, 200 subjects, 4 visits, a third missing at random",
  unstructured(shaped(200, 4, at_random(0.33)))
)
compare(
  "MMRM, 1000 subjects, 10 visits, dropout of 4 % a visit",
  unstructured(shaped(1000, 10, dropout(0.04)))
)
compare(
  "the same, 14 % missing at random (nearly all patterns differ)",
  unstructured(shaped(1000, 10, at_random(0.14)))
)

table_lines <- c(
  "| model | ferrolmm | peer | times as fast | log-likelihood, ours less theirs | memory, ours / theirs |",
  "|---|---|---|---|---|---|",
  vapply(rows, function(row) paste0("| ", paste(row, collapse = " | "), " |"), ""), "",
  sprintf(
    paste(
      "Satterthwaite's tests of the first model take another %s: the intercept has %.1f degrees of",
      "freedom, as 50 items allow."
    ),
    show(satterthwaite), table["(Intercept)", "df"]
  )
)
cat(table_lines, sep = "\n")
if ("--readme" %in% arguments) {
  file <- sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))
  readme <- file.path(dirname(normalizePath(file)), "..", "README.md")
  lines <- readLines(readme)
  start <- grep("^<!-- structures: start", lines)
  end <- grep("^<!-- structures: end", lines)
  stopifnot(length(start) == 1L, length(end) == 1L)
  writeLines(c(lines[seq_len(start)], table_lines, lines[end:length(lines)]), readme)
}
