# The distribution of a likelihood ratio of ranova() in large samples: mixtures of chi-squared
# distributions.

#' p-value of a likelihood ratio in the limit; NA where constraints on the term leave no simple
#' limit
#'
#' @param df parameters that the reduction takes away
#' @noRd
limit_p <- function(model, reduction, statistic, df) {
  term <- model$random[[reduction$term]]
  left <- if (!is.null(reduction$smaller)) count_theta(reduction$smaller) else 0
  if (df == count_theta(term) - left) mixture_p(statistic, reduction) else NA_real_
}

#' p-value of a likelihood ratio for leaving out effects of a term
#' @noRd
mixture_p <- function(statistic, reduction) {
  d <- reduction$dropped
  kind <- random_kind(reduction$structure)
  correlated <- kind$correlated
  if (correlated && !kind$factor) {
    # along with the variances go correlations that then have no meaning: no simple mixture
    return(NA_real_)
  }
  weights <- if (correlated) cone_weights(d) else stats::dbinom(0:d, d, 0.5)
  # levels of different classes are independent: their dimensions add up
  weights <- Reduce(function(a, b) {
    stats::convolve(a, rev(b), type = "open")
  }, rep(list(weights), reduction$classes))
  df <- seq_along(weights) - 1L
  if (correlated) {
    df <- df + reduction$classes * d * reduction$kept
  }
  tails <- ifelse(
    df > 0L, stats::pchisq(statistic, pmax(df, 1L), lower.tail = FALSE), statistic <= 0
  )
  sum(weights * tails)
}

#' Weights of the dimensions 0, 1, ... of the projection of a normal symmetric d x d matrix on the
#' cone of nonnegative definite matrices (Kuriki & Takemura 2000, Annals of Statistics 28)
#' @noRd
cone_weights <- function(d) {
  r <- sqrt(2)
  size <- d * (d + 1L) / 2L
  switch(
    min(d, 4L),
    c(1, 1) / 2,
    c(2 - r, r, r, 2 - r) / 4,
    c(
      1 / 4 - r / (2 * pi), r / 4 - 1 / 4, r / (2 * pi), 1 - r / 2, r / (2 * pi), r / 4 - 1 / 4,
      1 / 4 - r / (2 * pi)
    ),
    c(numeric(size - 1L), 1, 1) / 2
  )
}
