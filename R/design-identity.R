# What an effect or a parameter is, and what it is called.
#
# Names are for people: a factor f with a level 1 and a number f1 both have a column "f1". Inside
# the package a column is known by its place, and two columns of different terms are compared by
# their keys. Only what a user writes is looked up by name, and a name that fits more than one is
# refused.

#' What each column of a design is, whatever it is called
#'
#' A key names the variables of a column by their places in the model frame; a factor's part of it
#' by the value that each level has there. So the indicator of a level is one thing under any
#' contrasts, and the columns of `f` under two kinds of contrasts are different ones.
#' @param terms as for [design_columns()].
#' @returns character, a key for each column; "" is the intercept
#' @noRd
design_keys <- function(terms, frame, contrasts = NULL) {
  names <- design_columns(terms, first_row(frame), contrasts, keys = TRUE)$names
  names[names == "(Intercept)"] <- ""
  crossed <- grep(":", names, fixed = TRUE)
  names[crossed] <- vapply(strsplit(names[crossed], ":", fixed = TRUE), function(parts) {
    paste(sort(parts, method = "radix"), collapse = ":")
  }, "")
  names
}

#' Levels and contrasts are all that keys need
#' @noRd
first_row <- function(frame) {
  columns <- lapply(unclass(frame), function(x) {
    if (length(dim(x)) == 2L) x[1L, , drop = FALSE] else x[1L]
  })
  as_frame(columns[names(frame)], .set_row_names(1L))
}

#' Keys of the columns of one variable, `position` its place in the frame
#' @noRd
variable_keys <- function(columns, position) {
  if (length(columns) == 0L) {
    return(character())
  }
  if (is.list(columns[[1L]])) {
    values <- vapply(columns, function(column) rlang::hash(column$values), "")
    return(paste0(position, "=", values))
  }
  paste0(position, if (length(columns) > 1L) paste0(".", seq_along(columns)))
}

#' Keys of the effects of the left side of a bar
#' @noRd
side_keys <- function(lhs, frame, contrasts = NULL) {
  if (is.numeric(lhs) && identical(as.double(lhs), 1)) {
    return("")
  }
  design_keys(stats::terms.formula(as.call(list(quote(`~`), lhs))), frame, contrasts)
}

#' Keys of the effects of a random-effects term
#' @noRd
term_keys <- function(term, frame) {
  side_keys(term$lhs, frame, term$contrasts)[term$columns]
}

#' Keys of the fixed effects, those that are aliased included
#' @noRd
fixed_keys <- function(object) {
  design_keys(object$terms, object$frame, object$contrasts)
}

#' Numbers of what a user names; a name that nothing has, or more than one, is an error
#'
#' @param given character.
#' @param known the names there are.
#' @param argument the user's argument; `what` one of the things that it names ("coefficient").
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

#' Which term each coefficient belongs to, in words
#' @noRd
coefficient_details <- function(object) {
  labels <- labels.lmm(object)
  ifelse(
    object$assign == 0L, "the intercept",
    paste0("of the term `", c(labels, "")[pmax(object$assign, 1L)], "`")
  )
}

#' Names that differ, for tables whose rows or columns must
#' @noRd
distinct_names <- function(names) if (anyDuplicated(names)) make.unique(names) else names
