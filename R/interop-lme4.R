# A fit as an object of 'lme4', for packages that read its slots.

#' A fit as an object of 'lme4' or 'lmerTest'
#'
#' Makes the object that `lme4::lmer()` would return if its optimiser ended at the estimates of the
#' fit: the model is set up by 'lme4' and evaluated there, nothing is optimised. Packages that read
#' the slots of such objects ('merTools', 'arm', 'cAIC4', 'RLRsim', 'simr' and others) take the
#' result; its profiles, bootstraps and `update()` are those of 'lme4', and fit with its optimiser.
#'
#' The data are found by the call of the fit. That 'lme4' has the same model is checked: response,
#' fixed effects, random effects and criterion have to agree.
#'
#' @section What cannot be such an object:
#' Models that `lme4::lmer()` has not are refused: residual structures; structures of random effects
#' other than `us()` (and `||`); known matrices; `mm()`; parameters that are held or tied, and a
#' known sigma. Rows with a weight of zero are no rows of an `lmm` fit: the call of the result
#' leaves them out by its `subset`.
#' @param object A model fitted by [lmm()].
#' @param test Make the object of 'lmerTest', whose `summary()` and `anova()` have p-values? It
#'   takes derivatives numerically.
#' @param ... Not used.
#' @returns An S4 object of class `lmerMod` or, with `test = TRUE`, `lmerModLmerTest`.
#' @seealso [getME.lmm()] for what a fit has of the same names without 'lme4'.
#' @examplesIf requireNamespace("lme4", quietly = TRUE)
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' theirs <- as_lmerMod(fit)
#' class(theirs)
#' all.equal(lme4::fixef(theirs), fixef(fit))
#' @export
as_lmerMod <- function(object, test = FALSE, ...) {
  check_dots(...)
  check_flag(test, "test")
  for (package in c("lme4", if (test) "lmerTest")) {
    need_package(package, "as_lmerMod()")
  }
  check_lmer_model(object)
  call <- lmer_call(object)
  before <- options(own_options(object))
  on.exit(options(before))
  found <- evaluate_lmer(object, call)
  check_same_model(object, found)
  control <- lme4::lmerControl()
  optimum <- list(
    par = unname(object$theta), fval = found$criterion, feval = 0L, conv = 0L, message = NULL
  )
  attr(optimum, "optimizer") <- control$optimizer
  attr(optimum, "control") <- control$optCtrl
  model <- lme4::mkMerMod(
    environment(found$deviance), optimum, found$design$reTrms, fr = found$design$fr, mc = call,
    lme4conv = list()
  )
  if (test) lmerTest::as_lmerModLmerTest(model) else model
}

#' Refuse models that lmer() has not
#' @noRd
check_lmer_model <- function(object) {
  refuse <- function(what, class) {
    ferrolmm_abort(
      paste0("'lme4' has no such model: as_lmerMod() cannot represent ", what, "."), class,
      i = "The methods of the fit itself take it, see methods(class = \"lmm\")."
    )
  }
  if (has_residual(object)) {
    refuse("a structure of the residuals", "residual")
  }
  if (has_known(object)) {
    refuse("a known matrix of levels", "known")
  }
  if (!is.null(object$members)) {
    refuse("rows that are members of several levels, or a matrix of one's own", "argument")
  }
  if (has_constraints(object)) {
    refuse("parameters that are held or tied, or a known sigma", "restriction")
  }
  if (is_penalised(object)) {
    refuse("penalties on covariances", "penalty")
  }
  for (term in object$random) {
    if (length(term$by) > 0L) {
      refuse(paste0("covariances by group, (", term_words(term), ")"), "argument")
    }
    if (length(term$cnms) > 1L && (isTRUE(term$hom) || is_natural(term))) {
      refuse(paste0(structure_name(term), " of `", term$label, "`"), "argument")
    }
  }
}

