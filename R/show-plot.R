# Residual and normal quantile pictures of a fit.

#' Pictures of a fitted model
#'
#' Up to four pictures: (1) residuals against fitted values; (2) scale-location: the square root of
#' the absolute standardised residuals against fitted values; (3) normal quantiles of the residuals;
#' (4) normal quantiles of the random effects, each effect divided by its standard deviation over
#' the levels. The first two carry a smooth line ([stats::lowess()]), the others the line of
#' equality. With several pictures and a single plot region, they are set on one page.
#'
#' Residuals are the conditional ones (response minus fitted values with random effects), multiplied
#' by the root of the weights where there are weights, and divided by `sigma` to standardise them.
#' The three largest are labelled by row name. The more points, the lighter they are drawn.
#'
#' @param x A model fitted by [lmm()].
#' @param which Which pictures: a subset of `1:4`. By default all, or the first three where the
#'   model has no random effects.
#' @param labels How many of the largest residuals to label.
#' @param ... Further graphical parameters for the points, such as `pch`, `cex` or `col`.
#' @returns `x`, invisibly.
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age * Sex + (age | Subject), Orthodont)
#' plot(fit)
#' plot(fit, which = 4)
#' @export
plot.lmm <- function(x, which = NULL, labels = 3L, ...) {
  check_dots(..., allowed = graphical_arguments())
  which <- choose_pictures(x, which)
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
  layout <- list(mar = c(4.1, 4.3, 2.6, 1.1), las = 1L)
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
    name = function(i) row.names(object$frame[i, 1L, drop = FALSE])
  )
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
draw_fitted <- function(d, y, ylab, main, labels, zero, ...) {
  graphics::plot(
    range(d$fitted), range(y), type = "n", xlab = "Fitted value", ylab = ylab, main = main,
    font.main = 1L, cex.main = 1.1
  )
  if (zero) graphics::abline(h = 0, col = "grey60")
  draw_cloud(d$fitted, y, ...)
  graphics::lines(stats::lowess(d$fitted, y), col = image_colours[[2L]], lwd = 2)
  label_largest(d$fitted, y, abs(d$residual), d$name, labels)
}

#' Names next to the largest values, towards the inside of the plot
#' @noRd
label_largest <- function(x, y, size, name, labels) {
  largest <- utils::head(order(size, decreasing = TRUE), labels)
  if (length(largest) == 0L) {
    return(invisible())
  }
  text <- name(largest)
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

#' Quantiles of one sample against those of the normal distribution; thinned in the middle, where
#' many points overlap
#' @noRd
draw_quantiles <- function(z, main, name, labels, ...) {
  order <- order(z)
  n <- length(z)
  expected <- normal_scores(z)
  shown <- thin_quantiles(n)
  graphics::plot(
    room_for_labels(expected, name(utils::head(rev(order(abs(z))), labels))), range(z), type = "n",
    xlab = "Normal quantile",
    ylab = "Standardised", main = paste0("Normal quantiles: ", tolower(main)), font.main = 1L,
    cex.main = 1.1
  )
  graphics::abline(0, 1, col = "grey60")
  draw_cloud(expected[shown], z[order][shown], ...)
  position <- integer(n)
  position[order] <- seq_len(n)
  label_tails(expected[position], z, name, labels)
}

#' Limits that leave room for labels on both sides
#' @noRd
room_for_labels <- function(x, text) {
  width <- (max(0L, nchar(text)) + 1) * 0.75 * graphics::par("cin")[[1L]] * graphics::par("cex")
  share <- min(0.2, 0.8 * width / graphics::par("pin")[[1L]])
  range(x) + c(-1, 1) * share / (1 - 2 * share) * diff(range(x))
}

#' Names of the largest values, on the side of the curve without points
#' @noRd
label_tails <- function(x, z, name, labels) {
  largest <- utils::head(order(abs(z), decreasing = TRUE), labels)
  shift <- graphics::strwidth("m", cex = 0.75) * 0.4
  height <- graphics::strheight("M", cex = 0.75)
  for (tail in c(-1, 1)) {
    here <- largest[sign(x[largest]) == tail]
    here <- here[order(-abs(z[here]))]
    last <- Inf
    for (i in here) {
      y <- z[[i]] - tail * 0.7 * height
      if (abs(y - last) > 1.4 * height) {
        graphics::text(
          x[[i]] + tail * shift, y, name(i), cex = 0.75, col = "grey25", adj = c(tail < 0, 0.5)
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
  graphics::plot(
    range(-2, 2, unlist(lapply(samples[drawn], normal_scores))),
    range(-2, 2, unlist(samples[drawn])), type = "n", xlab = "Normal quantile",
    ylab = "Standardised", main = "Normal quantiles: random effects", font.main = 1L, cex.main = 1.1
  )
  graphics::abline(0, 1, col = "grey60")
  colours <- rep_len(image_colours, length(samples))
  symbols <- rep_len(c(16L, 17L, 15L, 1L, 2L, 0L), length(samples))
  for (i in which(drawn)) {
    z <- sort(samples[[i]])
    shown <- thin_quantiles(length(z))
    style <- utils::modifyList(
      list(col = grDevices::adjustcolor(colours[[i]], 0.7), pch = symbols[[i]]), list(...)
    )
    do.call(
      draw_cloud, c(list(normal_scores(z)[shown], z[shown]), style)
    )
  }
  text <- names(samples)
  text[!drawn] <- paste(text[!drawn], "(all zero)")
  graphics::legend(
    "topleft", text, col = colours, pch = ifelse(drawn, symbols, NA), bty = "n", cex = 0.8
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
      if (largest > 0 && spread > 1e-8 * object$sigma) modes[, k] / spread else NaN
    })
    names(columns) <- paste(object$random[[t]]$group, object$random[[t]]$cnms)
    columns
  })
  unlist(samples, recursive = FALSE)
}
