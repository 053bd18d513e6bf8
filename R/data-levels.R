# Levels of grouping variables as typed values, so that rows of other data are matched to them by
# what they are, not by how they print.
#
# A *key* tells what the levels of one variable are: list(kind, values, labels, class), with an
# element of `values` and of `labels` for each level.
#
#   kind        values                     which values are one level
#   "text"      the labels                 equal strings (factors and character variables)
#   "number"    doubles                    equal numbers; fractions, whose last digits are rounding,
#                                          if they are equal to 15 digits, as for factor()
#   "logical"   0, 1
#   "day"       days since 1970            dates of one day
#   "instant"   seconds since 1970         one point in time, in whatever time zone
#   "duration"  seconds                    in whatever unit
#   a class     numbers                    numbers of that class (and unit) alone
#   a class     strings of all fields      equal fields, where a class keeps several for each row
#
# A *group key* is list(leaves = keys of the variables, tuples): where the levels are combinations
# of several variables, `tuples` is a matrix of level numbers with a row for each combination and a
# column for each variable; for one variable it is NULL. With a known precision matrix, `names` are
# the names of combinations that no row has.

# Coding -------------------------------------------------------------------------------------------

#' Codes and levels of one grouping variable, with the labels of factor(x)
#'
#' The codes of a factor are the factor itself: nothing is copied.
#' @returns list(codes, levels (labels), key, and for factors `factor`)
#' @noRd
code_variable <- function(x, name) {
  if (is.factor(x)) {
    return(code_factor(x))
  }
  x <- plain_values(x)
  if (!is.null(dim(x))) {
    ferrolmm_abort(
      paste0("The grouping variable `", name, "` is a matrix."), "grouping",
      i = "Name one column.", variable = name
    )
  }
  fields <- class_fields(x, name)$rows
  if (length(fields)) {
    return(code_fields(x, fields))
  }
  if (is.character(x)) {
    return(code_factor(character_factor(x)))
  }
  kind <- level_kind(x)
  if (kind == "logical") {
    return(code_numbers(x + 0L, kind, x, function(v) c("FALSE", "TRUE")[v + 1L]))
  }
  if (is.integer(x) && !is.object(x)) {
    return(code_numbers(x, kind, x, as.character))
  }
  label <- switch(kind,
    day = function(v) as.character(structure(v, class = "Date")),
    instant = function(v) instant_labels(v, x),
    duration = function(v) as.character(as.double(x)[match(v, level_values(x, kind))]),
    function(v) as.character(as.double(v))
  )
  code_numbers(level_values(x, kind), kind, x, label)
}

#' @noRd
code_factor <- function(x) {
  levels <- values <- levels(x)
  if (anyNA(levels)) {
    levels[is.na(levels)] <- "<NA>"
    levels <- levels(x) <- make.unique(levels)
  }
  list(codes = x, levels = levels, factor = x, key = new_key("text", values, levels, x))
}

#' Code a variable by its fields, sorted by the first, then the second, ...
#' @noRd
code_fields <- function(x, fields) {
  values <- field_values(x, fields)
  distinct <- unique(values[do.call(order, lapply(row_parts(x, fields), xtfrm))])
  labels <- as.character(x)[match(distinct, values)]
  if (anyDuplicated(labels)) {
    labels <- make.unique(gsub("\r", " ", distinct, fixed = TRUE))
  }
  list(
    codes = match(values, distinct), levels = labels,
    key = new_key(level_kind(x), distinct, labels, x)
  )
}

#' Code numbers in increasing order; whole numbers are coded as integers
#'
#' @param values what is compared; `x` the variable; `label` a function that makes labels of sorted
#'   distinct values.
#' @noRd
code_numbers <- function(values, kind, x, label) {
  if (is.integer(values)) {
    coded <- engine_code_integer(values)
  } else if (all(abs(values) < 2^31) && all(values == (whole <- as.integer(values)))) {
    coded <- engine_code_integer(whole)
  } else {
    distinct <- sort(unique(values))
    coded <- list(codes = match(values, distinct), values = distinct)
  }
  labels <- label(coded$values)
  if (anyDuplicated(labels)) {
    labels <- distinct_labels(labels, coded$values, kind)
  }
  list(codes = coded$codes, levels = labels, key = new_key(kind, coded$values, labels, x))
}