#' The call of lmer() that is the model
#'
#' In an environment of its own below that of the fit: 'lme4' assigns variables there.
#' @noRd
lmer_call <- function(object) {
  call <- with_own_options(object$call, object)
  home <- new.env(parent = fit_home(object))
  formula <- full_formula(object)
  formula[[3L]] <- plain_bars(formula[[3L]])
  environment(formula) <- home
  arguments <- as.list(call)[argument_names(
    call, c("data", "subset", "weights", "na.action", "offset", "contrasts")
  )]
  if (any_weight_zero(object, arguments, home)) {
    if (!is.null(arguments$subset)) {
      ferrolmm_abort(
        "Rows of weight zero and a `subset`: 'lme4' would take these rows.", "weights",
        i = "Fit the rows that count, subset = <...> & weights > 0, and try again."
      )
    }
    arguments$subset <- call(">", call("(", arguments$weights), 0)
  }
  as.call(c(
    list(quote(lme4::lmer), formula = formula), arguments,
    if (!object$REML) list(REML = FALSE)
  ))
}

#' us(x | g) as (x | g)
#' @noRd
plain_bars <- function(x) {
  if (is_call_to(x, c("+", "-"))) {
    x[-1L] <- lapply(as.list(x)[-1L], plain_bars)
  } else if (is_call_to(x, names(covariance_structures)) && length(x) > 1L && is_bar(x[[2L]])) {
    x <- call("(", x[[2L]])
  }
  x
}

#' Were rows left out because their weight is zero?
#' @noRd
any_weight_zero <- function(object, arguments, home) {
  if (is.null(arguments$weights)) {
    return(FALSE)
  }
  data <- tryCatch(eval(arguments$data, home), error = function(e) NULL)
  weights <- tryCatch(eval(arguments$weights, data, home), error = function(e) NULL)
  is.numeric(weights) && any(weights == 0, na.rm = TRUE)
}

#' The model set up by 'lme4' and its criterion at our theta
#' @returns list(design, deviance (a function), criterion)
#' @noRd
evaluate_lmer <- function(object, call) {
  set_up <- call
  set_up[[1L]] <- quote(lme4::lFormula)
  set_up$control <- quote(lme4::lmerControl(
    check.nobs.vs.rankZ = "ignore", check.nobs.vs.nlev = "ignore", check.nlev.gtreq.5 = "ignore",
    check.nlev.gtr.1 = "ignore", check.nobs.vs.nRE = "ignore", check.rankX = "silent.drop.cols",
    check.scaleX = "ignore"
  ))
  tryCatch(
    {
      design <- eval(set_up, environment(call$formula))
      deviance <- do.call(lme4::mkLmerDevfun, design)
      same <- length(design$reTrms$theta) == length(object$theta)
      list(
        design = design, deviance = deviance,
        criterion = if (same) deviance(unname(object$theta)) else NA_real_
      )
    },
    error = function(e) {
      ferrolmm_abort(
        "'lme4' cannot set up the model of the fit.", "data", x = conditionMessage(e),
        i = "Are the data of the call still there? update(fit, data = ) fits to others."
      )
    }
  )
}

#' @noRd
check_same_model <- function(object, found) {
  design <- found$design
  theirs <- list(
    response = as.double(stats::model.response(design$fr)),
    `fixed effects` = dim(design$X), `random effects` = unname(design$reTrms$cnms),
    `grouping factors` = lapply(unname(as.list(design$reTrms$flist)), as.integer)
  )
  ours <- list(
    response = response_values(object), `fixed effects` = c(count_rows(object), object$rank),
    `random effects` = unname(object$cnms),
    `grouping factors` = lapply(unname(as.list(object$flist)), as.integer)
  )
  equal <- mapply(identical, lapply(ours, plain_list), lapply(theirs, plain_list))
  close <- isTRUE(abs(found$criterion - object$criterion) < 1e-6 * (1 + abs(object$criterion)))
  if (!all(equal) || !close) {
    other <- if (all(equal)) "criterion" else names(ours)[!equal]
    ferrolmm_abort(
      paste0("'lme4' reads the call of the fit as another model: its ",
             paste(other, collapse = " and "), if (length(other) > 1L) " differ." else " differs."),
      "data", i = "Have the data changed since the fit? Otherwise compare lme4::lFormula() with it."
    )
  }
}

#' Without attributes of any kind
#' @noRd
plain_list <- function(x) {
  if (is.list(x)) lapply(unname(x), as.vector) else as.vector(x)
}
