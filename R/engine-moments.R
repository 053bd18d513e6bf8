# Moments of a model's data, and models whose rows are not there.

#' Cross-products of the rows of a model, in the user's columns
#'
#' They stand for the rows of every model without a residual structure: see
#' [engine_model_of_moments()].
#'
#' @param model what [engine_model()] returns.
#' @returns list(n, p, sum_log_weights, `xx` ([X y]'W[X y], y less the offset), `factors`: list by
#'   grouping factor of n_levels, k (columns of all its terms), `zz` (Z_j'WZ_j of each level), `zx`
#'   (Z_j'W[X y], a row of p + 1 values for each effect); `pairs`: list by pair of factors f < g,
#'   from 0, of `start` and `level` (from 0) of the cells, and `value` (Z_j'WZ_l)). Numbers are
#'   matrices with two rows, a double and what is left of 32 digits: sums over rows, which add up.
#' @noRd
engine_moments <- function(model, control) {
  found <- engine_value(rs_moments(model, engine_options(TRUE, NULL, control, optimize = FALSE)))
  found[names(found) != "ok"]
}

#' A model whose rows are not there: cross-products stand for them
#'
#' @param model as [engine_model()] returns it; of its rows nothing is looked at.
#' @param moments what [engine_moments()] returns.
#' @noRd
engine_model_of_moments <- function(model, moments) {
  model[c("y", "X")] <- list(double(), list())
  model["weights"] <- model["offset"] <- list(NULL)
  model$factors <- lapply(model$factors, function(factor) {
    factor$codes <- integer()
    factor
  })
  model$moments <- moments
  model
}
