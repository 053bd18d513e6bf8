# Profile and bootstrap limits of functions of variance parameters.

#' By the profile of the criterion
#' @noRd
function_profiles <- function(object, components, functions, level) {
  require_maximum(object, "A profile")
  quantile <- stats::qnorm((1 + level) / 2)
  ends <- list(
    positive = c(0, Inf), unit = c(0, 1), correlation = c(-1, 1), real = c(-Inf, Inf)
  )
  limits <- vapply(functions, function(one) {
    if (!is.finite(one$value)) {
      return(c(NA_real_, NA_real_))
    }
    program <- component_program(one$expression, one$enclosure, one$name)
    program$scale <- one$kind
    path <- engine_inference(engine_profile_function, object, program, quantile)
    path$which <- 1L
    path$parameters <- matrix(path$value, 1L)
    path <- reach_ends(path, one$value, ends[[one$kind]], quantile)
    if (length(path$zeta) < 2L) {
      return(c(NA_real_, NA_real_))
    }
    path <- list(value = path$parameters[1L, ], zeta = path$zeta)
    profile_limits(path, quantile, ends[[one$kind]])
  }, c(0, 0))
  limits <- matrix(limits, ncol = 2L, byrow = TRUE)
  short <- rowSums(is.na(limits)) > 0 & is.finite(vapply(functions, `[[`, 0, "value"))
  if (any(short)) {
    names <- vapply(functions[short], `[[`, "", "name")
    ferrolmm_warn(
      paste0("The profile of ", quote_names(names), " does not reach the level ", format(level),
             ": limits that are NA were not found."),
      "profile",
      i = "It cannot move, or not so far: `method = \"boot\"` has limits."
    )
  }
  function_table(functions, function_errors(components, functions), limits)
}

#' An expression in the components as a program for the engine
#'
#' Reverse Polish notation: operands before their operator. What has no component is a number.
#' @returns list(steps: a list of words, values: a number for each)
#' @noRd
component_program <- function(expression, enclosure, name) {
  steps <- list()
  values <- numeric()
  add <- function(step, value = NA_real_) {
    steps[[length(steps) + 1L]] <<- step
    values[[length(values) + 1L]] <<- as.double(value)
  }
  refuse <- function(what) {
    ferrolmm_abort(
      paste0("`", name, "` cannot be profiled: it has ", what, "."), "argument",
      i = paste0(
        "A profile takes +, -, *, /, ^, sqrt(), exp() and log(); `method = \"delta\"` and ",
        "\"boot\" take any function."
      )
    )
  }
  constant <- function(expression) {
    value <- eval(expression, baseenv_of(enclosure))
    if (!is.numeric(value) || length(value) != 1L) refuse("a part that is no number")
    value
  }
  visit <- function(expression) {
    if (length(components_in(expression)) == 0L) {
      return(add("constant", constant(expression)))
    }
    if (is.name(expression)) {
      return(add("component", components_in(expression)))
    }
    if (!is.name(expression[[1L]])) {
      refuse("a covariance of residuals that is no product of parameters")
    }
    operator <- as.character(expression[[1L]])
    arguments <- as.list(expression[-1L])
    if (operator == "(") {
      visit(arguments[[1L]])
    } else if (operator %in% c("+", "-") && length(arguments) == 1L) {
      visit(arguments[[1L]])
      if (operator == "-") {
        add("constant", -1)
        add("*")
      }
    } else if (operator %in% c("+", "-", "*", "/")) {
      lapply(arguments, visit)
      add(operator)
    } else if (operator == "^") {
      visit_power(arguments[[1L]], arguments[[2L]])
    } else if (operator %in% c("sqrt", "exp", "log") && length(arguments) == 1L) {
      visit(arguments[[1L]])
      add(operator)
    } else {
      refuse(paste0(operator, "()"))
    }
  }
  visit_power <- function(base, exponent) {
    if (length(components_in(exponent)) == 0L) {
      visit(base)
      return(add("^", constant(exponent)))
    }
    # x^y = exp(y log x)
    visit(call("exp", call("*", exponent, call("log", base))))
  }
  visit(expression)
  list(steps = steps, values = values)
}

#' Where numbers in a formula are looked up
#' @noRd
baseenv_of <- function(enclosure) {
  if (is.null(enclosure)) baseenv() else enclosure
}

#' By a parametric bootstrap
#'
#' @param how list(nsim, seed, type, threads).
#' @noRd
function_bootstrap <- function(object, components, functions, level, how) {
  if (is_sampled(object)) abort_sampled("A bootstrap")
  replicates <- bootstrap.lmm(object, how$nsim, seed = how$seed, threads = how$threads)$t
  n_phi <- length(object$phi)
  n_theta <- length(object$theta)
  values <- apply(replicates[, seq_len(count_variance(object)), drop = FALSE], 1L, function(row) {
    if (is.na(row[[length(row)]])) {
      return(rep.int(NA_real_, length(components$values)))
    }
    # the correlations of an effect whose variance is zero are arbitrary
    row[is.na(row)] <- 0
    theta <- sdcor_to_theta(row, object$random)
    component_values(
      object, theta[seq_len(n_theta)], theta[n_theta + seq_len(n_phi)], row[[length(row)]]
    )
  })
  values <- matrix(values, length(components$values))
  fitted <- !is.na(colSums(values))
  draws <- lapply(functions, function(one) {
    drawn <- suppressWarnings(apply(values, 2L, function(at) {
      if (anyNA(at)) NA_real_ else evaluate_components(one$expression, at, one$enclosure)
    }))
    lost <- sum(is.nan(drawn[fitted]))
    if (lost > 0L) {
      ferrolmm_inform(
        paste0("`", one$name, "` is no number in ", lost, " of ", sum(fitted),
               " replicates: its limits are of the others."), "boundary"
      )
    }
    drawn
  })
  limits <- Map(function(t, one) bootstrap_limits(t, one$value, level, how$type), draws, functions)
  function_table(
    functions, vapply(draws, stats::sd, 0, na.rm = TRUE), do.call(rbind, limits)
  )
}
