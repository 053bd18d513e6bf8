# Variables inside calls: evaluated with their labels, remembered by kind, converted in new data.

#' Variables of the formula that are not in the data, and whose class hides something
#' @noRd
outside_variables <- function(expressions, data, env) {
  known <- if (is.list(data)) names(data)
  names <- character()
  for (expression in expressions) {
    if (!(is.symbol(expression) && as.character(expression) %in% known)) {
      names <- c(names, variables_of(expression))
    }
  }
  names <- names[!names %in% known]
  if (length(names)) {
    found <- lapply(names, get0, envir = if (is.environment(data)) data else env)
    names(found) <- names
    found[hidden_columns(found)]
  }
}

#' Evaluate a call, with the classes of labelled variables where its functions know them
#'
#' as_factor() needs the class; arithmetic fails with it where 'haven' is not loaded.
#' @noRd
evaluate_labelled <- function(expression, data, env) {
  tryCatch(
    eval(expression, data, env),
    error = function(e) {
      names <- variables_of(expression)
      values <- lapply(stats::setNames(names, names), function(name) {
        if (is.list(data) && name %in% names(data)) .subset2(data, name) else get0(name, env)
      })
      values <- values[vapply(values, is_labelled, NA)]
      if (length(values) == 0L) {
        stop(e)
      }
      eval(expression, c(lapply(values, plain_values), as.list(data)), env)
    }
  )
}

#' Is any variable of the formula a call?
#' @noRd
any_calls <- function(expressions) {
  for (expression in expressions) {
    if (is.call(expression)) {
      return(TRUE)
    }
  }
  FALSE
}

#' The variables of calls in the formula that have one value per row
#' @noRd
call_variables <- function(expressions, data, env, n) {
  calls <- Filter(is.call, expressions)
  names <- unique(as.character(unlist(lapply(calls, variables_of))))
  values <- lapply(stats::setNames(names, names), function(name) {
    value <- if (is.list(data)) .subset2(data, name)
    if (is.null(value)) get0(name, if (is.environment(data)) data else env) else value
  })
  values[vapply(values, NROW, 1L) == n]
}

#' What they were, as vectors of length zero
#'
#' as.integer(g) of a factor is the number of a level among *its* levels: a column of new data gets
#' those of the fit before the call is evaluated.
#' @noRd
input_prototypes <- function(variables) {
  usable <- vapply(variables, function(x) is.atomic(x) && is.null(dim(x)), NA)
  lapply(variables[usable], function(x) x[0L])
}

#' New data with the variables of a call as they were in the fit
#' @noRd
convert_inputs <- function(newdata, expression, prototypes) {
  for (name in intersect(variables_of(expression), names(prototypes))) {
    value <- newdata[[name]]
    if (!is.null(value)) {
      newdata[[name]] <- convert_input(value, prototypes[[name]], name)
    }
  }
  newdata
}

#' @noRd
convert_input <- function(value, prototype, name) {
  if (is.logical(value) && all(is.na(value))) {
    return(prototype[rep.int(NA_integer_, length(value))])
  }
  if (!is.atomic(value)) {
    abort_type(value, prototype, name)
  }
  if (!is.null(dim(value))) {
    return(value)
  }
  kind <- level_kind(plain_values(prototype))
  own <- level_kind(plain_values(value))
  if (kind == "text") {
    if (!own %in% c("text", "number", "logical")) {
      abort_type(value, prototype, name)
    }
    labels <- value_labels(plain_values(value))
    if (!is.factor(prototype)) {
      return(labels)
    }
    known <- levels(prototype)
    if (own == "number") {
      spelled <- known[match_to_text(
        as.double(plain_values(value)), own, list(values = known), value, name
      )]
      labels[!is.na(spelled)] <- spelled[!is.na(spelled)]
    }
    all <- c(known, setdiff(labels, c(known, NA)))
    return(structure(match(labels, all), levels = all, class = class(prototype)))
  }
  if (own == "text" && kind == "number") {
    text <- as.character(value)
    numbers <- text_numbers(text)
    if (anyNA(numbers[!is.na(text)])) {
      abort_type(value, prototype, name)
    }
    return(convert_storage(numbers, prototype))
  }
  if (own != kind) {
    abort_type(value, prototype, name)
  }
  if (inherits(prototype, "difftime")) {
    units(value) <- units(prototype)
  }
  if (inherits(prototype, "POSIXct")) {
    attr(value, "tzone") <- attr(prototype, "tzone")
  }
  convert_storage(value, prototype)
}

#' Whole numbers as the fit stored them, if nothing is lost: 100000L is "100000" as text, and 1e5 is
#' "1e+05"
#'
#' @param partly make those integers that can be, and NA of the others?
#' @noRd
convert_storage <- function(value, prototype, partly = FALSE) {
  if (is.integer(value) && is.double(prototype)) {
    storage.mode(value) <- "double"
  } else if (is.double(value) && is.integer(prototype) && !is_integer64(value)) {
    numbers <- as.double(unclass(value))
    whole <- is.na(numbers) | numbers == trunc(numbers) & abs(numbers) < 2^31
    if (partly) value[!whole] <- NA
    if (partly || all(whole)) storage.mode(value) <- "integer"
  }
  value
}

#' Text or a factor from an expression, of integers in the fit and of numbers in new data of which
#' some are whole: these as integers
#'
#' @param value the values of the expression of `newdata`; `evaluate` a function that evaluates it.
#' @noRd
text_of_integers <- function(value, evaluate, newdata, expression, prototypes) {
  if (!is.factor(value) && !is.character(value)) {
    return(value)
  }
  partly <- newdata
  whole <- rep.int(TRUE, nrow(newdata))
  for (name in intersect(variables_of(expression), names(prototypes))) {
    column <- newdata[[name]]
    if (is.double(column) && is.integer(prototypes[[name]]) && is.null(dim(column))) {
      partly[[name]] <- convert_storage(column, prototypes[[name]], partly = TRUE)
      whole <- whole & !is.na(partly[[name]])
    }
  }
  if (all(whole) || !any(whole) || length(value) != length(whole)) {
    return(value)
  }
  text <- as.character(value)
  text[whole] <- as.character(evaluate(partly))[whole]
  text
}
