# Is the optimum of a fit the lowest? Small random problems of the kind where there are several: few
# rows, outliers, variances at zero, weights of many orders. The fit as it comes is compared with
# what lme4 finds, with the engine's own search from many starts, and with searches on criteria of
# others from random starts: lme4's (nlminb), which is quick, and for some problems the dense one of
# oracle.R. What any of them claims counts if the dense criterion at its parameters and the engine
# that starts there agree on it.
# Called by dev/optima, which documents the options.

options <- list(seeds = "1:200", starts = "150", dense = "0.03")
arguments <- commandArgs(TRUE)
while (length(arguments) > 0L) {
  name <- sub("^--", "", arguments[[1L]])
  if (!startsWith(arguments[[1L]], "--") || !name %in% names(options) || length(arguments) < 2L) {
    stop("dev/optima has no option ", arguments[[1L]], call. = FALSE)
  }
  options[[name]] <- arguments[[2L]]
  arguments <- arguments[-(1:2)]
}
here <- Sys.getenv("FUZZ_SOURCE")
source(file.path(here, "load.R"))

# Difference of two criteria, relative to them, from which the higher is a miss
miss <- 1e-6
walks <- 20L

harsh_problem <- function(seed) {
  set.seed(seed, "Mersenne-Twister", "Inversion", "Rejection")
  n <- between(10L, 120L)
  codes <- function(levels) {
    if (chance(0.3)) rep_len(seq_len(levels), n) else sample.int(levels, n, TRUE)
  }
  d <- data.frame(
    g = factor(codes(between(2L, max(3L, n %/% 2L)))), h = factor(codes(between(2L, 12L))),
    k = factor(codes(between(2L, 6L))), x = stats::rnorm(n) + pick(c(0, 0, 10)),
    f = factor(sample(letters[1:3], n, TRUE))
  )
  groups <- c("g", "h", "k")[seq_len(pick(1:3, c(5, 4, 1)))]
  random <- lapply(groups, function(group) {
    lhs <- pick(list(1, quote(x), quote(0 + x), quote(f)), c(4, 4, 1, if (n > 20L) 1 else 0.5))
    simple_term(lhs, group, double = identical(lhs, quote(x)) && chance(0.4))
  })
  p <- list(
    seed = seed, kind = "harsh", objects = list(), arguments = list(), response = "y",
    fixed = pick(list(list(), list(quote(x)), list(quote(f)), list(quote(x), quote(f))),
                 c(1, 4, 1, 2)),
    random = random, residual = NULL, perfect = FALSE, closed = NULL
  )
  if (chance(0.5)) p$arguments$REML <- FALSE
  spread <- pick(c("none", "moderate", "wide"), c(5, 2, 3))
  w <- switch(spread, none = 1, moderate = exp(stats::rnorm(n)), wide = 10^stats::runif(n, -10, 10))
  if (spread != "none") p$arguments$weights <- quote(w)
  d$w <- signif(w, 3)
  e <- if (chance(0.5)) stats::rt(n, 2) else stats::rnorm(n)
  far <- sample.int(n, pick(0:3, c(4, 3, 2, 1)))
  e[far] <- e[far] + pick(c(-12, 8, 20, 100))
  d$y <- 2 + e / (if (chance(0.5)) sqrt(d$w) else 1)
  for (term in expand_terms(p$random)) {
    z <- term_design(term, d)
    effects <- matrix(stats::rnorm(z$levels * ncol(z$basis)), z$levels)
    d$y <- d$y + pick(c(0, 0.3, 1, 3)) * rowSums(z$basis * effects[z$code, , drop = FALSE])
  }
  d$y <- signif(d$y, 5)
  p$data <- d
  p
}

# lme4's fit and its criterion as a function of its theta, NULL where it refuses
of_lme4 <- function(p) {
  call <- fit_call(p)
  call[[1L]] <- quote(lme4::lmer)
  call$control <- quote(lme4::lmerControl(
    check.nobs.vs.nlev = "ignore", check.nobs.vs.nRE = "ignore", check.nobs.vs.rankZ = "ignore",
    check.nlev.gtr.1 = "ignore", calc.derivs = FALSE, check.scaleX = "ignore"
  ))
  evaluate <- function(call) tryCatch(
    suppressWarnings(suppressMessages(eval(call, list(d = p$data), globalenv()))),
    error = function(e) NULL
  )
  fit <- evaluate(call)
  if (is.null(fit)) return(NULL)
  call$devFunOnly <- TRUE
  list(fit = fit, criterion = evaluate(call))
}

