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
#' # Cells and tables
#' Where grouping factors are crossed, there may be about as many cells as rows. Then the moments
#' are *tables* instead: one for each pair of terms, by the grouping variables and factors of these
#' two, with counts and cross-products of the numbers. With three crossed factors of 5000, 500 and
#' 50 levels that is a table for each factor and one for each pair of them, whatever the number of
#' rows. Tables are of the terms of one formula: models with fewer of them are fitted, those with
#' other pairs are not. Their sums have twice the digits of a double, and need no centre. `c()` adds
#' tables to tables, and makes tables of cells that are added to tables.
#'
#' A database sums doubles. What is left of the digits where residuals are small against the
#' response is checked by a fit; where it is too little, the numbers are summed again in pieces of
#' few digits, whose sums are exact.
#'
#' Of a fit of tables, what looks at the groups' rows (the deletion of groups, simulation) is
#' refused besides, and [ranova()] has the limiting distribution where the other would be simulated.
#'
#' # Missing values and functions of the data
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
#' @param min_cell The least number of rows that a cell (of a table, where there are tables) may
#'   have: fewer are an error, here and when the moments are added to others.
#' @param gather How rows are gathered: by `"cells"` of all grouping variables and factors, by
#'   `"tables"` of pairs of terms, or (`"auto"`) by cells as long as they are at most 200,000 or a
#'   quarter of the rows.
#' @param control Options, see [lmm_control()].
#' @param ... For `lmm_moments()`: none, any other argument is an error. For `c()`: more moments.
#' @returns An object of class `lmm_moments`, which `saveRDS()` writes to a plain file: a list with
#'   `formula`; `keys`, a data frame with a row for each cell; `cells`, the counts, sums of weights,
#'   means and scatter; `numbers`, what the means are of (the response last). Of tables, `tables` is
#'   in the place of `keys` and `cells`: a list with `keys`, `counts`, `products` (which numbers, 0
#'   for the constant 1) and `sums` (two rows for each product, a double and what is left of it).
#' @references
#' Ozaki, K., Ogita, T., Oishi, S. and Rump, S. M. (2012). Error-free transformations of matrix
#' multiplication by using fast routines of matrix multiplication and its applications. *Numerical
#' Algorithms*, 59, 95-118.
#'
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

#' Fit a model to moments, or to what they are taken of
#' @noRd
fit_aggregated <- function(call, formula, data, reml, given, na_action, contrasts, start, control,
                           caller) {
  start_clock(control)
  formula <- as_two_sided_formula(formula, caller)
  if (!inherits(data, "lmm_moments")) {
    refuse_row_arguments(given[c("correlation", "residual")])
    take <- if (is_source(data)) source_moments else chunk_moments
    data <- take(formula, data, given, na_action, control, caller, "auto")
    data["offset_argument"] <- list(given$offset$expr)
    given[] <- list(NULL)
    call[c("weights", "subset", "offset", "na.action")] <- NULL
  }
  fit_moments(call, formula, data, reml, given, contrasts, start, control, caller)
}
