# From the formula's variables and the data to the model frame.
#
# Order of the steps, as model.frame(): evaluate every variable on all rows; drop the rows that
# `subset` or a zero weight drops; then apply na.action. Nothing is copied where no row goes.

#' Refuse fixed effects that leave nothing for residuals, before R takes their formula apart
#'
#' For `y ~ .` with data that are wider than long: terms() alone takes a minute for 10,000
#' variables. Numeric variables that stand by themselves are columns of the model matrix; where as
#' many of them as there are rows are independent, they leave nothing for residuals in any subset of
#' the rows.
#' @noRd
refuse_saturated <- function(formula, data) {
  if (!is.data.frame(data)) return()
  # a formula of few variables takes no time: other faults are reported first
  many <- max(nrow(data), 10L)
  if (length(all.names(formula[[3L]], functions = FALSE)) < many) return()
  kept <- summands(formula[[3L]])
  if (length(kept) < many) return()
  columns <- unclass(data)[intersect(kept, names(data))]
  plain <- vapply(columns, function(x) is.numeric(x) && !is.object(x) && is.null(dim(x)), NA)
  columns <- columns[plain]
  complete <- Reduce(`&`, lapply(columns, is.finite), rep(TRUE, nrow(data)))
  if (any(complete) && length(columns) >= sum(complete)) {
    engine_require_residual(lapply(columns, function(x) as.double(x[complete])))
  }
}

#' Names of the variables that stand by themselves in a sum, without those that are taken away again
#' @noRd
summands <- function(x) {
  chain <- sum_chain(x)
  added <- c(TRUE, vapply(chain$sums, is_call_to, NA, "+"))
  names <- lapply(sum_operands(chain), function(x) {
    if (is_call_to(x, "(")) summands(x[[2L]]) else if (is.name(x)) as.character(x)
  })
  setdiff(unlist(names[added]), unlist(names[!added]))
}

#' Build the model frame
#'
#' @param model what [parse_formula()] returns.
#' @param given list of the unevaluated arguments `subset`, `weights` and `offset` (those given),
#'   as [unevaluated()] makes them, `known`, see [read_known_rows()], and `sampling`, TRUE where
#'   `weights` can be sampling weights.
#' @param na_action a function, see [find_na_action()].
#' @param caller environment from which lmm() was called.
#' @param grouping further columns that only group rows.
#' @param threads for checking the columns.
#' @param fixed named list of expressions to evaluate in the place of variables of that name:
#'   functions of the data that were determined before.
#' @returns a data frame with attributes `terms` and, if rows were dropped, `na.action`. Besides the
#'   attributes that model.frame() gives them, the terms have `all_levels` (list of the levels of
#'   factors before those without rows were dropped), `text` (variables that were character
#'   vectors), `inputs` (see [input_prototypes()]), `tables` (see [value_tables()]) and
#'   `missing_codes`.
#' @noRd
build_frame <- function(model, data, given, na_action, caller, grouping = NULL,
                        threads = 1L, fixed = NULL) {
  check_data(data)
  refuse_saturated(model$fixed, data)
  terms <- formula_terms(model$frame)
  expressions <- as.list(attr(terms, "variables"))[-1L]
  names <- variable_names(expressions)
  known <- names %in% names(fixed)
  expressions[known] <- fixed[names[known]]
  env <- model$env
  hidden <- hidden_columns(data)
  codes <- if (length(hidden)) declared_missing(data, hidden)
  data <- readable_columns(data, hidden)
  outside <- outside_variables(expressions, data, env)
  if (length(outside)) {
    codes <- c(codes, declared_missing(outside, seq_along(outside)))
    readable <- readable_columns(outside)
    if (is.environment(data)) data <- list2env(readable, parent = data)
    env <- list2env(readable, parent = env)
  }
  labelled <- length(hidden) + length(outside) > 0L
  columns <- evaluate_variables(expressions, data, env, labelled)
  names(columns) <- names
  if (anyDuplicated(names(columns))) {
    check_distinct_names(names(columns))
  }
  n <- NROW(columns[[1L]])
  own <- member_names(model$bars)
  for (k in seq_along(columns)) {
    if (is_matrix_object(columns[[k]]) && names(columns)[k] %in% own && NROW(columns[[k]]) == n) {
      columns[[k]] <- sparse_column(columns[[k]], names(columns)[k])
      next
    }
    check_variable(columns[[k]], names(columns)[k], n, names(columns)[1L])
  }
  skip <- c(leaf_names(model$bars), grouping)
  calls <- any_calls(expressions)
  inputs <- if (calls) call_variables(expressions, data, env, n)
  predvars <- safe_predvars(expressions, columns, inputs, env)
  tables <- if (calls) value_tables(predvars, columns, skip, inputs, env)
  text <- character()
  for (k in seq_along(columns)) {
    x <- columns[[k]]
    if (is.character(x)) {
      text <- c(text, names(columns)[k])
    }
    if (is.object(x) && !is.factor(x) && !is_matrix_object(x) || length(dim(x)) == 1L) {
      columns[[k]] <- frame_values(x)
    }
  }
  sources <- variable_sources(
    c(expressions, if (!is.null(given$offset)) list(given$offset$expr)), data,
    list(env, caller), n
  )
  sampling <- NULL
  for (role in c("weights", "offset")) {
    if (!is.null(given[[role]])) {
      value <- evaluate_argument(given[[role]], role, data, env, caller)
      if (role == "weights" && is_sampling(value)) {
        sampling <- value
        if (!isTRUE(given$sampling)) abort_sampling_elsewhere()
        columns[["(sampling)"]] <- sampling_columns(value, n)
        next
      }
      columns[[paste0("(", role, ")")]] <- check_row_argument(value, role, n)
    }
  }
  if (!is.null(given$known)) {
    columns[["(known)"]] <- rows_of_known(given$known, n, frame_row_names(data, n))
  }
  weights <- columns[["(weights)"]]
  if (!is.null(sampling)) weights <- least_weights(columns[["(sampling)"]])
  rows <- used_rows(weights, given$subset, data, n, env, caller)
  row_names <- frame_row_names(data, n)
  if (!is.null(rows)) {
    columns <- lapply(columns, take_rows, rows)
    row_names <- take_row_names(row_names, rows)
    n <- length(rows)
  }
  check_any_rows(n, data, rows, given$subset)
  facts <- look_at_columns(columns, n, threads)
  frame <- drop_missing(columns, row_names, n, na_action, skip, facts$complete)
  frame <- tidy_factors(frame, if (all(facts$complete)) facts$all_used)
  attr(terms, "predvars") <- predvars
  attr(terms, "all_levels") <- attr(frame, "all_levels")
  attr(frame, "all_levels") <- NULL
  attr(terms, "text") <- if (length(text)) text
  attr(terms, "inputs") <- if (calls) input_prototypes(inputs)
  attr(terms, "tables") <- tables
  attr(terms, "missing_codes") <- codes
  attr(terms, "dataClasses") <- vapply(frame, frame_class, "")
  attr(frame, "terms") <- terms
  attr(frame, "sources") <- sources
  attr(frame, "sampling") <- if (!is.null(sampling)) {
    sampling[c("scale", "conditional", "information")]
  }
  frame
}

