# Pictures by 'ggplot2', registered on its generic when it is loaded (NAMESPACE).

#' Pictures by 'ggplot2'
#'
#' The pictures of [plot.lmm()], [plot.ranef.lmm()], [plot.lmm_pooling()], [plot.profile.lmm()] and
#' [plot.influence.lmm()] as 'ggplot2' objects, to be changed and combined as such. Needs the
#' package 'ggplot2'.
#'
#' @param object A model fitted by [lmm()], or what [ranef()], [pooling()], [profile()] or
#'   [influence()] returned.
#' @param which Which of the four panels of [plot.lmm()]; names of panels as in
#'   [plot.influence.lmm()].
#' @param parm,levels,absolute As in [plot.profile.lmm()].
#' @param id.n The number of deletions to name in each panel.
#' @param level,order As in [plot.ranef.lmm()].
#' @param type,terms As in [plot.lmm_pooling()]; only `"shrinkage"`.
#' @param ... Not used.
#' @returns An object of class `ggplot`.
#' @examplesIf requireNamespace("ggplot2", quietly = TRUE)
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' ggplot2::autoplot(fit)
#' ggplot2::autoplot(ranef(fit))
#' ggplot2::autoplot(pooling(fit))
#' ggplot2::autoplot(profile(fit, "theta_"))
#' ggplot2::autoplot(influence(fit, groups = "Subject"))
#' @name autoplot.lmm
#' @order 1
NULL

#' @rdname autoplot.lmm
#' @rawNamespace S3method(ggplot2::autoplot, lmm)
autoplot.lmm <- function(object, which = NULL, ...) {
  check_dots(...)
  check_ggplot2()
  which <- choose_pictures(object, which)
  panels <- diagnostic_panels(object)[sort(unique(which))]
  d <- do.call(rbind, panels)
  d$panel <- factor(d$panel, levels = unique(d$panel))
  .data <- rlang::.data
  n <- max(table(d$panel))
  style <- point_style(n)
  reference <- unique(d[!is.na(d$slope), c("panel", "slope")])
  smooth <- do.call(rbind, lapply(panels, smooth_panel))
  picture <- ggplot2::ggplot(d, ggplot2::aes(x = .data$x, y = .data$y)) +
    ggplot2::geom_abline(
      data = reference, ggplot2::aes(slope = .data$slope, intercept = 0), colour = "grey60"
    ) +
    ggplot2::geom_point(
      ggplot2::aes(colour = .data$effect), size = 1.6 * style$cex,
      alpha = if (n > 500L) 0.35 else 0.75
    ) +
    ggplot2::facet_wrap(
      ggplot2::vars(.data$panel), scales = "free", ncol = if (length(panels) > 1L) 2L
    ) +
    ggplot2::scale_colour_manual(
      values = effect_colours(d$effect), breaks = setdiff(d$effect, "residual")
    ) +
    ggplot2::labs(x = NULL, y = NULL, colour = NULL) +
    large_keys() +
    ggplot2::theme_bw() +
    ggplot2::theme(legend.position = "bottom", panel.grid.minor = ggplot2::element_blank())
  if (!is.null(smooth)) {
    smooth$panel <- factor(smooth$panel, levels = levels(d$panel))
    picture <- picture +
      ggplot2::geom_line(data = smooth, colour = image_colours[[2L]], linewidth = 0.8)
  }
  picture
}

#' Keys of a legend that stay visible where the points are small and light
#' @noRd
large_keys <- function() {
  ggplot2::guides(colour = ggplot2::guide_legend(override.aes = list(size = 2.5, alpha = 1)))
}

#' @noRd
check_ggplot2 <- function() {
  if (!requireNamespace("ggplot2", quietly = TRUE)) {
    ferrolmm_abort(
      "autoplot() needs the package ggplot2.", "argument",
      i = "install.packages(\"ggplot2\"), or plot() for base graphics."
    )
  }
}

