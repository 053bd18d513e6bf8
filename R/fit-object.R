# The fitted object: what lmm() returns and every method reads.
#
# A plain list of class "lmm". Model matrices are not stored: `X` and the columns of `Z` are rebuilt
# from `frame` by engine_inputs(). No element is an external pointer, so a fit survives saveRDS().
#
# The model
#   call            lmm(formula = , data = , ...) as it can be evaluated again
#   formula         the full formula, with bars; its environment is kept
#   terms           terms of the fixed part (with response), with predvars and dataClasses
#   frame           model frame of the used rows: response first, then every variable, then
#                   "(weights)" and "(offset)"; attributes terms (of all variables), na.action and
#                   formula (the full one again: stats::step() overwrites object$formula)
#   contrasts       of the fixed part, named list or NULL
#   xlevels         levels of the factors of the fixed part, named list or NULL
#   assign          integer: which term of `terms` each column of X belongs to
#   random          list, one descriptor per random-effects term, in the order of theta: label,
#                   group, lhs, columns, factor (index into flist), cnms, structure, contrasts,
#                   leaves
#   flist           named list of the distinct grouping factors, used levels only; "assign" says
#                   which of them each term has
#   cnms            names of the effects of each term, named by grouping factor
#   Gp              where the effects of each term start in b: 0, ..., q
#   lower           lower bounds of theta: 0 for variances, -Inf for the rest
#   prior.weights   precision weights (n) or NULL
#   offset          offset (n), of the formula and the argument together, or NULL
#   na.action       rows left out because of missing values, or NULL
#   REML            was the restricted likelihood maximised?
#   control         lmm_control() as used
# The estimates
#   coefficients    fixed effects, named, NA where a column of X is aliased
#   rank, pivot     rank of X; its columns in the engine's order, kept ones first
#   theta           parameters of the relative covariance factors, named as in 'lme4'
#   beta            fixed effects without the aliased ones
#   u, b            spherical and original random effects (q): by term, level, effect
#   sigma           residual standard deviation
#   rx              upper triangular factor of X'V^-1X, V relative to sigma^2 (rank x rank)
#   vcov_unscaled   inverse of X'V^-1X: times sigma^2 it is vcov()
#   fitted.values   conditional means (n, no names)
#   residuals       response minus fitted (n, no names)
#   criterion       minus twice the log of the likelihood that was maximised
#   devcomp         list(cmp = , dims = ): the criterion's parts, under the names 'lme4' gives them
#   certificate     the proof of the optimum: status, scaled gradient, Hessian, multipliers, ...

#' Build the fitted object from the front end's description and the engine's result
#' @noRd
new_lmm <- function(call, formula, frame, fixed, random, result, control, reml) {
  attr(frame, "formula") <- formula
  object <- list(
    coefficients = structure(result$beta, names = fixed$names),
    call = call,
    formula = formula,
    terms = fixed$terms,
    frame = frame,
    contrasts = fixed$contrasts,
    xlevels = fixed$xlevels,
    assign = fixed$assign,
    random = random$terms,
    flist = random$flist,
    cnms = random$cnms,
    Gp = random$Gp,
    lower = random$lower,
    theta = structure(result$theta, names = random$theta_names),
    prior.weights = fixed$weights,
    offset = fixed$offset,
    na.action = attr(frame, "na.action"),
    REML = reml,
    control = control
  )
  class(object) <- "lmm"
  set_result(object, result)
}

#' Put the engine's result into an object that describes the model
#' @noRd
set_result <- function(object, result) {
  object$coefficients[] <- result$beta
  object$beta <- result$beta[!is.na(result$beta)]
  object$rank <- result$rank
  object$pivot <- result$pivot
  object$theta[] <- result$theta
  object$u <- result$u
  object$b <- result$b
  object$sigma <- result$sigma
  object$rx <- result$rx
  object$vcov_unscaled <- result$vcov_unscaled
  object$fitted.values <- result$fitted
  object$residuals <- result$residuals
  object$criterion <- result$criterion
  object$devcomp <- new_devcomp(object, result)
  object$certificate <- result$certificate
  object
}

#' The criterion's components and the model's dimensions, named as in 'lme4'
#' @noRd
new_devcomp <- function(object, result) {
  n <- length(result$fitted)
  p <- result$rank
  reml <- object$REML
  list(
    cmp = c(
      ldL2 = result$ldL2, ldRX2 = result$ldRX2, wrss = result$wrss, ussq = result$ussq,
      pwrss = result$pwrss, drsum = NA,
      REML = if (reml) result$criterion else NA, dev = if (reml) NA else result$criterion,
      sigmaML = sqrt(result$pwrss / n), sigmaREML = sqrt(result$pwrss / (n - p))
    ),
    dims = c(
      N = n, n = n, p = p, nmp = n - p, q = length(result$b), nth = length(result$theta),
      useSc = 1L, reTrms = length(object$cnms), spFe = 0L, REML = if (reml) p else 0L,
      GLMM = 0L, NLMM = 0L
    )
  )
}

#' What the engine needs to see the model again, as engine_fit() takes it
#' @noRd
engine_inputs <- function(object) {
  list(
    fixed = list(
      y = response_values(object),
      X = fixed_matrix(object$terms, object$frame, object$contrasts),
      names = names(object$coefficients),
      weights = object$prior.weights,
      offset = object$offset
    ),
    random = list(
      terms = object$random,
      cnms = object$cnms,
      design = random_design(object$random, object$flist, object$frame)
    )
  )
}

#' The response of the used rows, as plain numbers
#' @noRd
response_values <- function(object) {
  as.double(object$frame[[1L]])
}

#' Check that an object is what this file says; for tests and for objects from elsewhere
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
    "`theta` and `lower` match the terms" =
      length(object$theta) == sum(vapply(object$random, count_theta, 1)) &&
        length(object$lower) == length(object$theta),
    "variances are not negative" = all(object$theta >= object$lower),
    "`vcov_unscaled` is rank x rank" = identical(dim(object$vcov_unscaled), rep(object$rank, 2L))
  )
  broken <- names(holds)[!holds]
  if (length(broken) > 0L) {
    ferrolmm_abort("The fitted object is not consistent.", "bug", x = paste("Not so:", broken))
  }
  invisible(object)
}
