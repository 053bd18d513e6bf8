# Profiles of standard deviations, correlations and sigma.

#' Where the profile of each variance parameter can end; sigma does not
#' @noRd
variance_ends <- function(object) {
  ends_of <- function(term) {
    if (is_natural(term)) {
      return(cbind(term_lower(term), term_upper(term)))
    }
    index <- theta_index(term)
    pair <- index$row != index$col
    cbind(ifelse(pair, -1, 0), ifelse(pair, 1, Inf))
  }
  theta <- do.call(rbind, lapply(random_blocks(object$random), ends_of))
  phi <- phi_ranges(object$residual)
  rbind(theta, cbind(phi$lower, phi$upper), c(-Inf, Inf), deparse.level = 0L)
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
#' Where the parameters are at an end that leaves no covariance matrix to evaluate, the fixed
#' effects are those of the next point towards the estimate.
#' @param center the column of the estimate.
#' @noRd
coefficients_along <- function(object, inputs, parameters, center) {
  impossible <- function(e) rep.int(NaN, length(object$coefficients))
  beta <- vapply(seq_len(ncol(parameters)), function(i) {
    if (i == center) {
      return(unname(object$coefficients))
    }
    values <- parameters[, i]
    # the correlations of an effect whose variance is zero are arbitrary
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

#' Columns with missing values are filled from the next one towards `center`
#' @noRd
fill_outwards <- function(x, center, rows) {
  for (i in c(rev(seq_len(center - 1L)), center + seq_len(ncol(x) - center))) {
    if (anyNA(x[rows, i])) x[, i] <- x[, i + sign(center - i)]
  }
  x
}

#' Let a path start at the estimate, and end at the boundary of the parameter if it gets there
#'
#' The engine follows the logarithm of a standard deviation and Fisher's z of a correlation, so it
#' comes arbitrarily close to the boundary without reaching it.
#' @noRd
reach_ends <- function(path, estimate, ends, cutoff) {
  at <- path$which
  value <- path$value
  zeta <- path$zeta
  parameters <- path$parameters
  # other points may be as close, where the parameter ends within rounding
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

#' zeta where the parameter reaches its end, NA where the path stops before that
#'
#' Zeta of a correlation levels off where one of its two variances goes to zero: from there on any
#' correlation would do, and the profile is the same up to the end.
#' @param distance from the end, in the order in which they are met from there; `side` -1 or 1.
#' @param deviation is it a standard deviation, whose logarithm was followed, rather than a
#'   correlation?
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
#' Zeta is smooth in a standard deviation and in a correlation up to their ends. Points closer to
#' each other would show rounding errors.
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
