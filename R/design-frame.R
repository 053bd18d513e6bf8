# From the formula's variables and the data to the model frame.
#
# Order of the steps, as model.frame(): evaluate every variable on all rows; drop the rows that
# `subset` or a zero weight drops; then apply na.action. Nothing is copied where no row goes.

#' Refuse fixed effects that leave nothing for residuals, before R takes their formula apart
#'
#' `y ~ .` of data that are wider than long: terms() alone takes a minute for 10,000 variables.
#' Numeric variables that stand by themselves are columns of the model matrix; where as many of them
#' as there are rows are independent, so are they in any of these rows.
#' @noRd
refuse_saturated <- function(formula, data) {
  if (!is.data.frame(data)) return()
  # a formula of few variables takes no time: what else is amiss is said first
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

#' Names of the variables that stand by themselves in a sum, those taken away again left out
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
#'   as [unevaluated()] makes them.
#' @param na_action a function, see [find_na_action()].
#' @param caller environment from which lmm() was called.
#' @param grouping further columns that only group rows.
#' @param threads for the look at the columns.
#' @returns a data frame with attributes `terms` and, if rows were dropped, `na.action`. The terms
#'   have beside those of model.frame() the attributes `all_levels` (list of the levels of factors
#'   before those without rows were dropped), `text` (variables that were character vectors),
#'   `inputs` (see [input_prototypes()]), `tables` (see [value_tables()]) and `missing_codes`.
#' @noRd
build_frame <- function(model, data, given, na_action, caller, grouping = NULL,
                        threads = 1L) {
  check_data(data)
  refuse_saturated(model$fixed, data)
  terms <- formula_terms(model$frame)
  expressions <- as.list(attr(terms, "variables"))[-1L]
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
  names(columns) <- variable_names(expressions)
  if (anyDuplicated(names(columns))) {
    check_distinct_names(names(columns))
  }
  n <- NROW(columns[[1L]])
  for (k in seq_along(columns)) {
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
    if (is.object(x) && !is.factor(x) || length(dim(x)) == 1L) {
      columns[[k]] <- frame_values(x)
    }
  }
  sources <- variable_sources(
    c(expressions, if (!is.null(given$offset)) list(given$offset$expr)), data,
    list(env, caller), n
  )
  for (role in c("weights", "offset")) {
    if (!is.null(given[[role]])) {
      value <- evaluate_argument(given[[role]], role, data, env, caller)
      columns[[paste0("(", role, ")")]] <- check_row_argument(value, role, n)
    }
  }
  rows <- used_rows(columns[["(weights)"]], given$subset, data, n, env, caller)
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
  frame
}

#' Where the variables of the expressions came from
#'
#' What has a value a row must be there in new data; all else that an expression uses (a centre, the
#' knots of a spline, a function of the user's) is kept as it was in the fit.
#' @param places environments to look in, after the data.
#' Options that text is made by (factor() of numbers, cut()) are kept too.
#' @returns list(constants = named list, options = list)
#' @noRd
variable_sources <- function(expressions, data, places, n) {
  constants <- list()
  for (expression in expressions) {
    if (!is.symbol(expression)) {
      constants <- c(
        constants, constants_of(expression, data, places, n),
        own_functions(expression, places[[1L]])
      )
    }
  }
  list(
    constants = constants[!duplicated(names(constants))],
    options = options("scipen", "OutDec", "digits")
  )
}

#' What an expression uses that is no column and has not a value a row
#' @noRd
constants_of <- function(expression, data, places, n) {
  constants <- list()
  for (name in variables_of(expression)) {
    in_data <- is.list(data) && name %in% names(data)
    value <- if (in_data) .subset2(data, name)
    for (place in c(if (is.environment(data)) list(data), places)) {
      if (is.null(value)) value <- get0(name, place)
    }
    by_row <- in_data && is.data.frame(data) || NROW(value) == n && n > 1L
    if (!is.null(value) && !by_row) {
      constants[[name]] <- value
    }
  }
  constants
}

#' Functions that an expression calls and that no package has
#' @noRd
own_functions <- function(expression, env) {
  called <- setdiff(all.names(expression), all.vars(expression))
  found <- list()
  while (length(called) > 0L && !is_package(env)) {
    for (name in called) {
      found[[name]] <- get0(name, env, mode = "function", inherits = FALSE)
    }
    called <- setdiff(called, names(found))
    env <- parent.env(env)
  }
  found
}

#' Is an environment that of a package, attached or its namespace?
#' @noRd
is_package <- function(env) {
  identical(env, emptyenv()) || identical(env, baseenv()) || isNamespace(env) ||
    startsWith(environmentName(env), "package:")
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

#' Name of each variable as model.frame() gives it: symbols as they are, calls deparsed
#'
#' Variables that are called as the frame's own columns get backticks.
#' @noRd
variable_names <- function(expressions) {
  names <- character(length(expressions))
  for (k in seq_along(expressions)) {
    x <- expressions[[k]]
    names[[k]] <- if (!is.symbol(x)) {
      deparse_call(x)
    } else if (startsWith(name <- as.character(x), "(") && name %in% own_columns) {
      paste0("`", name, "`")
    } else {
      name
    }
  }
  names
}

#' Columns of the model frame that are no variables
#' @noRd
own_columns <- c("(weights)", "(offset)", "(fitted)")

#' A call as text, the same under any option
#' @noRd
deparse_call <- function(x) {
  if (getOption("scipen") != 0L) {
    before <- options(scipen = 0L)
    on.exit(options(before))
  }
  paste(deparse(x, width.cutoff = 500L), collapse = " ")
}

#' Two variables of one name cannot be told apart: the column `log(x)` and the call log(x)
#' @noRd
check_distinct_names <- function(names) {
  twice <- names[duplicated(names)]
  if (length(twice) > 0L) {
    ferrolmm_abort(
      paste0("Two variables of the model are called `", twice[[1L]],
             "`: a column of this name, and what the expression gives."),
      "data", variable = twice[[1L]], i = "Rename the column."
    )
  }
}

#' Evaluate variables in the data, then in the formula's environment
#'
#' One handler for all: the loop's counter tells which variable failed.
#' @param labelled are there labelled variables, see [evaluate_labelled()]?
#' @noRd
evaluate_variables <- function(expressions, data, env, labelled = FALSE) {
  columns <- vector("list", length(expressions))
  k <- 0L
  in_list <- is.list(data)
  if (in_list && anyDuplicated(names(data))) {
    check_duplicate_columns(expressions, data)
  }
  tryCatch(
    for (k in seq_along(expressions)) {
      expression <- expressions[[k]]
      value <- NULL
      if (in_list && is.symbol(expression)) {
        value <- .subset2(data, as.character(expression))
      }
      if (is.null(value)) {
        value <- if (labelled) {
          evaluate_labelled(expression, data, env)
        } else {
          eval(expression, data, env)
        }
      }
      if (!is.null(value)) {
        columns[[k]] <- value
      }
    },
    error = function(e) abort_variable(e, expressions[[k]], data, env)
  )
  columns
}

#' @noRd
check_duplicate_columns <- function(expressions, data) {
  used <- unique(unlist(lapply(expressions, all.vars)))
  twice <- intersect(used, names(data)[duplicated(names(data))])
  if (length(twice)) {
    ferrolmm_abort(
      paste0("`data` has duplicate columns called ", quote_names(twice), "."), "data",
      i = "Rename or remove all but one."
    )
  }
}

#' @noRd
abort_variable <- function(e, expression, data, env) {
  known <- if (is.environment(data)) ls(data) else names(data)
  names_used <- all.vars(expression)
  found <- vapply(
    names_used,
    function(v) v %in% known || (!is.environment(data) && exists(v, envir = env)), NA
  )
  missing <- names_used[!found]
  if (length(missing)) {
    ferrolmm_abort(
      paste0("Variable ", quote_names(missing), " not found",
             if (is.null(data)) "." else " in `data` or where the formula was made."),
      "data", variable = missing,
      x = if (!is.symbol(expression)) paste0("It is used in `", code_label(expression), "`."),
      i = c(
        did_you_mean(missing[1L], c(known, if (is.null(data)) ls(env))),
        if (is.null(data)) "Did you forget `data =`?"
      )
    )
  }
  ferrolmm_abort(
    paste0("`", code_label(expression), "` could not be evaluated."), "data",
    x = conditionMessage(e)
  )
}

#' predvars: each call with what it takes to repeat it on new data (poly(), ns(), scale() ...)
#' @noRd
safe_predvars <- function(expressions, columns, inputs, env) {
  for (k in seq_along(expressions)) {
    if (is.call(expressions[[k]])) {
      expressions[[k]] <- with_constants(
        stats::makepredictcall(columns[[k]], expressions[[k]]), inputs, env, NROW(columns[[k]])
      )
    }
  }
  as.call(c(quote(list), expressions))
}

#' Is a variable of a kind and length that a model can use?
#' @noRd
check_variable <- function(value, name, n, response) {
  if (is.numeric(value) || is.factor(value) || is.character(value) || is.logical(value)) {
    if (is_integer64(value) && is.null(decode_integer64(value))) {
      ferrolmm_abort(
        paste0("Variable `", name, "` is of class integer64, with values beyond 2^53, which no ",
               "double holds."),
        "data", variable = name,
        i = "Convert it with as.numeric(), or with as.character() if it only names groups."
      )
    }
    if (inherits(value, "Surv")) {
      abort_variable_type(value, name)
    }
    check_factor(value, name)
    if (is.character(value) && any(Encoding(value) == "bytes")) {
      ferrolmm_abort(
        paste0("Variable `", name, "` has strings that are marked as bytes, of no encoding."),
        "data", variable = name,
        i = "Say what they are: Encoding(x) <- \"latin1\" or \"UTF-8\"."
      )
    }
  } else if (is.list(value) || !is.atomic(value) || is.null(value) || is.complex(value) ||
               is.raw(value)) {
    abort_variable_type(value, name)
  }
  if (NROW(value) != n) {
    ferrolmm_abort(
      paste0("Variables differ in length: `", name, "` has length ", NROW(value), ", `",
             response, "` has length ", n, "."),
      "data", variable = name
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

#' @noRd
abort_variable_type <- function(value, name) {
  hint <- if (inherits(value, "POSIXlt")) {
    "Convert it with as.POSIXct()."
  } else if (is.data.frame(value)) {
    "Use as.matrix() for several columns, or name one column."
  } else if (is.function(value)) {
    "No variable of that name was found; is the name right?"
  } else if (is.complex(value)) {
    "Use Re(), Im() or Mod()."
  } else if (is.list(value)) {
    "Use unlist() or tidyr::unnest() first."
  }
  ferrolmm_abort(
    paste0("Variable `", name, "` cannot be used: it is ", describe_value(value), "."), "data",
    i = hint, variable = name
  )
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
  } else if (inherits(value, "POSIXlt")) {
    "of class POSIXlt (a list)"
  } else if (is.list(value)) {
    "a list"
  } else if (is.object(value)) {
    paste0("of class ", class(value)[1L])
  } else {
    paste0("of type ", typeof(value))
  }
}

#' Evaluate `weights`, `offset` or `subset` as lm() does: in the data, then where the formula was
#' made; where that fails, from the place of the call.
#' @noRd
evaluate_argument <- function(argument, role, data, env, caller) {
  first <- tryCatch(evaluate_labelled(argument$expr, data, env), error = identity)
  if (usable_value(first)) {
    return(first)
  }
  second <- tryCatch(eval(argument$expr, data, caller), error = identity)
  if (usable_value(second)) {
    return(second)
  }
  third <- argument$value()
  if (usable_value(third)) {
    return(third)
  }
  if (is.function(first)) {
    ferrolmm_abort(paste0("`", role, "` is a function, it must be a vector."), role)
  }
  missing <- setdiff(all.vars(argument$expr), names(data))
  ferrolmm_abort(
    paste0("`", role, "` could not be evaluated: ", conditionMessage(first), "."), role,
    i = if (length(missing)) did_you_mean(missing[1L], names(data))
  )
}

#' @noRd
usable_value <- function(x) !inherits(x, "error") && !is.function(x)

#' Check `weights` and `offset`: a numeric vector with a value for each row
#' @noRd
check_row_argument <- function(value, role, n) {
  if (is.null(value)) {
    return(NULL)
  }
  value <- plain_values(value)
  if (!is.numeric(value) || is.factor(value) || is_integer64(value)) {
    ferrolmm_abort(
      paste0("`", role, "` must be a numeric vector, it is ", describe_value(value), "."), role,
      i = if (is.character(value) && length(value) == 1L) {
        paste0("To use the column ", value, " write ", role, " = ", value, ".")
      }
    )
  }
  if (!is.null(dim(value)) && NCOL(value) != 1L) {
    ferrolmm_abort(paste0("`", role, "` must be a vector, it is a matrix."), role)
  }
  if (length(value) != n) {
    ferrolmm_abort(
      paste0("`", role, "` has length ", length(value), ", the data have ", count_of(n, "row"),
             "."),
      role
    )
  }
  value <- as.double(value)
  if (role == "weights") {
    check_weights(value)
  }
  value
}

#' @noRd
check_weights <- function(w) {
  if (isTRUE(min(w) >= 0 && max(w) < Inf)) {
    return(invisible())
  }
  if (any(w < 0, na.rm = TRUE)) {
    ferrolmm_abort(
      paste0("`weights` has negative values, the first in row ", which(w < 0)[1L], "."),
      "weights", i = "Weights are precisions: Var(y) = sigma^2 / weights."
    )
  }
  if (any(w == Inf, na.rm = TRUE)) {
    ferrolmm_abort(
      paste0("`weights` is infinite (Inf) in row ", which(w == Inf)[1L], "."), "weights"
    )
  }
}

#' Rows that `subset` and positive weights leave, or NULL for all of them
#' @noRd
used_rows <- function(weights, subset, data, n, env, caller) {
  rows <- NULL
  if (!is.null(subset)) {
    value <- evaluate_argument(subset, "subset", data, env, caller)
    rows <- subset_rows(value, n, data)
  }
  if (!is.null(weights) && !isTRUE(min(weights) > 0)) {
    zero <- !is.na(weights) & weights == 0
    if (any(zero)) {
      rows <- if (is.null(rows)) which(!zero) else rows[!zero[rows]]
      if (length(rows) == 0L) {
        ferrolmm_abort("No row is left: all `weights` are zero.", "weights")
      }
    }
  }
  rows
}

#' Row numbers from a logical (NA: not used), numeric or character `subset`
#' @noRd
subset_rows <- function(value, n, data) {
  if (is.null(value)) {
    return(NULL)
  }
  if (is.logical(value)) {
    if (length(value) == 1L) {
      # one answer for all rows, as in lm()
      value <- rep.int(value, n)
    }
    if (length(value) != n) {
      ferrolmm_abort(
        paste0("`subset` has length ", length(value), ", the data have ", count_of(n, "row"),
               "."),
        "subset"
      )
    }
    return(if (isTRUE(all(value))) NULL else which(value))
  }
  if (is.character(value)) {
    value <- match(value, if (is.data.frame(data)) row.names(data) else seq_len(n))
  }
  if (!is.numeric(value) || is.factor(value)) {
    ferrolmm_abort(
      paste0("`subset` must be logical, or numbers or names of rows; it is ",
             describe_value(value), "."),
      "subset"
    )
  }
  if (anyNA(value) || any(abs(value) > n) || (any(value < 0) && any(value > 0))) {
    ferrolmm_abort(
      paste0("`subset` names rows that do not exist; the data have ", count_of(n, "row"), "."),
      "subset"
    )
  }
  seq_len(n)[value]
}

#' @noRd
check_any_rows <- function(n, data, rows, subset) {
  if (n > 0L) {
    return(invisible())
  }
  if (!is.null(subset) && !is.null(rows)) {
    ferrolmm_abort("No row is left: `subset` is true for no row.", "subset")
  }
  ferrolmm_abort("There is no data: `data` has 0 rows.", "data")
}

#' @noRd
take_rows <- function(x, rows) {
  if (is.matrix(x)) x[rows, , drop = FALSE] else x[rows]
}

#' Row names as the data have them, in R's compact form where they are automatic
#' @noRd
frame_row_names <- function(data, n) {
  if (is.data.frame(data) && .row_names_info(data, 2L) == n) {
    .row_names_info(data, 0L)
  } else {
    .set_row_names(n)
  }
}

#' @noRd
take_row_names <- function(row_names, rows) {
  if (is.integer(row_names) && is.na(row_names[1L])) {
    kept <- rows
  } else {
    kept <- row_names[rows]
  }
  if (anyDuplicated(kept)) make.unique(as.character(kept)) else kept
}

#' Names of the variables that only serve to group: infinite values are levels there
#' @noRd
leaf_names <- function(bars) {
  names <- character()
  for (bar in bars) {
    for (group in bar$groups) names <- c(names, variable_names(group$leaves))
  }
  names
}

#' Rows from which the engine looks at columns faster than R
#' @noRd
many_rows <- 2000L

#' Is nothing missing or infinite in a column, and has each level of a factor a row?
#'
#' @returns list(complete, all_used), logical; `all_used` NULL where nobody looked
#' @noRd
look_at_columns <- function(columns, n, threads) {
  if (n < many_rows) {
    return(list(complete = vapply(columns, all_finite, NA), all_used = NULL))
  }
  complete <- all_used <- rep.int(TRUE, length(columns))
  names(complete) <- names(columns)
  by_engine <- vapply(columns, typeof, "") %in% c("double", "integer")
  complete[!by_engine] <- vapply(columns[!by_engine], all_finite, NA)
  found <- engine_scan(columns[by_engine], threads)
  complete[by_engine] <- found$complete
  all_used[by_engine] <- found$all_used
  list(complete = complete, all_used = all_used)
}

#' Apply na.action where something is missing, and refuse what is infinite
#' @noRd
drop_missing <- function(columns, row_names, n, na_action, skip, complete) {
  suspect <- !complete
  if (any(suspect)) {
    missing <- lapply(columns[suspect], is_missing_row)
    if (any(vapply(missing, any, NA))) {
      frame <- as_frame(columns, row_names)
      frame <- handle_missing(frame, na_action, missing)
    } else {
      frame <- as_frame(columns, row_names)
    }
    check_finite(frame, setdiff(names(columns)[suspect], skip))
    return(frame)
  }
  as_frame(columns, row_names)
}

#' A sum is finite unless something is missing or infinite (or it overflows, which a second look
#' settles)
#' @noRd
all_finite <- function(x) {
  if (!is.double(x)) {
    return(!anyNA(x))
  }
  if (is.object(x)) {
    x <- unclass(x)
  }
  is.finite(sum(x))
}

#' @noRd
is_missing_row <- function(x) {
  missing <- is.na(x)
  if (is.matrix(missing)) rowSums(missing) > 0 else missing
}

#' @noRd
as_frame <- function(columns, row_names) {
  attr(columns, "row.names") <- row_names
  class(columns) <- "data.frame"
  columns
}

#' @noRd
handle_missing <- function(frame, na_action, missing) {
  known <- match_na_action(na_action)
  if (known == "fail" || known == "pass") {
    abort_missing(missing, known)
  }
  if (known == "") {
    frame <- na_action(frame)
    left <- names(frame)[vapply(frame, anyNA, NA)]
    if (length(left)) {
      abort_missing(lapply(frame[left], is_missing_row), "left")
    }
  } else {
    frame <- omit_rows(frame, Reduce(`|`, missing), known)
  }
  if (.row_names_info(frame, 2L) == 0L) {
    abort_all_missing(missing)
  }
  frame
}

#' The `na.action` argument or option as a function; NULL lets missing values pass
#' @noRd
find_na_action <- function(na_action) {
  if (is.null(na_action)) {
    return(stats::na.pass)
  }
  if (is.character(na_action) && length(na_action) == 1L && nzchar(na_action)) {
    na_action <- get0(na_action, mode = "function", envir = globalenv())
  }
  if (!is.function(na_action)) {
    ferrolmm_abort(
      "`na.action` must be a function such as na.omit, na.exclude or na.fail.", "argument"
    )
  }
  na_action
}

#' @noRd
match_na_action <- function(action) {
  known <- list(
    omit = stats::na.omit, exclude = stats::na.exclude, fail = stats::na.fail,
    pass = stats::na.pass
  )
  for (name in names(known)) {
    if (identical(action, known[[name]])) {
      return(name)
    }
  }
  ""
}

#' Drop rows as na.omit() does on a data frame, in one step
#' @noRd
omit_rows <- function(frame, drop, kind) {
  omitted <- which(drop)
  row_names <- attr(frame, "row.names")
  names(omitted) <- as.character(row_names[omitted])
  class(omitted) <- kind
  rows <- which(!drop)
  columns <- lapply(unclass(frame), take_rows, rows)
  frame <- as_frame(columns[names(frame)], row_names[rows])
  attr(frame, "na.action") <- omitted
  frame
}

#' @noRd
abort_missing <- function(missing, why) {
  count <- vapply(missing, sum, 0L)
  count <- count[count > 0L]
  ferrolmm_abort(
    switch(why,
      fail = "There are missing values, and `na.action` is na.fail.",
      pass = "There are missing values (NA), and `na.action` lets them pass.",
      left = "There are missing values (NA) left after `na.action`."
    ),
    "missing",
    x = paste0("`", names(count), "`: ", vapply(count, count_of, "", "missing value")),
    i = "Use na.action = na.omit or na.exclude to leave these rows out."
  )
}

#' @noRd
abort_all_missing <- function(missing) {
  all_na <- names(missing)[vapply(missing, all, NA)]
  ferrolmm_abort(
    "No row without missing values (NA) is left.", "missing",
    x = if (length(all_na)) {
      paste0(quote_names(all_na), if (length(all_na) > 1L) " are" else " is",
             " missing in all rows.")
    } else {
      paste0("Variables with missing values: ", quote_names(names(missing)), ".")
    }
  )
}

#' @noRd
check_finite <- function(frame, names) {
  for (name in names) {
    x <- frame[[name]]
    if (is.double(x) && !all(is.finite(x))) {
      row <- which(rowSums(!is.finite(as.matrix(x))) > 0)[1L]
      label <- if (startsWith(name, "(")) gsub("[()]", "", name) else name
      value <- as.matrix(x)[row, ]
      value <- value[!is.finite(value)][1L]
      name_of_row <- attr(frame, "row.names")[row]
      if (is.character(name_of_row)) {
        name_of_row <- paste0("\"", name_of_row, "\"")
      }
      ferrolmm_abort(
        paste0("`", label, "` is not finite: it is ", value, " in row ", name_of_row, "."),
        "not_finite",
        i = "Leave that row out, or correct the variable.", variable = label
      )
    }
  }
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

#' Levels of a factor of the frame, those that no row has included
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

#' `[[<-.data.frame` without its checks
#' @noRd
set_column <- function(frame, k, value) {
  class <- class(frame)
  class(frame) <- NULL
  frame[[k]] <- value
  class(frame) <- class
  frame
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
