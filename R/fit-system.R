# The matrices of the mixed-model equations of a fit, built when asked for.

#' Z', a sparse q x n matrix, without explicit zeros
#'
#' Row i of the data has, for each term, its k basis values in the rows of its level. Stacking these
#' for all terms gives the column of Z' with its row indices in order.
#' @noRd
build_zt <- function(object) {
  require_own_rows(object, "Z")
  design <- random_design(object$random, object$flist, object$frame, object$precision,
                          object$members)
  n <- count_rows(object)
  if (length(object$random) == 0L) {
    return(new_matrix(
      "dgCMatrix", p = integer(n + 1L), Dim = c(0L, n),
      Dimnames = list(character(), row.names(object$frame))
    ))
  }
  names <- list(effect_levels(object), row.names(object$frame))
  if (!is.null(object$members)) {
    return(stacked_zt(object, design, names))
  }
  blocks <- Map(
    function(term, start) zt_block(term, design$factors[[term$factor]]$codes, start, n),
    design$terms, object$Gp[-length(object$Gp)]
  )
  rows <- do.call(rbind, lapply(blocks, `[[`, "rows"))
  values <- do.call(rbind, lapply(blocks, `[[`, "values"))
  filled <- values != 0
  new_matrix(
    "dgCMatrix",
    i = rows[filled], x = values[filled], p = c(0L, cumsum(as.integer(colSums(filled)))),
    Dim = c(length(object$b), n), Dimnames = names
  )
}

#' Z' where rows may be members of several levels: term by term
#' @noRd
stacked_zt <- function(object, design, names) {
  blocks <- lapply(design$terms, function(term) {
    factor <- design$factors[[term$factor]]
    members <- if (is.null(factor$members)) single_members(factor$codes) else factor$members
    transposed(member_rows(members, factor$n_levels, term$columns))
  })
  zt <- Matrix::drop0(as_sparse(do.call(rbind, blocks)))
  dimnames(zt) <- names
  zt
}

#' Z of one term, sparse: a column for each effect of each level
#' @noRd
member_rows <- function(members, n_levels, columns) {
  k <- length(columns)
  row <- rep.int(seq_len(length(members$start) - 1L), diff(members$start))
  entries <- lapply(seq_len(k), function(j) {
    value <- if (is.null(columns[[j]])) 1 else columns[[j]][row]
    list(row = row, column = (members$level - 1L) * k + j, value = members$weight * value)
  })
  part <- function(name) unlist(lapply(entries, `[[`, name))
  Matrix::sparseMatrix(
    i = part("row"), j = part("column"), x = part("value"),
    dims = c(length(members$start) - 1L, k * n_levels)
  )
}

#' Row indices (from 0) and values of one term: k x n each
#' @noRd
zt_block <- function(term, codes, start, n) {
  columns <- lapply(term$columns, function(x) if (is.null(x)) rep.int(1, n) else x)
  k <- length(columns)
  first <- as.integer(start) + (codes - 1L) * k
  list(
    rows = rep(first, each = k) + matrix(seq_len(k) - 1L, k, n),
    values = do.call(rbind, columns)
  )
}

#' The level of each element of b
#' @noRd
effect_levels <- function(object) {
  unlist(lapply(object$random, function(term) {
    rep(levels(object$flist[[term$factor]]), each = length(term$cnms))
  }), use.names = FALSE)
}

#' Pattern of Lambda' (upper triangular, a block a level): row and column indices, and which element
#' of theta each entry holds
#' @noRd
lambdat_pattern <- function(object) {
  need_factor_theta(object)
  first_theta <- cumsum(c(0, theta_counts(object)))
  first_row <- object$Gp
  parts <- lapply(seq_along(object$random), function(t) {
    block <- block_pattern(object$random[[t]])
    levels <- nlevels(object$flist[[object$random[[t]]$factor]])
    k <- length(object$random[[t]]$cnms)
    shift <- first_row[[t]] + rep(seq.int(0L, by = k, length.out = levels), each = nrow(block))
    class <- rep(level_classes(object$random[[t]], levels), each = nrow(block))
    list(
      row = block[, "row"] + shift, column = block[, "column"] + shift,
      parameter = block[, "parameter"] + first_theta[[t]] +
        (class - 1L) * count_block(object$random[[t]])
    )
  })
  list(
    row = as.integer(unlist(lapply(parts, `[[`, "row"))),
    column = as.integer(unlist(lapply(parts, `[[`, "column"))),
    parameter = as.integer(unlist(lapply(parts, `[[`, "parameter")))
  )
}

