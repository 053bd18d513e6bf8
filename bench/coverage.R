#!/usr/bin/env Rscript
# Does what the intervals and tests promise hold? Simulates from known models and counts.
#   Rscript bench/coverage.R [replicates] [parts]  default 2000, all five parts; half an hour
# 1. Coverage of 95% intervals of predict(): a known level, a new level, the population, and a new
#    observation of a known level.
# 2. Null size at 5% of ranova() (finite-sample, limit, naive) in several small designs.
# 3. Null size at 5% of Kenward-Roger and Satterthwaite F tests in several small designs.
# 4. The same of the methods of Kenward and Roger where V is not linear in its parameters.
# 5. Coverage of 95% intervals with sampling weights, samples being informative, and bias of
#    variances.
suppressPackageStartupMessages(library(ferrolmm))
replicates <- as.integer(c(commandArgs(TRUE), 2000)[1])
parts <- as.integer(commandArgs(TRUE)[-1])
if (length(parts) == 0L) parts <- 1:5
RNGkind("Mersenne-Twister", "Inversion", "Rejection")

report <- function(name, hits, wanted) {
  rate <- mean(hits)
  error <- sqrt(wanted * (1 - wanted) / length(hits))
  cat(sprintf("%-58s %6.2f%%  (wanted %.0f%%, Monte-Carlo error %.2f%%)\n",
              name, 100 * rate, 100 * wanted, 100 * error))
}

coverage <- function() {
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
}

# Small samples: is a variance needed? is the between-group treatment?
rates <- function(name, hits, wanted = 0.05) {
  for (which in rownames(hits)) report(paste0(name, which), hits[which, ], wanted)
}
try_ranova <- function(name, design, formula, truth, row, nsim, ...) {
  # replicate() would have dots of its own
  rates(paste0(name, ": "), sapply(seq_len(replicates), function(i) {
    design$y <- truth(design)
    fit <- suppressMessages(lmm(formula, design, ...))
    # 199 or 99 bootstrap replicates have level 5% exactly, and take less time
    whole <- is.null(row)
    table <- suppressMessages(ranova(fit, !whole, nsim = nsim, seed = NULL))
    p <- unlist(table[if (whole) 2L else row, c("Pr(>LRT)", "Pr(>Chibarsq)", "Pr(>Chisq)")])
    stats::setNames(p <= 0.05, c("finite", "limit", "naive"))
  }))
}
even <- data.frame(g = gl(12, 5), x = rep(1:5, 12))
even$treatment <- factor(rep(c("a", "b", "c"), each = 20))
few <- data.frame(g = gl(6, 5), x = rep(1:5, 6))
ten <- data.frame(g = gl(10, 5), x = rep(0:4, 10))
uneven <- data.frame(g = factor(rep(1:8, c(2, 3, 4, 5, 6, 8, 10, 12))))
uneven$x <- sin(seq_len(nrow(uneven)))
uneven$treatment <- factor(c("a", "b")[1L + as.integer(uneven$g) %% 2L])
nested <- data.frame(g = gl(8, 6), x = rep(1:6, 8), h = gl(24, 2))
crossed <- expand.grid(g = gl(10, 1), h = gl(6, 1))
crossed$x <- cos(seq_len(60))
crossed$treatment <- factor(c("a", "b")[1L + as.integer(crossed$g) %% 2L])
noise <- function(d) stats::rnorm(nrow(d))
effect <- function(f) stats::rnorm(nlevels(f))[f]
# residuals of AR(1) with correlation 0.5 within each g
serial <- function(d) {
  draw <- function(n) {
    shocks <- rnorm(n, sd = sqrt(c(1, rep(0.75, n - 1))))
    as.numeric(stats::filter(shocks, 0.5, "recursive"))
  }
  unlist(lapply(table(d$g), draw))
}

