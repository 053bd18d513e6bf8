#!/usr/bin/env Rscript
# Are the parameters of each structure recovered, and do their 95 % Wald intervals cover them?
#   Rscript bench/coverage-structures.R [replicates]     default 1000; a few minutes
# 40 subjects, 5 visits (uneven times for car1 and exp), one in ten rows missing. sigma is known beside
# cs and toep on the G side: with a free residual variance they are not identified. For each structure:
# fixed effects with the degrees of freedom of Satterthwaite and of Kenward and Roger, and every
# parameter of the structure, on the scale that confint() uses. Writes the table for README.md to
# standard output.
suppressPackageStartupMessages({
  library(nlme)
  library(ferrolmm)
})
replicates <- as.integer(c(commandArgs(TRUE), 1000)[1])
RNGkind("Mersenne-Twister", "Inversion", "Rejection")
subjects <- 40L
visits <- 5L
design <- expand.grid(visit = seq_len(visits), id = factor(seq_len(subjects)))
design$arm <- factor(c("a", "b")[1L + as.integer(design$id) %% 2L])
design$t <- design$visit + c(0, 0.3, -0.2, 0.4, 0.1)[design$visit]
design$v <- 1 + (seq_len(nrow(design)) * 7) %% 10 / 3
design$f <- factor(design$visit)
lag <- abs(outer(1:5, 1:5, "-"))
gap <- abs(outer(design$t[1:5], design$t[1:5], "-"))
us <- matrix(0.6, 5, 5)
us[lower.tri(us)] <- c(0.6, 0.5, 0.4, 0.3, 0.65, 0.5, 0.4, 0.6, 0.5, 0.7)
us[upper.tri(us)] <- t(us)[upper.tri(us)]
diag(us) <- 1
chain <- c(0.7, 0.5, 0.6, 0.4)
ante <- outer(1:5, 1:5, Vectorize(function(a, b) {
  prod(chain[seq_len(4) >= min(a, b) & seq_len(4) < max(a, b)])
}))
toeplitz <- c(0.6, 0.4, 0.3, 0.2)
sds <- c(1, 1.2, 1.4, 1.1, 1.6)
hetero <- function(c) c * outer(sds, sds)
below <- function(m) m[lower.tri(m)]

# truth: names as in confint(oldNames = FALSE); r: covariance matrix of the residuals of a subject
# or standard deviations of the rows; g: of the five effects of a subject
cases <- list(
  ar1 = list(arguments = list(residual = ~ ar1(visit | id)), r = 0.6^lag, phi = 0.6),
  car1 = list(arguments = list(correlation = corCAR1(form = ~ t | id)), r = 0.6^gap, phi = 0.6),
  cs = list(arguments = list(residual = ~ cs(visit | id)), r = 0.5 + diag(0.5, 5), phi = 0.5),
  us = list(
    arguments = list(residual = ~ us(visit | id)), r = hetero(us), phi = c(below(us), sds[-1])
  ),
  toep = list(
    arguments = list(residual = ~ toep(visit | id)),
    r = matrix(c(1, toeplitz)[lag + 1], 5), phi = toeplitz
  ),
  ante = list(arguments = list(residual = ~ ad(visit | id)), r = ante, phi = chain),
  exp = list(arguments = list(correlation = corExp(form = ~ t | id)), r = exp(-gap / 2), phi = 2),
  power = list(
    arguments = list(weights = varPower(form = ~ v)), random = TRUE, sd = design$v^0.7, phi = 0.7
  ),
  ident = list(
    arguments = list(weights = varIdent(form = ~ 1 | f)), random = TRUE, sd = sds[design$visit],
    phi = sds[-1]
  ),
  "ar1 and random intercept" = list(
    arguments = list(residual = ~ ar1(visit | id)), random = TRUE, r = 0.4^lag, phi = 0.4
  ),
  "G: cs" = list(
    bars = "cs(0 + f | id, hom = TRUE)", g = 0.5 + diag(0.5, 5), theta = c(1, 0.5), sigma = NA
  ),
  "G: ar1" = list(bars = "ar1(0 + f | id)", g = 0.7^lag, theta = c(1, 0.7), sigma = 1),
  "G: toep" = list(
    bars = "toep(0 + f | id, hom = TRUE)", g = matrix(c(1, toeplitz)[lag + 1], 5),
    theta = c(1, toeplitz), sigma = NA
  )
)

