# Pictures of the ways to treat grouped data.

#' Plot partial pooling
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
#' @seealso [pooling()]
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

#' The predictor of the lines: by default the first column of X that varies within groups, numbers
#' before codes of factors
#' @noRd
line_term <- function(x, term) {
  varies <- vapply(x$lines$ranges, function(range) any(range[, 2L] > range[, 1L]), NA)
  known <- names(varies)[varies]
  if (is.null(term) && length(known) > 0L) {
    # a number has slopes; the code of a factor has differences
    return(known[order(x$lines$coded[varies])][[1L]])
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
  moves <- moves_two(x, terms)
  d <- moves$data
  op <- graphics::par(picture_margins(3.4))
  on.exit(graphics::par(op))
  graphics::plot(
    range(d$x, d$xend, na.rm = TRUE), with_room(range(d$y, d$yend, na.rm = TRUE), labels),
    type = "n", xlab = "", ylab = ""
  )
  name_axes(moves$xlab, moves$ylab)
  there <- !is.na(d$x) & !is.na(d$y)
  draw_moves(d$x[there], d$y[there], d$xend[there], d$yend[there])
  if (any(!there)) {
    graphics::points(d$xend[!there], d$yend[!there], pch = 15L, cex = 0.6,
                     col = pooling_colours[["partial"]])
  }
  graphics::points(
    moves$population[[1L]], moves$population[[2L]], pch = 23L, bg = "white", lwd = 2,
    cex = if (sum(there) > 60L) 1 else 1.6
  )
  if (labels) {
    label_apart(d$x, d$y, d$group, others = list(x = c(d$x, d$xend), y = c(d$y, d$yend)))
  }
  shrinkage_legend(FALSE)
  draw_title(main, x)
}

#' One coefficient: across the number of rows of the groups, or, where groups are of about the same
#' size, one group below the other
#' @noRd
draw_shrinkage_one <- function(x, term, labels, main) {
  moves <- moves_one(x, term)
  d <- moves$data
  op <- graphics::par(picture_margins(3.4))
  on.exit(graphics::par(op))
  if (moves$sizes) {
    graphics::plot(
      range(d$x), with_room(range(d$y, d$yend, na.rm = TRUE), labels), type = "n",
      xlab = "", ylab = ""
    )
    name_axes(moves$xlab, moves$ylab)
    graphics::abline(h = moves$population, lwd = 2)
    draw_moves(d$x, d$y, d$xend, d$yend)
    if (labels) {
      label_apart(d$x, d$y, d$group, others = list(x = c(d$x, d$x), y = c(d$y, d$yend)))
    }
  } else {
    draw_in_order(d, moves, labels)
  }
  shrinkage_legend(TRUE)
  draw_title(main, x)
}

#' Groups below each other, so that names have the width that they need
#' @noRd
draw_in_order <- function(d, moves, labels) {
  graphics::plot.new()
  size <- graphics::par("fin")
  cex <- readable_size((size[[2L]] - 7 * graphics::par("csi")) / nrow(d))
  named <- labels && !is.na(cex)
  if (named) {
    text <- shorten_labels(d$group, 0.4 * size[[1L]], cex)
    left <- max(graphics::strwidth(text, "inches", cex = cex)) / graphics::par("csi") + 1.1
  }
  op <- graphics::par(mar = c(3.3, if (named) left else 2, 3.4, 0.9), new = TRUE)
  on.exit(graphics::par(op))
  graphics::plot(
    range(d$y, d$yend, na.rm = TRUE), c(0.5, nrow(d) + 0.5), type = "n", xlab = "", ylab = "",
    yaxt = "n", yaxs = "i"
  )
  name_axes(moves$ylab, if (named) "" else moves$xlab, line = 0.6)
  graphics::abline(v = moves$population, lwd = 2)
  draw_moves(d$y, d$x, d$yend, d$xend)
  if (named) {
    graphics::axis(2L, d$x, text, tick = FALSE, line = -0.45, cex.axis = cex, gap.axis = -1)
  }
}

#' @noRd
draw_title <- function(main, x, line = 2) {
  title <- if (is.null(main)) paste("Shrinkage by", x$group) else main
  graphics::title(main = fitting_text(title, cex = 1.1), line = line,
                  cex.main = 1.1)
}

#' The moves of two coefficients: where each group is alone and where partially pooled
#' @noRd
moves_two <- function(x, terms) {
  one <- x$groups[x$groups$term == terms[[1L]], ]
  two <- x$groups[x$groups$term == terms[[2L]], ]
  list(
    data = data.frame(
      x = one$alone, y = two$alone, xend = one$partial, yend = two$partial,
      group = as.character(one$group)
    ),
    population = c(one$population[[1L]], two$population[[1L]]), xlab = terms[[1L]],
    ylab = terms[[2L]]
  )
}

#' The moves of one coefficient, across the number of rows or in order
#' @noRd
moves_one <- function(x, term) {
  d <- x$groups[x$groups$term == term, ]
  sizes <- length(unique(d$n)) >= 5L
  d <- d[order(d$n, d$alone), ]
  at <- if (sizes) spread_within(d$n) else rank(d$alone, ties.method = "first")
  list(
    data = data.frame(x = at, y = d$alone, xend = at, yend = d$partial,
                      group = as.character(d$group)),
    population = d$population[[1L]], ylab = term, sizes = sizes,
    xlab = if (sizes) paste("Rows per level of", x$group) else paste0(x$group, ", in order")
  )
}

#' Limits with room for labels above the highest point
#' @noRd
with_room <- function(limits, labels) {
  if (labels) limits + c(0, 0.05 * diff(limits)) else limits
}

#' Jitter: equal whole numbers apart by multiples of the golden ratio, which make no pattern
#' @noRd
spread_within <- function(n) {
  place <- stats::ave(seq_along(n), n, FUN = seq_along)
  total <- stats::ave(seq_along(n), n, FUN = length)
  n + ifelse(total == 1, 0, 0.7 * ((place * 0.6180339887) %% 1 - 0.5))
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

#' Labels above their points, or below where they would hide another point there, except those
#' that would overlap another label
#'
#' @param others points that are not to be hidden: list(x, y).
#' @noRd
label_apart <- function(x, y, text, cex = 0.7, others = list(x = x, y = y)) {
  text <- shorten_labels(text, 0.35 * graphics::par("pin")[[1L]], cex)
  width <- graphics::strwidth(text, cex = cex) / 2
  height <- graphics::strheight("M", cex = cex)
  usr <- graphics::par("usr")
  margin <- 0.005 * diff(usr[1:2])
  x <- pmin(pmax(x, usr[[1L]] + width + margin), usr[[2L]] - width - margin)
  shown <- logical(length(x))
  at <- y
  for (i in which(!is.na(x) & !is.na(y))) {
    places <- y[[i]] + c(1.3, -1.3) * height
    hides <- vapply(places, function(place) {
      any(abs(others$x - x[[i]]) < width[[i]] & abs(others$y - place) < height, na.rm = TRUE)
    }, NA)
    inside <- places > usr[[3L]] + height & places < usr[[4L]] - height
    for (place in places[order(hides, !inside)]) {
      clash <- shown & abs(x - x[[i]]) < width + width[[i]] & abs(at - place) < 1.2 * height
      if (!any(clash)) {
        at[[i]] <- place
        shown[[i]] <- TRUE
        break
      }
    }
  }
  if (any(shown)) {
    graphics::text(x[shown], at[shown], text[shown], cex = cex, col = "grey25", xpd = NA)
  }
}

#' Between title and picture, in a size that fits
#' @noRd
shrinkage_legend <- function(line) {
  text <- c("group alone", "partially pooled", "population")
  legend_above(
    text, col = pooling_colours, pch = c(1L, 16L, if (line) NA else 23L), lty = c(0, 0, line),
    lwd = c(1, 1, 2)
  )
}

#' What the three panels show: aggregate, unit by unit, mixed
#'
#' @returns list(points, segments, lines: data frames with `panel`; limits, ends, note)
#' @noRd
lines_picture <- function(x, term) {
  lines <- x$lines
  at <- lines$values[, term]
  ends <- lines$ranges[[term]]
  slopes <- list(unit = x$units$coefficients[, term], mixed = mixed_slopes(x, term))
  y <- list(unit = lines$values[, 1L], mixed = lines$predicted[, "mixed"])
  heights <- lapply(c(unit = "unit", mixed = "mixed"), function(kind) {
    y[[kind]] + slopes[[kind]] * (cbind(ends[, 1L], ends[, 2L]) - at)
  })
  panels <- c("aggregate", "unit by unit", "mixed model")
  panel <- function(k, n) factor(rep.int(panels[[k]], n), levels = panels)
  segments <- function(k, height) {
    data.frame(panel = panel(k, length(at)), x = ends[, 1L], y = height[, 1L], xend = ends[, 2L],
               yend = height[, 2L])
  }
  reach <- range(ends)
  population <- mean(lines$predicted[, "fixed"]) +
    x$coefficients[term, "mixed"] * (reach - mean(at))
  slope <- x$coefficients[term, "aggregate"]
  between <- range(at)
  list(
    points = data.frame(panel = panel(1L, length(at)), x = at, y = y$unit),
    segments = rbind(segments(2L, heights$unit), segments(3L, heights$mixed)),
    lines = rbind(
      if (!is.na(slope)) {
        data.frame(
          panel = panel(1L, 2L), x = between, y = mean(y$unit) + slope * (between - mean(at))
        )
      },
      data.frame(panel = panel(3L, 2L), x = reach, y = population)
    ),
    ends = reach, coded = x$lines$coded[[match(term, names(x$lines$ranges))]],
    limits = range(y$unit, robust_range(heights$unit), heights$mixed, population, na.rm = TRUE),
    note = if (is.na(slope)) "the groups have equal means: no slope"
  )
}

#' @noRd
draw_lines <- function(x, term, main) {
  drawn <- lines_picture(x, term)
  op <- graphics::par(
    mfrow = c(1L, 3L), mar = c(3.3, 0.8, 2.2, 0.5), oma = c(0, 3.4, 1.8, 0.2), las = 1L,
    mgp = c(2.1, 0.6, 0), tcl = -0.3
  )
  on.exit(graphics::par(op))
  values <- if (drawn$coded) sort(unique(c(drawn$segments$x, drawn$segments$xend)))
  for (panel in levels(drawn$points$panel)) {
    first <- panel == "aggregate"
    graphics::plot(
      drawn$ends, drawn$limits, type = "n", xlab = "", ylab = "", yaxt = if (first) "s" else "n",
      xaxt = if (is.null(values)) "s" else "n"
    )
    # the codes of a factor, and nothing between them
    if (!is.null(values)) graphics::axis(1L, values, format(values, digits = 3L))
    graphics::title(main = panel, font.main = 1L, cex.main = 1.1, line = 0.7)
    graphics::title(xlab = fitting_text(plain_name(term)))
    draw_line_panel(drawn, panel)
  }
  graphics::mtext(x$response, 2L, outer = TRUE, line = 2.2, las = 0L, cex = 0.8)
  title <- if (is.null(main)) paste("Three treatments of", x$group) else main
  graphics::mtext(title, 3L, outer = TRUE, line = 0.3, font = 2L)
}

#' @noRd
draw_line_panel <- function(drawn, panel) {
  points <- drawn$points[drawn$points$panel == panel, ]
  segments <- drawn$segments[drawn$segments$panel == panel, ]
  lines <- drawn$lines[drawn$lines$panel == panel, ]
  graphics::points(points$x, points$y, pch = 16L, col = grDevices::adjustcolor("grey30", 0.6),
                   cex = if (nrow(points) > 60L) 0.5 else 1)
  graphics::segments(segments$x, segments$y, segments$xend, segments$yend, col = line_colour(
    if (panel == "mixed model") "partial" else "alone", nrow(segments)
  ))
  graphics::lines(lines$x, lines$y, col = pooling_colours[["population"]], lwd = 3)
  if (panel == "aggregate" && !is.null(drawn$note)) {
    cex <- 1
    text <- wrap_to_width(drawn$note, graphics::par("pin")[[1L]] - 0.2, cex)
    usr <- graphics::par("usr")
    graphics::text(mean(usr[1:2]), usr[[4L]] - 0.02 * diff(usr[3:4]), text, adj = c(0.5, 1),
                   cex = cex, col = "grey25")
  }
}

#' The more lines, the lighter
#' @noRd
line_colour <- function(kind, n) {
  grDevices::adjustcolor(pooling_colours[[kind]], max(0.15, min(0.9, 40 / max(n, 1L))))
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
