#' Plot profiles
#'
#' A panel for each parameter: `zeta` (or its absolute value) against the parameter. A straight line
#' is a parameter whose likelihood is that of a normal distribution with known variance; a bend
#' shows how far a symmetric interval differs from the profile's. Vertical lines mark the limits of
#' confidence intervals, the estimate is at `zeta = 0`.
#'
#' @param x What [profile()][profile.lmm] returned.
#' @param parm The parameters, as `which` of [profile()][profile.lmm]; by default all profiled.
#' @param levels Levels of the confidence intervals to mark.
#' @param absolute Draw `|zeta|`?
#' @param mfrow Rows and columns of panels; `NULL` leaves [par()] as it is.
#' @param xlab Labels of the horizontal axes; by default the names of the parameters.
#' @param ylab Label of the vertical axes.
#' @param ... Passed to [plot.default()].
#' @returns `x`, invisibly.
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (1 | Subject), Orthodont)
#' plot(profile(fit))
#' plot(profile(fit, "theta_"), absolute = TRUE)
#' @export
plot.profile.lmm <- function(x, parm = NULL, levels = c(0.5, 0.8, 0.95, 0.99), absolute = FALSE,
                             mfrow = grDevices::n2mfrow(length(panels)), xlab = NULL,
                             ylab = if (absolute) expression(group("|", zeta, "|")) else
                               expression(zeta), ...) {
  check_dots(..., allowed = graphical_arguments())
  check_flag(absolute, "absolute")
  check_levels(levels)
  panels <- profile_panels(x, parm)
  if (length(panels) == 0L) {
    ferrolmm_abort("`parm` leaves no parameter to draw.", "argument")
  }
  labels <- rep_len(if (is.null(xlab)) names(panels) else xlab, length(panels))
  if (!is.null(mfrow)) {
    if (!is.numeric(mfrow) || length(mfrow) != 2L || !isTRUE(all(mfrow >= 1))) {
      ferrolmm_abort(
        paste0("`mfrow` must be the numbers of rows and columns", describe_given(mfrow), "."),
        "argument"
      )
    }
    old <- graphics::par(mfrow = mfrow, mar = c(4, 4, 1, 1), mgp = c(2.3, 0.7, 0))
    on.exit(graphics::par(old))
  }
  for (i in seq_along(panels)) {
    plot_path(panels[[i]]$path, levels, absolute, panels[[i]]$ends, labels[[i]], ylab, ...)
  }
  invisible(x)
}

#' What the panels show: a list by parameter of list(path, ends)
#' @noRd
profile_panels <- function(x, parm) {
  paths <- profile_paths(x)
  if (!is.null(parm)) {
    paths <- paths[match_profiled(parm, x, names(paths))]
  }
  ends <- attr(x, "ends")[match(names(paths), names(x)) - 1L, , drop = FALSE]
  Map(function(path, i) list(path = path, ends = ends[i, ]), paths, seq_along(paths))
}

#' @noRd
plot_path <- function(path, levels, absolute, ends, xlab, ylab, ...) {
  grid <- dense_path(path)
  shown <- if (absolute) abs(grid$zeta) else grid$zeta
  graphics::plot.default(grid$value, shown, type = "n", xlab = xlab, ylab = "", las = 1, ...)
  graphics::mtext(ylab, side = 2L, line = 2.5, las = 1)
  graphics::grid(col = "grey92", lty = 1)
  for (level in levels) {
    target <- stats::qnorm((1 + level) / 2)
    limits <- profile_limits(path, target, ends)
    if (length(shown) < 2L) {
      next
    }
    height <- stats::approx(grid$value, shown, limits, ties = "ordered")$y
    graphics::segments(limits, 0, limits, height, col = "#0072B2", lty = 3)
    if (absolute) {
      graphics::segments(limits[[1L]], target, limits[[2L]], target, col = "#0072B2", lty = 3)
    }
  }
  graphics::abline(h = 0, col = "grey60")
  graphics::lines(grid$value, shown, lwd = 2)
  estimate <- path$value[path$zeta == 0][[1L]]
  graphics::points(estimate, 0, pch = 19, col = "#D55E00")
  graphics::box()
}

#' A path on a fine grid
#' @noRd
dense_path <- function(path) {
  rising <- rising_path(path)
  if (length(rising$value) < 2L) {
    return(rising)
  }
  ends <- range(rising$value)
  value <- sort(c(seq(ends[[1L]], ends[[2L]], length.out = 200L), rising$value))
  list(value = value, zeta = interpolate_path(rising)(value))
}
