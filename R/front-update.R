#' Update and refit a model
#'
#' Change the formula or other arguments of the call that fitted a model, and fit again.
#'
#' Variables of the original call are looked for where its formula was written, then where
#' `update()` was called; those of the new arguments where `update()` was called. So a model that
#' was fitted inside a function, from one of its arguments, can be updated. Options that the fit
#' read (`contrasts`, `na.action`, `digits` ...) have the values that they had then: a call that is
#' returned holds those that are others today, as `options` of [lmm_control()].
#'
#' @param object A model fitted by [lmm()].
#' @param formula. Changes to the formula, see [stats::update.formula()]. Bar terms are part of it:
#'   `. ~ . - (x | g) + (1 | g)`. What is taken away is a bar of the model, one of the factors of
#'   `a/b`, or one of the effects of `(x || g)`; anything else is an error.
#' @param ... Other arguments of [lmm()] to change or to add; `NULL` takes one out. And
#'   `devFunOnly = TRUE`, as in 'lme4': the criterion of the model as a function of its parameters
#'   is returned, see [getME()][getME.lmm].
#' @param evaluate Fit (`TRUE`) or return the call (`FALSE`)?
#' @returns A fitted model, or the call, or a function.
#' @seealso [refit.lmm()], [add1.lmm()]
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' update(fit, REML = FALSE)
#' update(fit, . ~ . - (age | Subject) + (1 | Subject))
#' @importFrom stats update
#' @export
update.lmm <- function(object, formula., ..., evaluate = TRUE) {
  check_fit(object)
  changes <- as.list(substitute(list(...)))[-1L]
  # as in 'lme4': the criterion of the model in place of its fit
  criterion_only <- evaluate_flag(changes$devFunOnly, "devFunOnly", parent.frame())
  changes$devFunOnly <- NULL
  changes <- complete_changes(changes)
  check_flag(evaluate, "evaluate")
  call <- object$call
  if (!missing(formula.)) {
    check_formula_change(formula.)
    call$formula <- update_formula(full_formula(object), formula., object$frame)
  }
  for (name in names(changes)) {
    if (!is.null(changes[[name]]) || name %in% names(call)) call[[name]] <- changes[[name]]
  }
  if (criterion_only && !evaluate) {
    ferrolmm_abort(
      "`devFunOnly` is no argument of lmm(): there is no call that returns the criterion.",
      "argument", i = lmm_hints[["devFunOnly"]]
    )
  }
  if (!evaluate) {
    return(with_visible_data(with_own_options(call, object), object, changes))
  }
  if (is.symbol(call[[1L]])) {
    # even where the package is not attached
    call[[1L]] <- lmm
  }
  before <- options(own_options(object))
  on.exit(options(before))
  fit <- eval(call, update_environment(object, call, changes, parent.frame()))
  if (criterion_only) as.function(fit) else fit
}

#' The value of an argument that is TRUE or FALSE, FALSE where it is not given
#' @noRd
evaluate_flag <- function(expr, name, home) {
  value <- if (is.null(expr)) FALSE else eval(expr, home)
  check_flag(value, name)
  value
}

#' The options of the fit that are others today
#' @noRd
own_options <- function(object) {
  then <- attr(object$frame, "sources")$options
  then[!mapply(identical, then, options()[names(then)])]
}

#' The call that fits under the options of the fit, where they are others today
#' @noRd
with_own_options <- function(call, object) {
  own <- own_options(object)
  if (!has_made_variables(object$frame)) {
    own <- own[names(own) %in% c("contrasts", "na.action")]
  }
  if (length(own) == 0L) {
    return(call)
  }
  control <- if (is.null(call$control)) quote(lmm_control()) else call$control
  if (is.call(control) && identical(control[[1L]], quote(lmm_control))) {
    if (!is.symbol(call[[1L]])) control[[1L]] <- quote(ferrolmm::lmm_control)
    control$options <- own
  } else {
    control <- eval(control, fit_home(object))
    control$options <- own
  }
  call$control <- control
  call
}

#' Are there variables that are made by expressions, which may write numbers as text?
#' @noRd
has_made_variables <- function(frame) {
  any(vapply(as.list(attr(attr(frame, "terms"), "variables"))[-1L], is.call, NA))
}

#' @noRd
check_formula_change <- function(formula) {
  if (!inherits(formula, "formula") && !is.character(formula) && !is_call_to(formula, "~")) {
    ferrolmm_abort(
      paste0("`formula.` must be a formula", describe_given(formula), "."), "formula",
      i = "As in update(fit, . ~ . + x)."
    )
  }
}

#' The changes by the full names of the arguments of lmm()
#' @noRd
complete_changes <- function(changes) {
  if (length(changes) == 0L) {
    return(changes)
  }
  known <- setdiff(names(formals(lmm)), c("formula", "..."))
  given <- names(changes)
  given <- if (is.null(given)) character(length(changes)) else given
  # moments are the data of a fit of moments
  given[given == "moments"] <- "data"
  found <- known[pmatch(given, known)]
  if (anyNA(found)) {
    wrong <- is.na(found)
    abort_unknown_arguments(given[wrong], changes[wrong], known, lmm_hints)
  }
  stats::setNames(changes, found)
}

#' The call with the data themselves, where their name means something else to the callers
#'
#' step() evaluates the call that it gets among its callers.
#' @noRd
with_visible_data <- function(call, object, changes) {
  if (!is.symbol(call$data) || "data" %in% names(changes)) {
    return(call)
  }
  name <- as.character(call$data)
  own <- get0(name, fit_home(object))
  if (!is.null(own) && !identical(dynGet(name, NULL, inherits = TRUE), own)) {
    call$data <- own
  }
  call
}

#' Where the call of a fit was made
#' @noRd
fit_home <- function(object) {
  if (is.null(object$env)) environment(full_formula(object)) else object$env
}

#' Where to evaluate the call: where the fit was made if all variables of the original arguments are
#' known there, else in the caller's environment; on top of that, the caller's variables of the new
#' arguments
#' @noRd
update_environment <- function(object, call, changes, caller) {
  home <- fit_home(object)
  kept <- setdiff(argument_names(call, c("data", "control", "start", "contrasts", "REML")),
                  names(changes))
  needed <- unlist(lapply(as.list(call)[kept], all.vars))
  needed <- needed[!grepl("^[.][.][0-9]+$", needed)]
  known <- vapply(needed, exists, NA, envir = home)
  base <- if (all(known)) home else caller
  fresh <- unique(unlist(lapply(changes, all.vars)))
  if (identical(base, caller) || length(fresh) == 0L) {
    return(base)
  }
  overlay <- new.env(parent = base)
  for (name in fresh) {
    if (exists(name, envir = caller)) {
      assign(name, get(name, envir = caller), envir = overlay)
    }
  }
  overlay
}

#' Which of these arguments a call contains
#' @noRd
argument_names <- function(call, among) {
  intersect(among, names(call))
}
