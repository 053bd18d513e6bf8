# Pictures of the square matrices Lambda and L, with the terms along both sides.

#' Entries of Lambda or L, block by block
#'
#' L is drawn in the order of the model's terms, without the permutation that a sparse solver would
#' choose, so that its blocks can be named. Patterns only: a zero in theta does not remove an entry.
#' @returns list(which, dim, blocks, row, column, fill = is the entry missing in the system
#'   Lambda'Z'Z Lambda + I?, entries = counts)
#' @noRd
square_pattern <- function(x, which) {
  lambdat <- lambdat_pattern(x)
  q <- length(x$b)
  if (which == "Lambda") {
    row <- lambdat$column
    column <- lambdat$row
    fill <- logical(length(row))
  } else {
    system <- system_pattern(x, lambdat, q)
    factor <- methods::as(
      Matrix::Cholesky(system, perm = FALSE, LDL = FALSE, super = FALSE), "CsparseMatrix"
    )
    row <- factor@i + 1L
    column <- rep.int(seq_len(q), diff(factor@p))
    before <- Matrix::tril(system)
    fill <- !((column - 1) * q + row) %in%
      ((rep.int(seq_len(q), diff(before@p)) - 1) * q + before@i + 1)
  }
  effects <- unname(lengths(x$cnms))
  width <- diff(x$Gp)
  list(
    which = which, dim = c(q, q),
    blocks = data.frame(
      label = vapply(x$random, `[[`, "", "label"), group = vapply(x$random, `[[`, "", "group"),
      levels = width %/% effects, effects = effects, first = x$Gp[-length(x$Gp)] + 1L,
      last = x$Gp[-1L]
    ),
    row = row, column = column, fill = fill,
    entries = c(all = length(row), fill = sum(fill))
  )
}

#' Lambda'Z'Z Lambda + I with all its structural entries
#' @noRd
system_pattern <- function(x, lambdat, q) {
  ones <- function(matrix) {
    matrix@x[] <- 1
    matrix
  }
  lambdat <- new_matrix(
    "dgCMatrix",
    i = lambdat$row - 1L, p = c(0L, cumsum(tabulate(lambdat$column, q))),
    x = rep.int(1, length(lambdat$row)), Dim = c(q, q)
  )
  product <- Matrix::tcrossprod(lambdat %*% ones(build_zt(x)))
  Matrix::forceSymmetric(product + Matrix::Diagonal(q), uplo = "L")
}

#' @noRd
draw_square_pattern <- function(pattern, main, xlab, ylab, col, resolution) {
  blocks <- pattern$blocks
  place <- place_blocks(blocks$last - blocks$first + 1)
  if (is.null(main)) main <- square_title(pattern)
  if (is.null(col)) col <- image_colours
  col <- rep_len(col, nrow(blocks))
  op <- graphics::par(mar = image_margins(1), las = 1L, pty = "s")
  on.exit(graphics::par(op))
  graphics::plot.new()
  graphics::plot.window(c(0, 1), c(0, 1), xaxs = "i")
  label <- label_blocks(blocks, place)
  graphics::par(mar = image_margins(max(label$line)), new = TRUE)
  graphics::plot.new()
  graphics::plot.window(c(0, 1), c(1, 0), xaxs = "i", yaxs = "i")
  for (a in seq_len(nrow(blocks))) {
    for (b in seq_len(nrow(blocks))) {
      draw_square_block(pattern, a, b, place, col, resolution)
    }
  }
  graphics::mtext(
    label$text, 3L, at = label$at, line = 0.2 + 1.1 * (label$line - 1), cex = 0.9, col = col
  )
  for (a in seq_len(nrow(blocks))) {
    square_axis(blocks[a, ], place$left[[a]], place$right[[a]])
  }
  if (pattern$which == "L" && pattern$entries[["fill"]] > 0L) {
    graphics::legend(
      0.98, 0.02, c("in the equations", "fill-in"), fill = image_colours[1:2], border = NA,
      bg = "white", box.col = "grey60", cex = 0.85, xjust = 1, yjust = 1
    )
  }
  graphics::title(main = main, line = 0.7 + 1.1 * max(label$line), cex.main = 1.1)
  graphics::title(xlab = if (is.null(xlab)) paste("Column of", pattern$which) else xlab, line = 2.6)
  graphics::title(ylab = if (is.null(ylab)) paste("Row of", pattern$which) else ylab, line = 3.6)
}

