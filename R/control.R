#' Options of a fit
#'
#' Checked once, when they are made; [lmm()] takes them as they are.
#'
#' @param max_evaluations (`integer(1)`)\cr largest number of evaluations of the criterion. The
#'   usual fit takes about ten.
#' @param tolerance (`numeric(1)`)\cr the optimum is accepted where a further Newton step
#'   promises to lower the criterion by less than this (half the squared Newton decrement): 1e-12
#'   puts the parameters within about a millionth of their standard errors.
#' @param threads (`integer(1)` or `NULL`)\cr number of threads; 0 lets the engine decide from
#'   the machine and the size of the problem. `NULL` takes `getOption("ferrolmm.threads")`, then
#'   the environment variable `OMP_THREAD_LIMIT`, then 0. The result is the same to the last bit
#'   for any number of threads. Never more than 2 under `R CMD check`.
#' @param verbose (`integer(1)`)\cr 0 is silent; 1 shows, after the fit, the criterion and the
#'   largest scaled gradient after each accepted step of the optimiser (a message of class
#'   `ferrolmm_message_trace`).
#' @returns An object of class `lmm_control`, a list of the arguments.
#' @seealso [lmm()]
#' @examples
#' lmm_control(threads = 1)
#' @export
lmm_control <- function(max_evaluations = 500L, tolerance = 1e-12, threads = NULL,
                        verbose = 0L) {
  control <- list(
    max_evaluations = check_count(max_evaluations, "max_evaluations", 1L),
    tolerance = check_tolerance(tolerance),
    threads = choose_threads(threads),
    verbose = check_count(if (is.logical(verbose)) as.integer(verbose) else verbose, "verbose", 0L)
  )
  class(control) <- "lmm_control"
  control
}

#' @noRd
check_count <- function(x, name, least) {
  if (!is.numeric(x) || length(x) != 1L || is.na(x) || x < least || x > .Machine$integer.max ||
        x != trunc(x)) {
    ferrolmm_abort(
      paste0("`", name, "` must be a whole number, at least ", least, "."), "argument"
    )
  }
  as.integer(x)
}

#' @noRd
check_tolerance <- function(x) {
  if (!is.numeric(x) || length(x) != 1L || is.na(x) || x <= 0 || x >= 1) {
    ferrolmm_abort("`tolerance` must be a number between 0 and 1.", "argument")
  }
  as.double(x)
}

#' Argument, option, environment variable, or 0 (the engine decides); at most 2 under a check
#' @noRd
choose_threads <- function(threads) {
  if (is.null(threads)) {
    threads <- getOption("ferrolmm.threads")
  }
  if (is.null(threads)) {
    limit <- suppressWarnings(as.integer(Sys.getenv("OMP_THREAD_LIMIT", "0")))
    threads <- if (is.na(limit) || limit < 0L) 0L else limit
  }
  threads <- check_count(threads, "threads", 0L)
  checking <- tolower(Sys.getenv("_R_CHECK_LIMIT_CORES_"))
  if (!checking %in% c("", "false") && (threads == 0L || threads > 2L)) 2L else threads
}

#' Check the `control` argument of lmm()
#' @noRd
check_control <- function(control) {
  if (!inherits(control, "lmm_control")) {
    ferrolmm_abort(
      "`control` must be made by lmm_control().", "argument",
      x = paste0("It is ", describe_value(control), "."),
      i = if (inherits(control, "merControl")) {
        "The optimiser needs no choice here: leave lmerControl() out."
      }
    )
  }
  control
}

#' @export
print.lmm_control <- function(x, ...) {
  cat(format(x, ...), sep = "\n")
  invisible(x)
}

#' @export
format.lmm_control <- function(x, ...) {
  threads <- if (x$threads == 0L) "chosen by the engine" else x$threads
  c(
    "Options of lmm():",
    paste0("  evaluations of the criterion: at most ", x$max_evaluations),
    paste0("  tolerance of the decrement:   ", format(x$tolerance)),
    paste0("  threads:                      ", threads),
    paste0("  verbose:                      ", x$verbose)
  )
}
