# The argument `start`: values of theta and phi, in the order of their names.

#' The user's `start` as a plain vector of theta and phi, or NULL
#' @noRd
check_start <- function(start, random, residual = NULL) {
  if (is.null(start)) {
    return(NULL)
  }
  names <- c(random$theta_names, residual$names)
  if (is.list(start)) {
    unknown <- setdiff(names(start), c("theta", "par", "phi"))
    if (is.null(names(start)) || length(unknown) || anyDuplicated(names(start)) ||
          all(c("theta", "par") %in% names(start))) {
      ferrolmm_abort(
        "`start` must be a numeric vector or list(theta = ).", "start",
        x = if (length(unknown)) paste0("It has ", quote_names(unknown), ".")
      )
    }
    start <- c(start[["theta"]], start[["par"]], start[["phi"]])
  }
  if (!is.numeric(start) || anyNA(start) || any(is.infinite(start))) {
    ferrolmm_abort(
      "`start` must be numeric and finite.", "start",
      i = paste0("It holds ", if (length(residual$names)) "theta and phi: " else "theta: ",
                 quote_names(names, 10L), ".")
    )
  }
  if (length(start) != length(names)) {
    ferrolmm_abort(
      paste0("`start` has length ", length(start), ", theta ",
             if (length(residual$names)) "and phi together have" else "has", " length ",
             length(names), "."),
      "start", i = paste0("Its elements are ", quote_names(names, 10L), ".")
    )
  }
  given <- names(start)
  if (!is.null(given) && !anyDuplicated(names) && !anyDuplicated(given) && setequal(given, names)) {
    start <- start[names]
  }
  theta <- start[seq_along(random$lower)]
  below <- theta < random$lower
  if (any(below)) {
    ferrolmm_abort(
      paste0("`start` is ", if (all(random$lower[below] == 0)) "negative" else "out of bounds",
             " for ", quote_names(random$theta_names[below]), ", a relative standard deviation",
             if (any(random$lower[below] < 0)) " or a correlation", "."),
      "start"
    )
  }
  as.double(start)
}
