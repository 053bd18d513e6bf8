# What the engine knows of structures: which structures exist, their parameters, their matrices.

#' What has been asked: `all`, and parameters of effects by structure and number
#' @noRd
asked <- new.env(parent = emptyenv())

#' All kinds of structures, asked for once a session
#'
#' @returns list(correlations, random, scales), each a named list by kind of what the engine tells
#'   of it: `CorrelationFacts`, `RandomFacts` and `ScaleFacts` in its api/kinds.rs
#' @noRd
structures <- function() {
  if (is.null(asked$all)) {
    found <- engine_value(rs_structures())
    by_kind <- function(table) {
      kinds <- lapply(seq_along(table$name), function(i) lapply(table, `[[`, i))
      stats::setNames(kinds, table$name)
    }
    asked$all <- lapply(found[c("correlations", "random", "scales")], by_kind)
  }
  asked$all
}

#' What is known of a kind of correlation
#'
#' @returns list(name; position: what places rows, "none", "whole" numbers, "visits", "times" or
#'   "points"; ordered: does their order matter?; by_lag: do only differences matter?; each: what
#'   has a parameter of its own, "none", "lag", "pair" or "neighbours"; orders: are there p and q?;
#'   nugget: can there be one?; effects: can it be that of random effects?)
#' @noRd
correlation_kind <- function(type) structures()$correlations[[type]]

#' What is known of a structure of random effects
#'
#' @returns list(name; factor: is theta the relative covariance factor?; correlated; homogeneous:
#'   can there be one variance?; ordered: does the order of the effects matter?)
#' @noRd
random_kind <- function(structure) structures()$random[[structure]]

#' What is known of a variance function
#'
#' @returns list(name; covariate: does it have one?; zero: may that be zero?; reference: is the
#'   first stratum that of the others, without a parameter?; parameters: their names; kinds:
#'   "positive" or "real")
#' @noRd
scale_kind <- function(type) structures()$scales[[type]]

#' Natural correlation parameters of `k` effects
#'
#' @returns list(names, kinds, lower, upper, start)
#' @noRd
effects_parameters <- function(structure, k) {
  key <- paste(structure, k)
  if (is.null(asked[[key]])) {
    asked[[key]] <- engine_value(rs_effects_parameters(structure, as.integer(k)))
  }
  asked[[key]]
}

#' Correlation matrix of `k` effects; correlations may be at their ends
#' @noRd
engine_effects_correlation <- function(structure, rho, k) {
  engine_value(rs_effects_correlation(structure, as.double(rho), as.integer(k)))$matrix
}

#' Correlation matrix of `n` rows of one residual group
#'
#' @param correlation as in what [residual_design()] returns, with the `position` of these rows;
#'   `par` its natural parameters, those of one class.
#' @noRd
engine_correlation <- function(correlation, par, n) {
  correlation["classes"] <- list(NULL)
  given <- correlation_for_engine(correlation)
  engine_value(rs_correlation(given, as.double(par), as.integer(n)))$matrix
}

#' Natural parameters of a correlation of residuals, of one class
#'
#' @param most more than so many are only counted.
#' @returns list(count, names, kinds, lower, upper)
#' @noRd
engine_correlation_parameters <- function(correlation, most = .Machine$integer.max) {
  correlation[c("position", "classes")] <- list(NULL)
  given <- correlation_for_engine(correlation)
  largest <- as.integer(correlation$largest)
  value <- engine_value(rs_correlation_parameters(given, largest, as.integer(most)))
  if (length(correlation$axes)) {
    counts <- vapply(correlation$axes, function(axis) {
      engine_correlation_parameters(axis)$count
    }, 1)
    axis <- rep(vapply(correlation$axes, `[[`, "", "covariates"), counts)
    own <- seq_len(min(length(axis), length(value$names)))
    value$names[own] <- paste0(axis[own], ".", value$names[own])
  }
  value
}

#' A correlation of residuals as the engine takes it
#'
#' @param correlation that of a residual structure, with the `position` of rows and the `classes` of
#'   their groups.
#' @noRd
correlation_for_engine <- function(correlation) {
  known <- c("type", "position", "matrix", "n_positions", "p", "q", "nugget", "metric", "classes")
  axes <- correlation$axes
  position <- correlation$position
  correlation <- correlation[intersect(known, names(correlation))]
  if (length(axes)) {
    correlation$axes <- lapply(seq_along(axes), function(a) {
      axes[[a]]["position"] <- list(position[[a]])
      correlation_for_engine(axes[[a]])
    })
  }
  orders <- intersect(c("p", "q"), names(correlation))
  correlation[orders] <- lapply(correlation[orders], as.integer)
  correlation
}

#' Standard deviations of `n` rows relative to sigma, by variance functions alone
#'
#' @param scales as in what [residual_design()] returns; `par` the parameters of one after those of
#'   another.
#' @noRd
engine_scale_values <- function(scales, par, n) {
  engine_value(rs_scale_values(scales, as.double(par), as.integer(n)))$values
}
