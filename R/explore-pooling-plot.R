# Pictures of the ways to treat grouped data.

#' Pictures of partial pooling
#'
#' `"shrinkage"` draws how the mixed model moves the estimate of each group: an arrow from the
#' group's own estimate to its partially pooled value. With two coefficients that have a random
#' effect, the plane of both is drawn, and all arrows lead towards the population value; with one,
#' its values over the number of rows of the group (over its rank, where all groups are of about the
#' same size): small groups move most.
#'
#' `"lines"` draws three panels for one predictor: the means of the groups with the regression on
#' them; one line for each group on its own; and the lines of the mixed model, with the population
#' line. Lines pass through the mean of their group, other predictors being at their means there.
#'
#' @param x What [pooling()] returned.
#' @param type `"shrinkage"` or `"lines"`.
#' @param terms For `"shrinkage"`, one or two coefficients with a random effect; for `"lines"`, one
#'   coefficient. By name; the first ones by default.
#' @param labels Label the groups? By default where there are at most 30.
#' @param main Title.
#' @param ... Not used.
#' @returns `x`, invisibly.
#' @examples
#' fit <- lmm(mobility ~ Age + Sex + (1 | doctor), doctors)
#' plot(pooling(fit))
#'
#' data(Orthodont, package = "nlme")
#' growth <- lmm(distance ~ age + (age | Subject), Orthodont)
#' plot(pooling(growth))
#' plot(pooling(growth), "lines")
#' @export
plot.lmm_pooling <- function(x, type = c("shrinkage", "lines"), terms = NULL, labels = NULL,
                             main = NULL, ...) {
  check_dots(...)
  type <- match_choice(type, "type", c("shrinkage", "lines"))
  if (type == "lines") {
    draw_lines(x, line_term(x, terms), main)
    return(invisible(x))
  }
  terms <- shrinkage_terms(x, terms)
  labels <- if (is.null(labels)) length(x$units$n) <= 30L else labels
  check_flag(labels, "labels")
  if (length(terms) == 1L) {
    draw_shrinkage_one(x, terms, labels, main)
  } else {
    draw_shrinkage_two(x, terms, labels, main)
  }
  invisible(x)
}

#' @noRd
shrinkage_terms <- function(x, terms) {
  known <- levels(x$groups$term)
  if (is.null(terms)) {
    return(utils::head(known, 2L))
  }
  if (!is.character(terms) || !length(terms) %in% 1:2 || !all(terms %in% known)) {
    ferrolmm_abort(
      "`terms` must name one or two coefficients that have a random effect.", "argument",
      i = paste0("There are ", quote_names(known), ".")
    )
  }
  unique(terms)
}

#' The predictor of the lines: by default the first column of X that varies within groups
#' @noRd
line_term <- function(x, term) {
  varies <- vapply(x$lines$ranges, function(range) any(range[, 2L] > range[, 1L]), NA)
  known <- names(varies)[varies]
  if (is.null(term) && length(known) > 0L) {
    return(known[[1L]])
  }
  if (!is.character(term) || length(term) != 1L || !term %in% known) {
    ferrolmm_abort(
      if (length(known) == 0L) {
        "No predictor varies within groups: there are no lines to draw."
      } else {
        "`terms` must name one coefficient of a predictor that varies within groups."
      },
      "argument", i = if (length(known) > 0L) paste0("There are ", quote_names(known), ".")
    )
  }
  term
}

#' Colours of the three kinds of values: alone, partially pooled, population
#' @noRd
pooling_colours <- c(alone = "#D55E00", partial = "#0072B2", population = "#000000")

#' @noRd
draw_shrinkage_two <- function(x, terms, labels, main) {
  one <- x$groups[x$groups$term == terms[[1L]], ]
  two <- x$groups[x$groups$term == terms[[2L]], ]
  there <- !is.na(one$alone) & !is.na(two$alone)
  op <- graphics::par(mar = c(4.1, 4.3, 4.1, 1.1), las = 1L)
  on.exit(graphics::par(op))
  graphics::plot(
    range(one$alone, one$partial, na.rm = TRUE),
    with_room(range(two$alone, two$partial, na.rm = TRUE), labels), type = "n",
    xlab = terms[[1L]], ylab = terms[[2L]]
  )
  draw_moves(
    one$alone[there], two$alone[there], one$partial[there], two$partial[there]
  )
  if (any(!there)) {
    graphics::points(one$partial[!there], two$partial[!there], pch = 15L, cex = 0.6,
                     col = pooling_colours[["partial"]])
  }
  graphics::points(
    one$population[[1L]], two$population[[1L]], pch = 23L, bg = "white", lwd = 2,
    cex = if (sum(there) > 60L) 1 else 1.6
  )
  if (labels) {
    label_apart(one$alone, two$alone, as.character(one$group))
  }
  shrinkage_legend(FALSE)
  graphics::title(main = if (is.null(main)) paste("Shrinkage by", x$group) else main, line = 2.2)
}

