# Residual and normal quantile pictures of a fit.

#' Diagnostic plots
#'
#' Up to four pictures: (1) residuals against fitted values; (2) scale-location: the square root of
#' the absolute standardised residuals against fitted values; (3) normal quantiles of the residuals;
#' (4) normal quantiles of the random effects, each effect divided by its standard deviation over
#' the levels. The first two carry a smooth line ([stats::lowess()]), the others the line of
#' equality. With several pictures and a single plot region, they are set on one page.
#'
#' Residuals are the conditional ones (response minus fitted values with random effects), multiplied
#' by the root of the weights where there are weights, and divided by `sigma` to standardise them.
#' The three largest are labelled by row name. The more points, the lighter they are drawn. Of more
#' than 20,000 rows as many are drawn, spread evenly over the fitted values, and the ten with
#' the largest residuals with them; the smooth line is that of the rows drawn, without these.
#'
#' With a formula `plot()` draws what it names, by 'lattice', as in 'nlme' and 'lme4': `.` is the
#' fit, other variables are columns of the data, and those after `|` make the panels. Numbers
#' against numbers are points, a factor against numbers boxes, and a one-sided formula a histogram.
#'
#' @param x A model fitted by [lmm()].
#' @param form A formula such as `resid(., type = "scaled") ~ fitted(.) | g`; or numbers, as
#'   `which`.
#' @param which Which pictures: a subset of `1:4`. By default all, or the first three where the
#'   model has no random effects.
#' @param labels How many of the largest residuals to label.
#' @param abline With `form`, a line: intercept and slope, or a height.
#' @param id,idLabels With `form`, the points to name and their names, see [qqnorm.lmm()].
#' @param grid With `form`, draw a grid?
#' @param ... Further graphical parameters for the points, such as `pch`, `cex` or `col`; with
#'   `form`, arguments of [lattice::xyplot()].
#' @returns `x`, invisibly; with `form` a `trellis` object, which draws itself when it is printed.
#' @seealso [autoplot.lmm()] for the same by 'ggplot2', [plot.ranef.lmm()], [qqnorm.lmm()],
#'   [residuals.lmm()], [plot.influence.lmm()]
#' @param ... Further graphical parameters for the points, such as `pch`, `cex` or `col`.
#' @returns `x`, invisibly.
#' @seealso [residuals.lmm()], [autoplot.lmm], [plot.ranef.lmm()]
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age * Sex + (age | Subject), Orthodont)
#' plot(fit)
#' plot(fit, which = 4)
#' plot(fit, resid(., type = "scaled") ~ fitted(.) | Sex, abline = 0, id = 0.01)
#' plot(fit, Subject ~ resid(.))
#' @export
plot.lmm <- function(x, form = NULL, which = NULL, labels = 3L, abline = NULL, id = NULL,
                     idLabels = NULL, grid = NULL, ...) {
  given <- list(abline = abline, id = id, idLabels = idLabels, grid = grid)
  if (inherits(form, "formula")) {
    check_dots(..., allowed = lattice_arguments())
    if (!is.null(which) || !missing(labels)) {
      ferrolmm_abort(
        "`which` and `labels` are for the four pictures, not for a formula.", "argument",
        i = "`id` names points of a formula's picture."
      )
    }
    check_reference(abline)
    grid <- if (is.null(grid)) TRUE else check_flag(grid, "grid")
    return(plot_formula(x, form, abline, id, idLabels, grid, ...))
  }
  check_dots(..., allowed = graphical_arguments())
  unused <- names(given)[!vapply(given, is.null, NA)]
  if (length(unused) > 0L) {
    ferrolmm_abort(
      paste0(quote_names(unused), " are for a picture by formula."), "argument",
      i = "As in plot(fit, resid(.) ~ fitted(.), abline = 0)."
    )
  }
  which <- choose_pictures(x, if (is.null(which)) form else which)
  if (!is.numeric(labels) || length(labels) != 1L || is.na(labels) || labels < 0) {
    ferrolmm_abort("`labels` must be a number.", "argument")
  }
  d <- residual_data(x)
  op <- graphics::par(diagnostic_layout(length(which)))
  on.exit(graphics::par(op))
  for (k in which) {
    switch(k,
      draw_fitted(d, d$residual, "Residual", "Residuals and fitted values", labels, TRUE, ...),
      draw_fitted(
        d, sqrt(abs(d$standardised)), "Root |std. residual|", "Scale-location", labels,
        FALSE, ...
      ),
      draw_quantiles(d$standardised, "Residuals", d$name, labels, ...),
      draw_random_quantiles(x, ...)
    )
  }
  invisible(x)
}

#' @noRd
check_reference <- function(line) {
  if (!is.null(line) && (!is.numeric(line) || !length(line) %in% 1:2 || anyNA(line))) {
    ferrolmm_abort(
      paste0("`abline` must be a height, or an intercept and a slope", describe_given(line), "."),
      "argument"
    )
  }
}

