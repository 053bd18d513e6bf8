#' The first covariance structure that the data identify
#'
#' Statistical analysis plans of trials name a covariance structure of the visits, and others to
#' fall back on if the model cannot be fitted with it. `lmm_fallback()` fits the model with one
#' after the other and returns the first fit that is sound: an optimum that is proved, inside the
#' parameter space, with all parameters identified by the data. A message says which it is, and why
#' those before it were not taken.
#'
#' @param formula,data,... As for [lmm()], whose arguments they are.
#' @param residual A one-sided formula with the first structure, such as `~ us(visit | id)`.
#' @param structures The names of the structures in their order. `residual` is written with each in
#'   place of its own.
#' @returns The fit, as [lmm()] returns it, with the call that fits it alone. Where no structure is
#'   sound it is an error that says why of each.
#' @references
#' Mallinckrodt, C. H., Lane, P. W., Schnell, D., Peng, Y. and Mancuso, J. P. (2008).
#' Recommendations for the primary analysis of continuous endpoints in longitudinal clinical trials.
#' *Drug Information Journal*, 42(4), 303-319.
#' @seealso [lmm()] for the structures.
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm_fallback(
#'   distance ~ Sex * factor(age), Orthodont, residual = ~ us(ordered(age) | Subject)
#' )
#' # four children tell too little of a covariance for each pair of visits
#' few <- Orthodont[Orthodont$Subject %in% c("M01", "M02", "F01", "F02"), ]
#' fit <- lmm_fallback(
#'   distance ~ Sex + age, few, residual = ~ us(ordered(age) | Subject)
#' )
#' @export
lmm_fallback <- function(formula, data = NULL, residual,
                         structures = c("us", "toeph", "ar1h", "cs"), ...) {
  if (missing(residual)) {
    ferrolmm_abort(
      "`residual` is missing: lmm_fallback() chooses the structure of the residuals.", "argument",
      i = "As in residual = ~ us(visit | id)."
    )
  }
  check_structure_names(structures)
  written <- structure_call(residual)
  here <- environment()
  call <- as.call(c(
    list(quote(lmm), formula = NULL, data = substitute(data)), as.list(substitute(list(...)))[-1L]
  ))
  reasons <- character()
  for (name in structures) {
    written[[1L]] <- as.name(name)
    call$residual <- call("~", written)
    # `...` as they came, so that lmm() finds what they name
    found <- sound_fit(
      as.call(list(lmm, quote(formula), quote(data), residual = call$residual, quote(...))), here
    )
    if (is.null(found$reason)) {
      if (length(reasons) > 0L) inform_fallback(name, reasons)
      return(with_call(found$fit, call, data, parent.frame()))
    }
    reasons[[paste0(name, "()")]] <- found$reason
  }
  ferrolmm_abort(
    "None of the structures can be fitted.", "residual",
    x = paste0(names(reasons), ": ", reasons),
    i = "Simplify the fixed effects, or take a structure with fewer parameters."
  )
}

#' The fit with the call that a user could have written
#' @noRd
with_call <- function(fit, call, data, caller) {
  formula <- full_formula(fit)
  call$formula <- formula
  home <- remember_home(call, data, environment(formula), caller)
  fit$call <- home$call
  fit["env"] <- list(home$env)
  fit
}

#' Classes of errors that another structure may not have
#' @noRd
reasons_to_fall_back <- c(
  "residual", "too_many_parameters", "no_residual_df", "perfect_fit", "dimension", "numerical",
  "residual_start", "single_row_groups", "identifiable"
)

#' Structures to fall back from and to: a known matrix is none
#' @noRd
structures_to_try <- function() setdiff(names(residual_structures), "known")

#' @noRd
check_structure_names <- function(structures) {
  known <- structures_to_try()
  if (!is.character(structures) || length(structures) == 0L || anyNA(structures) ||
        anyDuplicated(structures)) {
    ferrolmm_abort("`structures` must be the names of different structures.", "argument")
  }
  unknown <- setdiff(structures, known)
  if (length(unknown) > 0L) {
    ferrolmm_abort(
      paste0("`structures` has names that are none: ", quote_names(unknown), "."), "argument",
      i = paste0("Structures are ", quote_names(known, Inf), ".")
    )
  }
}

#' The call of a structure in a formula like ~ us(visit | id)
#' @noRd
structure_call <- function(residual) {
  right <- if (inherits(residual, "formula")) residual[[length(residual)]]
  if (!is.call(right) || !is.name(right[[1L]]) ||
        !as.character(right[[1L]]) %in% structures_to_try()) {
    ferrolmm_abort(
      "`residual` must be a formula with a structure.", "argument", i = "As in ~ us(visit | id)."
    )
  }
  right
}

#' A fit, or the reason that it is not sound
#'
#' Warnings become reasons, and errors that another structure may not have; what is wrong with the
#' data or the arguments is an error for any.
#' @noRd
sound_fit <- function(call, home) {
  tryCatch(
    {
      fit <- quietly(eval(call, home))
      status <- fit$certificate$status
      if (status == "converged") {
        list(fit = fit)
      } else {
        list(reason = paste0("the optimum is \"", status, "\""))
      }
    },
    ferrolmm_warning = function(w) list(reason = first_line(w)),
    ferrolmm_error = function(e) {
      # a visit that is there twice is a fault of the data, with any structure
      of_data <- inherits(e, "ferrolmm_error_duplicate_position")
      if (of_data || !inherits(e, paste0("ferrolmm_error_", reasons_to_fall_back))) {
        stop(e)
      }
      list(reason = first_line(e))
    }
  )
}

#' The first sentence of a condition, without its end
#' @noRd
first_line <- function(condition) {
  text <- strsplit(conditionMessage(condition), "\n", fixed = TRUE)[[1L]][[1L]]
  text <- sub("[.]$", "", text)
  paste0(tolower(substr(text, 1L, 1L)), substring(text, 2L))
}

#' @noRd
inform_fallback <- function(name, reasons) {
  ferrolmm_inform(
    paste0("The covariance structure is ", name, "()."), "fallback",
    x = paste0(names(reasons), ": ", reasons, ".")
  )
}
