# Generics of packages that read the slots of lme4's class: their methods get what as_lmerMod()
# makes of a fit. Registered in zzz.R.

#' A method that hands the converted fit to a generic
#'
#' @param name the name of the generic's first argument.
#' @noRd
converted_method <- function(package, generic, name) {
  force(package)
  force(generic)
  f <- function(object, ...) {
    check_fit(object)
    getExportedValue(package, generic)(as_lmerMod(object), ...)
  }
  names(formals(f))[[1L]] <- name
  body(f) <- do.call(substitute, list(body(f), list(object = as.name(name))))
  f
}

#' @noRd
PBrefdist.lmm <- function(largeModel, smallModel, ...) {
  check_fit(largeModel)
  check_fit(smallModel)
  pbkrtest::PBrefdist(as_lmerMod(largeModel), as_lmerMod(smallModel), ...)
}
