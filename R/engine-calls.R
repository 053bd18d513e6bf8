# Calls of the generated rs_*() functions: coerce, call, raise conditions.

#' Fit the model
#'
#' @param model what [engine_model()] returns.
#' @param reml,start,control the user's arguments, checked.
#' @param optimize `FALSE` evaluates the criterion at `start` only.
#' @returns the engine's result, a plain list
#' @noRd
engine_fit <- function(model, reml, start, control, optimize = TRUE) {
  if (isTRUE(control$nobound)) {
    return(engine_fit_nobound(model, reml, start, control, optimize))
  }
  options <- engine_options(reml, start, control, optimize)
  after <- if (optimize) progress_after(control)
  with_progress(options, after, fit_line, function(options) engine_value(rs_fit(model, options)))
}

#' Fit without bounds on covariance matrices: from the optimum with bounds, and other places
#' @returns the engine's result, with `covariances`, entries of the matrices relative to sigma^2 in
#'   the order of theta, which is NaN
#' @noRd
engine_fit_nobound <- function(model, reml, start, control, optimize) {
  if (!optimize) abort_nobound("A model that is only evaluated")
  bounded <- engine_fit(model, reml, start, replace(control, "nobound", FALSE))
  options <- engine_options(reml, bounded$theta, replace(control, "nobound", TRUE), TRUE)
  with_progress(options, progress_after(control), fit_line, function(options) {
    engine_value(rs_fit_nobound(model, options))
  })
}

#' @param start c(theta, phi), or NULL; without bounds on covariance matrices their entries.
#' @param control with `hold`, `tie` and `penalties` as [resolve_control()] makes them.
#' @noRd
engine_options <- function(reml, start, control, optimize) {
  constrained <- isTRUE(control$resolved)
  list(
    reml = reml, start = start, optimize = optimize,
    starts = control$starts,
    max_evaluations = control$max_evaluations, tolerance = control$tolerance,
    threads = control$threads, solver = control$solver, sigma = control$sigma,
    hold = if (constrained) control$hold, tie = if (constrained) control$tie,
    penalties = control$penalties, time_limit = time_left(control, optimize),
    nobound = isTRUE(control$nobound)
  )
}

#' Conditional variances of the random effects, relative to sigma^2, at `theta`
#' @returns a list by term of arrays k x k x levels
#' @noRd
engine_conditional_variances <- function(model, theta, reml, control) {
  engine_value(rs_conditional_variances(
    model, engine_options(reml, theta, control, optimize = FALSE)
  ))$variances
}

#' What Satterthwaite's degrees of freedom need, at `theta`
#'
#' @returns `covariance` of psi = (internal theta, sigma^2), s x s; `vcov_gradient`, r * r * s, the
#'   derivatives of vcov() of the kept coefficients with respect to psi; `jacobian` from psi to the
#'   variance components gamma (lower triangles of each term's G, column by column, then phi, then
#'   sigma^2)
#' @noRd
engine_satterthwaite <- function(model, theta, reml, control) {
  engine_value(rs_satterthwaite(
    model, engine_options(reml, theta, control, optimize = FALSE)
  ))
}

#' Kenward and Roger's adjustment at `theta`, relative to sigma^2
#'
#' @param second what becomes of the second derivatives of V: "in parameters" (1997), "beside
#'   tangent" (2009) or "ignored".
#' @returns `unadjusted` and `adjusted` covariance matrices of the kept coefficients (r * r); `w`
#'   (s x s) and `derivatives` Phi P_i Phi (r * r * s) for the degrees of freedom
#' @noRd
engine_kenward_roger <- function(model, theta, reml, control, second = "in parameters") {
  engine_value(rs_kenward_roger(
    model, engine_options(reml, theta, control, optimize = FALSE), second
  ))
}

#' Ranks of X and of more and more random effects beside it
#'
#' @param x independent columns; `factors` list(codes, n_levels) of each grouping factor; `effects`
#'   list(factor, its number; columns, of a level) of each random effect, in their order.
#' @returns a rank for each effect, with those before it
#' @noRd
engine_design_ranks <- function(x, factors, effects) {
  storage.mode(x) <- "double"
  engine_value(rs_design_ranks(x, factors, effects))$ranks
}

#' Which columns of x have different values within some level of a factor, list(codes, n_levels)
#' @noRd
engine_varies_within <- function(x, factor) {
  storage.mode(x) <- "double"
  engine_value(rs_varies_within(x, factor))$varies == 1L
}

#' Prediction error variances of new rows at `theta`, relative to sigma^2
#'
#' @param rows list(n, x (n x p), codes (list by factor, 0 for none of the known levels), terms
#'   (list by term of lists of columns, NULL for a term left out)).
#' @noRd
engine_prediction_variances <- function(model, theta, reml, control, rows) {
  engine_value(rs_prediction_variances(
    model, engine_options(reml, theta, control, optimize = FALSE), rows
  ))$variances
}

