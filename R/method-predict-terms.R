# Which random effects a prediction has: `re.form`.

#' The random effects that `re.form` asks for, and those of smooths, which are of the population
#'
#' @returns list of list(term = index of a term, effects = which of its columns)
#' @noRd
select_random <- function(object, re_form) {
  if (is.null(re_form)) {
    return(lapply(seq_along(object$random), function(i) {
      list(term = i, effects = seq_along(object$random[[i]]$cnms))
    }))
  }
  smooths <- lapply(smooth_terms(object), function(t) list(term = t, effects = 1L))
  if (is_no_random(re_form)) {
    return(smooths)
  }
  if (!inherits(re_form, "formula")) {
    ferrolmm_abort(
      "`re.form` must be NULL, NA or a one-sided formula of random-effects terms.", "argument",
      i = "As in predict(fit, re.form = ~ (1 | g))."
    )
  }
  merge_selected(c(
    smooths,
    do.call(c, lapply(requested_terms(re_form, object), select_term, object = object))
  ))
}

#' Random effects without those of smooths
#' @noRd
parts_of_bars <- function(object, parts) {
  Filter(function(part) !part$term %in% smooth_terms(object), parts)
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

#' Bar terms of a formula, one element for each left side and grouping factor
#'
#' A response, such as that of formula(fit, random.only = TRUE), must be that of the model.
#' Everything else would be ignored, and is refused.
#' @noRd
requested_terms <- function(re_form, object) {
  if (length(re_form) == 3L && !identical(re_form[[2L]], full_formula(object)[[2L]])) {
    ferrolmm_abort(
      paste0("`re.form` has another response than the model: ", code_label(re_form), "."),
      "argument", i = "Write it as in ~ (1 | g)."
    )
  }
  parts <- split_random(bar_in_parentheses(re_form[[length(re_form)]]))
  if (length(parts$bars) == 0L) {
    ferrolmm_abort(
      paste0("`re.form` has no random-effects term: ", code_label(re_form), "."), "argument",
      i = "Write it as in ~ (1 | g), or re.form = NA for no random effects."
    )
  }
  if (!is.null(parts$fixed) && !is.numeric(parts$fixed)) {
    ferrolmm_abort(
      paste0("`re.form` may hold random-effects terms only, `", code_label(parts$fixed),
             "` is none."),
      "argument", x = paste0("In ", code_label(re_form), "."),
      i = "Terms are added in parentheses: ~ (1 | g) + (1 | h)."
    )
  }
  bars <- lapply(parts$bars, parse_bar)
  do.call(c, lapply(bars, function(bar) {
    known <- if (!is.null(bar$known)) code_label(bar$known$expr, 500L)
    lapply(bar$groups, function(group) {
      list(
        lhs = bar$lhs, group = group$name, leaves = variable_names(group$leaves), known = known,
        by = variable_names(bar$by), identity = identity_of_group(group)
      )
    })
  }))
}

#' The terms of the model and their columns that one requested term stands for
#'
#' A term without a known matrix is on another factor than one with it. So effects that are asked
#' for without a matrix are those of terms without one; where these do not have them, those of terms
#' with one; failing that, those of both together.
#' @noRd
select_term <- function(requested, object) {
  known <- lapply(object$random, function(term) term$known$label)
  same_group <- which(vapply(object$random, function(term) {
    setequal(identity_of_term(term), requested$identity) &&
      (length(requested$by) == 0L || setequal(term$by, requested$by))
  }, NA))
  exact <- vapply(known[same_group], identical, NA, requested$known)
  tries <- list(same_group[exact])
  if (is.null(requested$known)) {
    tries <- c(tries, list(same_group[!exact], same_group))
  }
  for (terms in tries) {
    found <- lapply(terms, function(i) {
      term <- object$random[[i]]
      wanted <- requested_keys(requested$lhs, object, term$contrasts)
      effects <- term_keys(term, object$frame)
      list(term = i, effects = which(effects %in% wanted), missing = setdiff(wanted, effects))
    })
    if (length(found) > 0L && length(Reduce(intersect, lapply(found, `[[`, "missing"))) == 0L) {
      found <- lapply(found, `[`, c("term", "effects"))
      return(found[lengths(lapply(found, `[[`, "effects")) > 0L])
    }
  }
  abort_not_in_model(requested, object)
}

#' Keys of the columns that the left side of a bar stands for, coded as in a term of the model
#' @noRd
requested_keys <- function(lhs, object, contrasts) {
  tryCatch(
    {
      variables <- stats::terms.formula(as.call(list(quote(`~`), lhs)))
      absent <- setdiff(variable_columns(variables), names(object$frame))
      if (length(absent) > 0L) {
        stop("the model has no variable ", quote_names(absent), call. = FALSE)
      }
      side_keys(lhs, object$frame, contrasts)
    },
    error = function(e) {
      ferrolmm_abort(
        paste0("`re.form` has a term that is not in the model: ", code_label(lhs), "."), "argument",
        x = conditionMessage(e)
      )
    }
  )
}

#' @noRd
abort_not_in_model <- function(requested, object) {
  asked <- paste0(
    "(", code_label(requested$lhs), " | ", requested$group, by_words(requested), ")"
  )
  has <- vapply(object$random, function(term) paste0("(", term_words(term), ")"), "")
  ferrolmm_abort(
    paste0("`re.form` has random effects that are not in the model: ", asked, "."), "argument",
    i = if (length(has)) paste0("The model has ", quote_names(has), ".") else
      "The model has no random effects."
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
