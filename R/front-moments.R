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
#' functions of the data (`poly()`, `ns()`, `scale()`) each part would have its own: moments of parts
#' that have them are added only where they are the same, see `bases` of [lmm_chunks()].
#'
#' # What moments reveal
#' The moments of a cell of one row *are* that row, and those of a few rows reveal much of them: of
#' two rows both, up to their order. `min_cell` refuses cells of fewer rows. Even large cells tell
#' the means and correlations of their groups, and two sets of moments that differ by one row tell
#' that row. They are no anonymous data: they are what a table of means, standard deviations and
#' correlations by group would be, in a publication.
#'
#' @param formula A formula as for [lmm()], without residual structure.
#' @param data A data frame, or [lmm_chunks()].
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
#' @seealso [lmm_chunks()]
#' @examples
#' data(Orthodont, package = "nlme")
#' girls <- subset(Orthodont, Sex == "Female")
#' boys <- subset(Orthodont, Sex == "Male")
#' m1 <- lmm_moments(distance ~ age * Sex + (age | Subject), girls)
#' m2 <- lmm_moments(distance ~ age * Sex + (age | Subject), boys)
#' both <- c(m1, m2)
#' both
#' lmm(distance ~ age * Sex + (age | Subject), both)
#' @export
lmm_moments <- function(formula, data, weights, subset, na.action, offset, min_cell = 1L,
                        control = lmm_control(), ...) {
  check_dots(..., hints = lmm_hints)
  given <- list(
    weights = if (!missing(weights)) unevaluated(substitute(weights), function() weights),
    subset = if (!missing(subset)) unevaluated(substitute(subset), function() subset),
    offset = if (!missing(offset)) unevaluated(substitute(offset), function() offset)
  )
  min_cell <- check_count(min_cell, "min_cell", 1L)
  control <- check_control(control)
  na_action <- find_na_action(if (missing(na.action)) getOption("na.action") else na.action)
  check_given(missing(formula), data)
  caller <- parent.frame()
  formula <- as_two_sided_formula(formula, caller)
  found <- with_memory(if (inherits(data, "lmm_chunks")) {
    chunk_moments(formula, data, given, na_action, control, caller)
  } else {
    frame_moments(formula, data, given, na_action, control, caller)
  })
  check_smallest_cell(found, min_cell)
  found
}

#' The moments of a data frame
#' @noRd
frame_moments <- function(formula, data, given, na_action, control, caller) {
  model <- parse_formula(formula, data, caller)
  frame <- build_frame(model, data, given, na_action, caller, threads = control$threads)
  start_moments(model, frame, caller)
}

#' The moments of a first frame of rows
#' @noRd
start_moments <- function(model, frame, caller) {
  roles <- variable_roles(model, frame)
  numeric <- names(frame)[roles == "number"]
  numbers <- needed_numbers(model, frame, numeric)
  moments <- structure(
    list(
      formula = model$formula, response = names(frame)[[1L]],
      keys = key_columns_of(frame, roles)[0L, , drop = FALSE], numeric = numeric,
      numbers = numbers, cells = empty_cells(length(numbers)),
      weighted = !is.null(frame[["(weights)"]]), omitted = 0,
      template = keep_attributes(frame, frame[0L, roles != "none", drop = FALSE])
    ),
    class = "lmm_moments"
  )
  add_frame(moments, model, frame)
}

#' What each variable of a frame is: "response", "key" (it tells cells apart), "number", or "none"
#' (a column of weights or offsets)
#' @noRd
variable_roles <- function(model, frame) {
  leaves <- leaf_names(model$bars)
  names <- names(frame)
  offsets <- attr(attr(frame, "terms"), "offset")
  roles <- ifelse(
    names %in% leaves | vapply(unclass(frame), is_categorical, NA), "key", "number"
  )
  roles[startsWith(names, "(") & endsWith(names, ")") & names %in% c("(weights)", "(offset)")] <-
    "none"
  roles[offsets] <- "none"
  roles[[1L]] <- "response"
  roles
}

#' The variables that tell cells apart, as the user's data have them: text as text, factors with all
#' of their levels
#' @noRd
key_columns_of <- function(frame, roles) {
  terms <- attr(frame, "terms")
  columns <- unclass(frame)[roles == "key"]
  for (name in names(columns)) {
    x <- columns[[name]]
    all <- attr(terms, "all_levels")[[name]]
    if (is.factor(x) && name %in% attr(terms, "text")) {
      columns[[name]] <- as.character(x)
    } else if (is.factor(x) && !is.null(all)) {
      columns[[name]] <- factor(as.character(x), all, exclude = NULL, ordered = is.ordered(x))
    }
  }
  as_frame(columns, .set_row_names(.row_names_info(frame, 2L)))
}

#' The numbers that a model's columns are products of, each variable by itself, the response last
#' @noRd
needed_numbers <- function(model, frame, numeric) {
  terms <- fixed_terms(model$fixed, frame)
  sides <- lapply(model$bars, function(bar) {
    if (!is.numeric(bar$lhs)) column_numbers(side_terms(bar$lhs), frame, NULL, numeric)
  })
  alone <- unlist(lapply(numeric, function(name) {
    vapply(seq_len(NCOL(frame[[name]])), function(j) number_id(name, j), "")
  }))
  ids <- c(alone, column_numbers(terms, frame, NULL, numeric), unlist(sides))
  c(setdiff(unique(ids), ""), number_id(names(frame)[[1L]], "response"))
}

