# The distribution of the likelihood ratio of ranova() under the hypothesis, in finite samples.

#' Most operations of a bootstrap that ranova() starts of its own accord: some seconds
#' @noRd
bootstrap_work <- 1e9

#' Most levels of a term whose spectrum is computed; beyond, the limit is right (see ?ranova)
#' @noRd
spectrum_levels <- 2000L

#' Most draws of one batch, as numbers
#' @noRd
draw_batch <- 4e6

#' p-value of a likelihood ratio in finite samples
#'
#' @param smaller what [reduced_fit()] returned for `reduction`
#' @returns list(p, how): `how` is "exact", "bootstrap", "approximate" or "limit"
#' @noRd
finite_null <- function(model, inputs, reduction, smaller, ratio, nsim) {
  term <- inputs$random$design$terms[[reduction$term]]
  alone <- length(smaller$design$terms) == 0L
  scalar <- reduction$kept == 0L && reduction$dropped == 1L
  levels <- inputs$random$design$factors[[term$factor]]$n_levels
  free <- is.null(model$residual) && is.null(model$control$sigma) &&
    is.null(model$control$hold) && is.null(model$control$tie)
  spectral <- free && scalar && levels <= spectrum_levels && !has_known(model)
  bootstrap <- free && !(alone && spectral) && affordable(model, inputs, nsim)
  if (!bootstrap && !spectral) {
    return(list(p = mixture_p(ratio, reduction), how = "limit"))
  }
  statistics <- if (bootstrap) {
    bootstrap_ratios(model, inputs, smaller, if (is.null(nsim)) 1000L else nsim)
  } else {
    spectral_ratios(model, inputs, reduction, smaller, nsim)
  }
  list(
    p = simulated_p(ratio, statistics[!is.na(statistics)], reduction),
    how = if (!alone && bootstrap) "bootstrap" else if (alone) "exact" else "approximate"
  )
}

#' p-value of a statistic by simulated ones
#'
#' Where fewer than ten of at least 1000 reach it, the tail is that of the limit, stretched so that
#' the two agree at the upper hundredth (the scale of Greven and others 2008, section 3).
#' @noRd
simulated_p <- function(ratio, statistics, reduction) {
  n <- length(statistics)
  # equal but for rounding counts as equal
  exceeding <- sum(statistics >= ratio - 1e-8 * (1 + ratio))
  p <- (1 + exceeding) / (1 + n)
  if (n < 1000L || exceeding >= 10L || is.na(mixture_p(ratio, reduction))) {
    return(p)
  }
  rank <- ceiling(n / 100)
  anchor <- sort(statistics, decreasing = TRUE)[[rank]]
  if (anchor < 1e-6) {
    return(p)
  }
  excess <- function(scale) log(mixture_p(anchor / scale, reduction) * n / rank)
  if (excess(0.1) > 0 || excess(10) < 0) {
    return(p)
  }
  scale <- stats::uniroot(excess, c(0.1, 10), tol = 1e-10)$root
  min(mixture_p(ratio / scale, reduction), 10 / n)
}

#' A seed that is a function of the response
#' @noRd
response_seed <- function(y) {
  size <- log1p(sum(y^2))
  if (is.finite(size)) as.integer(1e9 * (size %% 1)) else 1L
}

#' Does a bootstrap take no more than some seconds?  An `nsim` of the user's is always done.
#' @noRd
affordable <- function(model, inputs, nsim) {
  !is.null(nsim) ||
    1000 * engine_work_of_fit(model_of(inputs), model$REML, model$control) <= bootstrap_work
}

