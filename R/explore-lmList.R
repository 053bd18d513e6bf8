# One regression for each group, all at once: what pooling() compares the mixed model with.

#' A regression of its own for each group
#'
#' Fits a linear regression by least squares in each group separately: of a formula `y ~ x | g`, or
#' of the fixed part of a mixed model. The model matrix is one for all groups, so that coefficients
#' have the same meaning in all of them, and as in [fixef()].
#'
#' Only the variables that the formula names are used. Some groups may not determine all
#' coefficients that other groups do, because they have too few rows or their predictors do not
#' vary. With a formula their aliased coefficients are `NA`, as with [lm()]; for a mixed model all
#' coefficients of such a group are `NA`, since what it estimates is another model. A predictor that
#' is constant within groups has no coefficient there: it is `NA` for all. A group with as many rows
#' as coefficients has estimates, but no standard errors. Weights and offset of the model are used.
#'
#' `summary()` pools the residual variance: the sum of squares of all groups over the sum of their
#' degrees of freedom, rows minus *estimated* coefficients. (In 'nlme' aliased ones are counted,
#' too.)
#'
#' @param object A formula `y ~ x | g`, or a model fitted by [lmm()]; other objects are left to
#'   [nlme::lmList()]. For the methods of `lmList.lmm` what `lmList()` returned.
#' @param level Which grouping factor of the model, by name or by position. The default is the
#'   first.
#' @param data,weights,subset,na.action,offset,contrasts As in [lmm()].
#' @param pool Pool the residual variances of the groups?
#' @param ... Not used.
#' @returns An object of class `lmList.lmm`: a list with `coefficients` and `std.error` (matrices,
#'   groups x coefficients), and vectors with one element per group: `n` (rows), `df` (residual
#'   degrees of freedom) and `sigma`. `coef()` gives the coefficients as a data frame;
#'   `as.data.frame()` a row for each coefficient of each group, with the columns `group`, `n`,
#'   `term`, `estimate` and `std.error`. `summary()`: a list of `coefficients`, an array of groups x
#'   statistics x coefficients, `RSE`, the residual standard error, and `df.residual`.
#' @seealso [pooling()] for these regressions beside the mixed model.
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' each <- lmList(fit)
#' each
#' head(coef(each))
#' summary(lmList(distance ~ age | Sex, Orthodont))
#' @export
lmList <- function(object, ...) UseMethod("lmList")

#' @export
lmList.default <- function(object, ...) {
  hand_over("lmList", object, ..., package = "nlme")
}

#' @rdname lmList
#' @export
#' @rawNamespace S3method(nlme::lmList, lmm)
lmList.lmm <- function(object, level = 1L, ...) {
  check_dots(..., hints = c(
    data = "The data are those of the fit: update(fit, data = ) fits others.",
    subset = "The rows are those of the fit: update(fit, subset = ) takes others."
  ))
  need_random(object, "lmList()")
  group <- choose_group(object, level, "level")
  inputs <- engine_inputs(object)$fixed
  X <- inputs$X[, !is.na(object$coefficients), drop = FALSE]
  colnames(X) <- distinct_names(colnames(X))
  fit_each_group(
    X, fixed_response(inputs), precision_weights(object), droplevels(object$flist[[group]]),
    names(object$flist)[[group]]
  )
}

#' @rdname lmList
#' @export
lmList.formula <- function(object, data = NULL, weights, subset, na.action, offset,
                           contrasts = NULL, ...) {
  check_dots(...)
  given <- list(
    weights = if (!missing(weights)) unevaluated(substitute(weights), function() weights),
    subset = if (!missing(subset)) unevaluated(substitute(subset), function() subset),
    offset = if (!missing(offset)) unevaluated(substitute(offset), function() offset)
  )
  na_action <- find_na_action(if (missing(na.action)) getOption("na.action") else na.action)
  caller <- parent.frame()
  formula <- grouped_formula(as_two_sided_formula(object, caller))
  model <- parse_formula(formula, data, caller, NULL)
  frame <- build_frame(model, data, given, na_action, caller, NULL, lmm_control()$threads)
  fixed <- build_fixed(model, frame, contrasts)
  grouping <- build_random(model, frame, NULL, lmm_control())$flist[1L]
  X <- fixed_matrix(fixed$terms, frame, fixed$contrasts)
  fit_each_group(
    X, fixed_response(fixed), fixed$weights, grouping[[1L]], names(grouping), whole = FALSE
  )
}

#' Write y ~ x | g as y ~ x + (1 | g)
#' @noRd
grouped_formula <- function(formula) {
  right <- formula[[3L]]
  if (!is_call_to(right, "|")) {
    ferrolmm_abort(
      "The formula of lmList() must name the groups, as in y ~ x | g.", "formula",
      x = paste0("It is ", code_label(formula), ".")
    )
  }
  refuse_members(expand_group(right[[3L]], right), "lmList()", right)
  formula[[3L]] <- call("+", right[[2L]], call("(", call("|", 1, right[[3L]])))
  formula
}

#' Response minus offset
#' @noRd
fixed_response <- function(inputs) {
  if (is.null(inputs$offset)) inputs$y else inputs$y - inputs$offset
}

