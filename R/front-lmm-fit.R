# The story of a fit, from what the user gave to the fitted object; and fitting the same model
# again.

#' The pipeline: formula, data, design, fit
#' @param optimize `FALSE`: the model at its start, where nothing is estimated.
#' @noRd
fit_formula <- function(call, formula, data, reml, given, na_action, contrasts, start, control,
                        caller, optimize = TRUE) {
  start_clock(control)
  formula <- as_two_sided_formula(formula, caller)
  spec <- read_residual(given, data, environment(formula), caller)
  if (spec_has_variances(spec)) {
    given$weights <- NULL
  }
  given$known <- spec$correlation$known
  given$sampling <- optimize
  model <- parse_formula(formula, data, caller, spec, smooths = optimize)
  model$bars <- find_known(model$bars, data, model$env, caller)
  call$formula <- formula
  home <- remember_home(call, data, environment(formula), caller)
  frame <- build_frame(
    model, data, given, na_action, caller, group_columns(spec), control$threads
  )
  require_time_to_fit(control)
  smoothed <- build_smooths(model, frame)
  model <- smoothed$model
  frame <- smoothed$frame
  fixed <- build_fixed(model, frame, contrasts)
  inform_logical(frame)
  require_time_to_fit(control)
  random <- build_random(model, frame, spec, control)
  require_time_to_fit(control)
  residual <- build_residual(spec, frame, random)
  random$eliminated <- build_eliminated(model, frame, control)
  random$design <- with_eliminated(random$design, random$eliminated, frame)
  fixed$sampling <- sampling_design(frame, random)
  check_eliminated(model, fixed, spec, reml, control)
  check_sampling_model(fixed$sampling, random, spec, reml, control)
  check_identifiable(residual, frame, random, control)
  check_scale_beside_sigma(residual, control)
  fixed$weights <- residual_weights(residual, frame, fixed$weights)
  fit_parts(
    home, model$formula, frame, fixed, random, residual, reml, start, control, optimize
  )
}

#' From the parts of the design to the fitted object
#'
#' @param condensed what stands in the place of rows, see [condense_cells()], or NULL.
#' @noRd
fit_parts <- function(home, formula, frame, fixed, random, residual, reml, start, control,
                      optimize = TRUE, condensed = NULL) {
  check_nobound(fixed, random, residual, start, control, condensed)
  check_factor_model(fixed, random, control, condensed)
  start <- check_start(start, random, residual)
  names <- c(random$theta_names, residual$names)
  check_constraints(control, names)
  if (!is.null(control$hold)) {
    phi <- phi_ranges(residual)
    upper <- as.double(unlist(lapply(random$terms, term_upper)))
    check_held_values(control, names, c(random$lower, phi$lower), c(upper, phi$upper))
    check_penalised_values(unname(control$hold)[match(names, names(control$hold))], "hold",
                           control, random)
  }
  start <- start_at_held(start, control, names)
  check_penalised_values(start, "start", control, random)
  found <- if (optimize) {
    fit_design(fixed, random, residual, frame, reml, start, control)
  } else {
    evaluate_design(fixed, random, residual, frame, reml, start, control)
  }
  fit <- new_lmm(
    call = home$call, env = home$env, formula = formula, frame = found$frame,
    fixed = fixed, random = random, residual = residual, result = found$result,
    control = control, reml = reml, condensed = condensed
  )
  if (optimize) report_fit(found$result, fixed, random, control, residual)
  if (optimize && !is.null(fit$sampling)) with_cluster_variance(fit) else fit
}

#' The model at its start, as [fit_design()] returns it
#' @noRd
evaluate_design <- function(fixed, random, residual, frame, reml, start, control) {
  model <- engine_model(fixed, random, residual_design(residual, frame))
  control <- resolve_control(unclass(control), random, residual$names)
  result <- naming_errors(
    engine_fit(model, reml, start, control, optimize = FALSE), residual, frame, random
  )
  list(result = separate_levels(result, random$eliminated, random), frame = frame)
}

#' Do the weights of the call hold a variance function?
#' @noRd
spec_has_variances <- function(spec) {
  !is.null(spec) && spec$source != "residual" && length(spec$scales) + length(spec$fixed) > 0L
}

#' Columns that only group rows, where infinite values are levels
#' @noRd
group_columns <- function(spec) {
  variable_names(c(
    spec$correlation$group, unlist(lapply(spec$scales, `[[`, "stratum"), recursive = FALSE)
  ))
}

