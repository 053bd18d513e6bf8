# Blocks of a matrix drawn as a picture.

#' Okabe and Ito's colours, the dark ones first: colour-blind readers can tell them apart.
#' @noRd
image_colours <- c("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")

#' Margins that leave room for `lines` lines of labels under the title.
#' @noRd
image_margins <- function(lines) c(4.1, 4.6, 2.2 + 1.1 * lines, 1.1)

#' Positions given by the user, checked; all of them where none are given.
#' @noRd
image_positions <- function(positions, n, argument, what) {
  if (is.null(positions)) {
    return(seq_len(n))
  }
  ok <- is.numeric(positions) && length(positions) > 0L && !anyNA(positions) &&
    all(positions >= 1 & positions <= n & positions == trunc(positions))
  if (!ok) {
    ferrolmm_abort(
      paste0("`", argument, "` must be whole numbers from 1 to ", n, "."),
      class = "argument", i = paste0("The model has ", n, " ", what, ".")
    )
  }
  as.integer(unique(positions))
}

#' Levels given as positions or names, as positions.
#' @noRd
image_levels <- function(levels, grouping, group) {
  if (!is.atomic(levels)) {
    ferrolmm_abort(
      paste0("`levels` must be names or numbers of levels", describe_given(levels), "."), "argument"
    )
  }
  levels <- plain_values(levels)
  if (is.numeric(levels)) {
    return(image_positions(levels, nlevels(grouping), "levels", paste0("levels of `", group, "`")))
  }
  positions <- match(as.character(levels), levels(grouping))
  if (length(positions) == 0L || anyNA(positions)) {
    unknown <- as.character(levels)[is.na(positions)]
    unknown <- paste0("\"", utils::head(unknown, 3L), "\"", collapse = ", ")
    ferrolmm_abort(
      paste0("`levels` names what is no level of `", group, "`: ", unknown, "."),
      class = "argument", i = paste0("See `levels(getME(fit, \"flist\")[[\"", group, "\"]])`.")
    )
  }
  unique(positions)
}

#' The cell of `n_bins` equal ones along an axis of length `n` in which position `i` falls.
#' @noRd
bin_of <- function(i, n, n_bins) {
  if (n_bins >= n) i else as.integer(((i - 0.5) * n_bins) %/% n) + 1L
}

#' Which of some rows have which levels of a grouping factor: list(row, position among them; code)
#' @noRd
level_entries <- function(object, factor, rows) {
  members <- factor_members(object, factor)
  if (is.null(members)) {
    return(list(row = seq_along(rows), code = as.integer(object$flist[[factor]])[rows]))
  }
  counts <- diff(members$start)[rows]
  at <- sequence(counts, members$start[rows] + 1L)
  list(row = rep.int(seq_along(rows), counts), code = members$level[at])
}

#' Counts the entries of one term's columns of Z in each cell of its raster.
#' @noRd
count_cells <- function(codes, effects, width, row_bin, n_rows, n_columns) {
  counts <- integer(n_rows * n_columns)
  for (effect in seq_len(effects)) {
    column_bin <- bin_of((codes - 1L) * effects + effect, width, n_columns)
    counts <- counts + tabulate((column_bin - 1L) * n_rows + row_bin, n_rows * n_columns)
  }
  matrix(counts, n_rows, n_columns)
}

#' Where the blocks are on an axis from 0 to 1: in proportion to their columns, but each at least a
#' tenth (or its equal share), with a small gap between them.
#' @noRd
place_blocks <- function(width) {
  n <- length(width)
  gap <- if (n > 1L) min(0.015, 0.1 / n) else 0
  share <- width / sum(width)
  least <- min(0.12, 1 / n)
  small <- share < least
  while (any(small) && !all(small)) {
    rest <- (1 - least * sum(small)) * width[!small] / sum(width[!small])
    share[small] <- least
    share[!small] <- rest
    if (!any(rest < least)) break
    small <- share <= least
  }
  share <- share / sum(share) * (1 - gap * (n - 1L))
  right <- cumsum(share) + gap * (seq_len(n) - 1L)
  list(left = right - share, right = right)
}

