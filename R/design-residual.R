# The residual structure with the data at hand, and in the form that the engine takes.

#' The residual structure of a model, without data
#'
#' @returns list with
#'   `source`: the argument that it was given by;
#'   `correlation`: NULL or list(type, name, covariates (columns of the frame), kind (see
#'   [position_kind()]), what [with_visits()] adds, group (columns whose interaction are the
#'   groups), group_label, p, q, nugget, metric, options (as written), by (columns that covariances
#'   differ by), what [with_classes()] adds, largest (size of the largest group)); of known(V) what
#'   [build_known_rows()] returns;
#'   `scales`: list of list(type, covariate (column), fitted, stratum (columns), levels, key);
#'   `fixed`: columns of known variances;
#'   `names` of phi, `start` (natural, NA: the engine chooses), `held`
#' @noRd
build_residual <- function(spec, frame, random) {
  if (is.null(spec)) {
    return(NULL)
  }
  correlation <- if (!is.null(spec$correlation)) {
    build_correlation(spec$correlation, frame, random)
  }
  scales <- lapply(spec$scales, build_scale, frame = frame)
  parameters <- c(
    if (!is.null(correlation)) list(
      correlation_parameters_of(correlation, spec$correlation, .row_names_info(frame, 2L))
    ),
    Map(scale_parameters_of, scales, spec$scales)
  )
  names <- unlist(lapply(parameters, `[[`, "names"))
  residual <- list(
    source = spec$source, correlation = correlation, scales = scales,
    fixed = variable_names(spec$fixed),
    names = if (length(names)) paste0("residual.", make.unique(names)) else character(),
    start = as.double(unlist(lapply(parameters, `[[`, "start"))),
    held = as.logical(unlist(lapply(parameters, `[[`, "held")))
  )
  check_fixed_variances(residual, frame)
  residual
}

#' The residual structure of the rows of a frame
#'
#' @param frame a frame with the columns that the structure names, and "(fitted)" where a variance
#'   function depends on the fitted values.
#' @returns list(groups, correlation, scales, start, held), as the engine takes it
#' @noRd
residual_design <- function(residual, frame) {
  if (is.null(residual) || !has_parameters(residual)) {
    return(NULL)
  }
  correlation <- residual$correlation
  groups <- if (!is.null(correlation)) residual_groups(correlation, frame)
  list(
    groups = if (!is.null(correlation)) {
      list(codes = groups$codes, n_levels = length(groups$levels))
    },
    correlation = if (!is.null(correlation)) {
      correlation["position"] <- list(residual_positions(correlation, frame, groups$codes))
      correlation["classes"] <- list(residual_classes(correlation, frame))
      correlation_for_engine(correlation)
    },
    scales = lapply(residual$scales, scale_design, frame = frame),
    start = residual$start, held = residual$held
  )
}

#' @noRd
scale_design <- function(scale, frame) {
  covariate <- if (scale$fitted) {
    frame[["(fitted)"]]
  } else if (length(scale$covariate) == 1L) {
    as.double(frame[[scale$covariate]])
  }
  list(
    type = scale$type, covariate = covariate,
    stratum = if (length(scale$stratum)) match_groups(scale$key, unclass(frame)[scale$stratum]),
    n_strata = if (length(scale$stratum)) length(scale$levels) else 0L
  )
}

#' Precision weights with the known variances of varFixed() and known() in them
#' @noRd
residual_weights <- function(residual, frame, weights) {
  known <- lapply(residual$fixed, function(name) as.double(frame[[name]]))
  if (has_known_rows(residual) && !is.null(frame[["(known)"]])) {
    known <- c(known, list(
      residual$correlation$variances[known_places(residual$correlation, frame)]
    ))
  }
  for (variances in known) {
    w <- 1 / variances
    weights <- if (is.null(weights)) w else weights * w
  }
  weights
}
