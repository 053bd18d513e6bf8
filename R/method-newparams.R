# A fit at other parameters than its estimates, for predictions and simulations.

#' The fit with other parameters
#'
#' The random effects are predicted anew: their conditional modes at these parameters.
#' @param newparams list of some of beta, theta, phi and sigma; what it has not stays as it is.
#' @noRd
with_parameters <- function(object, newparams) {
  values <- check_parameters(object, newparams)
  if (depends_on_fitted(object$residual)) {
    ferrolmm_abort(
      "The variance function depends on the fitted values: it has no other parameters.", "residual",
      i = "Use update(fit, start = ) or another covariate."
    )
  }
  kept <- kept_columns(object)
  object$coefficients[kept] <- values$beta
  object$beta <- values$beta
  object$theta[] <- values$theta
  object$phi[] <- values$phi
  object$sigma <- values$sigma
  means <- fixed_part(object, object$frame, object$offset)
  inputs <- engine_inputs(object, in_place = TRUE)
  inputs$fixed[c("X", "names", "offset")] <- list(
    matrix(0, count_rows(object), 0L), character(), NULL
  )
  inputs$fixed$y <- response_values(object) - means
  control <- unconstrained_control(object)
  control["sigma"] <- list(NULL)
  there <- engine_fit(model_of(inputs), FALSE, theta_of(object), control, optimize = FALSE)
  object$u <- there$u
  object$b <- there$b
  object$fitted.values <- means + there$fitted
  object$residuals <- response_values(object) - object$fitted.values
  object
}

#' The parameters, by name or in their order, complete and checked
#' @noRd
check_parameters <- function(object, newparams) {
  own <- list(
    beta = fixef.lmm(object), theta = object$theta, phi = object$phi,
    sigma = c(sigma = object$sigma)
  )
  given <- names(newparams)
  if (!is.list(newparams) || length(given) != length(newparams) || anyDuplicated(given) ||
        !all(given %in% names(own))) {
    ferrolmm_abort(
      paste0("`newparams` must be a list with some of the elements ", quote_names(names(own)), "."),
      "argument", i = "As in newparams = list(beta = fixef(fit), sigma = 2)."
    )
  }
  phi <- phi_ranges(object$residual)
  lower <- list(theta = object$lower, phi = phi$lower, sigma = 0)
  upper <- list(
    theta = as.double(unlist(lapply(object$random, term_upper))), phi = phi$upper, sigma = Inf
  )
  for (name in given) {
    own[[name]] <- check_parameter(
      newparams[[name]], own[[name]], name, lower[[name]], upper[[name]]
    )
  }
  lapply(own, unname)
}

#' @noRd
check_parameter <- function(value, own, name, lower, upper) {
  names <- names(own)
  if (!is.numeric(value) || length(value) != length(own) || !all(is.finite(value))) {
    ferrolmm_abort(
      paste0("`newparams$", name, "` must be ", count_of(length(own), "number"),
             if (length(own) > 0L) paste0(", for ", quote_names(names)),
             describe_given(value), "."), "argument"
    )
  }
  if (!is.null(names(value)) && name != "sigma") {
    if (anyDuplicated(names(value)) || !setequal(names(value), names)) {
      ferrolmm_abort(
        paste0("`newparams$", name, "` has other names than the parameters, which are ",
               quote_names(names, 12L), "."), "argument"
      )
    }
    value <- value[names]
  }
  if (any(value < lower) || any(value > upper) || name == "sigma" && value == 0) {
    ferrolmm_abort(
      paste0("`newparams$", name, "` has an impossible value, a negative standard deviation or a ",
             "correlation that is none."), "argument"
    )
  }
  as.double(value)
}
