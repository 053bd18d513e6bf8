# Variances of predictions: of fixed and random effects together, of new levels, of new residuals.

#' Prediction error variances of the target's rows at a theta, relative to sigma^2
#' @noRd
target_variances <- function(object, target, theta) {
  rows <- target$rows
  n <- length(rows$names)
  design <- target_design(object, target, n)
  known <- engine_prediction_variances(
    model_of(engine_inputs(object, in_place = TRUE)), theta, object$REML,
    unconstrained_control(object), design
  )
  known + new_level_variances(object, target, design$terms, theta)
}

#' Prediction error variances of fixed plus random effects of the levels of one grouping factor
#'
#' @returns relative to sigma^2, a matrix with a row for each level and the columns of coef()
#' @noRd
coefficient_variances <- function(object, factor) {
  columns <- coefficient_columns(object)
  levels <- nlevels(object$flist[[factor]])
  width <- length(columns$fixed)
  n <- levels * width
  column <- rep(seq_len(width), each = levels)
  x <- matrix(0, n, length(object$coefficients))
  fixed <- which(!is.na(columns$kept[column]))
  x[cbind(fixed, kept_columns(object)[columns$kept[column[fixed]]])] <- 1
  codes <- rep(list(integer(n)), length(object$flist))
  codes[[factor]] <- rep.int(seq_len(levels), width)
  members <- members_of_codes(object, codes)
  terms <- vector("list", length(object$random))
  for (t in terms_of_factor(object, factor)) {
    terms[[t]] <- lapply(columns$at[[t]], function(at) as.double(column == at))
  }
  variances <- engine_prediction_variances(
    model_of(engine_inputs(object, in_place = TRUE)), theta_of(object), object$REML,
    unconstrained_control(object),
    list(n = n, x = x, codes = codes, members = members, terms = terms)
  )
  matrix(variances, levels)
}

#' The rows as the engine takes them
#' @noRd
target_design <- function(object, target, n) {
  rows <- target$rows
  x <- if (target$random_only) {
    matrix(0, n, length(object$coefficients))
  } else {
    fixed_matrix(object$terms, rows$frame, object$contrasts)
  }
  codes <- rep(list(integer(n)), length(object$flist))
  members <- members_of_codes(object, codes)
  terms <- vector("list", length(object$random))
  for (i in seq_along(target$parts)) {
    part <- target$parts[[i]]
    known <- rows$codes[[i]]
    factor <- object$random[[part$term]]$factor
    if (is.list(known)) {
      members[[factor]] <- known[c("start", "level", "weight")]
    } else {
      known[is.na(known)] <- 0L
      codes[[factor]] <- known
    }
    columns <- term_columns(object$random[[part$term]], rows$frame)
    left_out <- setdiff(seq_along(columns), part$effects)
    columns[left_out] <- list(numeric(n))
    terms[[part$term]] <- lapply(columns, function(column) {
      if (is.null(column)) NULL else as.double(column)
    })
  }
  design <- list(n = n, x = x, codes = codes, members = members, terms = terms)
  if (has_eliminated(object)) {
    own <- if (target$random_only) {
      list(codes = rep(list(integer(n)), length(object$eliminated$terms)),
           columns = lapply(object$eliminated$terms, function(term) NULL))
    } else {
      eliminated_rows(object, rows)
    }
    design$codes <- c(codes, lapply(own$codes, function(known) replace(known, is.na(known), 0L)))
    design$members <- c(members, vector("list", length(own$codes)))
    design$terms <- c(terms, lapply(own$columns, list))
  }
  design
}

#' z'Gz of unknown levels, relative to sigma^2
#'
#' @param theta theta and phi.
#' @noRd
new_level_variances <- function(object, target, terms, theta) {
  nobound <- is_nobound(object)
  factors <- if (nobound) {
    relative_covariances(object)
  } else {
    term_factors(theta[seq_along(object$theta)], object$random)
  }
  variances <- numeric(length(target$rows$names))
  for (i in seq_along(target$parts)) {
    term <- target$parts[[i]]$term
    codes <- target$rows$codes[[i]]
    unknown <- if (is.list(codes)) codes$unknown else as.double(is.na(codes))
    new <- which(unknown > 0)
    if (length(new) > 0L) {
      z <- vapply(terms[[term]], function(column) {
        if (is.null(column)) rep.int(1, length(new)) else column[new]
      }, numeric(length(new)))
      z <- t(matrix(z, length(new)))
      if (nobound) {
        variances[new] <- variances[new] + colSums(z * (factors[[term]] %*% z))
        next
      }
      classes <- row_classes(object, object$random[[term]], target$rows, new)
      scaled <- times_factors(lapply(factors[[term]], t), classes, z)
      variances[new] <- variances[new] + unknown[new] * colSums(scaled^2)
    }
  }
  variances
}

#' Residual variances of new observations relative to sigma^2: d^2 / weight
#'
#' @param means predictions of the rows, for variances that depend on them.
#' @noRd
noise_variances <- function(object, rows, weights, means, phi = object$phi) {
  n <- length(rows$names)
  if (rows$fitted && is.null(weights)) {
    return(residual_variances(object, phi) + numeric(n))
  }
  if (is.null(object$residual)) {
    return(precision_variances(rows, weights, n))
  }
  if (!rows$fitted && is.null(weights)) {
    need_known_rows(
      object, "The variance of a new observation",
      "Give it: `weights = 1 / v`, v the sampling variances of the new rows."
    )
  }
  frame <- frame_with_fitted(object, rows, means)
  weights <- residual_weights(object$residual, frame, 1 / precision_variances(rows, weights, n))
  variances <- object$residual
  variances["correlation"] <- list(NULL)
  scale_values(object$residual, phi, residual_design(variances, frame), n)^2 / weights
}

#' @noRd
precision_variances <- function(rows, weights, n) {
  if (is.null(weights)) {
    return(rep.int(1, n))
  }
  weights <- plain_values(weights)
  if (!is.numeric(weights) || is.object(weights) || anyNA(weights) || any(weights <= 0)) {
    ferrolmm_abort("`weights` must be positive numbers.", "argument")
  }
  left_out <- rows$omitted
  if (length(left_out) > 0L && length(weights) == n + length(left_out)) {
    weights <- weights[-left_out]
  }
  if (!length(weights) %in% c(1L, n)) {
    ferrolmm_abort(
      paste0("`weights` has ", count_of(length(weights), "value"), ", the prediction ",
             count_of(n, "row"), "."),
      "argument"
    )
  }
  rep_len(1 / weights, n)
}
