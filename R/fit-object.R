# The fitted object: what lmm() returns and every method reads.
#
# A plain list of class "lmm". Model matrices are not stored: `X` and the columns of `Z` are rebuilt
# from `frame` by engine_inputs(). No element is an external pointer, so a fit survives saveRDS().
#
# The model
#   call            lmm(formula = , data = , ...) as it can be evaluated again
#   env             where it can, NULL where that is the environment of the formula
#   formula         the full formula, with bars; its environment is kept
#   terms           terms of the fixed part (with response), with predvars and dataClasses
#   frame           model frame of the used rows: response first, then every variable, then
#                   "(weights)" and "(offset)", "(fitted)" where a variance function depends on the
#                   fitted values (those that it was evaluated at); attributes terms (of all
#                   variables), na.action, sources (values of what in the formula is not a column:
#                   see variable_sources()) and formula (the full one again: stats::step()
#                   overwrites object$formula)
#   contrasts       of the fixed part, named list or NULL
#   xlevels         levels of the factors of the fixed part, named list or NULL
#   assign          integer: which term of `terms` each column of X belongs to
#   random          list, one descriptor per random-effects term, in the order of theta: label,
#                   group, lhs, columns, factor (index into flist), cnms, structure, hom, known,
#                   contrasts, levels, leaves; members of mm(); by, classes, class_key and class_of
#                   where its covariances differ by group (R/structure-random-classes.R)
#   flist           named list of the distinct grouping factors, used levels only (all levels of
#                   a known precision matrix); "assign" says which of them each term has
#   precision       list parallel to flist: known precision matrix of the levels, as
#                   list(start, row, value), or NULL
#   keys            list parallel to flist: what its levels are, see R/data-levels.R
#   members         list parallel to flist: where rows are members of several levels (mm()), the
#                   levels of each with their weights, list(start, level, weight), and the codes of
#                   the factor are missing; else NULL. NULL where no factor has any
#   residual        structure of the residuals: what build_residual() returns, or NULL
#   cnms            names of the effects of each term, named by grouping factor
#   Gp              where the effects of each term start in b: 0, ..., q
#   lower           lower bounds of theta: 0 for standard deviations, -1 for the correlations of a
#                   structure, -Inf for elements of a factor below its diagonal
#   prior.weights   precision weights (n), those of varFixed() included, or NULL
#   sampling        sampling weights: what sampling_design() returns, with `variance`, the robust
#                   covariance matrix of all parameters (see with_cluster_variance()); NULL without
#   offset          offset (n), of the formula and the argument together, or NULL
#   na.action       rows left out because of missing values, or NULL
#   REML            was the restricted likelihood maximised?
#   control         lmm_control() as used
#   eliminated      fixed effects of levels, fixed(1 | g), with their estimates: see
#                   R/design-eliminated.R; NULL without
# The estimates
#   coefficients    fixed effects, named, NA where a column of X is aliased
#   rank, pivot     rank of X; its columns in the engine's order, kept ones first
#   theta           parameters of the relative covariances of the random effects, named as in
#                   'lme4'; see R/structure-random.R
#   covariances     where covariance matrices of random effects have no bounds, their entries
#                   relative to sigma^2 in the order of theta, which is NA as is u: R/fit-nobound.R
#   phi             parameters of the residual structure on their natural scales, named
#   beta            fixed effects without the aliased ones
#   u, b            spherical and original random effects (q): by term, level, effect
#   sigma           residual standard deviation
#   rx              upper triangular factor of X'V^-1X, V relative to sigma^2 (rank x rank)
#   vcov_unscaled   inverse of X'V^-1X: times sigma^2 it is vcov()
#   fitted.values   conditional means (n, no names)
#   residuals       response minus fitted (n, no names)
#   criterion       minus twice the log of the likelihood that was maximised, without a penalty
#   devcomp         list(cmp = , dims = ): the criterion's parts, under the names 'lme4' gives them,
#                   and `penalty` where lmm_control() has one
#   certificate     the proof of the optimum: status, scaled gradient, Hessian, multipliers, ...
# Of a fit of moments
#   condensed       what stands in the place of rows, which are not there: `frame` has none, and
#                   neither have `fitted.values`, `residuals` and the factors of `flist`. See
#                   condense_cells(); besides `flist`, the factors of the cells, and `moments`, what
#                   the model was fitted to. NULL for a fit of rows.

