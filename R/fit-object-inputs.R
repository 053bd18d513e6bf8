# A fit as the engine takes it again: for what is computed from its theta when asked for.

#' What the engine needs to see the model again, as engine_fit() takes it
#'
#' @param in_place with X as columns and grouping factors as they are, which copies nothing: for
#'   callers that only pass them on. Otherwise X is a matrix, and codes and columns are plain
#'   vectors.
#' @noRd
engine_inputs <- function(object, in_place = FALSE) {
  list(
    fixed = fixed_inputs(object, in_place),
    random = random_inputs(object, in_place),
    residual = residual_design(object$residual, object$frame),
    residual_names = names(object$phi)
  )
}

#' What the engine needs of the fixed part, and the names of the coefficients
#' @noRd
fixed_inputs <- function(object, in_place) {
  condensed <- object$condensed
  if (!is.null(condensed)) {
    columns <- condensed_fixed(object$terms, object$contrasts, condensed)
    return(list(
      y = condensed$y, X = if (in_place) columns else columns_matrix(columns, length(condensed$y)),
      names = names(object$coefficients), weights = condensed$weights, offset = NULL,
      stands_for = condensed$stands_for
    ))
  }
  list(
    y = response_values(object),
    X = if (in_place) {
      design_columns(object$terms, object$frame, object$contrasts, coded = TRUE)$columns
    } else {
      fixed_matrix(object$terms, object$frame, object$contrasts)
    },
    names = names(object$coefficients),
    weights = object$prior.weights,
    offset = object$offset
  )
}

#' What the engine needs of the random part
#' @noRd
random_inputs <- function(object, in_place) {
  list(
    terms = object$random,
    cnms = object$cnms,
    theta_names = names(object$theta),
    design = if (is.null(object$condensed)) {
      random_design(object$random, object$flist, object$frame, object$precision, in_place)
    } else {
      condensed_random(object$random, object$condensed$flist, object$precision, object$condensed)
    }
  )
}

#' The response of the used rows, as plain numbers
#' @noRd
response_values <- function(object) {
  as.double(.subset2(object$frame, 1L))
}

#' Parameters of the fit for the engine: theta, then phi
#' @noRd
theta_of <- function(object) c(unname(object$theta), unname(object$phi))

#' Call one of the engine's inference functions on a fit
#' @noRd
engine_inference <- function(engine, object, ...) {
  engine(
    model_of(engine_inputs(object, in_place = TRUE)), theta_of(object), object$REML,
    engine_control(object), ...
  )
}

#' The control of a fit with its constraints by position
#' @noRd
engine_control <- function(object, control = object$control) {
  resolve_constraints(control, names(c(object$theta, object$phi)))
}

#' The control of a fit without its constraints
#'
#' For functions of theta that are evaluated at other values than that of the fit, where a held
#' parameter does not have its value.
#' @noRd
unconstrained_control <- function(object) {
  control <- object$control
  control[c("hold", "tie")] <- list(NULL)
  control
}

#' Is a variance parameter of a fit held or tied, or sigma known?
#' @noRd
has_constraints <- function(object) {
  control <- engine_control(object)
  any(object$residual$held) || !is.null(control$hold) || !is.null(control$tie) ||
    !is.null(control$sigma)
}
