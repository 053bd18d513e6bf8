#' Plot smooth terms
#'
#' A picture of each smooth: the function of a number with a pointwise band and the values of the
#' data below it; of two numbers as colours and contours, as far as the data reach; a curve for each
#' level of a random curve (`bs = "fs"`); and the effects of levels with intervals (`bs = "re"`,
#' `"mrf"`). Each is centred as in the model, and drawn over the range of its variables in the data
#' (with `by = f`, those of its level; with `by = z`, for z = 1). Smooths of more variables are not
#' drawn: a message says which.
#'
#' @param x,object What [smooths()] returned.
#' @param select The smooths to draw, by name or number; by default all.
#' @param level The level of the bands, for each point by itself. They are normal, with the standard
#'   errors of [predict.lmm()]: see [smooths()] for what they promise.
#' @param rug Mark the values of the data?
#' @param ... Not used.
#' @returns `plot()`: what is drawn, invisibly: a list of data frames by smooth, with the variables,
#'   `fit`, `se`, `lwr` and `upr`. `autoplot()`: an object of class `ggplot`.
#' @seealso [smooths()]
#' @examples
#' data(Ovary, package = "nlme")
#' fit <- lmm(follicles ~ s(Time, bs = "cc", k = 8) + (1 | Mare), Ovary)
#' plot(smooths(fit))
#' @export
plot.smooths.lmm <- function(x, select = NULL, level = 0.95, rug = TRUE, ...) {
  check_dots(...)
  pictures <- smooth_pictures(x, select, level, rug)
  margins <- picture_margins(1.6)
  margins$mar[[2L]] <- 4.6
  op <- graphics::par(margins)
  on.exit(graphics::par(op))
  if (length(pictures) > 1L && all(graphics::par("mfrow") == 1L)) {
    before <- graphics::par(mfrow = grDevices::n2mfrow(length(pictures)))
    op <- c(op, before)
  }
  for (picture in pictures) {
    switch(picture$kind,
      curve = , curves = draw_curves(picture), levels = draw_levels(picture),
      surface = draw_surface(picture)
    )
    graphics::title(main = fitting_text(picture$title, 3L), font.main = 1L, cex.main = 1)
    if (length(picture$rug) > 0L) graphics::rug(picture$rug, quiet = TRUE)
  }
  invisible(lapply(pictures, `[[`, "values"))
}

#' @rdname plot.smooths.lmm
#' @export
#' @rawNamespace S3method(ggplot2::autoplot, smooths.lmm)
autoplot.smooths.lmm <- function(object, select = NULL, level = 0.95, rug = TRUE, ...) {
  check_dots(...)
  check_ggplot2()
  pictures <- smooth_pictures(object, select, level, rug)
  kinds <- vapply(pictures, `[[`, "", "kind")
  of <- function(kind, take) {
    found <- pictures[kinds == kind]
    names(found) <- vapply(found, `[[`, "", "title")
    tables <- lapply(found, take)
    d <- if (length(tables)) bind_panels(tables)
    if (!is.null(d)) d$panel <- factor(d$panel, vapply(pictures, `[[`, "", "title"))
    d
  }
  lines <- function(picture) {
    v <- picture$values
    data.frame(x = plain_axis(v[[1L]], pictures), fit = v$fit, lwr = v$lwr, upr = v$upr,
               level = if (picture$kind == "curves") as.character(v[[2L]]) else "")
  }
  points <- function(picture) {
    v <- picture$values
    data.frame(x = seq_len(nrow(v)), fit = v$fit, lwr = v$lwr, upr = v$upr)
  }
  cells <- function(picture) {
    v <- picture$values
    data.frame(x = v[[1L]], y = v[[2L]], fit = v$fit,
               width = step_of(v[[1L]]), height = step_of(v[[2L]]))
  }
  colour <- image_colours[[1L]]
  .data <- rlang::.data
  plot <- ggplot2::ggplot()
  if (any(kinds == "surface")) {
    d <- of("surface", cells)
    known <- d[!is.na(d$fit), ]
    plot <- plot +
      ggplot2::geom_tile(
        ggplot2::aes(.data$x, .data$y, fill = .data$fit, width = .data$width,
                     height = .data$height), known
      ) +
      ggplot2::geom_contour(
        ggplot2::aes(.data$x, .data$y, z = .data$fit), d, colour = "black", linewidth = 0.3,
        na.rm = TRUE
      ) +
      ggplot2::scale_fill_gradientn(colours = surface_colours(64L), name = NULL)
  }
  if (any(kinds == "curve")) {
    d <- of("curve", lines)
    plot <- plot +
      ggplot2::geom_ribbon(
        ggplot2::aes(.data$x, ymin = .data$lwr, ymax = .data$upr), d, fill = "grey85"
      ) +
      ggplot2::geom_line(ggplot2::aes(.data$x, .data$fit), d, colour = colour)
  }
  if (any(kinds == "curves")) {
    plot <- plot + ggplot2::geom_line(
      ggplot2::aes(.data$x, .data$fit, group = .data$level), of("curves", lines), colour = colour,
      alpha = 0.7
    )
  }
  if (any(kinds == "levels")) {
    plot <- plot + ggplot2::geom_pointrange(
      ggplot2::aes(.data$x, .data$fit, ymin = .data$lwr, ymax = .data$upr),
      of("levels", points), colour = colour, size = 0.3
    )
  }
  with_rug <- lengths(lapply(pictures, `[[`, "rug")) > 0L
  if (any(with_rug)) {
    marks <- lapply(pictures[with_rug], function(picture) {
      data.frame(x = plain_axis(picture$rug, pictures))
    })
    names(marks) <- vapply(pictures[with_rug], `[[`, "", "title")
    marks <- bind_panels(marks)
    marks$panel <- factor(marks$panel, vapply(pictures, `[[`, "", "title"))
    plot <- plot + ggplot2::geom_rug(ggplot2::aes(.data$x), marks, alpha = 0.4)
  }
  labels <- unique(vapply(pictures, `[[`, "", "xlab"))
  heights <- unique(vapply(pictures, `[[`, "", "ylab"))
  plot +
    ggplot2::facet_wrap(ggplot2::vars(.data$panel), scales = "free") +
    ggplot2::labs(
      x = if (length(labels) == 1L) labels else paste(labels, collapse = ", "),
      y = if (length(heights) == 1L) heights else "Smooth"
    ) +
    plain_theme()
}

