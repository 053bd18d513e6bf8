# lmerTest::ls_means(): means of the levels of factors, and their differences.

#' @rdname lmerTest-lmm
#' @aliases ls_means.lmm
ls_means.lmm <- function(model, which = NULL, level = 0.95, ddf = "Satterthwaite",
                         pairwise = FALSE, ...) {
  check_dots(...)
  check_level(level)
  check_flag(pairwise, "pairwise")
  method <- match_ddf(ddf)
  inference <- ddf_for(model, method)
  hypotheses <- lapply(mean_terms(model, which), function(term) mean_contrasts(model, term))
  if (pairwise) {
    hypotheses <- lapply(hypotheses, pairwise_rows)
  }
  tables <- lapply(unname(hypotheses), function(L) mean_table(inference, L, level))
  none <- row_table(inference, list(L = diag(model$rank)[0L, , drop = FALSE], rhs = 0), TRUE, level)
  structure(
    do.call(rbind, c(list(none), tables)),
    response = code_label(plain_formula(model)[[2L]]), confidence_level = level,
    ddf = method, hypotheses = hypotheses, heading = "Least Squares Means table:\n",
    class = c("ls_means", "data.frame")
  )
}

#' @rdname lmerTest-lmm
#' @aliases lsmeansLT.lmm
lsmeansLT.lmm <- ls_means.lmm

#' @rdname lmerTest-lmm
#' @aliases difflsmeans.lmm
difflsmeans.lmm <- function(model, which = NULL, level = 0.95, ddf = "Satterthwaite", ...) {
  check_dots(...)
  ls_means.lmm(model, which, level, match_ddf(ddf), pairwise = TRUE)
}

#' Terms of factors alone, named by themselves: their columns in the model frame
#' @noRd
mean_terms <- function(model, which) {
  pattern <- attr(model$terms, "factors") > 0L
  variables <- variable_columns(model$terms)
  labels <- labels.lmm(model)
  columns <- lapply(seq_along(labels), function(j) variables[pattern[, j]])
  names(columns) <- labels
  columns <- Filter(function(names) {
    all(vapply(names, function(name) is_categorical(.subset2(model$frame, name)), NA))
  }, columns)
  if (is.null(which)) {
    return(columns)
  }
  unknown <- setdiff(which, names(columns))
  if (length(unknown) > 0L) {
    ferrolmm_abort(
      paste0("`which` names ", quote_names(as.character(unknown)),
             ", which is no term of factors alone."), "argument",
      i = paste0("Those terms are ", quote_names(names(columns), 12L), ".")
    )
  }
  columns[which]
}

#' Means over a grid of the levels of all factors: a row for each cell of the factors of a term
#' @param term the columns of its factors in the frame.
#' @noRd
mean_contrasts <- function(model, term) {
  grid <- factor_grid(model)
  x <- fixed_matrix(model$terms, grid, model$contrasts)
  levels <- lapply(term, function(name) categories(.subset2(grid, name)))
  labels <- Map(function(name, levels) paste0(name, levels), term, levels)
  cells <- do.call(expand.grid, c(labels, stringsAsFactors = FALSE))
  names <- do.call(paste, c(unname(cells), sep = ":"))
  own <- Map(function(name, labels) labels[category_codes(.subset2(grid, name))], term, labels)
  at <- match(do.call(paste, c(unname(own), sep = ":")), names)
  L <- rowsum(x, at) / tabulate(at)
  dimnames(L) <- list(names, names(model$coefficients))
  L
}

#' @noRd
category_codes <- function(x) if (is.logical(x)) x + 1L else as.integer(x)

#' A frame with all combinations of the levels of the factors, numbers at their means
#' @noRd
factor_grid <- function(model) {
  columns <- unclass(model$frame)[variable_columns(model$terms)[-1L]]
  is_factor <- vapply(columns, is_categorical, NA)
  codes <- lapply(columns[is_factor], function(x) seq_along(categories(x)))
  cells <- if (any(is_factor)) do.call(expand.grid, codes) else data.frame(row.names = 1L)
  n <- nrow(cells)
  columns[is_factor] <- Map(function(x, at) {
    if (is.logical(x)) at == 2L else set_codes(x, at)
  }, columns[is_factor], cells)
  columns[!is_factor] <- lapply(columns[!is_factor], function(x) {
    if (is.matrix(x)) {
      matrix(colMeans(x), n, ncol(x), byrow = TRUE, dimnames = list(NULL, colnames(x)))
    } else {
      rep.int(mean(as.numeric(x)), n)
    }
  })
  structure(columns, row.names = seq_len(n), class = "data.frame")
}

#' A factor with other codes
#' @noRd
set_codes <- function(x, codes) {
  attributes <- attributes(x)
  attributes$names <- NULL
  attributes(codes) <- attributes
  codes
}

#' The difference of each pair of rows
#' @noRd
pairwise_rows <- function(L) {
  pairs <- utils::combn(nrow(L), 2L)
  differences <- L[pairs[1L, ], , drop = FALSE] - L[pairs[2L, ], , drop = FALSE]
  rownames(differences) <- paste(rownames(L)[pairs[1L, ]], rownames(L)[pairs[2L, ]], sep = " - ")
  differences
}

#' Estimates and tests of the rows; those that cannot be estimated are NA
#' @noRd
mean_table <- function(inference, L, level) {
  object <- inference$object
  known <- is_estimable(L, unestimable_space(object))
  rows <- L[known, kept_columns(object), drop = FALSE]
  tests <- row_table(inference, list(L = unname(rows), rhs = 0), TRUE, level)
  table <- tests[match(seq_along(known), which(known)), , drop = FALSE]
  row.names(table) <- rownames(L)
  table
}
