# Degrees of freedom that a rule gives to each term of the fixed part: counts of rows, groups,
# coefficients and ranks, whatever the variances are.

#' Inference with degrees of freedom that a rule gives
#'
#' A combination of coefficients has the least degrees of freedom of those that it involves, as in
#' 'emmeans' (for models of 'nlme') and 'mmrm'; a test of a term has those of the term.
#' @param df list(columns, of each kept coefficient; terms, of each term of the fixed part, named).
#' @noRd
ruled_ddf <- function(object, df) {
  columns <- positive_ddf(df$columns, names(object$coefficients)[kept_columns(object)])
  base <- fixed_ddf(object, NA_real_)
  c(base[c("beta", "variance", "rx")], list(
    single = function(L) {
      involved <- involved_columns(L, base$variance)
      vapply(seq_len(nrow(L)), function(i) least_ddf(columns[involved[i, ]]), 0)
    },
    joint = function(L, estimate) {
      found <- base$joint(L, estimate)
      found$dendf <- least_ddf(columns[spanned_columns(L, base$variance)])
      found
    },
    of_term = positive_ddf(df$terms)
  ))
}

#' Degrees of freedom, NA where there are none
#' @param names of what has them, for a warning where there are none; NULL for none.
#' @noRd
positive_ddf <- function(df, names = NULL) {
  lost <- !is.na(df) & df <= 0
  if (any(lost) && !is.null(names)) {
    ferrolmm_warn(
      paste0("No degrees of freedom are left for ", quote_names(names[lost]), ": ",
             if (sum(lost) == 1L) "its test is" else "their tests are", " NA."),
      "ddf", i = "Use ddf = \"Satterthwaite\"."
    )
  }
  df[lost] <- NA_real_
  df
}

#' The least of some degrees of freedom; NA where one of them is, or for no coefficient
#' @noRd
least_ddf <- function(df) if (length(df) == 0L) NA_real_ else as.double(min(df))

#' Which coefficients each row of L involves: entries that are no rounding error beside the others,
#' each in units of its standard error
#' @noRd
involved_columns <- function(L, variance) {
  size <- abs(L) * rep(sqrt(diag(variance)), each = nrow(L))
  size > 1e-8 * apply(size, 1L, max)
}

#' Which coefficients the rows of L involve together, however the hypothesis is written
#' @noRd
spanned_columns <- function(L, variance) {
  if (!is.null(at <- single_entries(L))) {
    return(sort(at))
  }
  scaled <- L * rep(sqrt(diag(variance)), each = nrow(L))
  rows <- orthonormal_rows(list(L = scaled, rhs = 0), diag(ncol(L)))$L
  which(sqrt(colSums(rows^2)) > 1e-8 * sqrt(max(rowSums(rows^2))))
}

#' What rules read of a fit
#'
#' @param what the method, for the message where rows are not there.
#' @returns list(x, the kept columns of X; assign; labels, of the terms; by_column, of each term:
#'   are its columns effects of their own, as those of within_between()?)
#' @noRd
ruled_design <- function(object, what) {
  require_own_rows(object, what)
  kept <- kept_columns(object)
  labels <- labels.lmm(object)
  variables <- variable_columns(object$terms)
  wide <- vapply(variables, function(name) {
    x <- .subset2(object$frame, name)
    inherits(x, "within_between")
  }, NA)
  pattern <- attr(object$terms, "factors")
  list(
    x = unname(own_matrix(object)[, kept, drop = FALSE]), assign = object$assign[kept],
    labels = labels,
    by_column = vapply(seq_along(labels), function(j) any(wide & pattern[, j] > 0L), NA)
  )
}

#' Variables of each term of the fixed part, `continuous` and `class`
#' @noRd
term_variables <- function(object) {
  pattern <- attr(object$terms, "factors")
  variables <- variable_columns(object$terms)
  lapply(seq_along(labels.lmm(object)), function(j) {
    split_variables(variables[pattern[, j] > 0L], object$frame)
  })
}

#' @noRd
split_variables <- function(names, frame) {
  class <- vapply(names, function(name) is_categorical(.subset2(frame, name)), NA)
  list(continuous = names[!class], class = names[class])
}

#' Which columns of x vary within the levels of a factor
#' @param codes of the rows, from 1.
#' @noRd
varies_within <- function(x, codes) {
  engine_varies_within(x, list(codes = as.integer(codes), n_levels = max(codes)))
}

#' Rows of the same level of one or more factors, as codes from 1
#' @noRd
joint_codes <- function(factors) {
  codes <- lapply(factors, function(f) if (is.logical(f)) f + 1L else as.integer(f))
  if (length(codes) == 1L) {
    return(match(codes[[1L]], unique(codes[[1L]])))
  }
  codes <- lapply(codes, function(code) match(code, unique(code)))
  engine_interaction(codes, vapply(codes, max, 1L))$codes
}

#' The degrees of freedom of a term: those of its columns, the least of them
#' @noRd
terms_of_columns <- function(columns, design) {
  terms <- vapply(seq_along(design$labels), function(j) {
    least_ddf(columns[design$assign == j])
  }, 0)
  stats::setNames(terms, design$labels)
}
