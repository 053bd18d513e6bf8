# Prediction of new observations that are correlated with those of the fit: predict(residual.cor =
# TRUE).
#
# Relative to sigma^2, with A = R^-1/2 Z Lambda and M = A'A + I: for a row with predictors x, z
# whose residual has the covariances r with those of the fit, the best linear unbiased prediction
# adds r'R^-1 e to x'beta + z'b, e the conditional residuals; its error has the variance z'Gz + d^2
# - c'V^-1 c + (x - X'V^-1 c)' C (x - X'V^-1 c),   c = Z G z + r.

#' Residuals of new rows that those of their group predict
#'
#' @param rows what [new_rows()] returns, its frame with the columns of the residual structure.
#' @returns list(values = r'R^-1 e, cross = sparse n x rows matrix R^-1/2 r)
#' @noRd
predicted_residuals <- function(object, rows) {
  design <- new_residual_design(object, rows)
  whitening <- whitening_matrix(object)
  covariance <- cross_covariance(object, design)
  cross <- whitening %*% covariance
  list(
    values = as.vector(Matrix::crossprod(cross, whitening %*% object$residuals)), cross = cross,
    design = design
  )
}

#' The residual structure of new rows: codes of the groups of the fit (NA: another group),
#' positions, standard deviations
#' @noRd
new_residual_design <- function(object, rows) {
  residual <- object$residual
  correlation <- residual$correlation
  frame <- rows$frame
  known <- residual_groups(correlation, object$frame)
  codes <- if (length(correlation$group) == 0L) {
    rep.int(1L, nrow(frame))
  } else {
    # levels of an interaction are in the order in which the fit has them
    labels <- lapply(frame[correlation$group], as.character)
    match(do.call(paste, c(unname(labels), sep = ":")), known$levels)
  }
  position <- if (correlation$kind == "order") {
    follow_on(correlation, codes, known$codes)
  } else {
    residual_positions(correlation, frame, codes)
  }
  if (anyNA(unlist(position)) || any(unlist(position) > correlation$n_positions)) {
    check_new_positions(
      object, c(rows["frame"], fitted = FALSE),
      list(groups = list(codes = 1L), correlation = list(position = NA_integer_))
    )
  }
  list(codes = codes, position = position)
}

#' Where positions are the order of rows, new rows come after those of the fit
#' @noRd
follow_on <- function(correlation, codes, known) {
  sizes <- tabulate(known)
  group <- ifelse(is.na(codes), 0L, codes)
  place <- stats::ave(seq_along(group), group, FUN = seq_along) +
    ifelse(is.na(codes), 0L, sizes[pmax(group, 1L)])
  if (correlation$type %in% spatial_types) {
    list(as.double(place))
  } else if (correlation$type == "car1") {
    as.double(place)
  } else {
    as.integer(place)
  }
}

#' R^-1/2, sparse: the inverse roots of the groups
#' @noRd
whitening_matrix <- function(object) {
  n <- nobs.lmm(object)
  sd <- sqrt(residual_variances(object))
  if (!has_correlation(object)) {
    return(Matrix::Diagonal(x = 1 / sd))
  }
  design <- training_design(object)
  par <- split_phi(object$residual, object$phi)$correlation
  blocks <- residual_blocks(object$residual, design)
  pieces <- lapply(blocks, function(rows) {
    m <- length(rows)
    root <- t(chol(position_correlation(
      object$residual$correlation, par, take_position(design$correlation$position, rows), m
    )))
    inverse <- forwardsolve(root, diag(1, m)) / rep(sd[rows], each = m)
    at <- which(lower.tri(inverse, diag = TRUE) & inverse != 0, arr.ind = TRUE)
    list(i = rows[at[, 1L]], j = rows[at[, 2L]], x = inverse[at])
  })
  alone <- setdiff(seq_len(n), unlist(blocks))
  pieces <- c(pieces, list(list(i = alone, j = alone, x = 1 / sd[alone])))
  part <- function(name) unlist(lapply(pieces, `[[`, name))
  Matrix::sparseMatrix(i = part("i"), j = part("j"), x = part("x"), dims = c(n, n))
}

#' Covariances of the rows of the fit (in rows) with new ones (in columns), relative to sigma^2 and
#' to the standard deviation of the new row
#' @noRd
cross_covariance <- function(object, new) {
  correlation <- object$residual$correlation
  design <- training_design(object)
  par <- split_phi(object$residual, object$phi)$correlation
  sd <- sqrt(residual_variances(object))
  of_group <- split(seq_along(design$groups$codes), design$groups$codes)
  pieces <- lapply(which(!is.na(new$codes)), function(k) {
    rows <- of_group[[as.character(new$codes[[k]])]]
    m <- length(rows)
    together <- Map(
      c, as_list(take_position(design$correlation$position, rows)),
      as_list(take_position(new$position, k))
    )
    position <- if (is.list(design$correlation$position)) together else
      if (length(together)) together[[1L]]
    whole <- position_correlation(correlation, par, position, m + 1L)
    list(i = rows, j = rep.int(k, m), x = whole[seq_len(m), m + 1L] * sd[rows])
  })
  part <- function(name) as.double(unlist(lapply(pieces, `[[`, name)))
  Matrix::sparseMatrix(
    i = part("i"), j = part("j"), x = part("x"),
    dims = c(length(design$groups$codes), length(new$codes))
  )
}

