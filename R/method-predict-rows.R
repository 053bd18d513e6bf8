# Rows of a prediction, of the fit or new: frame, codes of their levels, offset, fitted values.

#' The rows of the fit
#'
#' @param na_action the user's function, NULL for that of the fit.
#' @returns list(fitted (are they those of the fit?), frame, codes (of each part's grouping factor,
#'   NA for an unknown level; of mm() members, with `unknown`, see [new_members()]), offset, names,
#'   omitted (for napredict()))
#' @noRd
training_rows <- function(object, parts, na_action) {
  omitted <- object$na.action
  if (!is.null(na_action) && !is.null(omitted)) {
    class(omitted) <- class(attr(na_action(NA), "na.action"))
  }
  list(
    fitted = TRUE, frame = object$frame,
    codes = lapply(parts, function(part) own_codes(object, object$random[[part$term]]$factor)),
    offset = object$offset, names = row.names(object$frame), omitted = omitted
  )
}

#' New rows: as [training_rows()], with the rows that were left out because of missing values
#' @noRd
new_rows <- function(object, newdata, parts, random_only, allow_new_levels, na_action,
                     others = NULL) {
  newdata <- check_newdata(newdata)
  chosen <- object$random[vapply(parts, `[[`, 1L, "term")]
  columns <- unique(c(prediction_columns(object, chosen, random_only), others))
  groups <- unique(c(
    as.character(unlist(lapply(chosen, `[[`, "leaves"))),
    setdiff(class_columns(object, chosen, newdata), columns)
  ))
  frame <- new_frame(object, newdata, union(columns, groups))
  missing <- missing_rows(frame, setdiff(names(frame), groups))
  if (drops_missing(na_action)) {
    missing <- missing | missing_rows(frame, intersect(groups, columns))
  }
  omitted <- apply_na_action(missing, row.names(newdata), na_action)
  if (length(omitted) > 0L) {
    frame <- keep_rows(frame, -omitted)
    newdata <- newdata[-omitted, , drop = FALSE]
  }
  list(
    fitted = FALSE, frame = frame,
    codes = lapply(parts, function(part) {
      new_codes(object, object$random[[part$term]], frame, allow_new_levels)
    }),
    offset = if (!random_only) new_offset(object, frame, newdata),
    names = row.names(newdata), omitted = omitted
  )
}

#' Codes of the levels of a term's grouping factor in new rows; NA for a level that is new
#' @noRd
new_codes <- function(object, term, frame, allow_new_levels) {
  if (!is.null(term$members)) {
    return(new_members(object, term, frame, allow_new_levels))
  }
  codes <- match_groups(object$keys[[term$factor]], unclass(frame)[term$leaves])
  unknown <- is.na(codes)
  if (any(unknown) && !allow_new_levels) {
    new <- group_names(lapply(unclass(frame)[term$leaves], `[`, unknown))
    abort_new_levels(unique(new), term$group)
  }
  codes
}

#' Columns that tell of what class new levels are, as far as `newdata` has them: levels of the fit
#' have their classes
#' @noRd
class_columns <- function(object, chosen, newdata) {
  terms <- attr(object$frame, "terms")
  by <- unique(as.character(unlist(lapply(chosen, `[[`, "by"))))
  expressions <- as.list(attr(terms, "predvars"))[-1L][match(by, variable_columns(terms))]
  by[vapply(expressions, function(x) all(needed_columns(x, object) %in% names(newdata)), NA)]
}

#' The class of the level of each of some rows, whose levels may be new; NULL where a term has none
#'
#' @param at numbers of the rows.
#' @noRd
row_classes <- function(object, term, rows, at) {
  if (is.null(term$class_of)) {
    return(NULL)
  }
  codes <- if (rows$fitted) {
    as.integer(object$flist[[term$factor]])
  } else {
    new_codes(object, term, rows$frame, allow_new_levels = TRUE)
  }
  classes <- term$class_of[codes][at]
  new <- is.na(classes)
  if (any(new)) {
    frame <- rows$frame[at[new], , drop = FALSE]
    if (all(term$by %in% names(frame))) {
      classes[new] <- match_groups(term$class_key, unclass(frame)[term$by])
    }
    check_new_level_classes(term, frame, classes[new])
  }
  classes
}

#' @noRd
check_new_level_classes <- function(term, frame, classes) {
  by <- by_label(term)
  if (anyNA(classes)) {
    ferrolmm_abort(
      paste0("`newdata` does not say which covariances new levels of `", term$group, "` have."),
      "newdata", x = paste0("Those of (", term_words(term), ") differ by `", by, "`."),
      i = paste0("Levels of `", by, "` are ", quote_names(term$classes, 10L), ".")
    )
  }
  names <- group_names(unclass(frame)[term$leaves])
  if (!is_constant_within(classes, match(names, unique(names), incomparables = NA))) {
    ferrolmm_abort(
      paste0("`newdata` has new levels of `", term$group, "` with several values of `", by, "`."),
      "newdata", x = paste0("Those of (", term_words(term), ") have the covariances of one.")
    )
  }
}

#' The groups of rows by the labels of all variables that make them; NA where one is missing
#' @noRd
group_names <- function(leaves) {
  labels <- lapply(leaves, value_labels)
  names <- do.call(paste, c(unname(labels), sep = ":"))
  names[Reduce(`|`, lapply(labels, is.na))] <- NA
  names
}

#' Offset of new rows: that of the formula and that of the argument
#' @noRd
new_offset <- function(object, frame, newdata) {
  variables <- variable_columns(object$terms)
  offset <- 0
  for (i in attr(object$terms, "offset")) {
    offset <- offset + frame[[variables[[i]]]]
  }
  argument <- object$call$offset
  if (is.null(argument)) {
    return(offset)
  }
  check_new_columns(argument, object, newdata)
  value <- tryCatch(
    evaluate_new(argument, object, newdata),
    error = function(e) abort_evaluation("offset", argument, newdata, e)
  )
  value <- plain_values(value)
  if (!is.numeric(value) || is.object(value)) {
    ferrolmm_abort(
      paste0("The offset of the fit must be numeric in `newdata`, it is ", value_class(value), "."),
      "newdata"
    )
  }
  if (!length(value) %in% c(1L, nrow(newdata))) {
    ferrolmm_abort(
      paste0("The offset of the fit cannot be evaluated for `newdata`: ", code_label(argument),
             " has ", count_of(length(value), "value"), ", not ", nrow(newdata), "."),
      "newdata",
      i = "Put it into the formula, as offset(), and into `newdata`, as a column."
    )
  }
  offset + value
}

#' The frame of rows with the fitted values that variances depend on
#' @noRd
frame_with_fitted <- function(object, rows, means) {
  frame <- rows$frame
  if (depends_on_fitted(object$residual) && !rows$fitted) {
    frame[["(fitted)"]] <- unname(means)
  }
  frame
}
