# Known covariance or precision matrices of the levels of a grouping factor: us(1 | id, cov = K).
#
# The engine takes the precision, the whole symmetric matrix in compressed columns. It is part of
# the fitted object (`precision`, a list parallel to `flist`): the matrix itself is not looked up
# again.

#' Evaluate the matrices that bar terms name: in the data, where the formula was made, where lmm()
#' was called
#' @noRd
find_known <- function(bars, data, env, caller) {
  lapply(bars, function(bar) {
    if (is.null(bar$known)) {
      return(bar)
    }
    value <- tryCatch(
      eval(bar$known$expr, if (is.environment(data)) data else as.list(data), env),
      error = function(inside) {
        # an error of this package's says more than that the caller has no such variables
        failed <- function(e) if (inherits(inside, "ferrolmm_error")) inside else e
        tryCatch(eval(bar$known$expr, caller), error = failed)
      }
    )
    label <- code_label(bar$known$expr, 500L)
    if (inherits(value, "error")) {
      ferrolmm_abort(
        paste0("`", bar$known$kind, " = ", label, "` could not be evaluated: ",
               conditionMessage(value), "."),
        "known"
      )
    }
    bar$known$label <- label
    bar$known$matrix <- check_known(value, bar$known$kind, label)
    bar
  })
}

#' A symmetric matrix with the same names on both sides
#' @noRd
check_known <- function(x, kind, label) {
  what <- paste0("`", kind, " = ", label, "`")
  if (is.data.frame(x) || !(is.matrix(x) || inherits(x, "Matrix"))) {
    ferrolmm_abort(
      paste0(what, " must be a matrix, it is ", describe_value(x), "."), "known"
    )
  }
  if (nrow(x) != ncol(x)) {
    ferrolmm_abort(paste0(what, " must be square, it is ", nrow(x), " x ", ncol(x), "."), "known")
  }
  x <- plain_values(x)
  names <- if (is.null(rownames(x))) colnames(x) else rownames(x)
  if (is.null(names)) {
    ferrolmm_abort(
      paste0(what, " has no dimnames: its rows cannot be matched to levels."), "known",
      i = "Set rownames() and colnames() to the levels of the grouping factor."
    )
  }
  if (!is.null(rownames(x)) && !is.null(colnames(x)) && !identical(rownames(x), colnames(x))) {
    ferrolmm_abort(paste0(what, " has other row names than column names."), "known")
  }
  if (anyDuplicated(names)) {
    ferrolmm_abort(
      paste0(what, " has a name twice: ", quote_names(unique(names[duplicated(names)])), "."),
      "known"
    )
  }
  is_symmetric <- methods::is(x, "symmetricMatrix") && methods::is(x, "dMatrix")
  # sparse matrices stay sparse, and dense ones dense for the arithmetic
  if (!is.matrix(x)) {
    # a permutation has no entries but ones
    x <- as_sparse(if (methods::is(x, "pMatrix")) methods::as(x, "dMatrix") else x)
  }
  entries <- if (is.matrix(x)) x else if (!methods::is(x, "nMatrix")) x@x
  if (!is.numeric(entries)) {
    ferrolmm_abort(paste0(what, " must be numeric."), "known")
  }
  if (!all(is.finite(entries))) {
    ferrolmm_abort(paste0(what, " has values that are missing or infinite."), "known")
  }
  require_scale(Matrix::diag(x), what)
  if (!is_symmetric) {
    asymmetric <- abs(x - Matrix::t(x))
    if (max(asymmetric, 0) > 1e-8 * max(abs(entries), 0)) {
      ferrolmm_abort(
        paste0(what, " is not symmetric."), "known",
        i = "Rounding apart: (K + t(K)) / 2 makes a matrix symmetric."
      )
    }
    x <- (x + Matrix::t(x)) / 2
  }
  x <- as_sparse(x)
  dimnames(x) <- list(names, names)
  x
}

#' Check that a matrix is in units near those of a correlation matrix
#'
#' theta takes up any multiple, so that it makes no difference to the model; but to the search,
#' which looks for variances that are ratios to it: from 1e12 on it misses the optimum.
#' @param diagonal variances, or their inverses given the other levels
#' @noRd
require_scale <- function(diagonal, what) {
  size <- exp(mean(log(diagonal[diagonal > 0])))
  if (!is.na(size) && abs(log10(size)) > 9) {
    ferrolmm_abort(
      paste0(what, " has a diagonal of about ", format(signif(size, 1L)), "."), "known",
      x = paste("Variances are estimated as multiples of it, and would be many orders of magnitude",
                "from 1."),
      i = "Divide it by its mean diagonal: the fit is the same, its variances are in other units."
    )
  }
}

