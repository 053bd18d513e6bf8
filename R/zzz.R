# What has to happen when the package is loaded: methods on generics that only some versions of
# another package have. Stable generics are registered in NAMESPACE.

.onLoad <- function(libname, pkgname) {
  when_loaded("lme4", register_lme4)
  when_loaded("lmerTest", register_lmertest)
  when_loaded("performance", register_performance)
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

#' Its default for r2() is one minus a ratio of sums of squares, which is no R2 of a mixed model
#' @noRd
register_performance <- function() {
  namespace <- asNamespace("performance")
  if (is_s3_generic("r2", namespace)) {
    registerS3method("r2", "lmm", r2.lmm, envir = namespace)
  }
}

#' @noRd
register_lmertest <- function() {
  namespace <- asNamespace("lmerTest")
  methods <- list(contest = contest.lmm, contest1D = contest1D.lmm, contestMD = contestMD.lmm)
  for (generic in names(methods)) {
    if (is_s3_generic(generic, namespace)) {
      registerS3method(generic, "lmm", methods[[generic]], envir = namespace)
    }
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
