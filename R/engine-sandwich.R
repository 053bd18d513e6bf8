# Sandwich estimates: calls of the engine.

#' Scores of clusters, in coordinates in which the covariance matrix of the kept coefficients is the
#' identity
#'
#' @param clusters codes of the rows from 1 to `count`.
#' @param adjustment "none", "root", "symmetric_root" or "inverse": A_j of the engine's
#'   `inference/sandwich.rs`.
#' @param moments also what degrees of freedom are made of?
#' @param joint for pseudo-likelihoods, see [engine_sampled_sandwich()].
#' @returns `root` (r x r), kept coefficients times these coordinates; `scores` (r x clusters);
#'   `undetermined`, directions that a cluster alone determines, a column each, and
#'   `undetermined_in`, the cluster of each; `spread`, `cross` and `against`, for
#'   [engine_sandwich_ddf()]
#' @noRd
engine_sandwich <- function(model, theta, reml, control, clusters, count, adjustment, moments,
                            joint = FALSE) {
  engine_value(rs_sandwich(
    model, engine_options(reml, theta, control, optimize = FALSE), clusters, count, adjustment,
    moments
  ))
}

#' Degrees of freedom of hypotheses, see the engine's `inference/sandwich_ddf.rs`
#'
#' @param pieces what [engine_sandwich()] returned, with moments.
#' @param rows r x q: a hypothesis a column, in the coordinates of the scores.
#' @returns one number for each; `joint`: one number for all together, none where it is not
#'   determined
#' @noRd
engine_sandwich_ddf <- function(pieces, rows, joint) {
  storage.mode(rows) <- "double"
  moments <- pieces[c("spread", "cross", "against")]
  engine_value(rs_sandwich_ddf(moments, nrow(pieces$scores), rows, joint))$ddf
}

#' The set of connected rows of each row: rows of different sets are independent
#' @returns list(codes, count)
#' @noRd
engine_connected_rows <- function(model, theta, reml, control) {
  engine_value(rs_connected_rows(
    model, engine_options(reml, theta, control, optimize = FALSE)
  ))[c("codes", "count")]
}