ranova_sizes <- function() {
  cat("\nranova(): rejections at 5% under the hypothesis,", replicates, "data sets\n")
  try_ranova("intercept, 6 groups of 5, REML", few, y ~ x + (1 | g), noise, 2L, 9999L)
  try_ranova("intercept, 6 groups of 5, ML", few, y ~ x + (1 | g), noise, 2L, 9999L, REML = FALSE)
  try_ranova("intercept, 12 groups of 5, REML", even, y ~ x + (1 | g), noise, 2L, 9999L)
  try_ranova("intercept, 8 groups of 2 to 12", uneven, y ~ x + (1 | g), noise, 2L, 9999L)
  intercepts <- function(d) effect(d$g) + noise(d)
  try_ranova("independent slope, 10 groups of 5", ten, y ~ x + (x || g), intercepts, 3L, 199L)
  try_ranova("slope of (x | g), 10 groups of 5", ten, y ~ x + (x | g), intercepts, 2L, 199L)
  try_ranova("both effects of (x | g), 12 groups of 5", even, y ~ x + (x | g), noise, NULL, 199L)
  try_ranova("upper of two nested, 8 x 3 x 2", nested, y ~ 1 + (1 | g) + (1 | h),
             function(d) effect(d$h) + noise(d), "(1 | g)", 199L)
  try_ranova("one of two crossed, 10 x 6", crossed, y ~ x + (1 | g) + (1 | h), intercepts,
             "(1 | h)", 199L)
  try_ranova("intercept beside AR(1), 12 groups of 5", even, y ~ x + (1 | g), serial, 2L, 99L,
             correlation = nlme::corAR1(form = ~ 1 | g))
}

try_f <- function(name, design, formula, truth, row) {
  rates(paste0(name, ": "), replicate(replicates, {
    design$y <- truth(design)
    fit <- suppressMessages(lmm(formula, design))
    p <- function(ddf) anova(fit, ddf = ddf)[row, "Pr(>F)"] <= 0.05
    c("Kenward-Roger" = p("Kenward-Roger"), Satterthwaite = p("Satterthwaite"))
  }))
}
f_sizes <- function() {
  cat("\nF tests: rejections at 5% under the hypothesis,", replicates, "data sets\n")
  try_f("between groups, 12 of 5", even, y ~ treatment + x + (1 | g),
        function(d) effect(d$g) + noise(d), "treatment")
  try_f("between groups, 8 of 2 to 12", uneven, y ~ treatment + x + (1 | g),
        function(d) effect(d$g) + noise(d), "treatment")
  try_f("slope that varies, 12 groups of 5", even, y ~ x + (x | g),
        function(d) effect(d$g) + 0.5 * effect(d$g) * d$x + noise(d), "x")
  try_f("crossed, 10 x 6", crossed, y ~ treatment + (1 | g) + (1 | h),
        function(d) effect(d$g) + effect(d$h) + noise(d), "treatment")
}

try_structure <- function(name, design, formula, truth, row, ...) {
  methods <- c("Kenward-Roger", "Kenward-Roger2", "Kenward-Roger-linear", "Satterthwaite")
  found <- sapply(seq_len(replicates), function(i) {
    design$y <- truth(design)
    fit <- suppressMessages(lmm(formula, design, ...))
    vapply(methods, function(ddf) {
      # a test that a method does not determine rejects nothing
      isTRUE(suppressWarnings(anova(fit, ddf = ddf))[row, "Pr(>F)"] <= 0.05)
    }, NA)
  })
  rates(paste0(name, ": "), found)
}
structure_sizes <- function() {
  cat("\nF tests beside structures: rejections at 5% under the hypothesis,", replicates, "data sets\n")
  eight <- data.frame(g = gl(8, 5), x = rep(1:5, 8), v = gl(5, 1, 40))
  eight$treatment <- factor(rep(c("a", "b"), each = 20))
  six <- data.frame(g = gl(6, 5), x = rep(1:5, 6), v = gl(5, 1, 30))
  six$treatment <- factor(rep(c("a", "b"), each = 15))
  sizes <- c(1, 1.2, 1.5, 1.8, 2)
  try_structure("AR(1), 6 groups of 5, treatment", six, y ~ treatment + x, serial, "treatment",
                residual = ~ ar1(v | g))
  try_structure("AR(1), 6 groups of 5, slope", six, y ~ treatment * x, serial, "x",
                residual = ~ ar1(v | g))
  try_structure("AR(1) with variances of visits, 8 of 5, treatment", eight, y ~ treatment + x,
                function(d) sizes[d$v] * serial(d), "treatment", residual = ~ ar1h(v | g))
  try_structure("intercepts and AR(1), 8 groups of 5, treatment", eight, y ~ treatment + x + (1 | g),
                function(d) effect(d$g) + serial(d), "treatment", residual = ~ ar1(v | g))
}