#' Entries of T' of one term, column by column: row, column, and the parameter's position
#' @noRd
block_pattern <- function(term) {
  k <- length(term$cnms)
  position <- matrix(0, k, k)
  diagonal <- !random_kind(term$structure)$correlated
  filled <- if (diagonal) diag(k) == 1 else lower.tri(position, diag = TRUE)
  position[filled] <- seq_len(sum(filled))
  cells <- which(t(filled), arr.ind = TRUE, useNames = FALSE)
  cbind(row = cells[, 1L], column = cells[, 2L], parameter = t(position)[cells])
}

#' Lambda', sparse q x q, zeros on the pattern kept
#' @noRd
build_lambdat <- function(object) {
  if (!has_factor_theta(object)) {
    return(structured_lambdat(object))
  }
  pattern <- lambdat_pattern(object)
  q <- length(object$b)
  new_matrix(
    "dgCMatrix",
    i = pattern$row - 1L, p = c(0L, cumsum(tabulate(pattern$column, q))),
    x = unname(object$theta)[pattern$parameter], Dim = c(q, q)
  )
}

#' @noRd
has_factor_theta <- function(object) {
  !has_known(object) && !any(vapply(object$random, is_structured, NA))
}

#' @noRd
need_factor_theta <- function(object) {
  if (!has_factor_theta(object)) {
    ferrolmm_abort(
      "`Lind` is defined where theta holds the entries of the covariance factors.", "argument",
      i = "Not so with structures such as cs() and ar1(), or known matrices of levels."
    )
  }
}

#' Lambda' where terms have structures or levels have known matrices: for each term the transpose
#' of (root of the covariance of levels) x T, where levels have classes the sum over these
#' @noRd
structured_lambdat <- function(object) {
  factors <- term_factors(object$theta, object$random)
  blocks <- Map(function(factors, term) {
    covariance <- level_covariance(object, term$factor)
    n_levels <- nlevels(object$flist[[term$factor]])
    root <- if (is.null(covariance)) Matrix::Diagonal(n_levels) else chol(covariance)
    classes <- level_classes(term, n_levels)
    Reduce(`+`, lapply(seq_along(factors), function(class) {
      own <- Matrix::Diagonal(n_levels, as.double(classes == class))
      Matrix::kronecker(root %*% own, t(factors[[class]]))
    }))
  }, factors, object$random)
  methods::as(methods::as(Matrix::bdiag(blocks), "generalMatrix"), "CsparseMatrix")
}

#' Lambda' Z' R^-1/2
#' @noRd
weighted_system <- function(object) {
  system <- build_lambdat(object) %*% build_zt(object)
  if (is.null(object$prior.weights) && !has_residual(object)) {
    return(system)
  }
  # before the call, see transposed()
  root <- residual_root(object, "whiten")
  Matrix::tcrossprod(system, root)
}

#' R^-1/2 times a matrix with a row for each row of the fit
#' @noRd
whiten_rows <- function(object, x) {
  x <- x / sqrt(residual_variances(object))
  if (!has_correlation(object)) {
    return(x)
  }
  correlation_times(object, training_design(object), x, "whiten")
}

#' L: LL' = P (Lambda'Z'WZ Lambda + I) P'
#' @noRd
cholesky_of_system <- function(object) {
  system <- weighted_system(object)
  sparse_cholesky(Matrix::tcrossprod(system), "The factor of Lambda'Z'WZ Lambda + I", unit = 1)
}

#' @noRd
build_rx <- function(object) {
  names <- names(object$coefficients)[kept_columns(object)]
  matrix(object$rx, length(names), dimnames = list(names, names))
}
