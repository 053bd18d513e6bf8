# Correlations of residuals within groups: methods for generics of 'nlme', which draws the result.

#' Autocorrelations and semivariogram of the residuals
#'
#' What is left of the correlation between the residuals of a group: by lag (`ACF()`), or by
#' distance (`Variogram()`). `plot()` draws both by methods of 'nlme', and
#' [autoplot()][autoplot.lmm] by 'ggplot2'.
#'
#' Groups are the innermost ones of the random effects; without random effects those of the residual
#' structure, or of `form`; otherwise all rows are one group. Rows of a group are in the order of
#' the visits or times of the residual structure where it has them, otherwise in the order of the
#' data, which is the order that 'nlme' takes.
#'
#' The autocorrelation at lag \eqn{l} is the mean of the products of residuals \eqn{l} rows apart in
#' the same group, divided by the mean of their squares. The semivariogram at distance \eqn{d} is
#' half the mean squared difference of residuals of the same group so far apart. (Pairs at the
#' smallest distance count here. 'nlme' loses them where it puts distances together in classes.)
#'
#' @param object A model fitted by [lmm()].
#' @param maxLag The largest lag; by default \eqn{10 \log_{10} m}, \eqn{m} the size of the largest
#'   group, and less than \eqn{m}.
#' @param resType The type of residuals: `"pearson"` (divided by their standard deviation,
#'   `"scaled"` in [residuals.lmm()]), `"response"` or `"normalized"`: without the correlation that
#'   was estimated.
#' @param form A formula of variables of the data: `~ time`, `~ x + y` gives distances, and
#'   `~ time | g` or `~ 1 | g` groups for a model that has none. `ACF()` takes the groups from it,
#'   and orders the rows of a group by the variable.
#' @param distance The distances, instead of `form`: a list with one [dist()] for each group that
#'   has two rows or more, in the order of [getGroups()]'s levels.
#' @param metric How to measure distance, as `method` of [dist()].
#' @param maxDist The largest distance to keep.
#' @param length.out Points of the model's semivariogram.
#' @param collapse Put distances together in classes with equally many pairs (`"quantiles"`), of the
#'   same width (`"fixed"`), or not at all (`"none"`).
#' @param nint The number of classes; where there are fewer distances each is a class.
#' @param breaks The borders of the classes, instead of `nint`.
#' @param robust Estimate by the robust mean of Cressie and Hawkins (1980)?
#' @param ... Not used.
#' @returns `ACF()`: a data frame of class `ACF` with `lag` and `ACF`; the attribute `n.used` has
#'   the number of pairs. `Variogram()`: a data frame of class `Variogram` with `variog`, `dist`
#'   and, if collapsed, `n.pairs`; for a model with a correlation that is a function of distance the
#'   attribute `modelVariog` has the semivariogram of that function.
#' @references
#' Pinheiro, J. C. and Bates, D. M. (2000). *Mixed-Effects Models in S and S-PLUS*. Springer,
#' section 5.3.
#'
#' Cressie, N. and Hawkins, D. M. (1980). Robust estimation of the variogram. *Journal of the
#' International Association for Mathematical Geology*, 12, 115-125.
#' @seealso [residuals.lmm()]
#' @examples
#' data(Ovary, package = "nlme")
#' fit <- lmm(
#'   follicles ~ sin(2 * pi * Time) + cos(2 * pi * Time) + (1 | Mare), as.data.frame(Ovary)
#' )
#' ACF(fit, maxLag = 5)
#' plot(ACF(fit), alpha = 0.05)
#' plot(Variogram(fit, form = ~ Time))
#' @name ACF.lmm
#' @importFrom nlme ACF
#' @method ACF lmm
#' @export
ACF.lmm <- function(object, maxLag, resType = c("pearson", "response", "normalized"),
                    form = ~1, ...) {
  check_dots(...)
  rows <- acf_rows(object, resType, form)
  groups <- lapply(rows$groups, function(own) rows$values[own])
  longest <- max(lengths(groups))
  most <- if (missing(maxLag)) {
    min(longest - 1L, as.integer(10 * log10(longest)))
  } else {
    check_count(maxLag, "maxLag", 0L)
  }
  pairs <- vapply(0:most, function(lag) sum(pmax(lengths(groups) - lag, 0)), 1)
  products <- vapply(0:most, function(lag) {
    sum(vapply(groups, function(r) sum(utils::head(r, -lag) * utils::tail(r, -lag)), 1))
  }, 1)
  products[[1L]] <- sum(unlist(groups)^2)
  means <- products / pairs
  structure(
    data.frame(lag = 0:most, ACF = means / means[[1L]]), n.used = pairs,
    class = c("ACF", "data.frame")
  )
}

