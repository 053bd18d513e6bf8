# Ways to treat grouped data side by side: complete pooling, aggregation, unit by unit, mixed model.

#' Compare a mixed model with other treatments of grouped data
#'
#' Fits the fixed part of a mixed model in the three ways that do without random effects, and puts
#' them next to it.
#'
#' * **complete**: one regression for all rows, as if there were no groups.
#' * **aggregate**: one row for each group, its means; all information within groups is lost.
#' * **unit**: a regression for each group on its own, see [lmList()].
#' * **mixed**: the mixed model, where the estimate of a group is partially pooled.
#'
#' The comparison for single groups is about the coefficients that have a random effect. The
#' estimate of a group *alone* comes from a separate regression in which everything else (the other
#' coefficients, random effects of other grouping factors) is as in the mixed model; the mixed model
#' draws it towards the population. How much of it is kept is its *reliability*, \eqn{g / (g + v)},
#' with the variance \eqn{g} of the random effect and the sampling variance \eqn{v} of the group's
#' own estimate (Raudenbush and Bryk, 2002): 1 is no pooling, 0 complete pooling. With a random
#' intercept alone it is the weight that the group's own estimate gets.
#'
#' @param object A model fitted by [lmm()].
#' @param group Which grouping factor, by name or by position in the model. The default is the
#'   first.
#' @returns An object of class `lmm_pooling`: a list with
#'   * `coefficients`: a data frame with a row for each fixed effect: estimates `complete`,
#'     `aggregate`, `unit` (mean over groups), `unit_sd` (standard deviation over groups), `mixed`;
#'     `as.data.frame()` returns it.
#'   * `std.error`: standard errors of `complete`, `aggregate` and `mixed`.
#'   * `groups`: a data frame with a row for each group and coefficient with a random effect:
#'     `group`, `n`, `term`, `alone`, `partial`, `population`, `reliability`;
#'     `as.data.frame(x, what = "groups")` returns it.
#'   * `units`: what [lmList()] returned.
#' @references
#' Gelman, A. and Hill, J. (2007). *Data analysis using regression and multilevel/hierarchical
#' models*. Cambridge University Press.
#' @seealso [plot.lmm_pooling()] for the pictures.
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' both <- pooling(fit)
#' both
#' head(as.data.frame(both, what = "groups"))
#' plot(both)
#' plot(both, "lines")
#' @export
pooling <- function(object, group = 1L, ...) {
  check_dots(...)
  check_lmm(object, "pooling")
  need_independent(object, "pooling()")
  factor <- choose_group(object, group, "group")
  inputs <- engine_inputs(object)$fixed
  kept <- !is.na(object$coefficients)
  X <- inputs$X[, kept, drop = FALSE]
  colnames(X) <- distinct_names(colnames(X))
  y <- fixed_response(inputs)
  # levels of a known precision matrix may have no rows
  grouping <- droplevels(object$flist[[factor]])
  weights <- precision_weights(object)
  complete <- fit_one_group(X, y, weights)
  means <- group_means(cbind(y, X), weights, grouping)
  aggregate <- fit_one_group(means$values[, -1L, drop = FALSE], means$values[, 1L], means$weights)
  units <- fit_each_group(X, y, weights, grouping, names(object$flist)[factor])
  coefficients <- data.frame(
    complete = complete$coefficients, aggregate = aggregate$coefficients,
    unit = column_means(units$coefficients), unit_sd = column_sds(units$coefficients),
    mixed = unname(object$beta), row.names = colnames(X)
  )
  structure(
    list(
      coefficients = coefficients,
      std.error = data.frame(
        complete = complete$std.error, aggregate = aggregate$std.error,
        mixed = object$sigma * sqrt(diag(object$vcov_unscaled)), row.names = colnames(X)
      ),
      groups = shrinkage_table(object, factor), units = units, group = names(object$flist)[factor],
      response = names(object$frame)[[1L]],
      lines = list(values = means$values, predicted = group_predictions(object, grouping, weights),
                   ranges = predictor_ranges(X, grouping), coded = coded_columns(object)[kept])
    ),
    class = "lmm_pooling"
  )
}

#' Means of columns over the rows of each group, weighted; without weights every group counts once
#'
#' A mean that is mere rounding error, such as that of deviations from group means, is zero.
#' @noRd
group_means <- function(values, weights, grouping) {
  codes <- as.integer(grouping)
  total <- if (!is.null(weights)) drop(rowsum(weights, codes))
  means <- if (is.null(weights)) {
    rowsum(values, codes) / tabulate(codes)
  } else {
    rowsum(values * weights, codes) / total
  }
  size <- apply(abs(values), 2L, max)
  means[abs(means) < 1e-12 * rep(size, each = nrow(means))] <- 0
  list(values = means, weights = total)
}

#' @noRd
column_means <- function(values) {
  means <- unname(colMeans(values, na.rm = TRUE))
  means[is.nan(means)] <- NA
  means
}

#' @noRd
column_sds <- function(values) {
  unname(apply(values, 2L, stats::sd, na.rm = TRUE))
}

