# The pictures of R/explore-pooling-plot.R by 'ggplot2'.

#' @rdname autoplot.lmm
#' @export
#' @rawNamespace S3method(ggplot2::autoplot, lmm_pooling)
autoplot.lmm_pooling <- function(object, type = c("shrinkage", "lines"), terms = NULL,
                                 labels = NULL, ...) {
  check_dots(...)
  check_ggplot2()
  type <- match_choice(type, "type", c("shrinkage", "lines"))
  if (type == "lines") {
    if (!is.null(labels)) {
      ferrolmm_abort("`labels` are for type = \"shrinkage\".", "argument")
    }
    return(ggplot_lines(lines_picture(object, line_term(object, terms)), object,
                        line_term(object, terms)))
  }
  labels <- if (is.null(labels)) length(object$units$n) <= 30L else labels
  check_flag(labels, "labels")
  terms <- shrinkage_terms(object, terms)
  two <- length(terms) == 2L
  moves <- if (two) moves_two(object, terms) else moves_one(object, terms)
  ggplot_shrinkage(moves, labels, two, paste("Shrinkage by", object$group))
}

#' @noRd
ggplot_shrinkage <- function(moves, labels, two, title) {
  d <- moves$data
  # groups of about the same size are named on an axis of their own
  in_order <- !two && !moves$sizes
  if (in_order) {
    d[c("x", "y", "xend", "yend")] <- d[c("y", "x", "yend", "xend")]
    moves[c("xlab", "ylab")] <- moves[c("ylab", "xlab")]
  }
  d <- d[!is.na(d$x) & !is.na(d$y), ]
  .data <- rlang::.data
  many <- nrow(d) > 60L
  size <- if (many) 0.8 else 1.8
  colours <- c(
    "group alone" = pooling_colours[["alone"]], "partially pooled" = pooling_colours[["partial"]],
    "population" = pooling_colours[["population"]]
  )
  # the population is a point with a key, or a line with a caption
  if (!two) colours <- colours[1:2]
  keys <- factor(names(colours), levels = names(colours))
  picture <- ggplot2::ggplot(d, ggplot2::aes(x = .data$x, y = .data$y))
  if (in_order) {
    picture <- picture + ggplot2::geom_vline(xintercept = moves$population)
  } else if (!two) {
    picture <- picture + ggplot2::geom_hline(yintercept = moves$population)
  }
  picture <- picture +
    ggplot2::geom_segment(
      ggplot2::aes(xend = .data$xend, yend = .data$yend), colour = "grey50",
      arrow = ggplot2::arrow(length = ggplot2::unit(if (many) 0.03 else 0.07, "inches")),
      linewidth = if (many) 0.25 else 0.4
    ) +
    ggplot2::geom_point(ggplot2::aes(colour = keys[[1L]], shape = keys[[1L]]), size = size) +
    ggplot2::geom_point(
      ggplot2::aes(x = .data$xend, y = .data$yend, colour = keys[[2L]], shape = keys[[2L]]),
      size = size
    )
  if (two) {
    population <- data.frame(
      x = moves$population[[1L]], y = moves$population[[2L]], key = keys[[3L]]
    )
    picture <- picture + ggplot2::geom_point(
      data = population, ggplot2::aes(colour = .data$key, shape = .data$key), size = 3,
      fill = "white", stroke = 1
    )
  }
  if (labels && !in_order) {
    picture <- picture + ggplot2::geom_text(
      ggplot2::aes(label = clip_names(.data$group, 20L)), size = 2.8, vjust = -0.8,
      colour = "grey25", hjust = "inward", check_overlap = TRUE
    )
  }
  if (in_order) {
    picture <- picture + ggplot2::scale_y_continuous(
      breaks = if (labels) d$y, labels = if (labels) clip_names(d$group) else ggplot2::waiver(),
      expand = ggplot2::expansion(add = 0.6)
    )
  }
  picture +
    ggplot2::scale_colour_manual(values = colours, drop = FALSE) +
    ggplot2::scale_shape_manual(
      values = stats::setNames(c(1L, 16L, 23L)[seq_along(colours)], names(colours)), drop = FALSE
    ) +
    ggplot2::labs(
      x = plain_name(moves$xlab), y = if (!(in_order && labels)) plain_name(moves$ylab),
      colour = NULL, shape = NULL, title = title, caption = if (!two) "Black line: population"
    ) +
    ggplot2::guides(
      colour = ggplot2::guide_legend(override.aes = list(size = 2.5, alpha = 1))
    ) +
    plain_theme()
}

#' @noRd
ggplot_lines <- function(drawn, object, term) {
  .data <- rlang::.data
  n <- nrow(drawn$points)
  notes <- data.frame(
    panel = drawn$points$panel[[1L]], x = mean(drawn$ends), y = drawn$limits[[2L]],
    label = if (is.null(drawn$note)) "" else sub(": ", ":\n", drawn$note)
  )
  values <- if (drawn$coded) sort(unique(c(drawn$segments$x, drawn$segments$xend)))
  ggplot2::ggplot(drawn$points, ggplot2::aes(x = .data$x, y = .data$y)) +
    ggplot2::geom_point(colour = "grey30", alpha = 0.6, size = if (n > 60L) 0.8 else 1.6) +
    ggplot2::geom_segment(
      data = drawn$segments,
      ggplot2::aes(xend = .data$xend, yend = .data$yend, colour = .data$panel),
      alpha = max(0.15, min(0.9, 40 / n)), show.legend = FALSE, na.rm = TRUE
    ) +
    ggplot2::geom_line(data = drawn$lines, linewidth = 1.2) +
    ggplot2::geom_text(
      data = notes, ggplot2::aes(label = .data$label), size = 2.8, vjust = 1, colour = "grey25"
    ) +
    ggplot2::facet_wrap(ggplot2::vars(.data$panel)) +
    ggplot2::scale_colour_manual(values = c(
      "unit by unit" = pooling_colours[["alone"]], "mixed model" = pooling_colours[["partial"]]
    )) +
    ggplot2::scale_x_continuous(
      breaks = if (is.null(values)) ggplot2::waiver() else values
    ) +
    ggplot2::coord_cartesian(ylim = drawn$limits) +
    ggplot2::labs(
      x = plain_name(term), y = object$response, title = paste("Three treatments of", object$group)
    ) +
    plain_theme()
}
