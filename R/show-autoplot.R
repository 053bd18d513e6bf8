# Pictures by 'ggplot2': methods of our own generic and, when it is loaded, of its generic.

#' Plots by 'ggplot2'
#'
#' What `plot()` draws, as 'ggplot2' objects, to be changed and combined as such: of fits
#' ([plot.lmm()], [image.lmm()], [plot_within_between()]), of random effects ([plot.ranef.lmm()]),
#' pooling ([plot.lmm_pooling()]), profiles ([plot.profile.lmm()]), deletions
#' ([plot.influence.lmm()]), bootstraps ([plot.bootstrap.lmm()]), regressions by group
#' ([plot.lmList.lmm()]), and of [ACF()], [Variogram()] and [augPred()]. Needs the package
#' 'ggplot2', whose function of the same name does the same for these objects: whichever of the two
#' packages was attached last, `autoplot()` draws the objects of both.
#'
#' @param object A model fitted by [lmm()], or what one of the functions above returned.
#' @param form A formula as in [plot.lmm()], with `which` one as in [pairs.lmm()] or [qqnorm.lmm()];
#'   or what `which` can be.
#' @param which Which of the four panels of [plot.lmm()]; or `"Z"`, `"Lambda"`, `"L"`, a picture of
#'   [image.lmm()], `"within_between"`, `"pairs"` or `"qqnorm"`; names of panels as in
#'   [plot.influence.lmm()].
#' @param labels How many of the largest residuals to label; for pooling, label the groups?
#' @param parm,levels,absolute As in [plot.profile.lmm()].
#' @param id.n The number of deletions to name in each panel.
#' @param interval As in [plot.bootstrap.lmm()].
#' @param level,order,pool As in [plot.ranef.lmm()] and [plot.lmList.lmm()].
#' @param type,terms As in [plot.lmm_pooling()].
#' @param alpha For [ACF()]: draw the limits of a two-sided test of this level? 0 draws none.
#' @param ... Not used.
#' @returns An object of class `ggplot`.
#' @seealso [plot.lmm()], [plot.ranef.lmm], [plot.profile.lmm], [plot.influence.lmm],
#'   [plot.lmm_pooling]
#' @examplesIf requireNamespace("ggplot2", quietly = TRUE)
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' autoplot(fit)
#' autoplot(fit, resid(., type = "scaled") ~ fitted(.) | Sex)
#' autoplot(fit, which = "pairs")
#' autoplot(fit, which = "qqnorm", form = ~ ranef(.))
#' autoplot(ranef(fit))
#' autoplot(pooling(fit))
#' autoplot(profile(fit, "theta_"))
#' autoplot(influence(fit, groups = "Subject"))
#' @name autoplot.lmm
#' @order 1
NULL

#' @rdname autoplot.lmm
#' @export
autoplot <- function(object, ...) UseMethod("autoplot")

#' @export
autoplot.default <- function(object, ...) {
  check_ggplot2()
  loadNamespace("ggplot2")
  hand_over("autoplot", object, ..., package = "ggplot2")
}

