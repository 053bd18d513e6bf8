# Residual (R-side) structures: which there are, and their parameters phi.
#
# The residuals are N(0, sigma^2 R); rows of different residual groups are independent, and within a
# group R = W^-1/2 D C D W^-1/2 with precision weights W, variance functions D and correlations C.
#
#   read_residual()    arguments -> expressions, before there is a model frame
#   build_residual()   with the frame: names of columns, levels, names and starts of phi. This is
#                      `fit$residual`: it holds nothing that has the length of the data
#   residual_design()  with any frame: the vectors that the engine takes

#' The structures of the argument `residual`: their type for the engine, and whether each visit has
#' its own standard deviation
#'
#' Names are those of mmrm, and sp_matern(). `nu`, where there are several smoothnesses: their types
#' end with it, and `type` is the usual one.
#' @noRd
residual_structures <- list(
  us = list(type = "us", by_visit = TRUE),
  ad = list(type = "ante", by_visit = FALSE), adh = list(type = "ante", by_visit = TRUE),
  toep = list(type = "toep", by_visit = FALSE), toeph = list(type = "toep", by_visit = TRUE),
  ar1 = list(type = "ar1", by_visit = FALSE), ar1h = list(type = "ar1", by_visit = TRUE),
  cs = list(type = "cs", by_visit = FALSE), csh = list(type = "cs", by_visit = TRUE),
  sp_exp = list(type = "exp", by_visit = FALSE), sp_gau = list(type = "gaus", by_visit = FALSE),
  sp_matern = list(type = "matern1.5", by_visit = FALSE, nu = c(0.5, 1.5, 2.5))
)

#' Correlation classes of nlme and their types
#' @noRd
nlme_correlations <- c(
  corAR1 = "ar1", corCAR1 = "car1", corARMA = "arma", corCompSymm = "cs", corSymm = "us",
  corNatural = "us", corExp = "exp", corGaus = "gaus", corLin = "lin", corRatio = "ratio",
  corSpher = "spher"
)

#' @noRd
spatial_types <- c(
  "exp", "gaus", "lin", "ratio", "spher", "matern0.5", "matern1.5", "matern2.5"
)

#' @noRd
visit_types <- c("us", "toep", "ante")

#' Types in words
#' @noRd
residual_words <- c(
  ar1 = "AR(1)", car1 = "continuous AR(1)", arma = "ARMA", cs = "compound symmetry",
  us = "unstructured", toep = "Toeplitz", ante = "ante-dependence",
  exp = "exponential spatial", gaus = "Gaussian spatial", lin = "linear spatial",
  ratio = "rational quadratic spatial", spher = "spherical spatial",
  matern0.5 = "Matern (nu = 0.5) spatial", matern1.5 = "Matern (nu = 1.5) spatial",
  matern2.5 = "Matern (nu = 2.5) spatial"
)

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

#' @noRd
count_scale_parameters <- function(scale) {
  strata <- max(1L, length(scale$levels))
  as.integer(switch(scale$type, ident = strata - 1L, constpower = 2L * strata, strata))
}

#' What kind of number each element of phi is, for intervals: "correlation", "positive", "unit"
#' (between 0 and 1) or "real"
#' @noRd
phi_kinds <- function(residual) {
  if (is.null(residual)) {
    return(character())
  }
  correlation <- residual$correlation
  sizes <- vapply(residual$scales, count_scale_parameters, 1L)
  n <- length(residual$names) - sum(sizes)
  own <- if (n > 0L) parameter_kinds(engine_correlation_parameters(correlation))
  others <- Map(function(scale, size) {
    switch(scale$type,
      ident = rep.int("positive", size),
      constpower = rep(c("positive", "real"), each = size / 2L),
      rep.int("real", size)
    )
  }, residual$scales, sizes)
  as.character(c(own, unlist(others)))
}

#' @noRd
parameter_kinds <- function(parameters) {
  ifelse(
    parameters$upper < Inf, ifelse(parameters$lower < 0, "correlation", "unit"),
    ifelse(parameters$lower < 0, "real", "positive")
  )
}

#' Is there anything besides known variances?
#' @noRd
has_parameters <- function(residual) {
  !is.null(residual$correlation) || length(residual$scales) > 0L
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
  paste0(
    correlation$name, "(", if (residual$source == "correlation") "~ ",
    if (length(correlation$covariates)) paste(correlation$covariates, collapse = " + ") else "1",
    if (length(correlation$group)) paste0(" | ", correlation$group_label), correlation$options, ")"
  )
}

#' @noRd
constructor_names <- c(
  names(nlme_correlations), "corSpatial", "varIdent", "varPower", "varExp", "varConstPower",
  "varFixed", "varComb", "varConstProp"
)
