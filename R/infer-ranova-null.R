# The distribution of the likelihood ratio of ranova() under the hypothesis, in finite samples.

#' Most operations of a bootstrap that ranova() starts without being asked: a few seconds
#' @noRd
bootstrap_work <- 5e8

#' Most levels of a term whose spectrum is computed; beyond, the limit is right (see ?ranova)
#' @noRd
spectrum_levels <- 2000L

#' Most numbers drawn in one batch
#' @noRd
draw_batch <- 4e6

#' p-value of a likelihood ratio in finite samples
#'
#' @param smaller what [reduced_fit()] returned for `reduction`
#' @param df parameters that the reduction takes away: none where all of them are held
#' @returns list(p, how): `how` is "exact", "bootstrap", "approximate", "limit", or NA for none
#' @noRd
finite_null <- function(model, inputs, reduction, smaller, ratio, df, nsim) {
  limit <- list(p = limit_p(model, reduction, ratio, df), how = "limit")
  if (is.na(limit$p)) {
    limit$how <- NA_character_
  }
  if (df == 0L || depends_on_fitted(model$residual)) {
    return(limit)
  }
  alone <- is.null(smaller$inputs)
  spectral <- has_spectrum(model, inputs, reduction)
  # responses of rows that are not there cannot be simulated
  can_simulate <- is.null(inputs$fixed$tables)
  if (!(alone && spectral) && can_simulate && affordable(model, inputs, nsim)) {
    how <- if (alone && !has_constraints(model)) "exact" else "bootstrap"
    statistics <- bootstrap_ratios(model, inputs, smaller, if (is.null(nsim)) 1000L else nsim)
  } else if (spectral) {
    how <- if (alone) "exact" else "approximate"
    statistics <- spectral_ratios(model, inputs, reduction, smaller, nsim)
  } else {
    return(limit)
  }
  tail <- function(statistic) limit_p(model, reduction, statistic, df)
  p <- p_of_optima(statistics, function(found) simulated_p(ratio, found, tail),
                   paste0("`", reduction$label, "`"))
  list(p = p, how = if (is.na(p)) NA_character_ else how)
}

#' Is one variance tested, in a model to which the theory of the spectrum applies?
#' @noRd
has_spectrum <- function(model, inputs, reduction) {
  factor <- inputs$random$design$terms[[reduction$term]]$factor
  reduction$kept == 0L && reduction$dropped == 1L && reduction$classes == 1L &&
    is.null(inputs$residual) && !has_constraints(model) && !has_known(model) &&
    inputs$random$design$factors[[factor]]$n_levels <= spectrum_levels
}

#' A seed that is a function of the response
#' @noRd
response_seed <- function(y) {
  size <- log1p(sum(y^2))
  if (is.finite(size)) as.integer(1e9 * (size %% 1)) else 1L
}

#' Does a bootstrap take no more than a few seconds? An `nsim` that the user gave is always done.
#' @noRd
affordable <- function(model, inputs, nsim) {
  !is.null(nsim) ||
    1000 * engine_work_of_fit(model_of(inputs), model$REML, model$control) <= bootstrap_work
}

#' Likelihood ratios of responses that are simulated from the smaller model
#'
#' They do not depend on the fixed effects, which are 0, nor on sigma where it is estimated.
#' @noRd
bootstrap_ratios <- function(model, inputs, smaller, nsim) {
  n <- length(inputs$fixed$y)
  sigma <- if (is.null(model$control$sigma)) 1 else model$control$sigma
  known <- if (is.null(inputs$fixed$offset)) 0 else inputs$fixed$offset
  drawn <- if (!is.null(smaller$inputs)) {
    draws_of_design(smaller$inputs$random$design, smaller$theta)
  }
  size <- max(1L, as.integer(1e7 / n))
  sizes <- c(rep.int(size, nsim %/% size), nsim %% size)
  unlist(lapply(sizes[sizes > 0L], function(count) {
    noise <- residual_draws(inputs, smaller$phi, count, model$control$threads)
    responses <- vapply(seq_len(count), function(i) {
      Reduce(`+`, lapply(drawn, draw_term, sigma = sigma), known + sigma * noise[, i])
    }, double(n))
    large <- fit_responses(inputs, responses, model$REML, model$control)
    small <- if (is.null(smaller$inputs)) {
      criteria_without_random(model, inputs, responses)
    } else {
      fit_responses(smaller$inputs, responses, model$REML, smaller$control)
    }
    ratio <- pmax(small$criterion - large$criterion, 0)
    ratio[!is_optimum(large$status) | !is_optimum(small$status)] <- NA
    ratio
  }))
}

#' Draws of N(0, R), one per column
#' @noRd
residual_draws <- function(inputs, phi, count, threads) {
  n <- length(inputs$fixed$y)
  noise <- matrix(stats::rnorm(n * count), n)
  own <- which(inputs$fixed$own > 0)
  if (length(own) > 0L) {
    # a row that stands for the rest of its cell has the length of that, whatever its direction
    degrees <- rep.int(inputs$fixed$own[own], count)
    noise[own, ] <- sqrt(stats::rchisq(length(own) * count, degrees))
  }
  if (!is.null(inputs$residual)) {
    return(engine_residual_rows(
      inputs$residual, inputs$fixed$weights, phi, noise, "color", threads
    ))
  }
  if (is.null(inputs$fixed$weights)) noise else noise / sqrt(inputs$fixed$weights)
}

#' The criterion of the linear model of the fixed part: that of the mixed model where theta is zero
#' @noRd
criteria_without_random <- function(model, inputs, responses) {
  if (!is.null(inputs$fixed$tables)) {
    return(engine_fit(
      model_of(inputs), model$REML, numeric(length(model$theta)), engine_control(model),
      optimize = FALSE
    ))
  }
  engine_fit_many(
    model_of(inputs), responses, model$REML, model$control, start = numeric(length(model$theta)),
    optimize = FALSE
  )
}

#' The terms of an engine's design as draw_term() wants them
#' @noRd
draws_of_design <- function(design, theta) {
  described <- lapply(design$terms, function(term) {
    list(
      cnms = seq_along(term$columns), structure = term$structure, hom = term$hom,
      classes = seq_len(if (is.null(term$classes)) 0L else term$classes$count)
    )
  })
  Map(function(term, factors) {
    grouping <- design$factors[[term$factor]]
    covariance <- known_covariance(grouping$precision)
    list(
      factors = factors, classes = term$classes$codes, columns = term$columns,
      codes = if (is.null(grouping$members)) grouping$codes else grouping$members,
      n_levels = grouping$n_levels, active = 1,
      root = known_root(covariance)
    )
  }, design$terms, term_factors(theta, described))
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
  degrees <- if (model$REML) spectrum$residual_df else count_observations(model)
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

#' Positive eigenvalues without repetitions, and how often each occurs; equal up to rounding is
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
