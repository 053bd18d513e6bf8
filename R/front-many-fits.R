# Fits of one model to many responses: the object, and what it says of itself.

#' Fits of one model to many responses
#'
#' What [refit()] returns for a matrix or data frame of several responses: estimates, standard
#' errors, tests and parameters of each. [top_table()] is the table of results, [moderate()]
#' moderates the residual variances.
#'
#' @section Responses with missing values and weights:
#' Each response is fitted to the rows where it is known, and where its weight is positive: as a fit
#' of [lmm()] to these rows, with the columns of the fixed effects that `object` has. Levels that
#' lose all of their rows are no levels of that response. Responses with one pattern of missing
#' values share what depends on the predictors alone; with weights of their own, as `limma::voom()`
#' gives them, each response has moments of its own. A coefficient that the rows of a response do
#' not determine is `NA`; so is a response that cannot be fitted, whose `status` is `"failed"` and
#' whose `message` says why. Models with a residual structure, with rows that are members of several
#' levels, smooth terms or classes of levels (`by =`) take all of their rows: there responses with
#' missing values are not fitted, with a message, and weights are an error.
#'
#' The optimum of each response is where one walk ends, with others only where there is reason to
#' doubt; [lmm()] starts from more places where that is cheap.
#'
#' @param object,x Fits of many responses.
#' @param ... For `print()`, passed to [print.default()]; otherwise not used.
#' @returns `coef()`: a matrix of the fixed effects with a row for each response.
#'   `as.data.frame()`: a data frame with a row for each fixed effect (or contrast) of each
#'   response, and the columns `response`, `term`, `estimate`, `std.error`, `df`, `statistic`,
#'   `p.value`; with `effects = "ran_pars"` the columns `response`, `term`, `estimate` of the
#'   standard deviations and correlations.
#' @seealso [refit.lmm()], [top_table()], [moderate()]
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (1 | Subject), Orthodont)
#' many <- refit(fit, simulate(fit, nsim = 5, seed = 1))
#' many
#' coef(many)
#' head(as.data.frame(many))
#' @name lmm_many
NULL

#' Check the responses, and fit
#' @noRd
refit_many <- function(object, responses, control, ddf, weights = NULL, contrasts = NULL) {
  responses <- check_many_responses(responses, object)
  weights <- check_many_weights(weights, responses, object)
  contrasts <- check_many_contrasts(contrasts, object)
  names <- colnames(responses)
  inputs <- engine_inputs(object, in_place = TRUE)
  wanted <- list(
    satterthwaite = ddf == "Satterthwaite", residual_df = ddf == "Satterthwaite",
    contrasts = contrasts
  )
  fits <- fit_responses(inputs, responses, object$REML, control, wanted, weights = weights)
  if (is.null(fits$failure)) {
    fits <- c(fits, describe_moved(fits, count_rows(object)))
  }
  missing <- fits$failure == "not_finite"
  if (any(missing)) {
    ferrolmm_inform(
      paste0(count_of(sum(missing), "response"), " of ", length(missing),
             " with missing or infinite values: no fit, the results are NA."),
      "missing",
      x = "This model takes all of its rows; see ?lmm_many.",
      i = "Fit the rows that are left with update() or lmm()."
    )
    fits$status[missing] <- "missing"
  }
  new_lmm_many(object, fits, names, control, ddf, colnames(contrasts))
}

#' @noRd
new_lmm_many <- function(object, fits, names, control, ddf, contrasts) {
  labelled <- function(values, rows) `dimnames<-`(values, list(rows, names))
  named <- function(values) stats::setNames(values, names)
  tested <- function(estimate, se, df, rows) {
    statistic <- estimate / se
    p <- 2 * stats::pt(abs(statistic), df, lower.tail = FALSE)
    found <- list(estimate = estimate, se = se, df = df, statistic = statistic, p.value = p)
    lapply(found, labelled, rows)
  }
  fixed <- tested(fits$beta, fits$standard_error, fits$ddf, names(object$coefficients))
  structure(
    list(
      coefficients = fixed$estimate, se = fixed$se, df = fixed$df,
      statistic = fixed$statistic, p.value = fixed$p.value,
      contrasts = if (!is.null(contrasts)) {
        tested(fits$contrasts, fits$contrast_error, fits$contrast_ddf, contrasts)
      },
      sdcor = labelled(
        theta_to_sdcor(fits$theta, fits$sigma, object$random, fits$phi),
        parameter_names(object, FALSE)[seq_len(count_variance(object))]
      ),
      theta = labelled(fits$theta, names(object$theta)),
      phi = if (has_residual(object)) labelled(fits$phi, names(object$phi)),
      sigma = named(fits$sigma), residual_df = named(fits$residual_df),
      criterion = named(fits$criterion), status = named(fits$status),
      message = named(describe_ends(fits$message, fits$status)), nobs = named(fits$rows),
      REML = object$REML, ddf = ddf, formula = full_formula(object),
      known_sigma = !is.null(control$sigma), penalised = is_penalised(object)
    ),
    class = "lmm_many"
  )
}