#' Dates stay dates where all horizontal axes have them
#' @noRd
plain_axis <- function(x, pictures) {
  dated <- vapply(pictures, function(picture) is.object(picture$values[[1L]]), NA)
  if (all(dated)) x else as.double(x)
}

#' The width of a cell of a regular grid
#' @noRd
step_of <- function(x) {
  values <- sort(unique(x))
  if (length(values) > 1L) (values[[length(values)]] - values[[1L]]) / (length(values) - 1) else 1
}

#' @noRd
surface_colours <- function(n) grDevices::hcl.colors(n, "Blue-Yellow 2")

# What both pictures show --------------------------------------------------------------------------

#' The pictures of smooths
#'
#' @returns list by smooth of list(kind ("curve", "curves", "levels", "surface"), values (a data
#'   frame), rug, xlab, ylab, title)
#' @noRd
smooth_pictures <- function(table, select, level, rug) {
  check_level(level)
  check_flag(rug, "rug")
  object <- attr(table, "fit")
  if (is.null(object)) {
    ferrolmm_abort("This is a part of a table of smooths(): draw the whole.", "argument")
  }
  smooths <- smooths_of(object)
  if (length(smooths) == 0L) {
    ferrolmm_abort("The model has no smooth terms to draw.", "argument")
  }
  if (is.character(select) && length(select) > 0L) {
    select <- match_names(select, names(smooths), "select", "smooth")
  } else if (!is.null(select)) {
    known <- is.numeric(select) && length(select) > 0L && all(select %in% seq_along(smooths))
    if (!known) {
      ferrolmm_abort(
        paste0("`select` must name smooths", describe_given(select), "."), "argument",
        i = paste0("There are ", quote_names(names(smooths), 10L), ".")
      )
    }
  }
  if (!is.null(select)) smooths <- smooths[select]
  posterior <- smooth_posterior(object)
  edf <- smooth_edf(object, posterior)
  data <- tryCatch(eval(object$call$data, fit_home(object)), error = function(e) NULL)
  pictures <- lapply(smooths, function(smooth) {
    grid <- smooth_grid(smooth, object$frame)
    if (is.null(grid)) {
      return(NULL)
    }
    found <- smooth_values_at(object, smooth, grid$frame, posterior)
    found$fit[grid$outside] <- found$se[grid$outside] <- NA
    half <- stats::qnorm((1 + level) / 2) * found$se
    own <- setdiff(smooth$sources, smooth$sources[smooth$by$variable])
    values <- data.frame(
      grid$frame[unname(own)], fit = found$fit, se = found$se, lwr = found$fit - half,
      upr = found$fit + half, check.names = FALSE
    )
    labels <- vapply(unname(own), column_label, "", data)
    list(
      kind = grid$kind, values = values, rug = if (rug) grid$rug, xlab = labels[[1L]],
      ylab = if (grid$kind == "surface") labels[[2L]] else smooth$label,
      title = paste0(smooth$label, ", edf ", format(edf[[smooth$label, "edf"]], digits = 3L))
    )
  })
  left_out <- names(smooths)[lengths(pictures) == 0L]
  if (length(left_out) > 0L) {
    ferrolmm_inform(
      paste0("Not drawn, as a function of several variables: ", quote_names(left_out), "."),
      "smooth", i = "predict() has its values."
    )
  }
  Filter(Negate(is.null), pictures)
}

