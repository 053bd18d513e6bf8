# New responses for a fitted model: one, or one per column.

#' A new response as a plain vector of the used rows
#' @noRd
check_new_response <- function(newresp, object) {
  if (is.list(newresp)) {
    if (length(newresp) != 1L) {
      ferrolmm_abort(
        paste0("`newresp` must hold one response, it holds ", length(newresp), "."), "argument",
        i = "Several responses are the columns of a matrix or data frame."
      )
    }
    newresp <- newresp[[1L]]
  }
  newresp <- response_like(newresp, .subset2(object$frame, 1L))
  n <- count_rows(object)
  omitted <- object$na.action
  if (length(omitted) > 0L && length(newresp) == n + length(omitted)) {
    newresp <- newresp[-omitted]
  }
  check_numbers(newresp, "newresp")
  if (length(newresp) != n) {
    ferrolmm_abort(
      paste0("`newresp` has ", count_of(length(newresp), "value"), ", the model ",
             count_of(n, "row"), "."),
      "argument", i = describe_rows(object)
    )
  }
  if (!all(is.finite(newresp))) {
    ferrolmm_abort(
      "`newresp` has values that are missing or infinite.", "argument",
      i = "Fit the rows that are left with update() or lmm()."
    )
  }
  as.vector(newresp)
}

#' A matrix of the used rows with a name for each response
#' @noRd
check_many_responses <- function(responses, object) {
  if (is.data.frame(responses)) {
    columns <- lapply(unclass(responses), response_like, .subset2(object$frame, 1L))
    numeric <- vapply(columns, function(y) {
      (is.numeric(y) || is.logical(y)) && !is.factor(y) && !is_integer64(y) && NCOL(y) == 1L
    }, NA)
    if (!all(numeric)) {
      ferrolmm_abort(
        paste0("Responses must be numeric vectors: not so ",
               quote_names(names(responses)[!numeric]), "."),
        "argument"
      )
    }
    responses <- matrix(
      as.double(unlist(columns, use.names = FALSE)), ncol = length(columns),
      dimnames = list(NULL, names(columns))
    )
  }
  responses <- plain_values(responses)
  check_numbers(responses, "newresp")
  n <- count_rows(object)
  responses <- rows_of_fit(responses, object)
  if (nrow(responses) != n) {
    ferrolmm_abort(
      paste0("`newresp` has ", count_of(nrow(responses), "row"), ", the model ", n, "."),
      "argument",
      i = c("Each response is a column.", describe_rows(object))
    )
  }
  if (ncol(responses) == 0L) {
    ferrolmm_abort("`newresp` has no column.", "argument", i = "Each response is a column.")
  }
  require_row_order(responses, object, "newresp")
  names <- colnames(responses)
  if (is.null(names)) names <- character(ncol(responses))
  nameless <- is.na(names) | !nzchar(names)
  names[nameless] <- paste0("y", which(nameless))
  matrix(responses, n, dimnames = list(NULL, names))
}

#' A response as plain values; a duration in the unit that the fit's response has
#' @noRd
response_like <- function(y, fitted) {
  y <- plain_values(y)
  if (inherits(y, "difftime") && inherits(fitted, "difftime")) {
    units(y) <- units(fitted)
    y <- as.double(y)
  }
  y
}

#' Are these numbers or logicals, without a class that makes them something else?
#' @noRd
check_numbers <- function(x, name) {
  if (is.factor(x) || is_integer64(x) || !(is.numeric(x) || is.logical(x))) {
    ferrolmm_abort(
      paste0("`", name, "` must be numeric, it is of class ", class(x)[[1L]], "."), "argument",
      i = if (is_integer64(x)) "It has values beyond 2^53: convert it with as.numeric()."
    )
  }
}
