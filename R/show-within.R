# The slopes of a within_between() term as a picture.

#' Plot a within and a between slope
#'
#' Draws the two effects of a predictor that is in the model as [within_between()]: through the mean
#' of each group a line with the within slope, and through the means of the groups one line with the
#' between slope. Responses are adjusted to the average of all other predictors. Of more than 60
#' groups the lines of 60 are drawn, evenly over their means; the points are those of all.
#'
#' @param object A model fitted by [lmm()] with a term `within_between(x, g)`.
#' @param term Which of these terms to draw, by position among them.
#' @param main,xlab,ylab Title and axis labels.
#' @param ... Further graphical parameters for the points, such as `cex`.
#' @seealso `autoplot(object, which = "within_between")` for the same by 'ggplot2', see
#'   [autoplot.lmm()]; [within_between()]
#' @returns Invisibly, a data frame with the rows `within`, `between` and `difference` (between
#'   minus within, the contextual effect) and the columns `estimate` and `std.error`.
#' @seealso [within_between()]
#' @examples
#' set.seed(8)
#' d <- data.frame(doctor = factor(rep(1:12, each = 15)))
#' popular <- rnorm(12, 12, 2)
#' d$hour <- popular[d$doctor] + rnorm(180)
#' d$score <- 2 + popular[d$doctor] - 0.8 * (d$hour - popular[d$doctor]) + rnorm(180)
#' fit <- lmm(score ~ within_between(hour, doctor) + (1 | doctor), d)
#' slopes <- plot_within_between(fit)
#' slopes
#' @export
plot_within_between <- function(object, term = 1L, main = NULL, xlab = NULL, ylab = NULL, ...) {
  check_dots(..., allowed = graphical_arguments())
  check_lmm(object, "plot_within_between")
  chosen <- choose_within_between(object, term)
  slopes <- within_between_slopes(object, chosen)
  d <- within_between_data(object, chosen)
  draw_within_between(
    d, slopes,
    main = if (is.null(main)) "Within and between slopes" else main,
    xlab = if (is.null(xlab)) code_label(chosen$call[[2L]]) else xlab,
    ylab = if (is.null(ylab)) paste0(names(object$frame)[[1L]], " (adjusted)") else ylab, ...
  )
  invisible(slopes)
}

#' @noRd
choose_within_between <- function(object, term) {
  found <- within_between_terms(object)
  if (is.numeric(term) && length(term) == 1L && term %in% seq_along(found)) {
    return(found[[term]])
  }
  written <- Filter(is_within_between, as.list(attr(object$terms, "variables"))[-1L])
  ferrolmm_abort(
    if (length(found) > 0L) {
      paste0("`term` must be a whole number from 1 to ", length(found), ".")
    } else if (length(written) == 0L) {
      "The model has no term within_between(x, g)."
    } else {
      paste0("One part of ", code_label(written[[1L]]), " was dropped from the model.")
    },
    "argument",
    x = if (length(found) == 0L && length(written) > 0L) {
      paste("There is no between slope where all groups have the same mean, and no within slope",
            "where the variable does not vary within groups.")
    },
    i = "See ?within_between."
  )
}

#' Terms with one within and one between column: list of list(call, name, columns)
#' @noRd
within_between_terms <- function(object) {
  calls <- as.list(attr(object$terms, "variables"))[-1L]
  names <- variable_names(calls)
  keys <- fixed_keys(object)
  found <- Map(function(call, name) {
    x <- object$frame[[name]]
    both <- is_within_between(call) && is.matrix(x) && ncol(x) == 2L
    columns <- if (both) {
      match(paste0(match(name, names(object$frame)), c(".1", ".2")), keys)
    } else {
      NA
    }
    kept <- !anyNA(columns) && !anyNA(object$coefficients[columns])
    if (kept) list(call = call, name = name, columns = columns)
  }, calls, names)
  unname(found[!vapply(found, is.null, NA)])
}

#' @noRd
within_between_slopes <- function(object, chosen) {
  at <- match(chosen$columns, kept_columns(object))
  weights <- rbind(within = c(1, 0), between = c(0, 1), difference = c(-1, 1))
  covariance <- as.matrix(vcov.lmm(object))[at, at]
  data.frame(
    estimate = drop(weights %*% fixef.lmm(object)[at]),
    std.error = sqrt(rowSums((weights %*% covariance) * weights))
  )
}

