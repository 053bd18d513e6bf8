# The pictures of image() by 'ggplot2': the blocks of the terms as rasters side by side.

#' @noRd
ggplot_image <- function(object, which) {
  need_random(object, "The picture of Z, Lambda or L")
  resolution <- c(400L, 400L)
  drawn <- if (which == "Z") {
    z_blocks(z_pattern(object, resolution = resolution))
  } else {
    square_blocks(square_pattern(object, which), resolution)
  }
  .data <- rlang::.data
  blocks <- drawn$blocks
  labels <- blocks[!duplicated(blocks$label), ]
  picture <- ggplot2::ggplot(blocks)
  for (k in seq_along(drawn$rasters)) {
    picture <- picture + ggplot2::annotation_raster(
      drawn$rasters[[k]], blocks$left[[k]], blocks$right[[k]], -blocks$bottom[[k]],
      -blocks$top[[k]]
    )
  }
  picture +
    ggplot2::geom_rect(
      ggplot2::aes(
        xmin = .data$left, xmax = .data$right, ymin = -.data$bottom, ymax = -.data$top
      ),
      fill = NA, colour = "grey40"
    ) +
    ggplot2::scale_x_continuous(
      breaks = (labels$left + labels$right) / 2, labels = vapply(labels$label, function(text) {
        paste(strwrap(text, max(12L, 70L %/% nrow(labels))), collapse = "\n")
      }, ""), position = "top", expand = ggplot2::expansion(0.01)
    ) +
    ggplot2::scale_y_continuous(
      breaks = -drawn$at, labels = drawn$rows, expand = ggplot2::expansion(0.01)
    ) +
    ggplot2::labs(
      x = NULL, y = paste0("Row", if (which != "Z") paste(" of", which)), title = drawn$title,
      caption = if (drawn$fill) "orange: fill-in, entries that the equations do not have"
    ) +
    plain_theme() +
    ggplot2::theme(
      panel.grid = ggplot2::element_blank(), aspect.ratio = if (which != "Z") 1
    )
}

#' Rasters of Z, with their places from 0 to 1
#' @noRd
z_blocks <- function(pattern) {
  blocks <- pattern$blocks
  place <- place_blocks(blocks$last - blocks$first + 1)
  n <- pattern$dim[[1L]]
  ticks <- pretty(c(1, n), 6)
  ticks <- c(1, ticks[ticks > n / 20 & ticks <= n])
  list(
    rasters = lapply(seq_len(nrow(blocks)), function(k) {
      cells <- pattern$cells[[k]]
      colour <- rep_len(image_colours, k)[[k]]
      shade_cells(cells, colour, blocks$effects[[k]], blocks$last[[k]] - blocks$first[[k]] + 1L ==
                    ncol(cells))
    }),
    blocks = data.frame(
      label = label_blocks_text(blocks), left = place$left, right = place$right, top = 0, bottom = 1
    ),
    at = (ticks - 0.5) / n, rows = format(ticks, scientific = FALSE, trim = TRUE),
    title = sprintf("Z: %d rows, %d columns", n, pattern$dim[[2L]]), fill = FALSE
  )
}

#' Rasters of Lambda or L, with their places from 0 to 1
#' @noRd
square_blocks <- function(pattern, resolution) {
  blocks <- pattern$blocks
  place <- place_blocks(blocks$last - blocks$first + 1)
  pairs <- expand.grid(a = seq_len(nrow(blocks)), b = seq_len(nrow(blocks)))
  text <- label_blocks_text(blocks)
  list(
    rasters = Map(function(a, b) {
      square_raster(pattern, a, b, place, image_colours, resolution)
    }, pairs$a, pairs$b),
    blocks = data.frame(
      label = text[pairs$b], left = place$left[pairs$b], right = place$right[pairs$b],
      top = place$left[pairs$a], bottom = place$right[pairs$a]
    ),
    at = place$left, rows = format(blocks$first, scientific = FALSE, trim = TRUE),
    title = square_title(pattern), fill = pattern$which == "L" && pattern$entries[["fill"]] > 0L
  )
}