#' Are so many entries nonzero that sparse algebra takes longer?
#' @noRd
is_dense <- function(matrix) length(matrix@x) > 0.25 * prod(dim(matrix))

#' Code a grouping factor whose levels have a known matrix
#'
#' Of a covariance matrix, the part for the levels of the data is taken and inverted; of a precision
#' matrix all levels stay, including those without rows.
#' @param group what [interact_codes()] returns.
#' @returns group with codes, levels, n_levels and factor as the matrix has them, and `precision`
#' @noRd
apply_known <- function(group, known, name, control) {
  what <- paste0("`", known$kind, " = ", known$label, "`")
  names <- rownames(known$matrix)
  found <- match_matrix_names(names, group, what, name)
  absent <- group$levels[is.na(found)]
  if (length(absent) > 0L) {
    ferrolmm_abort(
      paste0(what, " has no row for ", count_of(length(absent), "level"), " of `", name, "`: ",
             quote_names(absent), "."),
      "known",
      x = if (length(absent) == length(group$levels)) {
        paste0("Its names are ", quote_names(names, 3L), ": none of them is a level.")
      },
      i = "Its dimnames are matched to the levels of the grouping factor."
    )
  }
  if (known$kind == "cov") {
    precision <- invert_covariance(known$matrix[found, found, drop = FALSE], what, control)
  } else {
    if (is_dense(known$matrix)) {
      invert_dense(known$matrix, what, control)
    } else {
      factorize_sparse(known$matrix, what)
    }
    precision <- known$matrix
    group <- take_all_names(group, names, found)
  }
  codes <- as.integer(group$codes)
  levels <- group$levels
  group$codes <- codes
  group$n_levels <- length(levels)
  group$factor <- structure(codes, levels = levels, class = "factor")
  group$precision <- compressed_columns(precision)
  group
}

#' The row of the matrix that stands for each level, NA for none
#'
#' A name is a level's label, or the number that it is ("100000" for a level printed as "1e+05").
#' @noRd
match_matrix_names <- function(names, group, what, name) {
  labels <- group$levels
  if (!is.null(group$key$tuples)) {
    labels <- tuple_labels(group$key$leaves, group$key$tuples, ":")
  }
  if (anyDuplicated(labels)) {
    ferrolmm_abort(
      paste0(what, " cannot be matched: levels of `", name, "` have the same name, ",
             quote_names(unique(labels[duplicated(labels)])), "."),
      "known", i = "Make one factor with names of its own for the levels."
    )
  }
  found <- match(labels, names)
  if (anyNA(found) && is.null(group$key$tuples)) {
    level <- match_text(names, group$key$leaves[[1L]])
    rest <- which(is.na(found))
    found[rest] <- match(rest, level)
  }
  if (anyDuplicated(found[!is.na(found)])) {
    ferrolmm_abort(paste0(what, " has one name for two levels of `", name, "`."), "known")
  }
  found
}

#' All names of a precision matrix as levels, in its order
#' @noRd
take_all_names <- function(group, names, found) {
  group$codes <- found[as.integer(group$codes)]
  order <- match(seq_along(names), found)
  here <- !is.na(order)
  group$key <- reorder_key(group$key, order)
  labels <- names
  labels[here] <- group$levels[order[here]]
  group$levels <- make.unique(labels)
  # levels that no row has are known only by name
  if (is.null(group$key$tuples)) {
    leaf <- group$key$leaves[[1L]]
    leaf$labels[!here] <- names[!here]
    leaf$values[!here] <- switch(leaf$kind,
      text = names[!here], number = text_numbers(names[!here]), NA
    )
    group$key$leaves[[1L]] <- leaf
  } else {
    group$key$names <- replace(names, here, NA)
  }
  group
}

#' Inverse of a dense known matrix that is positive definite beyond rounding error
#' @noRd
invert_dense <- function(matrix, what, control) {
  found <- engine_invert(as.matrix(matrix), control)
  if (is.null(found)) abort_not_definite(what, matrix)
  require_digits(found$pivots / Matrix::diag(matrix), what)
  found$inverse
}

#' Sparse Cholesky factor of such a matrix
#' @noRd
factorize_sparse <- function(matrix, what) {
  symmetric <- methods::as(Matrix::forceSymmetric(matrix), "CsparseMatrix")
  factor <- tryCatch(
    withCallingHandlers(
      Matrix::Cholesky(symmetric, perm = TRUE, LDL = FALSE),
      warning = function(w) stop(conditionMessage(w), call. = FALSE)
    ),
    error = function(e) abort_not_definite(what, matrix)
  )
  pivots <- Matrix::diag(methods::as(factor, "CsparseMatrix"))^2
  require_digits(pivots / Matrix::diag(symmetric)[factor@perm + 1L], what)
  factor
}