#' What is drawn: for each row its adjusted response and group mean; for each group its line
#' @noRd
within_between_data <- function(object, chosen) {
  x <- object$frame[[chosen$name]]
  within <- as.double(x[, 1L])
  between <- as.double(x[, 2L])
  slopes <- object$coefficients[chosen$columns]
  fixed <- fixed_part(object, object$frame, object$offset)
  random <- object$fitted.values - fixed
  part <- slopes[[1L]] * within + slopes[[2L]] * between
  level <- mean(fixed - part)
  group <- match(between, unique(between))
  means <- unique(between)
  lines <- data.frame(
    mean = means,
    level = level + slopes[[2L]] * means + drop(rowsum(random, group)) / tabulate(group),
    low = means + tapply(within, group, min), high = means + tapply(within, group, max)
  )
  list(
    x = within + between, y = level + part + random + object$residuals,
    group = group, lines = lines, level = level
  )
}

#' @noRd
draw_within_between <- function(d, slopes, main, xlab, ylab, ...) {
  op <- graphics::par(picture_margins(3.4))
  on.exit(graphics::par(op))
  graphics::plot(range(d$x), range(d$y), type = "n", xlab = "", ylab = "")
  name_axes(xlab, ylab)
  point <- grDevices::adjustcolor("grey55", point_weight(d))
  graphics::points(d$x, d$y, pch = 16L, col = point, ...)
  lines <- within_lines(d, slopes)
  many <- nrow(d$lines) > 60L
  graphics::segments(
    lines$x, lines$y, lines$xend, lines$yend, lwd = if (many) 1 else 2,
    col = grDevices::adjustcolor(image_colours[[1L]], if (many) 0.45 else 0.9)
  )
  between <- between_line(d, slopes)
  if (!many) graphics::lines(between$x, between$y, col = image_colours[[2L]], lwd = 3)
  graphics::points(
    d$lines$mean, d$lines$level, pch = 21L, bg = "white", col = image_colours[[2L]],
    cex = if (many) 0.5 else 1.1, lwd = if (many) 0.8 else 1.5
  )
  if (many) graphics::lines(between$x, between$y, col = image_colours[[2L]], lwd = 3)
  legend_above(slope_labels(slopes), col = image_colours[1:2], lwd = c(2, 3))
  graphics::title(main = fitting_text(main, cex = 1.1), line = 2,
                  cex.main = 1.1)
}

#' @noRd
point_weight <- function(d) max(0.08, min(0.7, 600 / length(d$x)))

#' The within lines of at most 60 groups, evenly over their means
#' @noRd
within_lines <- function(d, slopes, most = 60L) {
  lines <- d$lines[order(d$lines$mean), ]
  lines <- lines[unique(round(seq(1, nrow(lines), length.out = min(most, nrow(lines))))), ]
  slope <- slopes["within", "estimate"]
  data.frame(
    x = as.vector(lines$low), y = as.vector(lines$level + slope * (lines$low - lines$mean)),
    xend = as.vector(lines$high), yend = as.vector(lines$level + slope * (lines$high - lines$mean))
  )
}

#' @noRd
between_line <- function(d, slopes) {
  ends <- range(d$lines$mean)
  data.frame(x = ends, y = d$level + slopes["between", "estimate"] * ends)
}

#' @noRd
slope_labels <- function(slopes) {
  sprintf(
    "%s %s (s.e. %s)", c("within", "between"),
    format(slopes$estimate[1:2], digits = 3L), format(slopes$std.error[1:2], digits = 2L)
  )
}

#' plot_within_between() by 'ggplot2'
#' @noRd
ggplot_within_between <- function(object, term = 1L) {
  chosen <- choose_within_between(object, term)
  slopes <- within_between_slopes(object, chosen)
  d <- within_between_data(object, chosen)
  labels <- slope_labels(slopes)
  .data <- rlang::.data
  many <- nrow(d$lines) > 60L
  ggplot2::ggplot(
    data.frame(x = d$x, y = d$y), ggplot2::aes(x = .data$x, y = .data$y)
  ) +
    ggplot2::geom_point(colour = "grey55", alpha = point_weight(d)) +
    ggplot2::geom_segment(
      data = within_lines(d, slopes),
      ggplot2::aes(xend = .data$xend, yend = .data$yend, colour = labels[[1L]]),
      alpha = if (many) 0.45 else 0.9
    ) +
    ggplot2::geom_line(
      data = between_line(d, slopes), ggplot2::aes(colour = labels[[2L]]), linewidth = 1.3
    ) +
    ggplot2::geom_point(
      data = data.frame(x = d$lines$mean, y = as.vector(d$lines$level)), shape = 21L,
      fill = "white", colour = image_colours[[2L]], size = if (many) 0.8 else 2
    ) +
    ggplot2::scale_colour_manual(
      values = stats::setNames(image_colours[1:2], labels), breaks = labels
    ) +
    ggplot2::labs(
      x = code_label(chosen$call[[2L]]), y = paste0(names(object$frame)[[1L]], " (adjusted)"),
      colour = NULL, title = "Within and between slopes"
    ) +
    plain_theme()
}