#' Least squares in each group
#' @noRd
fit_each_group <- function(X, y, weights, grouping, name, whole = TRUE) {
  rows <- split(seq_along(y), grouping)
  fits <- lapply(rows, function(i) {
    fit_one_group(X[i, , drop = FALSE], y[i], if (!is.null(weights)) weights[i])
  })
  rank <- vapply(fits, `[[`, 1L, "rank")
  coefficients <- do.call(rbind, lapply(fits, `[[`, "coefficients"))
  errors <- do.call(rbind, lapply(fits, `[[`, "std.error"))
  df <- lengths(rows) - rank
  sigma <- vapply(fits, `[[`, 0, "sigma")
  unscaled <- do.call(rbind, lapply(fits, `[[`, "unscaled"))
  squares <- sum(df * sigma^2, na.rm = TRUE)
  if (whole) {
    coefficients[rank < max(rank), ] <- NA
    errors[rank < max(rank), ] <- NA
    sigma[rank < max(rank)] <- NA
  }
  dimnames(coefficients) <- dimnames(errors) <- list(levels(grouping), colnames(X))
  structure(
    list(
      coefficients = coefficients, std.error = errors, n = lengths(rows), df = df, sigma = sigma,
      group = name, unscaled = unscaled, pooled = list(squares = squares, df = sum(df))
    ),
    class = "lmList.lmm"
  )
}

#' Least squares in one group; NA for a group without rows
#' @noRd
fit_one_group <- function(X, y, weights) {
  p <- ncol(X)
  if (length(y) == 0L) {
    none <- rep.int(NA_real_, p)
    return(list(
      rank = 0L, coefficients = none, std.error = none, unscaled = none, sigma = NA_real_
    ))
  }
  if (p == 0L) {
    return(list(
      rank = 0L, coefficients = numeric(), std.error = numeric(), unscaled = numeric(),
      sigma = sqrt(mean(if (is.null(weights)) y^2 else weights * y^2))
    ))
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
  if (fit$rank > 0L) {
    errors[fit$qr$pivot[kept]] <- sqrt(diag(chol2inv(fit$qr$qr[kept, kept, drop = FALSE])))
  }
  list(
    rank = fit$rank, coefficients = unname(fit$coefficients), std.error = sigma * errors,
    unscaled = errors, sigma = sigma
  )
}

#' @param x What `lmList()` returned.
#' @param digits The number of significant digits to print.
#' @rdname lmList
#' @export
print.lmList.lmm <- function(x, digits = 4L, ...) {
  check_dots(...)
  check_digits(digits)
  fitted <- sum(rowSums(!is.na(x$coefficients)) > 0L)
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

#' @rdname lmList
#' @export
summary.lmList.lmm <- function(object, pool = TRUE, ...) {
  check_dots(...)
  check_flag(pool, "pool")
  df <- if (pool) object$pooled$df else object$df
  rse <- if (!pool) object$sigma else if (df > 0L) sqrt(object$pooled$squares / df) else NA_real_
  estimate <- object$coefficients
  error <- ifelse(is.na(estimate), NA, object$unscaled * rse)
  statistic <- estimate / error
  p <- 2 * stats::pt(abs(statistic), df, lower.tail = FALSE)
  groups <- rownames(estimate)
  statistics <- c("Estimate", "Std. Error", "t value", "Pr(>|t|)")
  table <- array(
    c(estimate, error, statistic, p), c(dim(estimate), 4L),
    list(groups, colnames(estimate), statistics)
  )
  structure(
    list(
      coefficients = aperm(table, c(1L, 3L, 2L)), RSE = rse, df.residual = df, pool = pool,
      group = object$group, n = object$n
    ),
    class = "summary.lmList.lmm"
  )
}

#' @rdname lmList
#' @param n The number of groups to print.
#' @export
print.summary.lmList.lmm <- function(x, digits = 4L, n = 10L, ...) {
  check_dots(...)
  check_digits(digits)
  n <- check_count(n, "n", 0L)
  groups <- length(x$n)
  cat("A regression for each level of ", x$group, " (", count_of(groups, "group"), ")\n", sep = "")
  shown <- seq_len(min(n, groups))
  for (term in dimnames(x$coefficients)[[3L]]) {
    cat("\n", term, ":\n", sep = "")
    print(
      matrix(
        x$coefficients[shown, , term], length(shown),
        dimnames = list(dimnames(x$coefficients)[[1L]][shown], dimnames(x$coefficients)[[2L]])
      ),
      digits = digits
    )
  }
  if (groups > n) {
    cat("... and ", count_of(groups - n, "more group"), ", see `coefficients`\n", sep = "")
  }
  if (x$pool) {
    cat("\nResidual standard error: ", format(x$RSE, digits = digits + 1L), " on ",
        x$df.residual, " degrees of freedom\n", sep = "")
  }
  invisible(x)
}

#' @rdname lmList
#' @export
coef.lmList.lmm <- function(object, ...) {
  check_dots(...)
  as.data.frame(object$coefficients)
}

#' @param row.names,optional Not used; arguments of the generic.
#' @rdname lmList
#' @export
as.data.frame.lmList.lmm <- function(x, row.names = NULL, optional = FALSE, ...) {
  check_dots(..., allowed = "stringsAsFactors")
  terms <- colnames(x$coefficients)
  groups <- rownames(x$coefficients)
  table <- data.frame(
    group = factor(rep.int(groups, length(terms)), levels = groups),
    n = rep.int(unname(x$n), length(terms)),
    term = factor(rep(terms, each = length(groups)), levels = terms),
    estimate = as.vector(x$coefficients), std.error = as.vector(x$std.error)
  )
  finish_table(table, row.names, ...)
}