#' Labels as as.character() gives them for the date-times
#' @noRd
instant_labels <- function(v, x) {
  zone <- attr(x, "tzone")
  as.character(.POSIXct(v, tz = if (is.null(zone)) "" else zone[1L]))
}

#' Makes labels of different levels differ, by digits and fractions of seconds that as.character()
#' leaves out
#' @noRd
distinct_labels <- function(labels, values, kind) {
  twice <- labels %in% labels[duplicated(labels)]
  more <- if (kind == "instant") {
    format(.POSIXct(values[twice], tz = "UTC"), "%Y-%m-%d %H:%M:%OS6 UTC")
  } else {
    sprintf(if (all(values[twice] == trunc(values[twice]))) "%.0f" else "%.17g", values[twice])
  }
  labels[twice] <- more
  make.unique(labels)
}

#' Codes, levels and key of the interaction of coded variables
#'
#' Combinations that print alike, "a:b" with "c" and "a" with "b:c", are different levels.
#' @returns list(codes, levels, key (a group key), factor, n_levels)
#' @noRd
interact_codes <- function(coded) {
  if (length(coded) == 1L) {
    group <- coded[[1L]]
    group$key <- list(leaves = list(group$key), tuples = NULL)
  } else {
    keys <- lapply(unname(coded), function(x) x$key)
    crossed <- engine_interaction(
      lapply(unname(coded), function(x) x$codes),
      vapply(coded, function(x) length(x$levels), 0L, USE.NAMES = FALSE)
    )
    levels <- tuple_labels(keys, crossed$levels, ":")
    if (anyDuplicated(levels)) {
      levels <- make.unique(levels, sep = "#")
    }
    group <- list(
      codes = crossed$codes, levels = levels,
      key = list(leaves = keys, tuples = unname(crossed$levels))
    )
  }
  if (is.null(group$factor)) {
    group$factor <- structure(group$codes, levels = group$levels, class = "factor")
  }
  group$n_levels <- length(group$levels)
  group
}

#' Labels of combinations of levels
#' @noRd
tuple_labels <- function(keys, tuples, sep) {
  labels <- lapply(seq_along(keys), function(j) keys[[j]]$labels[tuples[, j]])
  do.call(paste, c(labels, sep = sep))
}

#' Codes and levels of the interaction of variables of a frame
#' @returns list(codes, levels, key)
#' @noRd
group_factor <- function(leaves, frame) {
  coded <- lapply(leaves, function(leaf) code_variable(.subset2(frame, leaf), leaf))
  group <- interact_codes(coded)
  list(codes = as.integer(group$codes), levels = group$levels, key = group$key)
}

# Matching -----------------------------------------------------------------------------------------

#' The level of each combination of values, NA for one that is unknown or missing
#'
#' @param key a group key; `columns` list of vectors, one for each of its variables, named.
#' @noRd
match_groups <- function(key, columns) {
  codes <- Map(match_levels, unname(as.list(columns)), key$leaves, names(columns))
  found <- if (length(codes) == 1L) codes[[1L]] else match_tuples(codes, key$tuples)
  unknown <- is.na(found)
  if (!is.null(key$names) && any(unknown)) {
    # levels of a known matrix that no row has, which are known by name
    labels <- lapply(unname(as.list(columns)), function(x) value_labels(x)[unknown])
    found[unknown] <- match(do.call(paste, c(labels, sep = ":")), key$names)
    found[unknown][Reduce(`|`, lapply(labels, is.na))] <- NA
  }
  found
}

#' @noRd
match_tuples <- function(codes, tuples) {
  found <- codes[[1L]]
  known <- tuples[, 1L]
  for (j in seq_along(codes)[-1L]) {
    size <- max(known, 1L, na.rm = TRUE)
    pairs <- known + (as.double(tuples[, j]) - 1) * size
    distinct <- unique(pairs)
    known <- match(pairs, distinct, incomparables = NA)
    found <- match(found + (as.double(codes[[j]]) - 1) * size, distinct, incomparables = NA)
  }
  match(found, known, incomparables = NA)
}

