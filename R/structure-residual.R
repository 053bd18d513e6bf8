# Residual (R-side) structures: which structures exist, and their parameters phi.
#
# The residuals are N(0, sigma^2 R); rows of different residual groups are independent, and within a
# group R = W^-1/2 D C D W^-1/2 with precision weights W, variance functions D and correlations C.
#
#   read_residual()    arguments -> expressions, before there is a model frame
#   build_residual()   with the frame: names of columns, levels, names and starts of phi. This is
#                      `fit$residual`: it holds nothing that has the length of the data
#   residual_design()  with any frame: the vectors that the engine takes

#' Is R a known covariance matrix of the rows?
#' @noRd
has_known_rows <- function(residual) identical(residual$correlation$type, "known")

#' Is it a correlation of points in space?
#' @noRd
is_spatial <- function(type) correlation_kind(type)$position == "points"

#' Is it the product of structures on axes of their own?
#' @noRd
is_product <- function(type) correlation_kind(type)$position == "product"

#' The structures whose product a correlation is; itself where it is none; none without one
#' @noRd
correlation_axes <- function(correlation) {
  if (is.null(correlation$axes)) Filter(Negate(is.null), list(correlation)) else correlation$axes
}

#' Does it count visits?
#' @noRd
has_visits <- function(type) correlation_kind(type)$position == "visits"

#' Is it the same for all pairs of rows?
#' @noRd
is_exchangeable <- function(type) correlation_kind(type)$position == "none"

#' phi by structure
#'
#' @returns list(correlation = vector, scales = list of vectors)
#' @noRd
split_phi <- function(residual, phi) {
  phi <- unname(phi)
  sizes <- vapply(residual$scales, count_scale_parameters, 1L)
  n_correlation <- length(phi) - sum(sizes)
  ends <- n_correlation + cumsum(sizes)
  list(
    correlation = phi[seq_len(n_correlation)],
    scales = Map(function(end, size) phi[end - size + seq_len(size)], ends, sizes)
  )
}

#' Strata of a variance function that have parameters
#' @noRd
count_strata <- function(scale) {
  max(1L, length(scale$levels)) - scale_kind(scale$type)$reference
}

#' @noRd
count_scale_parameters <- function(scale) {
  length(scale_kind(scale$type)$parameters) * count_strata(scale)
}

#' What the natural parameters phi can be
#'
#' @returns list(kinds, lower, upper): a kind is "correlation", "positive", "unit" (between 0 and 1)
#'   or "real"
#' @noRd
phi_ranges <- function(residual) {
  correlation <- residual$correlation
  own <- if (!is.null(correlation)) {
    times <- count_classes(correlation)
    lapply(engine_correlation_parameters(correlation)[c("kinds", "lower", "upper")], rep, times)
  }
  kinds <- unlist(lapply(residual$scales, function(scale) {
    rep(scale_kind(scale$type)$kinds, each = count_strata(scale))
  }))
  list(
    kinds = as.character(c(own$kinds, kinds)),
    lower = as.double(c(own$lower, ifelse(kinds == "positive", 0, -Inf))),
    upper = as.double(c(own$upper, rep.int(Inf, length(kinds))))
  )
}

#' The parameters of the correlation of one class among those of all
#' @noRd
class_parameters <- function(correlation, par, class) {
  each <- length(par) %/% count_classes(correlation)
  par[(class - 1L) * each + seq_len(each)]
}

#' @noRd
phi_kinds <- function(residual) phi_ranges(residual)$kinds

#' Is there anything besides known variances?
#' @noRd
has_parameters <- function(residual) {
  !is.null(residual$correlation) || length(residual$scales) > 0L
}

#' Parameters of a correlation in printed output
#' @noRd
correlation_labels <- function(correlation) {
  visits <- correlation$visits
  m <- length(visits)
  names <- engine_correlation_parameters(correlation)$names
  switch(correlation_kind(correlation$type)$each,
    pair = {
      below <- which(lower.tri(diag(m)), arr.ind = TRUE)
      paste0(visits[below[, 2L]], ",", visits[below[, 1L]])
    },
    neighbours = paste0(visits[-m], ",", visits[-1L]),
    lag = paste("lag", seq_along(names)),
    names
  )
}

#' "(1, 2)", where a structure has orders
#' @noRd
order_words <- function(correlation) {
  if (correlation_kind(correlation$type)$has_orders) {
    paste0("(", correlation$p, ", ", correlation$q, ")")
  }
}

#' Columns of the model frame that the structure needs
#'
#' @param what "all"; "scales" for the variances alone; "covariates" for the numbers that they
#'   depend on.
#' @noRd
residual_columns <- function(residual, what = "all") {
  if (what == "covariates") {
    return(as.character(unlist(lapply(residual$scales, `[[`, "covariate"))))
  }
  scales <- unlist(lapply(residual$scales, function(s) c(s$covariate, s$stratum)))
  correlation <- c(residual$correlation$covariates, residual$correlation$group)
  unique(as.character(c(scales, residual$fixed, if (what == "all") correlation)))
}

#' Does a variance function depend on the fitted values?
#' @noRd
depends_on_fitted <- function(residual) {
  for (scale in residual$scales) {
    if (isTRUE(scale$fitted)) {
      return(TRUE)
    }
  }
  FALSE
}

#' The structure more or less as it was written: "corAR1(~ time | Subject)"
#' @noRd
describe_residual_term <- function(residual) {
  correlation <- residual$correlation
  if (has_known_rows(residual)) {
    return(correlation$group_label)
  }
  group <- if (length(correlation$group)) paste0(" | ", group_as_written(correlation))
  if (is_product(correlation$type)) {
    factors <- vapply(correlation$axes, function(axis) paste0(axis$name, "(", axis$covariates), "")
    factors[[length(factors)]] <- paste0(factors[[length(factors)]], correlation$options)
    return(paste0(paste0(factors, ")", collapse = ":"), group))
  }
  nlme <- residual$source == "correlation"
  covariates <- paste(correlation$covariates, collapse = if (nlme) " + " else ", ")
  paste0(
    correlation$name, "(", if (nlme) "~ ", if (nzchar(covariates)) covariates else "1",
    group, correlation$options, ")"
  )
}

#' "Subject", or "arm/Subject" where covariances differ by arm
#' @noRd
group_as_written <- function(correlation) {
  by <- correlation$by
  if (length(by) == 0L) {
    return(correlation$group_label)
  }
  paste0(paste(by, collapse = ":"), "/", paste(setdiff(correlation$group, by), collapse = ":"))
}
