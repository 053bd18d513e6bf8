# What has to happen when the package is loaded: methods on generics that only some versions of
# another package have. Stable generics are registered in NAMESPACE.

.onLoad <- function(libname, pkgname) {
  when_loaded("lme4", register_lme4)
  when_loaded("lmerTest", register_lmertest)
  when_loaded("performance", register_performance)
  when_loaded("clubSandwich", register_clubsandwich)
}

#' Tell what outlives the package that it was unloaded
#'
#' Objects, functions that are kept somewhere, hooks and methods that were registered by hand
#' outlive the namespace: none of them may call into the library once it is unloaded. A thread that
#' was left to itself (the engine's `runtime/detached`) is waited for; as long as one works, the
#' library stays.
#' @noRd
.onUnload <- function(libpath) {
  forget_hooks()
  namespace <- topenv(environment(.onUnload))
  library_is_idle <- rs_wait_until_idle(5)
  for (name in grep("^rs_", names(namespace), value = TRUE)) {
    # by its name, as R CMD check would take the call for one on another package
    do.call("unlockBinding", list(name, namespace))
    assign(name, abort_unloaded, envir = namespace)
  }
  if (library_is_idle) {
    library.dynam.unload("ferrolmm", libpath)
  }
}

#' @noRd
abort_unloaded <- function(...) {
  ferrolmm_abort(
    "ferrolmm was unloaded.", "unloaded", i = "Load it again with library(ferrolmm)."
  )
}

#' Remove hooks that wait for other packages, and methods that were registered
#' @noRd
forget_hooks <- function() {
  home <- topenv()
  is_own <- function(f) is.function(f) && identical(topenv(environment(f)), home)
  for (package in waited_for$packages) {
    event <- packageEvent(package, "onLoad")
    setHook(event, Filter(Negate(is_own), getHook(event)), "replace")
  }
  for (package in loadedNamespaces()) {
    table <- asNamespace(package)[[".__S3MethodsTable__."]]
    if (is.environment(table)) {
      names <- names(table)
      rm(list = names[vapply(names, function(name) is_own(table[[name]]), NA)], envir = table)
    }
  }
}

#' The packages that hooks wait for
#' @noRd
waited_for <- new.env()

#' Do something now if a package is loaded, and whenever it is loaded later
#' @noRd
when_loaded <- function(package, action) {
  setHook(packageEvent(package, "onLoad"), function(...) action())
  waited_for$packages <- c(waited_for$packages, package)
  if (isNamespaceLoaded(package)) {
    action()
  }
}

#' lme4::isSingular() is a generic since lme4 2.0; before that it reads theta by getME(), which
#' works
#' @noRd
register_lme4 <- function() {
  register_methods("lme4", list(isSingular = isSingular.lmm))
}

#' The default of performance::r2() is one minus a ratio of sums of squares, which is not an R2 of a
#' mixed model
#' @noRd
register_performance <- function() {
  register_methods("performance", list(r2 = r2.lmm))
}

#' @noRd
register_lmertest <- function() {
  register_methods("lmerTest", list(
    contest = contest.lmm, contest1D = contest1D.lmm, contestMD = contestMD.lmm, step = step.lmm
  ))
}

#' Generics that 'clubSandwich' keeps for itself
#' @noRd
register_clubsandwich <- function() {
  register_methods("clubSandwich", list(
    coef_CS = coef_CS.lmm, residuals_CS = residuals_CS.lmm, targetVariance = targetVariance.lmm,
    weightMatrix = weightMatrix.lmm
  ))
}

#' Register methods on those of the generics that a package has
#' @noRd
register_methods <- function(package, methods) {
  namespace <- asNamespace(package)
  for (generic in names(methods)) {
    if (is_s3_generic(generic, namespace)) {
      registerS3method(generic, "lmm", methods[[generic]], envir = namespace)
    }
  }
}

#' Does a function dispatch on S3 classes, itself or as the default of an S4 generic?
#' @noRd
is_s3_generic <- function(name, namespace) {
  f <- get0(name, namespace, mode = "function", inherits = FALSE)
  if (methods::is(f, "genericFunction")) {
    f <- f@default
  }
  !is.null(f) && "UseMethod" %in% all.names(body(f))
}
