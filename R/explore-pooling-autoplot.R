# The pictures of R/explore-pooling-plot.R by 'ggplot2'.

#' @rdname autoplot.lmm
#' @rawNamespace S3method(ggplot2::autoplot, lmm_pooling)
autoplot.lmm_pooling <- function(object, type = "shrinkage", terms = NULL, ...) {
  check_dots(...)
  check_ggplot2()
  match_choice(type, "type", "shrinkage")
  terms <- shrinkage_terms(object, terms)
  moves <- if (length(terms) == 2L) moves_two(object, terms) else moves_one(object, terms)
  d <- moves$data
  .data <- rlang::.data
  many <- nrow(d) > 60L
  size <- if (many) 0.8 else 1.8
  arrow <- ggplot2::arrow(length = ggplot2::unit(if (many) 0.03 else 0.07, "inches"))
  picture <- ggplot2::ggplot(d[!is.na(d$x) & !is.na(d$y), ], ggplot2::aes(x = .data$x, y = .data$y))
  if (length(terms) == 1L) {
    picture <- picture + ggplot2::geom_hline(yintercept = moves$population[[1L]])
  }
  picture <- picture +
    ggplot2::geom_segment(
      ggplot2::aes(xend = .data$xend, yend = .data$yend), colour = "grey50", arrow = arrow,
      linewidth = if (many) 0.25 else 0.4
    ) +
    ggplot2::geom_point(ggplot2::aes(colour = "group alone"), shape = 1L, size = size) +
    ggplot2::geom_point(
      ggplot2::aes(x = .data$xend, y = .data$yend, colour = "partially pooled"), size = size
    ) +
    ggplot2::scale_colour_manual(
      values = c(
        "group alone" = pooling_colours[["alone"]],
        "partially pooled" = pooling_colours[["partial"]]
      )
    ) +
    ggplot2::labs(x = moves$xlab, y = moves$ylab, colour = NULL) +
    large_keys() +
    ggplot2::theme_bw() +
    ggplot2::theme(panel.grid.minor = ggplot2::element_blank(), legend.position = "bottom")
  if (length(terms) == 2L) {
    picture <- picture + ggplot2::annotate(
      "point", x = moves$population[[1L]], y = moves$population[[2L]], shape = 23L,
      size = if (many) 2 else 3, fill = "white", stroke = 1
    )
  }
  picture
}

#' @noRd
moves_two <- function(x, terms) {
  one <- x$groups[x$groups$term == terms[[1L]], ]
  two <- x$groups[x$groups$term == terms[[2L]], ]
  list(
    data = data.frame(x = one$alone, y = two$alone, xend = one$partial, yend = two$partial),
    population = c(one$population[[1L]], two$population[[1L]]), xlab = terms[[1L]],
    ylab = terms[[2L]]
  )
}

#' @noRd
moves_one <- function(x, term) {
  d <- x$groups[x$groups$term == term, ]
  sizes <- length(unique(d$n)) >= 5L
  d <- d[order(d$n, d$alone), ]
  at <- if (sizes) spread_within(d$n) else rank(d$alone, ties.method = "first")
  list(
    data = data.frame(x = at, y = d$alone, xend = at, yend = d$partial),
    population = d$population[[1L]], ylab = term,
    xlab = if (sizes) paste("Rows per level of", x$group) else paste0(x$group, ", in order")
  )
}
