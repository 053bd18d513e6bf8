# What a user names, found among what there is.

#' Positions of what a user names; a name that nothing has, or more than one thing, is an error
#'
#' @param given character.
#' @param known the names there are.
#' @param argument the user's argument; `what` a word for the things that it names ("coefficient").
#' @param details what tells those of the same name apart, in the order of `known`.
#' @noRd
match_names <- function(given, known, argument, what, details = NULL) {
  at <- match(given, known)
  if (anyNA(at)) {
    unknown <- unique(given[is.na(at)])
    ferrolmm_abort(
      paste0("`", argument, "` names no ", what, " of the model: ", quote_names(unknown), "."),
      "argument",
      i = c(
        did_you_mean(unknown[[1L]], known),
        if (length(known)) paste0("There are ", quote_names(known, 10L), ".") else "There are none."
      )
    )
  }
  check_unambiguous(given, known, argument, what, details)
  at
}

#' @noRd
check_unambiguous <- function(given, known, argument, what, details = NULL) {
  twice <- intersect(given, known[duplicated(known)])
  if (length(twice) == 0L) {
    return(invisible())
  }
  candidates <- which(known == twice[[1L]])
  ferrolmm_abort(
    paste0("`", argument, "` is ambiguous: ", count_of(length(candidates), what), " are called `",
           twice[[1L]], "`."),
    "argument", candidates = candidates,
    x = paste0("Number ", candidates, ": `", twice[[1L]], "`",
               if (!is.null(details)) paste0(", ", details[candidates])),
    i = "Rename a variable, or say which by its number where numbers are accepted."
  )
}

#' Distinct names, for tables that need them
#' @noRd
distinct_names <- function(names) if (anyDuplicated(names)) make.unique(names) else names