run <- function(case, name) {
  set.seed(20261125)
  random <- isTRUE(case$random)
  sigma <- if (is.null(case[["sigma"]])) 1 else case[["sigma"]]
  held <- is.na(sigma)
  sigma <- if (held) 0.5 else sigma
  root <- if (!is.null(case[["r"]])) chol(case[["r"]])
  groot <- if (!is.null(case[["g"]])) chol(case[["g"]])
  formula <- stats::as.formula(paste(
    "y ~ arm + visit", if (random) "+ (1 | id)", if (!is.null(case$bars)) paste("+", case$bars)
  ))
  truth <- c(
    if (random) 0.8, case$theta, case$phi, if (!held) sigma, rep(c(1, 0.5, 0.2), 2L)
  )
  last <- length(truth) - 2:0
  fixed <- last - 3L
  one <- function() {
    d <- design
    noise <- matrix(rnorm(nrow(d)), visits)
    e <- sigma * if (is.null(root)) c(noise) else c(crossprod(root, noise))
    if (!is.null(case[["sd"]])) e <- e * case[["sd"]]
    if (!is.null(groot)) e <- e + c(crossprod(groot, matrix(rnorm(nrow(d)), visits)))
    if (random) e <- e + 0.8 * rnorm(subjects)[d$id]
    d$y <- 1 + 0.5 * (d$arm == "b") + 0.2 * d$visit + e
    # the first rows stay: strata of varIdent() are in the order in which they come
    d <- d[runif(nrow(d)) > 0.1 | seq_len(nrow(d)) <= visits, ]
    control <- lmm_control(threads = 1, sigma = if (held) sigma)
    fit <- tryCatch(
      suppressWarnings(suppressMessages(do.call(
        lmm, c(list(formula, d, control = control), case$arguments)
      ))),
      error = function(e) NULL
    )
    if (is.null(fit)) {
      return(NULL)
    }
    limits <- suppressWarnings(suppressMessages(confint(fit)))
    if (held) limits <- limits[rownames(limits) != ".sigma", ]
    kr <- suppressWarnings(suppressMessages(confint(fit, "beta_", ddf = "Kenward-Roger")))
    limits <- rbind(limits, kr)
    estimate <- c(
      unlist(lapply(VarCorr(fit), function(v) {
        first <- attr(v, "stddev")[[1L]]
        c(first, if (nrow(v) > 1L) attr(v, "correlation")[1L, 1L + seq_along(case$theta[-1L])])
      })), fit$phi, if (!held) sigma(fit), fixef(fit), fixef(fit)
    )
    list(
      ok = fit$certificate$status == "converged",
      inside = unname(limits[, 1L] <= truth & truth <= limits[, 2L]),
      estimate = unname(estimate)
    )
  }
  found <- lapply(seq_len(replicates), function(i) one())
  found <- found[!vapply(found, is.null, NA)]
  ok <- vapply(found, `[[`, NA, "ok")
  inside <- vapply(found, `[[`, truth > 0, "inside")
  estimate <- vapply(found, `[[`, truth, "estimate")
  bias <- rowMeans(estimate[, ok]) - truth
  spread <- apply(estimate[, ok], 1L, stats::sd)
  # intervals of parameters at the boundary are NA: they do not count
  rate <- 100 * rowMeans(inside, na.rm = TRUE)
  own <- seq_len(length(truth) - 6L)
  cells <- c(
    name, sprintf("%.1f", mean(rate[fixed])), sprintf("%.1f", mean(rate[last])),
    sprintf("%.1f", mean(rate[own])),
    sprintf("%.1f - %.1f", min(rate[own]), max(rate[own])),
    sprintf("%.2f", max(abs(bias[own] / spread[own]))), sprintf("%.1f", 100 * mean(ok))
  )
  message(paste(cells, collapse = " | "), "   ", paste(sprintf("%.1f", rate), collapse = " "))
  cells
}
table <- lapply(names(cases), function(name) run(cases[[name]], name))
cat(
  sprintf(
    "%d data sets each; Monte-Carlo error of one coverage %.1f %%.", replicates,
    100 * sqrt(0.05 * 0.95 / replicates)
  ), "",
  paste(
    "| structure | fixed effects, Satterthwaite, % | Kenward-Roger, % | its parameters, mean % |",
    "lowest and highest |",
    "largest bias / sd | inner optimum, % |"
  ),
  "|---|---|---|---|---|---|---|",
  vapply(table, function(row) paste0("| ", paste(row, collapse = " | "), " |"), ""), sep = "\n"
)