# Where nlminb() ends from random starts
random_ends <- function(objective, size, lower) {
  lapply(seq_len(walks), function(i) {
    start <- stats::rnorm(size) * 10^stats::runif(size, -1.5, 1.5)
    start[lower == 0] <- abs(start[lower == 0])
    if (i %% 3L == 0L) start[stats::runif(size) < 0.3] <- 0
    tryCatch(
      stats::nlminb(start, objective, lower = lower,
                    control = list(eval.max = 600L, iter.max = 300L, rel.tol = 1e-12)),
      error = function(e) list(par = start, objective = Inf)
    )
  })
}

# The parameters that any of the searches ends at, in the order of the fit's
candidates <- function(p, context, starts, dense) {
  fit <- context$fit
  out <- list()
  more <- observe(bquote(update(fit, control = lmm_control(starts = .(starts)))), list2env(
    list(fit = fit, d = p$data), parent = globalenv()
  ))
  if (!more$error) out$starts <- list(unname(more$value$theta))
  theirs <- of_lme4(p)
  size <- length(fit$theta)
  lower <- unname(lme4_lower(context))
  set.seed(p$seed)
  if (!is.null(theirs) && length(lme4::fixef(theirs$fit)) == length(context$kept)) {
    order <- match(names(fit$theta), names(lme4::getME(theirs$fit, "theta")))
    out$lme4 <- list(unname(lme4::getME(theirs$fit, "theta"))[order])
    objective <- function(par) {
      value <- tryCatch(theirs$criterion(par), error = function(e) Inf)
      if (is.finite(value)) value else 1e100
    }
    ends <- random_ends(objective, size, lower[order(order)])
    value <- vapply(ends, `[[`, 1, "objective")
    out$random <- lapply(ends[order(value)[seq_len(3L)]], function(end) end$par[order])
  }
  if (dense) {
    ends <- random_ends(oracle_objective(context), size, lower)
    out$dense <- list(ends[[which.min(vapply(ends, `[[`, 1, "objective"))]]$par)
  }
  out
}

# Zero for standard deviations, none for what stands off the diagonal of T
lme4_lower <- function(context) {
  unlist(lapply(context$model$terms, function(z) {
    lower <- matrix(-Inf, z$k, z$k)
    diag(lower) <- 0
    lower[lower.tri(lower, TRUE)]
  }))
}

seconds <- function() sum(proc.time()[1:2])

examine <- function(seed, known) {
  p <- harsh_problem(seed)
  env <- problem_environment(p)
  before <- seconds()
  fitted <- observe(fit_call(p), env)
  row <- data.frame(seed = seed, seconds = seconds() - before, outcome = "fit", ours = NA, own = NA,
                    lowest = NA, by = "", others = NA, lme4 = NA, starts = NA, status = "")
  if (fitted$error) {
    row$outcome <- fitted$class
    return(row)
  }
  fit <- fitted$value
  row$starts <- fit$certificate$starts
  row$status <- fit$certificate$status
  context <- make_context(p, fit)
  row$ours <- fit$criterion
  row$own <- if (is.null(context$solved)) NA else context$solved$criterion
  if (!isTRUE(abs(row$own - row$ours) <= miss * (1 + abs(row$own)))) {
    # one of the two has no digits, or is wrong
    row$outcome <- if (isTRUE(context$tolerance < 1e-4)) "wrong criterion" else "no digits"
    return(row)
  }
  at <- match(seed, known$seed)
  if (!is.na(at)) {
    bounds <- c("lowest", "by", "others", "lme4")
    row[bounds] <- known[at, bounds]
    row$outcome <- if (known$outcome[[at]] %in% c("no bound", "in dispute")) {
      known$outcome[[at]]
    } else {
      "fit"
    }
    return(row)
  }
  found <- candidates(p, context, as.integer(options$starts), (seed * 7919) %% 1000 <
                        1000 * as.numeric(options$dense))
  objective <- oracle_objective(context)
  row$lowest <- row$own
  for (by in names(found)) {
    for (par in found[[by]]) {
      value <- objective(par, Inf)
      if (by == "lme4") row$lme4 <- value
      least <- if (by == "starts") row$lowest else min(row$others, row$own, na.rm = TRUE)
      if (!is_below(value, least)) next
      # the dense criterion may be rounding errors there: the engine has to agree
      again <- observe(quote(update(fit, start = start)),
                       list2env(list(fit = fit, start = par), parent = env))
      if (again$class == "ferrolmm_error_perfect_fit" ||
            !again$error && again$value$certificate$status == "not-identified" ||
            has_no_bound(context, par)) {
        row$outcome <- "no bound"
      } else if (again$error || !is_below(again$value$criterion, row$own)) {
        row$outcome <- "in dispute"
      } else {
        reached <- min(value, again$value$criterion)
        if (by != "starts") row$others <- min(row$others, reached, na.rm = TRUE)
        if (is_below(reached, row$lowest)) {
          row$lowest <- reached
          row$by <- by
        }
      }
    }
  }
  row
}