#' @noRd
as_list <- function(x) if (is.list(x)) x else if (is.null(x)) list() else list(x)

#' Variances of the errors of prediction of new observations, relative to sigma^2
#'
#' @param target list(rows, parts, random_only, noise) as for [predict_uncertain()]
#' @noRd
correlated_variances <- function(object, target, theta) {
  object$theta[] <- theta[seq_along(object$theta)]
  object$phi[] <- theta[length(object$theta) + seq_along(object$phi)]
  n <- length(target$rows$names)
  spread <- sqrt(target$noise(object$phi))
  whitening <- whitening_matrix(object)
  predicted <- predicted_residuals(object, target$rows)
  cross <- predicted$cross %*% Matrix::Diagonal(x = spread)
  x_white <- as.matrix(whitening %*% fixed_model_matrix(object))
  z_white <- whitening %*% Matrix::t(build_zt(object))
  lambda_t <- build_lambdat(object)
  a <- z_white %*% Matrix::t(lambda_t)
  g <- lambda_t %*% target_effects(object, target, n)
  own <- Matrix::colSums(g^2) + new_level_variances(
    object, target, target_design(object, target, n)$terms, theta
  )
  # (I - A M^-1 A')(A g + rho) = A M^-1 (g - A' rho) + rho
  moved <- if (nrow(lambda_t) > 0L) {
    factor <- Matrix::Cholesky(Matrix::crossprod(a), LDL = FALSE, Imult = 1)
    a %*% Matrix::solve(factor, g - Matrix::crossprod(a, cross)) + cross
  } else {
    cross
  }
  known <- Matrix::colSums((a %*% g + cross) * moved)
  unscaled <- solve(crossprod(x_white) - crossprod_random(a, x_white))
  x <- fixed_matrix(object$terms, target$rows$frame, object$contrasts)
  rest <- x[, kept_columns(object), drop = FALSE] - as.matrix(Matrix::crossprod(moved, x_white))
  pmax(own + spread^2 - known + rowSums((rest %*% unscaled) * rest), 0)
}

#' X'R^-1/2 A M^-1 A'R^-1/2 X
#' @noRd
crossprod_random <- function(a, x) {
  if (ncol(a) == 0L) {
    return(0)
  }
  factor <- Matrix::Cholesky(Matrix::crossprod(a), LDL = FALSE, Imult = 1)
  mixed <- Matrix::crossprod(a, x)
  as.matrix(Matrix::crossprod(mixed, Matrix::solve(factor, mixed)))
}

#' Z' of new rows, q x rows; levels that the fit has not seen have none
#' @noRd
target_effects <- function(object, target, n) {
  pieces <- lapply(seq_along(target$parts), function(p) {
    part <- target$parts[[p]]
    codes <- target$rows$codes[[p]]
    term <- object$random[[part$term]]
    k <- length(term$cnms)
    columns <- term_columns(term, target$rows$frame)
    lapply(part$effects, function(j) {
      here <- which(!is.na(codes))
      value <- if (is.null(columns[[j]])) rep.int(1, n) else columns[[j]]
      list(i = object$Gp[[part$term]] + (codes[here] - 1L) * k + j, j = here, x = value[here])
    })
  })
  pieces <- unlist(pieces, recursive = FALSE)
  part <- function(name) as.double(unlist(lapply(pieces, `[[`, name)))
  Matrix::sparseMatrix(
    i = part("i"), j = part("j"), x = part("x"), dims = c(length(object$b), n)
  )
}

#' @noRd
check_residual_prediction <- function(object, newdata, parts, random_only, interval) {
  if (!has_correlation(object)) {
    ferrolmm_abort(
      "`residual.cor` needs a model with correlated residuals.", "argument"
    )
  }
  whole <- length(parts) == length(object$random) &&
    all(lengths(lapply(parts, `[[`, "effects")) == lengths(object$cnms))
  if (is.null(newdata) || !whole || random_only || interval == "confidence") {
    ferrolmm_abort(
      paste0(
        "`residual.cor = TRUE` predicts new observations: it needs `newdata`, all random effects, ",
        "and no confidence interval of the mean."
      ),
      "argument"
    )
  }
}
