# Text in pictures: nothing may be cut or overprinted.

#' Margins and distances of base pictures
#' @noRd
picture_margins <- function(top = 2.2) {
  list(mar = c(3.3, 3.7, top, 0.9), mgp = c(2.1, 0.6, 0), las = 1L, tcl = -0.3)
}

#' Text in the middle of one side of the plot region that would be cut by the edge of the page loses
#' its middle
#' @noRd
fitting_text <- function(text, side = 1L, cex = graphics::par("cex.lab")) {
  if (!is.character(text)) {
    return(text)
  }
  across <- side %in% c(1L, 3L)
  width <- graphics::par("pin")[[if (across) 1L else 2L]] +
    2 * min(graphics::par("mai")[if (across) c(2L, 4L) else c(1L, 3L)])
  shorten_labels(text, 0.98 * width, cex)
}

#' Labels that are wider than `width` (inches) lose their middle, or, where that would make some of
#' them the same, what all have in common
#' @noRd
shorten_labels <- function(text, width, cex) {
  measure <- function(text) graphics::strwidth(text, "inches", cex = cex)
  text <- visible_text(text)
  if (!any(measure(text) > width)) {
    return(text)
  }
  shorten_distinct(text, function(text) {
    own <- measure(text)
    for (k in which(own > width)) {
      n <- as.integer(nchar(text[[k]]) * width / own[[k]])
      while (n > 5L && measure(without_middle(text[[k]], n)) > width) n <- n - 1L
      text[[k]] <- without_middle(text[[k]], n)
    }
    text
  })
}

#' Labels of at most `most` letters, for pictures by 'ggplot2' and 'lattice', which are not measured
#' before they are drawn
#' @noRd
clip_names <- function(text, most = 28L) {
  shorten_distinct(visible_text(text), function(text) {
    # letters of some scripts are twice as wide as others
    width <- nchar(text, "width")
    for (k in which(width > most)) {
      text[[k]] <- without_middle(text[[k]], as.integer(most * nchar(text[[k]]) / width[[k]]))
    }
    text
  })
}

#' Labels on one line; those that would not be seen in quotation marks
#' @noRd
visible_text <- function(text) {
  text <- gsub("[[:cntrl:]]+", " ", as.character(text))
  blank <- which(!grepl("[^[:space:]]", text) & !is.na(text))
  text[blank] <- paste0("\"", text[blank], "\"")
  text
}

#' Text in a picture that stays readable where lines or points are under it
#' @noRd
text_on_picture <- function(x, y, text, cex, col) {
  half <- graphics::strwidth(text, cex = cex) / 2
  height <- graphics::strheight("M", cex = cex)
  graphics::rect(
    x - half, y - 0.7 * height, x + half, y + 0.7 * height, col = "#FFFFFFB0", border = NA
  )
  graphics::text(x, y, text, cex = cex, col = col, xpd = NA)
}

#' The ends of a text, about n letters with the dots between them
#' @noRd
without_middle <- function(text, n) {
  half <- max(1L, (n - 3L) %/% 2L)
  total <- nchar(text)
  paste0(substr(text, 1L, half), "...", substr(text, total - half + 1L, total))
}

#' Shorten labels; where different ones would become the same, shorten what differs between them
#' @noRd
shorten_distinct <- function(text, shorten) {
  short <- shorten(text)
  distinct <- unique(text)
  if (length(unique(short)) == length(distinct)) {
    return(short)
  }
  letters <- strsplit(distinct, "")
  least <- min(lengths(letters))
  common <- function(side) {
    same <- vapply(seq_len(least), function(k) {
      length(unique(vapply(letters, function(x) side(x, k)[[1L]], ""))) == 1L
    }, NA)
    sum(cumprod(same))
  }
  first <- common(function(x, k) x[[k]])
  last <- min(common(function(x, k) x[[length(x) - k + 1L]]), least - first)
  part <- substr(text, first + 1L, nchar(text) - last)
  shorten(paste0(if (first > 0L) "...", part, if (last > 0L) "..."))
}

#' The name of a variable or coefficient without the backticks that R needs
#' @noRd
plain_name <- function(name) gsub("`", "", name, fixed = TRUE)

#' The largest size, at most `cex`, at which a line of text is no higher than `room` (inches); NA
#' where it would be too small to read
#' @noRd
readable_size <- function(room, cex = 0.75, least = 0.45) {
  size <- min(cex, room / (1.35 * graphics::strheight("M", "inches", cex = 1)))
  if (size < least) NA_real_ else size
}

#' Text of at most `width` inches a line
#' @noRd
wrap_to_width <- function(text, width, cex) {
  one <- graphics::strwidth("n", "inches", cex = cex)
  paste(strwrap(text, max(10L, as.integer(width / one))), collapse = "\n")
}

#' A legend in one line above the picture, smaller where it would be wider than the page
#' @noRd
legend_above <- function(text, ..., cex = 0.9) {
  usr <- graphics::par("usr")
  per_inch <- diff(usr[1:2]) / graphics::par("pin")[[1L]]
  room <- (graphics::par("fin")[[1L]] - 0.1) * per_inch
  draw <- function(x, cex, plot) {
    graphics::legend(
      x, usr[[4L]], text, text.width = 1.05 * max(graphics::strwidth(text, cex = cex)),
      horiz = TRUE, bty = "n", xpd = NA, yjust = 0, xjust = 0, cex = cex, seg.len = 1.2,
      x.intersp = 0.6, plot = plot, ...
    )
  }
  wide <- draw(usr[[1L]], cex, FALSE)$rect$w
  cex <- cex * min(1, room / wide)
  wide <- draw(usr[[1L]], cex, FALSE)$rect$w
  right <- usr[[2L]] + graphics::par("mai")[[4L]] * per_inch
  draw(min(usr[[1L]], right - wide), cex, TRUE)
}
