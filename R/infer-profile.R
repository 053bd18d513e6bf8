#' Profile the likelihood
#'
#' How the criterion rises as one parameter moves away from its estimate and all others are fitted
#' again. The profile of a parameter is kept as `zeta`, the signed root of the change in the
#' criterion: if the estimate were normally distributed with a known variance it would be a straight
#' line.
#'
#' @details
#' Standard deviations, correlations and sigma are profiled in the criterion that was fitted: REML
#' for a fit by REML (where 'lme4' fits by ML first). Fixed effects have a likelihood only under ML:
#' those of a fit by REML are profiled around the ML fit of the same model, as in 'lme4'. Use
#' `refitML()` first to have all parameters profiled in one criterion.
#'
#' A profile of a fixed effect ends, with a warning, where the next point has no optimum: where the
#' other parameters do not come to rest. Around a fit that is no optimum itself there is none.
#'
#' Parameters that are held, and a known sigma (see [lmm_control()]), stay where they are and are
#' left out; those that are tied move together.
#'
#' Where a standard deviation can go to zero, or a correlation to 1 or -1, before `zeta` reaches the
#' cutoff, the profile ends in that point and so does the confidence interval. The profile of a
#' correlation keeps to the path from the estimate: where the criterion rises by more than leaving
#' out one of its two variances costs, any correlation would do with that variance at zero. A
#' correlation with an effect whose variance is estimated as zero has no profile, and its limits
#' are `NA`.
#'
#' @param fitted A model fitted by [lmm()].
#' @param which The parameters: `"theta_"` (standard deviations, correlations and sigma), `"beta_"`
#'   (fixed effects), names (with or without `signames`), or numbers in the order of the variance
#'   parameters, sigma, and the fixed effects. By default all.
#' @param alphamax The profile goes as far as needed for joint confidence regions of level
#'   `1 - alphamax` of all parameters.
#' @param signames Names `.sig01`, `.sig02`, ..., `.sigma` as in 'lme4' (`TRUE`), or
#'   `sd_(Intercept)|Subject` and so on?
#' @param cutoff The largest absolute `zeta`, instead of `alphamax`.
#' @param ... Not used; any other argument is an error.
#' @returns A data frame of class `profile.lmm`: `.zeta`; a column for each parameter of the model,
#'   its value when `.par`, a factor, is the one that moves. There are methods for [confint()],
#'   [plot()], [print()] and [as.data.frame()].
#' @references
#' Bates, D. M. and Watts, D. G. (1988). *Nonlinear Regression Analysis and Its Applications*.
#' Wiley.
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' profiled <- profile(fit, "theta_")
#' confint(profiled)
#' plot(profiled)
#' @importFrom stats profile
#' @export
profile.lmm <- function(fitted, which = NULL, alphamax = 0.01, signames = TRUE, cutoff = NULL,
                        ...) {
  check_dots(...)
  check_flag(signames, "signames")
  chosen <- match_parameters(which, fitted)
  cutoff <- profile_cutoff(cutoff, alphamax, count_variance(fitted) + fitted$rank)
  profile_of(fitted, chosen, cutoff, signames)
}

#' Profiles of parameters by number
#'
#' @param coefficients find the fixed effects along the profiles of variance parameters?
#'   Intervals do not need them.
#' @noRd
profile_of <- function(object, chosen, cutoff, signames, coefficients = TRUE) {
  n_variance <- count_variance(object)
  paths <- c(
    profile_variance(object, chosen[chosen <= n_variance], cutoff, coefficients),
    profile_fixed(object, chosen[chosen > n_variance] - n_variance, cutoff)
  )
  moved <- lengths(paths) > 0L
  if (!any(moved)) {
    ferrolmm_abort(
      "There is nothing to profile: none of the parameters that were asked for can move.",
      "argument",
      i = paste("Parameters that are held stay where they are, and the correlations of an effect",
                "whose variance is zero mean nothing.")
    )
  }
  new_profile(
    paths[moved], chosen[moved], column_names(parameter_names(object, signames)), object, cutoff,
    signames
  )
}

#' Standard deviations, correlations, phi and sigma of a fit
#' @noRd
natural_parameters <- function(object) {
  drop(theta_to_sdcor(matrix(object$theta), object$sigma, object$random, object$phi))
}

