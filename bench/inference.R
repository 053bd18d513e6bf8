#!/usr/bin/env Rscript
# What is done after the fit, against lme4 + lmerTest + pbkrtest (+ clubSandwich) in one session on the same data.
#   Rscript bench/inference.R [--readme]     some minutes, nearly all of it the peers'
# --readme puts the table into README.md, between its markers.
suppressPackageStartupMessages({
  library(lme4)
  library(lmerTest)
  library(pbkrtest)
  library(ferrolmm)
})
quiet <- function(expr) suppressWarnings(suppressMessages(expr))
seconds <- function(expr) system.time(quiet(expr), gcFirst = TRUE)[["elapsed"]]
rows <- list()
compare <- function(what, ours, theirs, peer, scale = 1) {
  theirs <- theirs * scale
  rows[[what]] <<- c(what, show(ours), paste0(show(theirs), " (", peer, ")"),
                     sprintf("**%.0f**", theirs / ours))
  message(paste(rows[[what]], collapse = " | "))
}
show <- function(s) if (s < 0.1) sprintf("%.1f ms", 1000 * s) else sprintf("%.2f s", s)

# InstEval, 73 421 rows, three crossed and nested terms
formula <- y ~ service + (1 | s) + (1 | d) + (1 | dept:service)
ours <- quiet(lmm(formula, InstEval))
theirs <- quiet(lme4::lmer(formula, InstEval))
invisible(summary(ours))
compare(
  "summary() with Satterthwaite ddf, InstEval", seconds(summary(ours)),
  seconds(summary(lmerTest::as_lmerModLmerTest(theirs))), "lmerTest"
)
compare(
  "hatvalues(), InstEval", seconds(hatvalues(ours)), seconds(hatvalues(theirs)), "lme4"
)
kr <- seconds(summary(ours, ddf = "Kenward-Roger"))
se <- seconds(predict(ours, se.fit = TRUE))

# crossed, n = 4000
set.seed(4000)
n <- 4000L
d <- data.frame(x = rnorm(n), a = factor(sample(400L, n, TRUE)), b = factor(sample(300L, n, TRUE)))
d$y <- d$x + rnorm(400)[d$a] + rnorm(300)[d$b] + rnorm(n)
ours4 <- quiet(lmm(y ~ x + (1 | a) + (1 | b), d))
theirs4 <- quiet(lmerTest::lmer(y ~ x + (1 | a) + (1 | b), d))
compare(
  "Kenward-Roger F test, crossed, n = 4000", seconds(anova(ours4, ddf = "Kenward-Roger")),
  seconds(anova(theirs4, ddf = "Kenward-Roger")), "lmerTest + pbkrtest"
)

# 1000 clusters of ten rows
g <- rep(1:1000, each = 10L)
d <- data.frame(g = factor(g), t = rep(0:9, 1000), arm = rep(rep_len(0:1, 1000), each = 10L))
d$y <- 0.2 * d$t + rnorm(1000)[g] + rnorm(1000, sd = 0.2)[g] * d$t + rnorm(10000)
oursc <- quiet(lmm(y ~ arm * t + (t | g), d))
theirsc <- quiet(lme4::lmer(y ~ arm * t + (t | g), d))
compare(
  "robust t tests (CR2), 1000 clusters", seconds(summary(oursc, vcov = "CR2")),
  seconds(clubSandwich::coef_test(theirsc, vcov = "CR2")), "clubSandwich"
)

small <- list(
  sleepstudy = list(Reaction ~ Days + (Days | Subject), sleepstudy),
  Pastes = list(strength ~ 1 + (1 | batch / cask), Pastes)
)
for (name in names(small)) {
  f <- small[[name]]
  mine <- quiet(lmm(f[[1]], f[[2]]))
  other <- quiet(lme4::lmer(f[[1]], f[[2]]))
  compare(
    paste("profile() of the variance parameters,", name),
    seconds(for (i in 1:20) profile(mine, which = "theta_")) / 20,
    seconds(profile(other, which = "theta_")), "lme4, ML only"
  )
  compare(
    paste("1000 bootstrap refits,", name), seconds(bootstrap(mine, 1000, seed = 1)),
    seconds(bootMer(other, function(m) c(fixef(m), sigma(m)), nsim = 100)), "lme4, of 100", 10
  )
}
fit <- quiet(lmm(Reaction ~ Days + (Days | Subject), sleepstudy))
other <- quiet(lme4::lmer(Reaction ~ Days + (Days | Subject), sleepstudy))
set.seed(1)
responses <- sleepstudy$Reaction + matrix(rnorm(180 * 20000, sd = 20), 180)
compare(
  "20 000 responses, one model (sleepstudy), with ddf",
  seconds(ferrolmm::refit(fit, responses)),
  seconds(for (i in 1:200) lme4::refit(other, responses[, i])), "loop of lme4::refit, of 200, without ddf",
  100
)

table <- c(
  "| after the fit | ferrolmm | peer | times as fast |", "|---|---|---|---|",
  vapply(rows, function(row) paste0("| ", paste(row, collapse = " | "), " |"), ""), "",
  sprintf(
    paste(
      "Kenward-Roger for all of InstEval takes %s here, and standard errors for its 73 421 predictions",
      "%s; the peers cannot, or need 12 GB (lme4 2.1: 66 s, not run here)."
    ),
    show(kr), show(se)
  )
)
cat(table, sep = "\n")
if ("--readme" %in% commandArgs(TRUE)) {
  file <- sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))
  readme <- file.path(dirname(normalizePath(file)), "..", "README.md")
  lines <- readLines(readme)
  start <- grep("^<!-- inference: start", lines)
  end <- grep("^<!-- inference: end", lines)
  writeLines(c(lines[seq_len(start)], table, lines[end:length(lines)]), readme)
}