#' @rdname autoplot.lmm
#' @export
#' @rawNamespace S3method(ggplot2::autoplot, lmm)
autoplot.lmm <- function(object, form = NULL, which = NULL, labels = 3L, ...) {
  check_dots(...)
  check_ggplot2()
  if (is.character(form)) {
    which <- form
    form <- NULL
  }
  if (is.character(which)) {
    return(ggplot_named(object, which, form))
  }
  if (inherits(form, "formula")) {
    return(ggplot_formula(object, form))
  }
  which <- if (is.null(which)) form else which
  which <- choose_pictures(object, which)
  labels <- check_count(labels, "labels", 0L)
  panels <- diagnostic_panels(object, labels)[sort(unique(which))]
  d <- do.call(rbind, panels)
  d$panel <- factor(d$panel, levels = unique(d$panel))
  .data <- rlang::.data
  style <- point_style(max(table(d$panel)))
  reference <- unique(d[!is.na(d$slope), c("panel", "slope")])
  smooth <- do.call(rbind, lapply(panels, smooth_panel))
  named <- d[!is.na(d$label), ]
  effects <- setdiff(unique(d$effect), "residual")
  styles <- effect_styles(length(effects))
  picture <- ggplot2::ggplot(d, ggplot2::aes(x = .data$x, y = .data$y)) +
    ggplot2::geom_abline(
      data = reference, ggplot2::aes(slope = .data$slope, intercept = 0), colour = "grey60"
    ) +
    ggplot2::geom_point(
      ggplot2::aes(colour = .data$effect, shape = .data$effect), size = 1.6 * style$cex,
      alpha = if (nrow(d) > 500L) 0.35 else 0.75
    ) +
    ggplot2::geom_text(
      data = named, ggplot2::aes(label = .data$label, hjust = .data$side), size = 2.8,
      colour = "grey25", check_overlap = TRUE
    ) +
    ggplot2::facet_wrap(
      ggplot2::vars(.data$panel), scales = "free", ncol = if (length(panels) > 1L) 2L,
      labeller = ggplot2::label_wrap_gen(34L)
    ) +
    ggplot2::scale_colour_manual(
      values = c(residual = image_colours[[1L]], stats::setNames(styles$colours, effects)),
      breaks = effects
    ) +
    ggplot2::scale_shape_manual(
      values = c(residual = 16L, stats::setNames(styles$symbols, effects)), breaks = effects
    ) +
    ggplot2::labs(x = NULL, y = NULL, colour = NULL, shape = NULL) +
    large_keys() +
    plain_theme()
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
  ggplot2::guides(
    colour = ggplot2::guide_legend(override.aes = list(size = 2.5, alpha = 1), ncol = 3L)
  )
}

#' Points of the four panels: list of data frames with panel, effect, x, y, slope (of the line),
#' label, side (of the point: 1 left, 0 right), even (for the smooth line?)
#' @noRd
diagnostic_panels <- function(object, labels) {
  d <- residual_data(object)
  panel <- function(name, x, y, slope, effect = "residual") {
    data.frame(
      panel = name, effect = effect, x = x, y = y, slope = slope, label = NA_character_, side = 0,
      even = TRUE
    )
  }
  largest <- largest_of(abs(d$residual), labels)
  rows <- d$drawn$all
  label <- ifelse(rows %in% largest, NA, NA_character_)
  label[match(largest, rows)] <- clip_names(d$name(largest), 16L)
  cloud <- function(name, y, slope) {
    own <- panel(name, d$fitted[rows], y[rows], slope)
    own$label <- pad_label(label, own$x > mean(range(own$x)))
    own$side <- ifelse(own$x > mean(range(own$x)), 1, 0)
    own$even <- rows %in% d$drawn$even
    own
  }
  quantiles <- function(name, z, effect, named = FALSE) {
    order <- order(z)
    shown <- thin_quantiles(length(z))
    own <- panel(name, normal_scores(z)[shown], z[order][shown], 1, effect)
    if (named) {
      at <- match(largest_of(abs(z), labels), order[shown])
      own$label[at] <- clip_names(d$name(order[shown][at]), 16L)
      own$label <- pad_label(own$label, own$x > 0)
      own$side <- ifelse(own$x > 0, 1, 0)
    }
    own
  }
  samples <- random_samples(object)
  samples <- samples[vapply(samples, function(z) all(is.finite(z)), NA)]
  random <- Map(function(z, effect) {
    quantiles("Random effects: standardised against normal quantiles", z, effect)
  }, samples, plain_name(names(samples)))
  list(
    cloud("Residuals against fitted values", d$residual, 0),
    cloud(
      "Root of |standardised residuals| against fitted values", sqrt(abs(d$standardised)), NA_real_
    ),
    quantiles(
      "Standardised residuals against normal quantiles", d$standardised, "residual", TRUE
    ),
    do.call(rbind, unname(random))
  )
}

