# Parameters of a residual structure: names, starts, and those that are held.

#' A structure with more parameters than there are rows, before any of them gets a name
#'
#' The engine counts all parameters of a model; this check is for numbers that are too large even to
#' be handed over.
#' @param label of the structure.
#' @noRd
check_parameter_count <- function(count, n, label) {
  if (count > n) {
    ferrolmm_abort(
      paste0("`", label, "` has ", count_of(count, "parameter"), " for ",
             count_of(n, "observation"), "."),
      "too_many_parameters", i = engine_remedies[["too_many_parameters"]]
    )
  }
}

#' Names, starts and held values of the correlation's parameters
#' @noRd
correlation_parameters_of <- function(correlation, spec, n) {
  parameters <- engine_correlation_parameters(correlation, max(n, length(spec$value)))
  count <- count_classes(correlation) * parameters$count
  if (!spec$fixed) {
    check_parameter_count(count, n, paste0(spec$name, "()"))
  }
  names <- name_classes(parameters$names, correlation$classes)
  value <- spec$value
  if (is.null(value)) {
    if (spec$fixed) {
      ferrolmm_abort(
        paste0("`", spec$name, "()` is fixed, but has no value."), "residual",
        i = "Give the value of its parameters, as in corAR1(0.5, form = ~ t | g, fixed = TRUE)."
      )
    }
    value <- rep.int(NA_real_, length(names))
  }
  if (length(value) < length(names) && correlation$nugget && length(value) == 1L) {
    value <- c(value, NA_real_)
  }
  if (length(value) != count) {
    ferrolmm_abort(
      paste0("`", spec$name, "()` has ", count_of(length(value), "value"), " for ",
             count_of(count, "parameter"), "."),
      "residual",
      i = if (length(names)) paste0("Parameters: ", quote_names(names, 12L), ".")
    )
  }
  list(names = names, start = as.double(value), held = rep.int(spec$fixed, length(names)))
}

#' Names, starts and held values of a variance function's parameters
#' @noRd
scale_parameters_of <- function(scale, spec) {
  levels <- scale$levels
  kind <- scale_kind(scale$type)
  if (kind$reference) {
    levels <- levels[-1L]
  }
  if (length(kind$parameters) == 1L) {
    return(named_parameters(kind$parameters, levels, spec$value, spec$fixed))
  }
  parts <- lapply(kind$parameters, function(name) {
    named_parameters(name, levels, spec$value[[name]], spec$fixed[[name]])
  })
  do.call(Map, c(list(c), parts))
}

#' @noRd
named_parameters <- function(name, levels, value, fixed) {
  n <- max(1L, length(levels))
  start <- rep.int(NA_real_, n)
  held <- logical(n)
  fill <- function(into, given) {
    if (length(given) == 0L) {
      return(into)
    }
    at <- if (is.null(names(given)) || all(!nzchar(names(given)))) seq_len(n) else
      match(names(given), levels)
    given <- if (length(at) == n && length(given) == 1L) rep.int(given, n) else given
    into[at[!is.na(at)]] <- unname(given)[!is.na(at)]
    into
  }
  start <- fill(start, value)
  fixed_at <- fill(rep.int(NA_real_, n), fixed)
  held <- !is.na(fixed_at)
  start[held] <- fixed_at[held]
  list(
    names = if (length(levels)) paste(name, levels) else name, start = start, held = held
  )
}
