# Memory that R cannot get: an error of this package, as where the engine cannot get it.

#' Evaluate what may ask R for vectors of many rows, columns or effects
#'
#' The error is raised only after everything that took the memory has been left: before that there
#' may be none for the error itself.
#' @noRd
with_memory <- function(expr) {
  failed <- NULL
  value <- callCC(function(leave) {
    withCallingHandlers(expr, error = function(error) {
      if (is_allocation(error)) {
        failed <<- conditionMessage(error)
        leave(NULL)
      }
    })
  })
  if (!is.null(failed)) {
    ferrolmm_abort(
      "What is asked for does not fit in memory.", "memory", x = paste0("R: ", failed, "."),
      i = "Use fewer rows, levels or columns at a time, or a machine with more memory."
    )
  }
  value
}

#' Refuse what would make more numbers than fit in memory, before any of them is made
#'
#' R itself fails too, but only when little memory is left for anything else.
#' @param what what would not fit, as the subject of a sentence; `remedy` what to do.
#' @noRd
require_room <- function(numbers, what, remedy) {
  if (!engine_has_room(8 * numbers)) {
    ferrolmm_abort(
      paste0(what, " do not fit in memory: they take ", format(8e-9 * numbers, digits = 2L),
             " GB."),
      "memory", i = remedy
    )
  }
}

#' Does the error say that R cannot allocate a vector, in its language or in English?
#' @noRd
is_allocation <- function(error) {
  texts <- c("cannot allocate vector of ", "cannot allocate memory", "vector memory exhausted",
             "memory exhausted")
  if (inherits(error, "rlang_error")) {
    return(FALSE)
  }
  size <- gettext("cannot allocate vector of size %0.1f Mb", domain = "R")
  texts <- c(texts, sub("%.*", "", size))
  any(startsWith(conditionMessage(error), texts[nzchar(texts)]))
}
