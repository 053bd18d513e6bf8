# What covariances of random effects differ by, with the data at hand: the class of each level.

#' A term with the classes of its levels, where it has `by`
#'
#' @param group the grouping factor, as [code_groups()] returns it.
#' @returns term with `by` (names of columns of the frame), `classes`, `class_key` and `class_of`,
#'   see R/structure-random-classes.R; without `by`, the term
#' @noRd
with_level_classes <- function(term, bar, group, frame) {
  by <- variable_names(bar$by)
  if (length(by) == 0L) {
    return(term)
  }
  codes <- as.integer(group$codes)
  # tables do not tell all variables in each row
  known <- known_rows(frame, c(group$leaves, by))
  if (!is.null(known)) {
    codes <- codes[known]
    frame <- frame[known, by, drop = FALSE]
  }
  found <- group_factor(by, frame)
  label <- paste(by, collapse = ":")
  call <- code_label(bar$call)
  if (length(found$levels) < 2L) {
    ferrolmm_abort(
      paste0("`", label, "` is \"", found$levels, "\" in all rows, there are no covariances that ",
             "differ by it."),
      "grouping", x = paste0("In the term ", call, "."), i = "Leave `by` out."
    )
  }
  class_of <- rep.int(NA_integer_, group$n_levels)
  class_of[codes] <- found$codes
  check_constant_classes(codes, class_of, found, group, label, call)
  unseen <- which(is.na(class_of))
  if (length(unseen) > 0L) {
    ferrolmm_abort(
      paste0("Levels of `", group$name, "` without rows have no `", label, "`: ",
             quote_names(group$levels[unseen]), "."),
      "known", x = paste0("In the term ", call, ", their covariances could be those of any class."),
      i = "Give a matrix of the levels that have rows."
    )
  }
  term$by <- by
  term$classes <- found$levels
  term$class_key <- found$key
  term$class_of <- class_of
  term
}

#' @noRd
check_constant_classes <- function(codes, class_of, found, group, label, call) {
  other <- which(class_of[codes] != found$codes)
  if (length(other) == 0L) {
    return(invisible())
  }
  level <- codes[[other[[1L]]]]
  values <- found$levels[sort(unique(found$codes[codes == level]))]
  ferrolmm_abort(
    paste0("`", label, "` is not the same in all rows of `", group$name, "` ",
           group$levels[[level]], ": it is ", quote_names(values), "."),
    "grouping", x = paste0("In the term ", call, "."),
    i = c(
      "The covariances of a level are those of one class.",
      paste0("Levels within each `", label, "` are those of `", label, ":", group$name, "`.")
    )
  )
}

#' Classes of the levels of a term, as the engine takes them; NULL where there are none
#' @noRd
engine_classes <- function(term) {
  if (!is.null(term$class_of)) {
    list(codes = term$class_of, count = count_classes(term))
  }
}

#' Are levels of one class of `a` of one class of `b`, too?
#'
#' @param groups what [code_groups()] returns.
#' @noRd
classes_within <- function(a, b, groups) {
  if (is.null(b$class_of)) {
    return(TRUE)
  }
  if (is.null(a$class_of)) {
    return(FALSE)
  }
  class_of <- function(term) term$class_of[as.integer(groups[[term$key]]$codes)]
  is_constant_within(class_of(b), class_of(a))
}