#' Fit; where a variance function depends on the fitted values, repeat until they settle
#'
#' As in nlme, the criterion is that with the variances at the last fitted values.
#' @returns list(result, frame), the frame with the column "(fitted)" if there is such a function
#' @noRd
fit_design <- function(fixed, random, residual, frame, reml, start, control) {
  given <- unclass(control)
  fit_at <- function(residual, start) {
    # the first fit has fewer parameters
    control <- resolve_control(given, random, residual$names)
    model <- engine_model(fixed, random, residual_design(residual, frame))
    result <- naming_errors(engine_fit(model, reml, start, control), residual, frame, random)
    if (identical(result$certificate$status, "time-limit")) {
      require_fit_call()
    }
    separate_levels(result, random$eliminated, random)
  }
  if (!depends_on_fitted(residual)) {
    return(list(result = fit_at(residual, start), frame = frame))
  }
  result <- if (is.null(frame[["(fitted)"]])) {
    fit_at(without_fitted(residual), NULL)
  } else {
    list(fitted = frame[["(fitted)"]], criterion = Inf)
  }
  for (round in seq_len(100L)) {
    before <- result
    for (scale in residual$scales) {
      if (scale$fitted) check_scale_covariate(scale, before$fitted, "the fitted values")
    }
    frame[["(fitted)"]] <- as.double(before$fitted)
    result <- if (round == 1L) {
      fit_at(residual, start)
    } else {
      # an end point at the edge of what is possible may not be a valid start
      anew <- function(e) fit_at(residual, NULL)
      tryCatch(
        fit_at(residual, c(before$theta, before$phi)),
        ferrolmm_error_residual_start = anew, ferrolmm_error_dimension = anew
      )
    }
    size <- max(abs(result$fitted), .Machine$double.xmin)
    settled <- max(abs(result$fitted - before$fitted)) < 1e-9 * size
    if (settled || identical(result$certificate$status, "time-limit")) {
      return(list(result = result, frame = frame))
    }
  }
  list(result = not_settled(result, before$fitted), frame = frame)
}

#' The result of a search whose fitted values did not settle: its certificate is that of one fit in
#' a row of fits, and proves no optimum
#' @noRd
not_settled <- function(result, before) {
  result$certificate$status <- "not-settled"
  result$certificate$message <- paste0(
    "the largest change of a fitted value in the last one was ",
    format(max(abs(result$fitted - before)), digits = 2L)
  )
  result
}

#' The structure without the variance functions of fitted values, for the first fit
#' @noRd
without_fitted <- function(residual) {
  sizes <- vapply(residual$scales, count_scale_parameters, 1L)
  n_correlation <- length(residual$names) - sum(sizes)
  owner <- c(integer(n_correlation), rep.int(seq_along(sizes), sizes))
  dropped <- which(vapply(residual$scales, `[[`, NA, "fitted"))
  kept <- !owner %in% dropped
  residual$scales <- residual$scales[-dropped]
  for (name in c("names", "start", "held")) {
    residual[[name]] <- residual[[name]][kept]
  }
  residual
}

#' Run the engine on the model that the elements of a fit describe, and store the result in it
#'
#' @param model a fit without its class.
#' @noRd
fit_again <- function(model) {
  control <- unclass(model$control)
  fixed <- fixed_inputs(model, in_place = TRUE)
  random <- random_inputs(model, in_place = TRUE)
  found <- fit_design(fixed, random, model$residual, model$frame, model$REML, NULL, control)
  report_fit(found$result, fixed, random, control, model$residual)
  model$frame <- found$frame
  model <- set_result(model, found$result)
  class(model) <- "lmm"
  model
}

#' Where the call can be evaluated again, and in what form
#'
#' That is where it was made. lapply(), pipes and functions that pass on their `...` leave names for
#' the data there that later have no meaning, or another one: then the data are kept.
#' @returns list(call, env); `env` is NULL where it is that of the formula.
#' @noRd
remember_home <- function(call, data, home, caller) {
  at_home <- identical(home, caller)
  written <- call$data
  if (is.null(written) || !is.language(written) || at_home && !identical(written, quote(.))) {
    return(list(call = call, env = if (!at_home) caller))
  }
  name <- if (is.symbol(written)) as.character(written) else code_label(written)
  if (!is.symbol(written) || !identical(get0(name, caller), data)) {
    env <- new.env(parent = caller)
    assign(name, data, envir = env)
    call$data <- as.name(name)
    return(list(call = call, env = env))
  }
  list(call = call, env = caller)
}
