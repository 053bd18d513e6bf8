#!/usr/bin/env Rscript
# What trials need against the peers that have it, whole calls in one session on the same data: blme,
# metafor, clubSandwich, nlme, pbkrtest, lme4 (as a power simulation is written with it).
#   Rscript bench/trial.R      some minutes, nearly all of it the peers'
# mmrm, WeMix and SAS are not in Debian; nlme's gls() has no covariances by group, so an arm a call stands
# for them.
suppressPackageStartupMessages({
  library(nlme)
  library(lme4)
  library(ferrolmm)
})
quiet <- function(x) suppressWarnings(suppressMessages(x))
seconds <- function(call, times) {
  min(vapply(seq_len(times), function(i) system.time(quiet(call()), gcFirst = TRUE)[["elapsed"]], 0))
}
show <- function(s) if (s < 0.1) sprintf("%.1f ms", 1000 * s) else sprintf("%.2f s", s)
compare <- function(what, ours, theirs, peer, check, times = 5L) {
  gap <- check(quiet(ours()), quiet(theirs()))
  a <- seconds(ours, times)
  b <- seconds(theirs, 1L)
  cat(sprintf("| %s | %s | %s (%s) | %.0f | %.1g |\n", what, show(a), show(b), peer, b / a, gap))
}
cat("| what | ferrolmm | peer | times as fast | largest difference |\n|---|---|---|---|---|\n")
set.seed(1)

trial <- expand.grid(visit = factor(1:4), id = factor(1:200))
trial$arm <- factor(ifelse(as.integer(trial$id) <= 100L, "a", "b"))
trial$y <- rnorm(200)[trial$id] + rnorm(800) * as.integer(trial$visit)
trial <- trial[-sample(800, 80), ]
arms <- split(trial, trial$arm)
compare(
  "us() by arm, 200 subjects x 4 visits, ML",
  function() lmm(y ~ arm * visit, trial, residual = ~ us(visit | arm / id), REML = FALSE),
  function() lapply(arms, function(d) {
    gls(y ~ visit, d, correlation = corSymm(form = ~ as.integer(visit) | id),
        weights = varIdent(form = ~ 1 | visit), method = "ML")
  }), "nlme, an arm a call",
  function(a, b) abs(as.numeric(logLik(a)) - sum(vapply(b, logLik, 0)))
)
one <- quiet(lmm(y ~ arm * visit + (1 | id), trial))
other <- quiet(lme4::lmer(y ~ arm * visit + (1 | id), trial))
compare(
  "CR2 and its degrees of freedom, 200 clusters",
  function() coef(summary(one, vcov = "CR2")),
  function() clubSandwich::coef_test(other, vcov = "CR2"), "clubSandwich",
  function(a, b) max(abs(a[, "Std. Error"] - b$SE), abs(a[, "df"] - b$df))
)
compare(
  "Kenward-Roger, all coefficients",
  function() coef(summary(one, ddf = "Kenward-Roger")),
  function() {
    v <- pbkrtest::vcovAdj(other)
    n <- length(fixef(other))
    vapply(seq_len(n), function(i) pbkrtest::Lb_ddf(diag(n)[i, ], vcov(other), v), 0)
  }, "pbkrtest",
  function(a, b) max(abs(a[, "df"] - b))
)
studies <- data.frame(study = factor(rep(1:200, each = 2L)), outcome = factor(rep(1:2, 200L)))
blocks <- lapply(runif(200, 0.05, 0.3), function(v) v * matrix(c(1, 0.6, 0.6, 1), 2))
studies$y <- unlist(lapply(blocks, function(v) rnorm(2) %*% chol(v))) + rnorm(200)[studies$study]
known <- as.matrix(Matrix::bdiag(blocks))
compare(
  "known(V), 200 studies with 2 outcomes",
  function() lmm(y ~ outcome + (0 + outcome | study), studies, residual = ~ known(blocks),
                 control = lmm_control(sigma = 1), REML = FALSE),
  function() metafor::rma.mv(y, known, mods = ~ outcome, random = ~ outcome | study, struct = "UN",
                             data = studies, method = "ML", sparse = TRUE), "metafor, sparse",
  function(a, b) abs(as.numeric(logLik(a)) - as.numeric(logLik(b)))
)
compare(
  "Wishart penalty, sleepstudy",
  function() lmm(Reaction ~ Days + (Days | Subject), sleepstudy,
                 control = lmm_control(penalty = penalty_wishart())),
  function() blme::blmer(Reaction ~ Days + (Days | Subject), sleepstudy), "blme",
  function(a, b) max(abs(fixef(a) - fixef(b)))
)
fit <- lmm(Reaction ~ Days + (Days | Subject), sleepstudy)
peer <- lme4::lmer(Reaction ~ Days + (Days | Subject), sleepstudy)
compare(
  "power of one test, 100 simulations, Satterthwaite",
  function() power(fit, "Days", nsim = 100, seed = 1),
  function() {
    drawn <- simulate(peer, 100, seed = 1)
    vapply(drawn, function(y) {
      again <- lmerTest::as_lmerModLmerTest(refit(peer, y))
      coef(summary(again))["Days", "Pr(>|t|)"] < 0.05
    }, NA)
  }, "lme4, lmerTest",
  function(a, b) abs(a$power[[1L]] - mean(b))
)
