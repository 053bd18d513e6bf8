# Results of ACF(), Variogram() and augPred() by 'ggplot2'; 'nlme' draws them by 'lattice'.

#' @rdname autoplot.lmm
#' @export
#' @rawNamespace S3method(ggplot2::autoplot, ACF)
autoplot.ACF <- function(object, alpha = 0, ...) {
  check_dots(...)
  check_ggplot2()
  if (!identical(alpha, 0)) check_level(alpha, "alpha")
  .data <- rlang::.data
  d <- data.frame(
    lag = object$lag, acf = object$ACF,
    limit = stats::qnorm(1 - alpha / 2) / sqrt(attr(object, "n.used"))
  )
  picture <- ggplot2::ggplot(d, ggplot2::aes(x = .data$lag, y = .data$acf)) +
    ggplot2::geom_hline(yintercept = 0, colour = "grey60") +
    ggplot2::geom_segment(
      ggplot2::aes(xend = .data$lag, yend = 0), colour = image_colours[[1L]], linewidth = 0.9
    )
  if (alpha > 0) {
    picture <- picture +
      ggplot2::geom_line(
        ggplot2::aes(y = .data$limit), linetype = "22", colour = image_colours[[2L]]
      ) +
      ggplot2::geom_line(
        ggplot2::aes(y = -.data$limit), linetype = "22", colour = image_colours[[2L]]
      ) +
      ggplot2::labs(
        caption = paste0("Dashed: limits of independent residuals, level ", format(alpha))
      )
  }
  picture + ggplot2::labs(x = "Lag", y = "Autocorrelation") + plain_theme()
}

#' @rdname autoplot.lmm
#' @export
#' @rawNamespace S3method(ggplot2::autoplot, Variogram)
autoplot.Variogram <- function(object, ...) {
  check_dots(...)
  check_ggplot2()
  .data <- rlang::.data
  d <- data.frame(dist = object$dist, variog = object$variog)
  model <- attr(object, "modelVariog")
  line <- if (!is.null(model)) {
    model
  } else if (nrow(d) > 3L) {
    smooth <- stats::lowess(d$dist, d$variog)
    data.frame(dist = smooth$x, variog = smooth$y)
  }
  picture <- ggplot2::ggplot(d, ggplot2::aes(x = .data$dist, y = .data$variog)) +
    ggplot2::geom_point(colour = image_colours[[1L]]) +
    ggplot2::expand_limits(y = 0) +
    ggplot2::labs(
      x = "Distance", y = "Semivariogram",
      caption = paste("Line:", if (is.null(model)) "lowess()" else "the model")
    ) +
    plain_theme()
  if (is.null(line)) {
    return(picture + ggplot2::labs(caption = NULL))
  }
  picture + ggplot2::geom_line(
    data = data.frame(dist = line$dist, variog = line$variog), colour = image_colours[[2L]]
  )
}

#' @rdname autoplot.lmm
#' @export
#' @rawNamespace S3method(ggplot2::autoplot, augPred)
autoplot.augPred <- function(object, ...) {
  check_dots(...)
  check_ggplot2()
  .data <- rlang::.data
  d <- data.frame(
    x = object[[1L]], group = object[[".groups"]], y = object[[3L]],
    type = as.character(object[[".type"]])
  )
  levels(d$group) <- clip_names(levels(d$group), 20L)
  seen <- d$type == "original"
  kinds <- setdiff(levels(object[[".type"]]), "original")
  d$type <- sub("^predict[.]", "", d$type)
  kinds <- sub("^predict[.]", "", kinds)
  label <- function(side) {
    trimws(paste(attr(object, "labels")[[side]], attr(object, "units")[[side]]))
  }
  ggplot2::ggplot(d[seen, ], ggplot2::aes(x = .data$x, y = .data$y)) +
    ggplot2::geom_point(colour = "grey30", size = 1) +
    ggplot2::geom_line(
      data = d[!seen, ], ggplot2::aes(colour = .data$type, linetype = .data$type),
      show.legend = length(kinds) > 1L
    ) +
    ggplot2::scale_colour_manual(
      values = stats::setNames(rep_len(image_colours, length(kinds)), kinds), breaks = kinds
    ) +
    ggplot2::scale_linetype_manual(
      values = stats::setNames(rep_len(1:6, length(kinds)), kinds), breaks = kinds
    ) +
    ggplot2::facet_wrap(ggplot2::vars(.data$group)) +
    ggplot2::labs(x = label("x"), y = label("y"), colour = NULL, linetype = NULL) +
    plain_theme()
}
