# Pictures by 'lattice', on its generics: profiles and random effects.

#' Plots by 'lattice'
#'
#' `xyplot()` draws profiles as [plot()][plot.profile.lmm] does. `densityplot()` draws the densities
#' that correspond to them: if `zeta` were standard normal, these would be the densities of the
#' parameters (the profile's analogue of a posterior density). `dotplot()` draws random effects with
#' their intervals, the levels in order, and `qqmath()` the same against normal quantiles.
#'
#' @param x What [profile()][profile.lmm] or [ranef()] returned.
#' @param data Not used; an argument of the generics.
#' @param parm The parameters, as `which` of [profile()][profile.lmm]; by default all profiled.
#' @param levels Levels of the confidence intervals to mark.
#' @param absolute Draw `|zeta|`?
#' @param level The probability of the intervals of random effects.
#' @param ... Further arguments of [lattice::xyplot()].
#' @returns For profiles a `trellis` object, which draws itself when it is printed; for random
#'   effects a list of them, one for each grouping factor.
#' @seealso [plot.profile.lmm()], [plot.ranef.lmm()], [qqmath.lmm()]
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' profiled <- profile(fit, "theta_")
#' lattice::xyplot(profiled)
#' lattice::densityplot(profiled)
#' lattice::dotplot(ranef(fit))
#' @name lattice.lmm
NULL

#' @rdname lattice.lmm
#' @importFrom lattice xyplot
#' @export
xyplot.profile.lmm <- function(x, data = NULL, parm = NULL, levels = c(0.5, 0.8, 0.95, 0.99),
                               absolute = FALSE, ...) {
  check_dots(..., allowed = lattice_arguments())
  no_data(data)
  check_flag(absolute, "absolute")
  drawn <- profile_picture(x, parm, levels, absolute)
  levels(drawn$lines$panel) <- wrap_names(levels(drawn$lines$panel))
  limits <- drawn$limits
  panel <- function(x, y, ...) {
    own <- limits[as.integer(limits$panel) == lattice::panel.number(), ]
    lattice::panel.abline(h = 0, col = "grey60")
    lattice::panel.segments(
      own$x, 0, own$x, own$y, col = image_colours[[1L]], lty = ifelse(own$main, 1L, 3L)
    )
    lattice::panel.lines(x, y, col = "black", lwd = 2)
    centre <- drawn$estimates[as.integer(drawn$estimates$panel) == lattice::panel.number(), ]
    lattice::panel.points(centre$x, 0, pch = 19, col = image_colours[[2L]])
  }
  arguments <- list(
    x = y ~ x | panel, data = drawn$lines, panel = panel, as.table = TRUE,
    scales = list(x = list(relation = "free")), xlab = drawn$caption,
    strip_lines = strip_lines(drawn$lines$panel),
    ylab = if (absolute) expression(group("|", zeta, "|")) else expression(zeta)
  )
  do.call(lattice::xyplot, utils::modifyList(trellis_style(arguments), list(...)))
}

#' @rdname lattice.lmm
#' @importFrom lattice densityplot
#' @export
densityplot.profile.lmm <- function(x, data = NULL, parm = NULL, ...) {
  check_dots(..., allowed = lattice_arguments())
  no_data(data)
  panels <- profile_panels(x, parm)
  curves <- bind_panels(stats::setNames(
    lapply(panels, function(panel) profile_density(panel$path)), profile_titles(x, names(panels))
  ))
  levels(curves$panel) <- wrap_names(levels(curves$panel))
  panel <- function(x, y, ...) {
    lattice::panel.abline(h = 0, col = "grey60")
    lattice::panel.lines(x, y, col = image_colours[[1L]], lwd = 2)
  }
  arguments <- list(
    x = y ~ x | panel, data = curves, panel = panel, as.table = TRUE,
    scales = list(x = list(relation = "free"), y = list(relation = "free")), xlab = NULL,
    ylab = "Density", strip_lines = strip_lines(curves$panel)
  )
  do.call(lattice::xyplot, utils::modifyList(trellis_style(arguments), list(...)))
}

#' Names on as many lines as strips of panels need, in the usual width of a page
#' @noRd
wrap_names <- function(names) {
  vapply(names, function(name) paste(strwrap(name, 28L), collapse = "\n"), "", USE.NAMES = FALSE)
}

#' @noRd
strip_lines <- function(panel) max(lengths(strsplit(levels(panel), "\n", fixed = TRUE)))

#' The density of a parameter whose zeta is standard normal
#' @noRd
profile_density <- function(path) {
  grid <- dense_path(path)
  value <- grid$value[!duplicated(grid$value)]
  zeta <- grid$zeta[!duplicated(grid$value)]
  middle <- (value[-1L] + value[-length(value)]) / 2
  centre <- (zeta[-1L] + zeta[-length(zeta)]) / 2
  data.frame(x = middle, y = stats::dnorm(centre) * diff(zeta) / diff(value))
}

#' @noRd
no_data <- function(data) {
  if (!is.null(data)) {
    ferrolmm_abort("`data` are not used: leave it out.", "argument")
  }
}

