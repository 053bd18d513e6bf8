# Predicted values.

#' Predicted values; for the rows of the fit stored values are used
#' @noRd
predicted_values <- function(object, rows, parts, random_only) {
  everything <- length(parts) == length(object$random) &&
    all(lengths(lapply(parts, `[[`, "effects")) == lengths(object$cnms))
  if (rows$fitted && everything && !random_only) {
    return(object$fitted.values)
  }
  values <- numeric(.row_names_info(rows$frame, 2L))
  for (i in seq_along(parts)) {
    values <- values + random_part(object, parts[[i]], rows$frame, rows$codes[[i]])
  }
  if (random_only) {
    return(values)
  }
  values + fixed_part(object, rows$frame, rows$offset, !rows$fitted) + eliminated_part(object, rows)
}

#' X beta + offset; NA in `new` rows whose mean the fit does not determine
#' @noRd
fixed_part <- function(object, frame, offset, new = FALSE) {
  kept <- kept_columns(object)
  x <- fixed_matrix(object$terms, frame, object$contrasts)
  values <- as.vector(x[, kept, drop = FALSE] %*% unname(object$coefficients[kept]))
  if (new && length(kept) < ncol(x) && !has_eliminated(object)) {
    values <- estimable_values(object, x, values)
  }
  if (is.null(offset)) values else values + offset
}

#' Contribution of the chosen effects of one term; zero where the code is NA
#' @noRd
random_part <- function(object, part, frame, codes) {
  modes <- term_modes(object, part$term)
  columns <- term_columns(object$random[[part$term]], frame)
  effects <- of_levels(modes, codes)
  values <- numeric(nrow(effects))
  for (j in part$effects) {
    effect <- effects[, j]
    own <- if (is.null(columns[[j]])) effect else effect * columns[[j]]
    # of an unknown level, whatever the column
    own[effect == 0] <- 0
    values <- values + own
  }
  if (is.list(codes)) values[codes$missing] <- NA
  values
}
