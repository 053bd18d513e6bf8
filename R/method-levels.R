# Levels of grouping as 'nlme' counts them: 0 is the population, 1 the outermost grouping factor, Q
# the innermost one.

#' The grouping factors from the outermost to the innermost
#'
#' Factors of the same groups, with a known matrix and without one, are one level.
#' @returns list(names, factors (positions in flist of each level's factors), nested: is each level
#'   nested in the one before it?)
#' @noRd
group_levels <- function(object) {
  if (length(object$flist) == 0L) {
    return(list(names = character(), factors = list(), nested = logical()))
  }
  refuse_members_of(object, "Levels of grouping")
  groups <- vapply(seq_along(object$flist), function(i) {
    term <- object$random[[terms_of_factor(object, i)[[1L]]]]
    paste(sort(as.character(term$leaves)), collapse = "\r")
  }, "")
  factors <- unname(split(seq_along(groups), match(groups, unique(groups))))
  first <- vapply(factors, `[[`, 1L, 1L)
  sizes <- vapply(object$flist[first], nlevels, 1L)
  from_outside <- order(sizes)
  first <- first[from_outside]
  list(
    names = names(object$flist)[first], factors = factors[from_outside],
    nested = c(TRUE, vapply(seq_along(first)[-1L], function(k) {
      is_nested(object$flist[[first[[k]]]], object$flist[[first[[k - 1L]]]])
    }, NA))
  )
}

#' Is each level of one factor within one level of the other?
#' @noRd
is_nested <- function(inner, outer) {
  pairs <- unique(data.frame(inner = as.integer(inner), outer = as.integer(outer)))
  anyDuplicated(pairs$inner) == 0L
}

#' Levels by number or name, as numbers
#'
#' @param population is 0, the population, a level?
#' @noRd
match_group_levels <- function(level, object, population = TRUE) {
  known <- group_levels(object)
  numbers <- seq_along(known$names)
  names <- known$names
  if (population) {
    numbers <- c(0L, numbers)
    names <- c("fixed", names)
  }
  at <- if (is.character(level)) {
    match(level, names)
  } else if (is.numeric(level)) {
    match(level, numbers)
  }
  if (length(at) == 0L || anyNA(at)) {
    ferrolmm_abort(
      paste0("`level` must name levels of grouping", describe_given(level), "."), "argument",
      i = if (length(names) > 0L) {
        paste0("Levels are ", paste0(numbers, " (", names, ")", collapse = ", "), ".")
      } else {
        "The model has no grouping factors."
      }
    )
  }
  chosen <- numbers[at]
  inside <- chosen[chosen > 0L & chosen < length(known$names)]
  if (any(!known$nested) && length(inside) > 0L) {
    ferrolmm_abort(
      paste0("`level = ", inside[[1L]], "` has a meaning for nested groups only."), "argument",
      x = paste0(quote_names(known$names), " are crossed."),
      i = "`re.form` of predict() chooses random effects of any model; level 0 has none of them."
    )
  }
  stats::setNames(chosen, names[at])
}

#' The random effects of the levels of grouping up to one of them, as [select_random()] gives them
#' @noRd
parts_of_level <- function(object, level) {
  factors <- unlist(group_levels(object)$factors[seq_len(level)])
  parts <- select_random(object, NULL)
  parts[vapply(parts, function(part) object$random[[part$term]]$factor %in% factors, NA)]
}

#' Fitted values with the random effects of a level of grouping and those outside it
#' @noRd
fitted_at <- function(object, level) {
  parts <- parts_of_level(object, level)
  predicted_values(object, training_rows(object, parts, NULL), parts, FALSE)
}

#' Values of the rows for one level of grouping as a vector, for several as a data frame
#'
#' @param values a function of a level's number; `pad` stats::napredict() or stats::naresid().
#' @noRd
by_level <- function(object, levels, values, pad) {
  if (length(levels) == 1L) {
    return(pad(object$na.action, name_rows(values(levels[[1L]]), object)))
  }
  columns <- do.call(cbind, lapply(levels, values))
  row.names(columns) <- row.names(object$frame)
  as.data.frame(pad(object$na.action, columns))
}

#' Position of a grouping factor given by name or position
#' @noRd
choose_group <- function(object, group, argument) {
  refuse_members_of(object, paste0("`", argument, "`"))
  known <- names(object$flist)
  at <- if (length(group) != 1L || !is.atomic(group)) {
    NA
  } else if (is.character(group)) {
    match(group, known)
  } else {
    match(group, seq_along(known))
  }
  if (is.na(at)) {
    ferrolmm_abort(
      paste0("`", argument, "` must name one grouping factor of the model."), "argument",
      i = paste0("The model has ", quote_names(known), ".")
    )
  }
  at
}
