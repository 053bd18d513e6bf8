# What all pictures by 'ggplot2' share.

#' @noRd
plain_theme <- function() {
  ggplot2::theme_bw() +
    ggplot2::theme(
      panel.grid.minor = ggplot2::element_blank(), legend.position = "bottom",
      plot.title = ggplot2::element_text(size = ggplot2::rel(1)),
      # half a number under the right end of the last panel
      plot.margin = ggplot2::margin(5.5, 14, 5.5, 5.5),
      strip.background = ggplot2::element_rect(fill = "grey93", colour = "grey70")
    )
}

#' @noRd
check_ggplot2 <- function() {
  need_package("ggplot2", "autoplot()", or = "plot() draws with base graphics")
}

#' The data frames of the panels as one, with `panel` in their order
#' @noRd
bind_panels <- function(tables) {
  panel <- rep(names(tables), vapply(tables, nrow, 1L))
  d <- do.call(rbind, unname(tables))
  d$panel <- factor(panel, levels = names(tables))
  d
}

#' @noRd
height_on_lines <- function(points, lines) {
  vapply(seq_len(nrow(points)), function(i) {
    line <- lines[lines$panel == points$panel[[i]], ]
    if (is.na(points$x[[i]]) || nrow(line) < 2L) {
      return(NA_real_)
    }
    stats::approx(line$x, line$y, points$x[[i]], ties = "ordered")$y
  }, 1)
}