#' @noRd
draw_shrinkage_one <- function(x, term, labels, main) {
  d <- x$groups[x$groups$term == term, ]
  sizes <- length(unique(d$n)) >= 5L
  d <- d[order(d$n, d$alone), ]
  at <- if (sizes) spread_within(d$n) else rank(d$alone, ties.method = "first")
  op <- graphics::par(mar = c(4.1, 4.3, 4.1, 1.1), las = 1L)
  on.exit(graphics::par(op))
  graphics::plot(
    range(at), with_room(range(d$alone, d$partial, na.rm = TRUE), labels && sizes), type = "n",
    ylab = term,
    xlab = if (sizes) {
      paste("Rows per level of", x$group)
    } else {
      paste0(x$group, ", in order of its own value")
    },
    xaxt = if (!sizes && labels) "n" else "s"
  )
  if (!sizes && labels) {
    graphics::axis(1L, at, d$group, las = 2L, cex.axis = 0.7)
  }
  graphics::abline(h = d$population[[1L]], lwd = 2)
  draw_moves(at, d$alone, at, d$partial)
  if (sizes && labels) {
    label_apart(at, d$alone, as.character(d$group))
  }
  shrinkage_legend(TRUE)
  graphics::title(main = if (is.null(main)) paste("Shrinkage by", x$group) else main, line = 2.2)
}

#' Limits with room for labels above the highest point
#' @noRd
with_room <- function(limits, labels) {
  if (labels) limits + c(0, 0.05 * diff(limits)) else limits
}

#' Jitter: equal whole numbers a little apart, in the order in which they come
#' @noRd
spread_within <- function(n) {
  place <- stats::ave(seq_along(n), n, FUN = seq_along)
  total <- stats::ave(seq_along(n), n, FUN = length)
  n + 0.8 * ((place - 0.5) / total - 0.5)
}

#' Arrows from a to b; the more of them, the lighter
#' @noRd
draw_moves <- function(x0, y0, x1, y1) {
  many <- length(x0) > 60L
  colour <- grDevices::adjustcolor("grey40", if (many) 0.45 else 0.8)
  size <- graphics::par("pin") / c(diff(graphics::par("usr")[1:2]), diff(graphics::par("usr")[3:4]))
  far <- sqrt(((x1 - x0) * size[[1L]])^2 + ((y1 - y0) * size[[2L]])^2) > 0.02
  far[is.na(far)] <- FALSE
  if (any(far)) {
    graphics::arrows(
      x0[far], y0[far], x1[far], y1[far], length = if (many) 0.03 else 0.06, col = colour,
      lwd = if (many) 0.7 else 1
    )
  }
  graphics::points(
    x0, y0, pch = 1L, cex = if (many) 0.5 else 0.9, col = pooling_colours[["alone"]]
  )
  graphics::points(
    x1, y1, pch = 16L, cex = if (many) 0.5 else 0.9, col = pooling_colours[["partial"]]
  )
}

#' Labels above their points, except those that would overlap another one
#' @noRd
label_apart <- function(x, y, text, cex = 0.7) {
  width <- graphics::strwidth(text, cex = cex) / 2
  height <- graphics::strheight("M", cex = cex)
  y <- y + 1.3 * height
  shown <- logical(length(x))
  for (i in which(!is.na(x) & !is.na(y))) {
    clash <- shown & abs(x - x[[i]]) < width + width[[i]] & abs(y - y[[i]]) < 1.2 * height
    shown[[i]] <- !any(clash)
  }
  if (any(shown)) {
    graphics::text(x[shown], y[shown], text[shown], cex = cex, col = "grey25", xpd = NA)
  }
}

