# From moments to the fitted object: the frame of the cells, the design on condensed rows, the fit.

#' Fit a model to moments
#' @noRd
fit_moments <- function(call, formula, moments, reml, given, contrasts, start, control, caller) {
  if (is.null(given$offset) || identical(given$offset$expr, moments$offset_argument)) {
    # what the moments already have
    given["offset"] <- list(NULL)
  }
  refuse_row_arguments(given)
  call$offset <- moments$offset_argument
  model <- parse_formula(formula, NULL, caller)
  model$bars <- find_known(model$bars, NULL, model$env, caller)
  call$formula <- formula
  home <- remember_home(call, moments, environment(formula), caller)
  parts <- design_cells_of(model, moments, contrasts, control)
  fit <- fit_parts(
    home, model$formula, parts$frame, parts$fixed, parts$random, NULL, reml, start, control,
    condensed = parts$condensed
  )
  check_lost_digits(fit)
  fit
}

#' The design of a formula on moments
#' @noRd
design_moments <- function(formula, moments, contrasts, control, caller) {
  model <- parse_formula(formula, NULL, caller)
  model$bars <- find_known(model$bars, NULL, model$env, caller)
  design_cells_of(model, moments, contrasts, control)
}

#' The design of a model on moments
#' @returns list(frame, fixed, random, condensed)
#' @noRd
design_cells_of <- function(model, moments, contrasts, control) {
  frame <- cell_frame(model, moments)
  numeric <- attr(frame, "numeric")
  random <- build_random(model, frame, NULL, control)
  terms <- fixed_terms(model$fixed, frame)
  check_contrasts_argument(contrasts, terms)
  design <- design_columns(terms, frame, contrasts, coded = TRUE)
  needed <- c(
    column_numbers(terms, frame, contrasts, numeric),
    unlist(lapply(random$terms, term_numbers, frame, numeric))
  )
  check_numbers_known(needed, moments)
  condensed <- if (is_of_tables(moments)) {
    columns <- condensed_columns(
      design, column_numbers(terms, frame, contrasts, numeric), list(tables = list())
    )
    condense_tables(moments, frame, numeric, columns)
  } else {
    condense_cells(moments$cells, frame, numeric, moments$numbers, needed)
  }
  condensed$moments <- moments
  random$design <- condensed_random(random$terms, random$flist, random$precision, condensed)
  fixed <- list(
    terms = terms, X = condensed_fixed(terms, contrasts, condensed), names = design$names,
    assign = design$assign, contrasts = design$contrasts, xlevels = factor_levels(terms, frame),
    y = condensed$y, weights = condensed$weights, stands_for = condensed$stands_for,
    tables = if (is_of_tables(moments)) condensed[c("tables", "ids", "stands_for")]
  )
  list(frame = frame, fixed = fixed, random = random, condensed = condensed)
}

#' Refuse a fit whose residuals are among the rounding errors of sums that a database made
#' @noRd
check_lost_digits <- function(fit) {
  moments <- fit$condensed$moments
  if (moments$digits == 0) {
    return(invisible())
  }
  spread <- number_summary(moments, moments$numbers[[length(moments$numbers)]])$sd
  if (fit$sigma^2 < 1e7 * moments$digits * spread^2) {
    ferrolmm_abort(
      paste0("The sums of the database have too few digits: the residual standard deviation is ",
             signif(fit$sigma / spread, 2L), " times that of the response."),
      "moments",
      i = c("Read the rows in parts, lmm_chunks(DBI::dbSendQuery(...)): that keeps all digits.",
            "Or make the response smaller by what is known of it, as an offset.")
    )
  }
}

#' What looks at rows was to be said when the moments were taken
#' @noRd
refuse_row_arguments <- function(given) {
  late <- names(given)[lengths(given) > 0L]
  if (length(late) > 0L) {
    ferrolmm_abort(
      paste0(quote_names(late[[1L]]), " looks at rows, and moments have none."), "needs_rows",
      i = if (late[[1L]] %in% c("correlation", "residual")) {
        "Residual structures need the rows: fit the model to them."
      } else {
        paste0("Give it to lmm_moments(), when the moments are taken.")
      }
    )
  }
}

