# Variables of the model frame: evaluated, and of a kind that a model can use.

#' Options that shape a fit: how factors are coded, which rows are left out, numbers as text
#' @noRd
fit_options <- c("contrasts", "na.action", "scipen", "OutDec", "digits")

#' Where the variables of the expressions came from
#'
#' What has one value per row must be supplied in new data; everything else that an expression uses
#' (a centre, the knots of a spline, a function of the user's) is kept as it was in the fit.
#' Options that affect text (factor() of numbers, cut()), the coding of factors and missing values
#' are kept too.
#' @param places environments to look in, after the data.
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
    options = do.call(options, as.list(fit_options))
  )
}

#' What an expression uses that is not a column and does not have one value per row
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

#' Functions that an expression calls and that are not in any package
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

#' Two variables of the same name cannot be told apart: the column `log(x)` and the call log(x)
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
             if (is.null(data)) "." else " in `data` or in the environment of the formula."),
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

#' predvars: each call with what is needed to repeat it on new data (poly(), ns(), scale() ...)
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
