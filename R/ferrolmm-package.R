#' ferrolmm: linear mixed models with a certified optimum
#'
#' Start with [lmm()], which takes the formulas of `lme4::lmer()` and fits them by an engine written
#' in Rust. Each fit carries a certificate of its optimum, shown by `summary()`.
#'
#' @section Threads:
#' The engine uses threads only where the work is worth it, and gives the same bits for any number
#' of them. The number is `lmm_control(threads =)`, then `options(ferrolmm.threads =)`, then the
#' environment variable `OMP_THREAD_LIMIT`, then all cores.
#'
#' @keywords internal
#' @useDynLib ferrolmm, .registration = TRUE
"_PACKAGE"