#' The number of variance parameters, sigma included
#' @noRd
count_variance <- function(object) length(object$theta) + length(object$phi) + 1L

#' Where the profile of each variance parameter can end; sigma does not
#'
#' Compound symmetry of k effects or rows ends at -1 / (k - 1).
#' @noRd
variance_ends <- function(object) {
  correlation <- correlation_parameters(object$random)
  lowest <- unlist(lapply(object$random, function(term) {
    n <- count_theta(term)
    rep.int(if (term$structure == "cs") -1 / (length(term$cnms) - 1) else -1, n)
  }))
  residual <- object$residual
  kinds <- phi_kinds(residual)
  cs <- identical(residual$correlation$type, "cs") & kinds == "correlation"
  ends <- list(
    correlation = c(-1, 1), unit = c(0, 1), positive = c(0, Inf), real = c(-Inf, Inf)
  )
  phi <- vapply(kinds, function(kind) ends[[kind]], c(0, 0), USE.NAMES = FALSE)
  phi[1L, cs] <- -1 / (residual$correlation$largest - 1)
  cbind(
    c(ifelse(correlation, as.double(lowest), 0), phi[1L, ], -Inf),
    c(ifelse(correlation, 1, Inf), phi[2L, ], Inf)
  )
}

#' Numbers of the parameters that `which` asks for, sorted; those that are aliased are left out
#' @noRd
match_parameters <- function(which, object) {
  old <- parameter_names(object, TRUE)
  n_variance <- count_variance(object)
  identified <- c(seq_len(n_variance), n_variance + unname(kept_columns(object)))
  if (is.null(which)) {
    return(identified)
  }
  if (is.character(which)) {
    groups <- list(theta_ = seq_len(n_variance), beta_ = seq_along(old)[-seq_len(n_variance)])
    chosen <- c(
      groups[names(groups) %in% which],
      match_either(
        setdiff(which, names(groups)), old, parameter_names(object, FALSE), "which",
        parameter_details(object)
      )
    )
    return(intersect(identified, unlist(chosen)))
  }
  intersect(identified, match_numbers(which, length(old), "which", "parameter"))
}

#' Numbers of parameters by either of their names
#' @noRd
match_either <- function(given, old, new, argument, details) {
  # a parameter whose two names are the same is there once
  at <- match(given, old)
  other <- is.na(at) & given %in% new
  match_names(given[!other], old, argument, "parameter", details)
  check_unambiguous(given[other], new, argument, "parameter", details)
  both <- !other & given %in% new & match(given, new) != at
  if (any(both)) {
    check_unambiguous(
      given[both], c(old, new), argument, "parameter", rep.int(details, 2L)
    )
  }
  at[other] <- match(given[other], new)
  at
}

#' @noRd
profile_cutoff <- function(cutoff, alphamax, n_parameters) {
  if (is.null(cutoff)) {
    if (!is.numeric(alphamax) || length(alphamax) != 1L || is.na(alphamax) || alphamax <= 0 ||
          alphamax >= 1) {
      ferrolmm_abort("`alphamax` must be a number between 0 and 1.", "argument")
    }
    return(sqrt(stats::qchisq(1 - alphamax, n_parameters)))
  }
  if (!is.numeric(cutoff) || length(cutoff) != 1L || !is.finite(cutoff) || cutoff <= 0) {
    ferrolmm_abort("`cutoff` must be a positive number.", "argument")
  }
  as.double(cutoff)
}

#' Profiles of variance parameters
#'
#' @returns a list by element of `which` of list(zeta, parameters: a row for each parameter of the
#'   model, a column for each point), NULL for a parameter that does not move
#' @noRd
profile_variance <- function(object, which, cutoff, coefficients = TRUE) {
  if (length(which) == 0L) {
    return(list())
  }
  inputs <- engine_inputs(object)
  constrained <- has_constraints(object)
  found <- engine_inference(engine_profile, object, which, cutoff)
  estimate <- natural_parameters(object)
  limits <- variance_ends(object)
  lapply(found, function(path) {
    still <- constrained && (length(path$zeta) == 1L || is_held_at_zero(object, path$which))
    if (still || is.na(estimate[[path$which]])) {
      return(NULL)
    }
    path <- reach_ends(path, estimate, limits[path$which, ], cutoff)
    beta <- if (coefficients) {
      coefficients_along(object, inputs, path$parameters, which(path$zeta == 0)[[1L]])
    } else {
      matrix(NA_real_, length(object$coefficients), length(path$zeta))
    }
    list(zeta = path$zeta, parameters = rbind(path$parameters, beta))
  })
}

