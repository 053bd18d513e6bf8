#' @rdname ddf
#' @order 7
#' @section `"inner-outer"`:
#' The rule of `nlme::lme()` (Pinheiro and Bates 2000, section 2.4.2). A coefficient is estimated at
#' the innermost level of grouping within whose groups its column changes: one that changes within
#' no group of level \eqn{i}, but within those outside it, is inner to these and outer to level
#' \eqn{i}. With \eqn{m_i} groups at level \eqn{i} (1 at level 0 if the model has an intercept, else
#' 0; rows at the last one) and \eqn{p_i} coefficients it has \eqn{m_i - (m_{i-1} + p_i)} degrees of
#' freedom. The intercept has the most of all levels. A term in [anova()][anova.lmm] is at the
#' innermost level of its columns.
#'
#' The grouping factors have to be nested. A model without random effects has the groups of its
#' correlated residuals as the one level, which is what 'mmrm' calls `"Between-Within"` (and not
#' what `nlme::gls()` does: that is `"residual"`).
#' @references
#' Pinheiro, J. C. and Bates, D. M. (2000). *Mixed-effects models in S and S-PLUS*. Springer.
#' @name ddf
NULL

#' Degrees of freedom at the levels of grouping
#' @noRd
inner_outer <- function(object) {
  what <- "ddf = \"inner-outer\""
  design <- ruled_design(object, what)
  levels <- nested_codes(object, what)
  x <- design$x
  # 1 for what changes within no group of the outermost level
  level <- rep.int(1L, ncol(x))
  for (i in seq_along(levels)) {
    level[varies_within(x, levels[[i]])] <- i + 1L
  }
  constant <- !varies_within(x, rep.int(1L, nrow(x)))
  sizes <- c(vapply(levels, max, 1L), nrow(x))
  labels <- design$labels
  innermost <- vapply(seq_along(labels), function(j) {
    max(0L, level[design$assign == j & !constant])
  }, 0L)
  widths <- tabulate(design$assign, length(labels))
  at_terms <- level_ddf(sizes, rep.int(innermost, widths), any(constant))
  at_columns <- level_ddf(sizes, level[!constant], any(constant))
  columns <- ifelse(constant, max(at_columns), at_columns[level])
  terms <- ifelse(
    innermost > 0L, at_terms[pmax(innermost, 1L)], ifelse(widths > 0L, max(at_terms), NA)
  )
  ruled_ddf(object, list(columns = columns, terms = stats::setNames(terms, labels)))
}

#' Degrees of freedom of each level
#' @param sizes numbers of groups, from the outermost level, and of rows; `level` those of the
#'   coefficients, 0 for none.
#' @noRd
level_ddf <- function(sizes, level, intercept) {
  df <- sizes - c(0L, sizes[-length(sizes)]) - tabulate(level, length(sizes))
  if (intercept) {
    df[[1L]] <- df[[1L]] - 1L
  } else {
    df[-1L] <- df[-1L] + 1L
  }
  df
}

#' Codes of the levels of grouping from the outermost one
#' @noRd
nested_codes <- function(object, what) {
  known <- group_levels(object)
  if (!all(known$nested)) {
    ferrolmm_abort(
      paste0("`", what, "` is for nested groups, and ", quote_names(known$names),
             " are crossed."),
      "argument", i = "Use ddf = \"containment\", \"Satterthwaite\" or \"Kenward-Roger\"."
    )
  }
  if (length(known$names) == 0L) {
    return(list(subject_codes(object, what)))
  }
  lapply(known$factors, function(at) {
    codes <- as.integer(object$flist[[at[[1L]]]])
    match(codes, unique(codes))
  })
}
