# Methods for 'parameters', registered in zzz.R: tables of parameters, with the standard errors and
# degrees of freedom of this package. What the tables look like is that package's.

#' Standard errors of the coefficients, or of the random effects of each grouping factor
#' @noRd
standard_error.lmm <- function(model, effects = "fixed", method = NULL, vcov = NULL,
                               vcov_args = NULL, ...) {
  check_fit(model)
  effects <- match_choice(effects, "effects", c("fixed", "random"))
  if (effects == "random" || !is.null(vcov) || isTRUE(list(...)$robust)) {
    return(their_method("parameters", "standard_error", "merMod")(
      as_listed(model), effects = effects, method = method, vcov = vcov, vcov_args = vcov_args, ...
    ))
  }
  easystats_table(model, SE = sqrt(diag(easystats_inference(model, method)$variance)))
}

#' A row for each coefficient
#' @noRd
easystats_table <- function(object, ...) {
  data.frame(Parameter = text_names(names(fixef.lmm(object))), ..., row.names = NULL)
}

#' Covariance matrix and degrees of freedom by a word of 'easystats'
#'
#' @param dof degrees of freedom that are used instead.
#' @noRd
easystats_inference <- function(object, method, dof = NULL) {
  method <- plain_method(method)
  ddf <- easystats_method(object, method)
  if (is.na(ddf)) {
    df <- if (is.null(dof)) degrees_of_freedom.lmm(object, method) else dof
    return(list(variance = fixed_covariance(object), df = unname(df)))
  }
  inference <- ddf_for(object, ddf)
  df <- if (is.null(dof)) inference$single(diag(object$rank)) else dof
  list(variance = inference$variance, df = df)
}

#' @noRd
p_value.lmm <- function(model, method = "wald", dof = NULL, vcov = NULL, vcov_args = NULL, ...) {
  check_fit(model)
  if (!is.null(vcov) || isTRUE(list(...)$robust) || method %in% c("ml1", "betwithin")) {
    return(their_method("parameters", "p_value", "default")(
      as_listed(model), method = method, dof = dof, vcov = vcov, vcov_args = vcov_args, ...
    ))
  }
  inference <- easystats_inference(model, method, dof)
  statistic <- fixef.lmm(model) / sqrt(diag(inference$variance))
  easystats_table(model, p = 2 * stats::pt(-abs(unname(statistic)), inference$df))
}

#' @noRd
p_value_kenward.lmm <- function(model, dof = NULL) {
  p_value.lmm(model, "kenward", dof)
}

#' @noRd
se_satterthwaite.lmm <- function(model) {
  standard_error.lmm(model)
}

#' Degrees of freedom by the words of 'parameters', where "analytical" is Kenward and Roger's
#' @noRd
degrees_of_freedom.lmm <- function(model, method = "analytical", ...) {
  check_fit(model)
  method <- plain_method(method)
  # rules of thumb, which 'insight' has another version of
  switch(method,
    ml1 = parameters::dof_ml1(as_listed(model)),
    betwithin = parameters::dof_betwithin(as_listed(model)),
    analytical = as.numeric(get_df.lmm(model, "kenward")),
    get_df.lmm(model, method)
  )
}

#' @noRd
dof_satterthwaite.lmm <- function(model) {
  get_df.lmm(model, "satterthwaite")
}

#' Confidence intervals of the coefficients
#'
#' By quantiles of t, by profiles or by the parametric bootstrap of [confint.lmm()].
#' @noRd
ci.lmm <- function(x, ci = 0.95, dof = NULL, method = "wald", iterations = 500, vcov = NULL,
                   vcov_args = NULL, ...) {
  check_fit(x)
  method <- if (is.null(method)) "wald" else tolower(method)
  if (!is.null(vcov) || isTRUE(list(...)$robust) || method %in% c("ml1", "betwithin")) {
    return(their_method("parameters", "ci", "merMod")(
      as_listed(x), ci = ci, dof = dof, method = method, vcov = vcov, vcov_args = vcov_args, ...
    ))
  }
  limits <- lapply(ci, function(level) {
    interval <- switch(method,
      profile = , uniroot = confint.lmm(x, "beta_", level, method = "profile"),
      boot = confint.lmm(x, "beta_", level, method = "boot", nsim = iterations),
      {
        inference <- easystats_inference(x, method, dof)
        half <- sqrt(diag(inference$variance)) * stats::qt((1 + level) / 2, inference$df)
        cbind(fixef.lmm(x) - half, fixef.lmm(x) + half)
      }
    )
    easystats_table(
      x, CI = level, CI_low = unname(interval[, 1L]), CI_high = unname(interval[, 2L])
    )
  })
  do.call(rbind, limits)
}