#' Points of the four panels: list of data frames with panel, effect, x, y, slope (of the line)
#' @noRd
diagnostic_panels <- function(object) {
  d <- residual_data(object)
  panel <- function(name, x, y, slope, effect = "residual") {
    data.frame(panel = name, effect = effect, x = x, y = y, slope = slope)
  }
  quantiles <- function(name, z, effect) {
    shown <- thin_quantiles(length(z))
    panel(name, normal_scores(z)[shown], sort(z)[shown], 1, effect)
  }
  samples <- random_samples(object)
  samples <- samples[vapply(samples, function(z) all(is.finite(z)), NA)]
  random <- Map(function(z, effect) {
    quantiles("Normal quantiles: random effects", z, effect)
  }, samples, names(samples))
  list(
    panel("Residuals and fitted values", d$fitted, d$residual, 0),
    panel("Scale-location", d$fitted, sqrt(abs(d$standardised)), NA_real_),
    quantiles("Normal quantiles: residuals", d$standardised, "residual"),
    do.call(rbind, unname(random))
  )
}

#' @noRd
smooth_panel <- function(panel) {
  if (is.null(panel) || isTRUE(panel$slope[[1L]] == 1)) {
    return(NULL)
  }
  line <- stats::lowess(panel$x, panel$y)
  data.frame(panel = panel$panel[[1L]], x = line$x, y = line$y)
}

#' @noRd
effect_colours <- function(effect) {
  effects <- unique(effect)
  stats::setNames(rep_len(image_colours, length(effects)), effects)
}

#' @rdname autoplot.lmm
#' @rawNamespace S3method(ggplot2::autoplot, ranef.lmm)
autoplot.ranef.lmm <- function(object, level = 0.95, order = c("each", "first", "levels"), ...) {
  check_dots(...)
  check_ggplot2()
  d <- caterpillar_data(object, level, match_choice(order, "order", c("each", "first", "levels")))
  d$panel <- paste0(d$grpvar, ": ", d$term)
  d$panel <- factor(d$panel, levels = unique(d$panel))
  d$zero <- ifelse(!is.na(d$lower) & (d$lower > 0 | d$upper < 0), "excluded", "included")
  .data <- rlang::.data
  many <- max(table(d$panel)) > 60L
  ## Few levels are named on the axis: a panel's own levels, in its own order.
  key <- paste(d$panel, d$grp, sep = "\r")
  d$place <- if (many) d$rank else factor(key, levels = key[order(d$panel, d$rank)])
  picture <- ggplot2::ggplot(d, ggplot2::aes(x = .data$condval, y = .data$place)) +
    ggplot2::geom_vline(xintercept = 0, colour = "grey60")
  if (!all(is.na(d$lower))) {
    picture <- picture +
      ggplot2::geom_segment(
        ggplot2::aes(
          x = .data$lower, xend = .data$upper, yend = .data$place, colour = .data$zero
        ),
        linewidth = if (many) 0.3 else 0.7
      ) +
      ggplot2::scale_colour_manual(
        name = "zero", values = c(excluded = image_colours[[1L]], included = "grey55")
      )
  }
  picture <- picture +
    ggplot2::geom_point(size = if (many) 0.4 else 1.4) +
    ggplot2::facet_wrap(ggplot2::vars(.data$panel), scales = "free") +
    ggplot2::labs(x = NULL, y = if (many) "level, in order") +
    ggplot2::theme_bw() +
    ggplot2::theme(panel.grid.minor = ggplot2::element_blank(), legend.position = "bottom")
  if (many) {
    return(picture + ggplot2::scale_y_continuous(breaks = NULL))
  }
  picture + ggplot2::scale_y_discrete(labels = function(key) sub("^.*\r", "", key))
}

