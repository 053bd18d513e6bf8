# What a call takes from all rows (levels, breaks, a mean) is written into it, so that it says the
# same of other rows.

#' An expression in which what it takes from all rows of the data has its value in the fit
#'
#' `x - mean(x)` keeps the mean, `findInterval(x, quantile(x))` the quantiles: parts that are
#' shorter than the data are not values of rows. cut() keeps its breaks in the same way, which
#' cut.default() computes from the range of x where only their number is given.
#' @noRd
with_constants <- function(expression, inputs, env, n) {
  # sums are nested as deeply as they are long: the innermost first
  outer <- list()
  while (is_call_to(expression, arithmetic) && is_call_to(expression[[2L]], arithmetic)) {
    outer[[length(outer) + 1L]] <- expression
    expression <- expression[[2L]]
  }
  expression <- with_own_constants(expression, inputs, env, n)
  for (around in rev(outer)) {
    # the first operand contains its constants, and is not one itself
    operands <- as.list(with_own_constants(replace_operand(around, quote(.)), inputs, env, n))
    around[seq_along(around)[-2L]] <- operands[-2L]
    expression <- replace_operand(around, expression)
  }
  expression
}

#' Operators whose operands are examined one by one
#' @noRd
arithmetic <- c("+", "-", "*", "/", "^", "(")

#' @noRd
replace_operand <- function(call, by) {
  call[[2L]] <- by
  call
}

#' @noRd
with_own_constants <- function(expression, inputs, env, n) {
  if (!is.call(expression) || is_call_to(expression, c("function", "~", "quote", "::", "$", "@"))) {
    return(expression)
  }
  expression <- with_breaks(expression, inputs, env)
  if ("labels" %in% names(expression)) {
    expression <- with_factor_levels(expression, inputs, env)
  }
  for (k in seq_along(expression)[-1L]) {
    part <- expression[[k]]
    if (missing(part) || !is.call(part) || !any(variables_of(part) %in% names(inputs))) {
      next
    }
    value <- tryCatch(suppressWarnings(eval(part, inputs, env)), error = function(e) NULL)
    constant <- is.atomic(value) && is.null(dim(value)) && length(value) > 0L && length(value) < n
    expression[[k]] <- if (constant) {
      value
    } else {
      with_constants(with_factor_levels(part, inputs, env), inputs, env, n)
    }
  }
  expression
}

#' factor(x) inside of another call, or with labels, with the levels that it had
#'
#' as.integer(factor(x)) numbers the values among those of the fit.
#' @noRd
with_factor_levels <- function(expression, inputs, env) {
  named <- names(expression)
  unnamed <- if (is.null(named)) length(expression) - 1L else sum(!nzchar(named[-1L]))
  if (!is_call_to(expression, c("factor", "as.factor", "ordered")) ||
        any(c("x", "levels", "exclude") %in% named)) {
    return(expression)
  }
  x <- tryCatch(plain_values(eval(expression[[2L]], inputs, env)), error = function(e) NULL)
  if (unnamed != 1L || !is.atomic(x) || is.null(x) || !is.null(dim(x)) || length(x) < 2L) {
    return(expression)
  }
  expression$levels <- if (is.factor(x)) levels(droplevels(x)) else sort(unique(x))
  if (is_call_to(expression, "as.factor")) {
    if (is.factor(x)) expression$levels <- levels(x)
    expression[[1L]] <- quote(factor)
  }
  expression
}

#' @noRd
with_breaks <- function(expression, inputs, env) {
  if (!is_call_to(expression, "cut") && !identical(expression[[1L]], quote(base::cut))) {
    return(expression)
  }
  matched <- match.call(function(x, breaks, ...) NULL, expression, expand.dots = TRUE)
  found <- tryCatch(
    list(x = eval(matched$x, inputs, env), breaks = eval(matched$breaks, inputs, env)),
    error = function(e) NULL
  )
  if (is.numeric(found$x) && is.numeric(found$breaks) && length(found$breaks) == 1L) {
    matched$breaks <- cut_points(found$x, found$breaks)
    return(matched)
  }
  expression
}

#' @noRd
cut_points <- function(x, breaks) {
  range <- range(x, na.rm = TRUE)
  width <- range[2L] - range[1L]
  margin <- if (width > 0) width else if (range[1L] != 0) abs(range[1L]) else 1
  outer <- c(range[1L] - margin / 1000, range[2L] + margin / 1000)
  if (width == 0) {
    return(seq.int(outer[1L], outer[2L], length.out = breaks + 1))
  }
  points <- seq.int(range[1L], range[2L], length.out = breaks + 1)
  points[c(1L, length(points))] <- outer
  points
}