#' The table of parameters
#'
#' The method of 'parameters' for models of 'lme4' makes it. Standard errors and limits of the
#' variances, which it has for that package's models where 'merDeriv' is installed, are those of
#' [VarCorr.lmm()], or by profile or bootstrap of [confint.lmm()]. A model without random effects
#' has coefficients only.
#' @noRd
model_parameters.lmm <- function(model, ci = 0.95, ..., effects = "all", ci_method = NULL,
                                 ci_random = NULL, group_level = FALSE) {
  name <- paste(deparse(substitute(model), 500L), collapse = " ")
  check_fit(model)
  if (identical(effects, "grouplevel")) {
    # the word of later versions
    effects <- "random"
    group_level <- TRUE
  }
  effects <- match_part(effects)
  if (length(model$random) == 0L) {
    if (effects == "random") need_random(model, "model_parameters(effects = \"random\")")
    effects <- "fixed"
  }
  # a method that its list does not have goes under the name of one that it has
  own <- easystats_ddf[setdiff(tolower(ci_method), their_ddf)]
  own <- own[!is.na(own)]
  if (length(own) == 1L) {
    attr(model, "ddf") <- own[[1L]]
    ci_method <- "satterthwaite"
  }
  # the limits that follow are ours
  theirs <- list(
    as_listed(model), ci = ci, ..., effects = effects, ci_method = ci_method, ci_random = FALSE,
    group_level = group_level
  )
  table <- do.call(their_method("parameters", "model_parameters", "merMod"), theirs, quote = TRUE)
  if (effects != "fixed" && !isTRUE(group_level) && length(ci) == 1L && !isFALSE(ci_random)) {
    table <- with_random_limits(table, model, ci, if (is.null(ci_method)) "wald" else ci_method)
  }
  if (length(own) == 1L) attr(table, "ci_method") <- names(own)
  attr(table, "object_name") <- name
  table
}

#' Fill in standard errors and limits of standard deviations and correlations
#' @noRd
with_random_limits <- function(table, object, level, method) {
  by_likelihood <- tolower(method) %in% c("profile", "boot", "uniroot")
  covariances <- VarCorr.lmm(object, se = !by_likelihood)
  known <- as.data.frame(covariances)
  words <- function(effects) sub("^[(]Intercept[)]$", "Intercept", text_names(effects))
  labels <- ifelse(
    is.na(known$var2),
    ifelse(is.na(known$var1), "SD (Observations)", paste0("SD (", words(known$var1), ")")),
    paste0("Cor (", words(known$var1), "~", words(known$var2), ")")
  )
  # terms that share a grouping factor have its name in the table
  factors <- c(name_blocks(object), "Residual")
  groups <- factors[match(known$grp, c(names(covariances), "Residual"))]
  plain <- function(names) gsub("[^[:alnum:]]", ".", names)
  at <- match(
    paste(text_names(table$Parameter), plain(table$Group)), paste(labels, plain(groups))
  )
  at[table$Effects != "random"] <- NA
  rows <- which(!is.na(at))
  known <- known[at[rows], , drop = FALSE]
  known$group <- groups[at[rows]]
  if (by_likelihood) {
    limits <- likelihood_limits(object, known, level, method)
  } else {
    limits <- normal_limits(known, level)
    table$SE[rows] <- known$se.sdcor
  }
  table$CI_low[rows] <- limits[, 1L]
  table$CI_high[rows] <- limits[, 2L]
  table
}

#' Limits by profiles, or by the bootstrap
#' @noRd
likelihood_limits <- function(object, known, level, method) {
  method <- if (tolower(method) == "boot") "boot" else "profile"
  intervals <- confint.lmm(object, "theta_", level, method = method, oldNames = FALSE)
  names <- ifelse(
    is.na(known$var2),
    ifelse(is.na(known$var1), "sigma", paste0("sd_", known$var1, "|", known$group)),
    paste0("cor_", known$var2, ".", known$var1, "|", known$group)
  )
  intervals[match(names, rownames(intervals)), , drop = FALSE]
}

