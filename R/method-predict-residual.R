# Prediction of new observations that are correlated with those of the fit: predict(residual.cor =
# TRUE). The engine predicts them (inference/prediction_correlated.rs has the formulas); this file
# finds the groups and positions of new rows.

#' New rows with their residual structure, as the engine takes them
#'
#' @param target list(rows, parts, random_only) as for [predict_uncertain()]; its rows are what
#'   [new_rows()] returns, the frame with the columns of the residual structure.
#' @param weights the user's; `means` predictions that variances may depend on.
#' @returns a list as [target_design()] returns, with `residual`, `weights`, and `unknown`: rows
#'   whose variance is unknown because of a missing covariate
#' @noRd
correlated_design <- function(object, target, weights, means) {
  rows <- target$rows
  n <- length(rows$names)
  frame <- frame_with_fitted(object, rows, means)
  new <- new_residual_design(object, rows)
  design <- training_design(object)
  if (!is.null(design$groups)) {
    codes <- new$codes
    codes[is.na(codes)] <- 0L
    design$groups$codes <- codes
  }
  design$correlation["position"] <- list(new$position)
  design$correlation["classes"] <- list(new$classes)
  design$correlation <- correlation_for_engine(design$correlation)
  scales <- known_scales(lapply(object$residual$scales, scale_design, frame = frame), n)
  design$scales <- scales$scales
  precision <- residual_weights(object$residual, frame, 1 / precision_variances(rows, weights, n))
  unknown <- scales$unknown | is.na(precision)
  precision[is.na(precision)] <- 1
  c(
    target_design(object, target, n),
    list(residual = design, weights = precision, unknown = unknown)
  )
}

#' Predictions of the residuals, and of variances relative to sigma^2, at (theta, phi)
#'
#' @param target with `design`, what [correlated_design()] returns.
#' @returns list(values, variances); NA for rows that are not known
#' @noRd
correlated_predictions <- function(object, target, theta) {
  design <- target$design
  found <- tryCatch(
    engine_residual_predictions(
      model_of(engine_inputs(object, in_place = TRUE)), theta, object$REML,
      unconstrained_control(object), design[setdiff(names(design), "unknown")]
    ),
    ferrolmm_error_newdata = function(error) {
      abort_no_room(object, target$rows, error$details$row)
    }
  )
  values <- found$residual_means
  variances <- found$variances + found$residual_variances +
    new_level_variances(object, target, design$terms, theta)
  values[design$unknown] <- NA
  variances[design$unknown] <- NA
  list(values = values, variances = variances)
}

#' An error: a new row does not fit into its group
#' @noRd
abort_no_room <- function(object, rows, row) {
  correlation <- object$residual$correlation
  groups <- residual_groups(correlation, rows$frame)
  ferrolmm_abort(
    paste0("Row ", rows$names[[row]], " of `newdata` cannot be one more row of ",
           group_label(correlation, groups, groups$codes[[row]]), "."),
    "newdata", x = impossible_correlation(object)
  )
}

#' @noRd
group_label <- function(correlation, groups, code) {
  if (length(correlation$group) == 0L) {
    return("the one residual group")
  }
  paste0("`", correlation$group_label, "` ", groups$levels[[code]])
}

#' Why the residual correlation of a fit cannot be that of all rows
#' @noRd
impossible_correlation <- function(object) {
  correlation <- object$residual$correlation
  of <- describe_residual_term(object$residual)
  if (is_exchangeable(correlation$type) && count_classes(correlation) == 1L) {
    rho <- split_phi(object$residual, object$phi)$correlation[[1L]]
    return(paste0(
      "No more than ", ceiling(1 - 1 / rho) - 1, " rows can have the correlation ",
      format(rho, digits = 3L), " of ", of, " with one another."
    ))
  }
  paste0("The correlations of ", of, " have no positive definite matrix there.")
}

#' The residual structure of new rows: codes of the groups of the fit (NA: another group),
#' positions, classes
#' @noRd
new_residual_design <- function(object, rows) {
  residual <- object$residual
  correlation <- residual$correlation
  frame <- rows$frame
  known <- residual_groups(correlation, object$frame)
  codes <- if (length(correlation$group) == 0L) {
    rep.int(1L, nrow(frame))
  } else {
    match_groups(known$key, unclass(frame)[correlation$group])
  }
  position <- if (correlation$kind == "order") {
    follow_on(correlation, codes, known$codes)
  } else {
    residual_positions(correlation, frame, codes)
  }
  if (anyNA(unlist(position)) || !all(in_range(position, correlation))) {
    check_new_positions(
      object, c(rows["frame"], fitted = FALSE),
      list(groups = list(codes = 1L), correlation = list(position = NA_integer_))
    )
  }
  classes <- residual_classes(correlation, frame)
  check_new_classes(object, classes)
  list(codes = codes, position = position, classes = classes)
}

#' Groups of new rows must be of a class that has a correlation
#' @noRd
check_new_classes <- function(object, classes) {
  if (anyNA(classes$codes)) {
    correlation <- object$residual$correlation
    ferrolmm_abort(
      paste0("`newdata` has rows without a covariance matrix in ",
             describe_residual_term(object$residual), "."),
      "newdata",
      i = paste0("Levels of `", paste(correlation$by, collapse = ":"), "` are ",
                 quote_names(correlation$classes, 10L), ".")
    )
  }
}

#' Where positions are the order of rows, new rows come after those of the fit
#' @noRd
follow_on <- function(correlation, codes, known) {
  sizes <- tabulate(known)
  group <- ifelse(is.na(codes), 0L, codes)
  place <- stats::ave(seq_along(group), group, FUN = seq_along) +
    ifelse(is.na(codes), 0L, sizes[pmax(group, 1L)])
  ordered_positions(correlation$type, place)
}

#' @noRd
check_residual_prediction <- function(object, newdata, parts, random_only, interval) {
  if (!has_correlation(object)) {
    ferrolmm_abort(
      "`residual.cor` needs a model with correlated residuals.", "argument"
    )
  }
  need_known_rows(object, "`residual.cor = TRUE`")
  whole <- length(parts) == length(object$random) &&
    all(lengths(lapply(parts, `[[`, "effects")) == lengths(object$cnms))
  if (is.null(newdata) || !whole || random_only || interval == "confidence") {
    ferrolmm_abort(
      paste0(
        "`residual.cor = TRUE` predicts new observations: it needs `newdata`, all random effects, ",
        "and no confidence interval of the mean."
      ),
      "argument"
    )
  }
}

#' Rows of new data must have a position in their residual group, each its own
#' @noRd
check_new_positions <- function(object, rows, design) {
  if (rows$fitted) {
    return(invisible())
  }
  correlation <- object$residual$correlation
  position <- design$correlation$position
  if (anyNA(unlist(position)) || anyNA(design$groups$codes) ||
        !all(in_range(position, correlation))) {
    ferrolmm_abort(
      paste0("`newdata` has rows without a place in ", describe_residual_term(object$residual),
             "."),
      "newdata",
      i = if (!is.null(correlation$visits)) {
        paste0("Visits are ", quote_names(correlation$visits, 10L), ".")
      } else if (correlation$kind == "number") {
        paste0("Times, in `", correlation$covariates, "`, are whole numbers, at most ",
               format(largest_span), " from the first one of the fit.")
      }
    )
  }
  check_new_classes(object, design$correlation$classes)
  check_positions(correlation, rows$frame)
}
