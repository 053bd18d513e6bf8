# New rows for a prediction: evaluated as the fit evaluated its own, checked, missing values
# handled.

#' @noRd
check_newdata <- function(newdata) {
  if (is.data.frame(newdata)) {
    twice <- names(newdata)[duplicated(names(newdata))]
    if (length(twice) > 0L) {
      ferrolmm_abort(
        paste0("`newdata` has duplicate columns called ", quote_names(unique(twice)), "."),
        "newdata", i = "Rename or remove all but one."
      )
    }
    return(readable_columns(as.data.frame(newdata)))
  }
  if (is.list(newdata) && length(names(newdata)) == length(newdata)) {
    return(readable_columns(as.data.frame(newdata, stringsAsFactors = FALSE)))
  }
  ferrolmm_abort(
    paste0("`newdata` must be a data frame, it is of class ", class(newdata)[[1L]], "."),
    "newdata"
  )
}

#' Columns of the model frame that a prediction needs
#' @noRd
prediction_columns <- function(object, chosen, random_only) {
  fixed <- if (!random_only) variable_columns(object$terms)[-1L]
  sides <- lapply(chosen, function(term) {
    if (is.numeric(term$lhs)) {
      return(NULL)
    }
    variable_columns(stats::terms(stats::as.formula(call("~", term$lhs))))
  })
  unique(c(
    fixed, unlist(sides), unlist(lapply(chosen, `[[`, "leaves")), member_columns(chosen)
  ))
}

#' Evaluate columns of the model frame for new rows, as the fit evaluated them
#'
#' `predvars` of the terms keeps what depends on the data (knots, means) at its value in the fit.
#' @noRd
new_frame <- function(object, newdata, columns) {
  terms <- attr(object$frame, "terms")
  expressions <- as.list(attr(terms, "predvars"))[-1L]
  names(expressions) <- variable_columns(terms)
  newdata <- set_missing_codes(newdata, attr(terms, "missing_codes"))
  smooth <- smooths_with_columns(object, columns)
  made <- if (length(smooth) > 0L) {
    new_smooth_columns(smooth, new_frame(object, newdata, smooth_sources(smooth)))
  }
  values <- lapply(columns, function(name) {
    if (name %in% names(made)) made[[name]] else
      new_column(name, expressions[[name]], object, newdata)
  })
  structure(
    values,
    names = columns, row.names = seq_len(nrow(newdata)), class = "data.frame",
    terms = terms
  )
}

#' One column, checked against the column of the fit
#' @noRd
new_column <- function(name, expression, object, newdata) {
  check_new_columns(expression, object, newdata)
  value <- new_values(name, expression, object, newdata)
  check_factor(value, name, "newdata")
  rows <- NROW(value)
  if (rows == 1L && nrow(newdata) != 1L && is.null(dim(value))) {
    value <- rep(value, nrow(newdata))
  } else if (rows != nrow(newdata)) {
    ferrolmm_abort(
      paste0("`", name, "` has ", count_of(rows, "value"), " in `newdata`, which has ",
             count_of(nrow(newdata), "row"), "."),
      "newdata"
    )
  }
  convert_column(
    value, object$frame[[name]], name,
    by_key = name %in% key_columns(object) && !name %in% value_columns(object)
  )
}

#' Values of an expression for new rows: evaluated, or looked up where it depends on all rows
#' @noRd
new_values <- function(name, expression, object, newdata) {
  terms <- attr(object$frame, "terms")
  table <- attr(terms, "tables")[[name]]
  if (!is.null(table)) {
    return(tabled_values(table, name, newdata))
  }
  evaluate <- function(newdata) {
    tryCatch(
      evaluate_new(expression, object, newdata),
      error = function(e) abort_evaluation("variable", name, newdata, e)
    )
  }
  if (!is.call(expression)) {
    return(evaluate(newdata))
  }
  prototypes <- attr(terms, "inputs")
  newdata <- convert_inputs(newdata, expression, prototypes)
  text_of_integers(evaluate(newdata), evaluate, newdata, expression, prototypes)
}