#' @rdname lattice.lmm
#' @importFrom lattice dotplot
#' @export
dotplot.ranef.lmm <- function(x, data = NULL, level = 0.95, ...) {
  check_dots(..., allowed = lattice_arguments())
  no_data(data)
  d <- caterpillar_data(x, level, "first")
  lapply(split(d, factor(d$grpvar, levels = unique(d$grpvar))), function(own) {
    own$term <- droplevels(own$term)
    own$grp <- factor(own$grp, levels = unique(as.character(own$grp[order(own$rank)])))
    levels(own$grp) <- make.unique(clip_names(levels(own$grp)), sep = " ")
    arguments <- list(
      x = grp ~ condval | term, data = own, panel = interval_panel(own),
      prepanel = interval_prepanel(own),
      scales = list(x = list(relation = "free")),
      xlab = interval_caption(own, level), main = panel_title(own$grpvar[[1L]], nlevels(own$grp))
    )
    do.call(lattice::dotplot, utils::modifyList(trellis_style(arguments), list(...)))
  })
}

#' @rdname lattice.lmm
#' @export
qqmath.ranef.lmm <- function(x, data = NULL, level = 0.95, ...) {
  check_dots(..., allowed = lattice_arguments())
  no_data(data)
  d <- caterpillar_data(x, level, "each")
  lapply(split(d, factor(d$grpvar, levels = unique(d$grpvar))), function(own) {
    own$term <- droplevels(own$term)
    n <- nlevels(droplevels(own$grp))
    own$quantile <- stats::qnorm(stats::ppoints(n))[own$rank]
    arguments <- list(
      x = quantile ~ condval | term, data = own, panel = interval_panel(own),
      prepanel = interval_prepanel(own),
      scales = list(x = list(relation = "free")), xlab = interval_caption(own, level),
      ylab = "Normal quantile", main = panel_title(own$grpvar[[1L]], n)
    )
    do.call(lattice::xyplot, utils::modifyList(trellis_style(arguments), list(...)))
  })
}

#' @noRd
interval_caption <- function(d, level) {
  if (all(is.na(d$lower))) {
    return("Random effect")
  }
  paste0("Random effect, with its ", format(100 * level), " % interval")
}

#' Limits of panels in which the intervals have room
#' @noRd
interval_prepanel <- function(d) {
  function(x, y, subscripts, ...) {
    list(xlim = range(0, x, d$lower[subscripts], d$upper[subscripts], na.rm = TRUE))
  }
}

#' Points with intervals
#' @noRd
interval_panel <- function(d) {
  colour <- ifelse(excludes_zero(d), image_colours[[1L]], "grey45")
  function(x, y, subscripts, ...) {
    lattice::panel.abline(v = 0, col = "grey60")
    lattice::panel.segments(
      d$lower[subscripts], as.numeric(y), d$upper[subscripts], as.numeric(y),
      col = colour[subscripts]
    )
    lattice::panel.points(x, as.numeric(y), pch = 16, col = colour[subscripts], cex = 0.7)
  }
}

#' Random effects or coefficients against each other
#'
#' A scatter plot for each pair of effects of one grouping factor, as `pairs()` of 'nlme' draws.
#'
#' @param x A model fitted by [lmm()] with two random effects or more of one grouping factor.
#' @param form What to draw: `~ coef(.)`, fixed plus random effects, or `~ ranef(.)`.
#' @param level The grouping factor, by name or by position. By default the first one that has two
#'   effects.
#' @param ... Further arguments of [graphics::pairs()].
#' @returns The data drawn, invisibly.
#' @seealso [coef.lmm()], [plot.ranef.lmm()]
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' pairs(fit)
#' pairs(fit, ~ ranef(.))
#' @importFrom graphics pairs
#' @export
pairs.lmm <- function(x, form = ~ coef(.), level = NULL, ...) {
  check_dots(..., allowed = c(graphical_arguments(), names(formals(graphics::pairs.default))))
  d <- pairs_data(x, form, level)
  style <- utils::modifyList(
    list(pch = 16L, col = grDevices::adjustcolor(image_colours[[1L]], 0.7), las = 1L), list(...)
  )
  do.call(graphics::pairs, c(list(d), style))
  invisible(d)
}

#' The effects of one grouping factor that vary over its levels
#' @noRd
pairs_data <- function(object, form, level) {
  check_lmm(object, "pairs")
  need_random(object, "pairs()")
  what <- if (inherits(form, "formula") && length(form) == 2L) code_label(form[[2L]]) else ""
  tables <- switch(what,
    "coef(.)" = unclass(coef.lmm(object)),
    "ranef(.)" = unclass(ranef.lmm(object, condVar = FALSE)),
    ferrolmm_abort("`form` must be ~ coef(.) or ~ ranef(.).", "argument")
  )
  varies <- lapply(tables, function(table) {
    vapply(table, function(column) length(unique(column)) > 1L, NA)
  })
  at <- if (is.null(level)) {
    which(vapply(varies, sum, 1L) > 1L)[1L]
  } else {
    choose_group(object, level, "level")
  }
  if (is.na(at) || sum(varies[[at]]) < 2L) {
    ferrolmm_abort(
      "pairs() needs a grouping factor with two effects that vary.", "argument",
      i = "plot(ranef(fit)) draws single effects."
    )
  }
  tables[[at]][varies[[at]]]
}
