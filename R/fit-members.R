# Members of several levels in a fit, and in rows like its own: see R/design-members.R.

#' Members of the rows of a grouping factor; NULL where each row has one level
#' @noRd
factor_members <- function(object, factor) {
  members <- unclass(object)$members
  if (!is.null(members)) members[[factor]]
}

#' Are rows members of several levels of a grouping factor, given by position or name?
#' @noRd
has_members <- function(object, factor) {
  if (is.character(factor)) factor <- match(factor, names(object$flist))
  !is.null(factor_members(object, factor))
}

#' Codes of a grouping factor in the rows of a fit; of mm() its members, none of them unknown
#' @noRd
own_codes <- function(object, factor) {
  members <- factor_members(object, factor)
  if (is.null(members)) {
    return(as.integer(object$flist[[factor]]))
  }
  c(members, list(unknown = numeric(length(members$start) - 1L)))
}

#' For each grouping factor of mm() members of rows in the place of codes (0: no level), NULL for
#' others
#' @noRd
members_of_codes <- function(object, codes) {
  lapply(seq_along(codes), function(f) {
    if (has_members(object, f)) single_members(codes[[f]])
  })
}

#' Refuse what takes each row as one of a single level
#' @noRd
refuse_members_of <- function(object, what) {
  multiple <- which(vapply(seq_along(object$flist), has_members, NA, object = object))
  if (length(multiple) > 0L && has_smooths(object)) {
    ferrolmm_abort(
      paste0(what, " needs one level of each grouping factor for each row."), "argument",
      x = "Not so for smooth terms, which are fitted as random effects."
    )
  }
  if (length(multiple) > 0L) {
    ferrolmm_abort(
      paste0(what, " needs one level of each grouping factor for each row."), "argument",
      x = paste0("Rows are members of several levels of ",
                 quote_names(names(object$flist)[multiple]), ".")
    )
  }
}

#' Members of new rows
#'
#' @param extended shall levels that the fit has not seen have numbers of their own, after those of
#'   the fit? Otherwise they are left out.
#' @returns list(start, level, weight, unknown, missing): `unknown` is what the variance of an
#'   unknown level is multiplied by in each row, the sum of the squares of the weights of its
#'   unknown levels; `missing` are rows with a weight that is missing, which have no prediction
#' @noRd
new_members <- function(object, term, frame, allow_new_levels, extended = FALSE) {
  spec <- term$members
  levels <- levels(object$flist[[term$factor]])
  n <- .row_names_info(frame, 2L)
  if (spec$own) {
    z <- columns_of_own(frame, spec, levels)
    missing <- which(is_missing_row(z))
    if (length(missing) > 0L) z[missing, ] <- 0
    members <- compressed_rows(transposed(as_sparse(z)))
    return(c(members, list(unknown = numeric(n), missing = missing)))
  }
  key <- object$keys[[term$factor]]$leaves[[1L]]
  columns <- unclass(frame)[term$leaves]
  codes <- Map(match_levels, columns, list(key), term$leaves)
  weights <- member_weights(spec, frame, length(codes), term$group, "newdata")
  missing_weights <- which(is_missing_row(weights))
  weights[missing_weights, ] <- 0
  counted <- lapply(seq_along(codes), function(k) weights[, k] != 0)
  names <- Map(function(column, code, own) {
    labels <- value_labels(column)
    labels[!is.na(code) | !own] <- NA
    labels
  }, columns, codes, counted)
  if (!allow_new_levels) {
    unknown <- unlist(Map(function(code, own) is.na(code) & own, codes, counted))
    if (any(unknown)) {
      abort_new_levels(unique(unlist(names)[unknown]), term$group)
    }
  }
  # a missing level counts as a level of its own
  missing <- Map(function(code, own, name) is.na(code) & own & is.na(name), codes, counted, names)
  names <- Map(function(name, gone, k) {
    name[gone] <- paste0("\r", k, "\r", which(gone))
    name
  }, names, missing, seq_along(names))
  new <- unique(unlist(names))
  new <- new[!is.na(new)]
  others <- weight_matrix(lapply(names, match, new), weights, length(new))
  known <- weight_matrix(codes, weights, length(levels))
  rows <- if (extended) rbind(known, others) else known
  c(
    compressed_rows(rows),
    list(unknown = Matrix::colSums(others^2), missing = missing_weights)
  )
}

#' The matrix of mm() in new rows, with the columns that it had in the fit, in their order
#' @noRd
columns_of_own <- function(frame, spec, levels) {
  z <- .subset2(frame, spec$weights)
  if (!is_numeric_matrix(z) || ncol(z) != length(levels)) {
    ferrolmm_abort(
      paste0("The matrix `", spec$weights, "` must have ", count_of(length(levels), "column"),
             " in `newdata`, as in the fit."),
      "newdata", variable = spec$weights
    )
  }
  if (is.matrix(z)) z <- matrix(as.double(z), nrow(z), ncol(z), dimnames = list(NULL, colnames(z)))
  if (any(is.infinite(if (isS4(z)) z@x else z))) {
    ferrolmm_abort(
      paste0("The matrix `", spec$weights, "` of mm() has values in `newdata` that are infinite."),
      "newdata", variable = spec$weights
    )
  }
  names <- colnames(z)
  # the columns of a matrix without names are called by their numbers
  if (is.null(names) || identical(levels, as.character(seq_along(levels)))) {
    return(z)
  }
  strange <- setdiff(names, levels)
  if (length(strange) > 0L || anyDuplicated(names)) {
    ferrolmm_abort(
      paste0("The matrix `", spec$weights, "` has columns in `newdata` that are no levels of the ",
             "fit: ", quote_names(unique(c(strange, names[duplicated(names)])), 6L), "."),
      "newdata", variable = spec$weights,
      i = paste0("Levels are ", quote_names(levels, 6L), "; a matrix without names has them in ",
                 "that order.")
    )
  }
  z[, match(levels, names), drop = FALSE]
}