#' Likelihood ratios of responses that are simulated from the smaller model
#'
#' They do not depend on the fixed effects and on sigma, which are 0 and 1.
#' @noRd
bootstrap_ratios <- function(model, inputs, smaller, nsim) {
  n <- length(inputs$fixed$y)
  noise <- if (is.null(inputs$fixed$weights)) 1 else 1 / sqrt(inputs$fixed$weights)
  known <- if (is.null(inputs$fixed$offset)) 0 else inputs$fixed$offset
  drawn <- draws_of_design(smaller$design, smaller$theta)
  reduced <- list(fixed = inputs$fixed, random = list(design = smaller$design))
  good <- c("converged", "singular", "evaluated")
  size <- max(1L, as.integer(1e7 / n))
  sizes <- c(rep.int(size, nsim %/% size), nsim %% size)
  unlist(lapply(sizes[sizes > 0L], function(count) {
    responses <- vapply(seq_len(count), function(i) {
      Reduce(`+`, lapply(drawn, draw_term, sigma = 1), known + noise * stats::rnorm(n))
    }, double(n))
    large <- fit_responses(inputs, responses, model$REML, model$control)
    small <- if (length(drawn) > 0L) {
      fit_responses(reduced, responses, model$REML, model$control)
    } else {
      criteria_without_random(model, inputs, responses)
    }
    ratio <- pmax(small$criterion - large$criterion, 0)
    ratio[!large$status %in% good | !small$status %in% good] <- NA
    ratio
  }))
}

#' The criterion of the linear model of the fixed part: that of the mixed model where theta is zero
#' @noRd
criteria_without_random <- function(model, inputs, responses) {
  engine_fit_many(
    model_of(inputs), responses, model$REML, model$control, start = numeric(length(model$theta)),
    optimize = FALSE
  )
}

#' The terms of an engine's design as draw_term() wants them
#' @noRd
draws_of_design <- function(design, theta) {
  described <- lapply(design$terms, function(term) {
    list(cnms = seq_along(term$columns), structure = term$structure, hom = term$hom)
  })
  Map(function(term, factor) {
    grouping <- design$factors[[term$factor]]
    covariance <- known_covariance(grouping$precision)
    list(
      factor = factor, columns = term$columns, codes = grouping$codes,
      n_levels = grouping$n_levels, active = 1,
      root = if (!is.null(covariance)) chol(covariance)
    )
  }, design$terms, theta_matrix(theta, described))
}

#' Draws of the likelihood ratio of one variance from its spectrum
#' @noRd
spectral_ratios <- function(model, inputs, reduction, smaller, nsim) {
  # the term's own parameter is zero, the others are those of the smaller model
  theta <- append(smaller$theta, 0, after = first_parameter(model, reduction$term) - 1L)
  spectrum <- engine_variance_spectrum(model_of(inputs), theta, model$control, reduction$term)
  restricted <- distinct_values(spectrum$restricted)
  marginal <- if (model$REML) restricted else distinct_values(spectrum$marginal)
  df <- c(restricted$times, spectrum$residual_df - sum(restricted$times))
  if (is.null(nsim)) {
    nsim <- as.integer(min(max(2e7 / length(df), 1e4), 1e5))
  }
  degrees <- if (model$REML) spectrum$residual_df else length(inputs$fixed$y)
  size <- max(1L, as.integer(draw_batch / length(df)))
  sizes <- c(rep.int(size, nsim %/% size), nsim %% size)
  unlist(lapply(sizes[sizes > 0L], function(count) {
    draws <- stats::rchisq(count * length(df), df)
    engine_likelihood_ratio_draws(restricted, marginal, degrees, draws, model$control$threads)
  }))
}

#' Place of a term's first parameter in theta
#' @noRd
first_parameter <- function(model, term) {
  sizes <- vapply(model$random, count_theta, 1)
  1L + sum(sizes[seq_len(term - 1L)])
}

#' Positive eigenvalues without repetitions, and how often each occurs; equal but for rounding is
#' equal
#' @noRd
distinct_values <- function(values) {
  largest <- max(values, 0)
  values <- sort(values[values > 1e-10 * largest])
  group <- cumsum(c(TRUE, diff(values) > 1e-9 * largest))[seq_along(values)]
  list(
    values = as.double(tapply(values, group, mean)), times = as.double(tabulate(group))
  )
}
