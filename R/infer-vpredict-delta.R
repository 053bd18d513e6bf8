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
  without <- is.na(se) & is.finite(vapply(functions, `[[`, 0, "value"))
  if (any(without)) {
    names <- vapply(functions[without], `[[`, "", "name")
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
    if (is.finite(one$value)) {
      delta_error(components, one$expression, one$enclosure)
    } else {
      NA_real_
    }
  }, 0)
}

#' Functions that are no number at the estimates have no error and no limits
#' @noRd
inform_not_finite <- function(functions) {
  values <- vapply(functions, `[[`, 0, "value")
  if (any(!is.finite(values))) {
    names <- vapply(functions[!is.finite(values)], `[[`, "", "name")
    ferrolmm_inform(
      paste0("No finite number at the estimates: ", quote_names(names), "."), "boundary"
    )
  }
}