#' The level of each value of one variable, NA for one that is unknown or missing
#'
#' A missing value is the level NA, where there is one. Values of a kind other than that of the fit
#' are matched where their meaning is certain, and refused otherwise.
#' @noRd
match_levels <- function(x, key, name) {
  x <- plain_values(x)
  if (!is.atomic(x) || !is.null(dim(x))) {
    abort_kind(x, key, name)
  }
  kind <- level_kind(x)
  if (kind == "logical" && all(is.na(x))) {
    x <- rep.int(NA_character_, length(x))
    kind <- "text"
  }
  values <- level_values(x, kind, name)
  codes <- if (kind == key$kind) {
    match(values, key$values)
  } else if (kind == "text") {
    match_text(values, key)
  } else if (key$kind == "text") {
    match_to_text(values, kind, key, x, name)
  } else {
    abort_kind(x, key, name)
  }
  if (is.factor(x)) {
    codes <- codes[x]
    missing <- is.na(x)
  } else {
    missing <- is.na(values)
  }
  codes[missing] <- if (key$kind == "text") match(NA_character_, key$values) else NA_integer_
  codes
}

#' Text for a level of another kind: its label, or the number that it spells
#' @noRd
match_text <- function(text, key) {
  codes <- match(text, key$labels)
  if (key$kind == "number") {
    rest <- which(is.na(codes) & !is.na(text))
    codes[rest] <- match(text_numbers(text[rest]), key$values)
    codes[rest][is.na(text_numbers(text[rest]))] <- NA
  }
  codes
}

#' A value of another kind for levels that are text
#' @noRd
match_to_text <- function(values, kind, key, x, name) {
  if (kind == "logical") {
    return(match(c("FALSE", "TRUE")[values + 1], key$values))
  }
  if (kind == "day") {
    return(match(format(structure(values, class = "Date")), key$values))
  }
  if (kind != "number") {
    abort_kind(x, key, name)
  }
  # two spellings of one number, "1e+05" and "100000", can be levels: the plain one is meant
  codes <- match(sprintf("%.15g", values), key$values)
  rest <- which(is.na(codes) & !is.na(values))
  if (length(rest)) {
    codes[rest] <- match(values[rest], text_numbers(key$values))
  }
  codes
}

#' Numbers that R would print like this, NA for other text ("01", "1.0", " 1")
#' @noRd
text_numbers <- function(text) {
  written <- grepl(
    "^-?(0|[1-9][0-9]*)([.][0-9]*[1-9])?(e[+-][0-9]{2,3})?$|^-?Inf$", text, useBytes = TRUE
  )
  numbers <- rep.int(NA_real_, length(text))
  numbers[written] <- canonical_number(as.double(text[written]))
  numbers
}

#' Values as text, for names of levels and messages
#' @noRd
value_labels <- function(x) {
  labels <- if (is.numeric(x) && !is.object(x)) sprintf("%.15g", x) else as.character(x)
  labels[is.na(x)] <- NA
  labels
}

#' @noRd
abort_kind <- function(x, key, name) {
  ferrolmm_abort(
    paste0("`", name, "` is of another type in `newdata` than in the fit."), "newdata",
    x = paste0("It was ", key$class, " and is ", value_class(x), "."),
    i = "Convert it to what it was in the fit.", variable = name
  )
}

#' Levels that a user names, as positions; NA for what is not a level
#'
#' @param wanted names of levels, or values of the variable; `group` list(levels, key).
#' @noRd
find_levels <- function(wanted, group, name) {
  found <- match(value_labels(wanted), group$levels)
  if (anyNA(found) && length(group$key$leaves) == 1L) {
    rest <- is.na(found)
    found[rest] <- match_levels(wanted[rest], group$key$leaves[[1L]], name)
  }
  found
}

#' A group key with its levels in another order, or some of them
#' @noRd
reorder_key <- function(key, order) {
  if (is.null(key$tuples)) {
    leaf <- key$leaves[[1L]]
    leaf$values <- leaf$values[order]
    leaf$labels <- leaf$labels[order]
    key$leaves[[1L]] <- leaf
  } else {
    key$tuples <- key$tuples[order, , drop = FALSE]
  }
  key
}
