#' @param parm The statistics, by name or position; by default all, without the criterion.
#' @param level The confidence level.
#' @rdname bootstrap
#' @section Intervals:
#' `confint()` gives one of three kinds (Davison and Hinkley 1997, chapter 5): `"perc"`, quantiles
#' of the replicates; `"basic"`, the same mirrored at the estimate; `"norm"`, the estimate less the
#' bias, with a normal quantile times the standard error. Quantiles are those of type 6 of
#' [stats::quantile()].
#' @param interval The kind of interval: `"perc"`, `"basic"` or `"norm"`.
#' @importFrom stats confint
#' @export
confint.bootstrap.lmm <- function(object, parm = NULL, level = 0.95,
                                  interval = c("perc", "basic", "norm"), ...) {
  check_dots(...)
  interval <- match_choice(interval, "interval", c("perc", "basic", "norm"))
  check_level(level)
  names <- statistic_names(object)
  chosen <- if (is.null(parm)) {
    # without a function the criterion is the last one
    seq_len(length(names) - is.null(object$statistic))
  } else if (is.character(parm)) {
    own <- names(object$t0)
    match_names(parm, if (is.null(own)) names else own, "parm", "statistic")
  } else {
    match_numbers(parm, length(names), "parm", "statistic")
  }
  limits <- vapply(chosen, function(i) {
    bootstrap_limits(object$t[, i], object$t0[[i]], level, interval)
  }, c(0, 0))
  matrix(
    limits, ncol = 2L, byrow = TRUE, dimnames = list(names[chosen], percent_names(level))
  )
}

#' @noRd
bootstrap_limits <- function(t, t0, level, interval) {
  t <- t[!is.na(t)]
  if (length(t) < 2L) {
    return(c(NA_real_, NA_real_))
  }
  tails <- c(1 - level, 1 + level) / 2
  switch(interval,
    perc = stats::quantile(t, tails, names = FALSE, type = 6L),
    basic = 2 * t0 - stats::quantile(t, rev(tails), names = FALSE, type = 6L),
    norm = 2 * t0 - mean(t) + stats::qnorm(tails) * stats::sd(t)
  )
}

#' Bootstrap confidence intervals, for confint(): a row for each parameter
#' @noRd
bootstrap_confidence <- function(object, level, nsim, seed, interval, ...) {
  limits <- matrix(NA_real_, length(parameter_names(object, TRUE)), 2L)
  identified <- match_parameters(NULL, object)
  limits[identified, ] <- confint.bootstrap.lmm(
    bootstrap.lmm(object, nsim, seed = seed, ...), level = level, interval = interval
  )
  limits
}
