# Hypotheses of the terms of a model: types I, II and III.

#' @noRd
match_type <- function(type) {
  known <- c("III", "II", "I", "marginal")
  if (missing(type) || identical(type, known)) {
    return("III")
  }
  words <- "`type` must be \"I\", \"II\", \"III\" or \"marginal\""
  if (!is.character(type) && !is.numeric(type)) {
    ferrolmm_abort(paste0(words, describe_given(type), "."), "argument")
  }
  found <- if (is.numeric(type)) {
    match(type, c(3, 2, 1))
  } else {
    match(toupper(type), c(toupper(known), "3", "2", "1"))
  }
  if (length(type) != 1L || is.na(found)) {
    ferrolmm_abort(
      paste0(words, if (length(type) == 1L) paste0(": not ", type), "."), "argument"
    )
  }
  c(known, known[1:3])[[found]]
}

#' What headings call a type
#' @noRd
describe_type <- function(type) if (type == "marginal") "Marginal" else paste("Type", type)

#' The hypothesis of each term of the fixed part
#'
#' @returns named list of matrices with a column for each kept coefficient
#' @noRd
term_contrasts <- function(object, type) {
  labels <- labels.lmm(object)
  if (length(labels) == 0L) {
    return(list())
  }
  cells <- design_cells(object)
  kept <- kept_columns(object)
  whole <- cells$matrix(object$terms, object$contrasts)
  x <- whole[, kept, drop = FALSE]
  counted <- function() x * sqrt(require_counts(whole, paste(describe_type(type), "tests")))
  columns <- lapply(seq_along(labels), function(j) which(object$assign[kept] == j))
  contrasts <- switch(type,
    marginal = own_contrasts(columns, length(kept)),
    I = sequential_contrasts(counted(), columns),
    II = contained_last_contrasts(counted(), columns, containing_terms(object)),
    III = marginal_contrasts(object, cells$matrix, x)
  )
  names(contrasts) <- labels
  contrasts
}

#' The distinct rows of the predictors, with their frequencies
#'
#' Factors have few combinations of levels, and hypotheses depend on nothing else. With covariates
#' every row counts as distinct.
#' @returns list(matrix, a function of terms and contrasts as [own_matrix()])
#' @noRd
design_cells <- function(object) {
  frame <- object$frame
  every_row <- list(matrix = function(terms, contrasts) own_matrix(object, terms, contrasts))
  if (!is.null(object$condensed)) {
    return(every_row)
  }
  used <- rowSums(attr(object$terms, "factors") > 0L) > 0
  factors <- lapply(variable_columns(object$terms)[used], function(name) .subset2(frame, name))
  if (length(factors) == 0L || !all(vapply(factors, is_categorical, NA))) {
    return(every_row)
  }
  codes <- lapply(factors, function(f) if (is.logical(f)) f + 1L else as.integer(f))
  if (length(codes) == 1L) {
    codes <- match(codes[[1L]], unique(codes[[1L]]))
  } else {
    sizes <- vapply(factors, function(f) length(categories(f)), 1L)
    codes <- engine_interaction(codes, sizes)$codes
  }
  first <- which(!duplicated(codes))
  cells <- frame[first, , drop = FALSE]
  counts <- tabulate(codes)[codes[first]]
  list(matrix = function(terms, contrasts) {
    structure(fixed_matrix(terms, cells, contrasts), counts = counts)
  })
}

#' Type I: the rows of the unit upper triangular factor of X'X
#' @noRd
sequential_contrasts <- function(x, columns) {
  factor <- unit_triangle(x)
  lapply(columns, function(here) factor[here, , drop = FALSE])
}

#' Marginal: the coefficients of each term
#' @noRd
own_contrasts <- function(columns, p) {
  lapply(columns, function(rows) {
    L <- matrix(0, length(rows), p)
    L[cbind(seq_along(rows), rows)] <- 1
    L
  })
}

#' The rows of the factor of X'V^-1X, as in the table of 'lme4': sequential in that metric
#' @noRd
factor_contrasts <- function(object) {
  labels <- labels.lmm(object)
  rx <- unname(build_rx(object))
  assign <- object$assign[kept_columns(object)]
  contrasts <- lapply(seq_along(labels), function(j) rx[assign == j, , drop = FALSE])
  stats::setNames(contrasts, labels)
}

#' @noRd
unit_triangle <- function(x) {
  r <- qr.R(qr(x, tol = 1e-12))
  r / diag(r)
}

