# Faults put in on purpose, by the name in FUZZ_PLANT, for the test of the tester (self-test.R): a
# function before the package's own, of which the calls then are.
planted <- list(
  difference = list(lmm = function(...) {
    fit <- ferrolmm::lmm(...)
    fit$criterion <- fit$criterion + 1e-4 * length(fit$fitted.values)
    fit
  }),
  invariance = list(lmm = function(formula, data, ...) {
    # the names of the columns change the criterion
    names <- paste(all.vars(formula), collapse = "")
    fit <- ferrolmm::lmm(formula, data, ...)
    if (grepl("^col", names)) fit$criterion <- fit$criterion + 1
    fit
  }),
  nan = list(summary = function(...) c(1, NaN)),
  "base-error" = list(summary = function(...) list(1)[[2L]]),
  "base-warning" = list(summary = function(...) 1:3 + 1:2),
  bug = list(summary = function(...) ferrolmm:::ferrolmm_abort("An index is out of bounds.", "bug")),
  refusal = list(summary = function(...) ferrolmm:::ferrolmm_abort("Not today.", "argument")),
  hang = list(summary = function(...) repeat NULL),
  crash = list(summary = function(...) tools::pskill(Sys.getpid(), tools::SIGKILL))
)
list2env(planted[[Sys.getenv("FUZZ_PLANT")]], globalenv())