#' Moments with the rows of a frame added
#' @noRd
add_frame <- function(moments, model, frame) {
  weights <- .subset2(frame, "(weights)")
  keys <- key_columns_of(frame, variable_roles(model, frame))
  own <- code_cells(keys)
  both <- unite_keys(moments$keys, keys[own$first, , drop = FALSE])
  moments$cells <- engine_cells_with_rows(
    moments$cells, nrow(both$keys), both$to[own$codes], number_values(moments, model, frame), weights
  )
  moments$keys <- both$keys
  moments$omitted <- moments$omitted + length(attr(frame, "na.action"))
  moments
}

#' The values of the numbers in each row
#' @noRd
number_values <- function(moments, model, frame) {
  terms <- fixed_terms(model$fixed, frame)
  y <- response_vector(.subset2(frame, 1L), names(frame)[[1L]])
  offset <- total_offset(terms, frame)
  ids <- moments$numbers[-length(moments$numbers)]
  values <- lapply(strsplit(ids, "\n", fixed = TRUE), function(parts) {
    Reduce(`*`, lapply(strsplit(parts, "\r", fixed = TRUE), function(part) {
      x <- frame[[part[[1L]]]]
      as.double(if (is.matrix(x)) x[, as.integer(part[[2L]])] else x)
    }))
  })
  c(values, list(if (is.null(offset)) y else y - offset))
}

#' The cell of each row, and the first row of each cell
#' @returns list(codes, first)
#' @noRd
code_cells <- function(keys) {
  coded <- Map(code_variable, unclass(keys), names(keys))
  codes <- as.integer(interact_codes(coded)$codes)
  list(codes = codes, first = match(seq_len(max(codes, 0L)), codes))
}

#' Keys of two sets of cells as one, those that are in both once
#'
#' @returns list(keys, to: which of them each of `new` is); those of `old` keep their places
#' @noRd
unite_keys <- function(old, new) {
  columns <- Map(unite_values, unclass(old), unclass(new)[names(old)], names(old))
  all <- as_frame(columns, .set_row_names(nrow(old) + nrow(new)))
  codes <- code_cells(all)$codes
  place <- match(codes, unique(codes))
  list(
    keys = all[!duplicated(codes), , drop = FALSE],
    to = place[nrow(old) + seq_len(nrow(new))]
  )
}

#' Values of one variable of two sets, one after the other
#' @noRd
unite_values <- function(a, b, name) {
  if (is.factor(a) && is.factor(b)) {
    return(unite_factors(a, b, name))
  }
  same <- identical(class(a), class(b)) || is.numeric(a) && is.numeric(b) && !is.object(a) &&
    !is.object(b)
  if (!same) {
    ferrolmm_abort(
      paste0("`", name, "` is ", describe_value(a), " in one part, and ", describe_value(b),
             " in another."),
      "moments", variable = name, i = "Make it of one class in all parts."
    )
  }
  c(a, b)
}

#' Factors of two parts: the levels of the first, then those that only the second has
#' @noRd
unite_factors <- function(a, b, name) {
  if (!identical(levels(a), levels(b)) && (is.ordered(a) || is.ordered(b))) {
    ferrolmm_abort(
      paste0("The ordered factor `", name, "` has other levels in another part."), "moments",
      variable = name, i = "Give it all of its levels, in their order, in each part."
    )
  }
  levels <- union(levels(a), levels(b))
  united <- factor(
    c(as.character(a), as.character(b)), levels, exclude = NULL, ordered = is.ordered(a)
  )
  own <- attr(a, "contrasts")
  if (!is.null(own) && length(levels) == nlevels(a)) attr(united, "contrasts") <- own
  united
}

#' @noRd
check_smallest_cell <- function(moments, min_cell) {
  small <- moments$cells$counts < min_cell
  if (any(small)) {
    ferrolmm_abort(
      paste0(count_of(sum(small), "cell"), " of ", length(small), " have fewer than ", min_cell,
             " rows; the smallest has ", min(moments$cells$counts), "."),
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
  if (!all(vapply(parts, inherits, NA, "lmm_moments"))) {
    ferrolmm_abort("c() adds moments to moments: see lmm_moments().", "argument")
  }
  Reduce(add_moments, parts)
}

#' The moments of two sets of rows together
#' @noRd
add_moments <- function(a, b) {
  check_same_moments(a, b)
  both <- unite_keys(a$keys, b$keys)
  # the numbers of b in the order of those of a
  order <- match(a$numbers, b$numbers)
  a$cells <- engine_cells_with_cells(
    a$cells, nrow(both$keys), select_numbers(b$cells, order), both$to
  )
  a$keys <- both$keys
  a$omitted <- a$omitted + b$omitted
  a$weighted <- a$weighted || b$weighted
  a
}

#' Cells with their numbers in another order
#' @noRd
select_numbers <- function(cells, order) {
  if (identical(order, seq_len(cells$m))) {
    return(cells)
  }
  pairs <- which(lower.tri(diag(cells$m), diag = TRUE), arr.ind = TRUE)
  pairs <- pairs[order(pairs[, 1L], pairs[, 2L]), , drop = FALSE]
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