#' Rows at which a smooth is drawn; NULL where it is not
#'
#' @returns list(kind, frame, rug, outside: which rows are far from the data)
#' @noRd
smooth_grid <- function(smooth, frame) {
  by <- smooth$by
  own <- unname(setdiff(smooth$sources, smooth$sources[by$variable]))
  used <- if (is.null(by$level)) frame else
    frame[as.character(frame[[smooth$sources[[by$variable]]]]) == by$level, , drop = FALSE]
  factors <- vapply(own, function(name) is.factor(frame[[name]]), NA)
  steps <- if (sum(!factors) == 2L) 40L else 200L
  along <- lapply(own, function(name) {
    x <- used[[name]]
    if (is.factor(x)) {
      return(factor(levels(x), levels(x)))
    }
    structure(
      seq(as.double(min(x)), as.double(max(x)), length.out = steps), class = oldClass(x),
      tzone = attr(x, "tzone"), units = attr(x, "units")
    )
  })
  kind <- if (length(own) == 1L) {
    if (factors) "levels" else "curve"
  } else if (length(own) == 2L && sum(factors) < 2L) {
    if (any(factors)) "curves" else "surface"
  }
  if (is.null(kind)) {
    return(NULL)
  }
  cells <- expand.grid(lapply(along, seq_along))
  grid <- lapply(seq_along(own), function(k) along[[k]][cells[[k]]])
  names(grid) <- own
  order <- if (kind == "curves") names(sort(factors)) else own
  grid <- grid[order]
  if (!is.null(by)) {
    x <- frame[[smooth$sources[[by$variable]]]]
    grid[[smooth$sources[[by$variable]]]] <- if (is.null(by$level)) {
      rep.int(1, nrow(cells))
    } else {
      factor(rep.int(by$level, nrow(cells)), levels(x), ordered = is.ordered(x))
    }
  }
  numbers <- own[!factors]
  list(
    kind = kind,
    frame = structure(grid, class = "data.frame", row.names = .set_row_names(nrow(cells))),
    rug = if (kind %in% c("curve", "curves")) sort(unique(used[[numbers]])),
    outside = if (kind == "surface") far_from(grid[numbers], used[numbers])
  )
}

#' Cells of a grid farther than a tenth of the range from all data
#' @noRd
far_from <- function(grid, data) {
  scaled <- Map(function(g, x) {
    low <- as.double(min(x))
    width <- max(as.double(max(x)) - low, .Machine$double.xmin)
    list(g = (as.double(g) - low) / width, x = (as.double(x) - low) / width)
  }, unname(as.list(grid)), unname(as.list(data)))
  points <- unique(cbind(scaled[[1L]]$x, scaled[[2L]]$x))
  nearest <- rep.int(Inf, length(scaled[[1L]]$g))
  for (k in seq_len(nrow(points))) {
    d <- (scaled[[1L]]$g - points[k, 1L])^2 + (scaled[[2L]]$g - points[k, 2L])^2
    nearest <- pmin(nearest, d)
  }
  which(nearest > 0.1^2)
}

# Base graphics ------------------------------------------------------------------------------------

#' @noRd
label_axes <- function(picture) {
  graphics::title(xlab = fitting_text(picture$xlab, 1L))
  graphics::title(ylab = fitting_text(picture$ylab, 2L), line = 3.2)
}

#' @noRd
draw_curves <- function(picture) {
  v <- picture$values
  x <- v[[1L]]
  many <- picture$kind == "curves"
  graphics::plot(
    range(x), range(if (many) v$fit else c(v$lwr, v$upr)), type = "n", xlab = "", ylab = "",
    las = 1L
  )
  label_axes(picture)
  if (many) {
    for (own in split(v, v[[2L]])) {
      graphics::lines(own[[1L]], own$fit, col = image_colours[[1L]])
    }
  } else {
    graphics::polygon(c(x, rev(x)), c(v$lwr, rev(v$upr)), col = "grey85", border = NA)
    graphics::lines(x, v$fit, col = image_colours[[1L]], lwd = 2)
  }
}

#' @noRd
draw_levels <- function(picture) {
  v <- picture$values
  at <- seq_len(nrow(v))
  graphics::plot(
    range(at), range(v$lwr, v$upr), type = "n", xlab = "", ylab = "", xaxt = "n", las = 1L
  )
  graphics::axis(1L, at, as.character(v[[1L]]))
  label_axes(picture)
  graphics::segments(at, v$lwr, at, v$upr, col = image_colours[[1L]])
  graphics::points(at, v$fit, pch = 19L, col = image_colours[[1L]])
}

#' @noRd
draw_surface <- function(picture) {
  v <- picture$values
  x <- sort(unique(v[[1L]]))
  y <- sort(unique(v[[2L]]))
  # the first variable runs fastest
  z <- matrix(v$fit, length(x), length(y))
  graphics::image(
    as.double(x), as.double(y), z, col = surface_colours(64L), xlab = "", ylab = "", las = 1L
  )
  graphics::contour(as.double(x), as.double(y), z, add = TRUE, labcex = 0.7)
  label_axes(picture)
  graphics::box()
}
