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
  if (n == 1L) {
    return(matrix(1))
  }
  lag <- function() abs(outer(position, position, `-`))
  result <- switch(correlation$type,
    ar1 = , car1 = par^lag(),
    arma = {
      p <- as.integer(correlation$p)
      far <- max(lag(), 1)
      acf <- stats::ARMAacf(
        par[seq_len(p)], par[p + seq_len(length(par) - p)], lag.max = far
      )
      matrix(acf[lag() + 1L], n)
    },
    cs = matrix(par, n, n),
    us = {
      m <- correlation$n_positions
      whole <- matrix(0, m, m)
      whole[lower.tri(whole)] <- par
      (whole + t(whole))[position, position]
    },
    toep = matrix(c(1, par)[lag() + 1L], n),
    ante = matrix(
      mapply(
        function(i, j) prod(par[seq_len(abs(i - j)) + min(i, j) - 1L]),
        position[row(diag(n))], position[col(diag(n))]
      ), n
    ),
    spatial_correlation(correlation, par, position)
  )
  diag(result) <- 1
  result
}

#' @noRd
spatial_correlation <- function(correlation, par, position) {
  apart <- stats::dist(do.call(cbind, position), method = correlation$metric)
  distance <- as.matrix(apart) / par[1L]
  inside <- distance < 1
  value <- switch(correlation$type,
    exp = exp(-distance), gaus = exp(-distance^2), lin = inside * (1 - distance),
    ratio = 1 / (1 + distance^2), spher = inside * (1 - 1.5 * distance + 0.5 * distance^3)
  )
  dimnames(value) <- NULL
  if (correlation$nugget) value * (1 - par[2L]) else value
}

#' @noRd
take_position <- function(position, rows) {
  if (is.list(position)) lapply(position, function(x) x[rows]) else position[rows]
}
