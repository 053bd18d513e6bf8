## What lme4 makes of the same call: its fit as it comes, and its best, which is that fit's theta
## polished on lme4's own criterion by Newton steps with central differences (BOBYQA alone leaves
## an error of about 1e-5 in theta, more than the tolerance to compare with). Parameters that lme4
## left at zero stay there.
lme4_fits <- function(formula, data, args) {
  control <- lme4::lmerControl(calc.derivs = FALSE, check.conv.singular = "ignore")
  call_lmer <- function(...) {
    call <- as.call(c(quote(lme4::lmer), quote(formula), quote(data), args, list(...)))
    suppressMessages(suppressWarnings(eval(call)))
  }
  as_it_comes <- call_lmer(control = control)
  criterion <- call_lmer(control = control, devFunOnly = TRUE)
  theta <- polish(criterion, lme4::getME(as_it_comes, "theta"), lme4::getME(as_it_comes, "lower"))
  evaluate <- lme4::lmerControl(
    optimizer = NULL, calc.derivs = FALSE, check.conv.singular = "ignore"
  )
  best <- call_lmer(start = unname(theta), control = evaluate)
  list(as_it_comes = as_it_comes, best = best)
}

polish <- function(criterion, theta, lower, steps = 3L) {
  free <- which(!(lower == 0 & theta < 1e-5))
  theta[-free] <- if (length(free) < length(theta)) 0 else theta[-free]
  value <- criterion(theta)
  for (step in seq_len(steps)) {
    if (length(free) == 0L) break
    at <- function(shift) {
      moved <- theta
      moved[free] <- moved[free] + shift
      criterion(moved)
    }
    newton <- newton_step(at, length(free), value, h = 1e-4 * pmax(abs(theta[free]), 0.1))
    moved <- theta
    moved[free] <- moved[free] + newton
    moved_value <- if (all(is.finite(moved)) && all(moved >= lower)) criterion(moved) else Inf
    if (!(moved_value <= value + 1e-9)) break
    theta <- moved
    value <- min(value, moved_value)
  }
  theta
}

newton_step <- function(at, m, value, h) {
  unit <- function(i) replace(numeric(m), i, h[i])
  up <- vapply(seq_len(m), function(i) at(unit(i)), 0)
  down <- vapply(seq_len(m), function(i) at(-unit(i)), 0)
  hessian <- diag((up - 2 * value + down) / h^2, m)
  for (i in seq_len(m)[-1L]) {
    for (j in seq_len(i - 1L)) {
      corners <- at(unit(i) + unit(j)) - at(unit(i) - unit(j)) - at(unit(j) - unit(i)) +
        at(-unit(i) - unit(j))
      hessian[i, j] <- hessian[j, i] <- corners / (4 * h[i] * h[j])
    }
  }
  tryCatch(-solve(hessian, (up - down) / (2 * h)), error = function(e) rep(NaN, m))
}

lme4_criterion <- function(m) if (lme4::isREML(m)) lme4::REMLcrit(m) else stats::deviance(m)
our_criterion <- function(m) if (isREML(m)) REMLcrit(m) else stats::deviance(m)

## Covariance matrices of the terms as plain matrices.
plain_varcorr <- function(m) {
  lapply(unclass(nlme::VarCorr(m)), function(v) matrix(as.numeric(v), nrow(v)))
}

## Ours against lme4's: the criterion not above lme4's best by more than 1e-7 of its size, nor above
## lme4's as it comes; well below that one where the case says `lower` (a win, recorded here).
## Estimates within 1e-5 of lme4's best, unless ours is the better optimum. `args` are further
## arguments of the call, unevaluated, as from alist().
expect_agrees <- function(formula, data, args = list(), lower = FALSE) {
  call <- as.call(c(quote(lmm), quote(formula), quote(data), args))
  ours <- suppressMessages(eval(call))
  theirs <- lme4_fits(formula, data, args)
  best <- lme4_criterion(theirs$best)
  unit <- 1e-7 * max(1, abs(best))
  testthat::expect_lte(our_criterion(ours), best + unit)
  win <- lme4_criterion(theirs$as_it_comes) - our_criterion(ours)
  testthat::expect_gt(win, if (lower) 10 * unit else -unit)
  testthat::expect_identical(nobs(ours), stats::nobs(theirs$best))
  if (our_criterion(ours) < best - unit) {
    return(invisible(ours))
  }

  beta <- lme4::fixef(theirs$best)
  se <- sqrt(diag(as.matrix(stats::vcov(theirs$best))))
  testthat::expect_identical(names(fixef(ours)), names(beta))
  testthat::expect_lt(max(abs(fixef(ours) - beta) / pmax(abs(beta), se)), 1e-5)
  our_se <- sqrt(diag(as.matrix(stats::vcov(ours))))
  testthat::expect_lt(max(abs(our_se / se - 1)), 1e-5)
  testthat::expect_lt(abs(sigma(ours) / stats::sigma(theirs$best) - 1), 1e-5)

  ## Variances and covariances, relative to the standard deviations they belong to: a standard
  ## deviation far below sigma counts as one of a hundredth of it, so that a zero can be compared.
  floor <- 0.01 * stats::sigma(theirs$best)
  cnms <- lapply(lme4::getME(theirs$best, "cnms"), identity)
  testthat::expect_identical(lapply(getME(ours, "cnms"), identity), cnms)
  ours_v <- plain_varcorr(ours)
  theirs_v <- plain_varcorr(theirs$best)
  for (i in seq_along(theirs_v)) {
    sd <- pmax(sqrt(diag(theirs_v[[i]])), floor / scale_of(theirs$best, i))
    testthat::expect_lt(max(abs(ours_v[[i]] - theirs_v[[i]]) / outer(sd, sd)), 2e-5)
  }

  modes <- ranef(ours, condVar = FALSE)
  for (g in names(modes)) {
    b <- as.matrix(lme4::ranef(theirs$best, condVar = FALSE)[[g]])
    testthat::expect_identical(dimnames(as.matrix(modes[[g]])), dimnames(b))
    size <- apply(abs(b), 2L, max) + 1e-3 * stats::sigma(theirs$best)
    testthat::expect_lt(max(abs(as.matrix(modes[[g]]) - b) / rep(size, each = nrow(b))), 5e-5)
  }
  spread <- stats::sd(stats::fitted(theirs$best))
  gap <- abs(unname(fitted(ours)) - unname(stats::fitted(theirs$best)))
  testthat::expect_lt(max(gap), 1e-5 * max(spread, stats::sigma(theirs$best)))
  invisible(ours)
}

## The size of the predictors of a term: a slope's standard deviation times this compares with
## sigma.
scale_of <- function(m, i) {
  columns <- as.matrix(lme4::getME(m, "mmList")[[i]])
  pmax(apply(abs(columns), 2L, max), .Machine$double.eps)
}