#' @rdname autoplot.lmm
#' @rawNamespace S3method(ggplot2::autoplot, profile.lmm)
autoplot.profile.lmm <- function(object, parm = NULL, levels = c(0.5, 0.8, 0.95, 0.99),
                                 absolute = FALSE, ...) {
  check_dots(...)
  check_ggplot2()
  check_flag(absolute, "absolute")
  check_levels(levels)
  panels <- profile_panels(object, parm)
  if (length(panels) == 0L) {
    ferrolmm_abort("`parm` leaves no parameter to draw.", "argument")
  }
  paths <- lapply(panels, function(panel) dense_path(panel$path))
  lines <- bind_panels(Map(function(path, panel) {
    data.frame(x = path$value, y = if (absolute) abs(path$zeta) else path$zeta)
  }, paths, panels))
  limits <- bind_panels(lapply(panels, function(panel) {
    do.call(rbind, lapply(levels, function(level) {
      ends <- profile_limits(panel$path, stats::qnorm((1 + level) / 2), panel$ends)
      data.frame(x = ends, level = level)
    }))
  }))
  limits$y <- height_on_lines(limits, lines)
  estimates <- bind_panels(lapply(panels, function(panel) {
    data.frame(x = panel$path$value[panel$path$zeta == 0][[1L]], y = 0)
  }))
  .data <- rlang::.data
  ggplot2::ggplot(lines, ggplot2::aes(x = .data$x, y = .data$y)) +
    ggplot2::geom_hline(yintercept = 0, colour = "grey60") +
    ggplot2::geom_segment(
      data = limits[!is.na(limits$y), ], ggplot2::aes(xend = .data$x, yend = 0),
      colour = image_colours[[1L]], linetype = "22"
    ) +
    ggplot2::geom_line(linewidth = 0.8) +
    ggplot2::geom_point(data = estimates, colour = image_colours[[2L]], size = 1.8) +
    ggplot2::facet_wrap(ggplot2::vars(.data$panel), scales = "free_x") +
    ggplot2::labs(x = NULL, y = if (absolute) "|zeta|" else "zeta") +
    ggplot2::theme_bw() +
    ggplot2::theme(panel.grid.minor = ggplot2::element_blank())
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
    stats::approx(line$x, line$y, points$x[[i]], ties = "ordered")$y
  }, 1)
}

#' @rdname autoplot.lmm
#' @rawNamespace S3method(ggplot2::autoplot, influence.lmm)
autoplot.influence.lmm <- function(object, which = NULL, id.n = 3L, ...) {
  check_dots(...)
  check_ggplot2()
  id.n <- check_count(id.n, "id.n", 0L)
  panels <- influence_panels(object, which)
  d <- bind_panels(lapply(panels, function(values) {
    named <- largest_deletions(values, id.n)
    shown <- seq_along(values) %in% apart(named, values, 0.08 * length(values))
    data.frame(
      x = seq_along(values), y = values, large = seq_along(values) %in% named,
      label = ifelse(shown, names(values), NA)
    )
  }))
  # the height of names, so that they stay within their panel
  room <- d[is.finite(d$y) & !is.na(d$label), ]
  room$y <- room$y + 0.12 * sign(room$y) * stats::ave(room$y, room$panel, FUN = function(y) {
    max(c(y, 0)) - min(c(y, 0))
  })
  .data <- rlang::.data
  ggplot2::ggplot(d[is.finite(d$y), ], ggplot2::aes(x = .data$x, y = .data$y)) +
    ggplot2::geom_hline(yintercept = 0, colour = "grey60") +
    ggplot2::geom_segment(
      ggplot2::aes(xend = .data$x, yend = 0, colour = .data$large), show.legend = FALSE
    ) +
    ggplot2::geom_text(
      data = d[is.finite(d$y) & !is.na(d$label), ],
      ggplot2::aes(label = .data$label, vjust = ifelse(.data$y < 0, 1.3, -0.5)), size = 3,
      colour = image_colours[[2L]]
    ) +
    ggplot2::scale_colour_manual(
      values = c("TRUE" = image_colours[[2L]], "FALSE" = image_colours[[1L]])
    ) +
    ggplot2::geom_blank(data = room) +
    ggplot2::facet_wrap(
      ggplot2::vars(.data$panel), scales = "free_y", ncol = if (length(panels) < 3L) 1L else 2L
    ) +
    ggplot2::labs(x = "deletion, in the order of the data", y = NULL) +
    ggplot2::theme_bw() +
    ggplot2::theme(panel.grid.minor = ggplot2::element_blank())
}