#' Predictions of new observations whose residuals are correlated with those of the fit
#'
#' @param rows as for [engine_prediction_variances()], with `residual`, the structure of the new
#'   rows as [residual_design()] returns it (codes of groups 0 for another group), and `weights`.
#' @returns `residual_means`; `variances` and `residual_variances`, relative to sigma^2, whose sum
#'   is the prediction error variance of a new observation
#' @noRd
engine_residual_predictions <- function(model, theta, reml, control, rows) {
  engine_value(rs_prediction_variances(
    model, engine_options(reml, theta, control, optimize = FALSE), rows
  ))
}

#' R, or a root of it, times a matrix with a row for each row of the data
#'
#' @param residual what [residual_design()] returns for these rows, or NULL; `weights` precision
#'   weights or NULL; `phi` natural parameters of `residual`.
#' @param what "whiten" (U with U'U = R^-1, lower triangular in each group by position), "color"
#'   (U^-1), "times" (R) or "inverse" (R^-1).
#' @noRd
engine_residual_rows <- function(residual, weights, phi, rows, what, threads = 0L) {
  rows <- as.matrix(rows)
  storage.mode(rows) <- "double"
  engine_value(rs_residual_rows(residual, weights, as.double(phi), rows, what, threads))$rows
}

#' Fits of one model to each column of `responses` (n x m), to the rows where it is known
#'
#' @param wanted some of `satterthwaite`, `rx` and `residual_df`, `TRUE`; `contrasts`, a matrix with
#'   a column for each linear function of the coefficients.
#' @param weights those of each response, n x m, or NULL.
#' @returns theta (matrix, one column per response), beta, standard_error and ddf (p * m), rx (r * r
#'   * m), contrasts, contrast_error and contrast_ddf, residual_df, sigma, criterion, status,
#'   failure and message (empty where there is a fit), rows and evaluations (m); NA for a response
#'   that could not be fitted, and for coefficients that its rows do not determine
#' @noRd
engine_fit_many <- function(model, responses, reml, control, wanted = list(), weights = NULL,
                            start = NULL, optimize = TRUE) {
  all <- list(satterthwaite = FALSE, rx = FALSE, residual_df = FALSE, contrasts = NULL)
  all[names(wanted)] <- wanted
  engine_value(rs_fit_many(
    model, engine_options(reml, start, control, optimize), responses, weights, all
  ))
}

#' Leverages of the rows of the fit at `theta`
#'
#' @returns `variances` (n), prediction error variances relative to sigma^2, and `of_fixed` (n),
#'   what of them is due to the fixed effects; `left` (n), 1 - leverage, 0 where that is mere
#'   rounding; `residuals` (n); `fixed` (rank x n): times w e / left what each row adds to the fixed
#'   effects
#' @noRd
engine_leverages <- function(model, theta, reml, control) {
  engine_value(rs_leverages(
    model, engine_options(reml, theta, control, optimize = FALSE)
  ))
}

#' Estimates without each of some sets of rows, starting from `theta`
#'
#' @param sets list of row numbers.
#' @param update what happens to theta: "none", "one-step" (a Newton step) or "exact".
#' @returns theta, beta, vcov_unscaled, sigma and criterion: matrices with a column for each set, NA
#'   where the rows left do not determine the fixed effects
#' @noRd
engine_deletions <- function(model, theta, reml, control, sets, update) {
  options <- engine_options(reml, theta, control, optimize = TRUE)
  line <- part_line("influence()", "set")
  with_progress(options, progress_after(control), line, function(options) {
    engine_value(rs_deletions(model, options, sets, update))
  })
}

#' Profiles of standard deviations, correlations and sigma
#'
#' @param which integers, in the order of theta (a standard deviation for a diagonal entry, a
#'   correlation for another), sigma last.
#' @returns a list by element of `which`: which, value, zeta, parameters (all of them in rows, one
#'   column per point)
#' @noRd
engine_profile <- function(model, theta, reml, control, which, cutoff) {
  options <- engine_options(reml, theta, control, optimize = FALSE)
  line <- part_line("profile()", "parameter")
  with_progress(options, progress_after(control), line, function(options) {
    engine_value(rs_profile(model, options, as.integer(which), cutoff))$profiles
  })
}

#' Profile of a function of the variance components
#'
#' @param program list(steps: words in reverse Polish order, values: a number for each, scale), see
#'   [component_program()].
#' @returns list(value, zeta, parameters)
#' @noRd
engine_profile_function <- function(model, theta, reml, control, program, cutoff) {
  engine_value(rs_profile_function(
    model, engine_options(reml, theta, control, optimize = FALSE), program, cutoff
  ))
}