#' A blank between a point and its label
#' @noRd
pad_label <- function(label, left) {
  ifelse(is.na(label), NA, ifelse(left, paste0(label, "  "), paste0("  ", label)))
}

#' @noRd
smooth_panel <- function(panel) {
  if (is.null(panel) || isTRUE(panel$slope[[1L]] == 1)) {
    return(NULL)
  }
  line <- stats::lowess(panel$x[panel$even], panel$y[panel$even])
  data.frame(panel = panel$panel[[1L]], x = line$x, y = line$y)
}

#' plot(fit, form) by 'ggplot2'
#' @noRd
ggplot_formula <- function(object, form) {
  values <- formula_values(object, form)
  check_numbers_right(values)
  d <- data.frame(x = as.vector(values$x))
  if (!is.null(values$y)) {
    d$y <- if (is.numeric(values$y)) as.vector(values$y) else values$y
  }
  d[names(values$groups)] <- panel_variables(values$groups)
  .data <- rlang::.data
  picture <- if (is.null(values$y)) {
    ggplot2::ggplot(d, ggplot2::aes(x = .data$x)) +
      ggplot2::geom_histogram(bins = 30L, fill = image_colours[[1L]], alpha = 0.5, na.rm = TRUE)
  } else if (is.numeric(d$y)) {
    ggplot2::ggplot(d, ggplot2::aes(x = .data$x, y = .data$y)) +
      ggplot2::geom_point(
        colour = image_colours[[1L]], size = 1.6 * point_style(nrow(d))$cex, alpha = 0.7,
        na.rm = TRUE
      )
  } else {
    ggplot2::ggplot(d, ggplot2::aes(x = .data$x, y = .data$y)) +
      ggplot2::geom_boxplot(colour = image_colours[[1L]], na.rm = TRUE) +
      ggplot2::scale_y_discrete(labels = clip_names)
  }
  if (length(values$groups) > 0L) {
    picture <- picture + ggplot2::facet_wrap(lapply(names(values$groups), as.name))
  }
  picture +
    ggplot2::labs(x = values$xlab, y = if (is.null(values$y)) "Number" else values$ylab) +
    plain_theme()
}

#' Pictures that have a name in place of numbers of panels
#' @noRd
ggplot_named <- function(object, which, form) {
  matrices <- c("Z", "Lambda", "L")
  which <- match_choice(which, "which", c(matrices, "within_between", "pairs", "qqnorm"))
  if (!is.null(form) && !which %in% c("pairs", "qqnorm")) {
    ferrolmm_abort(
      "`form` is for `which = \"pairs\"` and `which = \"qqnorm\"`, or stands alone.", "argument"
    )
  }
  switch(which,
    within_between = ggplot_within_between(object),
    pairs = ggplot_pairs(object, form),
    qqnorm = ggplot_quantiles(object, form),
    ggplot_image(object, which)
  )
}

#' @rdname autoplot.lmm
#' @export
#' @rawNamespace S3method(ggplot2::autoplot, ranef.lmm)
autoplot.ranef.lmm <- function(object, level = 0.95, order = c("each", "first", "levels"), ...) {
  check_dots(...)
  check_ggplot2()
  d <- caterpillar_data(object, level, match_choice(order, "order", c("each", "first", "levels")))
  d$panel <- paste0(d$grpvar, ": ", plain_name(d$term))
  d$panel <- factor(d$panel, levels = unique(d$panel))
  interval <- paste(format(100 * level), "% interval")
  keys <- paste(interval, c("excludes 0", "includes 0"))
  d$zero <- factor(ifelse(excludes_zero(d), keys[[1L]], keys[[2L]]), levels = keys)
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
        values = stats::setNames(c(image_colours[[1L]], "grey55"), keys), drop = FALSE
      )
  }
  picture <- picture +
    ggplot2::geom_point(size = if (many) 0.4 else 1.4) +
    ggplot2::facet_wrap(
      ggplot2::vars(.data$panel), scales = "free", labeller = ggplot2::label_wrap_gen(40L)
    ) +
    ggplot2::labs(
      x = "Random effect", y = if (many) "level, in order", colour = NULL
    ) +
    plain_theme()
  if (many) {
    return(picture + ggplot2::scale_y_continuous(breaks = NULL))
  }
  picture + ggplot2::scale_y_discrete(labels = function(key) clip_names(sub("^.*\r", "", key)))
}

