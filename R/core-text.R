# Words and lines of messages and of printed output.

#' Names in backticks, joined for a sentence: at most `most` of them
#' @noRd
quote_names <- function(x, most = 5L) {
  shown <- paste0("`", utils::head(x, most), "`", collapse = ", ")
  if (length(x) > most) paste0(shown, " and ", length(x) - most, " more") else shown
}

#' "1 row", "2 rows"
#' @noRd
count_of <- function(n, what) {
  paste0(format(n, big.mark = ",", scientific = FALSE, trim = TRUE), " ", what,
         if (n != 1L) "s")
}

#' A name among `known` that differs little from `name`, as a question; NULL when none is near
#' @noRd
did_you_mean <- function(name, known) {
  known <- known[nzchar(known)]
  if (length(known) == 0L || is.na(name) || length(known) > 1e4) {
    return(NULL)
  }
  distance <- drop(utils::adist(name, known, ignore.case = TRUE))
  # letters in another order are one slip, not two
  distance[distance > 0 & sorted_letters(known) == sorted_letters(name)] <- 1
  nearest <- which.min(distance)
  # every other name of one letter is a single letter away
  if (distance[nearest] < nchar(name) && distance[nearest] <= max(1, nchar(name) %/% 3)) {
    paste0("Did you mean `", known[nearest], "`?")
  }
}

#' @noRd
sorted_letters <- function(x) {
  vapply(strsplit(tolower(x), ""), function(letters) paste(sort(letters), collapse = ""), "")
}

#' One line of code for a message: long expressions are cut
#' @noRd
code_label <- function(x, width = 60L) {
  text <- paste(deparse(x, width.cutoff = 500L), collapse = " ")
  if (nchar(text) > width) paste0(substr(text, 1L, width - 3L), "...") else text
}

#' @noRd
describe_value <- function(value) {
  if (is.null(value)) {
    "NULL"
  } else if (is.function(value)) {
    "a function"
  } else if (is.data.frame(value)) {
    "a data frame (a list of columns)"
  } else if (is.matrix(value)) {
    paste0("a matrix with ", ncol(value), " columns")
  } else if (is.list(value)) {
    if (is.object(value)) paste0("of class ", class(value)[1L], " (a list)") else "a list"
  } else if (is.object(value)) {
    paste0("of class ", class(value)[1L])
  } else {
    paste0("of type ", typeof(value))
  }
}

#' ", not `x`": a wrong value in a message, where it is short
#' @noRd
describe_given <- function(value) {
  if (is.null(value)) {
    ", not NULL"
  } else if (is.atomic(value) && length(value) == 1L) {
    paste0(", not ", code_label(unname(value)))
  } else if (is.atomic(value)) {
    paste0(", not ", count_of(length(value), "value"))
  } else {
    paste0(", not of class ", class(value)[[1L]])
  }
}

#' First letter in upper case, a full stop at the end
#' @noRd
sentence <- function(x) {
  x <- paste0(toupper(substr(x, 1L, 1L)), substring(x, 2L))
  if (grepl("[.!?]$", x)) x else paste0(x, ".")
}

#' Code as lines of text; a value that stands in the call itself (from do.call()) is described
#' @noRd
format_code <- function(x) {
  if (inherits(x, "formula")) {
    attributes(x) <- NULL
  }
  if (is.language(x) || is.atomic(x) && length(x) <= 5L) {
    return(deparse(x, width.cutoff = 65L))
  }
  rows <- if (is.null(nrow(x))) paste(length(x), "values") else paste(nrow(x), "rows")
  paste0("<", class(x)[[1L]], ", ", rows, ">")
}

#' A number of which only the order of magnitude matters
#' @noRd
format_magnitude <- function(x) {
  format(signif(x, 1L), digits = 1L)
}

#' Lines as wide as the console
#' @noRd
wrap_text <- function(text, ...) {
  strwrap(text, width = getOption("width"), ...)
}

#' "2.5 %", "97.5 %"
#' @noRd
percent_names <- function(level) {
  tails <- 100 * c(1 - level, 1 + level) / 2
  paste(format(tails, trim = TRUE, digits = 3L), "%")
}

#' "a, b and c"
#' @noRd
enumerate <- function(x) {
  n <- length(x)
  if (n < 2L) x else paste(paste(x[-n], collapse = ", "), "and", x[[n]])
}
