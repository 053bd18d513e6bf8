# pairs() and qqnorm() of fits by 'ggplot2'.

#' Effects of the levels against each other, a panel for each pair
#' @noRd
ggplot_pairs <- function(object, form = NULL) {
  d <- pairs_data(object, if (is.null(form)) ~ coef(.) else form, NULL)
  names <- names(d)
  labels <- clip_names(names, 20L)
  cells <- expand.grid(row = seq_along(names), column = seq_along(names))
  cells <- cells[cells$row != cells$column, ]
  tables <- lapply(seq_len(nrow(cells)), function(i) {
    at <- cells[i, ]
    data.frame(
      x = d[[at$column]], y = d[[at$row]],
      column = factor(labels[[at$column]], labels), row = factor(labels[[at$row]], labels)
    )
  })
  .data <- rlang::.data
  ggplot2::ggplot(do.call(rbind, tables), ggplot2::aes(.data$x, .data$y)) +
    ggplot2::geom_point(
      colour = grDevices::adjustcolor(image_colours[[1L]], 0.7), shape = 16L, na.rm = TRUE
    ) +
    ggplot2::facet_grid(
      rows = ggplot2::vars(.data$row), cols = ggplot2::vars(.data$column), scales = "free",
      switch = "both"
    ) +
    ggplot2::labs(x = NULL, y = NULL) +
    plain_theme() +
    ggplot2::theme(strip.placement = "outside")
}

#' Residuals or random effects against normal quantiles
#' @noRd
ggplot_quantiles <- function(object, form = NULL) {
  values <- formula_values(object, if (is.null(form)) ~ resid(., type = "scaled") else form)
  if (!is.null(values$y)) {
    ferrolmm_abort("`form` must be one-sided, as ~ resid(.).", "argument")
  }
  random <- is.list(values$x)
  d <- if (random) random_quantiles(values) else residual_quantiles(values)
  .data <- rlang::.data
  picture <- ggplot2::ggplot(d, ggplot2::aes(.data$.x, .data$.y)) +
    ggplot2::geom_point(
      colour = grDevices::adjustcolor(image_colours[[1L]], 0.7), shape = 16L, na.rm = TRUE
    ) +
    ggplot2::labs(x = if (random) "Random effect" else values$xlab, y = "Normal quantile") +
    plain_theme()
  panels <- setdiff(names(d), c(".x", ".y"))
  if (length(panels) == 0L) {
    return(picture)
  }
  wrapped <- ggplot2::as_labeller(function(text) clip_names(text, 30L))
  picture + ggplot2::facet_wrap(
    panels, scales = if (random) "free_x" else "fixed", labeller = wrapped
  )
}
