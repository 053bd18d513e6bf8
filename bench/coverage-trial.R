#!/usr/bin/env Rscript
# Do the intervals and tests of a trial's analysis keep their promise? Simulates from known models and
# counts.
#   Rscript bench/coverage-trial.R [replicates]      default 2000; some minutes
# 1. Covariances by arm: 95 % intervals of the difference of arms, and of variance parameters.
# 2. Sandwich errors where the model of the covariance is wrong.
# 3. Rules for degrees of freedom in a balanced split plot, where all but the residual one are exact.
# 4. Functions of variance parameters: delta method, profile.
# 5. Known covariances of the rows (a meta-analysis of correlated estimates).
suppressPackageStartupMessages(library(ferrolmm))
replicates <- as.integer(c(commandArgs(TRUE), 2000)[1])
RNGkind("Mersenne-Twister", "Inversion", "Rejection")
set.seed(20261201)

report <- function(name, hits, wanted) {
  rate <- mean(hits, na.rm = TRUE)
  error <- sqrt(wanted * (1 - wanted) / sum(!is.na(hits)))
  cat(sprintf("%-66s %6.2f%%  (wanted %.0f%%, Monte-Carlo error %.2f%%)\n",
              name, 100 * rate, 100 * wanted, 100 * error))
}
report_rows <- function(hits, wanted = 0.95) {
  for (name in rownames(hits)) report(name, hits[name, ], wanted)
}
inside <- function(interval, truth) unname(interval[1] <= truth & truth <= interval[2])
quiet <- function(x) suppressWarnings(suppressMessages(x))

# 40 subjects in two arms, 4 visits, one value in ten missing; each arm has its own covariance matrix.
visits <- expand.grid(visit = factor(1:4), id = factor(1:40))
visits$arm <- factor(ifelse(as.integer(visits$id) <= 20L, "a", "b"))
covariance <- function(sd, rho) outer(sd, sd) * rho^abs(outer(1:4, 1:4, "-"))
roots <- list(a = chol(covariance(c(1, 1.2, 1.4, 1.6), 0.7)), b = chol(covariance(c(2, 2, 2, 2), 0.3)))
draw <- function() {
  noise <- rbind(matrix(rnorm(80), 20) %*% roots$a, matrix(rnorm(80), 20) %*% roots$b)
  d <- transform(visits, y = as.vector(t(noise)))
  d[-sample(nrow(d), 16L), ]
}
cat("Trial of 2 x 20 subjects, 4 visits, another covariance in each arm\n")
report_rows(replicate(replicates, {
  d <- draw()
  us <- quiet(lmm(y ~ arm * visit, d, residual = ~ us(visit | arm / id)))
  ar1h <- quiet(lmm(y ~ arm * visit, d, residual = ~ ar1h(visit | arm / id)))
  cs <- quiet(lmm(y ~ arm * visit, d, residual = ~ cs(visit | id)))
  last <- c(0, 1, 0, 0, 0, 0, 0, 1)
  covers <- function(fit, ...) {
    test <- quiet(contest(fit, last, joint = FALSE, confint = TRUE, ...))
    inside(c(test$lower, test$upper), 0)
  }
  ci <- quiet(confint(ar1h))
  c(
    "us by arm, Satterthwaite" = covers(us),
    "us by arm, Kenward-Roger" = covers(us, ddf = "Kenward-Roger"),
    "ar1h by arm, Satterthwaite" = covers(ar1h),
    "ar1h by arm, Kenward-Roger" = covers(ar1h, ddf = "Kenward-Roger"),
    "ar1h by arm, rho of arm b (Wald)" = inside(ci["residual.rho b", ], 0.3),
    "ar1h by arm, sigma (Wald)" = inside(ci[".sigma", ], 1),
    "cs, wrong: Satterthwaite of the model" = covers(cs),
    "cs, wrong: CR2" = covers(cs, vcov = "CR2"),
    "cs, wrong: CR3" = covers(cs, vcov = "CR3")
  )
}))

plots <- expand.grid(sub = factor(1:3), whole = factor(1:2), block = factor(1:6))
cat("Split plot, 6 blocks x 2 x 3, null size at 5 %\n")
report_rows(replicate(replicates, {
  d <- plots
  d$y <- rnorm(6)[d$block] + rnorm(12)[interaction(d$block, d$whole)] + rnorm(nrow(d))
  fit <- quiet(lmm(y ~ whole * sub + (1 | block / whole), d))
  p <- function(ddf) quiet(anova(fit, ddf = ddf))[c("whole", "sub"), "Pr(>F)"] < 0.05
  hits <- lapply(c("containment", "Satterthwaite", "Kenward-Roger", "residual"), p)
  names(hits) <- c("containment", "Satterthwaite", "Kenward-Roger", "residual")
  unlist(lapply(hits, setNames, c("whole plots", "sub plots")))
}), 0.05)

lines <- expand.grid(plot = 1:3, line = factor(1:60))
cat("Repeatability of 60 lines in 3 plots each, truth 1/3\n")
few <- replicates %/% 4L
report_rows(replicate(few, {
  d <- transform(lines, y = rnorm(60)[line] + sqrt(2) * rnorm(180))
  fit <- quiet(lmm(y ~ 1 + (1 | line), d))
  value <- function(method) {
    v <- quiet(vpredict(fit, h2 ~ V1 / (V1 + V2), method = method))
    inside(c(v$conf.low[[1L]], v$conf.high[[1L]]), 1 / 3)
  }
  c("delta method" = value("delta"), "profile" = value("profile"))
}))

cat("Meta-analysis, 30 studies with two correlated estimates each\n")
report_rows(replicate(replicates, {
  d <- data.frame(study = factor(rep(1:30, each = 2L)), outcome = factor(rep(1:2, 30L)))
  blocks <- lapply(runif(30, 0.05, 0.3), function(v) v * matrix(c(1, 0.6, 0.6, 1), 2))
  errors <- unlist(lapply(blocks, function(v) rnorm(2) %*% chol(v)))
  between <- matrix(rnorm(60), 30) %*% chol(matrix(c(0.3, 0.15, 0.15, 0.3), 2))
  d$y <- as.vector(t(between)) + errors
  fit <- quiet(lmm(y ~ outcome + (0 + outcome | study), d, residual = ~ known(blocks),
                   control = lmm_control(sigma = 1)))
  covers <- function(ddf) {
    test <- quiet(contest(fit, c(0, 1), joint = FALSE, confint = TRUE, ddf = ddf))
    inside(c(test$lower, test$upper), 0)
  }
  c("Satterthwaite" = covers("Satterthwaite"), "Kenward-Roger" = covers("Kenward-Roger"))
}))