#' Build the fitted object from the front end's description and the engine's result
#' @noRd
new_lmm <- function(call, env, formula, frame, fixed, random, residual, result, control, reml,
                    condensed = NULL) {
  if (!is.null(condensed)) {
    condensed$flist <- random$flist
    frame <- keep_attributes(frame, frame[0L, , drop = FALSE])
    random$flist <- without_codes(random$flist)
    fixed["weights"] <- list(NULL)
  }
  attr(frame, "formula") <- formula
  model <- list(
    call = call,
    formula = formula,
    terms = fixed$terms,
    frame = frame,
    contrasts = fixed$contrasts,
    xlevels = fixed$xlevels,
    assign = fixed$assign,
    random = random$terms,
    flist = random$flist,
    precision = random$precision,
    keys = random$keys,
    residual = residual,
    cnms = random$cnms,
    Gp = random$Gp,
    lower = random$lower,
    prior.weights = fixed$weights,
    offset = fixed$offset,
    na.action = attr(frame, "na.action"),
    REML = reml,
    control = control,
    env = env
  )
  model$condensed <- condensed
  model$members <- random$members
  model$sampling <- fixed$sampling
  estimates <- estimates(
    result_of_weights(result, fixed$sampling), fixed$names, random$theta_names, residual$names,
    reml, length(random$cnms), condensed,
    penalised = !is.null(control$penalty)
  )
  object <- c(estimates, model)
  object$covariances <- estimates$covariances
  if (!is.null(random$eliminated)) object$eliminated <- c(random$eliminated, result$of_levels)
  class(object) <- "lmm"
  object
}

#' Put a new result into a fitted object
#' @noRd
set_result <- function(object, result) {
  fields <- estimates(
    result_of_weights(result, object$sampling), names(object$coefficients), names(object$theta),
    names(object$phi), object$REML,
    length(object$cnms), object$condensed, penalised = !is.null(object$control$penalty)
  )
  object[names(fields)] <- fields
  if (has_eliminated(object)) object$eliminated[names(result$of_levels)] <- result$of_levels
  object$covariances <- fields$covariances
  object
}

#' The elements of a fitted object that come from the engine
#' @noRd
estimates <- function(result, names, theta_names, phi_names, reml, n_terms, condensed = NULL,
                      penalised = FALSE) {
  beta <- result$beta
  n <- length(result$fitted)
  if (!is.null(condensed)) {
    n <- sum(condensed$stands_for$counts)
    result$fitted <- result$residuals <- double()
  }
  list(
    coefficients = `names<-`(beta, names),
    rank = result$rank,
    pivot = result$pivot,
    theta = `names<-`(
      if (is.null(result$covariances)) as.double(result$theta) else missing_like(result$theta),
      as.character(theta_names)
    ),
    phi = `names<-`(as.double(result$phi), as.character(phi_names)),
    beta = if (result$rank < length(beta)) beta[!is.na(beta)] else beta,
    u = if (is.null(result$covariances)) result$u else missing_like(result$u),
    b = result$b,
    sigma = result$sigma,
    rx = result$rx,
    vcov_unscaled = result$vcov_unscaled,
    fitted.values = result$fitted,
    residuals = result$residuals,
    criterion = result$criterion,
    devcomp = new_devcomp(result, reml, n_terms, n, penalised),
    certificate = structure(result$certificate, class = "lmm_certificate"),
    covariances = if (!is.null(result$covariances)) {
      `names<-`(as.double(result$covariances), as.character(theta_names))
    }
  )
}

#' NA, which arithmetic may make NaN
#' @noRd
missing_like <- function(values) rep.int(NA_real_, length(values))

