#' Predict from a mixed model
#'
#' Predictions for the rows of the fit or for new ones: of the population (fixed effects only), of
#' the levels of the grouping factors (all random effects), or with some of the random effects.
#'
#' @param object A model fitted by [lmm()].
#' @param newdata A data frame with the variables of the prediction. By default the rows of the fit.
#'   Grouping variables are needed only for the random effects that are included.
#' @param re.form Which random effects to include: `NULL`, all; `NA` or `~0`, none; a one-sided
#'   formula of bar terms, these (`~ (1 | g)` takes the intercepts of `g` and leaves its slopes).
#' @param random.only Only the random effects: no fixed effects, no offset?
#' @param allow.new.levels Levels of grouping factors that the fit has not seen, or missing ones:
#'   random effects of zero (`TRUE`) or an error (`FALSE`)?
#' @param na.action What to do with rows with missing values in the variables needed: `na.pass`
#'   predicts `NA`, `na.omit` leaves them out, `na.exclude` puts `NA` back, `na.fail` is an error.
#' @param type Not used: link and response are the same in a linear mixed model.
#' @param ... Not used; `numderiv =` is accepted, any other argument is an error.
#' @returns A vector with one number for each row, named by row.
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' head(predict(fit))
#' new <- data.frame(age = 16, Subject = c("M01", "F01", "new"))
#' predict(fit, new, re.form = NA)
#' predict(fit, new, allow.new.levels = TRUE)
#' predict(fit, new, re.form = ~ (1 | Subject), allow.new.levels = TRUE)
#' @importFrom stats predict
#' @export
predict.lmm <- function(object, newdata = NULL, re.form = NULL,
                        random.only = FALSE,
                        allow.new.levels = FALSE,
                        na.action = stats::na.pass,
                        type = c("response", "link"), ...) {
  check_predict_dots(...)
  parts <- select_random(object, re.form)
  if (is.null(newdata)) {
    omitted <- object$na.action
    if (!missing(na.action) && !is.null(omitted)) {
      class(omitted) <- class(attr(match.fun(na.action)(NA), "na.action"))
    }
    values <- name_rows(predict_training(object, parts, random.only), object)
    return(stats::napredict(omitted, values))
  }
  predict_new(object, newdata, parts, random.only, allow.new.levels, match.fun(na.action))
}

#' @noRd
check_predict_dots <- function(...) {
  unknown <- setdiff(...names(), "numderiv")
  if (...length() > length(...names()) || length(unknown) > 0L) {
    ferrolmm_abort(
      paste0("`predict()` of an lmm has no argument ",
             if (length(unknown) > 0L) quote_names(unknown) else "without a name here", "."),
      "argument",
      i = "Its arguments are described in ?predict.lmm."
    )
  }
}

# Which random effects ----------------------------------------------------------------------------

#' The random effects that `re.form` asks for
#'
#' @returns list of list(term = index of a term, effects = which of its columns)
#' @noRd
select_random <- function(object, re_form) {
  if (is.null(re_form)) {
    return(lapply(seq_along(object$random), function(i) {
      list(term = i, effects = seq_along(object$random[[i]]$cnms))
    }))
  }
  if (is_no_random(re_form)) {
    return(list())
  }
  if (!inherits(re_form, "formula")) {
    ferrolmm_abort(
      "`re.form` must be NULL, NA or a one-sided formula of random-effects terms.", "argument",
      i = "As in predict(fit, re.form = ~ (1 | g))."
    )
  }
  merge_selected(do.call(c, lapply(requested_terms(re_form), select_term, object = object)))
}

#' NA, ~0 and ~NA stand for no random effects
#' @noRd
is_no_random <- function(re_form) {
  if (inherits(re_form, "formula")) {
    side <- re_form[[length(re_form)]]
    return(length(re_form) == 2L && (identical(side, 0) || identical(side, NA)))
  }
  is.atomic(re_form) && length(re_form) == 1L && is.na(re_form)
}

#' Bar terms of a one-sided formula, one element for each left side and grouping factor
#' @noRd
requested_terms <- function(re_form) {
  parts <- split_random(re_form[[length(re_form)]])
  if (length(parts$bars) == 0L) {
    ferrolmm_abort(
      paste0("`re.form` has no random-effects term: ", code_label(re_form), "."), "argument",
      i = "Write it as in ~ (1 | g), or re.form = NA for no random effects."
    )
  }
  bars <- lapply(parts$bars, parse_bar)
  do.call(c, lapply(bars, function(bar) {
    lapply(bar$groups, function(group) list(lhs = bar$lhs, group = group$name))
  }))
}

#' The terms of the model and their columns that one requested term stands for
#' @noRd
select_term <- function(requested, object) {
  same_group <- which(vapply(object$random, function(term) {
    same_interaction(term$group, requested$group)
  }, NA))
  if (length(same_group) == 0L) {
    abort_not_in_model(requested, object)
  }
  wanted <- left_side_names(requested$lhs, object)
  found <- lapply(same_group, function(i) {
    list(term = i, effects = which(object$random[[i]]$cnms %in% wanted))
  })
  names <- unlist(lapply(found, function(one) object$random[[one$term]]$cnms[one$effects]))
  if (!all(wanted %in% names)) {
    abort_not_in_model(requested, object)
  }
  found[lengths(lapply(found, `[[`, "effects")) > 0L]
}

