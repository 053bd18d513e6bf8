# Which combinations of fixed effects the data determine, where columns of X were dropped because of
# rank deficiency: l'beta can be estimated if and only if l is a combination of rows of X,
# orthogonal to the null space of X (Searle, 1971, Linear Models, section 5.4). Its estimate is then
# the same whatever columns were dropped, so it does not depend on the order of columns or levels.

#' Part of a row outside the row space of X, relative to the row, that is more than rounding: the
#' rank is decided at 1e-7
#' @noRd
estimable_tolerance <- 1e-6

#' Combinations of coefficients about which the data say nothing
#'
#' Computed with columns of X scaled to length 1, as units must not decide what is rounding.
#' @returns list(null, an orthonormal basis of the null space of the whole X with these columns;
#'   size, what they were divided by); NULL where X has full rank
#' @noRd
unestimable_space <- function(object) {
  kept <- kept_columns(object)
  p <- length(object$coefficients)
  if (length(kept) == p) {
    return(NULL)
  }
  x <- own_matrix(object)
  size <- sqrt(colSums(x^2))
  size[size == 0] <- 1
  x <- x / rep(size, each = nrow(x))
  dropped <- setdiff(seq_len(p), kept)
  null <- matrix(0, p, length(dropped))
  # the engine has decided the rank
  null[kept, ] <- qr.coef(
    qr(x[, kept, drop = FALSE], tol = .Machine$double.eps), x[, dropped, drop = FALSE]
  )
  null[cbind(dropped, seq_along(dropped))] <- -1
  list(null = qr.Q(qr(null)), size = size)
}

#' Which rows of `L`, with a column for each coefficient, can be estimated?
#' @param space what [unestimable_space()] returns.
#' @noRd
is_estimable <- function(L, space) {
  if (is.null(space)) {
    return(rep.int(TRUE, nrow(L)))
  }
  scaled <- L / rep(space$size, each = nrow(L))
  outside <- rowSums((scaled %*% space$null)^2)
  estimable <- outside <= estimable_tolerance^2 * rowSums(scaled^2)
  # a missing value is due to the data, not to the rank
  is.na(estimable) | estimable
}

#' Predictions of the fixed part; NA, with a warning, where the fit does not determine them
#'
#' @param x rows of the whole model matrix.
#' @noRd
estimable_values <- function(object, x, values) {
  lost <- which(!is_estimable(x, unestimable_space(object)))
  if (length(lost) > 0L) {
    values[lost] <- NA
    ferrolmm_warn(
      paste0(
        "The prediction of ", count_of(length(lost), "row"), " cannot be estimated",
        if (nrow(x) > length(lost)) paste0(" (of ", nrow(x), ")"), ", and is NA."
      ),
      "estimable",
      x = paste0(
        "Columns of the fixed effects were dropped as they depend on others (",
        quote_names(names(object$coefficients)[-kept_columns(object)]), "), and ",
        if (length(lost) == 1L) "this row is" else "these rows are",
        " no combination of rows of the fit: the data say nothing of ",
        if (length(lost) == 1L) "it." else "them."
      ),
      i = "Predict for combinations of predictors that the data have, or leave terms out.",
      rows = lost
    )
  }
  values
}
