#!/usr/bin/env Rscript
# Does what the intervals and tests promise hold? Simulates from known models and counts.
#   Rscript bench/coverage.R [replicates]          default 2000; a minute or two
# 1. Coverage of 95% intervals of predict(): a known level, a new level, the population, and a new
#    observation of a known level.
# 2. Null size at 5% of ranova() (boundary-corrected and naive) and of Kenward-Roger and Satterthwaite
#    F tests in a small sample.
suppressPackageStartupMessages(library(ferrolmm))
replicates <- as.integer(c(commandArgs(TRUE), 2000)[1])
set.seed(20261123)
RNGkind("Mersenne-Twister", "Inversion", "Rejection")

report <- function(name, hits, wanted) {
  rate <- mean(hits)
  error <- sqrt(wanted * (1 - wanted) / length(hits))
  cat(sprintf("%-58s %6.2f%%  (wanted %.0f%%, Monte-Carlo error %.2f%%)\n",
              name, 100 * rate, 100 * wanted, 100 * error))
}

# 60 subjects, 8 visits, correlated intercepts and slopes
subjects <- 60L
design <- data.frame(
  id = factor(rep(seq_len(subjects), each = 8L)), x = rep(seq(0, 3.5, 0.5), subjects)
)
root <- chol(matrix(c(1, 0.3, 0.3, 0.5), 2))
inside <- function(interval, truth) interval[, "lwr"] <= truth & truth <= interval[, "upr"]
covered <- replicate(replicates, {
  b <- matrix(rnorm(2 * subjects), subjects) %*% root
  mean <- 2 + 0.7 * design$x + b[design$id, 1] + b[design$id, 2] * design$x
  design$y <- mean + rnorm(nrow(design))
  fit <- suppressMessages(lmm(y ~ x + (x | id), design))
  at <- data.frame(id = "7", x = 2)
  new <- data.frame(id = "new", x = 2)
  known_truth <- 2 + 0.7 * 2 + b[7, 1] + b[7, 2] * 2
  b_new <- rnorm(2) %*% root
  c(
    inside(predict(fit, at, interval = "confidence"), known_truth),
    inside(predict(fit, at, interval = "prediction"), known_truth + rnorm(1)),
    inside(
      predict(fit, new, interval = "confidence", allow.new.levels = TRUE),
      2 + 0.7 * 2 + b_new[1] + b_new[2] * 2
    ),
    inside(predict(fit, at, re.form = NA, interval = "confidence"), 2 + 0.7 * 2)
  )
})
cat("Coverage of 95% intervals, 60 subjects x 8 visits, random slopes,", replicates, "data sets\n")
report("known level, its mean (interval = \"confidence\")", covered[1, ], 0.95)
report("known level, a new observation (\"prediction\")", covered[2, ], 0.95)
report("new level, its mean", covered[3, ], 0.95)
report("population", covered[4, ], 0.95)

# 12 groups of 5: is the random intercept needed? is the between-group treatment?
small <- data.frame(g = factor(rep(1:12, each = 5)), x = rep(1:5, 12))
small$treatment <- factor(rep(c("a", "b", "c"), each = 20))
sizes <- replicate(replicates, {
  small$y <- 1 + rnorm(60)
  none <- suppressMessages(lmm(y ~ x + (1 | g), small))
  boundary <- suppressMessages(ranova(none))
  small$y <- 1 + rnorm(12)[small$g] + rnorm(60)
  some <- suppressMessages(lmm(y ~ treatment + x + (1 | g), small))
  p <- function(ddf) anova(some, ddf = ddf)["treatment", "Pr(>F)"]
  drop <- nrow(boundary)
  c(
    boundary[drop, "Pr(>Chibarsq)"], boundary[drop, "Pr(>Chisq)"],
    p("Kenward-Roger"), p("Satterthwaite")
  )
})
cat("\nRejections at 5% under the null, 12 groups of 5,", replicates, "data sets\n")
report("ranova(), boundary-corrected", sizes[1, ] < 0.05, 0.05)
report("ranova(), naive chi-square", sizes[2, ] < 0.05, 0.05)
report("anova(), between-group F, Kenward-Roger", sizes[3, ] < 0.05, 0.05)
report("anova(), between-group F, Satterthwaite", sizes[4, ] < 0.05, 0.05)
