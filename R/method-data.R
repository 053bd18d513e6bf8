# The data of a fit as the user has them, for what needs variables that the model has not, or has in
# another form.

#' The rows of the user's data that a fit used, with all columns
#'
#' Rows left out by na.exclude() are there too, as residuals have a place for them. Without `data`,
#' or where they are no longer there, the columns of the model frame that are variables themselves.
#' @noRd
fit_data <- function(object) {
  data <- tryCatch(eval(object$call$data, fit_home(object)), error = function(e) NULL)
  used <- row.names(object$frame)
  if (!is.data.frame(data)) {
    frame <- object$frame
    attr(frame, "terms") <- attr(frame, "sources") <- attr(frame, "formula") <- NULL
    variables <- all.vars(attr(object$frame, "terms"))
    return(frame[names(frame) %in% variables])
  }
  if (inherits(object$na.action, "exclude")) {
    used <- c(used, names(object$na.action))
  }
  rows <- match(used, row.names(data))
  if (anyNA(rows) || !same_response(object, data)) {
    ferrolmm_abort(
      paste0("The data `", code_label(object$call$data), "` have changed since the model was ",
             "fitted."),
      "data", i = "Fit it again: update(fit)."
    )
  }
  data[sort(rows), , drop = FALSE]
}

#' Has the response, where it is a column, still the values that were fitted?
#' @noRd
same_response <- function(object, data) {
  name <- full_formula(object)[[2L]]
  if (!is.symbol(name) || !as.character(name) %in% names(data)) {
    return(TRUE)
  }
  now <- data[[as.character(name)]][match(row.names(object$frame), row.names(data))]
  identical(as.double(now), response_values(object))
}
