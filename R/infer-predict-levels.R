# predict(level =): the level of an interval, or levels of grouping as in 'nlme'.

#' The levels of grouping that a prediction asks for; NULL where `level` is that of an interval
#'
#' @param default is `level` the default, as the user gave none?
#' @noRd
grouping_of_prediction <- function(object, level, default, interval, re_form) {
  whole <- is.character(level) || is.numeric(level) && isTRUE(all(level == trunc(level)))
  if (interval != "none") {
    if (whole) {
      ferrolmm_abort(
        paste0("With an interval `level` is its probability, between 0 and 1",
               describe_given(level), "."),
        "argument", i = "`re.form` chooses random effects: NA for the population."
      )
    }
    check_level(level)
    return(NULL)
  }
  if (default) {
    return(NULL)
  }
  if (is.numeric(level) && !whole) {
    ferrolmm_abort(
      paste0("`level` is that of an interval, and there is none to predict",
             describe_given(level), "."),
      "argument",
      i = c(
        "interval = \"confidence\" or \"prediction\" asks for one.",
        "Whole numbers are levels of grouping as in 'nlme': 0 for the population."
      )
    )
  }
  levels <- match_group_levels(level, object)
  if (!is.null(re_form)) {
    ferrolmm_abort(
      "`level` and `re.form` both choose random effects: leave one of them out.", "argument"
    )
  }
  levels
}

#' Predictions for several levels of grouping as a data frame: groups, and a column for each level
#'
#' @param predict a function of a level that returns its predictions.
#' @noRd
predict_levels <- function(object, newdata, levels, predict) {
  values <- lapply(levels, predict)
  names(values) <- paste0("predict.", names(levels))
  known <- group_levels(object)
  groups <- lapply(levels[levels > 0L], function(level) {
    factor <- known$factors[[level]][[1L]]
    codes <- if (is.null(newdata)) {
      stats::naresid(object$na.action, name_rows(object$flist[[factor]], object))
    } else {
      new_groups(object, newdata, factor)
    }
    codes[match(names(values[[1L]]), names(codes))]
  })
  data.frame(
    c(lapply(groups, unname), lapply(values, unname)), row.names = names(values[[1L]]),
    check.names = FALSE
  )
}

#' The groups of new rows, as a factor named by row, whose first levels are those of the fit
#' @noRd
new_groups <- function(object, newdata, factor) {
  newdata <- check_newdata(newdata)
  term <- object$random[[terms_of_factor(object, factor)[[1L]]]]
  frame <- new_frame(object, newdata, as.character(term$leaves))
  known <- levels(object$flist[[factor]])
  labels <- known[match_groups(object$keys[[factor]], unclass(frame)[term$leaves])]
  new <- is.na(labels)
  labels[new] <- group_names(unclass(frame)[term$leaves])[new]
  factor <- factor(labels, levels = unique(c(known, labels[!is.na(labels)])))
  stats::setNames(factor, row.names(newdata))
}
