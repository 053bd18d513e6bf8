# Profiles of fixed effects: the model fitted again with one of them given.

#' Profiles of fixed effects, by ML
#'
#' With a coefficient fixed its column moves to the left-hand side: points of a profile are fits of
#' one model to many responses. They are short walks from the variance parameters of the fit, which
#' are close to those of a point. Where the fit itself has more than one start, so has each point:
#' another optimum may be the lowest over a few points only.
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
    others <- setdiff(kept_columns(fit), j)
    of_tables <- !is.null(inputs$fixed$tables)
    if (of_tables) {
      inputs$fixed$tables$moved <- whole[j]
      inputs$fixed$X <- whole[others]
    } else {
      column <- whole[, j]
      inputs$fixed$X <- whole[, others, drop = FALSE]
    }
    refitted <- function(delta) {
      times <- fit$coefficients[[j]] + delta
      responses <- if (of_tables) matrix(times, 1L) else inputs$fixed$y - outer(column, times)
      near <- fit_responses(inputs, responses, FALSE, control, start = theta_of(fit))
      if (fit$certificate$starts == 1L) {
        return(near)
      }
      lower_fits(near, fit_responses(inputs, responses, FALSE, fit$control))
    }
    fixed_path(fit, j, se[[j]], refitted, cutoff)
  })
  ended <- vapply(paths, `[[`, NA, "ended")
  if (any(ended)) {
    warn_ended(names(fit$coefficients)[which[ended]], is_optimum(fit$certificate$status))
  }
  paths
}

#' Most evaluations of the criterion on the short walk to a point of a profile; about ten are usual
#' @noRd
point_evaluations <- 100L

#' Did a fit end at a minimum? A flat one, as along the correlation of effects without variance,
#' counts.
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
    i = "See fit$certificate; a simpler random-effects part or residual structure may be enough."
  )
}

#' The better of two fits of each response
#'
#' @param fits,again of all responses, in two ways.
#' @noRd
lower_fits <- function(fits, again) {
  before <- fits$criterion
  # a point that is not an optimum loses against one that is as low
  margin <- 1e-9 * (1 + abs(before)) * ifelse(is_optimum(fits$status), 1, -1)
  lower <- which(is.na(before) | again$criterion < before - margin)
  for (name in c("theta", "phi", "beta")) {
    fits[[name]][, lower] <- again[[name]][, lower]
  }
  for (name in c("sigma", "criterion", "status")) {
    fits[[name]][lower] <- again[[name]][lower]
  }
  fits
}

#' Points on both sides of the estimate until zeta reaches the cutoff
#'
#' A side ends where no optimum is found at the next point: what lies beyond it is meaningless. So
#' the points are fitted in batches, each twice as large as the one before.
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

#' Fits at the steps, a batch at a time
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
