#' Plot power
#'
#' Power against the size of the design, a line for each test (and for each size of other factors),
#' with Monte-Carlo limits; without sizes a point for each test.
#'
#' @param x What [power()] returned.
#' @param ... Not used.
#' @returns What is drawn, invisibly: a data frame with `x`, `line`, `power`, `conf.low` and
#'   `conf.high`.
#' @seealso [autoplot.lmm()] for the same by 'ggplot2'.
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age * Sex + (1 | Subject), Orthodont)
#' plot(power(fit, "age:Sex", nsim = 50, along = list(Subject = c(10, 20, 40)), seed = 1))
#' @export
plot.power.lmm <- function(x, ...) {
  check_dots(...)
  d <- power_picture(x)
  lines <- levels(d$line)
  colours <- rep_len(image_colours, length(lines))
  op <- graphics::par(picture_margins(0.6))
  on.exit(graphics::par(op))
  at <- if (is.factor(d$x)) as.integer(d$x) else d$x
  room <- if (is.factor(d$x)) c(-0.4, 0.4) else c(0, 0)
  graphics::plot(
    range(at) + room, c(0, 1), type = "n", xlab = attr(d, "label"), ylab = "Power", xaxt = "n",
    main = "", las = 1L
  )
  if (is.factor(d$x)) {
    graphics::axis(1L, seq_along(levels(d$x)), levels(d$x))
  } else {
    graphics::axis(1L)
  }
  for (k in seq_along(lines)) {
    here <- which(d$line == lines[[k]])
    here <- here[order(at[here])]
    graphics::segments(
      at[here], d$conf.low[here], at[here], d$conf.high[here], col = colours[[k]], lwd = 2
    )
    graphics::lines(at[here], d$power[here], col = colours[[k]])
    graphics::points(at[here], d$power[here], pch = 19L, col = colours[[k]])
  }
  if (length(lines) > 1L) {
    graphics::legend("bottomright", lines, col = colours, lty = 1L, pch = 19L, bty = "n")
  }
  invisible(d)
}

#' @rdname autoplot.lmm
#' @export
#' @rawNamespace S3method(ggplot2::autoplot, power.lmm)
autoplot.power.lmm <- function(object, ...) {
  check_dots(...)
  check_ggplot2()
  d <- power_picture(object)
  lines <- nlevels(d$line)
  .data <- rlang::.data
  aesthetics <- ggplot2::aes(
    .data$x, .data$power, ymin = .data$conf.low, ymax = .data$conf.high, colour = .data$line,
    group = .data$line
  )
  picture <- ggplot2::ggplot(d, aesthetics) +
    ggplot2::geom_line() +
    ggplot2::geom_pointrange() +
    ggplot2::scale_colour_manual(values = rep_len(image_colours, lines), name = NULL) +
    ggplot2::scale_y_continuous(limits = c(0, 1)) +
    ggplot2::labs(x = attr(d, "label"), y = "Power") +
    plain_theme()
  if (lines > 1L) picture else picture + ggplot2::theme(legend.position = "none")
}

#' What both pictures show
#' @noRd
power_picture <- function(x) {
  along <- attr(x, "along")
  if (is.null(along)) {
    ferrolmm_abort("This is a part of a table of power(): draw the whole.", "argument")
  }
  x <- as.data.frame(x)
  line <- x$test
  for (name in along[-1L]) line <- paste0(line, ", ", name, " = ", x[[name]])
  d <- data.frame(
    x = if (length(along) > 0L) x[[along[[1L]]]] else factor(x$test, unique(x$test)),
    line = factor(line, unique(line)), power = x$power, conf.low = x$conf.low,
    conf.high = x$conf.high
  )
  if (length(along) == 0L) d$line <- factor(rep.int("", nrow(d)))
  structure(d, label = if (length(along) > 0L) paste("Levels of", along[[1L]]) else "Test")
}
