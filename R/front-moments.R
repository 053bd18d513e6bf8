#' Moments of a model's data
#'
#' `lmm_moments()` gathers the rows of a model by *cell* (a combination of levels of its grouping
#' variables and factors) and keeps of each cell the number of rows, and the means and the scatter
#' (sums of squares and products about the means) of its numeric variables. That is all that a
#' linear mixed model asks of its rows: `lmm(formula, moments)` fits the model, with the estimates,
#' standard errors and degrees of freedom of the rows. Moments of parts of the data add up by `c()`,
#' so that data that do not fit in memory are read in chunks, and hospitals fit one model while no
#' row leaves a hospital.
#'
#' @details
#' Moments are of the variables that `formula` has. A model with fewer terms, other contrasts or
#' fewer random effects is fitted to the same moments, by REML or ML; what needs a product of two
#' numeric variables, or a function of one, has to be in the formula of the moments. Levels are
#' matched by their values, whatever order they come in; which of them is the reference, and the
#' contrasts, are decided when the model is fitted.
#'
#' After the fit `summary()`, [anova.lmm()], [contest()], [ranef()], [confint.lmm()], [ranova()],
#' `predict()` for new data and what else needs no rows work as ever. What needs them (residuals,
#' fitted values, leverages) says so.
#'
#' Rows with missing values, outside `subset` or of weight zero are left out, as by [lmm()]. Of
#' functions of the data (`poly()`, `ns()`, `scale()`) each part would have its own: moments of
#' parts that have them are added only where they are the same, see `bases` of [lmm_chunks()].
#'
#' # What moments reveal
#' The moments of a cell of one row *are* that row, and those of a few rows reveal much of them: of
#' two rows both, up to their order. `min_cell` refuses cells of fewer rows. Even large cells tell
#' the means and correlations of their groups, and two sets of moments that differ by one row tell
#' that row. They are no anonymous data: they are what a table of means, standard deviations and
#' correlations by group would be, in a publication.
#'
#' @param formula A formula as for [lmm()], without residual structure.
#' @param data A data frame, [lmm_chunks()], or rows of a database: [lmm_source()] or a lazy table
#'   of 'dplyr'.
#' @param weights,subset,na.action,offset As for [lmm()].
#' @param min_cell The least number of rows that a cell may have: fewer are an error.
#' @param control Options, see [lmm_control()].
#' @param ... For `lmm_moments()`: none, any other argument is an error. For `c()`: more moments.
#' @returns An object of class `lmm_moments`, which `saveRDS()` writes to a plain file: a list with
#'   `formula`; `keys`, a data frame with a row for each cell; `cells`, the counts, sums of weights,
#'   means and scatter; `numbers`, what the means are of (the response last).
#' @references
#' Chan, T. F., Golub, G. H. and LeVeque, R. J. (1983). Algorithms for computing the sample
#' variance: analysis and recommendations. *The American Statistician*, 37, 242-247.
#' @seealso [lmm_chunks()], [lmm_source()]
#' @examples
#' growth <- as.data.frame(nlme::Orthodont)
#' growth$Subject <- as.character(growth$Subject)
#' girls <- subset(growth, Sex == "Female")
#' boys <- subset(growth, Sex == "Male")
#' m1 <- lmm_moments(distance ~ age * Sex + (age | Subject), girls)
#' m2 <- lmm_moments(distance ~ age * Sex + (age | Subject), boys)
#' both <- c(m1, m2)
#' both
#' lmm(distance ~ age * Sex + (age | Subject), both)
#' @export
lmm_moments <- function(formula, data, weights, subset, na.action, offset, min_cell = 1L,
                        gather = c("auto", "cells", "tables"), control = lmm_control(), ...) {
  check_dots(..., hints = lmm_hints)
  given <- list(
    weights = if (!missing(weights)) unevaluated(substitute(weights), function() weights),
    subset = if (!missing(subset)) unevaluated(substitute(subset), function() subset),
    offset = if (!missing(offset)) unevaluated(substitute(offset), function() offset)
  )
  min_cell <- check_count(min_cell, "min_cell", 1L)
  gather <- if (missing(gather)) "auto" else match_choice(gather, "gather", gather_choices)
  control <- check_control(control)
  na_action <- find_na_action(if (missing(na.action)) getOption("na.action") else na.action)
  check_given(missing(formula), data)
  caller <- parent.frame()
  formula <- as_two_sided_formula(formula, caller)
  found <- with_memory(if (inherits(data, "lmm_chunks")) {
    chunk_moments(formula, data, given, na_action, control, caller, gather)
  } else if (is_source(data)) {
    source_moments(formula, data, given, na_action, control, caller, gather)
  } else {
    frame_moments(formula, data, given, na_action, control, caller, gather)
  })
  found["offset_argument"] <- list(given$offset$expr)
  found$min_cell <- min_cell
  check_smallest_cell(found)
  found
}

