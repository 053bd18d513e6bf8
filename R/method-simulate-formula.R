# Responses of a model that is fitted to nothing: a formula, predictors and parameters.

#' Simulate responses of a formula
#'
#' With a formula in place of a fit, `simulate()` draws responses of the model at the parameters of
#' `newparams`, for the rows of `newdata`: to plan a study, or to try an analysis on data whose
#' parameters are known.
#'
#' The parameters are those of [predict.lmm()]'s `newparams`: `beta`, in the order of the columns of
#' the model matrix or by name; `theta`, relative standard deviations (times `sigma` they are those
#' of [VarCorr()]) or, of `(x | g)`, the entries of the relative covariance factor; `sigma`; and
#' `phi`, those of a residual structure. All are needed: an error lists their names.
#'
#' While 'lme4' is loaded its own method for formulas, of the same arguments, comes first: it has no
#' structures. `simulate(fit, newparams = )` has them always.
#' @param object A formula with random effects; a response may stand in it.
#' @param nsim,seed As for [simulate.lmm()].
#' @param newdata A data frame with the predictors and grouping factors.
#' @param newparams A list of `beta`, `theta`, `sigma`, and `phi` with a residual structure.
#' @param weights Prior weights: one number, or one for each row.
#' @param contrasts,correlation,residual As for [lmm()].
#' @param ... Not used.
#' @returns A data frame with a column for each simulation, and the attribute `seed`.
#' @seealso [simulate.lmm()]
#' @examples
#' plan <- expand.grid(time = 0:4, subject = 1:20)
#' plan$treated <- plan$subject > 10
#' responses <- simulate(
#'   ~ time * treated + (1 | subject), nsim = 2, seed = 1, newdata = plan,
#'   newparams = list(beta = c(10, 1, 0, 0.5), theta = 1.5, sigma = 2)
#' )
#' plan$y <- responses$sim_1
#' fixef(lmm(y ~ time * treated + (1 | subject), plan))
#' @name simulate-formula
#' @method simulate default
#' @export
simulate.default <- function(object, nsim = 1, seed = NULL, newdata = NULL, newparams = NULL,
                             weights = NULL, contrasts = NULL, correlation = NULL,
                             residual = NULL, ...) {
  if (!inherits(object, "formula")) {
    ferrolmm_abort(
      paste0("simulate() has no method for an object of class ", class(object)[[1L]], "."),
      "argument"
    )
  }
  if (...length() > 0L) {
    abort_unknown_arguments(
      if (is.null(...names())) character(...length()) else ...names(),
      as.list(substitute(list(...)))[-1L], setdiff(names(formals(simulate.default)), "..."),
      c(family = "It is for normal responses. lme4::glmer() has others.")
    )
  }
  if (is.null(newdata)) {
    ferrolmm_abort("`newdata` is missing: simulate() needs the predictors.", "newdata")
  }
  newdata <- check_newdata(newdata)
  given <- list(
    correlation = if (!is.null(correlation)) unevaluated(correlation, function() correlation),
    residual = if (!is.null(residual)) unevaluated(residual, function() residual)
  )
  model <- model_of_formula(object, newdata, given, contrasts, parent.frame())
  check_all_parameters(model, newparams)
  simulate.lmm(
    with_parameters(model, newparams), nsim, seed, newdata = newdata, weights = weights,
    allow.new.levels = TRUE
  )
}

#' A model that is fitted to nothing, with a response that stands for any
#' @noRd
model_of_formula <- function(formula, data, given, contrasts, caller) {
  response <- make.unique(c(names(data), "response"))[[ncol(data) + 1L]]
  data[[response]] <- sin(seq_len(nrow(data))^2)
  formula <- stats::as.formula(
    call("~", as.name(response), formula[[length(formula)]]), environment(formula)
  )
  call <- call("lmm", formula = formula, data = data)
  quietly(fit_formula(
    call, formula, data, TRUE, given, stats::na.omit, contrasts, NULL, lmm_control(), caller,
    optimize = FALSE
  ))
}

#' Parameters have no estimates to take the place of those that are missing
#' @noRd
check_all_parameters <- function(model, newparams) {
  needed <- list(
    beta = names(fixef.lmm(model)), theta = names(model$theta), phi = names(model$phi),
    sigma = "sigma"
  )
  needed <- needed[lengths(needed) > 0L]
  missing <- setdiff(names(needed), names(newparams))
  if (length(missing) > 0L) {
    ferrolmm_abort(
      paste0("`newparams` must have ", quote_names(names(needed)), ": there is no ",
             quote_names(missing), "."), "argument",
      i = vapply(missing, function(name) {
        paste0("`", name, "` has ", quote_names(needed[[name]], 12L), ".")
      }, "")
    )
  }
}
