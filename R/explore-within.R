# The slopes of a within_between() term as a picture.

#' Picture of a within and a between slope
#'
#' Draws the two effects of a predictor that is in the model as [within_between()]: through the mean
#' of each group a line with the within slope, and through the means of the groups one line with the
#' between slope. Responses are adjusted to the average of all other predictors.
#'
#' @param object A model fitted by [lmm()] with a term `within_between(x, g)`.
#' @param term Which of these terms to draw, by position among them.
#' @param main,xlab,ylab Title and axis labels.
#' @param ... Further graphical parameters for the points, such as `cex`.
#' @returns Invisibly, a data frame with the rows `within`, `between` and `difference` (between
#'   minus within, the contextual effect) and the columns `estimate` and `std.error`.
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
  found <- within_between_terms(object)
  if (!is.numeric(term) || length(term) != 1L || !term %in% seq_along(found)) {
    ferrolmm_abort(
      if (length(found) == 0L) {
        "The model has no term within_between(x, g) with both parts."
      } else {
        paste0("`term` must be a whole number from 1 to ", length(found), ".")
      },
      "argument", i = "See ?within_between."
    )
  }
  chosen <- found[[term]]
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
  lines <- d$lines
  op <- graphics::par(mar = c(4.1, 4.3, 4.1, 1.1), las = 1L)
  on.exit(graphics::par(op))
  graphics::plot(range(d$x), range(d$y), type = "n", xlab = xlab, ylab = ylab)
  point <- grDevices::adjustcolor("grey55", max(0.08, min(0.7, 600 / length(d$x))))
  graphics::points(d$x, d$y, pch = 16L, col = point, ...)
  slope <- slopes["within", "estimate"]
  graphics::segments(
    lines$low, lines$level + slope * (lines$low - lines$mean),
    lines$high, lines$level + slope * (lines$high - lines$mean),
    col = grDevices::adjustcolor(image_colours[[1L]], max(0.25, min(1, 60 / nrow(lines)))),
    lwd = if (nrow(lines) > 60L) 1 else 2
  )
  ends <- range(lines$mean)
  line <- d$level + slopes["between", "estimate"] * ends
  many <- nrow(lines) > 60L
  if (!many) graphics::lines(ends, line, col = image_colours[[2L]], lwd = 3)
  graphics::points(
    lines$mean, lines$level, pch = 21L, bg = "white", col = image_colours[[2L]],
    cex = if (many) 0.5 else 1.1, lwd = if (many) 0.8 else 1.5
  )
  if (many) graphics::lines(ends, line, col = image_colours[[2L]], lwd = 3)
  text <- sprintf(
    "%s %s (s.e. %s)", c("within", "between"),
    format(slopes$estimate[1:2], digits = 3L), format(slopes$std.error[1:2], digits = 2L)
  )
  usr <- graphics::par("usr")
  graphics::legend(
    usr[[1L]], usr[[4L]], text, col = image_colours[1:2], lwd = c(2, 3), horiz = TRUE, bty = "n",
    xpd = NA, yjust = 0, xjust = 0, cex = 0.9, seg.len = 1.5, x.intersp = 0.6
  )
  graphics::title(main = main, line = 2.2)
}
