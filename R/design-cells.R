# Models whose rows are gathered by cell.
#
# Within a cell (a combination of levels of grouping variables and factors) a column of X or Z is
# c * v: c, the coding of the factors, is constant, and v is 1 or a number (a numeric variable, or a
# product of some). So the means and the scatter of the numbers in each cell hold all cross-products
# of the rows, whatever the contrasts, and condensed rows (engine_condensed_rows()) stand for them.
# The cells are a model frame with a row for each cell, in which numbers are 1: what lmm() makes of
# that frame are the c.

#' Numbers that a column is a product of, as one string: variable, column, in a fixed order
#' @noRd
number_id <- function(variables, columns) {
  paste(sort(paste(variables, columns, sep = "\r"), method = "radix"), collapse = "\n")
}

#' A number as a reader would write it
#' @noRd
number_label <- function(id) {
  parts <- strsplit(strsplit(id, "\n", fixed = TRUE)[[1L]], "\r", fixed = TRUE)
  paste(vapply(parts, `[[`, "", 1L), collapse = ":")
}

#' The number that each column of a design is a product with; "" is 1
#'
#' @param numeric names of the variables of the frame that are numbers.
#' @noRd
column_numbers <- function(terms, frame, contrasts, numeric) {
  coded_parts(terms, frame, contrasts, numeric)$numbers
}

#' The number that each column of a design is a product with, and the variables that code it
#' @returns list(numbers, keys: names of variables for each column)
#' @noRd
coded_parts <- function(terms, frame, contrasts, numeric) {
  keys <- design_columns(terms, first_row(frame), contrasts, keys = TRUE)$names
  keys[keys == "(Intercept)"] <- ""
  parts <- strsplit(keys, ":", fixed = TRUE)
  names <- lapply(parts, function(parts) names(frame)[as.integer(sub("[.=].*", "", parts))])
  list(
    numbers = as.character(Map(function(parts, names) {
      column <- ifelse(grepl(".", parts, fixed = TRUE), sub(".*[.]", "", parts), "1")
      own <- names %in% numeric
      if (any(own)) number_id(names[own], column[own]) else ""
    }, parts, names)),
    keys = lapply(names, function(names) unique(names[!names %in% numeric]))
  )
}

#' Condensed rows of a model, from the cells of its moments and their frame
#'
#' @param numbers ids of the numbers of the moments, the response last.
#' @param needed those of the model's columns.
#' @returns what a fit keeps in place of rows: list(frame, numeric, cell, one, values, ids, y,
#'   weights, stands_for, own)
#' @noRd
condense_cells <- function(cells, frame, numeric, numbers, needed) {
  ids <- setdiff(unique(needed), "")
  found <- engine_condensed_rows(cells, c(match(ids, numbers), length(numbers)))
  response <- length(ids) + 1L
  list(
    frame = frame, numeric = numeric, ids = ids, cell = found$cell, one = found$one,
    values = found$values[, -response, drop = FALSE], y = found$values[, response],
    weights = found$weights, stands_for = found$stands_for, own = found$own
  )
}

#' Columns of a design on condensed rows, as list of doubles
#'
#' Of tables, as [moments_of_tables()] takes them.
#' @noRd
condensed_columns <- function(design, numbers, condensed) {
  if (!is.null(condensed$tables)) {
    return(Map(function(part, number) {
      list(part = part, number = number)
    }, design$columns, numbers, USE.NAMES = FALSE))
  }
  Map(function(part, number) {
    v <- if (number == "") condensed$one else condensed$values[, match(number, condensed$ids)]
    if (is.null(part)) v else column_values(part)[condensed$cell] * v
  }, design$columns, numbers, USE.NAMES = FALSE)
}

#' Columns of X on condensed rows
#' @noRd
condensed_fixed <- function(terms, contrasts, condensed) {
  design <- design_columns(terms, condensed$frame, contrasts, coded = TRUE)
  numbers <- column_numbers(terms, condensed$frame, contrasts, condensed$numeric)
  condensed_columns(design, numbers, condensed)
}

#' The terms object of the left side of a bar
#' @noRd
side_terms <- function(lhs) stats::terms.formula(as.call(list(quote(`~`), lhs)))

#' Numbers of the effects of a random-effects term
#' @noRd
term_numbers <- function(term, frame, numeric) {
  if (is.numeric(term$lhs) && identical(as.double(term$lhs), 1)) {
    return("")
  }
  frame <- set_levels(frame, term$levels)
  column_numbers(side_terms(term$lhs), frame, term$contrasts, numeric)[term$columns]
}

#' Basis columns of a term on condensed rows
#' @noRd
condensed_term <- function(term, condensed) {
  columns <- term_columns(term, condensed$frame, coded = TRUE)
  numbers <- term_numbers(term, condensed$frame, condensed$numeric)
  condensed_columns(list(columns = columns), numbers, condensed)
}

#' Factors that code condensed rows
#' @param flist factors that code the cells.
#' @noRd
condensed_factors <- function(flist, precision, condensed) {
  lapply(seq_along(flist), function(f) {
    codes <- as.integer(flist[[f]])
    list(
      codes = if (is.null(condensed$tables)) codes[condensed$cell] else codes,
      n_levels = nlevels(flist[[f]]),
      precision = precision[[f]]
    )
  })
}

#' The random part on condensed rows, as the engine takes it
#' @noRd
condensed_random <- function(terms, flist, precision, condensed) {
  list(
    factors = condensed_factors(flist, precision, condensed),
    terms = engine_terms(terms, lapply(terms, condensed_term, condensed))
  )
}

#' @noRd
check_numbers_known <- function(needed, moments) {
  lost <- setdiff(needed, c("", moments$numbers))
  if (length(lost) > 0L) {
    ferrolmm_abort(
      paste0("The moments do not have ", quote_names(vapply(lost, number_label, "")), "."),
      "moments",
      x = "A product of two numeric variables was to be known when the moments were taken.",
      i = "Take moments whose formula has it: lmm_moments()."
    )
  }
}
