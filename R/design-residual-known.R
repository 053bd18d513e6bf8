# Known covariances of the rows of the data: residual = ~ known(V).
#
# V = D C D. Its variances D^2 are known, as those of varFixed(), and go into the weights; its
# correlations C are a structure without parameters, whose groups are the sets of rows that V
# connects. The frame has the row of V of each of its rows, "(known)", so that subset and missing
# values take V along.

#' Read known(V) before there is a model frame
#'
#' @param x the call; `places` the environments in which V is looked up, after the data.
#' @returns as [read_structure()]; the correlation has `known`, list(label, matrix)
#' @noRd
read_known_rows <- function(x, data, places) {
  arguments <- as.list(x)[-1L]
  if (length(arguments) != 1L || any(nzchar(names(arguments))) || is_bar(arguments[[1L]])) {
    ferrolmm_abort(
      paste0("`residual` cannot be read: ", code_label(x), "."), "residual",
      i = "Write it as ~ known(V), V the covariance matrix of the rows of the data."
    )
  }
  label <- paste0("known(", code_label(arguments[[1L]]), ")")
  value <- evaluate_known_rows(arguments[[1L]], label, data, places)
  list(
    source = "residual",
    correlation = list(
      type = "known", covariates = NULL, group = NULL, nugget = FALSE, value = NULL, fixed = FALSE,
      name = "known", by_level = TRUE,
      known = list(label = label, matrix = as_known_rows(value, label))
    ),
    scales = list(), fixed = list()
  )
}

#' @noRd
evaluate_known_rows <- function(expr, label, data, places) {
  value <- tryCatch(
    eval(expr, if (is.environment(data)) data else as.list(data), places[[1L]]), error = identity
  )
  for (place in places[-1L]) {
    if (inherits(value, "error")) {
      value <- tryCatch(eval(expr, place), error = function(e) value)
    }
  }
  if (inherits(value, "error")) {
    ferrolmm_abort(
      paste0("The matrix of `", label, "` could not be evaluated: ", conditionMessage(value), "."),
      known_rows_error
    )
  }
  value
}

#' @noRd
known_rows_error <- c("known", "residual")

#' Variances, a matrix or a list of blocks as one square matrix, dense or in compressed columns
#' @noRd
as_known_rows <- function(x, label) {
  what <- paste0("`", label, "`")
  if (is.list(x) && !is.data.frame(x)) {
    return(Matrix::bdiag(lapply(x, function(block) as_sparse(as_known_rows(block, label)))))
  }
  x <- plain_values(x)
  if (is.numeric(x) && is.null(dim(x))) {
    return(as_sparse(Matrix::Diagonal(x = as.double(x))))
  }
  if (is.data.frame(x) || !(is.matrix(x) || inherits(x, "Matrix"))) {
    ferrolmm_abort(
      paste0(what, " must be a covariance matrix, a list of its blocks, or a vector of variances; ",
             "it is ", describe_value(x), "."),
      known_rows_error
    )
  }
  if (nrow(x) != ncol(x)) {
    ferrolmm_abort(
      paste0(what, " must be square, it is ", nrow(x), " x ", ncol(x), "."), known_rows_error
    )
  }
  if (!is.matrix(x)) {
    x <- as_sparse(if (methods::is(x, "pMatrix")) methods::as(x, "dMatrix") else x)
  }
  if (!is.numeric(if (is.matrix(x)) x else if (!methods::is(x, "nMatrix")) x@x)) {
    ferrolmm_abort(paste0(what, " must be numeric."), known_rows_error)
  }
  x
}

#' The row of V of each of `n` rows of the data
#' @noRd
rows_of_known <- function(known, n, row_names) {
  size <- nrow(known$matrix)
  if (size != n) {
    ferrolmm_abort(
      paste0("`", known$label, "` is a matrix of ", count_of(size, "row"), ", the data have ", n,
             "."),
      known_rows_error,
      i = "Its rows are those of the data, before `subset` and missing values leave some out."
    )
  }
  names <- rownames(known$matrix)
  automatic <- is.integer(row_names) && is.na(row_names[1L])
  if (!automatic && !is.null(names) && !identical(as.character(row_names), names)) {
    at <- which(as.character(row_names) != names)[[1L]]
    ferrolmm_abort(
      paste0("`", known$label, "` has other row names than the data: row ", at, " is ",
             quote_names(names[[at]]), ", that of the data ", quote_names(row_names[[at]]), "."),
      known_rows_error,
      i = "Its rows are those of the data in their order. Where they are, unname() it."
    )
  }
  seq_len(n)
}