is_below <- function(value, other) value < other - miss * (1 + abs(other))

bounds <- as.integer(strsplit(options$seeds, ":", fixed = TRUE)[[1L]])
folder <- Sys.getenv("FUZZ_OUTPUT")

# The problems of some seeds, at most a hundred with the same hundreds: kept in a file, so that a run
# that is cut off has lost little
examine_block <- function(seeds) {
  file <- file.path(folder, sprintf("lowest-%06d.csv", 100L * ((seeds[[1L]] - 1L) %/% 100L)))
  known <- if (file.exists(file)) utils::read.csv(file)
  rows <- do.call(rbind, lapply(seeds, function(seed) {
    tryCatch(examine(seed, known), error = function(e) {
      data.frame(seed = seed, seconds = NA, outcome = paste("oracle:", first_line(e)), ours = NA,
                 own = NA, lowest = NA, by = "", others = NA, lme4 = NA, starts = NA, status = "")
    })
  }))
  # what is lower than all that was known is known from now on
  rows$below <- which_below(rows$own, rows$lowest)
  rows$by[rows$below] <- "ours"
  rows$missed <- rows$outcome == "fit" & which_below(rows$lowest, rows$own)
  rows$above_others <- rows$outcome == "fit" & which_below(rows$others, rows$own)
  rows$above_lme4 <- rows$outcome == "fit" & which_below(rows$lme4, rows$own)
  kept <- rows[setdiff(names(rows), c("below", "missed", "above_others", "above_lme4"))]
  kept$lowest <- pmin(rows$lowest, rows$own, na.rm = TRUE)
  utils::write.csv(
    rbind(kept, known[!known$seed %in% seeds, names(kept)]), file, row.names = FALSE
  )
  shown <- rows[rows$missed | rows$above_lme4, names(kept)]
  if (nrow(shown) > 0L) print(shown, row.names = FALSE, digits = 9)
  rows
}

which_below <- function(value, other) !is.na(value) & !is.na(other) & is_below(value, other)

report <- function(rows) {
  cat("problems ", nrow(rows), ": ", paste(names(table(rows$outcome)), table(rows$outcome),
                                           collapse = ", "), "\n", sep = "")
  cat("above the lowest that is known ", sum(rows$missed), ", of these above lme4's fit ",
      sum(rows$above_lme4 & rows$missed), ", above the best of ", walks, " starts on criteria of ",
      "others ", sum(rows$above_others & rows$missed), "; below what was known ", sum(rows$below),
      "\nwalks ", round(mean(rows$starts, na.rm = TRUE), 1), " and CPU ",
      round(1000 * mean(rows$seconds, na.rm = TRUE), 2), " ms a fit\n", sep = "")
}

seeds <- seq.int(bounds[[1L]], bounds[[2L]])
rows <- NULL
for (block in split(seeds, (seeds - 1L) %/% 100L)) {
  rows <- rbind(rows, examine_block(block))
  if (length(seeds) > 100L && nrow(rows) %% 500L < 100L) report(rows)
}
report(rows)
