# Caterpillar pictures of random effects.

#' Picture of random effects with their intervals
#'
#' One panel for each effect of each grouping factor: the levels in the order of their conditional
#' modes, with the interval mode plus or minus a normal quantile times the conditional standard
#' deviation. Intervals that do not contain zero are drawn in colour. Levels are named on the axis
#' where there is room for all names.
#'
#' @param x What [ranef()] returned, with `condVar = TRUE` for intervals.
#' @param level The probability of the intervals.
#' @param order `"each"`: every panel in its own order; `"first"`: all panels of a grouping factor
#'   in the order of the first effect, so that levels can be followed across; `"levels"`: in the
#'   order of the factor.
#' @param ask Not used: all panels are on one page.
#' @param ... Not used.
#' @returns The data drawn, invisibly: the columns of [as.data.frame()][as.data.frame.ranef.lmm] and
#'   `lower`, `upper` and `rank`, the place on the axis.
#' @examples
#' fit <- lmm(mobility ~ Age + Sex + (1 | doctor), doctors)
#' plot(ranef(fit))
#'
#' data(Orthodont, package = "nlme")
#' plot(ranef(lmm(distance ~ age + (age | Subject), Orthodont)), order = "first")
#' @export
plot.ranef.lmm <- function(x, level = 0.95, order = c("each", "first", "levels"), ask = FALSE,
                           ...) {
  check_dots(...)
  d <- caterpillar_data(x, level, match_choice(order, "order", c("each", "first", "levels")))
  panels <- split(d, list(d$term, factor(d$grpvar, levels = unique(d$grpvar))), drop = TRUE)
  n <- length(panels)
  columns <- min(n, if (n == 4L) 2L else 3L)
  op <- graphics::par(las = 1L)
  on.exit(graphics::par(op))
  if (n > 1L) {
    op <- c(op, graphics::par(mfrow = c(ceiling(n / columns), columns)))
  }
  for (panel in panels) {
    draw_caterpillar(panel)
  }
  invisible(d)
}

#' Random effects in long form, with intervals and positions
#' @noRd
caterpillar_data <- function(x, level, order) {
  check_level(level)
  if (length(x) == 0L) {
    ferrolmm_abort("There are no random effects to draw: the model has none.", "argument")
  }
  d <- as.data.frame.ranef.lmm(x)
  z <- stats::qnorm((1 + level) / 2)
  sd <- if (is.null(d$condsd)) NA_real_ else d$condsd
  d$lower <- d$condval - z * sd
  d$upper <- d$condval + z * sd
  pieces <- split(seq_len(nrow(d)), list(d$grpvar, d$term), drop = TRUE)
  d$rank <- 0L
  for (rows in pieces) {
    table <- x[[d$grpvar[[rows[[1L]]]]]]
    names <- if (is.data.frame(table)) row.names(table) else names(table)
    place <- switch(order,
      each = rank(d$condval[rows], ties.method = "first"),
      first = as.integer(d$grp[rows]),
      levels = match(as.character(d$grp[rows]), names)
    )
    d$rank[rows] <- as.integer(place)
  }
  d
}

#' @noRd
draw_caterpillar <- function(d) {
  n <- nrow(d)
  cex <- 0.75
  text <- as.character(d$grp)
  ## Are lines of text at this size lower than the distance between levels?
  room <- graphics::par("fin")[[2L]] - 5.5 * graphics::par("csi")
  labelled <- n * graphics::par("csi") * cex * 0.85 < room
  if (labelled) text <- shorten_labels(text, 0.4 * graphics::par("fin")[[1L]], cex)
  widest <- if (labelled) max(graphics::strwidth(text, "inches", cex = cex)) else 0
  left <- if (labelled) widest / graphics::par("csi") + 2.4 else 2.4
  op <- graphics::par(mar = c(4.1, left, 2.6, 1.1))
  on.exit(graphics::par(op))
  clear <- !is.na(d$lower) & (d$lower > 0 | d$upper < 0)
  colour <- ifelse(clear, image_colours[[1L]], "grey55")
  graphics::plot(
    range(0, d$condval, d$lower, d$upper, na.rm = TRUE), c(0.5, n + 0.5), type = "n", yaxt = "n",
    yaxs = "i", xlab = as.character(d$term[[1L]]), ylab = "", main = panel_title(d$grpvar[[1L]], n),
    font.main = 1L, cex.main = 1.1
  )
  graphics::abline(v = 0, col = "grey60")
  graphics::segments(
    d$lower, d$rank, d$upper, d$rank, col = colour, lwd = if (n > 100L) 0.7 else 1.5
  )
  graphics::points(
    d$condval, d$rank, pch = 16L, cex = if (n > 100L) 0.35 else 0.8,
    col = if (n > 100L) "black" else colour
  )
  if (labelled) {
    graphics::axis(2L, d$rank, text, tick = FALSE, line = -0.6, cex.axis = cex, gap.axis = 0)
  } else {
    graphics::mtext("level, in order", 2L, line = 0.7, las = 0L, cex = 0.8)
  }
}

#' Labels that are wider than `width` (inches) lose their middle: both ends tell levels apart
#' @noRd
shorten_labels <- function(text, width, cex) {
  own <- graphics::strwidth(text, "inches", cex = cex)
  long <- which(own > width)
  half <- pmax(1L, as.integer(nchar(text[long]) * width / own[long] / 2) - 1L)
  n <- nchar(text[long])
  text[long] <- paste0(
    substr(text[long], 1L, half), "...", substr(text[long], n - half + 1L, n)
  )
  text
}

#' @noRd
panel_title <- function(group, n) {
  paste0(group, " (", count_of(n, "level"), ")")
}