#' A relative standard deviation that is held at zero has no profile, others move with sigma
#' @noRd
is_held_at_zero <- function(object, which) {
  held <- object$control$hold[c(names(object$theta), names(object$phi))[which]]
  isTRUE(unname(held) == 0) && which <= length(object$theta)
}

#' Fixed effects at given variance parameters, one column each
#'
#' Where the parameters are at an end that leaves no covariance matrix to evaluate, they are those
#' of the point before, seen from the estimate.
#' @param center the column of the estimate.
#' @noRd
coefficients_along <- function(object, inputs, parameters, center) {
  impossible <- function(e) rep.int(NaN, length(object$coefficients))
  beta <- vapply(seq_len(ncol(parameters)), function(i) {
    if (i == center) {
      return(unname(object$coefficients))
    }
    values <- parameters[, i]
    # the correlations of an effect whose variance is zero: any would do
    values[is.na(values)] <- 0
    theta <- sdcor_to_theta(values, object$random)
    tryCatch(
      engine_fit(
        model_of(inputs), object$REML, theta, unconstrained_control(object), optimize = FALSE
      )$beta,
      ferrolmm_error_residual_start = impossible, ferrolmm_error_dimension = impossible
    )
  }, unname(object$coefficients))
  fill_outwards(matrix(beta, ncol = ncol(parameters)), center, kept_columns(object))
}

#' Columns with missing values are like the next one towards `center`
#' @noRd
fill_outwards <- function(x, center, rows) {
  for (i in c(rev(seq_len(center - 1L)), center + seq_len(ncol(x) - center))) {
    if (anyNA(x[rows, i])) x[, i] <- x[, i + sign(center - i)]
  }
  x
}

#' Let a path start at the estimate and end in the boundary of the parameter where it comes there
#'
#' The engine follows the logarithm of a standard deviation and Fisher's z of a correlation, so it
#' comes as near to the boundary as it pleases, but never into it.
#' @noRd
reach_ends <- function(path, estimate, ends, cutoff) {
  at <- path$which
  value <- path$value
  zeta <- path$zeta
  parameters <- path$parameters
  # others may be as near, where the parameter ends within rounding
  center <- which(zeta == 0)
  center <- center[[which.min(abs(value[center] - estimate[[at]]))]]
  parameters[, center] <- estimate
  value[center] <- estimate[[at]]
  on_lower <- value[center] - ends[[1L]] < 1e-8
  on_upper <- ends[[2L]] - value[center] < 1e-8
  kept <- (value > value[center] & zeta > 0 & !on_upper) |
    (value < value[center] & zeta < 0 & !on_lower)
  kept[center] <- TRUE
  if (on_lower || on_upper) {
    value[center] <- parameters[at, center] <- ends[[if (on_lower) 1L else 2L]]
  }
  value <- value[kept]
  zeta <- zeta[kept]
  parameters <- parameters[, kept, drop = FALSE]
  for (side in 1:2) {
    end <- ends[[side]]
    if (!is.finite(end) || (side == 1L && on_lower) || (side == 2L && on_upper)) {
      next
    }
    order <- if (side == 1L) seq_along(zeta) else rev(seq_along(zeta))
    last <- zeta_at_end(abs(value[order] - end), zeta[order], 2 * side - 3, is.infinite(ends[[2L]]))
    if (abs(zeta[order[[1L]]]) >= cutoff || is.na(last)) {
      next
    }
    boundary <- parameters[, order[[1L]]]
    boundary[[at]] <- end
    if (side == 1L) {
      value <- c(end, value)
      zeta <- c(last, zeta)
      parameters <- cbind(boundary, parameters, deparse.level = 0L)
    } else {
      value <- c(value, end)
      zeta <- c(zeta, last)
      parameters <- cbind(parameters, boundary, deparse.level = 0L)
    }
  }
  list(zeta = zeta, parameters = parameters)
}

