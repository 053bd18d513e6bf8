# The model as the engine takes it: rows, condensed rows, or moments from tables.

#' The model as every entry point of the engine takes it
#'
#' @param fixed,random what [build_fixed()] and [build_random()] return.
#' @param residual what [residual_design()] returns.
#' @returns list(y (n), X (columns, see [design_columns()], or a matrix), weights (n or NULL),
#'   offset (n or NULL), factors, terms, residual, stands_for): factors, terms and residual as
#'   [build_random()] and [residual_design()] describe them; `stands_for`, what condensed rows stand
#'   for, or NULL. Where `fixed$tables` are in the place of rows, see [moments_of_tables()], what
#'   [engine_model_of_moments()] returns.
#' @noRd
engine_model <- function(fixed, random, residual = NULL) {
  if (!is.null(fixed$tables)) {
    return(model_of_tables(
      random$design, moments_of_tables(fixed$X, random$design, fixed$tables)
    ))
  }
  model <- list(
    y = fixed$y, X = fixed$X, weights = fixed$weights, offset = fixed$offset,
    factors = random$design$factors, terms = random$design$terms, residual = residual,
    stands_for = fixed$stands_for
  )
  weighted_model(model, fixed$sampling)
}

#' The model, from what [engine_inputs()] made of a fit
#' @noRd
model_of <- function(inputs) engine_model(inputs$fixed, inputs$random, inputs$residual)

#' The model of moments that come from tables
#' @noRd
model_of_tables <- function(design, moments) {
  terms <- lapply(design$terms, function(term) {
    term$columns <- vector("list", length(term$columns))
    term
  })
  engine_model_of_moments(list(factors = design$factors, terms = terms), moments)
}
