#' Plot regressions by group
#'
#' A panel for each coefficient: the estimate of each group with its confidence interval, groups in
#' the order of the first coefficient, so that they can be followed across.
#'
#' @param x What [lmList()] returned.
#' @param level The level of the intervals.
#' @param pool Intervals from the residual variance of all groups together (`TRUE`, with the sum of
#'   their degrees of freedom), or from each group's own?
#' @param order `"first"`: groups in the order of the first coefficient; `"levels"`: of the factor.
#' @param ... Not used.
#' @returns The data drawn, invisibly: columns `group`, `term`, `estimate`, `lower`, `upper` and
#'   `rank`, the place on the axis.
#' @seealso [autoplot.lmm()] for the same by 'ggplot2', [plot.lmm_pooling()]
#' @examples
#' data(Orthodont, package = "nlme")
#' plot(lmList(distance ~ age | Subject, Orthodont))
#' @export
plot.lmList.lmm <- function(x, level = 0.95, pool = TRUE, order = c("first", "levels"), ...) {
  check_dots(...)
  d <- lmlist_picture(x, level, pool, order)
  title <- lmlist_title(x, d)
  terms <- levels(d$term)
  op <- graphics::par(
    mfrow = c(ceiling(length(terms) / 3L), min(3L, length(terms))), las = 1L
  )
  on.exit(graphics::par(op))
  for (term in terms) {
    own <- d[d$term == term, ]
    draw_caterpillar(
      data.frame(
        grpvar = x$group, term = term, grp = own$group, condval = own$estimate, lower = own$lower,
        upper = own$upper, rank = own$rank
      ),
      level, zero = FALSE, title = title
    )
  }
  invisible(d)
}

#' Estimates and intervals in long form, with positions
#' @noRd
lmlist_picture <- function(x, level, pool, order) {
  check_level(level)
  check_flag(pool, "pool")
  order <- match_choice(order, "order", c("first", "levels"))
  found <- summary.lmList.lmm(x, pool = pool)
  drawn <- colSums(!is.na(x$coefficients)) > 0L
  if (!any(drawn)) {
    ferrolmm_abort("No coefficient was estimated in any group.", "argument")
  }
  terms <- colnames(x$coefficients)[drawn]
  groups <- rownames(x$coefficients)
  half <- t_quantile(level, rep_len(pmax(found$df.residual, 0), length(groups)))
  # groups in which nothing was estimated have no place
  there <- rowSums(!is.na(x$coefficients)) > 0L
  rank <- rep.int(NA_integer_, length(groups))
  rank[there] <- if (order == "first") {
    rank(x$coefficients[there, which(drawn)[[1L]]], ties.method = "first", na.last = TRUE)
  } else {
    seq_len(sum(there))
  }
  pieces <- lapply(terms, function(term) {
    table <- found$coefficients[, , term]
    table <- matrix(table, length(groups), dimnames = list(groups, colnames(found$coefficients)))
    error <- half * table[, "Std. Error"]
    data.frame(
      group = factor(groups, levels = groups), term = factor(term, levels = terms),
      estimate = table[, "Estimate"], lower = table[, "Estimate"] - error,
      upper = table[, "Estimate"] + error, rank = rank, row.names = NULL
    )[there, ]
  })
  do.call(rbind, pieces)
}

#' "Subject (27 levels, 2 not fitted)"
#' @noRd
lmlist_title <- function(x, d) {
  n <- length(x$n)
  missing <- n - length(unique(d$group))
  paste0(
    x$group, " (", count_of(n, "level"), if (missing > 0L) paste0(", ", missing, " not fitted"), ")"
  )
}

#' @rdname autoplot.lmm
#' @export
#' @rawNamespace S3method(ggplot2::autoplot, lmList.lmm)
autoplot.lmList.lmm <- function(object, level = 0.95, pool = TRUE, order = c("first", "levels"),
                                ...) {
  check_dots(...)
  check_ggplot2()
  d <- lmlist_picture(object, level, pool, order)
  d <- d[!is.na(d$estimate), ]
  .data <- rlang::.data
  many <- nlevels(d$group) > 60L
  picture <- ggplot2::ggplot(d, ggplot2::aes(x = .data$estimate, y = .data$rank)) +
    ggplot2::geom_segment(
      ggplot2::aes(x = .data$lower, xend = .data$upper, yend = .data$rank),
      colour = image_colours[[1L]], linewidth = if (many) 0.3 else 0.7, na.rm = TRUE
    ) +
    ggplot2::geom_point(size = if (many) 0.4 else 1.4) +
    ggplot2::facet_wrap(
      ggplot2::vars(.data$term), scales = "free_x", labeller = ggplot2::label_wrap_gen(30L)
    ) +
    ggplot2::labs(
      x = paste0("Estimate, ", format(100 * level), " % interval"),
      y = if (many) "level, in order", title = lmlist_title(object, d)
    ) +
    plain_theme()
  first <- d[!duplicated(d$group), ]
  picture + ggplot2::scale_y_continuous(
    breaks = if (!many) first$rank, labels = if (many) ggplot2::waiver() else
      clip_names(first$group), expand = ggplot2::expansion(add = 0.6)
  )
}
