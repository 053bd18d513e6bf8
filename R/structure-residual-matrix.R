# Variances and correlations of rows, by the parameters of a residual structure.

#' Standard deviations of rows relative to sigma, by the variance functions alone; NA for rows that
#' lack what these need
#'
#' @param design what [residual_design()] makes of the rows.
#' @noRd
scale_values <- function(residual, phi, design, n) {
  given <- known_scales(design$scales, n)
  par <- unlist(split_phi(residual, phi)$scales)
  values <- engine_scale_values(given$scales, par, n)
  values[given$unknown] <- NA
  values
}

#' Variance functions with something in the place of missing covariates and strata
#'
#' @param scales as in what [residual_design()] makes of `n` rows.
#' @returns list(scales, unknown: the rows that have it)
#' @noRd
known_scales <- function(scales, n) {
  unknown <- logical(n)
  for (s in seq_along(scales)) {
    bad <- logical(n)
    if (!is.null(scales[[s]]$covariate)) {
      bad <- !is.finite(scales[[s]]$covariate)
      scales[[s]]$covariate[bad] <- 1
    }
    if (!is.null(scales[[s]]$stratum)) {
      no_stratum <- is.na(scales[[s]]$stratum)
      scales[[s]]$stratum[no_stratum] <- 1L
      bad <- bad | no_stratum
    }
    unknown <- unknown | bad
  }
  list(scales = scales, unknown = unknown)
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
