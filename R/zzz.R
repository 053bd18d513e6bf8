# What has to happen when the package is loaded: methods on generics that only some versions of
# another package have. Stable generics are registered in NAMESPACE.

.onLoad <- function(libname, pkgname) {
  when_loaded("lme4", register_lme4)
}

#' Do something now if a package is loaded, and whenever it is loaded later
#' @noRd
when_loaded <- function(package, action) {
  setHook(packageEvent(package, "onLoad"), function(...) action())
  if (isNamespaceLoaded(package)) {
    action()
  }
}

#' lme4::isSingular() is a generic since lme4 2.0; before, it reads theta by getME() and works as
#' it is
#' @noRd
register_lme4 <- function() {
  namespace <- asNamespace("lme4")
  if (is_s3_generic("isSingular", namespace)) {
    registerS3method("isSingular", "lmm", isSingular.lmm, envir = namespace)
  }
}

#' Does a function dispatch by S3, itself or as the default of an S4 generic?
#' @noRd
is_s3_generic <- function(name, namespace) {
  f <- get0(name, namespace, mode = "function", inherits = FALSE)
  if (methods::is(f, "genericFunction")) {
    f <- f@default
  }
  !is.null(f) && "UseMethod" %in% all.names(body(f))
}