#' @noRd
square_title <- function(pattern) {
  count <- function(n) format(n, big.mark = ",", scientific = FALSE)
  text <- sprintf(
    "%s: %d x %d, %s entries", pattern$which, pattern$dim[[1L]], pattern$dim[[2L]],
    count(pattern$entries[["all"]])
  )
  if (pattern$which == "L") {
    text <- paste0(text, ", ", count(pattern$entries[["fill"]]), " of them fill-in")
  }
  text
}

#' The raster of one block of rows and columns; white where it has no entries
#' @noRd
square_raster <- function(pattern, a, b, place, col, resolution) {
  blocks <- pattern$blocks
  here <- pattern$row >= blocks$first[[a]] & pattern$row <= blocks$last[[a]] &
    pattern$column >= blocks$first[[b]] & pattern$column <= blocks$last[[b]]
  size <- c(blocks$last[[a]] - blocks$first[[a]], blocks$last[[b]] - blocks$first[[b]]) + 1L
  share <- c(place$right[[a]] - place$left[[a]], place$right[[b]] - place$left[[b]])
  bins <- as.integer(pmin(size, pmax(1, round(resolution * share))))
  row <- bin_of(pattern$row[here] - blocks$first[[a]] + 1L, size[[1L]], bins[[1L]])
  column <- bin_of(pattern$column[here] - blocks$first[[b]] + 1L, size[[2L]], bins[[2L]])
  cell <- (column - 1L) * bins[[1L]] + row
  fill <- pattern$fill[here]
  filled <- rep.int("#FFFFFF", prod(bins))
  filled[cell[fill]] <- image_colours[[2L]]
  filled[cell[!fill]] <- if (pattern$which == "L") {
    image_colours[[1L]]
  } else {
    rep_len(col, a)[[a]]
  }
  grDevices::as.raster(matrix(filled, bins[[1L]]))
}

#' One block of rows and columns: its raster and its frame
#' @noRd
draw_square_block <- function(pattern, a, b, place, col, resolution) {
  graphics::rasterImage(
    square_raster(pattern, a, b, place, col, resolution), place$left[[b]], place$right[[a]],
    place$right[[b]], place$left[[a]], interpolate = FALSE
  )
  graphics::rect(
    place$left[[b]], place$right[[a]], place$right[[b]], place$left[[a]],
    border = if (a >= b) "grey40" else "grey85", lwd = 0.8
  )
}

#' Ticks along both sides of one diagonal block
#' @noRd
square_axis <- function(block, left, right) {
  width <- block$last - block$first + 1L
  ticks <- pretty(c(block$first, block$last), max(2L, round(6 * (right - left))))
  # none so close to the first row that their labels could touch
  ticks <- ticks[ticks > block$first + 0.6 * diff(ticks)[[1L]] & ticks <= block$last]
  ticks <- unique(c(block$first, ticks))
  at <- left + (right - left) * (ticks - block$first + 0.5) / width
  text <- format(ticks, scientific = FALSE, trim = TRUE)
  for (side in 1:2) {
    half <- if (side == 1L) {
      graphics::strwidth(text, cex = 0.85) / 2
    } else {
      rep.int(abs(graphics::strheight("0", cex = 0.85)) / 2, length(text))
    }
    fits <- at - half >= left - 0.02 & at + half <= right + 0.02
    graphics::axis(side, at, labels = FALSE, tcl = -0.25, col = NA, col.ticks = "grey40")
    graphics::axis(
      side, at[fits], text[fits], tick = FALSE, line = -0.6, cex.axis = 0.85, gap.axis = 0
    )
  }
}