#' @rdname autoplot.lmm
#' @export
#' @rawNamespace S3method(ggplot2::autoplot, profile.lmm)
autoplot.profile.lmm <- function(object, parm = NULL, levels = c(0.5, 0.8, 0.95, 0.99),
                                 absolute = FALSE, ...) {
  check_dots(...)
  check_ggplot2()
  check_flag(absolute, "absolute")
  drawn <- profile_picture(object, parm, levels, absolute)
  limits <- drawn$limits[!is.na(drawn$limits$y), ]
  main <- drawn$limits[drawn$limits$main, ]
  bars <- data.frame(
    panel = main$panel[c(TRUE, FALSE)], x = main$x[c(TRUE, FALSE)], xend = main$x[c(FALSE, TRUE)]
  )
  bars <- bars[!is.na(bars$x) & !is.na(bars$xend), ]
  .data <- rlang::.data
  ggplot2::ggplot(drawn$lines, ggplot2::aes(x = .data$x, y = .data$y)) +
    ggplot2::geom_hline(yintercept = 0, colour = "grey60") +
    ggplot2::geom_segment(
      data = limits,
      ggplot2::aes(xend = .data$x, yend = 0, linetype = ifelse(.data$main, "solid", "22")),
      colour = image_colours[[1L]]
    ) +
    ggplot2::geom_segment(
      data = bars, ggplot2::aes(xend = .data$xend, y = 0, yend = 0), colour = image_colours[[1L]],
      linewidth = 1.6
    ) +
    ggplot2::geom_line(linewidth = 0.8) +
    ggplot2::geom_point(data = drawn$estimates, colour = image_colours[[2L]], size = 1.8) +
    ggplot2::facet_wrap(
      ggplot2::vars(.data$panel), scales = "free_x", labeller = ggplot2::label_wrap_gen(30L)
    ) +
    ggplot2::scale_linetype_identity() +
    ggplot2::labs(
      x = NULL, y = if (absolute) quote(group("|", zeta, "|")) else quote(zeta),
      caption = drawn$caption
    ) +
    plain_theme()
}

#' @rdname autoplot.lmm
#' @export
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
      label = ifelse(shown, clip_names(names(values), 20L), NA)
    )
  }))
  .data <- rlang::.data
  ggplot2::ggplot(d[is.finite(d$y), ], ggplot2::aes(x = .data$x, y = .data$y)) +
    ggplot2::geom_hline(yintercept = 0, colour = "grey60") +
    ggplot2::geom_segment(
      ggplot2::aes(xend = .data$x, yend = 0, colour = .data$large), show.legend = FALSE
    ) +
    ggplot2::geom_text(
      data = d[is.finite(d$y) & !is.na(d$label), ],
      ggplot2::aes(label = .data$label, vjust = ifelse(.data$y < 0, 1.3, -0.5)), size = 3,
      hjust = "inward", check_overlap = TRUE, colour = image_colours[[2L]]
    ) +
    ggplot2::scale_colour_manual(
      values = c("TRUE" = image_colours[[2L]], "FALSE" = image_colours[[1L]])
    ) +
    # room for a line of text above and below
    ggplot2::scale_y_continuous(expand = ggplot2::expansion(mult = 0.22)) +
    ggplot2::facet_wrap(
      ggplot2::vars(.data$panel), scales = "free_y", ncol = if (length(panels) < 3L) 1L else 2L,
      labeller = ggplot2::label_wrap_gen(50L)
    ) +
    ggplot2::labs(x = influence_caption(object, panels, which), y = NULL) +
    plain_theme()
}
