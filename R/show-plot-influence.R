# Pictures of deletion diagnostics.

#' Plot what deletions change
#'
#' One panel per statistic, with one line per deletion in the order of the data: Cook's distance,
#' and the standardised change in each fixed effect (`dfbetas`). The largest are named and drawn in
#' colour.
#'
#' @param x What [influence()][influence.lmm] returned.
#' @param which The panels: `"cook"` and names of fixed effects. By default Cook's distance and
#'   the fixed effects, as far as there is room (six panels; the foot of the page says of how many).
#' @param id.n The number of deletions to name in each panel.
#' @param ... Not used.
#' @returns The data drawn, invisibly: `as.data.frame(x)`.
#' @seealso [influence.lmm()]
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' plot(influence(fit, groups = "Subject"))
#' @export
plot.influence.lmm <- function(x, which = NULL, id.n = 3L, ...) {
  check_dots(...)
  id.n <- check_count(id.n, "id.n", 0L)
  panels <- influence_panels(x, which)
  n <- length(panels)
  columns <- if (n < 3L) 1L else 2L
  style <- picture_margins(1.8)
  style$mar[[1L]] <- 2
  op <- graphics::par(c(
    style, list(mfrow = c(ceiling(n / columns), columns), oma = c(1.6, 0, 0, 0))
  ))
  on.exit(graphics::par(op))
  for (i in seq_along(panels)) {
    draw_deletions(panels[[i]], names(panels)[[i]], id.n)
  }
  graphics::mtext(influence_caption(x, panels, which), 1L, outer = TRUE, line = 0.4, cex = 0.8)
  invisible(as.data.frame(x))
}

#' What the horizontal axis is, and how many panels are left out
#' @noRd
influence_caption <- function(x, panels, which) {
  of <- count_influence_panels(x)
  paste0(
    if (x$name == "observation") "Row" else x$name, " left out, in the order of the data",
    if (is.null(which) && of > length(panels)) {
      paste0("; ", length(panels), " of ", of, " panels shown, `which` chooses")
    }
  )
}

#' @noRd
count_influence_panels <- function(x) 1L + ncol(dfbetas.influence.lmm(x))

#' What the panels show: a list by title of a value for each deletion
#' @noRd
influence_panels <- function(x, which) {
  values <- cbind(cook = cooks.distance.influence.lmm(x), dfbetas.influence.lmm(x))
  if (is.null(which)) {
    at <- seq_len(min(ncol(values), 6L))
  } else {
    if (!is.character(which) || length(which) == 0L) {
      ferrolmm_abort(
        paste0("`which` must name panels", describe_given(which), "."), "argument",
        i = paste0("Panels are ", quote_names(colnames(values)), ".")
      )
    }
    at <- match_names(which, colnames(values), "which", "panel")
  }
  panels <- lapply(at, function(j) values[, j])
  names(panels) <- ifelse(
    at == 1L, "Cook's distance",
    paste("Change in", plain_name(colnames(values)[at]), "(standard errors)")
  )
  panels
}

#' One panel: a line for each deletion, the largest in colour and named
#' @noRd
draw_deletions <- function(values, title, id.n) {
  named <- largest_deletions(values, id.n)
  colours <- rep("#0072B2", length(values))
  colours[named] <- "#D55E00"
  finite <- values[is.finite(values)]
  range <- if (length(finite)) range(0, finite) else c(0, 1)
  # a line of text above and below
  text <- 2.2 * graphics::par("csi") * 0.75 / graphics::par("pin")[[2L]]
  room <- min(0.3, text) * diff(range)
  range <- range + room * c(if (range[[1L]] < 0) -1 else 0, 1)
  graphics::plot(
    values, type = "h", col = colours, xlab = "", ylab = "", ylim = range,
    xlim = c(0.5, length(values) + 0.5)
  )
  graphics::title(
    main = fitting_text(title, cex = 0.95), cex.main = 0.95,
    font.main = 1L, line = 0.6
  )
  graphics::abline(h = 0, col = "grey60")
  name_deletions(values, named)
}

#' Names above the lines (below negative ones), inside of the panel and not over each other
#' @noRd
name_deletions <- function(values, named, cex = min(1.15, 0.75 / graphics::par("cex"))) {
  if (length(named) == 0L) {
    return(invisible())
  }
  usr <- graphics::par("usr")
  text <- shorten_labels(names(values)[named], 0.45 * graphics::par("pin")[[1L]], cex)
  width <- graphics::strwidth(text, cex = cex)
  height <- graphics::strheight("M", cex = cex)
  margin <- 0.01 * diff(usr[1:2])
  x <- pmin(pmax(named, usr[[1L]] + width / 2 + margin), usr[[2L]] - width / 2 - margin)
  y <- values[named] + ifelse(values[named] < 0, -1.1, 1.1) * height
  kept <- integer()
  for (i in seq_along(named)) {
    clash <- abs(x[kept] - x[[i]]) < (width[kept] + width[[i]]) / 2 + margin &
      abs(y[kept] - y[[i]]) < 1.4 * height
    if (!any(clash)) kept <- c(kept, i)
  }
  text_on_picture(x[kept], y[kept], text[kept], cex = cex, col = "#D55E00")
  invisible(data.frame(x = x, y = y, width = width, text = text)[kept, ])
}

#' Positions of the deletions that change most
#' @noRd
largest_deletions <- function(values, n) {
  size <- ifelse(is.finite(values), abs(values), NA)
  utils::head(order(-size)[seq_len(sum(is.finite(size)))], n)
}

#' The positions, the largest first, whose names do not overlap an earlier one
#' @noRd
apart <- function(places, values, distance) {
  kept <- integer()
  for (place in places) {
    near <- abs(kept - place) < distance & sign(values[kept]) == sign(values[[place]])
    if (!any(near)) {
      kept <- c(kept, place)
    }
  }
  kept
}