#' Why a response has no optimum, also where the search says no more than its status
#' @noRd
describe_ends <- function(messages, status) {
  words <- c(
    "failed" = "the search came to no optimum",
    "iteration-limit" = "the search was out of evaluations before it came to an optimum",
    "time-limit" = "the search was out of time before it came to an optimum",
    "not-identified" = "the rows do not determine the covariance parameters"
  )
  silent <- !nzchar(messages) & status %in% names(words)
  messages[silent] <- words[status[silent]]
  messages
}

#' What [new_lmm_many()] takes of fits of tables
#' @noRd
describe_moved <- function(fits, n) {
  m <- length(fits$status)
  list(
    failure = character(m), message = character(m), rows = rep.int(n, m),
    residual_df = rep.int(NA_real_, m)
  )
}

#' @rdname lmm_many
#' @importFrom stats coef
#' @export
coef.lmm_many <- function(object, ...) {
  check_dots(...)
  t(object$coefficients)
}

#' @param row.names,optional Not used; arguments of the generic.
#' @param effects `"fixed"`; `"contrasts"` for those that [refit()] was given; or `"ran_pars"` for
#'   standard deviations and correlations.
#' @rdname lmm_many
#' @export
as.data.frame.lmm_many <- function(x, row.names = NULL, optional = FALSE,
                                   effects = c("fixed", "contrasts", "ran_pars"), ...) {
  check_dots(..., allowed = "stringsAsFactors")
  effects <- match_choice(effects, "effects", c("fixed", "contrasts", "ran_pars"))
  tests <- switch(effects,
    fixed = c(list(estimate = x$coefficients), x[c("se", "df", "statistic", "p.value")]),
    contrasts = contrasts_of(x), ran_pars = list(estimate = x$sdcor)
  )
  values <- tests$estimate
  table <- data.frame(
    response = rep(names(x$sigma), each = nrow(values)),
    term = rep.int(rownames(values), ncol(values)),
    estimate = as.vector(values)
  )
  if (effects != "ran_pars") {
    table$std.error <- as.vector(tests$se)
    table$df <- as.vector(tests$df)
    table$statistic <- as.vector(tests$statistic)
    table$p.value <- as.vector(tests$p.value)
  }
  finish_table(table, row.names, ...)
}

#' @noRd
contrasts_of <- function(x) {
  if (is.null(x$contrasts)) {
    ferrolmm_abort(
      "There are no contrasts.", "argument", i = "Give them as refit(fit, Y, contrasts = L)."
    )
  }
  x$contrasts
}

#' @param digits The number of significant digits to print.
#' @param n The number of responses to print.
#' @rdname lmm_many
#' @export
print.lmm_many <- function(x, digits = 4L, n = 6L, ...) {
  check_dots(..., allowed = printing_arguments(print.default))
  check_digits(digits)
  n <- check_count(n, "n", 0L)
  m <- length(x$sigma)
  rows <- range(x$nobs)
  cat(count_of(m, "fit"), " by ", if (x$REML) "REML" else "ML", " of ",
      code_label(x$formula[-2L]), ", ",
      if (rows[[1L]] < rows[[2L]]) paste0(rows[[1L]], " to "), count_of(rows[[2L]], "row"),
      " each\n", sep = "")
  cat(describe_statuses(x$status), "\n", sep = "")
  reasons <- sort(table(x$message[nzchar(x$message)]), decreasing = TRUE)
  if (length(reasons) > 0L) {
    cat(paste0("  ", reasons, ": ", names(reasons), "\n"), sep = "")
  }
  if (!is.null(x$moderated)) {
    cat("Residual variances moderated: prior ", format(x$moderated$s2_prior, digits = digits),
        " with ", format(x$moderated$df_prior, digits = digits), " degrees of freedom\n", sep = "")
  }
  cat("\n")
  shown <- seq_len(min(n, m))
  table <- cbind(
    t(x$coefficients[, shown, drop = FALSE]), t(x$sdcor[, shown, drop = FALSE])
  )
  print(table, digits = digits, ...)
  if (m > n) {
    cat("... and ", count_of(m - n, "more response"), "\n", sep = "")
    cat("top_table() has the tests", if (is.null(x$moderated)) ", moderate() moderates variances",
        ".\n", sep = "")
  }
  invisible(x)
}

#' "converged 95, singular 5"
#' @noRd
describe_statuses <- function(status) {
  counts <- table(factor(status, unique(c("converged", "singular", status))))
  counts <- counts[counts > 0L]
  paste(names(counts), counts, collapse = ", ")
}
