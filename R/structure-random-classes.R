# Classes of the levels of a grouping factor that have covariances of their own, as in
# us(x | g, by = arm).
#
# theta of such a term has the parameters of one class after those of another. A *block* is a term
# as one class of its levels sees it: a term without classes. Terms without classes are one block
# each. Of a term with classes, `by` names the columns that make them, `classes` are their labels,
# `class_key` tells how rows are matched to them, and `class_of` is the class of each level.

#' Classes that have parameters of their own, of a term or of a correlation of residuals
#' @noRd
count_classes <- function(x) max(1L, length(x[["classes"]]))

#' The blocks of some terms, each with `term`, its place among these, and `in_class`, the label of
#' its class (NULL without classes)
#' @noRd
random_blocks <- function(terms) {
  as.list(unlist(lapply(seq_along(terms), function(t) {
    lapply(seq_len(count_classes(terms[[t]])), function(class) {
      block <- terms[[t]]
      block[c("classes", "class_key", "class_of")] <- NULL
      block$term <- t
      block$in_class <- terms[[t]][["classes"]][class]
      block
    })
  }), recursive = FALSE))
}

#' Which term each block is of
#' @noRd
block_terms <- function(terms) {
  rep.int(seq_along(terms), vapply(terms, count_classes, 1L))
}

#' Effects of each block
#' @noRd
block_sizes <- function(terms) {
  rep.int(lengths(lapply(terms, `[[`, "cnms")), vapply(terms, count_classes, 1L))
}

#' Names of what there is for each class: "g.x arm1" of "g.x"
#' @noRd
name_classes <- function(names, classes) {
  if (length(classes) == 0L) names else as.vector(outer(names, classes, paste))
}

#' The grouping factor and class of each block of a fit: "g", or "g arm1"
#' @noRd
name_blocks <- function(object) {
  as.character(unlist(
    Map(name_classes, names(object$cnms), lapply(object$random, `[[`, "classes"))
  ))
}

#' What covariance matrices are called: g, g.1, ... where several are of one grouping factor
#' @noRd
block_names <- function(object) make.unique(name_blocks(object))

#' The class of each level of a term's grouping factor
#' @noRd
level_classes <- function(term, n_levels) {
  if (is.null(term$class_of)) rep.int(1L, n_levels) else term$class_of
}

#' The classes that levels of a grouping factor have in all of its terms
#'
#' @returns list(codes: a row for each combination that occurs, a column for each term; levels: how
#'   many have it; labels, NULL where no term has classes; by, names of what they differ by)
#' @noRd
combined_classes <- function(terms, n_levels) {
  own <- matrix(vapply(terms, level_classes, integer(n_levels), n_levels), n_levels)
  key <- do.call(paste, unname(as.data.frame(own)))
  first <- which(!duplicated(key))
  first <- first[do.call(order, unname(as.data.frame(own[first, , drop = FALSE])))]
  codes <- own[first, , drop = FALSE]
  labels <- lapply(seq_along(terms), function(t) terms[[t]]$classes[codes[, t]])
  # terms that differ by the same have the same classes
  labels <- unique(labels[lengths(labels) > 0L])
  list(
    codes = codes, levels = tabulate(match(key, key[first])),
    labels = if (length(labels)) do.call(paste, c(labels, sep = ":")),
    by = unique(unlist(lapply(Filter(function(term) length(term$by) > 0L, terms), by_label)))
  )
}

#' Columns, one for each level, each times the factor of the class of its level
#'
#' @param factors of the classes; `class_of` the class of each column, NULL where there is one.
#' @noRd
times_factors <- function(factors, class_of, columns) {
  if (is.null(class_of)) {
    return(factors[[1L]] %*% columns)
  }
  for (class in unique(class_of)) {
    own <- class_of == class
    columns[, own] <- factors[[class]] %*% columns[, own, drop = FALSE]
  }
  columns
}

#' A term as messages name it: "x | g", or "x | g, by = arm"
#' @noRd
term_words <- function(term) paste0(term$label, by_words(term))

#' @noRd
by_words <- function(term) if (length(term$by) > 0L) paste0(", by = ", by_label(term))

#' What the covariances of a term differ by: "arm", or "arm:sex"
#' @noRd
by_label <- function(term) paste(term$by, collapse = ":")
