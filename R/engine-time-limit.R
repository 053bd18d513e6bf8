# `lmm_control(time_limit = )`: one limit for each call that a user makes, however often it calls
# the engine.

#' Seconds that the call in progress has left
#'
#' The clock starts with the first question, in the frame of the outermost function of this package,
#' so that a bootstrap or a profile has the limit once and not for each of its fits. Methods of a
#' fit have at least one second: they must be able to describe a fit that was stopped.
#' @param control a list with `time_limit`.
#' @returns seconds, zero if there are none left; NULL without a limit
#' @noRd
time_left <- function(control, optimize) {
  limit <- control$time_limit
  if (is.null(limit)) {
    return(NULL)
  }
  frame <- outermost_frame()
  if (is.null(frame)) {
    return(limit)
  }
  now <- proc.time()[["elapsed"]]
  if (is.null(frame[[clock_name]])) {
    assign(clock_name, now, envir = frame)
  }
  max(0, (if (optimize) limit else max(limit, 1)) - (now - frame[[clock_name]]))
}

#' Start the clock of the call in progress, unless it runs already
#' @noRd
start_clock <- function(control) {
  time_left(control, TRUE)
  invisible(NULL)
}

#' Name under which the outermost function of this package keeps the time of its first call of the
#' engine
#' @noRd
clock_name <- ".ferrolmm_clock"

#' An error if the time of the call in progress is over
#'
#' For loops over fits: a fit itself ends with a warning and the best point so far, which must not
#' count as a replicate.
#' @noRd
require_time <- function(control) {
  left <- time_left(control, FALSE)
  if (!is.null(left) && left <= 0) {
    abort_time_limit()
  }
}

#' An error if the time is over before a fit has begun
#'
#' For the steps that prepare it. Where these take less than half a second, a shorter limit still
#' leaves time for the first evaluation, so that there is a fit to return.
#' @noRd
require_time_to_fit <- function(control) {
  left <- time_left(control, TRUE)
  if (!is.null(left) && left <= 0) {
    frame <- outermost_frame()
    if (proc.time()[["elapsed"]] - frame[[clock_name]] > 0.5) {
      abort_time_limit()
    }
  }
}

#' @noRd
abort_time_limit <- function() {
  ferrolmm_abort("The time limit is over.", "time_limit", i = engine_remedies[["time_limit"]])
}

#' Does an error say that the time is over: ours, setTimeLimit()'s or R.utils::withTimeout()'s?
#'
#' Loops that go on after a failure do not go on after this one.
#' @noRd
is_time_over <- function(error) {
  if (inherits(error, "ferrolmm_error_time_limit") || inherits(error, "TimeoutException")) {
    return(TRUE)
  }
  texts <- c("reached elapsed time limit", "reached CPU time limit",
             "reached session elapsed time limit", "reached session CPU time limit")
  texts <- unique(c(texts, gettext(texts, domain = "R")))
  any(startsWith(conditionMessage(error), texts))
}

#' Calls in which a fit that was stopped is what the user asked for
#' @noRd
fitting_calls <- c("lmm", "refit", "refitML", "refit.lmm", "refitML.lmm", "update.lmm")

#' Refuse a fit that was stopped inside another call, which would take it for the optimum
#' @noRd
require_fit_call <- function() {
  outer <- sys.function(outermost())
  home <- topenv(environment(require_fit_call))
  if (!any(vapply(mget(fitting_calls, home), identical, NA, outer))) {
    abort_time_limit()
  }
}