#' The model frame of the cells: factors as they are there, the constant 1 for each number
#'
#' @returns a data frame as [build_frame()] returns it, with a row for each cell, the mean of the
#'   response in its place, and the attributes `numeric` (names of the variables that are numbers)
#'   and `observations` (their number)
#' @noRd
cell_frame <- function(model, moments) {
  terms <- formula_terms(model$frame)
  expressions <- as.list(attr(terms, "variables"))[-1L]
  names <- variable_names(expressions)
  check_response_known(names[[1L]], moments)
  check_offset_known(terms, moments)
  offsets <- names[attr(terms, "offset")]
  keys <- if (is_of_tables(moments)) stack_keys(moments$tables, moments$grouping) else moments$keys
  n <- nrow(keys)
  numeric <- character()
  columns <- list()
  for (k in seq_along(names)) {
    name <- names[[k]]
    columns[[name]] <- if (k == 1L) {
      if (is_of_tables(moments)) double(n) else moments$cells$means[moments$cells$m, ]
    } else if (name %in% offsets) {
      # taken from the response already
      double(n)
    } else if (name %in% names(keys)) {
      keys[[name]]
    } else if (name %in% moments$numeric) {
      numeric <- c(numeric, name)
      ones_like(moments$template[[name]], n)
    } else {
      evaluate_key(expressions[[k]], name, moments, keys)
    }
  }
  text <- names[vapply(columns, is.character, NA)]
  frame <- tidy_factors(as_frame(columns[names], .set_row_names(n)))
  template <- attr(moments$template, "terms")
  attr(terms, "predvars") <- as.call(c(quote(list), Map(function(expression, name) {
    known <- match(name, variable_columns(template))
    if (is.na(known)) expression else attr(template, "predvars")[[known + 1L]]
  }, expressions, names)))
  attr(terms, "all_levels") <- attr(frame, "all_levels")
  attr(frame, "all_levels") <- NULL
  attr(terms, "text") <- if (length(text)) text
  attr(terms, "inputs") <- attr(template, "inputs")
  attr(terms, "missing_codes") <- attr(template, "missing_codes")
  attr(terms, "dataClasses") <- vapply(frame, frame_class, "")
  attr(frame, "terms") <- terms
  attr(frame, "sources") <- attr(moments$template, "sources")
  attr(frame, "numeric") <- numeric
  attr(frame, "stacked") <- is_of_tables(moments)
  attr(frame, "observations") <- count_moments(moments)
  frame
}

#' The constant 1 in the form of a variable: a vector, or a matrix with its columns
#' @noRd
ones_like <- function(x, n) {
  if (length(dim(x)) == 2L) {
    matrix(1, n, ncol(x), dimnames = list(NULL, colnames(x)))
  } else {
    rep.int(1, n)
  }
}

#' A variable that follows from the keys of the cells, as factor(f) and f == "a" from f
#' @noRd
evaluate_key <- function(expression, name, moments, keys) {
  used <- all.vars(expression)
  known <- names(keys)
  if (length(used) == 0L || !all(used %in% known)) {
    lost <- setdiff(used, known)
    numbers <- intersect(lost, moments$numeric)
    ferrolmm_abort(
      paste0("The moments have no variable `", name, "`."), "moments",
      x = if (length(numbers) > 0L) {
        paste0("Of ", quote_names(numbers), " only sums are left: a function of it was to be ",
               "known when the moments were taken.")
      } else {
        paste0("They have ", quote_names(c(known, moments$numeric)), ".")
      },
      i = "Take moments whose formula has it: lmm_moments().", variable = name
    )
  }
  # cells of a table that does not have one of the keys
  here <- if (is_of_tables(moments)) !Reduce(`|`, lapply(keys[used], is.na))
  rows <- if (is.null(here)) keys else keys[here, , drop = FALSE]
  value <- evaluate_variables(list(expression), rows, environment(moments$formula))[[1L]]
  check_variable(value, name, nrow(rows), name)
  if (anyNA(value)) {
    ferrolmm_abort(
      paste0("`", name, "` is missing in some cells."), "missing", variable = name,
      i = "Moments cannot leave out rows any more: take them without these."
    )
  }
  value <- frame_values(value)
  if (is.null(here)) value else value[match(seq_along(here), which(here))]
}

#' @noRd
check_response_known <- function(name, moments) {
  if (!identical(name, moments$response)) {
    ferrolmm_abort(
      paste0("The moments are of the response `", moments$response, "`, not of `", name, "`."),
      "moments", i = "Take moments of that response: lmm_moments()."
    )
  }
}

#' @noRd
check_offset_known <- function(terms, moments) {
  own <- offset_names(terms)
  if (!identical(own, moments$offset)) {
    lost <- c(setdiff(own, moments$offset), setdiff(moments$offset, own))
    ferrolmm_abort(
      paste0("The moments are of the response less ",
             if (length(moments$offset)) quote_names(moments$offset) else "no offset",
             ", and `formula` differs in ", quote_names(lost), "."),
      "moments", i = "Take moments with that offset: lmm_moments()."
    )
  }
}
