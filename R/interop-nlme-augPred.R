#' Predicted curves of the groups, with the data
#'
#' Predictions along one variable for each group, beside the observations: `plot()` draws a panel
#' for each group, by the method of 'nlme', and [autoplot()][autoplot.lmm] does so by 'ggplot2'.
#' `comparePred()` has the predictions of two fits.
#'
#' Other variables are, in each group, at their mean, and factors and other values at the most
#' frequent one.
#'
#' @param object,object1,object2 A model fitted by [lmm()]; the second of `comparePred()` may be any
#'   fit that has an `augPred()` method.
#' @param primary The variable: its name, or a one-sided formula. It can be left out where the data
#'   are a `groupedData` object of 'nlme', which names it.
#' @param minimum,maximum The range of the variable; by default that of the data.
#' @param length.out The number of values.
#' @param level Levels of grouping, see [residuals.lmm()]; by default the innermost one.
#' @param ... Not used.
#' @returns A data frame of class `augPred`: the variable, `.groups`, the response, and `.type`,
#'   `"original"` for observations, otherwise the kind of prediction. For `comparePred()` it is also
#'   of class `comparePred`, and `.type` names the fits.
#' @seealso [predict.lmm()], [plot.lmm_pooling()]
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age * Sex + (age | Subject), Orthodont)
#' plot(augPred(fit, ~age, level = 0:1))
#' simple <- lmm(distance ~ age + (1 | Subject), Orthodont)
#' plot(comparePred(fit, simple, ~age))
#' @name augPred.lmm
#' @importFrom nlme augPred
#' @method augPred lmm
#' @export
augPred.lmm <- function(object, primary = NULL, minimum = min(primary), maximum = max(primary),
                        length.out = 51L, level = NULL, ...) {
  check_dots(...)
  length.out <- check_count(length.out, "length.out", 2L)
  object$na.action <- NULL
  data <- fit_data(object)
  variable <- primary_variable(primary, data)
  data <- as.data.frame(data)
  primary <- data[[variable]]
  check_end(minimum, "minimum")
  check_end(maximum, "maximum")
  known <- group_levels(object)
  if (is.null(level)) level <- length(known$names)
  levels <- match_group_levels(level, object)
  groups <- curve_groups(object, max(levels, 1L))
  grid <- seq(minimum, maximum, length.out = length.out)
  new <- typical_rows(data, groups)[rep(seq_len(nlevels(groups)), each = length.out), ,
                                    drop = FALSE]
  new[[variable]] <- rep.int(grid, nlevels(groups))
  row.names(new) <- NULL
  curves <- lapply(levels, function(level) unname(predict.lmm(object, new, level = level)))
  kinds <- if (length(levels) == 1L) "predicted" else paste0("predict.", names(levels))
  response <- code_label(full_formula(object)[[2L]])
  table <- data.frame(
    c(primary, rep.int(new[[variable]], length(levels))),
    c(as.character(groups), rep.int(rep(levels(groups), each = length.out), length(levels))),
    c(response_values(object), unlist(curves)),
    ordered(rep(c("original", kinds), c(length(groups), rep.int(nrow(new), length(levels)))),
            levels = c(kinds, "original"))
  )
  names(table) <- c(variable, ".groups", response, ".type")
  table$.groups <- factor(table$.groups, levels(groups), ordered = TRUE)
  label_curves(table, variable, full_formula(object)[[2L]], fit_data(object))
}

#' @noRd
check_end <- function(value, name) {
  if (!is.numeric(value) || length(value) != 1L || !is.finite(value)) {
    ferrolmm_abort(paste0("`", name, "` must be a number", describe_given(value), "."), "argument")
  }
}

#' The name of the variable that curves go along
#' @noRd
primary_variable <- function(primary, data) {
  if (is.null(primary)) {
    if (!inherits(data, "groupedData")) {
      ferrolmm_abort(
        "`primary` must name the variable to predict along.", "argument",
        i = "As in augPred(fit, ~ age): only groupedData() have one of their own."
      )
    }
    primary <- nlme::getCovariateFormula(data)
  }
  name <- if (inherits(primary, "formula") && length(primary) == 2L &&
                is.symbol(primary[[2L]])) {
    as.character(primary[[2L]])
  } else if (is.character(primary) && length(primary) == 1L) {
    primary
  }
  if (is.null(name) || !name %in% names(data) || !is.numeric(data[[name]]) || anyNA(data[[name]])) {
    ferrolmm_abort(
      "`primary` must name a numeric column of the data, without missing values.", "argument",
      x = if (!is.null(name)) paste0(quote_names(name), " is none."),
      i = if (!is.null(name)) did_you_mean(name, names(data))
    )
  }
  name
}