#' The criterion's components and the model's dimensions, named as in 'lme4'
#' @noRd
new_devcomp <- function(result, reml, n_terms, n, penalised) {
  p <- result$rank
  # of fixed effects of levels
  of_levels <- if (is.null(result$of_levels)) 0L else result$of_levels$rank
  # rows that a row stands for
  times <- if (is.null(result$times)) 1 else result$times
  list(
    cmp = c(
      ldL2 = result$ldL2, ldRX2 = result$ldRX2, wrss = result$wrss, ussq = result$ussq,
      pwrss = result$pwrss, drsum = NA,
      REML = if (reml) result$criterion else NA, dev = if (reml) NA else result$criterion,
      sigmaML = sqrt(result$pwrss / (n * times)),
      sigmaREML = sqrt(result$pwrss / (n * times - p - of_levels)),
      penalty = if (penalised) result$penalty
    ),
    dims = c(
      N = n, n = n, p = p, nmp = n - p - of_levels, q = length(result$b),
      nth = length(result$theta), useSc = 1L, reTrms = n_terms, spFe = 0L,
      REML = if (reml) p else 0L, GLMM = 0L, NLMM = 0L
    )
  )
}

#' Check that an object is as this file says; for tests and for objects from elsewhere
#' @noRd
validate_lmm <- function(object) {
  n <- nrow(object$frame)
  q <- object$Gp[[length(object$Gp)]]
  sizes <- vapply(object$random, function(term) length(term$cnms), 1L)
  levels <- vapply(object$random, function(term) nlevels(object$flist[[term$factor]]), 1L)
  holds <- c(
    "`coefficients` are named" = length(names(object$coefficients)) == length(object$coefficients),
    "`beta` are the coefficients that are not NA" =
      identical(object$beta, unname(object$coefficients[!is.na(object$coefficients)])),
    "`rank` counts `beta`" = object$rank == length(object$beta),
    "`assign` has an entry a coefficient" = length(object$assign) == length(object$coefficients),
    "`fitted.values` has an entry a row" = length(object$fitted.values) == n,
    "`residuals` has an entry a row" = length(object$residuals) == n,
    "`prior.weights` has an entry a row" = length(object$prior.weights) %in% c(0L, n),
    "`offset` has an entry a row" = length(object$offset) %in% c(0L, n),
    "`flist` codes every row" = all(lengths(object$flist) == n),
    "`Gp` counts levels times effects" = identical(as.double(diff(object$Gp)),
                                                   as.double(sizes * levels)),
    "`b` and `u` have q entries" = length(object$b) == q && length(object$u) == q,
    "`theta` matches the terms" = length(object$theta) == sum(theta_counts(object)),
    "`lower` matches `theta`" = length(object$lower) == length(object$theta),
    "`phi` matches the residual structure" =
      identical(names(object$phi), as.character(object$residual$names)),
    "`precision` is parallel to `flist`" = length(object$precision) == length(object$flist),
    "`keys` are parallel to `flist`" = length(object$keys) == length(object$flist),
    "variances are not negative" = all(object$theta >= object$lower),
    "`vcov_unscaled` is rank x rank" = identical(dim(object$vcov_unscaled), rep(object$rank, 2L))
  )
  broken <- names(holds)[!holds]
  if (length(broken) > 0L) {
    ferrolmm_abort("The fitted object is not consistent.", "bug", x = paste("Not so:", broken))
  }
  invisible(object)
}

#' The formula with fixed and random part
#' @noRd
full_formula <- function(object) {
  attr(object$frame, "formula")
}

#' Name a value for each used row by the rows of the model frame
#' @noRd
name_rows <- function(values, object) {
  names(values) <- row.names(object$frame)
  values
}

#' What a value for each row means, where rows were left out
#' @noRd
describe_rows <- function(object) {
  omitted <- length(object$na.action)
  n <- count_rows(object)
  paste0(
    "Wanted is a value for each of the ", count_of(n, "row"), " of model.frame(fit)",
    if (omitted > 0L) {
      paste0(", or for these and the ", omitted, " left out because of missing values")
    },
    ". Rows outside `subset`, or with a weight of zero, have none."
  )
}

#' The number of rows that are there
#' @noRd
count_rows <- function(object) length(object$fitted.values)

#' The number of observations, whether their rows are there or not
#' @noRd
count_observations <- function(object) unname(object$devcomp$dims[["n"]])

#' Other rows of a frame with its attributes
#' @noRd
keep_attributes <- function(frame, rows) {
  for (name in c("terms", "sources")) {
    attr(rows, name) <- attr(frame, name)
  }
  rows
}

#' Factors with their levels alone
#' @noRd
without_codes <- function(flist) {
  keep <- attributes(flist)
  flist <- lapply(flist, function(f) f[0L])
  attributes(flist) <- keep
  flist
}