#' Numbers of the pictures of a fit; without random effects there is no fourth
#' @noRd
choose_pictures <- function(object, which) {
  if (is.null(which)) {
    return(if (length(object$random) > 0L) 1:4 else 1:3)
  }
  if (!is.numeric(which) || length(which) == 0L || !all(which %in% 1:4)) {
    ferrolmm_abort(
      "`which` must be numbers from 1 to 4.", "argument",
      i = "1 residuals and fitted values, 2 scale-location, 3 and 4 normal quantiles."
    )
  }
  if (4 %in% which) {
    need_random(object, "The picture of random effects (`which = 4`)")
  }
  which
}

#' Rows and columns of the page, unless the user has set some
#' @noRd
diagnostic_layout <- function(n) {
  layout <- picture_margins(1.9)
  if (n > 1L && identical(graphics::par("mfrow"), c(1L, 1L))) {
    layout$mfrow <- if (n == 2L) c(1L, 2L) else c(2L, 2L)
  }
  layout
}

#' @noRd
residual_data <- function(object) {
  residual <- object$residuals / sqrt(residual_variances(object))
  list(
    fitted = object$fitted.values, residual = residual, standardised = residual / object$sigma,
    name = function(i) row.names(object$frame[i, 1L, drop = FALSE]),
    drawn = drawn_rows(object$fitted.values, residual)
  )
}

#' Rows to draw of a large number: evenly over the fitted values, and the largest residuals
#'
#' @returns list(even, all): positions
#' @noRd
drawn_rows <- function(fitted, residual, most = 20000L) {
  n <- length(fitted)
  if (n <= most) {
    return(list(even = seq_len(n), all = seq_len(n)))
  }
  even <- order(fitted)[unique(round(seq(1, n, length.out = most)))]
  # more of the largest would look like a group of their own
  list(even = even, all = unique(c(even, largest_of(abs(residual), 10L))))
}

#' Graphical parameters of a cloud of n points: the more, the smaller and lighter; the user's have
#' priority
#' @noRd
point_style <- function(n, ...) {
  style <- list(
    pch = 16L, cex = if (n > 5000L) 0.35 else if (n > 500L) 0.6 else 0.9,
    col = grDevices::adjustcolor(image_colours[[1L]], max(0.12, min(0.75, 300 / sqrt(n) / 10)))
  )
  utils::modifyList(style, list(...))
}

#' @noRd
draw_cloud <- function(x, y, ...) {
  do.call(graphics::points, c(list(x, y), point_style(length(x), ...)))
}

#' @noRd
titled_plot <- function(x, y, xlab, ylab, main) {
  graphics::plot(x, y, type = "n", xlab = "", ylab = "")
  wide <- graphics::strwidth(main, "inches", cex = 1.1)
  cex <- 1.1 * min(1, (graphics::par("pin")[[1L]] + graphics::par("mai")[[4L]]) / wide)
  graphics::title(main = main, font.main = 1L, cex.main = cex, line = 0.6)
  name_axes(xlab, ylab)
}

#' Titles of both axes, each within the page
#' @noRd
name_axes <- function(xlab, ylab, line = graphics::par("mgp")[[1L]] + 0.5) {
  graphics::title(xlab = fitting_text(plain_name(xlab)))
  graphics::mtext(
    fitting_text(plain_name(ylab), 2L), 2L, line = line, las = 0L, cex = graphics::par("cex")
  )
}

#' @noRd
draw_fitted <- function(d, y, ylab, main, labels, zero, ...) {
  titled_plot(range(d$fitted), range(y), "Fitted value", ylab, main)
  if (zero) graphics::abline(h = 0, col = "grey60")
  draw_cloud(d$fitted[d$drawn$all], y[d$drawn$all], ...)
  graphics::lines(
    stats::lowess(d$fitted[d$drawn$even], y[d$drawn$even]), col = image_colours[[2L]], lwd = 2
  )
  label_largest(d$fitted, y, abs(d$residual), d$name, labels)
}

#' Names next to the largest values, towards the inside of the plot
#' @noRd
label_largest <- function(x, y, size, name, labels) {
  largest <- largest_of(size, labels)
  if (length(largest) == 0L) {
    return(invisible())
  }
  text <- shorten_labels(name(largest), 0.4 * graphics::par("pin")[[1L]], 0.75)
  left <- x[largest] > mean(graphics::par("usr")[1:2])
  offset <- graphics::strwidth("m", cex = 0.75) * 0.6
  width <- graphics::strwidth(text, cex = 0.75)
  height <- graphics::strheight("M", cex = 0.75)
  centre <- x[largest] + ifelse(left, -1, 1) * (offset + width / 2)
  shown <- logical(length(largest))
  for (i in seq_along(largest)) {
    clash <- shown & abs(centre - centre[[i]]) < (width + width[[i]]) / 2 &
      abs(y[largest] - y[largest[[i]]]) < 1.3 * height
    shown[[i]] <- !any(clash)
  }
  graphics::text(centre[shown], y[largest[shown]], text[shown], cex = 0.75, col = "grey25")
}

#' Positions of the n largest values, the largest first
#' @noRd
largest_of <- function(size, n) {
  n <- min(n, length(size))
  if (n < 1) {
    return(integer())
  }
  rank <- length(size) - n + 1L
  edge <- sort(size, partial = rank)[[rank]]
  candidates <- which(size >= edge)
  utils::head(candidates[order(size[candidates], decreasing = TRUE)], n)
}

