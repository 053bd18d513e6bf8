# Caterpillar pictures of random effects.

#' Caterpillar plot of random effects
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
#' @seealso [ranef.lmm()]
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
    draw_caterpillar(panel, level)
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
draw_caterpillar <- function(d, level, zero = TRUE,
                             title = panel_title(d$grpvar[[1L]], nrow(d))) {
  n <- nrow(d)
  # text can be measured on a page only
  graphics::plot.new()
  size <- graphics::par("fin")
  room <- (size[[2L]] - 5.5 * graphics::par("csi")) / n
  cex <- readable_size(room)
  labelled <- !is.na(cex)
  text <- as.character(d$grp)
  if (labelled) text <- shorten_labels(text, 0.4 * size[[1L]], cex)
  widest <- if (labelled) max(graphics::strwidth(text, "inches", cex = cex)) else 0
  left <- widest / (graphics::par("csi") * graphics::par("cex")) + if (labelled) 1.1 else 1.8
  op <- graphics::par(mar = c(3.3, left, 2.2, 0.9), mgp = c(2.1, 0.6, 0), tcl = -0.3, new = TRUE)
  on.exit(graphics::par(op))
  colour <- ifelse(!zero | excludes_zero(d), image_colours[[1L]], "grey50")
  graphics::plot(
    range(if (zero) 0, d$condval, d$lower, d$upper, na.rm = TRUE), c(0.5, n + 0.5), type = "n",
    yaxt = "n", yaxs = "i", xlab = "", ylab = ""
  )
  graphics::title(
    main = fitting_text(title, cex = 1), font.main = 1L,
    cex.main = 1, line = 0.8
  )
  graphics::title(xlab = fitting_text(effect_caption(d, level)))
  if (zero) graphics::abline(v = 0, col = "grey60")
  graphics::segments(
    d$lower, d$rank, d$upper, d$rank, col = colour, lwd = if (n > 100L) 0.7 else 1.5
  )
  graphics::points(
    d$condval, d$rank, pch = 16L, cex = if (n > 100L) 0.35 else 0.8,
    col = if (n > 100L) "black" else colour
  )
  if (labelled) {
    graphics::axis(2L, d$rank, text, tick = FALSE, line = -0.45, cex.axis = cex, gap.axis = -1)
  } else {
    graphics::mtext("level, in order", 2L, line = 0.5, las = 0L, cex = 0.8 * graphics::par("cex"))
  }
  invisible(list(text = if (labelled) text, cex = cex, margins = graphics::par("mai")))
}

#' "age, 95 % interval"
#' @noRd
effect_caption <- function(d, level) {
  paste0(
    plain_name(as.character(d$term[[1L]])),
    if (!all(is.na(d$lower))) paste0(", ", format(100 * level), " % interval")
  )
}

#' Does the interval of an effect exclude zero? FALSE without one
#' @noRd
excludes_zero <- function(d) !is.na(d$lower) & (d$lower > 0 | d$upper < 0)

#' @noRd
panel_title <- function(group, n) {
  paste0(group, " (", count_of(n, "level"), ")")
}