#' Type II: a term's rows where the terms that contain it come last, and it comes just before them
#' @noRd
contained_last_contrasts <- function(x, columns, containing) {
  compact <- qr.R(qr(x, tol = 1e-12))
  p <- ncol(x)
  lapply(seq_along(columns), function(j) {
    later <- unlist(columns[containing[[j]]])
    order <- c(setdiff(seq_len(p), c(columns[[j]], later)), columns[[j]], later)
    factor <- unit_triangle(compact[, order, drop = FALSE])
    rows <- match(columns[[j]], order)
    contrasts <- matrix(0, length(rows), p)
    contrasts[, order] <- factor[rows, , drop = FALSE]
    contrasts
  })
}

#' Which terms contain each term: same covariates, all its factors, and further factors
#' @noRd
containing_terms <- function(object) {
  pattern <- attr(object$terms, "factors") > 0L
  variables <- variable_columns(object$terms)
  categorical <- vapply(
    variables, function(name) is_categorical(.subset2(object$frame, name)), NA
  )
  lapply(seq_len(ncol(pattern)), function(j) {
    contains <- function(i) {
      all(pattern[!categorical, i] == pattern[!categorical, j]) &&
        all(pattern[categorical, i] >= pattern[categorical, j]) &&
        any(pattern[categorical, i] > pattern[categorical, j])
    }
    which(vapply(seq_len(ncol(pattern)), contains, NA))
  })
}

#' Type III
#'
#' Let X have factors coded by treatments, and let Y have an indicator for each level of each factor
#' in each term. Y = X M says which function of the coefficients of Y each coefficient of X is: a
#' row of M. The rows of a term are made orthogonal to those of the terms that contain it, and what
#' is left of them is written in the coefficients of X again, and then in those of the model.
#' @param matrix as in [design_cells()]; `x` its matrix of the kept columns.
#' @noRd
marginal_contrasts <- function(object, matrix, x) {
  kept <- kept_columns(object)
  assign <- object$assign[kept]
  recode <- !all(vapply(object$contrasts, identical, NA, "contr.treatment"))
  treatment <- if (recode) {
    treatment_matrix(object, matrix)
  } else {
    list(x = x, assign = assign, keys = fixed_keys(object)[kept])
  }
  columns <- lapply(seq_along(labels.lmm(object)), function(j) which(treatment$assign == j))
  containing <- containing_terms(object)
  if (!recode && all(lengths(containing) == 0L)) {
    # each coefficient of X is one of Y, and nothing has to be made orthogonal
    return(own_contrasts(columns, length(kept)))
  }
  decomposed <- qr(treatment$x, tol = 1e-12)
  indicators <- indicator_matrix(object, matrix)
  functions <- qr.coef(decomposed, indicators$x)
  functions[abs(functions) < 1e-10] <- 0
  for (j in order(attr(object$terms, "order"), decreasing = TRUE)) {
    above <- unlist(columns[containing[[j]]])
    if (length(above) > 0L && length(columns[[j]]) > 0L) {
      basis <- qr(t(functions[above, , drop = FALSE]))
      rest <- t(qr.resid(basis, t(functions[columns[[j]], , drop = FALSE])))
      rest[abs(rest) < 1e-10] <- 0
      functions[columns[[j]], ] <- rest
    }
  }
  written <- functions[, match(treatment$keys, indicators$keys), drop = FALSE]
  if (recode) {
    written <- written %*% qr.coef(decomposed, x)
  }
  lapply(columns, function(rows) {
    L <- written[rows, , drop = FALSE]
    dimnames(L) <- NULL
    L[rowSums(abs(L)) > 1e-8, , drop = FALSE]
  })
}

#' Independent columns of the model matrix with factors coded by treatments
#' @noRd
treatment_matrix <- function(object, matrix) {
  coding <- lapply(object$contrasts, function(given) "contr.treatment")
  x <- matrix(object$terms, coding)
  decomposed <- qr(x)
  kept <- sort(decomposed$pivot[seq_len(decomposed$rank)])
  list(
    x = x[, kept, drop = FALSE], assign = attr(x, "assign")[kept],
    keys = design_keys(object$terms, object$frame, coding)[kept]
  )
}

#' The model matrix with an indicator for each level of each factor in each term
#' @noRd
indicator_matrix <- function(object, matrix) {
  terms <- object$terms
  pattern <- attr(terms, "factors")
  pattern[pattern > 0L] <- 2L
  attr(terms, "factors") <- pattern
  list(
    x = matrix(terms, object$contrasts),
    keys = design_keys(terms, object$frame, object$contrasts)
  )
}
