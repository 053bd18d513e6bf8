#' Draw the random-effects model matrix Z, the factor Lambda or the factor L
#'
#' A picture of which column of `Z` each row of the data belongs to: rows run from top to bottom as
#' in the matrix, the columns of one random-effects term stand together under the term's label, and
#' a cell is filled where the row belongs to the column's level. It is drawn from the codes of the
#' grouping factors, so that `Z` itself is never built, and a large `Z` is drawn at the resolution
#' of a screen: the more entries of `Z` fall into one cell of the picture, the darker it is.
#'
#' The picture shows structure, not values: every column of a random slope is filled on all rows of
#' its level, in a lighter tint than the column before it. Terms with few columns next to terms with
#' many are drawn wider than their share, so that they can be seen; the axis counts the columns of
#' `Z`.
#'
#' `which = "Lambda"` draws the relative covariance factor of all random effects, lower triangular
#' with a small triangle for each level. `which = "L"` draws the sparse Cholesky factor of the
#' equations \eqn{\Lambda'Z'WZ\Lambda + I} that are solved for the random effects, with the terms in
#' the order of the model; entries that the equations do not have (fill-in) are in another colour,
#' and the title counts them.
#'
#' @param x A model fitted by [lmm()].
#' @param which What to draw: `"Z"`, `"Lambda"` or `"L"`.
#' @param terms For `"Z"`: which random-effects terms to draw, as positions among the model's terms.
#'   All by default.
#' @param levels For `"Z"`: levels of the grouping factor of the first term drawn, as positions or
#'   as names. Only their rows are drawn, and of the other terms only the levels that occur in these
#'   rows. `levels = 1:10` is the close-up of the first ten.
#' @param rows For `"Z"`: rows to draw, as positions among the rows used in the fit; with `levels`,
#'   the rows in both.
#' @param main,xlab,ylab Title and axis labels. The default title states the dimension.
#' @param col Colours, one per term, used again in turn where there are more terms. The default is
#'   safe for colour-blind readers.
#' @param resolution The largest number of rows and of columns of the picture's raster; by default
#'   what the plotting device can show, at most 800 by 800.
#' @param ... Not used.
#' @returns What was drawn, invisibly: a list with `dim`, the rows and columns drawn; `rows`, their
#'   positions; `blocks`, a data frame with one row per term (`label`, `group`, `levels`, `effects`,
#'   and `first` and `last`, the columns it takes in the picture); and `cells`, a list of integer
#'   matrices, one per term: how many entries of `Z` fall into each cell of the raster. For
#'   `"Lambda"` and `"L"`: `dim`, `blocks` and `entries`, the number of all entries and of those
#'   that are fill-in.
#' @seealso [equations()], [getME.lmm()]
#' @examples
#' fit <- lmm(mobility ~ Age + (1 | doctor), doctors)
#' image(fit)
#' image(fit, levels = 1:10)
#'
#' data(Oats, package = "nlme")
#' split_plot <- lmm(yield ~ nitro + (1 | Block/Variety), as.data.frame(Oats))
#' image(split_plot, "L")
#' @importFrom graphics image
#' @export
image.lmm <- function(x, which = "Z", terms = NULL, levels = NULL, rows = NULL, main = NULL,
                      xlab = NULL, ylab = NULL, col = NULL, resolution = NULL, ...) {
  check_dots(...)
  which <- check_image_arguments(which, resolution)
  need_random(x, "image()")
  if (is.null(resolution)) resolution <- device_resolution()
  if (which != "Z") {
    if (!is.null(terms) || !is.null(levels) || !is.null(rows)) {
      ferrolmm_abort(
        "`terms`, `levels` and `rows` are for the picture of Z only.", class = "argument"
      )
    }
    pattern <- square_pattern(x, which)
    draw_square_pattern(pattern, main, xlab, ylab, col, resolution)
    return(invisible(pattern[c("dim", "blocks", "entries")]))
  }
  pattern <- z_pattern(x, terms, levels, rows, as.integer(resolution))
  draw_z_pattern(pattern, main, xlab, ylab, col)
  pattern$columns <- NULL
  invisible(pattern)
}

#' @noRd
check_image_arguments <- function(which, resolution) {
  which <- match_choice(which, "which", c("Z", "Lambda", "L"))
  ok <- is.null(resolution) ||
    is.numeric(resolution) && length(resolution) == 2L && isTRUE(all(resolution >= 1))
  if (!ok) {
    ferrolmm_abort(
      "`resolution` must be two whole numbers, rows and columns, of at least 1.",
      class = "argument", i = "Leave it out for what the plotting device can show."
    )
  }
  which
}

