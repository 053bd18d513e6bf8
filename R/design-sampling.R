# Sampling weights: from what the user gave to the weights of rows, and how many levels each level
# counts as, in the pseudo-likelihood that the engine's moments/counted.rs describes.

#' @noRd
is_sampling <- function(x) inherits(x, "lmm_sampling")

#' @noRd
abort_sampling_elsewhere <- function() {
  ferrolmm_abort(
    "Sampling weights are for lmm() and the rows themselves.", "sampling",
    i = "Fit lmm(formula, data, REML = FALSE, weights = sampling_weights(...))."
  )
}

#' Sampling weights as a column of the model frame: a matrix with a row for each row of the data
#' @noRd
sampling_columns <- function(value, n) {
  columns <- c(if (!is.null(value$rows)) list(rows = value$rows), value$levels)
  checked <- lapply(columns, check_row_argument, "weights", n)
  empty <- names(checked)[lengths(checked) == 0L]
  if (length(empty) > 0L) {
    ferrolmm_abort(paste0("The weights `", empty[[1L]], "` are NULL."), "weights")
  }
  out <- matrix(unlist(checked, use.names = FALSE), n)
  # no grouping factor has such a name
  colnames(out) <- c(if (!is.null(value$rows)) "(rows)", names(value$levels))
  out
}

#' The smallest weight of each row, which tells whether it is used
#' @noRd
least_weights <- function(sampling) {
  do.call(pmin, lapply(seq_len(ncol(sampling)), function(j) sampling[, j]))
}

#' The sampling weights of a model
#'
#' @param frame the model frame, with its column "(sampling)".
#' @param random what [build_random()] returns.
#' @returns NULL without; else list(weights, counts, total, scale, conditional, information,
#'   levels, cluster).
#'   `weights` of the rows are products of those of all levels, times a number so that they sum to
#'   the number of rows, and `counts` (parallel to `flist`) are products of the weights of a level
#'   and of that around it, times the same; `total` is the sum of the weights before. `levels`: the
#'   grouping factors that have weights, "(rows)" stands for the rows; `cluster`: which of `flist`
#'   is the coarsest.
#' @noRd
sampling_design <- function(frame, random) {
  given <- frame[["(sampling)"]]
  if (is.null(given)) {
    return(NULL)
  }
  spec <- attr(frame, "sampling")
  flist <- random$flist
  order <- nested_factors(flist)
  names <- match_sampling_levels(colnames(given), names(flist))
  colnames(given) <- names
  n <- nrow(given)
  # from the rows to the coarsest level; a level without is drawn whenever the one around it is
  own <- vector("list", length(order) + 1L)
  own_names <- c("(rows)", names(flist)[order])
  for (k in rev(seq_along(own))) {
    own[[k]] <- if (own_names[[k]] %in% names) {
      unname(given[, own_names[[k]]])
    } else if (spec$conditional || k == length(own)) {
      rep.int(1, n)
    } else {
      own[[k + 1L]]
    }
  }
  for (k in seq_along(order)) {
    check_level_weights(own[[k + 1L]], flist[[order[[k]]]], names(flist)[[order[[k]]]])
  }
  if (!spec$conditional) {
    for (k in seq_along(order)) own[[k]] <- own[[k]] / own[[k + 1L]]
  }
  finest <- as.integer(flist[[order[[1L]]]])
  own[[1L]] <- own[[1L]] * weight_factors(own[[1L]], finest, spec$scale)
  products <- Reduce(`*`, own, accumulate = TRUE, right = TRUE)
  total <- sum(products[[1L]])
  counts <- vector("list", length(flist))
  for (k in seq_along(order)) {
    f <- flist[[order[[k]]]]
    first <- match(seq_len(nlevels(f)), as.integer(f))
    counts[[order[[k]]]] <- products[[k + 1L]][first] * (n / total)
  }
  list(
    weights = products[[1L]] * (n / total), counts = counts, total = total, scale = spec$scale,
    conditional = spec$conditional, information = spec$information, levels = names,
    cluster = order[[length(order)]]
  )
}