#' How rows are gathered
#' @noRd
gather_choices <- c("auto", "cells", "tables")

#' The moments of a data frame
#' @noRd
frame_moments <- function(formula, data, given, na_action, control, caller, gather) {
  model <- parse_formula(formula, data, caller)
  frame <- build_frame(model, data, given, na_action, caller, threads = control$threads)
  inform_logical(frame)
  n <- nrow(frame)
  tables <- gather == "tables" || gather == "auto" && n > many_cells && wants_tables(
    length(code_cells(key_columns_of(frame, variable_roles(model, frame)))$first), n
  )
  start_moments(model, frame, tables)
}

#' @noRd
check_smallest_cell <- function(moments) {
  counts <- cell_counts(moments)
  small <- counts < moments$min_cell
  if (any(small)) {
    ferrolmm_abort(
      paste0(count_of(sum(small), "cell"), " of ", length(small), " have fewer than ",
             moments$min_cell, " rows; the smallest has ", min(counts), "."),
      "moments",
      x = "The moments of few rows tell what is in them.",
      i = "Fewer or coarser factors make larger cells; or leave these rows out by `subset`."
    )
  }
}

#' @rdname lmm_moments
#' @export
c.lmm_moments <- function(...) {
  parts <- list(...)
  parts <- parts[!vapply(parts, is.null, NA)]
  wrong <- !vapply(parts, inherits, NA, "lmm_moments")
  if (any(wrong) && !is.null(names(parts)) && all(nzchar(names(parts)[wrong]))) {
    abort_unknown_arguments(names(parts)[wrong], parts[wrong], character())
  }
  if (any(wrong)) {
    ferrolmm_abort("c() adds moments to moments: see lmm_moments().", "argument")
  }
  found <- Reduce(add_moments, parts)
  check_smallest_cell(found)
  found
}

#' The moments of two sets of rows together
#' @noRd
add_moments <- function(a, b) {
  check_same_moments(a, b)
  a$omitted <- a$omitted + b$omitted
  a$weighted <- a$weighted || b$weighted
  a$min_cell <- max(a$min_cell, b$min_cell)
  a$digits <- max(a$digits, b$digits)
  if (is_of_tables(a) || is_of_tables(b)) {
    # cells give tables, not the other way round
    a <- as_tables(a)
    a$tables <- unite_tables(a, as_tables(b))
    return(a)
  }
  both <- unite_keys(a$keys, b$keys, a$grouping)
  # the numbers of b in the order of those of a
  order <- match(a$numbers, b$numbers)
  a$cells <- engine_cells_with_cells(
    a$cells, nrow(both$keys), select_numbers(b$cells, order), both$to
  )
  a$keys <- both$keys
  a
}

#' Cells with their numbers in another order
#' @noRd
select_numbers <- function(cells, order) {
  if (identical(order, seq_len(cells$m))) {
    return(cells)
  }
  pairs <- triangle_pairs(cells$m)
  row <- pmax(order[pairs[, 1L]], order[pairs[, 2L]])
  col <- pmin(order[pairs[, 1L]], order[pairs[, 2L]])
  cells$means <- cells$means[order, , drop = FALSE]
  cells$scatter <- cells$scatter[row * (row - 1L) / 2L + col, , drop = FALSE]
  cells
}

#' @noRd
check_same_moments <- function(a, b) {
  differ <- if (!identical(a$response, b$response)) {
    paste0("the responses `", a$response, "` and `", b$response, "`")
  } else if (!identical(a$offset, b$offset) ||
               !identical(a$offset_argument, b$offset_argument)) {
    "other offsets"
  } else if (!setequal(a$numbers, b$numbers)) {
    lost <- setdiff(union(a$numbers, b$numbers), intersect(a$numbers, b$numbers))
    paste0(quote_names(vapply(lost, number_label, "")), ", which is not in both")
  } else if (!setequal(names(a$keys), names(b$keys))) {
    lost <- setdiff(
      union(names(a$keys), names(b$keys)), intersect(names(a$keys), names(b$keys))
    )
    paste0(quote_names(lost), ", which does not tell cells apart in both")
  } else if (!same_bases(a, b)) {
    "functions of the data with other coefficients (poly(), ns(), scale() ...)"
  }
  if (!is.null(differ)) {
    ferrolmm_abort(
      paste0("These moments cannot be added: they have ", differ, "."), "moments",
      i = "Take them by the same formula, with fixed bases where it has functions of the data."
    )
  }
}

#' Do functions of the data have the same coefficients in both?
#' @noRd
same_bases <- function(a, b) {
  predvars <- function(m) {
    terms <- attr(m$template, "terms")
    stats::setNames(as.list(attr(terms, "predvars"))[-1L], variable_columns(terms))[m$numeric]
  }
  isTRUE(all.equal(predvars(a), predvars(b)[a$numeric], tolerance = 1e-12))
}
