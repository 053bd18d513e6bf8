# One model, many responses: what refit() does with a matrix, and what profiles, the bootstrap and
# its likelihood ratio test are made of.

#' Fit the model that `inputs` describes to each column of `responses`
#'
#' @param wanted,weights as for [engine_fit_many()].
#' @returns theta, beta, standard_error, ddf: matrices with a column for each response; sigma,
#'   criterion, status, evaluations; rx (r * r * m) and the rest if asked for
#' @noRd
fit_responses <- function(inputs, responses, reml, control, wanted = list(), start = NULL,
                          weights = NULL) {
  if (!is.null(inputs$fixed$tables)) {
    return(fit_moved(inputs, responses, reml, control, start))
  }
  p <- if (is.list(inputs$fixed$X)) length(inputs$fixed$X) else ncol(inputs$fixed$X)
  if (!is.double(responses)) {
    storage.mode(responses) <- "double"
  }
  control <- resolve_control(control, inputs$random, inputs$residual_names)
  fits <- engine_fit_many(
    model_of(inputs), responses, reml, control, wanted, weights, start = start
  )
  for (name in c("beta", "standard_error", "ddf")) {
    fits[[name]] <- matrix(fits[[name]], p, ncol(responses))
  }
  for (name in c("contrasts", "contrast_error", "contrast_ddf")) {
    fits[[name]] <- matrix(fits[[name]], ncol = ncol(responses))
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
