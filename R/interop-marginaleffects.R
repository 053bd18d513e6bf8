# Methods for 'marginaleffects', which takes models of the classes that an option names. Registered
# in zzz.R.

#' Support for 'marginaleffects'
#'
#' `marginaleffects::predictions()`, `comparisons()`, `slopes()` and their relatives take models of
#' [lmm()]. As for models of 'lme4', their standard errors are those of the fixed effects: use
#' `re.form = NA`, for which they are right. `vcov = "satterthwaite"` and `"kenward-roger"` give the
#' degrees of freedom of [ddf]. The warning of 'marginaleffects' that `re.form` is an unknown
#' argument can be ignored: it is passed to [predict.lmm()]. For instance
#' `marginaleffects::avg_slopes(fit, variables = "age", by = "Sex", re.form = NA)`.
#'
#' When 'marginaleffects' is loaded, the class is added to its option
#' `marginaleffects_model_classes`.
#' @references
#' Arel-Bundock, V., Greifer, N. and Heiss, A. (2024). How to interpret statistical models using
#' marginaleffects for R and Python. *Journal of Statistical Software*, 111(9), 1-32.
#' @seealso [predict.lmm()], [emmeans-lmm], [ggeffects-lmm]
#' @name marginaleffects-lmm
NULL

#' The option of 'marginaleffects' with our class beside those that it has
#' @noRd
add_model_class <- function() {
  options(marginaleffects_model_classes = union(getOption("marginaleffects_model_classes"), "lmm"))
}

#' @noRd
remove_model_class <- function() {
  classes <- setdiff(getOption("marginaleffects_model_classes"), "lmm")
  options(marginaleffects_model_classes = if (length(classes) > 0L) classes)
}

#' @noRd
get_coef.lmm <- function(model, ...) {
  fixef.lmm(model)
}

#' @noRd
get_vcov.lmm <- function(model, vcov = NULL, ...) {
  check_fit(model)
  if (isFALSE(vcov)) {
    return(NULL)
  }
  if (is.null(vcov) || isTRUE(vcov) || identical(tolower(vcov), "satterthwaite")) {
    return(vcov.lmm(model))
  }
  types <- tolower(c(names(sandwich_types), unlist(lapply(sandwich_types, `[[`, "alias"))))
  if (is.function(vcov) || is.matrix(vcov) || is_string(vcov) && tolower(vcov) %in% types) {
    variance <- other_variance(model, vcov, "vcov")
    dimnames(variance) <- rep(list(names(fixef.lmm(model))), 2L)
    return(variance)
  }
  if (identical(tolower(vcov), "kenward-roger")) {
    return(ddf_for(model, "Kenward-Roger")$variance)
  }
  ferrolmm_abort(
    paste0("There is no covariance matrix of that name or formula", describe_given(vcov), "."),
    "argument",
    i = c(
      paste0("It can be TRUE, FALSE, \"satterthwaite\", \"kenward-roger\", a type of robust ",
             "matrix such as \"CR2\", a matrix or a function."),
      "With other clusters than the default it is vcov(fit, type = \"CR2\", cluster = ~ g)."
    )
  )
}

#' The model with other fixed effects, its random effects as they are
#' @noRd
set_coef.lmm <- function(model, coefs, ...) {
  check_fit(model)
  kept <- kept_columns(model)
  at <- match(names(coefs), names(model$coefficients)[kept])
  model$coefficients[kept[at]] <- as.double(coefs)
  model$beta <- unname(model$coefficients[kept])
  model
}

#' Predictions of the arguments that predict() has; others are those of 'marginaleffects'
#' @noRd
get_predict.lmm <- function(model, newdata = insight::get_data(model), type = "response", ...) {
  check_fit(model)
  dots <- list(...)
  if (isFALSE(dots$include_random)) dots$re.form <- NA
  own <- c("re.form", "random.only", "allow.new.levels", "na.action", "residual.cor")
  theirs <- utils::getS3method("get_predict", "default", envir = asNamespace("marginaleffects"))
  do.call(theirs, c(
    list(model, newdata = newdata, type = type), dots[intersect(names(dots), own)]
  ))
}

#' The warning that standard errors are those of fixed effects
#' @noRd
sanitize_model_specific.lmm <- function(model, ...) {
  theirs <- utils::getS3method(
    "sanitize_model_specific", "merMod", envir = asNamespace("marginaleffects")
  )
  theirs(model, ...)
}