#' What the weights of rows are multiplied by in each group
#' @noRd
weight_factors <- function(w, codes, scale) {
  if (scale == "none") {
    return(1)
  }
  sums <- drop(rowsum(w, codes, reorder = TRUE))
  squares <- drop(rowsum(w^2, codes, reorder = TRUE))
  factors <- switch(scale, size = tabulate(codes) / sums, effective = sums / squares)
  unname(factors[codes])
}

#' Grouping factors from fine to coarse; an error where they are not nested
#' @noRd
nested_factors <- function(flist) {
  if (length(flist) == 0L) {
    ferrolmm_abort(
      "Sampling weights of levels need random effects, and the model has none.", "sampling",
      i = "Survey regression without random effects is survey::svyglm()."
    )
  }
  if (length(flist) > 2L) {
    ferrolmm_abort(
      paste0("With sampling weights a model can have one grouping factor or two nested ones, not ",
             length(flist), ": ", quote_names(names(flist), Inf), "."), "sampling"
    )
  }
  order <- order(-vapply(flist, nlevels, 1L))
  if (length(flist) == 2L) {
    fine <- flist[[order[[1L]]]]
    coarse <- flist[[order[[2L]]]]
    names <- names(flist)[order]
    as_many <- nlevels(fine) == nlevels(coarse)
    if (as_many || !is_constant_within(as.integer(coarse), as.integer(fine))) {
      ferrolmm_abort(
        paste0("With sampling weights grouping factors must be nested, and `", names[[1L]],
               "` is not in `", names[[2L]], "`: its groups ",
               if (as_many) "are as many." else "have rows in several."),
        "sampling",
        i = paste0("Of crossed factors, how often a row counts is not defined. If labels are used ",
                   "again in each group, write (1 | coarse/fine).")
      )
    }
  }
  order
}

#' The grouping factors that weights are of, by their names or by the finer part of them
#' @noRd
match_sampling_levels <- function(given, names) {
  parts <- sub(":.*", "", names)
  found <- vapply(given, function(name) {
    if (name == "(rows)" || name %in% names) return(name)
    at <- which(parts == name)
    if (length(at) == 1L) names[[at]] else NA_character_
  }, "", USE.NAMES = FALSE)
  unknown <- given[is.na(found)]
  if (length(unknown) > 0L) {
    ferrolmm_abort(
      paste0("`", unknown[[1L]], "` has weights, and is no grouping factor of the model: ",
             "these are ", quote_names(names, Inf), "."), "weights"
    )
  }
  found
}

#' @noRd
check_level_weights <- function(w, f, name) {
  codes <- as.integer(f)
  differs <- which(w != w[match(codes, codes)])
  if (length(differs) > 0L) {
    ferrolmm_abort(
      paste0("The weights of `", name, "` differ within its group \"",
             levels(f)[[min(codes[differs])]],
             "\": the weight of a group is the same in all its rows."), "weights"
    )
  }
}

#' Refuse sampling weights beside what has no pseudo-likelihood here
#' @noRd
check_sampling_model <- function(sampling, random, residual, reml, control) {
  if (is.null(sampling)) return()
  if (reml) {
    ferrolmm_abort(
      paste0("Sampling weights are for `REML = FALSE`: the restricted likelihood integrates over ",
             "the fixed effects of all clusters together, and is no sum over clusters that could ",
             "be weighted."),
      "sampling", i = "Write lmm(..., REML = FALSE)."
    )
  }
  terms <- random$terms
  beside <- c(
    "a residual structure" = !is.null(residual),
    "mm()" = !is.null(random$members),
    "known matrices of levels" = any(lengths(random$precision) > 0L),
    "covariances by group (`by = `)" = any(vapply(terms, function(t) !is.null(t[["classes"]]), NA)),
    "a penalty" = !is.null(control$penalty),
    "parameters that are held or tied" = !is.null(control$hold) || !is.null(control$tie),
    "a known `sigma`" = !is.null(control$sigma),
    "`solver = \"iterative\"`" = identical(control$solver, "iterative")
  )
  if (any(beside)) {
    ferrolmm_abort(
      paste0("A model with sampling weights cannot have ", names(beside)[beside][[1L]], "."),
      "sampling"
    )
  }
}
