# A column of other data becomes one like that of the fit.

#' Give a new column the type that it had in the fit
#'
#' @param by_key is the column matched by typed levels, and otherwise not used? Then it stays.
#' @noRd
convert_column <- function(value, fitted, name, by_key) {
  if (is_matrix_object(value) || is_matrix_object(fitted)) {
    # the matrix of mm(), checked where it is used
    return(if (is_matrix_object(value)) methods::as(as_sparse(value), "dMatrix") else value)
  }
  value <- plain_values(value)
  if (by_key) {
    return(value)
  }
  if (is.factor(fitted)) {
    return(convert_factor(value, fitted, name))
  }
  convert_number(value, fitted, name)
}

#' @noRd
convert_factor <- function(value, fitted, name) {
  if (is.logical(value) && all(is.na(value))) {
    value <- as.character(value)
  }
  if (!is.factor(value) && !is.character(value)) {
    abort_type(value, fitted, name)
  }
  known <- levels(fitted)
  labels <- as.character(value)
  new <- setdiff(labels, c(known, NA))
  if (length(new) > 0L) {
    ferrolmm_abort(
      paste0("`newdata` has new levels of the factor `", name, "`: ", quote_names(new), "."),
      "newdata",
      x = "Its effects were not estimated.",
      i = paste0("Levels of the fit are ", quote_names(known), ".")
    )
  }
  class <- if (is.ordered(fitted)) c("ordered", "factor") else "factor"
  structure(match(labels, known), levels = known, class = class)
}

#' Numbers, dates, times, durations, logicals and matrices: the kind must be that of the fit, and
#' the unit is converted to it
#' @noRd
convert_number <- function(value, fitted, name) {
  fitted <- plain_values(fitted)
  if (is.logical(value) && all(is.na(value))) {
    rows <- rep.int(NA_integer_, NROW(value))
    return(if (is.matrix(fitted)) fitted[rows, , drop = FALSE] else fitted[rows])
  }
  if (is.matrix(fitted)) {
    return(convert_matrix(value, fitted, name))
  }
  if (is.matrix(value) && ncol(value) == 1L) {
    value <- value[, 1L]
  }
  if (is.list(value) || !is.null(dim(value)) || level_kind(value) != level_kind(fitted)) {
    abort_type(value, fitted, name)
  }
  if (inherits(fitted, "difftime")) {
    units(value) <- units(fitted)
  }
  value
}

#' @noRd
convert_matrix <- function(value, fitted, name) {
  if (is.null(dim(value)) && ncol(fitted) == 1L && is.numeric(value) && !is.object(value)) {
    value <- matrix(value, ncol = 1L, dimnames = list(NULL, colnames(fitted)))
  }
  if (!is.matrix(value) || ncol(value) != ncol(fitted) ||
        is.numeric(value) != is.numeric(fitted)) {
    abort_type(value, fitted, name)
  }
  order <- match(colnames(fitted), colnames(value))
  if (length(order) == ncol(value) && !anyNA(order) && is.unsorted(order)) {
    value <- value[, order, drop = FALSE]
  }
  value
}

#' @noRd
abort_type <- function(value, fitted, name) {
  ferrolmm_abort(
    paste0("`", name, "` is of another type in `newdata` than in the fit."), "newdata",
    x = paste0("It was ", value_class(fitted), " and is ", value_class(value), "."),
    i = "Convert it to what it was in the fit.", variable = name
  )
}