#' zeta where the parameter comes to its end, NA where the path stops before
#'
#' Zeta of a correlation levels off where one of its two variances goes to zero: from there on any
#' correlation would do, and the profile is the same up to the end.
#' @param distance from the end, in the order in which they are met from there; `side` -1 or 1.
#' @param deviation a standard deviation, whose logarithm was followed, and no correlation?
#' @noRd
zeta_at_end <- function(distance, zeta, side, deviation) {
  if (length(zeta) < 2L || abs(zeta[[1L]] - zeta[[2L]]) > 0.05 || sign(zeta[[1L]]) != side) {
    return(NA_real_)
  }
  level <- !deviation && distance[[1L]] > 0.01 && abs(zeta[[1L]] - zeta[[2L]]) < 1e-4
  last <- if (level) zeta[[1L]] else value_at_zero(distance, zeta)
  if (abs(last) < abs(zeta[[1L]]) || sign(last) != side) zeta[[1L]] else last
}

#' Value at x = 0 of the parabola through the first point, one about twice and one four times as far
#'
#' Zeta is smooth in a standard deviation and in a correlation up to their ends. Points that are
#' nearer to each other would tell of rounding.
#' @param x distances, increasing
#' @noRd
value_at_zero <- function(x, y) {
  second <- which(x >= 2 * x[[1L]])[1L]
  third <- which(x >= 2 * x[second])[1L]
  at <- c(1L, second, third)
  at <- at[!is.na(at)]
  if (length(at) < 3L) at <- seq_len(min(3L, length(x)))
  # Lagrange's form
  sum(vapply(seq_along(at), function(i) {
    y[[at[[i]]]] * prod(x[at[-i]] / (x[at[-i]] - x[[at[[i]]]]))
  }, 1))
}

#' Profiles of fixed effects, by ML
#'
#' With a coefficient fixed its column moves to the left-hand side: points of a profile are fits of
#' one model to many responses. They are short walks from the variance parameters of the fit, near
#' which those of a point are; where the fit itself took more than one start, some of the points,
#' and if one of them ends lower all, from where fits start too.
#' @noRd
profile_fixed <- function(object, which, cutoff) {
  if (length(which) == 0L) {
    return(list())
  }
  fit <- quietly(refitML.lmm(object))
  inputs <- engine_inputs(fit)
  whole <- inputs$fixed$X
  se <- sqrt(diag(vcov.lmm(fit, complete = TRUE)))
  control <- fit$control
  control$starts <- 1L
  control$max_evaluations <- min(control$max_evaluations, point_evaluations)
  paths <- lapply(which, function(j) {
    column <- whole[, j]
    inputs$fixed$X <- whole[, setdiff(kept_columns(fit), j), drop = FALSE]
    refitted <- function(delta) {
      responses <- inputs$fixed$y - outer(column, fit$coefficients[[j]] + delta)
      near <- fit_responses(inputs, responses, FALSE, control, start = theta_of(fit))
      walk <- function(at) {
        fit_responses(inputs, responses[, at, drop = FALSE], FALSE, fit$control)
      }
      if (fit$certificate$starts == 1L) near else lower_fits(near, walk)
    }
    fixed_path(fit, j, se[[j]], refitted, cutoff)
  })
  ended <- vapply(paths, `[[`, NA, "ended")
  if (any(ended)) {
    warn_ended(names(fit$coefficients)[which[ended]], is_optimum(fit$certificate$status))
  }
  paths
}

#' Most evaluations of the criterion on the short walk to a point of a profile; some ten are usual
#' @noRd
point_evaluations <- 100L

#' Is what a fit came to a minimum?  One that is flat, as along the correlation of effects without
#' variance, is.
#' @noRd
is_optimum <- function(status) {
  status %in% c("converged", "singular", "not-identified", "evaluated")
}

#' @noRd
warn_ended <- function(names, has_optimum) {
  ferrolmm_warn(
    paste0("The profile of ", quote_names(names), " ends before `zeta` comes to the cutoff."),
    "profile",
    x = if (has_optimum) {
      "No optimum of the other parameters was found at the next point."
    } else {
      "The fit itself did not come to an optimum: there is none to see the others from."
    },
    i = "See certificate(); a simpler random-effects part or residual structure may serve."
  )
}

