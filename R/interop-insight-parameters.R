# Estimates, statistics, degrees of freedom and likelihoods for 'insight', registered in zzz.R.

#' Estimates of the coefficients, or the random effects of each grouping factor
#' @noRd
get_parameters.lmm <- function(x, effects = "fixed", ...) {
  check_fit(x)
  if (match_choice(effects, "effects", c("fixed", "random")) == "random") {
    effects <- ranef.lmm(x, condVar = FALSE)
    return(stats::setNames(lapply(effects, as.data.frame), names(effects)))
  }
  coefficients <- fixef.lmm(x)
  data.frame(
    Parameter = text_names(names(coefficients)), Estimate = unname(coefficients)
  )
}

#' t statistics, which do not depend on the method for the degrees of freedom
#' @noRd
get_statistic.lmm <- function(x, ...) {
  check_fit(x)
  coefficients <- fixef.lmm(x)
  structure(
    data.frame(
      Parameter = text_names(names(coefficients)),
      Statistic = unname(coefficients / sqrt(diag(fixed_covariance(x))))
    ),
    statistic = "t-statistic"
  )
}

#' Degrees of freedom of the coefficients, or of the rows of `data`
#'
#' `"residual"` are rows less all parameters, as for models of 'lme4'; the rules of thumb `"ml1"`
#' and `"betwithin"` are those of 'insight'.
#' @noRd
get_df.lmm <- function(x, type = "residual", df_per_obs = FALSE, data = NULL, ...) {
  check_fit(x)
  type <- match_choice(
    if (is.character(type)) plain_method(type) else type, "type",
    c("residual", "model", "analytical", "wald", "normal", names(easystats_ddf), "ml1",
      "betwithin", "between-within", "any")
  )
  method <- easystats_method(x, type)
  if (is.na(method)) {
    return(switch(type,
      normal = Inf,
      model = count_parameters(x),
      ml1 = , betwithin = , `between-within` = their_method("insight", "get_df", "default")(
        as_listed(x), type = type, statistic = "t-statistic"
      ),
      df.residual.lmm(x)
    ))
  }
  if (isTRUE(df_per_obs)) {
    return(ddf_for(x, method)$single(matrix_of_rows(x, data)))
  }
  coefficient_df(x, method)
}

#' Degrees of freedom of each coefficient; those of Kenward and Roger with their covariance matrix
#' @noRd
coefficient_df <- function(object, method) {
  inference <- ddf_for(object, method)
  df <- stats::setNames(inference$single(diag(object$rank)), text_names(names(fixef.lmm(object))))
  if (startsWith(method, "Kenward-Roger")) {
    attr(df, "vcov") <- inference$variance
    attr(df, "se") <- unname(sqrt(diag(inference$variance)))
  }
  df
}

#' The covariance matrix of the coefficients: the model's, that of Kenward and Roger, or another
#' @noRd
get_varcov.lmm <- function(x, vcov = NULL, vcov_args = NULL, verbose = TRUE, ...) {
  check_fit(x)
  if (is.character(vcov) && tolower(vcov)[[1L]] %in% their_ddf[-1L]) {
    return(adjusted_variance(x))
  }
  their_method("insight", "get_varcov", "default")(
    x, verbose = verbose, vcov = vcov, vcov_args = vcov_args, ...
  )
}

#' The log-likelihood; that of a transformed response, on its own scale, with `check_response`
#' @noRd
get_loglikelihood.lmm <- function(x, ...) {
  check_fit(x)
  value <- their_method("insight", "get_loglikelihood", "lmerMod")(as_listed(x), ...)
  class(value) <- c("logLik", class(x))
  value
}

#' @noRd
n_parameters.lmm <- function(x, effects = "fixed", remove_nonestimable = FALSE, ...) {
  check_fit(x)
  # aliased coefficients are not among those that fixef() gives
  length(unlist(find_parameters.lmm(x, match_choice(effects, "effects", c("fixed", "random")))))
}
