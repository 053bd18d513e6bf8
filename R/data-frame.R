# Rows, columns and factors of a data frame, without the checks of its methods.

#' @noRd
take_rows <- function(x, rows) {
  if (length(dim(x)) == 2L) x[rows, , drop = FALSE] else x[rows]
}

#' Rows of a column, which may be a matrix, with a missing value
#' @noRd
is_missing_row <- function(x) {
  if (is_matrix_object(x)) {
    missing <- logical(nrow(x))
    missing[x@i[is.na(x@x)] + 1L] <- TRUE
    return(missing)
  }
  missing <- is.na(x)
  if (is.matrix(missing)) rowSums(missing) > 0 else missing
}

#' @noRd
as_frame <- function(columns, row_names) {
  attr(columns, "row.names") <- row_names
  class(columns) <- "data.frame"
  columns
}

#' `[[<-.data.frame` without its checks
#' @noRd
set_column <- function(frame, k, value) {
  class <- class(frame)
  class(frame) <- NULL
  frame[[k]] <- value
  class(frame) <- class
  frame
}

#' Rows with a missing value in one of these columns
#' @noRd
missing_rows <- function(frame, columns) {
  missing <- logical(nrow(frame))
  for (name in columns) {
    missing <- missing | is_missing_row(frame[[name]])
  }
  missing
}

#' Does `x` have one value in each group?
#' @noRd
is_constant_within <- function(x, codes) {
  # cells of tables do not have all variables
  known <- if (anyNA(codes) || anyNA(x)) which(!is.na(x) & !is.na(codes))
  if (!is.null(known)) {
    x <- x[known]
    codes <- codes[known]
  }
  all(x == x[match(codes, codes)])
}

#' A variable of which a structure takes one value for each row; a matrix of one column will do
#'
#' @param user what takes it, as in a message.
#' @noRd
check_one_column <- function(value, name, user, class = "residual") {
  if (NCOL(value) != 1L) {
    ferrolmm_abort(
      paste0("`", name, "` in ", user, " is a matrix."), class, variable = name,
      x = paste0("It has ", count_of(ncol(value), "column"), ", and one is needed."),
      i = paste0("Name one column, as in I(", name, "[, 1]).")
    )
  }
}

#' A factor that says what R takes for granted: whole codes of levels that are there, each once
#'
#' R makes no others, but attributes can be set, files can be damaged and codes be counted from 0.
#' @noRd
check_factor <- function(value, name, class = "data") {
  fault <- if (is.factor(value)) factor_fault(value)
  if (!is.null(fault)) {
    ferrolmm_abort(
      paste0("The factor `", name, "` is damaged: ", fault, "."), class, variable = name,
      i = "Make it again: factor() of the values."
    )
  }
}

#' What is wrong with a factor, in words; NULL if nothing is
#' @noRd
factor_fault <- function(x) {
  levels <- attr(x, "levels")
  if (typeof(x) != "integer") {
    paste0("its codes are ", describe_value(as.vector(unclass(x))), ", not integers")
  } else if (!is.character(levels)) {
    if (is.null(levels)) "it has no levels" else paste0("its levels are ", describe_value(levels))
  } else if (anyDuplicated(levels)) {
    paste0("it has the level \"", levels[duplicated(levels)][[1L]], "\" twice")
  } else if (!is.na(stray <- engine_stray_code(x))) {
    paste0("it has the code ", stray, " and ", count_of(length(levels), "level"))
  }
}

#' factor(x) for a character vector, sorted as factor() sorts
#' @noRd
character_factor <- function(x) {
  levels <- sort(unique(x))
  structure(match(x, levels), levels = levels, class = "factor")
}

#' Remove unused levels; contrasts given as a matrix do not fit any more
#' @noRd
drop_levels <- function(x, used) {
  codes <- cumsum(used)[x]
  contrasts <- attr(x, "contrasts")
  y <- structure(codes, levels = levels(x)[used], class = class(x))
  if (is.character(contrasts) || is.function(contrasts)) {
    attr(y, "contrasts") <- contrasts
  }
  y
}

#' Levels of a factor of the frame, including those that no row has
#' @noRd
all_levels <- function(frame, name) {
  found <- attr(attr(frame, "terms"), "all_levels")[[name]]
  if (is.null(found)) levels(frame[[name]]) else found
}

#' Was this variable a character vector?
#' @noRd
is_text_column <- function(frame, name) name %in% attr(attr(frame, "terms"), "text")

#' A factor with all levels from the first that occurs to the last
#'
#' @param all the levels that it had before those without rows were dropped.
#' @noRd
spanned_levels <- function(x, all) {
  at <- match(levels(x), all)
  first <- min(at)
  structure(at[x] - first + 1L, levels = all[first:max(at)], class = setdiff(class(x), "AsIs"))
}