#' Of two fits of each response the one with the lower criterion
#'
#' Where the lowest optimum is another one, it is so for a range of responses that follow each
#' other: every fourth tells whether to fit the others twice.
#' @param fits of all responses
#' @param walk gives others of some of them
#' @noRd
lower_fits <- function(fits, walk) {
  n <- length(fits$criterion)
  some <- union(seq.int(min(4L, n), n, by = 4L), n)
  for (at in list(some, setdiff(seq_len(n), some))) {
    if (length(at) == 0L) break
    again <- walk(at)
    before <- fits$criterion[at]
    # what is no optimum is worth less than one that is as low
    margin <- 1e-9 * (1 + abs(before)) * ifelse(is_optimum(fits$status[at]), 1, -1)
    lower <- which(is.na(before) | again$criterion < before - margin)
    for (name in c("theta", "phi", "beta")) {
      fits[[name]][, at[lower]] <- again[[name]][, lower]
    }
    for (name in c("sigma", "criterion", "status")) {
      fits[[name]][at[lower]] <- again[[name]][lower]
    }
    if (length(lower) == 0L) break
  }
  fits
}

#' Points at both sides of the estimate until zeta reaches the cutoff
#'
#' A side ends where no optimum is found at the next point: what lies beyond it tells nothing. So
#' the points are fitted some at a time, twice as many each time.
#' @returns list(zeta, parameters, ended: did a side end like this?)
#' @noRd
fixed_path <- function(fit, j, se, refitted, cutoff) {
  spacing <- 0.4
  ahead <- spacing * seq_len(ceiling(cutoff / spacing))
  further <- c(1.1, 1.25, 1.4, 1.6, 1.8)
  others <- setdiff(kept_columns(fit), j)
  delta <- 0
  zeta <- 0
  parameters <- matrix(
    c(natural_parameters(fit), fit$coefficients)
  )
  ended <- rep.int(!is_optimum(fit$certificate$status), 2L)
  count <- 1L
  rounds <- 1L
  repeat {
    open <- c(-1, 1)[!ended & c(min(zeta) > -cutoff, max(zeta) < cutoff)]
    if (length(ahead) == 0L && rounds < 8L) {
      ahead <- max(abs(delta)) / se * further
      rounds <- rounds + 1L
    }
    if (length(open) == 0L || length(ahead) == 0L) {
      break
    }
    now <- seq_len(min(count, length(ahead)))
    steps <- se * c(outer(ahead[now], open))
    fits <- fit_in_batches(steps, refitted, batch_size(fit))
    change <- fits$criterion - fit$criterion
    good <- is.finite(change) & is_optimum(fits$status)
    for (side in open) {
      own <- which(sign(steps) == side)
      bad <- own[!good[own]]
      if (length(bad) > 0L) {
        ended[[(side + 3) / 2]] <- TRUE
        good[own[own >= bad[[1L]]]] <- FALSE
      }
    }
    if (any(good)) {
      points <- rbind(
        theta_to_sdcor(
          fits$theta[, good, drop = FALSE], fits$sigma[good], fit$random,
          fits$phi[, good, drop = FALSE]
        ),
        matrix(NA_real_, length(fit$coefficients), sum(good))
      )
      beta <- nrow(points) - length(fit$coefficients) + seq_along(fit$coefficients)
      points[beta[others], ] <- fits$beta[, good]
      points[beta[[j]], ] <- fit$coefficients[[j]] + steps[good]
      delta <- c(delta, steps[good])
      zeta <- c(zeta, sign(steps[good]) * sqrt(pmax(change[good], 0)))
      parameters <- cbind(parameters, points)
    }
    ahead <- ahead[-now]
    count <- 2L * count
  }
  order <- order(delta)
  list(
    zeta = zeta[order], parameters = parameters[, order, drop = FALSE], ended = any(ended)
  )
}