#' Eigenvalues of Z'P_0Z (`restricted`) and Z'V_0^-1Z (`marginal`) of the `term`-th term, which has
#' one effect and variance zero in `theta`; and `residual_df`
#' @noRd
engine_variance_spectrum <- function(model, theta, control, term) {
  engine_value(rs_variance_spectrum(
    model, engine_options(TRUE, theta, control, optimize = FALSE), as.integer(term)
  ))
}

#' Rough number of operations of one fit
#' @noRd
engine_work_of_fit <- function(model, reml, control) {
  engine_value(rs_work_of_fit(
    model, engine_options(reml, NULL, control, optimize = FALSE)
  ))$work
}

#' Is there memory for so many bytes, besides what R and the engine need otherwise?
#' @noRd
engine_has_room <- function(bytes) rs_has_room(bytes)

#' Draws of the likelihood ratio of one variance
#'
#' @param restricted,marginal list(values, times): distinct eigenvalues, and how often they occur.
#' @param draws a column for each draw: chi-squared variables with `restricted$times` degrees of
#'   freedom, and one for what is left.
#' @noRd
engine_likelihood_ratio_draws <- function(restricted, marginal, degrees, draws, threads) {
  engine_value(rs_likelihood_ratio_draws(
    restricted, marginal, as.double(degrees), draws, as.integer(threads)
  ))$statistics
}

#' Codes of an interaction, and the combinations of levels that occur
#' @noRd
engine_interaction <- function(codes, n_levels) {
  engine_value(rs_interaction(codes, n_levels))
}

#' Codes of an integer vector, and its sorted distinct values
#' @noRd
engine_code_integer <- function(x) {
  engine_value(rs_code_integer(as.integer(x)))
}

#' The sets of rows that the entries of a symmetric matrix connect
#'
#' @param matrix list(start, row, value), see [precision_matrix()].
#' @returns list(codes, count)
#' @noRd
engine_connected_levels <- function(matrix) {
  engine_value(rs_connected_levels(matrix))[c("codes", "count")]
}

#' Whether double and integer columns have missing or infinite values, and factors levels without
#' rows
#' @noRd
engine_scan <- function(columns, threads) {
  engine_value(rs_scan(unname(columns), threads))
}

#' The first code of a factor that is of no level; NA without one
#' @noRd
engine_stray_code <- function(x) {
  engine_value(rs_stray_code(x))$code
}

#' l'Vl of each row l of L
#' @noRd
engine_row_variances <- function(L, v) {
  storage.mode(L) <- storage.mode(v) <- "double"
  engine_value(rs_row_variances(L, v))$variances
}

#' Like eigen(v, symmetric = TRUE)
#' @noRd
engine_eigen <- function(v) {
  storage.mode(v) <- "double"
  found <- engine_value(rs_eigen(v))
  n <- nrow(v)
  list(values = rev(found$values), vectors = matrix(found$vectors, n)[, n:1, drop = FALSE])
}

#' The inverse of a symmetric matrix and its pivots, the squared diagonal of its Cholesky factor
#' @returns list(inverse, pivots); NULL where the matrix is not positive definite
#' @noRd
engine_invert <- function(a, control) {
  found <- engine_value(rs_invert(as.double(a), time_left(control, FALSE)))
  if (!is.null(found$inverse)) {
    list(inverse = matrix(found$inverse, nrow(a)), pivots = found$pivots)
  }
}

#' The inverse of the relationship matrix of animals with these parents, 0 for an unknown one
#' @returns list(start, row, value, inbreeding), the matrix on and above its diagonal; list(circle)
#'   where animals are their own ancestors
#' @noRd
engine_pedigree <- function(sire, dam) engine_value(rs_pedigree(sire, dam))

#' Refuse numeric columns of which as many are independent as there are rows
#' @noRd
engine_require_residual <- function(columns) {
  engine_value(rs_require_residual(unname(columns)))
}

#' The value of a result, or the condition that a failure stands for
#'
#' Errors cross the boundary as values, and get their class and remedy here.
#' @noRd
engine_value <- function(result) {
  if (isTRUE(result$ok)) {
    return(result)
  }
  class <- result$class
  if (class == "time_limit") {
    abort_time_limit()
  }
  if (class == "jump") {
    # Ctrl-C, or the error of setTimeLimit(): it was on its way out of R, and continues
    .External(ferrolmm_resume)
  }
  remedy <- engine_remedies[class]
  ferrolmm_abort(
    sentence(result$message), class,
    i = if (!is.na(remedy)) remedy[[1L]],
    fact = sentence(result$message),
    details = result[setdiff(names(result), c("ok", "class", "message"))]
  )
}
