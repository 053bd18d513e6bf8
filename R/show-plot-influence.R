# Pictures of deletion diagnostics.

#' Picture of what deletions change
#'
#' One panel per statistic, with one line per deletion in the order of the data: Cook's distance,
#' and the standardised change in each fixed effect (`dfbetas`). The largest are named and drawn in
#' colour.
#'
#' @param x What [influence()][influence.lmm] returned.
#' @param which The panels: `"cook"` and names of fixed effects. By default Cook's distance and
#'   the fixed effects, as far as there is room (six panels).
#' @param id.n The number of deletions to name in each panel.
#' @param ... Not used.
#' @returns The data drawn, invisibly: `as.data.frame(x)`.
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
  op <- graphics::par(mfrow = c(ceiling(n / columns), columns), mar = c(3, 4, 2, 1), las = 1L,
                      mgp = c(2.6, 0.7, 0))
  on.exit(graphics::par(op))
  for (i in seq_along(panels)) {
    draw_deletions(panels[[i]], names(panels)[[i]], id.n)
  }
  invisible(as.data.frame(x))
}

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
    at == 1L, "Cook's distance", paste("Change in", colnames(values)[at], "(standard errors)")
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
  range <- range + c(if (range[[1L]] < 0) -0.1 else 0, 0.1) * diff(range)
  graphics::plot(
    values, type = "h", col = colours, xlab = "", ylab = "", main = title, cex.main = 0.95,
    font.main = 1L, ylim = range
  )
  graphics::abline(h = 0, col = "grey60")
  named <- apart(named, values, 0.05 * length(values))
  if (length(named) > 0L) {
    graphics::text(
      named, values[named], names(values)[named], pos = ifelse(values[named] < 0, 1L, 3L),
      cex = 0.75, xpd = NA, col = "#D55E00"
    )
  }
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