#' The cells that the plot region of the device can show: more would be dropped when it is drawn.
#' @noRd
device_resolution <- function() {
  vector_devices <- c("pdf", "postscript", "svg", "cairo_pdf", "cairo_ps", "xfig", "pictex")
  op <- graphics::par(mar = image_margins(1))
  on.exit(graphics::par(op))
  if (names(grDevices::dev.cur()) %in% vector_devices) {
    return(c(800L, 800L))
  }
  pixels <- grDevices::dev.size("px") * graphics::par("pin") / grDevices::dev.size("in")
  as.integer(pmin(800, pmax(50, rev(pixels))))
}

#' The data behind the picture: which rows and columns are drawn, and how many entries of Z fall
#' into each cell of the raster.
#' @noRd
z_pattern <- function(x, terms = NULL, levels = NULL, rows = NULL, resolution = c(800L, 800L)) {
  n <- nobs.lmm(x)
  terms <- image_positions(terms, length(x$random), "terms", "random-effects terms")
  rows <- image_positions(rows, n, "rows", "rows")
  random <- x$random[terms]
  whole <- is.null(levels)
  if (!whole) {
    grouping <- x$flist[[random[[1L]]$factor]]
    keep <- image_levels(levels, grouping, random[[1L]]$group)
    here <- level_entries(x, random[[1L]]$factor, rows)
    rows <- rows[unique(here$row[here$code %in% keep])]
    if (length(rows) == 0L) {
      ferrolmm_abort(
        "None of the rows in `rows` belongs to one of the levels in `levels`.",
        class = "argument", i = "Leave out one of the two arguments."
      )
    }
  }

  ## For each term: the levels drawn, in the order of the factor, and the level of each row among
  ## them, of rows that are members of several each of them.
  columns <- lapply(seq_along(random), function(i) {
    grouping <- x$flist[[random[[i]]$factor]]
    found <- level_entries(x, random[[i]]$factor, rows)
    drawn <- if (whole) seq_len(nlevels(grouping)) else sort(unique(found$code))
    list(
      rows = found$row, codes = if (whole) found$code else match(found$code, drawn),
      names = levels(grouping)[drawn],
      effects = length(random[[i]]$cnms)
    )
  })
  n_levels <- vapply(columns, function(z) length(z$names), 0L)
  effects <- vapply(columns, `[[`, 0L, "effects")
  width <- n_levels * effects
  place <- place_blocks(width)
  raster_columns <- as.integer(round(resolution[2L] * (place$right - place$left)))
  raster_columns <- pmin(width, pmax(1L, raster_columns))
  raster_rows <- min(length(rows), resolution[1L])
  row_bin <- bin_of(seq_along(rows), length(rows), raster_rows)

  last <- cumsum(width)
  list(
    dim = c(length(rows), sum(width)),
    rows = rows,
    blocks = data.frame(
      label = vapply(random, `[[`, "", "label"), group = vapply(random, `[[`, "", "group"),
      levels = n_levels, effects = effects, first = last - width + 1, last = last
    ),
    cells = lapply(seq_along(columns), function(i) {
      z <- columns[[i]]
      count_cells(z$codes, z$effects, width[i], row_bin[z$rows], raster_rows, raster_columns[i])
    }),
    columns = columns
  )
}

#' Draws what z_pattern() computed.
#' @noRd
draw_z_pattern <- function(pattern, main, xlab, ylab, col) {
  blocks <- pattern$blocks
  n <- pattern$dim[1L]
  if (is.null(main)) main <- sprintf("Z: %d rows, %d columns", n, pattern$dim[2L])
  if (is.null(col)) col <- image_colours
  col <- rep_len(col, nrow(blocks))
  place <- place_blocks(blocks$last - blocks$first + 1)

  ## The space above the picture depends on the lines that the labels need, and these on the width
  ## of the plot: so they are first measured on an empty page of the same width.
  op <- graphics::par(mar = image_margins(1), las = 1L)
  on.exit(graphics::par(op))
  graphics::plot.new()
  graphics::plot.window(c(0, 1), c(0, 1), xaxs = "i")
  label <- label_blocks(blocks, place)
  graphics::par(mar = image_margins(max(label$line)), new = TRUE)
  graphics::plot.new()
  graphics::plot.window(c(0, 1), c(n + 0.5, 0.5), xaxs = "i", yaxs = "i")

  for (i in seq_len(nrow(blocks))) {
    draw_block(pattern, i, col[i], place$left[i], place$right[i])
  }
  graphics::mtext(
    label$text, 3L, at = label$at, line = 0.2 + 1.1 * (label$line - 1), cex = 0.9, col = col
  )
  ticks <- pretty(c(1, n), 6)
  ticks <- c(1, ticks[ticks > n / 20 & ticks <= n])
  graphics::axis(2L, at = ticks, labels = format(ticks, scientific = FALSE, trim = TRUE))
  graphics::title(main = main, line = 0.7 + 1.1 * max(label$line))
  graphics::title(xlab = if (is.null(xlab)) "Column of Z" else xlab, line = 2.6)
  graphics::title(ylab = if (is.null(ylab)) "Row" else ylab, line = 3.6)
}
