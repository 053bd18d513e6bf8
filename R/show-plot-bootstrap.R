#' Plot a bootstrap
#'
#' A panel for each statistic: the distribution of its replicates, with a bar for its confidence
#' interval and the estimate as a point on it.
#'
#' @param x What [bootstrap()] returned.
#' @param parm The statistics, by name or position; by default all, without the criterion.
#' @param level The level of the interval.
#' @param interval The kind of interval, see [bootstrap()].
#' @param ... Not used.
#' @returns The intervals, invisibly: a matrix as that of `confint(x)`.
#' @seealso [autoplot.lmm()] for the same by 'ggplot2'.
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (1 | Subject), Orthodont)
#' plot(bootstrap(fit, nsim = 200, seed = 1))
#' @export
plot.bootstrap.lmm <- function(x, parm = NULL, level = 0.95,
                               interval = c("perc", "basic", "norm"), ...) {
  check_dots(...)
  d <- bootstrap_picture(x, parm, level, interval)
  n <- nlevels(d$replicates$panel)
  op <- graphics::par(c(
    picture_margins(0.6), list(mfrow = grDevices::n2mfrow(n), oma = c(1.4, 1.2, 0.3, 0))
  ))
  on.exit(graphics::par(op))
  graphics::par(mar = c(3.2, 2.6, 0.8, 0.8))
  for (k in levels(d$replicates$panel)) {
    values <- d$replicates$x[d$replicates$panel == k]
    limits <- d$limits[d$limits$panel == k, ]
    graphics::hist(
      values, breaks = 25L, col = grDevices::adjustcolor(image_colours[[1L]], 0.4), border = NA,
      main = "", xlab = "", ylab = "",
      xlim = range(values, limits$low, limits$high, limits$estimate, na.rm = TRUE)
    )
    graphics::title(xlab = fitting_text(k))
    graphics::segments(
      limits$low, 0, limits$high, 0, col = image_colours[[1L]], lwd = 4, lend = 1L, xpd = NA
    )
    graphics::points(limits$estimate, 0, pch = 19L, col = image_colours[[2L]], xpd = NA)
  }
  graphics::mtext(d$caption, 1L, outer = TRUE, line = 0.2, cex = 0.75)
  graphics::mtext("Replicates", 2L, outer = TRUE, line = 0.1, las = 0L, cex = 0.8)
  invisible(d$intervals)
}

#' Replicates, and the interval and estimate of each statistic, as data frames with `panel`
#' @noRd
bootstrap_picture <- function(x, parm, level, interval) {
  interval <- match_choice(interval, "interval", c("perc", "basic", "norm"))
  intervals <- confint.bootstrap.lmm(x, parm, level, interval)
  at <- match(rownames(intervals), statistic_names(x))
  drawn <- vapply(at, function(i) length(unique(x$t[!is.na(x$t[, i]), i])) > 1L, NA)
  if (!any(drawn)) {
    ferrolmm_abort("There are no replicates that differ.", "argument")
  }
  titles <- make.unique(parameter_words(statistic_words(x)[at]), sep = " ")
  panels <- factor(titles[drawn], levels = titles[drawn])
  replicates <- lapply(at[drawn], function(i) x$t[!is.na(x$t[, i]), i])
  words <- c(perc = "percentile", basic = "basic", norm = "normal")
  list(
    replicates = data.frame(panel = rep(panels, lengths(replicates)), x = unlist(replicates)),
    limits = data.frame(
      panel = panels, low = intervals[drawn, 1L], high = intervals[drawn, 2L],
      estimate = unname(x$t0[at[drawn]])
    ),
    intervals = intervals,
    caption = paste0("Bar: ", format(100 * level), " % interval (", words[[interval]], ")")
  )
}

#' Names of statistics, those of variance parameters without .sig01
#' @noRd
statistic_words <- function(x) {
  names <- statistic_names(x)
  if (is.null(x$statistic) && !is.null(x$words)) x$words else names
}

#' @rdname autoplot.lmm
#' @export
#' @rawNamespace S3method(ggplot2::autoplot, bootstrap.lmm)
autoplot.bootstrap.lmm <- function(object, parm = NULL, level = 0.95,
                                   interval = c("perc", "basic", "norm"), ...) {
  check_dots(...)
  check_ggplot2()
  d <- bootstrap_picture(object, parm, level, interval)
  .data <- rlang::.data
  ggplot2::ggplot(d$replicates, ggplot2::aes(x = .data$x)) +
    ggplot2::geom_histogram(bins = 25L, fill = image_colours[[1L]], alpha = 0.4) +
    ggplot2::geom_segment(
      data = d$limits[!is.na(d$limits$low), ],
      ggplot2::aes(x = .data$low, xend = .data$high, y = 0, yend = 0), linewidth = 1.6,
      colour = image_colours[[1L]]
    ) +
    ggplot2::geom_point(
      data = d$limits, ggplot2::aes(x = .data$estimate, y = 0), colour = image_colours[[2L]]
    ) +
    ggplot2::facet_wrap(
      ggplot2::vars(.data$panel), scales = "free", labeller = ggplot2::label_wrap_gen(30L)
    ) +
    ggplot2::labs(x = NULL, y = "Replicates", caption = d$caption) +
    plain_theme()
}