#' @noRd
shrinkage_legend <- function(line) {
  usr <- graphics::par("usr")
  text <- c("group alone", "partially pooled", "population")
  graphics::legend(
    usr[[1L]], usr[[4L]], text, text.width = 1.15 * max(graphics::strwidth(text, cex = 0.9)),
    col = pooling_colours, pch = c(1L, 16L, if (line) NA else 23L), lty = c(0, 0, line),
    lwd = c(1, 1, 2), horiz = TRUE, bty = "n", xpd = NA, yjust = 0, xjust = 0, cex = 0.9,
    seg.len = 1.2, x.intersp = 0.7
  )
}

#' The three panels: aggregate, unit by unit, mixed
#' @noRd
draw_lines <- function(x, term, main) {
  lines <- x$lines
  at <- lines$values[, term]
  range <- lines$ranges[[term]]
  ends <- cbind(range[, 1L], range[, 2L])
  slopes <- list(
    unit = x$units$coefficients[, term],
    mixed = mixed_slopes(x, term)
  )
  y <- list(unit = lines$values[, 1L], mixed = lines$predicted[, "mixed"])
  heights <- lapply(c(unit = "unit", mixed = "mixed"), function(kind) {
    y[[kind]] + slopes[[kind]] * (ends - at)
  })
  limits <- range(y$unit, robust_range(heights$unit), heights$mixed, na.rm = TRUE)
  op <- graphics::par(
    mfrow = c(1L, 3L), mar = c(4.1, 1.1, 2.6, 0.6), oma = c(0, 3.2, 2, 0), las = 1L
  )
  on.exit(graphics::par(op))
  panel <- function(title, first) {
    graphics::plot(
      range(ends), limits, type = "n", xlab = term, ylab = "", yaxt = if (first) "s" else "n",
      main = title, font.main = 1L, cex.main = 1.1
    )
  }
  thin <- function(colour) {
    grDevices::adjustcolor(colour, max(0.15, min(0.9, 40 / length(at))))
  }
  through <- function(x, y, slope, colour) {
    centre <- c(mean(x), mean(y))
    reach <- range(ends)
    graphics::lines(reach, centre[[2L]] + slope * (reach - centre[[1L]]), col = colour, lwd = 3)
  }
  panel("aggregate", TRUE)
  graphics::points(at, y$unit, pch = 16L, col = grDevices::adjustcolor("grey30", 0.6),
                   cex = if (length(at) > 60L) 0.5 else 1)
  reach <- range(at)
  slope <- x$coefficients[term, "aggregate"]
  if (is.na(slope)) {
    graphics::mtext("means of the groups are equal: no slope", 3L, line = -1.4, cex = 0.65)
  } else {
    graphics::lines(reach, mean(y$unit) + slope * (reach - mean(at)), lwd = 3)
  }
  panel("unit by unit", FALSE)
  graphics::segments(ends[, 1L], heights$unit[, 1L], ends[, 2L], heights$unit[, 2L],
                     col = thin(pooling_colours[["alone"]]))
  panel("mixed model", FALSE)
  graphics::segments(ends[, 1L], heights$mixed[, 1L], ends[, 2L], heights$mixed[, 2L],
                     col = thin(pooling_colours[["partial"]]))
  through(
    at, lines$predicted[, "fixed"], x$coefficients[term, "mixed"], pooling_colours[["population"]]
  )
  graphics::mtext(x$response, 2L, outer = TRUE, line = 2, las = 0L, cex = 0.8)
  title <- if (is.null(main)) paste("Three treatments of", x$group) else main
  graphics::mtext(title, 3L, outer = TRUE, line = 0.3, font = 2L)
}

#' @noRd
mixed_slopes <- function(x, term) {
  own <- x$groups[x$groups$term == term & x$groups$n > 0L, ]
  if (nrow(own) == 0L) {
    return(rep.int(x$coefficients[term, "mixed"], length(x$units$n)))
  }
  own$population[[1L]] + rowsum(own$partial - own$population, as.integer(own$group))[, 1L]
}

#' The range without outliers: a few noisy groups must not set the scale
#' @noRd
robust_range <- function(values) {
  stats::quantile(values, c(0.02, 0.98), na.rm = TRUE, names = FALSE)
}
