# What an effect or a parameter is, and what it is called.
#
# Names are for people: a factor f with a level 1 and a number f1 both have a column "f1". Inside
# the package a column is known by its place, and two columns of different terms are compared by
# their keys. Only what a user writes is looked up by name, and a name that fits more than one is
# refused.

#' What each column of a design stands for, whatever its name
#'
#' A key identifies the variables of a column by their places in the model frame, and a factor's
#' coding by the value that it gives to each level. So the indicator of a level has one key under
#' any contrasts, and the columns of `f` under two kinds of contrasts have different ones.
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

#' The first row: levels and contrasts are all that keys need
#' @noRd
first_row <- function(frame) {
  columns <- lapply(unclass(frame), function(x) {
    if (length(dim(x)) == 2L) x[1L, , drop = FALSE] else x[1L]
  })
  as_frame(columns[names(frame)], .set_row_names(1L))
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