#' One term: its raster, the lines between few columns, its frame and its axis.
#' @noRd
draw_block <- function(pattern, i, colour, left, right) {
  n <- pattern$dim[1L]
  z <- pattern$columns[[i]]
  cells <- pattern$cells[[i]]
  width <- length(z$names) * z$effects
  at <- function(column) left + (right - left) * column / width

  graphics::rasterImage(
    shade_cells(cells, colour, z$effects, exact = width == ncol(cells)),
    left, n + 0.5, right, 0.5, interpolate = FALSE
  )
  if (width > 1L && width <= 60L) {
    graphics::segments(at(seq_len(width - 1L)), 0.5, y1 = n + 0.5, col = "grey88", lwd = 0.6)
  }
  graphics::rect(left, n + 0.5, right, 0.5, border = "grey40", lwd = 0.8)

  if (length(z$names) <= 30L) {
    column <- (seq_along(z$names) - 0.5) * z$effects
    text <- visible_text(z$names)
  } else {
    before <- pattern$blocks$first[i] - 1
    ticks <- pretty(before + c(1, width), max(2L, round(8 * (right - left))))
    ticks <- unique(c(before + 1, ticks[ticks > before + width / 20 & ticks <= before + width]))
    column <- ticks - before - 0.5
    text <- format(ticks, scientific = FALSE, trim = TRUE)
  }
  graphics::axis(1L, at = at(column), labels = FALSE, tcl = -0.25, col = NA, col.ticks = "grey40")
  ## Labels stay under their own block.
  half <- graphics::strwidth(text, cex = 0.85) / 2
  fits <- at(column) - half >= left - 0.006 & at(column) + half <= right + 0.006
  graphics::axis(
    1L, at = at(column[fits]), labels = text[fits], tick = FALSE, line = -0.6, cex.axis = 0.85
  )
}

#' The raster of one term as colours: white where nothing falls, darker where more does. Where
#' each column of Z has its own cells, the second effect of a level is lighter than the first, and
#' so on.
#' @noRd
shade_cells <- function(cells, colour, effects, exact) {
  ramp <- grDevices::colorRampPalette(c("white", colour))(101L)
  strength <- matrix(0, nrow(cells), ncol(cells))
  filled <- cells > 0L
  strength[filled] <- 0.35 + 0.65 * sqrt(cells[filled] / max(cells))
  if (exact && effects > 1L) {
    tint <- seq(1, 0.45, length.out = effects)
    strength <- strength * rep(rep_len(tint, ncol(cells)), each = nrow(cells))
  }
  grDevices::as.raster(matrix(ramp[1L + round(100 * strength)], nrow(cells)))
}

#' The terms' labels over their blocks, on as many lines (up to three) as keep them apart.
#' @noRd
label_blocks <- function(blocks, place) {
  text <- label_blocks_text(blocks)
  half <- graphics::strwidth(text, cex = 0.9) / 2
  ## A label over a narrow block at the edge moves in, so that it is not cut off.
  at <- pmax(half, pmin((place$left + place$right) / 2, 1 - half))
  line <- integer(length(text))
  taken <- rep(-Inf, 3L)
  for (i in seq_along(text)) {
    free <- which(taken < at[i] - half[i])
    line[i] <- if (length(free)) free[1L] else which.min(taken)
    taken[line[i]] <- at[i] + half[i] + 0.02
  }
  data.frame(text = text, at = at, line = line)
}

#' "(age | Subject): 27 x 2"
#' @noRd
label_blocks_text <- function(blocks) {
  size <- ifelse(
    blocks$effects == 1L, sprintf("%d", blocks$levels),
    sprintf("%d x %d", blocks$levels, blocks$effects)
  )
  sprintf("(%s): %s", blocks$label, size)
}