#' Limits on the scale of the logarithm, or on Fisher's
#' @noRd
normal_limits <- function(known, level) {
  z <- stats::qnorm((1 + level) / 2)
  limits <- matrix(NA_real_, nrow(known), 2L)
  for (row in which(!is.na(known$se.sdcor))) {
    estimate <- known$sdcor[[row]]
    error <- known$se.sdcor[[row]]
    limits[row, ] <- if (is.na(known$var2[[row]])) {
      exp(log(estimate) + c(-z, z) * error / estimate)
    } else {
      tanh(atanh(estimate) + c(-z, z) * error / (1 - estimate^2))
    }
  }
  limits
}

#' Random effects, their standard errors and limits, a row each
#' @noRd
extract_random_parameters.lmm <- function(model, ...) {
  their_method("parameters", ".extract_random_parameters", "merMod")(as_listed(model), ...)
}

#' Fixed effects of fits to responses that the model simulates
#' @noRd
bootstrap_model.lmm <- function(model, iterations = 1000, type = "parametric", ...) {
  check_fit(model)
  match_choice(type, "type", "parametric")
  draws <- as.data.frame(bootstrap.lmm(model, iterations, function(fit) fixef.lmm(fit))$t)
  draws <- draws[stats::complete.cases(draws), , drop = FALSE]
  names(draws) <- text_names(names(fixef.lmm(model)))
  structure(
    draws, class = c("bootstrap_model", "see_bootstrap_model", "data.frame"),
    original_model = model
  )
}

#' @noRd
equivalence_test.lmm <- function(x, ...) {
  check_fit(x)
  result <- their_method("parameters", "equivalence_test", "merMod")(as_listed(x), ...)
  attr(result, "object_name") <- paste(deparse(substitute(x), 500L), collapse = " ")
  result
}

#' @noRd
p_direction.lmm <- function(x, ...) by_mixed_method("p_direction", x, ...)

#' @noRd
p_significance.lmm <- function(x, ...) by_mixed_method("p_significance", x, ...)

#' @noRd
p_to_bf.lmm <- function(x, log = FALSE, ...) {
  check_fit(x)
  their_method("bayestestR", "p_to_bf", "default")(as_listed(x), log = log, ...)
}

#' The default of bayestestR::sexit_thresholds() takes no notice of the response
#' @noRd
sexit_thresholds.lmm <- function(x, ...) {
  check_fit(x)
  their_method("bayestestR", "sexit_thresholds", "merMod")(x, ...)
}

#' Generics of 'bayestestR' whose methods for models of 'lme4' later versions of 'parameters' have
#' @noRd
by_mixed_method <- function(generic, x, ...) {
  check_fit(x)
  class <- if (rlang::is_installed("parameters")) "merMod" else "default"
  home <- if (class == "merMod") "parameters" else "bayestestR"
  method <- utils::getS3method(generic, class, optional = TRUE, envir = asNamespace(home))
  if (is.null(method)) {
    method <- their_method("bayestestR", generic, "default")
  }
  method(as_listed(x), ...)
}

#' @noRd
p_calibrate.lmm <- function(x, ...) {
  check_fit(x)
  their_method("parameters", "p_calibrate", "default")(as_listed(x), ...)
}

#' The model that 'cAIC4' selects, which searches among models of 'lme4'
#'
#' @returns a fit by lmm(); without random effects what that package returns
#' @noRd
select_parameters.lmm <- function(model, ...) {
  check_fit(model)
  theirs <- their_method("parameters", "select_parameters", "merMod")
  selected <- theirs(as_lmerMod(model), ...)
  if (!inherits(selected, "merMod")) {
    return(selected)
  }
  call <- model$call
  call$formula <- stats::formula(selected)
  if (is.symbol(call[[1L]])) call[[1L]] <- lmm
  eval(call, fit_home(model))
}

#' Standard deviations by which coefficients are standardized
#' @noRd
standardize_info.lmm <- function(model, ...) {
  check_fit(model)
  their_method("parameters", "standardize_info", "default")(as_listed(model), ...)
}

#' A fit to standardized variables
#' @noRd
standardize.lmm <- function(x, ...) {
  check_fit(x)
  their_method("datawizard", "standardize", "default")(as_listed(x), ...)
}