#' @noRd
check_data <- function(data) {
  if (is.null(data) || is.environment(data)) {
    return(invisible())
  }
  if (!is.list(data)) {
    ferrolmm_abort(
      paste0("`data` must be a data frame, it is ", describe_value(data), "."), "data",
      i = if (is.matrix(data)) "Use as.data.frame()." else if (is.character(data)) {
        "Give the data frame itself, not its name."
      }
    )
  }
  if (length(data) > 0L && is.data.frame(data) && .row_names_info(data, 2L) == 0L) {
    ferrolmm_abort("There is no data: `data` has 0 rows.", "data")
  }
  if (is.null(names(data)) && length(data) > 0L) {
    ferrolmm_abort("`data` is a list without names.", "data", i = "Give a data frame.")
  }
}

#' Names of the variables that only serve to group: infinite values are levels there
#' @noRd
leaf_names <- function(bars) {
  names <- character()
  for (bar in bars) {
    for (group in bar$groups) names <- c(names, variable_names(group$leaves))
    names <- c(names, variable_names(bar$by))
  }
  names
}

#' Names of the variables of mm(), one of which may be a sparse matrix
#' @noRd
member_names <- function(bars) {
  groups <- unlist(lapply(bars, `[[`, "groups"), recursive = FALSE)
  multiple <- lengths(lapply(groups, `[[`, "members")) > 0L
  unlist(lapply(groups[multiple], function(group) variable_names(group$leaves)))
}

#' A matrix of 'Matrix' in compressed columns of numbers
#' @noRd
sparse_column <- function(x, name) {
  if (!methods::is(x, "Matrix")) {
    abort_variable_type(x, name)
  }
  methods::as(as_sparse(x), "dMatrix")
}

#' Character variables become factors, unused levels go
#'
#' @param all_used for each column whether all its levels have rows; NULL: not known yet.
#' @returns the frame, with the attribute `all_levels`: list of what the levels were where some went
#' @noRd
tidy_factors <- function(frame, all_used = NULL) {
  all_levels <- NULL
  for (k in seq_along(frame)) {
    x <- .subset2(frame, k)
    if (k > 1L && is.character(x) && is.null(dim(x))) {
      frame <- set_column(frame, k, character_factor(x))
    } else if (is.factor(x) && !isTRUE(all_used[k])) {
      used <- tabulate(x, nlevels(x)) > 0L
      if (!all(used)) {
        all_levels[[names(frame)[k]]] <- levels(x)
        frame <- set_column(frame, k, drop_levels(x, used))
      }
    }
  }
  attr(frame, "all_levels") <- all_levels
  frame
}

#' Class of a variable in the words of terms()'s dataClasses, as stats' .MFclass()
#' @noRd
frame_class <- function(x) {
  if (is.logical(x)) {
    "logical"
  } else if (is.factor(x)) {
    if (is.ordered(x)) "ordered" else "factor"
  } else if (is.matrix(x) && is.numeric(x)) {
    paste0("nmatrix.", ncol(x))
  } else if (is.numeric(x)) {
    "numeric"
  } else if (is.character(x)) {
    "character"
  } else {
    "other"
  }
}

#' A logical response is fitted as 0 and 1, which few want
#' @noRd
inform_logical <- function(frame) {
  if (is.logical(frame[[1L]])) {
    ferrolmm_inform(
      paste0("The response `", names(frame)[[1L]], "` is logical: FALSE is taken as 0, TRUE as 1."),
      "response", i = "A logistic mixed model is lme4::glmer(family = binomial)."
    )
  }
}
