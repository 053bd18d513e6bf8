# p-values of likelihood ratios by simulated responses.

#' p-value by the simulated responses whose fits came to an optimum (statistics of others are NA)
#'
#' Says how many did not; NA without half of them.
#' @param p_of function: the p-value by the statistics that are left.
#' @param of what is tested, for the warning.
#' @noRd
p_of_optima <- function(statistics, p_of, of) {
  lost <- is.na(statistics)
  enough <- mean(lost) <= 0.5
  if (any(lost)) {
    ferrolmm_warn(
      paste0("In the test of ", of, ", the fits to ", sum(lost), " of ", length(lost),
             " simulated responses did not come to an optimum."),
      "convergence",
      i = if (enough) {
        "The p-value counts the others."
      } else {
        "The p-value by simulation is NA: see fit$certificate, and try a simpler model."
      }
    )
  }
  if (enough) p_of(statistics[!lost]) else NA_real_
}

#' How many statistics reach a ratio; equal up to rounding counts as equal
#' @noRd
count_reaching <- function(ratio, statistics) sum(statistics >= ratio - 1e-8 * (1 + ratio))

#' p-value of a statistic by simulated ones
#'
#' Where fewer than ten of at least 1000 reach it, the tail is that of the limit, stretched so that
#' the two agree at the upper hundredth (the scale of Greven and others 2008, section 3).
#' @param tail function: the limit's p-value of a statistic
#' @noRd
simulated_p <- function(ratio, statistics, tail) {
  n <- length(statistics)
  exceeding <- count_reaching(ratio, statistics)
  p <- (1 + exceeding) / (1 + n)
  if (n < 1000L || exceeding >= 10L || is.na(tail(ratio))) {
    return(p)
  }
  rank <- ceiling(n / 100)
  anchor <- sort(statistics, decreasing = TRUE)[[rank]]
  if (anchor < 1e-6) {
    return(p)
  }
  excess <- function(scale) log(tail(anchor / scale) * n / rank)
  if (excess(0.1) > 0 || excess(10) < 0) {
    return(p)
  }
  scale <- stats::uniroot(excess, c(0.1, 10), tol = 1e-10)$root
  min(tail(ratio / scale), 10 / n)
}