#' The correlations of the rows in use, as [build_correlation()] returns them
#'
#' @returns list with `rows`: the rows of V in use; `variances` of them; `matrix`: their
#'   correlations in compressed columns, list(start, row, value); `component` of each
#' @noRd
build_known_rows <- function(spec, frame) {
  label <- spec$known$label
  rows <- frame[["(known)"]]
  if (!is.null(.subset2(frame, "(weights)"))) {
    ferrolmm_abort(
      paste0("`weights` and `residual = ~ ", label, "` cannot both be given."), "residual",
      x = "The matrix says what the variances of the rows are.",
      i = "Divide its rows and columns by the roots of the weights instead."
    )
  }
  twice <- rows[duplicated(rows)]
  if (length(twice)) {
    ferrolmm_abort(
      paste0("`subset` takes row ", twice[[1L]], " of the data more than once: its covariance ",
             "with itself in `", label, "` is its variance."),
      known_rows_error, i = "Take each row once."
    )
  }
  found <- known_correlations(spec$known$matrix, rows, label, row.names(frame))
  matrix <- compressed_columns(found$correlations)
  component <- engine_connected_levels(matrix)$codes
  list(
    type = "known", name = "known", covariates = character(), kind = "rows", group = character(),
    group_label = label, nugget = FALSE, by = character(), largest = max(tabulate(component)),
    rows = rows, variances = found$variances, matrix = matrix, component = component
  )
}

#' Variances and correlations of some rows of V, checked
#'
#' @param names of these rows, for errors.
#' @returns list(variances, correlations: sparse, symmetric)
#' @noRd
known_correlations <- function(matrix, rows, label, names) {
  if (!identical(rows, seq_len(nrow(matrix)))) {
    matrix <- matrix[rows, rows, drop = FALSE]
  }
  matrix <- as_sparse(matrix)
  dimnames(matrix) <- list(NULL, NULL)
  refuse <- function(text, i = NULL) {
    ferrolmm_abort(paste0("`", label, "` ", text), known_rows_error, i = i)
  }
  columns <- rep.int(seq_along(rows), diff(matrix@p))
  unknown <- which(!is.finite(matrix@x))
  if (length(unknown)) {
    at <- c(matrix@i[unknown[[1L]]] + 1L, columns[unknown[[1L]]])
    refuse(paste0("is missing or infinite for rows ", names[[at[[1L]]]], " and ", names[[at[[2L]]]],
                  ", which are in use."))
  }
  variances <- Matrix::diag(matrix)
  if (any(variances <= 0)) {
    at <- which(variances <= 0)
    refuse(
      paste0("is not positive definite: the variance of row ", names[[at[[1L]]]], " is ",
             format(variances[[at[[1L]]]]), "."),
      if (length(at) > 1L) paste0(count_of(length(at), "variance"), " are not positive.")
    )
  }
  sd <- sqrt(variances)
  matrix@x <- matrix@x / (sd[matrix@i + 1L] * sd[columns])
  asymmetry <- Matrix::drop0(abs(matrix - Matrix::t(matrix)), 1e-8)
  if (length(asymmetry@x)) {
    column <- which(diff(asymmetry@p) > 0L)[[1L]]
    at <- c(asymmetry@i[[asymmetry@p[[column]] + 1L]] + 1L, column)
    refuse(
      paste0("is not symmetric: rows ", names[[at[[2L]]]], " and ", names[[at[[1L]]]],
             " have two covariances."),
      "Rounding apart: (V + t(V)) / 2 makes a matrix symmetric."
    )
  }
  correlations <- as_sparse(Matrix::drop0((matrix + Matrix::t(matrix)) / 2))
  tryCatch(
    factorize_sparse(correlations, paste0("`", label, "`")),
    ferrolmm_error_known = function(error) {
      refuse(
        "is not positive definite, or only for rounding errors.",
        c(name_indefinite(correlations, names),
          "A row that others determine has no information of its own: leave it out.")
      )
    }
  )
  list(variances = variances, correlations = correlations)
}

#' The first rows without a positive definite correlation matrix among those that are connected
#' @noRd
name_indefinite <- function(correlations, names) {
  component <- engine_connected_levels(compressed_columns(correlations))$codes
  sets <- split(seq_along(names), component)
  for (own in sets[lengths(sets) > 1L]) {
    # the part of one set may be dense
    pivots <- tryCatch(
      diag(chol(as.matrix(correlations[own, own])))^2, error = function(e) 0
    )
    if (min(pivots) < 1e3 * .Machine$double.eps) {
      return(paste0("Rows that are not: ", quote_names(names[own], 10L), "."))
    }
  }
}

#' The place in the matrix of a fit of each row of a frame; NULL for new rows, which have none
#' @noRd
known_places <- function(correlation, frame) {
  rows <- frame[["(known)"]]
  if (!is.null(rows)) match(rows, correlation$rows)
}

#' Refuse what needs the covariances of new rows with known(V)
#' @noRd
need_known_rows <- function(object, what, i = NULL) {
  if (has_known_rows(object$residual)) {
    ferrolmm_abort(
      paste0(what, " is not possible: `", object$residual$correlation$group_label,
             "` says nothing of the variances of new rows."),
      c("newdata", "residual"), i = i
    )
  }
}