#' @noRd
abort_not_definite <- function(what, matrix) {
  diagonal <- Matrix::diag(matrix)
  at <- which(diagonal <= 0)
  ferrolmm_abort(
    paste0(what, " is not positive definite."), "known",
    x = if (length(at)) {
      paste0("Its diagonal has ", sprintf("%.6g", diagonal[at[1L]]), " for ",
             quote_names(rownames(matrix)[at[1L]]),
             if (length(at) > 1L) paste0(", and ", count_of(length(at) - 1L, "other number"),
                                         " that are not positive"), ".")
    },
    i = if (length(at)) "The diagonal must be positive." else remedies_of_singular
  )
}

#' @noRd
remedies_of_singular <- c(
  "Clones or duplicated levels make a covariance matrix singular: give them one level.",
  "Rounding apart: add a small number to the diagonal."
)

#' Check that digits are left: a level that those before it nearly determine leaves none in inverse
#' and determinant
#'
#' L_jj^2 / K_jj = 1 - R_j^2, with R_j the multiple correlation of level j with those before it in
#' the factor's order (free of the levels' units): the machine epsilon over it is about the relative
#' error of the inverse.
#' @param shares L_jj^2 / K_jj
#' @noRd
require_digits <- function(shares, what) {
  left <- log10(min(shares) / .Machine$double.eps)
  if (!is.finite(left) || left < 3) {
    ferrolmm_abort(
      paste0(what, " is singular but for rounding errors."), "known", i = remedies_of_singular
    )
  }
  if (left < 6) {
    ferrolmm_warn(
      paste0(what, " is nearly singular: of its inverse about ", floor(left),
             " digits are left, and no more of the fit."),
      "digits", i = remedies_of_singular
    )
  }
}

#' The inverse as a general sparse matrix, without entries that are mere rounding
#' @noRd
invert_covariance <- function(matrix, what, control) {
  if (is_dense(matrix)) {
    inverse <- invert_dense(matrix, what, control)
    size <- sqrt(diag(inverse))
    inverse[abs(inverse) < 1e-13 * outer(size, size)] <- 0
    return(as_sparse(inverse))
  }
  # without a right-hand side 'Matrix' refuses matrices that are symmetric only up to rounding
  identity <- as_sparse(Matrix::Diagonal(nrow(matrix)))
  # evaluated before the generic is called, which would wrap an error of it
  factor <- factorize_sparse(matrix, what)
  inverse <- as_sparse(Matrix::solve(factor, identity, system = "A"))
  inverse <- (inverse + Matrix::t(inverse)) / 2
  size <- sqrt(Matrix::diag(inverse))
  columns <- rep.int(seq_along(size), diff(inverse@p))
  negligible <- abs(inverse@x) < 1e-13 * size[inverse@i + 1L] * size[columns]
  inverse@x[negligible] <- 0
  Matrix::drop0(inverse)
}

#' A stored precision as a sparse matrix; NULL for independent levels
#' @noRd
precision_matrix <- function(precision, levels = NULL) {
  if (is.null(precision)) {
    return(NULL)
  }
  n <- length(precision$start) - 1L
  new_matrix(
    "dgCMatrix", i = precision$row, p = precision$start, x = precision$value, Dim = c(n, n),
    Dimnames = list(levels, levels)
  )
}

#' Covariance of the levels of a grouping factor, dense; NULL where they are independent
#' @noRd
level_covariance <- function(object, factor) {
  known_covariance(object$precision[[factor]], object$control)
}

#' The inverse of a known precision matrix, NULL for none
#' @noRd
known_covariance <- function(precision, control = NULL) {
  precision <- precision_matrix(precision)
  if (is.null(precision)) {
    return(NULL)
  }
  if (is_dense(precision)) {
    found <- engine_invert(as.matrix(precision), control)
    if (!is.null(found)) {
      return(found$inverse)
    }
  }
  broken <- function(condition) abort_broken_down("The inverse of a known precision matrix")
  # with a right-hand side, as in invert_covariance()
  identity <- diag(nrow(precision))
  tryCatch(
    as.matrix(Matrix::solve(Matrix::forceSymmetric(precision), identity)),
    error = broken, warning = broken
  )
}

#' Upper triangular root of a known covariance matrix, NULL for none
#' @noRd
known_root <- function(covariance) {
  if (!is.null(covariance)) {
    upper_cholesky(covariance, "The factor of a known covariance matrix of levels")
  }
}

#' Variances of the levels of a grouping factor, 1 where they are independent
#' @noRd
level_variances <- function(object, factor) {
  covariance <- level_covariance(object, factor)
  if (is.null(covariance)) rep.int(1, nlevels(object$flist[[factor]])) else diag(covariance)
}

#' Does a fit have a grouping factor with a known matrix?
#' @noRd
has_known <- function(object) any(lengths(object$precision) > 0L)