#' Fits at so many steps at a time
#' @noRd
fit_in_batches <- function(steps, refitted, size) {
  parts <- lapply(split(steps, (seq_along(steps) - 1L) %/% size), refitted)
  join <- function(name, how) do.call(how, unname(lapply(parts, `[[`, name)))
  matrices <- c("theta", "phi", "beta")
  vectors <- c("sigma", "criterion", "status")
  c(
    lapply(stats::setNames(matrices, matrices), join, cbind),
    lapply(stats::setNames(vectors, vectors), join, c)
  )
}

#' @noRd
new_profile <- function(paths, chosen, names, object, cutoff, signames) {
  lengths <- vapply(paths, function(path) length(path$zeta), 1L)
  parameters <- do.call(cbind, lapply(paths, `[[`, "parameters"))
  values <- c(
    list(.zeta = unlist(lapply(paths, `[[`, "zeta"))),
    lapply(stats::setNames(seq_along(names), names), function(i) parameters[i, ]),
    list(.par = factor(rep.int(names[chosen], lengths), levels = names[chosen]))
  )
  structure(
    values,
    class = c("profile.lmm", "data.frame"), row.names = seq_len(sum(lengths)),
    cutoff = cutoff, REML = object$REML, signames = signames,
    parameters = list(
      old = parameter_names(object, TRUE), new = parameter_names(object, FALSE),
      details = parameter_details(object)
    ),
    n_variance = count_variance(object),
    ends = profile_ends(object)
  )
}

#' Names of the columns of a profile: different ones, and none of its own
#' @noRd
column_names <- function(names) {
  make.unique(c(".zeta", ".par", names))[-(1:2)]
}

#' The boundary of each parameter
#' @noRd
profile_ends <- function(object) {
  ends <- variance_ends(object)
  ends[nrow(ends), 1L] <- 0
  p <- length(object$coefficients)
  cbind(lower = c(ends[, 1L], rep.int(-Inf, p)), upper = c(ends[, 2L], rep.int(Inf, p)))
}

#' @param x What `profile()` returned.
#' @param row.names,optional Not used; there for the generic.
#' @rdname profile.lmm
#' @export
as.data.frame.profile.lmm <- function(x, row.names = NULL, optional = FALSE, ...) {
  check_dots(..., allowed = "stringsAsFactors")
  table <- structure(
    lapply(stats::setNames(seq_along(names(x)), names(x)), function(i) x[[i]]),
    class = "data.frame", row.names = seq_along(x[[".zeta"]])
  )
  finish_table(table, row.names, ...)
}

#' @param digits The number of significant digits to print.
#' @rdname profile.lmm
#' @export
print.profile.lmm <- function(x, digits = 4L, ...) {
  check_dots(...)
  check_digits(digits)
  cat("Profile of ", describe_profile(x), "\n\n", sep = "")
  paths <- profile_paths(x)
  table <- data.frame(
    points = vapply(paths, function(path) length(path$zeta), 1L),
    from = vapply(paths, function(path) path$value[[1L]], 1),
    estimate = vapply(paths, function(path) path$value[path$zeta == 0][1L], 1),
    to = vapply(paths, function(path) path$value[[length(path$value)]], 1),
    "zeta from" = vapply(paths, function(path) path$zeta[[1L]], 1),
    "zeta to" = vapply(paths, function(path) path$zeta[[length(path$zeta)]], 1),
    row.names = names(paths), check.names = FALSE
  )
  print(table, digits = digits)
  invisible(x)
}

#' @noRd
describe_profile <- function(x) {
  moved <- match(levels(x[[".par"]]), names(x)) - 1L
  variance <- any(moved <= attr(x, "n_variance"))
  fixed <- any(moved > attr(x, "n_variance"))
  if (!attr(x, "REML")) {
    "the deviance (ML)"
  } else if (variance && fixed) {
    "the REML criterion; fixed effects: of the deviance (ML)"
  } else if (variance) {
    "the REML criterion"
  } else {
    "the deviance (ML)"
  }
}

#' Value and zeta of each parameter that was profiled
#' @noRd
profile_paths <- function(x) {
  by <- split(seq_along(x[[".zeta"]]), x[[".par"]], drop = TRUE)
  lapply(stats::setNames(names(by), names(by)), function(name) {
    list(value = x[[name]][by[[name]]], zeta = x[[".zeta"]][by[[name]]])
  })
}