#' Quantiles of one sample against those of the normal distribution; thinned in the middle, where
#' many points overlap
#' @noRd
draw_quantiles <- function(z, main, name, labels, ...) {
  order <- order(z)
  n <- length(z)
  expected <- normal_scores(z)
  shown <- thin_quantiles(n)
  titled_plot(
    range(expected), range(z), "Normal quantile", "Standardised",
    paste0("Normal quantiles: ", tolower(main))
  )
  graphics::abline(0, 1, col = "grey60")
  draw_cloud(expected[shown], z[order][shown], ...)
  position <- integer(n)
  position[order] <- seq_len(n)
  label_tails(expected[position], z, name, labels)
}

#' Names of the largest values: of the upper tail to the left, of the lower one to the right, where
#' a rising curve has no points
#' @noRd
label_tails <- function(x, z, name, labels) {
  largest <- largest_of(abs(z), labels)
  shift <- graphics::strwidth("m", cex = 0.75) * 0.6
  height <- graphics::strheight("M", cex = 0.75)
  for (tail in c(-1, 1)) {
    last <- Inf
    for (i in largest[sign(x[largest]) == tail]) {
      y <- z[[i]]
      if (abs(y - last) > 1.4 * height) {
        text <- shorten_labels(name(i), 0.4 * graphics::par("pin")[[1L]], 0.75)
        graphics::text(
          x[[i]] - tail * shift, y, text, cex = 0.75, col = "grey25", adj = c(tail > 0, 0.5)
        )
        last <- y
      }
    }
  }
}

#' Which order statistics to draw: all of a small sample, every k-th inside a large one
#' @noRd
thin_quantiles <- function(n, most = 4000L) {
  if (n <= most) {
    return(seq_len(n))
  }
  edge <- most %/% 8L
  inner <- unique(round(seq(edge + 1, n - edge, length.out = most - 2 * edge)))
  c(seq_len(edge), inner, seq.int(n - edge + 1L, n))
}

#' Expected order statistics of a normal sample of this size
#' @noRd
normal_scores <- function(z) stats::qnorm(stats::ppoints(length(z)))

#' All random effects in one picture, a colour and symbol for each
#' @noRd
draw_random_quantiles <- function(object, ...) {
  samples <- random_samples(object)
  drawn <- vapply(samples, function(z) all(is.finite(z)), NA)
  text <- names(samples)
  text[!drawn] <- paste(text[!drawn], "(all zero)")
  x <- range(-2, 2, unlist(lapply(samples[drawn], normal_scores)))
  y <- range(-2, 2, unlist(samples[drawn]))
  # the legend stands above the points, in an own strip of the panel
  graphics::plot.new()
  graphics::par(new = TRUE)
  graphics::plot.window(c(0, 1), c(0, 1), xaxs = "i", yaxs = "i")
  height <- function(cex) {
    graphics::legend("topleft", text, pch = 1L, cex = cex, bty = "n", plot = FALSE)$rect$h
  }
  cex <- max(0.4, 0.85 * min(1, 0.45 / height(0.85)))
  text <- shorten_labels(plain_name(text), graphics::par("pin")[[1L]] - 0.4, cex)
  share <- min(0.7, height(cex))
  y[[2L]] <- y[[2L]] + diff(y) * share / (1 - share)
  titled_plot(x, y, "Normal quantile", "Standardised", "Normal quantiles: random effects")
  graphics::par(new = FALSE)
  graphics::abline(0, 1, col = "grey60")
  style <- effect_styles(length(samples))
  for (i in which(drawn)) {
    z <- sort(samples[[i]])
    shown <- thin_quantiles(length(z))
    own <- utils::modifyList(
      list(col = grDevices::adjustcolor(style$colours[[i]], 0.7), pch = style$symbols[[i]]),
      list(...)
    )
    do.call(draw_cloud, c(list(normal_scores(z)[shown], z[shown]), own))
  }
  graphics::legend(
    "topleft", text, col = style$colours, pch = ifelse(drawn, style$symbols, NA), bty = "n",
    cex = cex
  )
}

#' A colour and a symbol for each random effect
#' @noRd
effect_styles <- function(n) {
  list(
    colours = rep_len(image_colours, n), symbols = rep_len(c(16L, 17L, 15L, 1L, 2L, 0L), n)
  )
}

#' Random effects, effect by effect, divided by their standard deviation over the levels; NaN where
#' that is zero
#' @noRd
random_samples <- function(object) {
  samples <- lapply(seq_along(object$random), function(t) {
    modes <- term_modes(object, t)
    columns <- lapply(seq_len(ncol(modes)), function(k) {
      spread <- stats::sd(modes[, k])
      largest <- max(abs(modes[, k]))
      if (largest > 0 && isTRUE(spread > 1e-8 * object$sigma)) modes[, k] / spread else NaN
    })
    names(columns) <- paste(object$random[[t]]$group, object$random[[t]]$cnms)
    columns
  })
  unlist(samples, recursive = FALSE)
}