#' @noRd
same_interaction <- function(a, b) {
  identical(a, b) ||
    setequal(strsplit(a, ":", fixed = TRUE)[[1L]], strsplit(b, ":", fixed = TRUE)[[1L]])
}

#' Names of the columns that the left side of a bar stands for
#' @noRd
left_side_names <- function(lhs, object) {
  if (is.numeric(lhs)) {
    return("(Intercept)")
  }
  row <- object$frame[1L, , drop = FALSE]
  attr(row, "terms") <- attr(object$frame, "terms")
  tryCatch(
    colnames(stats::model.matrix(stats::as.formula(call("~", lhs)), row)),
    error = function(e) {
      ferrolmm_abort(
        paste0("`re.form` has a term that the model has not: ", code_label(lhs), "."), "argument",
        x = conditionMessage(e)
      )
    }
  )
}

#' @noRd
abort_not_in_model <- function(requested, object) {
  asked <- paste0("(", code_label(requested$lhs), " | ", requested$group, ")")
  has <- vapply(object$random, function(term) paste0("(", term$label, ")"), "")
  ferrolmm_abort(
    paste0("`re.form` asks for random effects that the model has not: ", asked, "."), "argument",
    i = paste0("The model has ", quote_names(has), ".")
  )
}

#' A term asked for twice counts once
#' @noRd
merge_selected <- function(parts) {
  terms <- vapply(parts, `[[`, 1L, "term")
  lapply(unique(terms), function(term) {
    effects <- unlist(lapply(parts[terms == term], `[[`, "effects"))
    list(term = term, effects = sort(unique(effects)))
  })
}

# Values ------------------------------------------------------------------------------------------

#' Predictions for the rows of the fit. What is stored is used: fixed part = fitted - random part
#' @noRd
predict_training <- function(object, parts, random_only) {
  everything <- length(parts) == length(object$random) &&
    all(lengths(lapply(parts, `[[`, "effects")) == lengths(object$cnms))
  if (everything && !random_only) {
    return(object$fitted.values)
  }
  random <- numeric(nobs.lmm(object))
  for (part in parts) {
    codes <- as.integer(object$flist[[object$random[[part$term]]$factor]])
    random <- random + random_part(object, part, object$frame, codes)
  }
  if (random_only) random else random + fixed_part(object, object$frame, object$offset)
}

#' X beta + offset
#' @noRd
fixed_part <- function(object, frame, offset) {
  kept <- kept_columns(object)
  x <- fixed_matrix(object$terms, frame, object$contrasts)
  values <- drop(x[, kept, drop = FALSE] %*% unname(object$coefficients[kept]))
  values <- as.vector(values)
  if (is.null(offset)) values else values + offset
}

#' Contribution of the chosen effects of one term; zero where the code is NA
#' @noRd
random_part <- function(object, part, frame, codes) {
  modes <- term_modes(object, part$term)
  columns <- term_columns(object$random[[part$term]], frame)
  values <- numeric(length(codes))
  for (j in part$effects) {
    effect <- modes[codes, j]
    values <- values + if (is.null(columns[[j]])) effect else effect * columns[[j]]
  }
  values[is.na(codes)] <- 0
  values
}

#' Predictions for new rows
#' @noRd
predict_new <- function(object, newdata, parts, random_only, allow_new_levels, na_action) {
  newdata <- check_newdata(newdata)
  chosen <- object$random[vapply(parts, `[[`, 1L, "term")]
  frame <- new_frame(object, newdata, prediction_columns(object, chosen, random_only))
  groups <- unique(unlist(lapply(chosen, `[[`, "leaves")))
  missing <- missing_rows(frame, setdiff(names(frame), groups))
  if (drops_missing(na_action)) {
    missing <- missing | missing_rows(frame, groups)
  }
  omitted <- apply_na_action(missing, row.names(newdata), na_action)
  if (length(omitted) > 0L) {
    frame <- keep_rows(frame, -omitted)
    newdata <- newdata[-omitted, , drop = FALSE]
  }
  values <- numeric(nrow(frame))
  for (part in parts) {
    codes <- new_codes(object, object$random[[part$term]], frame, allow_new_levels)
    values <- values + random_part(object, part, frame, codes)
  }
  if (!random_only) {
    values <- values + fixed_part(object, frame, new_offset(object, frame, newdata))
  }
  names(values) <- row.names(newdata)
  stats::napredict(omitted, values)
}

#' Codes of the levels of a term's grouping factor in new rows; NA for a level that is new
#' @noRd
new_codes <- function(object, term, frame, allow_new_levels) {
  labels <- lapply(frame[term$leaves], as.character)
  keys <- do.call(paste, c(unname(labels), sep = ":"))
  keys[missing_rows(frame, term$leaves)] <- NA
  codes <- match(keys, levels(object$flist[[term$factor]]))
  if (anyNA(codes) && !allow_new_levels) {
    abort_new_levels(unique(keys[is.na(codes)]), term$group)
  }
  codes
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
  value <- tryCatch(
    eval(argument, newdata, environment(full_formula(object))),
    error = function(e) abort_evaluation("offset", argument, newdata, e)
  )
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
