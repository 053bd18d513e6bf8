# How far a long call is, shown while the engine works.

#' Call the engine, with a progress bar where the call takes longer than `after` seconds
#'
#' @param options what [engine_options()] returns.
#' @param after what [progress_after()] returns; NULL for no bar.
#' @param call a function of the options.
#' @noRd
with_progress <- function(options, after, line, call) {
  if (!is.null(after)) {
    options$progress <- progress_display(after, line)
    on.exit(options$progress$done())
  }
  call(options)
}

#' A progress bar of cli's for one call of the engine
#'
#' @param after seconds until it appears.
#' @param line the text, a function of what `show()` is called with.
#' @returns list(after, show, done): the engine calls `show(c(seconds,
#'   evaluations, criterion, gradient))` (`evaluations` is 0 before the first one), or for work in
#'   parts `show(c(seconds, parts done, parts, NaN))`, a few times a second; `done()` removes the
#'   bar. Where a line cannot be overwritten (a log file) there is one for each step.
#' @noRd
progress_display <- function(after, line) {
  bar <- NULL
  shown <- -1
  show <- function(at) {
    # a display that fails is no reason to end a fit; only an interrupt leaves this function, and
    # the time limit of R, which R tells once
    tryCatch(
      {
        if (is.null(bar)) {
          bar <<- cli::cli_progress_bar(
            format = "{cli::pb_spin} {cli::pb_status}", total = NA, clear = TRUE,
            .auto_close = FALSE
          )
        }
        if (cli::is_dynamic_tty() || at[[2L]] != shown) {
          shown <<- at[[2L]]
          cli::cli_progress_update(id = bar, force = TRUE, status = line(at))
        }
      },
      error = function(e) if (is_time_over(e)) stop(e)
    )
    NULL
  }
  done <- function() {
    if (!is.null(bar)) {
      cli::cli_progress_done(id = bar)
    }
  }
  list(after = after, show = show, done = done)
}

#' @noRd
fit_line <- function(at) {
  so_far <- sprintf("lmm(): %d s, ", floor(at[[1L]]))
  evaluations <- at[[2L]]
  if (evaluations == 0) {
    return(paste0(so_far, "preparing"))
  }
  paste0(
    so_far, sprintf("%d evaluation%s, ", evaluations, if (evaluations == 1) "" else "s"),
    sprintf("criterion %.3f, scaled gradient %.1e", at[[3L]], at[[4L]])
  )
}

#' @noRd
part_line <- function(call, part) {
  force(call)
  function(at) {
    so_far <- sprintf("%s: %d s, ", call, floor(at[[1L]]))
    if (is.nan(at[[3L]])) {
      return(paste0(so_far, "preparing"))
    }
    done <- at[[2L]]
    left <- if (done > 0) sprintf(", about %.0f s left", at[[1L]] * (at[[3L]] / done - 1))
    paste0(so_far, sprintf("%d of %d %ss done", done, at[[3L]], part), left)
  }
}

#' Seconds until a call shows its progress; NULL for not at all
#' @noRd
progress_after <- function(control) {
  after <- getOption("ferrolmm.progress")
  if (is.numeric(after) && length(after) == 1L && isTRUE(after >= 0)) {
    return(as.double(after))
  }
  if (!isFALSE(after) && (isTRUE(after) || interactive() || control$verbose > 0L)) 2
}