#' The groups of curves, in the order of their first row; an ordered factor keeps its order
#' @noRd
curve_groups <- function(object, level) {
  groups <- if (length(object$flist) > 0L) {
    getGroups.lmm(object, level = level)
  } else {
    getGroups.lmm(object)
  }
  if (is.null(groups)) {
    return(factor(rep.int("1", nobs.lmm(object))))
  }
  if (is.ordered(groups)) {
    return(droplevels(groups))
  }
  factor(as.character(groups), levels = unique(as.character(groups)))
}

#' A row for each group: means of numbers, most frequent values of all else
#' @noRd
typical_rows <- function(data, groups) {
  typical <- function(x) {
    rows <- split(seq_along(x), groups)
    if (is.numeric(x) && !is.object(x)) {
      return(vapply(rows, function(own) mean(x[own], na.rm = TRUE), 1))
    }
    x[vapply(rows, function(own) {
      distinct <- unique(x[own])
      own[[match(which.max(tabulate(match(x[own], distinct))), match(x[own], distinct))]]
    }, 1L)]
  }
  plain <- vapply(data, function(x) is.atomic(x) && is.null(dim(x)), NA)
  as.data.frame(lapply(unclass(data)[plain], typical), optional = TRUE)
}

#' Attributes that the plot method of 'nlme' takes
#' @noRd
label_curves <- function(table, variable, response, data) {
  labels <- list(x = variable, y = names(table)[[3L]])
  units <- list(x = "", y = "")
  if (inherits(data, "groupedData")) {
    labels[names(attr(data, "labels"))] <- attr(data, "labels")
    units[names(attr(data, "units"))] <- attr(data, "units")
  }
  structure(
    table, class = c("augPred", "data.frame"), labels = labels, units = units,
    formula = stats::as.formula(
      call("~", as.name(names(table)[[3L]]), call("|", as.name(variable), quote(.groups)))
    )
  )
}

#' @rdname augPred.lmm
#' @importFrom nlme comparePred
#' @method comparePred lmm
#' @export
comparePred.lmm <- function(object1, object2, primary = NULL, minimum = min(primary),
                            maximum = max(primary), length.out = 51L, level = NULL, ...) {
  check_dots(...)
  names <- c(code_label(substitute(object1)), code_label(substitute(object2)))
  if (names[[1L]] == names[[2L]]) names <- paste0(names, c(" (1)", " (2)"))
  if (length(level) > 1L) {
    ferrolmm_abort("comparePred() compares predictions of one `level`.", "argument")
  }
  arguments <- list(primary = primary, length.out = length.out)
  arguments$minimum <- if (!missing(minimum)) minimum
  arguments$maximum <- if (!missing(maximum)) maximum
  arguments$level <- level
  one <- do.call(nlme::augPred, c(list(object1), arguments))
  two <- do.call(nlme::augPred, c(list(object2), arguments))
  if (!setequal(levels(one$.groups), levels(two$.groups))) {
    ferrolmm_abort("The fits have different groups.", "argument")
  }
  types <- list(as.character(one$.type), as.character(two$.type))
  predicted <- types[[2L]] != "original"
  types[[1L]][types[[1L]] != "original"] <- names[[1L]]
  together <- data.frame(
    c(one[[1L]], two[[1L]][predicted]),
    factor(c(as.character(one$.groups), as.character(two$.groups)[predicted]),
           levels(one$.groups), ordered = TRUE),
    c(one[[3L]], two[[3L]][predicted]),
    ordered(c(types[[1L]], rep.int(names[[2L]], sum(predicted))), levels = c(names, "original"))
  )
  names(together) <- names(one)[1:4]
  structure(
    together, class = c("comparePred", "augPred", "data.frame"), labels = attr(one, "labels"),
    units = attr(one, "units"), formula = attr(one, "formula")
  )
}

#' @importFrom nlme augPred
#' @export
nlme::augPred

#' @importFrom nlme comparePred
#' @export
nlme::comparePred
