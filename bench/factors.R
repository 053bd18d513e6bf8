# Factor-analytic and reduced-rank covariances: are parameters recovered, and is the optimum that
# lmm() ends at as low as the best of many starts?
#   Rscript bench/factors.R [data sets] [starts]      20 and 20
# Varieties in environments, two plots each, some missing. Prints for each model the largest
# excess of the criterion over the lowest of the walks from random starts, in how many data sets
# that happens, and the error of G relative to its size, next to that of the unstructured fit.

suppressMessages(library(ferrolmm))
arguments <- as.integer(commandArgs(TRUE))
sets <- if (length(arguments) > 0L) arguments[[1L]] else 20L
starts <- if (length(arguments) > 1L) arguments[[2L]] else 20L

trial <- function(q, k, varieties, specific) {
  lambda <- cbind(runif(q, 0.7, 1.3), matrix(rnorm(q * (k - 1L), sd = 0.6), q))
  psi <- specific * runif(q, 0.5, 1.5)
  u <- tcrossprod(matrix(rnorm(varieties * k), varieties), lambda) +
    matrix(rnorm(varieties * q), varieties) * rep(sqrt(psi), each = varieties)
  d <- expand.grid(env = factor(seq_len(q)), rep = 1:2, gen = factor(seq_len(varieties)))
  d$y <- u[cbind(d$gen, d$env)] + rnorm(nrow(d), sd = 0.7)
  list(data = d[runif(nrow(d)) > 0.15, ], g = tcrossprod(lambda) + diag(psi, q))
}

walk <- function(formula, data, fit) {
  size <- max(abs(fit$theta))
  start <- rnorm(length(fit$theta), sd = size)
  lower <- getME(fit, "lower")
  start[lower == 0] <- abs(start[lower == 0])
  found <- suppressMessages(suppressWarnings(try(lmm(formula, data, start = start), TRUE)))
  if (inherits(found, "try-error")) NA else REMLcrit(found)
}

for (case in list(
  list(word = "fa", q = 6L, k = 1L, varieties = 60L, specific = 0.2),
  list(word = "fa", q = 8L, k = 2L, varieties = 60L, specific = 0.2),
  list(word = "fa", q = 6L, k = 2L, varieties = 25L, specific = 0.05),
  list(word = "rr", q = 8L, k = 2L, varieties = 60L, specific = 0)
)) {
  set.seed(1)
  formula <- as.formula(sprintf("y ~ env + %s(0 + env | gen, k = %d)", case$word, case$k))
  found <- replicate(sets, {
    made <- trial(case$q, case$k, case$varieties, case$specific)
    fit <- suppressMessages(suppressWarnings(lmm(formula, made$data)))
    us <- suppressMessages(suppressWarnings(lmm(y ~ env + us(0 + env | gen), made$data)))
    others <- replicate(starts, walk(formula, made$data, fit))
    error <- function(f) sqrt(sum((VarCorr(f)$gen - made$g)^2) / sum(made$g^2))
    c(
      excess = REMLcrit(fit) - min(others, na.rm = TRUE), above = REMLcrit(fit) - REMLcrit(us),
      error = error(fit), error_us = error(us), heywood = isSingular(fit),
      proved = fit$certificate$status %in% c("converged", "singular"),
      agree = mean(others < min(others, na.rm = TRUE) + 1e-3, na.rm = TRUE)
    )
  })
  cat(sprintf(
    paste("%s k = %d, %d effects, %d levels: excess at most %.1e (%d of %d above 1e-4), %d proved,",
          "%d at the boundary; least rise over us %.1e; error of G %.2f, us %.2f;",
          "random starts at the lowest: %.0f%%\n"),
    case$word, case$k, case$q, case$varieties, max(found["excess", ]),
    sum(found["excess", ] > 1e-4), sets, sum(found["proved", ]), sum(found["heywood", ]),
    min(found["above", ]), mean(found["error", ]), mean(found["error_us", ]),
    100 * mean(found["agree", ])
  ))
}
