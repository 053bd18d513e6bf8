# Functions of variance parameters by the delta method, and the table of their limits.

#' Estimates with standard errors and limits
#' @noRd
function_table <- function(functions, se, limits) {
  data.frame(
    estimate = vapply(functions, `[[`, 0, "value"), se = se, conf.low = limits[, 1L],
    conf.high = limits[, 2L], row.names = vapply(functions, `[[`, "", "name")
  )
}

#' By the delta method
#' @noRd
function_intervals <- function(components, functions, level) {
  se <- function_errors(components, functions)
  if (anyNA(se)) {
    names <- vapply(functions[is.na(se)], `[[`, "", "name")
    ferrolmm_inform(
      paste0(
        "No standard error of ", quote_names(names), ": a component is at its boundary, or not ",
        "identified. `method = \"profile\"` has limits at a boundary."
      ), "boundary"
    )
  }
  kinds <- vapply(functions, `[[`, "", "kind")
  values <- vapply(functions, `[[`, 0, "value")
  function_table(functions, se, parameter_limits(values, se, kinds, level))
}

#' @noRd
function_errors <- function(components, functions) {
  vapply(functions, function(one) {
    delta_error(components, one$expression, one$enclosure)
  }, 0)
}
