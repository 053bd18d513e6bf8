#' Plot profiles
#'
#' A panel for each parameter: `zeta` (or its absolute value) against the parameter. A straight line
#' is a parameter whose likelihood is that of a normal distribution with known variance; a bend
#' shows how far a symmetric interval differs from the profile's. Vertical lines mark the limits of
#' confidence intervals, solid at one of the levels, whose interval is also a bar at `zeta = 0`
#' around the estimate; a line at the foot of the page names the levels.
#'
#' @param x What [profile()][profile.lmm] returned.
#' @param parm The parameters, as `which` of [profile()][profile.lmm]; by default all profiled.
#' @param levels Levels of the confidence intervals to mark. The bar is that of 0.95, or of the
#'   largest level where that is none of them.
#' @param absolute Draw `|zeta|`?
#' @param mfrow Rows and columns of panels; `NULL` leaves [par()] as it is.
#' @param xlab Labels of the horizontal axes; by default the parameters in words.
#' @param ylab Label of the vertical axes.
#' @param ... Passed to [plot.default()].
#' @returns `x`, invisibly.
#' @seealso [autoplot.lmm()] and [lattice.lmm] for the same by 'ggplot2' and 'lattice'.
#' @seealso [profile.lmm()], [confint.lmm()]
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (1 | Subject), Orthodont)
#' plot(profile(fit))
#' plot(profile(fit, "theta_"), absolute = TRUE)
#' @export
plot.profile.lmm <- function(x, parm = NULL, levels = c(0.5, 0.8, 0.95, 0.99), absolute = FALSE,
                             mfrow = NULL, xlab = NULL,
                             ylab = if (absolute) expression(group("|", zeta, "|")) else
                               expression(zeta), ...) {
  check_dots(..., allowed = graphical_arguments())
  check_flag(absolute, "absolute")
  drawn <- profile_picture(x, parm, levels, absolute)
  titles <- levels(drawn$lines$panel)
  labels <- rep_len(if (is.null(xlab)) titles else xlab, length(titles))
  if (missing(mfrow)) mfrow <- grDevices::n2mfrow(length(titles))
  if (!is.null(mfrow)) {
    if (!is.numeric(mfrow) || length(mfrow) != 2L || !isTRUE(all(mfrow >= 1))) {
      ferrolmm_abort(
        paste0("`mfrow` must be the numbers of rows and columns", describe_given(mfrow), "."),
        "argument"
      )
    }
    old <- graphics::par(
      mfrow = mfrow, mar = c(3.2, 3.4, 0.8, 0.8), oma = c(1.4, 0, 0, 0), mgp = c(2.1, 0.6, 0),
      las = 1L
    )
    on.exit(graphics::par(old))
  }
  for (i in seq_along(titles)) {
    own <- lapply(drawn[c("lines", "limits", "estimates")], function(d) {
      d[as.integer(d$panel) == i, ]
    })
    draw_path(own, absolute, labels[[i]], ylab, ...)
  }
  if (!is.null(mfrow)) {
    graphics::mtext(drawn$caption, 1L, outer = TRUE, line = 0.2, cex = 0.75)
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
  if (length(paths) == 0L) {
    ferrolmm_abort("`parm` leaves no parameter to draw.", "argument")
  }
  ends <- attr(x, "ends")[match(names(paths), names(x)) - 1L, , drop = FALSE]
  Map(function(path, i) list(path = path, ends = ends[i, ]), paths, seq_along(paths))
}

#' The parameters of a profile in words: "SD of age | Subject"
#' @noRd
profile_titles <- function(x, names) {
  titles <- parameter_words(attr(x, "parameters")$new[match(names, names(x)) - 1L])
  make.unique(titles, sep = " ")
}

#' Names of parameters, those without .sig01, in words
#' @noRd
parameter_words <- function(names) {
  words <- sub("^sd_(.*)[|](.*?)$", "SD of \\1 | \\2", names)
  words <- sub("^cor_([^.]*)[.]([^.]*)[|](.*?)$", "Correlation of \\1 and \\2 | \\3", words)
  words <- sub("^cor_(.*)[|](.*?)$", "Correlation \\1 | \\2", words)
  words <- plain_name(words)
  words[words == "sigma"] <- "Residual SD"
  sub("^residual[.]", "Residual ", words)
}

#' The curves, limits and estimates of the panels as data frames with a column `panel`
#' @noRd
profile_picture <- function(x, parm, levels, absolute) {
  check_levels(levels)
  panels <- profile_panels(x, parm)
  names(panels) <- profile_titles(x, names(panels))
  shown <- function(zeta) if (absolute) abs(zeta) else zeta
  lines <- bind_panels(lapply(panels, function(panel) {
    path <- dense_path(panel$path)
    data.frame(x = path$value, y = shown(path$zeta))
  }))
  main <- if (any(abs(levels - 0.95) < 1e-8)) 0.95 else max(levels)
  limits <- bind_panels(lapply(panels, function(panel) {
    do.call(rbind, lapply(levels, function(level) {
      ends <- profile_limits(panel$path, stats::qnorm((1 + level) / 2), panel$ends)
      data.frame(x = ends, level = level, main = abs(level - main) < 1e-8)
    }))
  }))
  limits$y <- height_on_lines(limits, lines)
  others <- setdiff(levels, main)
  list(
    lines = lines, limits = limits,
    estimates = bind_panels(lapply(panels, function(panel) {
      data.frame(x = panel$path$value[panel$path$zeta == 0][[1L]], y = 0)
    })),
    caption = paste0(
      format(100 * main), " % interval solid",
      if (length(others) > 0L) {
        paste0("; dotted: ", paste(format(100 * sort(others), trim = TRUE), collapse = ", "), " %")
      }
    )
  )
}

#' @noRd
draw_path <- function(d, absolute, xlab, ylab, ...) {
  graphics::plot.default(
    d$lines$x, d$lines$y, type = "n", xlab = "", ylab = "", las = 1, ...
  )
  graphics::mtext(ylab, side = 2L, line = 2.1, las = 1, cex = graphics::par("cex"))
  graphics::title(xlab = fitting_text(xlab))
  graphics::grid(col = "grey92", lty = 1)
  graphics::abline(h = 0, col = "grey60")
  limits <- d$limits[!is.na(d$limits$y), ]
  colour <- image_colours[[1L]]
  if (nrow(limits) > 0L) {
    graphics::segments(
      limits$x, 0, limits$x, limits$y, col = colour, lty = ifelse(limits$main, 1, 3)
    )
  }
  if (absolute) {
    for (level in unique(limits$level)) {
      ends <- limits[limits$level == level, ]
      graphics::lines(range(ends$x), rep.int(max(ends$y), 2L), col = colour, lty = 3)
    }
  }
  own <- d$limits$x[d$limits$main]
  if (length(own) == 2L && !anyNA(own)) {
    graphics::segments(own[[1L]], 0, own[[2L]], 0, col = colour, lwd = 4, lend = 1L)
  }
  graphics::lines(d$lines$x, d$lines$y, lwd = 2)
  graphics::points(d$estimates$x, 0, pch = 19, col = image_colours[[2L]])
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
