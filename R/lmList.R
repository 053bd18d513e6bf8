# One regression for each group, all at once: what pooling() compares the mixed model with.

#' A regression of its own for each group
#'
#' Fits the fixed part of a mixed model by least squares in each group separately, as
#' [nlme::lmList()] does from a formula. The model matrix is that of the mixed model, so that
#' coefficients have the same meaning in all groups and as in [fixef()].
#'
#' A predictor that is constant within groups has no coefficient there: it is `NA` for all. Groups
#' that cannot determine the coefficients that other groups can, because they have too few rows or
#' their predictors do not vary, are left `NA` as a whole. A group with as many rows as coefficients
#' has estimates, but no standard errors. Weights and offset of the model are used.
#'
#' @param object A model fitted by [lmm()]; for the methods of `lmList.lmm` what `lmList()`
#'   returned.
#' @param level Which grouping factor, by name or by position in the model. The default is the
#'   first.
#' @param data,subset,na.action,pool,warn.lm Not used; there for the generic.
#' @param ... Not used.
#' @returns An object of class `lmList.lmm`: a list with `coefficients` and `std.error` (matrices,
#'   groups x coefficients), and vectors with an element a group: `n` (rows), `df` (residual degrees
#'   of freedom) and `sigma`. `coef()` gives the coefficients as a data frame; `as.data.frame()` a
#'   row for each coefficient of each group, with the columns `group`, `n`, `term`, `estimate` and
#'   `std.error`.
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' each <- lmList(fit)
#' each
#' head(coef(each))
#' @importFrom nlme lmList
#' @method lmList lmm
#' @export
lmList.lmm <- function(object, data, level = 1L, subset, na.action, pool = TRUE, warn.lm = TRUE) {
  need_random(object, "lmList()")
  group <- choose_group(object, level, "level")
  inputs <- engine_inputs(object)$fixed
  X <- inputs$X[, !is.na(object$coefficients), drop = FALSE]
  colnames(X) <- distinct_names(colnames(X))
  fit_each_group(
    X, fixed_response(inputs), precision_weights(object), object$flist[[group]],
    names(object$flist)[[group]]
  )
}

#' @importFrom nlme lmList
#' @export
nlme::lmList

#' Response minus offset
#' @noRd
fixed_response <- function(inputs) {
  if (is.null(inputs$offset)) inputs$y else inputs$y - inputs$offset
}

#' Position of a grouping factor given by name or position
#' @noRd
choose_group <- function(object, group, argument) {
  known <- names(object$flist)
  at <- if (length(group) != 1L) {
    NA
  } else if (is.character(group)) {
    match(group, known)
  } else {
    match(group, seq_along(known))
  }
  if (is.na(at)) {
    ferrolmm_abort(
      paste0("`", argument, "` must name one grouping factor of the model."), "argument",
      i = paste0("The model has ", quote_names(known), ".")
    )
  }
  at
}

#' Least squares in each group
#' @noRd
fit_each_group <- function(X, y, weights, grouping, name) {
  rows <- split(seq_along(y), grouping)
  fits <- lapply(rows, function(i) {
    fit_one_group(X[i, , drop = FALSE], y[i], if (!is.null(weights)) weights[i])
  })
  rank <- vapply(fits, `[[`, 1L, "rank")
  coefficients <- do.call(rbind, lapply(fits, `[[`, "coefficients"))
  errors <- do.call(rbind, lapply(fits, `[[`, "std.error"))
  coefficients[rank < max(rank), ] <- NA
  errors[rank < max(rank), ] <- NA
  df <- lengths(rows) - rank
  sigma <- vapply(fits, `[[`, 0, "sigma")
  sigma[rank < max(rank)] <- NA
  dimnames(coefficients) <- dimnames(errors) <- list(levels(grouping), colnames(X))
  structure(
    list(
      coefficients = coefficients, std.error = errors, n = lengths(rows), df = df, sigma = sigma,
      group = name
    ),
    class = "lmList.lmm"
  )
}

#' @noRd
fit_one_group <- function(X, y, weights) {
  p <- ncol(X)
  if (p == 0L) {
    return(list(rank = 0L, coefficients = numeric(), std.error = numeric(), sigma = NA_real_))
  }
  if (!is.null(weights)) {
    X <- X * sqrt(weights)
    y <- y * sqrt(weights)
  }
  fit <- stats::lm.fit(X, y)
  df <- length(y) - fit$rank
  sigma <- if (df > 0L) sqrt(sum(fit$residuals^2) / df) else NA_real_
  errors <- rep.int(NA_real_, p)
  kept <- seq_len(fit$rank)
  unscaled <- chol2inv(fit$qr$qr[kept, kept, drop = FALSE])
  errors[fit$qr$pivot[kept]] <- sigma * sqrt(diag(unscaled))
  list(
    rank = fit$rank, coefficients = unname(fit$coefficients), std.error = errors, sigma = sigma
  )
}

#' @param x What `lmList()` returned.
#' @param digits The number of significant digits to print.
#' @rdname lmList.lmm
#' @export
print.lmList.lmm <- function(x, digits = 4L, ...) {
  fitted <- sum(!is.na(x$sigma) | rowSums(!is.na(x$coefficients)) > 0L)
  cat("A regression for each level of ", x$group, ": ", fitted, " of ", length(x$n),
      " groups fitted\n\n", sep = "")
  table <- apply(x$coefficients, 2L, function(column) {
    c(stats::quantile(column, c(0, 0.25, 0.5, 0.75, 1), na.rm = TRUE, names = FALSE),
      sum(is.na(column)))
  })
  if (length(table) > 0L) {
    rownames(table) <- c("min", "1st quartile", "median", "3rd quartile", "max", "not estimated")
    print(t(table), digits = digits)
  }
  invisible(x)
}

#' @rdname lmList.lmm
#' @export
coef.lmList.lmm <- function(object, ...) {
  as.data.frame(object$coefficients)
}

#' @param row.names,optional Not used; there for the generic.
#' @rdname lmList.lmm
#' @export
as.data.frame.lmList.lmm <- function(x, row.names = NULL, optional = FALSE, ...) {
  terms <- colnames(x$coefficients)
  groups <- rownames(x$coefficients)
  data.frame(
    group = factor(rep.int(groups, length(terms)), levels = groups),
    n = rep.int(unname(x$n), length(terms)),
    term = factor(rep(terms, each = length(groups)), levels = terms),
    estimate = as.vector(x$coefficients), std.error = as.vector(x$std.error)
  )
}