#' Estimates of the groups alone, and what the mixed model makes of them
#'
#' The contribution of the group plus the residual, regressed in each group on the columns of its
#' random effects.
#' @noRd
shrinkage_table <- function(object, factor) {
  terms <- terms_of_factor(object, factor)
  grouping <- object$flist[[factor]]
  codes <- as.integer(grouping)
  names <- distinct_names(unlist(lapply(object$random[terms], `[[`, "cnms")))
  effects <- unlist(lapply(object$random[terms], term_keys, object$frame))
  fixed <- object$coefficients[match(effects, fixed_keys(object))]
  fixed[is.na(fixed)] <- 0
  modes <- do.call(cbind, lapply(terms, function(t) term_modes(object, t)))
  partial <- modes + rep(fixed, each = nrow(modes))
  columns <- unlist(lapply(object$random[terms], term_columns, object$frame), recursive = FALSE)
  design <- vapply(columns, function(column) {
    if (is.null(column)) rep.int(1, length(codes)) else column
  }, numeric(length(codes)))
  own <- rowSums(design * partial[codes, , drop = FALSE]) + object$residuals
  colnames(design) <- names
  alone <- fit_each_group(
    design, own, precision_weights(object), grouping, names(object$flist)[factor]
  )
  between <- do.call(cbind, lapply(terms, function(t) between_variances(object, t)))
  sampling <- sampling_variances(design, precision_weights(object), grouping) * object$sigma^2
  j <- length(names)
  data.frame(
    group = factor(rep.int(levels(grouping), j), levels = levels(grouping)),
    n = rep.int(tabulate(codes, nlevels(grouping)), j),
    term = factor(rep(names, each = nrow(modes)), levels = names),
    alone = as.vector(alone$coefficients), partial = as.vector(partial),
    population = rep(unname(fixed), each = nrow(modes)),
    reliability = as.vector(ifelse(is.na(sampling), 0, between / (between + sampling)))
  )
}

#' Variances of the effects of a term in each group: groups x effects
#' @noRd
between_variances <- function(object, t) {
  term <- object$random[[t]]
  by_class <- lapply(
    term_factors(object$theta, object$random)[[t]], function(f) object$sigma^2 * rowSums(f^2)
  )
  n_levels <- nlevels(object$flist[[term$factor]])
  do.call(rbind, by_class)[level_classes(term, n_levels), , drop = FALSE]
}

#' Diagonal of the inverse of Z'WZ of each group; NA where it is singular
#' @noRd
sampling_variances <- function(design, weights, grouping) {
  if (!is.null(weights)) {
    design <- design * sqrt(weights)
  }
  k <- ncol(design)
  rows <- lapply(split(seq_len(nrow(design)), grouping), function(i) {
    decomposition <- qr(design[i, , drop = FALSE])
    if (decomposition$rank < k) {
      return(rep.int(NA_real_, k))
    }
    diag(chol2inv(qr.R(decomposition)))
  })
  do.call(rbind, rows)
}

#' Means of the fitted values of each group, with and without its random effects
#' @noRd
group_predictions <- function(object, grouping, weights) {
  offset <- if (is.null(object$offset)) 0 else object$offset
  values <- cbind(
    mixed = object$fitted.values - offset, fixed = fixed_part(object, object$frame, NULL)
  )
  group_means(values, weights, grouping)$values
}

#' Is each column of X the code of a factor, with no number in it?
#' @noRd
coded_columns <- function(object) {
  factors <- attr(object$terms, "factors")
  if (length(factors) == 0L) {
    return(logical(length(object$assign)))
  }
  variables <- variable_columns(object$terms)
  number <- vapply(variables, function(name) is.numeric(object$frame[[name]]), NA)
  coded <- vapply(seq_len(NCOL(factors)), function(k) {
    own <- factors[, k] > 0
    !any(number[own])
  }, NA)
  c(FALSE, coded)[object$assign + 1L]
}

#' Smallest and largest value of each column of X in each group
#' @noRd
predictor_ranges <- function(X, grouping) {
  ranges <- lapply(seq_len(ncol(X)), function(k) {
    cbind(low = tapply(X[, k], grouping, min), high = tapply(X[, k], grouping, max))
  })
  stats::setNames(ranges, colnames(X))
}

#' @param x What `pooling()` returned.
#' @param digits The number of significant digits to print.
#' @param ... Not used.
#' @rdname pooling
#' @export
print.lmm_pooling <- function(x, digits = 4L, ...) {
  check_dots(...)
  check_digits(digits)
  n <- length(x$units$n)
  fitted <- sum(rowSums(!is.na(x$units$coefficients)) > 0L)
  cat("Grouped by ", x$group, ": ", n, " groups of ",
      paste(unique(range(x$units$n)), collapse = " to "), " rows\n\n", sep = "")
  cat("Fixed effects\n")
  print(x$coefficients, digits = digits)
  cat("\nunit: mean over the ", fitted, " of ", n,
      " groups that can be fitted alone; unit_sd: standard deviation\n", sep = "")
  cat("\nSpread of the groups' coefficients, alone and partially pooled\n")
  print(spread_table(x$groups), digits = digits)
  invisible(x)
}

#' Standard deviations over groups, and the median reliability
#' @noRd
spread_table <- function(groups) {
  rows <- lapply(split(groups, groups$term), function(d) {
    data.frame(
      sd_alone = stats::sd(d$alone, na.rm = TRUE), sd_partial = stats::sd(d$partial),
      reliability = stats::median(d$reliability)
    )
  })
  do.call(rbind, rows)
}

#' @param row.names,optional Not used; arguments of the generic.
#' @param what `"coefficients"` or `"groups"`, see the value.
#' @rdname pooling
#' @export
as.data.frame.lmm_pooling <- function(x, row.names = NULL, optional = FALSE,
                                      what = c("coefficients", "groups"), ...) {
  check_dots(..., allowed = "stringsAsFactors")
  finish_table(x[[match_choice(what, "what", c("coefficients", "groups"))]], row.names, ...)
}
