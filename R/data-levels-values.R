# What the values of a variable are, by their class: their kind, and what is compared. Most classes
# have one number for each row; a Period of 'lubridate' has years, months, days, hours, minutes and
# seconds, an Interval a start and a length.

#' What kind of value a variable holds
#' @noRd
level_kind <- function(x) {
  if (is.factor(x) || is.character(x)) {
    "text"
  } else if (is.logical(x)) {
    "logical"
  } else if (is.complex(x) || is.raw(x)) {
    typeof(x)
  } else if (!is.object(x)) {
    "number"
  } else if (inherits(x, "Date")) {
    "day"
  } else if (inherits(x, "POSIXct")) {
    "instant"
  } else if (inherits(x, "difftime")) {
    "duration"
  } else {
    paste(c(class(x), attr_text(x, "units"), constant_text(x)), collapse = " ")
  }
}

#' @noRd
attr_text <- function(x, name) {
  value <- attr(x, name)
  if (!is.null(value)) {
    paste(format(if (is.list(value)) unlist(value) else value), collapse = " ")
  }
}

#' The values that are compared
#' @noRd
level_values <- function(x, kind, name = "x") {
  fields <- class_fields(x, name)$rows
  if (length(fields)) {
    return(field_values(x, fields))
  }
  switch(kind,
    text = if (is.factor(x)) levels(x) else as.character(x),
    logical = as.double(x),
    day = floor(as.double(x)),
    instant = round(as.double(x), 6L),
    duration = canonical_number(as.double(x, units = "secs")),
    canonical_number(as.double(unclass(x)))
  )
}

#' Numbers without -0; fractions to 15 digits, since what follows is rounding error
#'
#' Whole numbers are exact and stay as they are: identifiers can have 16 digits.
#' @noRd
canonical_number <- function(x) {
  x <- x + 0
  fraction <- which(x != trunc(x))
  if (length(fraction)) {
    x[fraction] <- as.double(sprintf("%.15g", x[fraction]))
  }
  x
}

#' @noRd
new_key <- function(kind, values, labels, x) {
  list(kind = kind, values = values, labels = labels, class = value_class(x))
}

#' Class of a variable for a message
#' @noRd
value_class <- function(x) {
  if (is.factor(x)) {
    if (is.ordered(x)) "ordered" else "factor"
  } else if (is.object(x)) {
    unit <- attr_text(x, "units")
    paste0(class(x)[1L], if (!is.null(unit)) paste0(" (", unit, ")"))
  } else if (is.matrix(x)) {
    paste0(if (!is.numeric(x)) paste0(typeof(x), " "), "matrix of ", count_of(ncol(x), "column"))
  } else if (is.double(x)) {
    "numeric"
  } else {
    typeof(x)
  }
}

# Several parts for each row ----------------------------------------------------------------------

#' What a class keeps besides the vector itself
#'
#' What follows the rows (one value for one row, two for two) is part of the value of a row; what
#' does not is said once of all rows.
#' @returns list(rows, constant): attributes or slots by name
#' @noRd
class_fields <- function(x, name = "x") {
  found <- value_attributes(x)
  if (length(found) == 0L) {
    return(list(rows = NULL, constant = NULL))
  }
  follows <- if (isS4(x) && !identical(class(x[1L]), class(x))) {
    # a class without `[`: a part of it is a bare vector
    if (length(x) > 1L && any(lengths(found) == length(x))) abort_fields(x, name)
    rep.int(FALSE, length(found))
  } else {
    one <- lengths(value_attributes(x[1L])[names(found)])
    two <- lengths(value_attributes(x[c(1L, 1L)])[names(found)])
    one == 1L & two == 2L
  }
  rows <- found[follows]
  if (!all(vapply(rows, is.atomic, NA)) || !all(lengths(rows) == length(x))) {
    abort_fields(x, name)
  }
  list(rows = rows, constant = found[!follows])
}

#' Classes of one number for each row are known, and need no look
#' @noRd
value_attributes <- function(x) {
  if (!is.object(x) || inherits(x, c("factor", "Date", "POSIXct", "difftime"))) {
    return(NULL)
  }
  found <- attributes(x)
  found[!names(found) %in% c("class", "names", "dim", "dimnames", ".S3Class")]
}

#' @noRd
abort_fields <- function(x, name) {
  ferrolmm_abort(
    paste0("The grouping variable `", name, "` cannot be used: it is of class ", class(x)[1L],
           ", whose values have parts that are not known row by row."),
    "grouping", i = "Convert it, for example with as.character().", variable = name
  )
}

#' What an S4 class says once of all rows (a currency), as text; not the time zone, which says how
#' an instant is printed
#' @noRd
constant_text <- function(x) {
  if (isS4(x)) {
    constant <- class_fields(x)$constant
    constant <- constant[names(constant) != "tzone" & vapply(constant, is.atomic, NA)]
    unlist(lapply(constant, format))
  }
}

#' All that a row holds in one string, equal for equal rows; NA for a missing value
#' @noRd
field_values <- function(x, fields) {
  text <- do.call(paste, c(lapply(row_parts(x, fields), field_text), sep = "\r"))
  text[is.na(x)] <- NA
  text
}

#' The fields, and the vector itself last
#' @noRd
row_parts <- function(x, fields) unname(c(fields, list(as.vector(unclass(x)))))

#' @noRd
field_text <- function(field) {
  field <- plain_values(field)
  values <- level_values(field, level_kind(field))
  if (is.factor(field)) {
    values <- values[field]
  }
  if (is.double(values)) sprintf("%.17g", values) else as.character(values)
}