#' Residuals, and the rows of each group in their order
#'
#' @returns list(values, groups: a list of positions, covariates: a data frame or NULL)
#' @noRd
acf_rows <- function(object, type, form) {
  type <- match_choice(type, "resType", c("pearson", "response", "normalized"))
  object$na.action <- NULL
  values <- residuals.lmm(object, if (type == "pearson") "scaled" else type)
  groups <- getGroups.lmm(object)
  if (!inherits(form, "formula") || length(form) != 2L) {
    ferrolmm_abort("`form` must be a one-sided formula, as ~ time or ~ time | group.", "argument")
  }
  covariates <- nlme::getCovariateFormula(form)
  data <- if (length(all.vars(form)) > 0L) formula_data(object, form)
  own <- nlme::getGroupsFormula(form)
  if (!is.null(own)) {
    groups <- nlme::getGroups(data, own)
  }
  codes <- if (is.null(groups)) rep.int(1L, length(values)) else as.integer(droplevels(groups))
  table <- if (length(all.vars(covariates)) > 0L) covariate_table(covariates, data)
  position <- if (!is.null(table)) {
    table[[1L]]
  } else if (has_correlation(object)) {
    covariance_groups(object)$position
  }
  in_order <- if (is.null(position)) seq_along(codes) else order(position)
  list(
    values = unname(values), groups = split(in_order, codes[in_order]), covariates = table
  )
}

#' The data of the used rows, with all variables of a formula
#' @noRd
formula_data <- function(object, form) {
  data <- as.data.frame(fit_data(object))
  absent <- setdiff(all.vars(form), names(data))
  if (length(absent) > 0L) {
    ferrolmm_abort(
      paste0("The data have no column ", quote_names(absent), "."), "argument",
      i = did_you_mean(absent[[1L]], names(data))
    )
  }
  data
}

#' The columns that a formula makes of variables, factors by their model matrix
#' @noRd
covariate_table <- function(form, data) {
  frame <- stats::model.frame(form, data, na.action = stats::na.pass)
  if (anyNA(frame)) {
    ferrolmm_abort("`form` has missing values in the rows of the fit.", "argument")
  }
  terms <- attr(frame, "terms")
  attr(terms, "intercept") <- 0L
  as.data.frame(unclass(stats::model.matrix(terms, frame)))
}

#' @rdname ACF.lmm
#' @importFrom nlme Variogram
#' @method Variogram lmm
#' @export
Variogram.lmm <- function(object, distance, form = ~1,
                          resType = c("pearson", "response", "normalized"), maxDist,
                          length.out = 50L, collapse = c("quantiles", "fixed", "none"), nint = 20L,
                          breaks, robust = FALSE,
                          metric = c("euclidean", "maximum", "manhattan"), ...) {
  check_dots(..., hints = c(data = "The data are those of the fit."))
  metric <- match_choice(metric, "metric", c("euclidean", "maximum", "manhattan"))
  collapse <- match_choice(collapse, "collapse", c("quantiles", "fixed", "none"))
  resType <- match_choice(resType, "resType", c("pearson", "response", "normalized"))
  check_flag(robust, "robust")
  length.out <- check_count(length.out, "length.out", 2L)
  nint <- check_count(nint, "nint", 1L)
  if (missing(form)) form <- structure_covariates(object)
  rows <- acf_rows(object, resType, form)
  rows$groups <- rows$groups[lengths(rows$groups) > 1L]
  if (length(rows$groups) == 0L) {
    ferrolmm_abort("There is no group of two rows or more.", "argument")
  }
  if (missing(distance)) {
    distance <- lapply(rows$groups, function(own) {
      at <- if (is.null(rows$covariates)) seq_along(own) else rows$covariates[own, , drop = FALSE]
      stats::dist(as.matrix(at), metric)
    })
  }
  pairs <- residual_pairs(rows, distance)
  if (!missing(maxDist)) {
    if (!is.numeric(maxDist) || length(maxDist) != 1L || !isTRUE(maxDist >= min(pairs$dist))) {
      ferrolmm_abort(
        paste0("`maxDist` must be a number, at least the smallest distance, ",
               format(min(pairs$dist), digits = 3L), "."), "argument"
      )
    }
    pairs <- pairs[pairs$dist <= maxDist, , drop = FALSE]
  }
  classes <- distance_classes(
    pairs$dist, collapse, nint, if (!missing(breaks)) breaks, !missing(nint)
  )
  found <- if (is.null(classes)) pairs else collapse_pairs(pairs, classes, robust)
  attr(found, "modelVariog") <- model_variogram(object, pairs$dist, resType, length.out)
  structure(found, class = c("Variogram", "data.frame"), collapse = collapse != "none")
}

