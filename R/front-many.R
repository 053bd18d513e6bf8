# One model, many responses: what refit() does with a matrix, and what profiles, the bootstrap and
# its likelihood ratio test are made of.

#' Fit the model that `inputs` describes to each column of `responses`
#'
#' @returns theta, beta, standard_error, ddf: matrices with a column for each response; sigma,
#'   criterion, status, evaluations; rx (r * r * m) if asked for
#' @noRd
fit_responses <- function(inputs, responses, reml, control, satterthwaite = FALSE, start = NULL,
                          rx = FALSE) {
  if (!is.null(inputs$fixed$tables)) {
    return(fit_moved(inputs, responses, reml, control, start))
  }
  p <- if (is.list(inputs$fixed$X)) length(inputs$fixed$X) else ncol(inputs$fixed$X)
  if (!is.double(responses)) {
    storage.mode(responses) <- "double"
  }
  control <- resolve_control(control, inputs$random, inputs$residual_names)
  fits <- engine_fit_many(
    model_of(inputs), responses, reml, control, satterthwaite, start, rx = rx
  )
  for (name in c("beta", "standard_error", "ddf")) {
    fits[[name]] <- matrix(fits[[name]], p, ncol(responses))
  }
  fits
}

#' Fits of tables to responses less a column of X
#'
#' @param inputs with the column in `fixed$tables$moved`; `times` what it is multiplied by, for each
#'   fit.
#' @returns as [fit_responses()]
#' @noRd
fit_moved <- function(inputs, times, reml, control, start) {
  names <- c(inputs$random$theta_names, inputs$residual_names)
  control <- resolve_control(control, inputs$random, inputs$residual_names)
  design <- inputs$random$design
  tables <- inputs$fixed$tables
  moments <- moments_of_tables(c(inputs$fixed$X, tables$moved), design, tables)
  fits <- lapply(times, function(times) {
    moved <- move_column(moments, moments$p, times)
    tryCatch(
      engine_fit(model_of_tables(design, moved), reml, start, control),
      ferrolmm_error = function(e) list(theta = NA, beta = NA, sigma = NA, criterion = NA)
    )
  })
  column <- function(name, n) {
    found <- vapply(fits, function(fit) rep_len(as.double(fit[[name]]), n), double(n))
    matrix(found, n)
  }
  number <- function(name) vapply(fits, function(fit) as.double(fit[[name]]), 0)
  list(
    theta = column("theta", length(names)), phi = matrix(0, 0L, length(fits)),
    beta = column("beta", length(inputs$fixed$X)),
    sigma = number("sigma"), criterion = number("criterion"),
    status = vapply(fits, function(fit) {
      if (is.null(fit$certificate)) "failed" else fit$certificate$status
    }, "")
  )
}

#' The number of responses that take about 100 MB
#' @noRd
batch_size <- function(object) {
  rows <- max(count_rows(object), length(object$condensed$y), 1L)
  max(1L, as.integer(1e7 / rows))
}

#' An expression without the messages of its fits; warnings are kept
#' @noRd
quietly <- function(expr) {
  withCallingHandlers(
    expr,
    ferrolmm_message = function(m) invokeRestart("muffleMessage")
  )
}

#' Fits of one model to many responses
#'
#' What [refit()] returns for a matrix or data frame of several responses.
#'
#' @param object,x Fits of many responses.
#' @param ... For `print()`, passed to [print.default()]; otherwise not used.
#' @returns `coef()`: a matrix of the fixed effects with a row for each response.
#'   `as.data.frame()`: a data frame with a row for each fixed effect of each response, and the
#'   columns `response`, `term`, `estimate`, `std.error`, `df`, `statistic`, `p.value`; with
#'   `effects = "ran_pars"` the columns `response`, `term`, `estimate` of the standard deviations
#'   and correlations.
#' @seealso [refit.lmm()]
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
refit_many <- function(object, responses, control, ddf) {
  responses <- check_many_responses(responses, object)
  names <- colnames(responses)
  missing <- colSums(!is.finite(responses)) > 0
  inputs <- engine_inputs(object, in_place = TRUE)
  fits <- fit_responses(inputs, responses, object$REML, control, ddf == "Satterthwaite")
  if (any(missing)) {
    ferrolmm_inform(
      paste0(count_of(sum(missing), "response"), " of ", length(missing),
             " with missing or infinite values: no fit, the results are NA."),
      "missing",
      i = "Fit the rows that are left with update() or lmm()."
    )
    fits$status[missing] <- "missing"
  }
  new_lmm_many(object, fits, names, control, ddf)
}

#' @noRd
new_lmm_many <- function(object, fits, names, control, ddf) {
  labelled <- function(values, rows) `dimnames<-`(values, list(rows, names))
  coefficients <- names(object$coefficients)
  statistic <- fits$beta / fits$standard_error
  structure(
    list(
      coefficients = labelled(fits$beta, coefficients),
      se = labelled(fits$standard_error, coefficients),
      df = labelled(fits$ddf, coefficients),
      statistic = labelled(statistic, coefficients),
      p.value = labelled(
        2 * stats::pt(abs(statistic), fits$ddf, lower.tail = FALSE), coefficients
      ),
      sdcor = labelled(
        theta_to_sdcor(fits$theta, fits$sigma, object$random, fits$phi),
        parameter_names(object, FALSE)[seq_len(count_variance(object))]
      ),
      theta = labelled(fits$theta, names(object$theta)),
      phi = if (has_residual(object)) labelled(fits$phi, names(object$phi)),
      sigma = stats::setNames(fits$sigma, names),
      criterion = stats::setNames(fits$criterion, names),
      status = stats::setNames(fits$status, names),
      REML = object$REML, ddf = ddf, formula = full_formula(object), nobs = count_rows(object)
    ),
    class = "lmm_many"
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
#' @param effects `"fixed"`, or `"ran_pars"` for standard deviations and correlations.
#' @rdname lmm_many
#' @export
as.data.frame.lmm_many <- function(x, row.names = NULL, optional = FALSE,
                                   effects = c("fixed", "ran_pars"), ...) {
  check_dots(..., allowed = "stringsAsFactors")
  effects <- match_choice(effects, "effects", c("fixed", "ran_pars"))
  values <- if (effects == "fixed") x$coefficients else x$sdcor
  table <- data.frame(
    response = rep(names(x$sigma), each = nrow(values)),
    term = rep.int(rownames(values), ncol(values)),
    estimate = as.vector(values)
  )
  if (effects == "fixed") {
    table$std.error <- as.vector(x$se)
    table$df <- as.vector(x$df)
    table$statistic <- as.vector(x$statistic)
    table$p.value <- as.vector(x$p.value)
  }
  finish_table(table, row.names, ...)
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
  cat(count_of(m, "fit"), " by ", if (x$REML) "REML" else "ML", " of ",
      code_label(x$formula[-2L]), ", ", count_of(x$nobs, "row"), " each\n", sep = "")
  cat(describe_statuses(x$status), "\n\n", sep = "")
  shown <- seq_len(min(n, m))
  table <- cbind(
    t(x$coefficients[, shown, drop = FALSE]), t(x$sdcor[, shown, drop = FALSE])
  )
  print(table, digits = digits, ...)
  if (m > n) {
    cat("... and ", count_of(m - n, "more response"), "\n", sep = "")
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