# A sample of schools, of which those with high effects are drawn more often, and of pupils within
# them, of whom (`of_rows`) those with high residuals are
draw_sample <- function(schools, pupils, of_rows) {
  u <- rnorm(schools)
  chance <- ifelse(u > 0, 0.5, 0.2)
  drawn <- which(runif(schools) < chance)
  d <- data.frame(school = factor(rep(drawn, each = pupils)), x = rnorm(pupils * length(drawn)))
  at <- rep(drawn, each = pupils)
  d$z <- rep(rnorm(length(drawn)), each = pupils)
  e <- rnorm(nrow(d))
  d$y <- 1 + 0.5 * d$x + 0.3 * d$z + u[at] + e
  d$w2 <- 1 / chance[at]
  inside <- if (of_rows) ifelse(e > 0, 0.8, 0.4) else rep(0.5, nrow(d))
  d$w1 <- 1 / inside
  droplevels(d[runif(nrow(d)) < inside, ])
}

sampling_coverage <- function() {
  cat("\nSampling weights: coverage of 95% intervals,", replicates, "samples\n")
  truth <- c(1, 0.5, 0.3)
  try_sampling <- function(name, schools, pupils, of_rows, scale) {
    found <- replicate(replicates, {
      d <- draw_sample(schools, pupils, of_rows)
      weighted <- suppressMessages(lmm(
        y ~ x + z + (1 | school), d, REML = FALSE,
        weights = sampling_weights(w1, school = w2, scale = scale)
      ))
      plain <- suppressMessages(lmm(y ~ x + z + (1 | school), d))
      covers <- function(fit, ...) {
        limits <- confint(fit, names(fixef(fit)), ...)
        limits[, 1] <= truth & truth <= limits[, 2]
      }
      c(covers(weighted), covers(plain)[[1]], VarCorr(weighted)$school[1, 1], sigma(weighted)^2,
        covers(weighted, vcov = "CR2"))
    })
    name <- paste0(name, ", ", schools, " x ", pupils, ", ", scale, ": ")
    report(paste0(name, "intercept"), found[1, ], 0.95)
    report(paste0(name, "x"), found[2, ], 0.95)
    report(paste0(name, "z of schools"), found[3, ], 0.95)
    report(paste0(name, "intercept, CR2"), found[7, ], 0.95)
    report(paste0(name, "x, CR2"), found[8, ], 0.95)
    report(paste0(name, "z of schools, CR2"), found[9, ], 0.95)
    report(paste0(name, "intercept without weights"), found[4, ], 0.95)
    cat(sprintf("%-58s %.3f, %.3f  (truth 1, 1)\n", paste0(name, "mean variances"),
                mean(found[5, ]), mean(found[6, ])))
  }
  try_sampling("schools informative", 150L, 20L, FALSE, "none")
  try_sampling("schools informative", 300L, 20L, FALSE, "size")
  try_sampling("both informative", 300L, 60L, TRUE, "size")
  try_sampling("both informative", 300L, 10L, TRUE, "size")
  try_sampling("both informative", 300L, 10L, TRUE, "none")
  try_sampling("both informative", 300L, 10L, TRUE, "effective")
  try_sampling("schools informative", 60L, 20L, FALSE, "size")
}

# each part has its own numbers, whichever others run
for (part in parts) {
  set.seed(20261123 + part)
  list(coverage, ranova_sizes, f_sizes, structure_sizes, sampling_coverage)[[part]]()
}
