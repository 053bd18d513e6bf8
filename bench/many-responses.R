# Refits, bootstrap, profiles and the bootstrap likelihood ratio of small models, against lme4.
#   Rscript bench/many-responses.R [LIBRARY]
# Measures the installed package (FERROLMM_PROFILE=release dev/install first); lme4's loops are timed
# on fewer replicates, and its times are given for as many as ours.

library <- commandArgs(trailingOnly = TRUE)
.libPaths(c(library, .libPaths()))
suppressPackageStartupMessages({
  base::library(lme4)
  base::library(ferrolmm)
})
data(sleepstudy, Pastes, package = "lme4")

seconds <- function(expr) system.time(expr, gcFirst = TRUE)[["elapsed"]]
quiet <- function(expr) suppressWarnings(suppressMessages(expr))
rows <- list()
compare <- function(what, ours, theirs, scale = 1) {
  rows[[what]] <<- data.frame(
    what = what, ferrolmm = ours, lme4 = theirs * scale, ratio = theirs * scale / ours
  )
}

formulas <- list(
  sleepstudy = Reaction ~ Days + (Days | Subject), Pastes = strength ~ 1 + (1 | batch / cask)
)
data <- list(sleepstudy = sleepstudy, Pastes = Pastes)
ours <- lapply(names(formulas), function(name) quiet(lmm(formulas[[name]], data[[name]])))
theirs <- lapply(names(formulas), function(name) quiet(lmer(formulas[[name]], data[[name]])))
names(ours) <- names(theirs) <- names(formulas)

set.seed(1)
responses <- sleepstudy$Reaction + matrix(rnorm(180 * 20000, sd = 20), 180)
compare(
  "refit, 20 000 responses of sleepstudy",
  seconds(ferrolmm::refit(ours$sleepstudy, responses)),
  seconds(quiet(for (i in 1:100) lme4::refit(theirs$sleepstudy, responses[, i]))), 200
)
for (name in names(formulas)) {
  compare(
    paste("1000 bootstrap refits,", name),
    seconds(bootstrap(ours[[name]], 1000, seed = 1)),
    seconds(quiet(bootMer(theirs[[name]], function(m) c(fixef(m), sigma(m)), nsim = 100))), 10
  )
  compare(
    paste("profile of all parameters,", name),
    seconds(profile(ours[[name]])), seconds(quiet(profile(theirs[[name]])))
  )
}
print(do.call(rbind, rows), row.names = FALSE, digits = 3)
