# How far a long fit is, shown while the engine works.

#' A progress bar of cli's for one fit
#'
#' @param after seconds until it appears.
#' @returns list(after, show, done): the engine calls `show(c(seconds, evaluations, criterion,
#'   gradient))` (`evaluations` is 0 before the first one) a few times a second; `done()` removes
#'   the bar. Where a line cannot be overwritten (a log file) there is one for each step.
#' @noRd
progress_display <- function(after) {
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
          cli::cli_progress_update(id = bar, force = TRUE, status = progress_line(at))
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
progress_line <- function(at) {
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

#' Seconds until a fit shows its progress; NULL for not at all
#' @noRd
progress_after <- function(control) {
  after <- getOption("ferrolmm.progress")
  if (is.numeric(after) && length(after) == 1L && isTRUE(after >= 0)) {
    return(as.double(after))
  }
  if (!isFALSE(after) && (isTRUE(after) || interactive() || control$verbose > 0L)) 2
}