#' The covariates of a structure that is a function of distance, as a formula; ~1 for others
#' @noRd
structure_covariates <- function(object) {
  correlation <- object$residual$correlation
  if (is.null(correlation) || !is_spatial(correlation$type)) {
    return(~1)
  }
  names <- lapply(correlation$covariates, as.name)
  stats::as.formula(call("~", Reduce(function(a, b) call("+", a, b), names)))
}

#' Half the squared difference and the distance of each pair of rows of a group
#' @noRd
residual_pairs <- function(rows, distance) {
  sizes <- unname(lengths(rows$groups))
  if (inherits(distance, "dist")) distance <- list(distance)
  if (!is.list(distance) || !identical(unname(lengths(distance)) + 0, sizes * (sizes - 1) / 2)) {
    ferrolmm_abort(
      "`distance` must be a list with the dist() of each group of two rows or more.", "argument"
    )
  }
  pairs <- Map(function(own, apart) {
    values <- rows$values[own]
    data.frame(variog = as.vector(stats::dist(values))^2 / 2, dist = as.vector(apart))
  }, rows$groups, distance)
  pairs <- do.call(rbind, unname(pairs))
  row.names(pairs) <- NULL
  pairs
}

#' The class of each distance as a factor; NULL for none
#' @noRd
distance_classes <- function(distance, collapse, nint, breaks, counted) {
  if (collapse == "none") {
    return(NULL)
  }
  distinct <- sort(unique(distance))
  if (!is.null(breaks)) {
    if (!is.numeric(breaks) || length(breaks) == 0L || !all(is.finite(breaks))) {
      ferrolmm_abort(
        paste0("`breaks` must be numbers", describe_given(breaks), "."), "argument"
      )
    }
    breaks <- sort(unique(c(
      if (min(breaks) > distinct[[1L]]) distinct[[1L]], breaks,
      if (max(breaks) < distinct[[length(distinct)]]) distinct[[length(distinct)]]
    )))
    if (counted && nint != length(breaks) - 1L) {
      ferrolmm_abort("`nint` and `breaks` do not agree: leave one of them out.", "argument")
    }
  } else if (nint >= length(distinct)) {
    return(factor(distance, levels = distinct))
  } else if (collapse == "quantiles") {
    breaks <- unique(stats::quantile(distance, seq(0, 1, length.out = nint + 1L), names = FALSE))
  } else {
    breaks <- seq(distinct[[1L]], distinct[[length(distinct)]], length.out = nint + 1L)
  }
  cut(distance, breaks, include.lowest = TRUE)
}

#' @noRd
collapse_pairs <- function(pairs, classes, robust) {
  found <- lapply(split(pairs, classes, drop = TRUE), function(own) {
    v <- own$variog
    n <- length(v)
    data.frame(
      variog = if (robust) mean(v^0.25)^4 / (0.457 + 0.494 / n) else mean(v),
      dist = stats::median(own$dist), n.pairs = n
    )
  })
  found <- do.call(rbind, found)
  row.names(found) <- NULL
  found
}

#' The semivariogram of a correlation that is one function of distance; NULL for others
#' @noRd
model_variogram <- function(object, distance, type, length_out) {
  correlation <- object$residual$correlation
  if (is.null(correlation) || !is_spatial(correlation$type) || type == "normalized" ||
        count_classes(correlation) > 1L) {
    return(NULL)
  }
  at <- seq(min(distance[distance > 0]), max(distance), length.out = length_out)
  par <- split_phi(object$residual, object$phi)$correlation
  position <- lapply(correlation$covariates, function(name) numeric(2L))
  rho <- vapply(at, function(d) {
    position[[1L]][[2L]] <- d
    position_correlation(correlation, par, position, 2L)[1L, 2L]
  }, 1)
  variance <- if (type == "pearson") 1 else object$sigma^2
  structure(
    data.frame(variog = variance * (1 - rho), dist = at), class = c("Variogram", "data.frame")
  )
}

#' @importFrom nlme ACF
#' @export
nlme::ACF

#' @importFrom nlme Variogram
#' @export
nlme::Variogram
