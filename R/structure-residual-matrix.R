# Variances and correlations of rows, by the parameters of a residual structure.

#' Standard deviations of rows relative to sigma, by the variance functions alone
#'
#' @param design what [residual_design()] makes of the rows.
#' @noRd
scale_values <- function(residual, phi, design, n) {
  values <- rep.int(1, n)
  parts <- split_phi(residual, phi)$scales
  for (s in seq_along(parts)) {
    scale <- design$scales[[s]]
    stratum <- if (is.null(scale$stratum)) 1L else scale$stratum
    par <- parts[[s]]
    v <- scale$covariate
    strata <- max(1L, scale$n_strata)
    values <- values * switch(scale$type,
      ident = c(1, par)[stratum],
      power = abs(v)^par[stratum],
      exp = exp(par[stratum] * v),
      constpower = par[stratum] + abs(v)^par[strata + stratum]
    )
  }
  values
}

#' Correlation matrix of rows at these positions
#'
#' @param par natural parameters of the correlation; `position` as the engine takes it, of the rows
#'   of one group; `n` the number of rows.
#' @noRd
position_correlation <- function(correlation, par, position, n) {
  correlation$position <- position
  engine_correlation(correlation, par, n)
}

#' @noRd
take_position <- function(position, rows) {
  if (is.list(position)) lapply(position, function(x) x[rows]) else position[rows]
}