#' Columns of the frame whose levels new rows are matched to by their keys
#' @noRd
key_columns <- function(object) {
  correlation <- object$residual$correlation
  c(
    unlist(lapply(object$random, `[`, c("leaves", "by"))), correlation$group,
    unlist(lapply(correlation_axes(correlation), function(axis) {
      if (identical(axis$kind, "level")) axis$covariates
    })),
    unlist(lapply(object$residual$scales, `[[`, "stratum"))
  )
}

#' Columns of the frame whose values enter the model
#' @noRd
value_columns <- function(object) {
  residual <- object$residual
  sides <- lapply(object$random, function(term) {
    if (!is.numeric(term$lhs)) {
      variable_columns(stats::terms(stats::as.formula(call("~", term$lhs))))
    }
  })
  c(
    variable_columns(object$terms), unlist(sides), member_columns(object$random),
    smooth_sources(smooths_of(object)), residual$fixed,
    unlist(lapply(correlation_axes(residual$correlation), function(axis) {
      if (!identical(axis$kind, "level")) axis$covariates
    })),
    unlist(lapply(residual$scales, `[[`, "covariate"))
  )
}

#' Variables of an expression that new data must have: all except those that the fit keeps
#' @noRd
needed_columns <- function(expression, object) {
  setdiff(variables_of(expression), names(attr(object$frame, "sources")$constants))
}

#' What had one value per row in the fit must be a column
#' @noRd
check_new_columns <- function(expression, object, newdata) {
  absent <- setdiff(needed_columns(expression, object), names(newdata))
  if (length(absent) > 0L) {
    ferrolmm_abort(
      paste0("`newdata` has no column ", quote_names(absent), "."), "newdata",
      x = "The prediction needs it.",
      i = c(
        did_you_mean(absent[[1L]], names(newdata)),
        if (!any(absent %in% all.vars(object$terms))) {
          "For the population, without random effects: re.form = NA."
        }
      )
    )
  }
}

#' Evaluate an expression of the fit for new rows; whatever is not a column keeps its value of the
#' fit
#' @noRd
evaluate_new <- function(expression, object, newdata) {
  # a column is taken, not evaluated: names such as `...` and `..1` have a special meaning in R
  if (is.name(expression) && as.character(expression) %in% names(newdata)) {
    return(newdata[[as.character(expression)]])
  }
  sources <- attr(object$frame, "sources")
  before <- options(sources$options)
  on.exit(options(before))
  home <- list2env(sources$constants, parent = environment(full_formula(object)))
  evaluate_labelled(
    expression, unclass(newdata)[needed_columns(expression, object)], home
  )
}

#' @noRd
abort_evaluation <- function(what, name, newdata, error) {
  ferrolmm_abort(
    paste0("The ", what, " `", if (is.character(name)) name else code_label(name),
           "` cannot be evaluated in `newdata`."),
    "newdata",
    x = conditionMessage(error)
  )
}

#' Does this na.action drop rows?
#' @noRd
drops_missing <- function(na_action) {
  !identical(na_action, stats::na.pass)
}

#' Rows to drop, with the class that the na.action gives them; NULL for none
#' @noRd
apply_na_action <- function(missing, rows, na_action) {
  if (!any(missing)) {
    return(NULL)
  }
  indicator <- data.frame(x = ifelse(missing, NA, 0), row.names = rows)
  attr(na_action(indicator), "na.action")
}

#' Some rows of a frame, with its terms
#' @noRd
keep_rows <- function(frame, rows) {
  terms <- attr(frame, "terms")
  frame <- frame[rows, , drop = FALSE]
  attr(frame, "terms") <- terms
  frame
}

#' @noRd
abort_new_levels <- function(levels, group) {
  new <- levels[!is.na(levels)]
  ferrolmm_abort(
    if (length(new) > 0L) {
      paste0("`newdata` has new levels of the grouping factor `", group, "`: ",
             quote_names(new), ".")
    } else {
      paste0("`newdata` has missing values in the grouping factor `", group, "`.")
    },
    "newdata",
    i = c(
      "allow.new.levels = TRUE predicts for them with random effects of zero.",
      "re.form = NA predicts for the population, without random effects."
    )
  )
}
