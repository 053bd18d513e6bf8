#' Influence of observations and of groups
#'
#' What the estimates become when an observation, or all observations of a level of a grouping
#' factor, are left out: without fitting the model again, or by fitting it again.
#'
#' @details
#' `influence()` takes the rows of each set out of the sufficient statistics of the fit; no set of
#' rows is visited twice, and the data are not read again. For the remaining rows, `update` says
#' what becomes of the relative variance parameters \eqn{\theta}:
#' - `"one-step"`: one Newton step from the estimate of all rows, with the exact gradient and
#'   Hessian of the criterion of the remaining rows (Pregibon, 1981), corrected by the gradient at
#'   its end; where the step is small, with the Hessian of all rows;
#' - `"none"`: they stay, which is case deletion as in Christensen, Pearson and Johnson (1992);
#' - `"exact"`: they are optimised again, to the tolerance of the fit.
#'
#' Fixed effects and \eqn{\sigma} are exact for the \eqn{\theta} that results. Where the remaining
#' rows do not determine a fixed effect (its only group is deleted) the results are `NA`.
#'
#' For a fit, `cooks.distance()`, `dfbeta()` and `dfbetas()` give the deletion of single
#' observations with `update = "none"`, in closed form from the leverages \eqn{h_i}: with \eqn{t_i}
#' the row of Henderson's equations and \eqn{e_i} the conditional residual, \eqn{\hat\beta} changes
#' by the fixed part of \eqn{M^{-1} t_i w_i e_i / (1 - h_i)}. That is fast for any number of rows.
#' For the result of `influence()` these functions use its deletions.
#'
#' `dfbeta()` is \eqn{\hat\beta - \hat\beta_{(i)}}, as in stats; 'lme4' has the opposite sign.
#' `dfbetas()` divides it by the standard errors without the set, \eqn{\sigma_{(i)}} times
#' the root of the diagonal of \eqn{(X'V^{-1}X)^{-1}}. Cook's distance is
#' \eqn{(\hat\beta - \hat\beta_{(i)})' C^{-1} (\hat\beta - \hat\beta_{(i)}) / p} with
#' \eqn{C} = `vcov(fit)`. (In 'lme4' that of a fit is computed from the leverage of the conditional
#' mean as if the random effects were fixed, and that of deletions is multiplied by
#' \eqn{1 - p / m} for \eqn{m} sets.)
#'
#' @param model A model fitted by [lmm()], or for the methods of `influence.lmm` what `influence()`
#'   returns.
#' @param groups What to delete: `NULL`, each observation; the name of a grouping factor of the
#'   model or of a variable in its model frame, each of its levels; or a vector with a value for
#'   each row that was used, each of its values.
#' @param update What becomes of the variance parameters: see the details.
#' @param ... Not used.
#' @returns An object of class `influence.lmm`, a list with a row or element for each deletion:
#'   `coefficients` (matrix of fixed effects), `theta` (matrix), `sigma`, `vcov_unscaled` (array,
#'   times \eqn{\sigma^2} the covariance matrix of the fixed effects) and `criterion`, and of the
#'   whole data `estimate`, a list of the same. `as.data.frame()` makes a table of changes:
#'   `deleted`, `cooks.distance`, `mdffits`, `covratio`, the changes in fixed effects (`dfbetas.`)
#'   and the standard deviations and correlations without the set.
#'
#'   `cooks.distance()`: a named vector. `dfbeta()`, `dfbetas()`: a matrix with a row for each
#'   deletion.
#' @references
#' Christensen, R., Pearson, L. M. and Johnson, W. (1992). Case-deletion diagnostics for mixed
#' models. *Technometrics*, 34, 38-45.
#'
#' Demidenko, E. and Stukel, T. A. (2005). Influence analysis for linear mixed-effects models.
#' *Statistics in Medicine*, 24, 893-909.
#'
#' Pregibon, D. (1981). Logistic regression diagnostics. *Annals of Statistics*, 9, 705-724.
#' @seealso [plot.influence.lmm()], [hatvalues.lmm()], [residuals.lmm()]
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' head(sort(cooks.distance(fit), decreasing = TRUE))
#' without <- influence(fit, groups = "Subject")
#' head(as.data.frame(without))
#' @importFrom stats influence
#' @export
influence.lmm <- function(model, groups = NULL, update = c("one-step", "none", "exact"), ...) {
  check_dots(..., hints = c(
    do.coef = "The coefficients without each set are always there: `coefficients`.",
    ncores = "It runs in parallel as it is: see `threads` of lmm_control()."
  ))
  update <- match_choice(update, "update", c("one-step", "none", "exact"))
  sets <- deletion_sets(model, groups)
  check_deletable(model, sets)
  with_memory({
    found <- engine_inference(engine_deletions, model, unname(sets$rows), update)
    new_influence(model, found, sets, update)
  })
}

#' Which rows to delete together: list(name = what is deleted, rows = named list of row numbers)
#' @noRd
deletion_sets <- function(object, groups) {
  n <- nobs.lmm(object)
  if (!is.null(object$condensed)) {
    return(condensed_sets(object, groups))
  }
  if (is.null(groups)) {
    rows <- as.list(seq_len(n))
    names(rows) <- row.names(object$frame)
    return(list(name = "observation", rows = rows))
  }
  name <- "groups"
  if (is.character(groups) && length(groups) == 1L && n > 1L) {
    name <- groups
    factor <- find_factor(object, name)
    if (length(factor) > 0L && has_members(object, factor[[1L]])) {
      refuse_members_of(object, paste0("Deleting all rows of a level of `", name, "`"))
    }
    groups <- if (length(factor) > 0L) object$flist[[factor[[1L]]]] else object$frame[[name]]
    if (is.null(groups)) {
      known <- c(names(object$flist), names(object$frame)[-1L])
      ferrolmm_abort(
        paste0("`groups` is no variable of the model: `", name, "`."), "argument",
        i = c(did_you_mean(name, known),
              paste0("Grouping factors of the model: ", quote_names(names(object$flist)), "."))
      )
    }
  }
  if (length(groups) != n || !is.atomic(groups)) {
    ferrolmm_abort(
      paste0("`groups` must be a name, or have a value for each of the ", count_of(n, "row"), "."),
      "argument", i = if (is.atomic(groups) && length(groups) > 1L) describe_rows(object)
    )
  }
  rows <- rows_by_level(groups, name)
  if (length(rows) < 2L) {
    ferrolmm_abort("`groups` has one level only: deleting it leaves nothing.", "argument")
  }
  list(name = name, rows = rows)
}

#' The number of observations of each set
#' @noRd
set_sizes <- function(model, rows) {
  if (is.null(model$condensed)) {
    return(lengths(rows, use.names = FALSE))
  }
  counts <- model$condensed$stands_for$counts
  vapply(rows, function(set) as.integer(sum(counts[set])), 1L, USE.NAMES = FALSE)
}

#' Condensed rows of each level of a grouping factor
#' @noRd
condensed_sets <- function(object, groups) {
  if (!is.null(object$condensed$tables)) abort_needs_rows("The influence of groups")
  factor <- if (is_string(groups)) find_factor(object, groups)
  if (length(factor) == 0L) {
    if (is.null(groups)) abort_needs_rows("The influence of single observations")
    ferrolmm_abort(
      "Of a fit of moments the levels of a grouping factor can be deleted.", "needs_rows",
      i = paste0("`groups` is one of ", quote_names(names(object$flist)), ".")
    )
  }
  list(name = groups, rows = rows_by_level(own_factor(object, factor[[1L]]), groups))
}

#' The grouping factor with a name, or an interaction written in another order
#' @noRd
find_factor <- function(object, name) {
  exact <- which(names(object$flist) == name)
  if (length(exact) > 0L) {
    return(exact)
  }
  parts <- strsplit(name, ":", fixed = TRUE)[[1L]]
  found <- vapply(object$random, function(term) setequal(identity_of_term(term), parts), NA)
  unique(vapply(object$random[found], `[[`, 1L, "factor"))
}

#' Rows of each level of a vector
#' @noRd
rows_by_level <- function(groups, name) {
  groups <- plain_values(groups)
  if (is.factor(groups)) {
    groups <- droplevels(groups)
  }
  missing <- which(is.na(groups))
  if (length(missing) > 0L) {
    ferrolmm_abort(
      paste0("`groups` is missing (NA) in ", count_of(length(missing), "row"), ", the first is ",
             missing[1L], "."),
      "argument"
    )
  }
  group <- group_factor(name, stats::setNames(list(groups), name))
  stats::setNames(split(seq_along(groups), group$codes), group$levels)
}

#' With correlated residuals only whole residual groups can be deleted
#' @noRd
check_deletable <- function(object, sets) {
  if (!has_correlation(object)) {
    return(invisible())
  }
  codes <- residual_groups(object$residual$correlation, object$frame)$codes
  sizes <- tabulate(codes)
  whole <- vapply(sets$rows, function(rows) {
    here <- tabulate(codes[rows], length(sizes))
    all(here == 0L | here == sizes)
  }, NA)
  if (!all(whole)) {
    ferrolmm_abort(
      "Only whole groups of correlated residuals can be deleted.", "residual",
      x = paste0("The model has ", describe_residual_term(object$residual), "."),
      i = if (length(object$residual$correlation$group) == 1L) {
        paste0("As in influence(fit, groups = \"", object$residual$correlation$group, "\").")
      }
    )
  }
}

#' @noRd
new_influence <- function(model, found, sets, update) {
  kept <- kept_columns(model)
  names <- names(sets$rows)
  r <- model$rank
  structure(
    list(
      name = sets$name,
      update = update,
      size = set_sizes(model, sets$rows),
      coefficients = matrix(
        t(found$beta[kept, , drop = FALSE]), length(names), length(kept),
        dimnames = list(names, names(model$coefficients)[kept])
      ),
      theta = variance_rows(found, names, names(model$theta), 0L),
      phi = variance_rows(found, names, names(model$phi), length(model$theta)),
      sigma = stats::setNames(as.vector(found$sigma), names),
      vcov_unscaled = array(found$vcov_unscaled, c(r, r, length(names))),
      criterion = stats::setNames(as.vector(found$criterion), names),
      estimate = list(
        coefficients = fixef.lmm(model), theta = model$theta, phi = model$phi, sigma = model$sigma,
        vcov_unscaled = model$vcov_unscaled, criterion = model$criterion
      ),
      random = model$random
    ),
    class = "influence.lmm"
  )
}

#' theta or phi without each set, one row each: the rows of `found$theta` after the first `before`
#' @noRd
variance_rows <- function(found, sets, names, before) {
  rows <- before + seq_along(names)
  matrix(
    t(found$theta[rows, , drop = FALSE]), length(sets), length(names),
    dimnames = list(sets, as.character(names))
  )
}

#' @export
print.influence.lmm <- function(x, n = 6L, ...) {
  check_dots(...)
  n <- check_count(n, "n", 0L)
  cat(
    "Deletion of each ", x$name, " (", nrow(x$coefficients), "), variance parameters: ",
    switch(x$update,
      `one-step` = "one Newton step", none = "as in the fit", exact = "optimised again"
    ), "\n\n",
    sep = ""
  )
  distance <- cooks.distance.influence.lmm(x)
  largest <- utils::head(order(distance, decreasing = TRUE), n)
  cat("Largest Cook's distances and their DFBETAS:\n")
  print(
    cbind(`Cook's D` = distance, dfbetas.influence.lmm(x))[largest, , drop = FALSE],
    digits = 3L
  )
  invisible(x)
}

#' @rdname influence.lmm
#' @importFrom stats cooks.distance
#' @export
cooks.distance.influence.lmm <- function(model, ...) {
  check_dots(...)
  change <- dfbeta.influence.lmm(model)
  covariance <- model$estimate$sigma^2 * model$estimate$vcov_unscaled
  quadratic_by_row(change, covariance) / ncol(change)
}

#' @rdname influence.lmm
#' @importFrom stats dfbeta
#' @export
dfbeta.influence.lmm <- function(model, ...) {
  check_dots(...)
  change <- model$coefficients
  change[] <- rep(model$estimate$coefficients, each = nrow(change)) - change
  change
}

#' @rdname influence.lmm
#' @importFrom stats dfbetas
#' @export
dfbetas.influence.lmm <- function(model, ...) {
  check_dots(...)
  r <- ncol(model$coefficients)
  unscaled <- matrix(model$vcov_unscaled, r * r)[(seq_len(r) - 1L) * r + seq_len(r), , drop = FALSE]
  dfbeta.influence.lmm(model) / (model$sigma * sqrt(t(unscaled)))
}

#' x' S^-1 x for each row of a matrix; NA where S is not positive definite to working precision
#'
#' By Cholesky's method, for which the units of the rows and columns of S do not matter.
#' @noRd
quadratic_by_row <- function(x, covariance) {
  if (ncol(x) == 0L) {
    return(stats::setNames(numeric(nrow(x)), rownames(x)))
  }
  root <- tryCatch(chol(covariance), error = function(e) NULL)
  if (is.null(root)) {
    return(stats::setNames(rep.int(NA_real_, nrow(x)), rownames(x)))
  }
  stats::setNames(colSums(backsolve(root, t(x), transpose = TRUE)^2), rownames(x))
}

#' @rdname influence.lmm
#' @param x,row.names,optional Arguments of [as.data.frame()].
#' @export
as.data.frame.influence.lmm <- function(x, row.names = NULL, optional = FALSE, ...) {
  check_dots(..., allowed = "stringsAsFactors")
  change <- dfbeta.influence.lmm(x)
  r <- ncol(change)
  full <- determinant(x$estimate$sigma^2 * x$estimate$vcov_unscaled)$modulus
  sets <- seq_len(nrow(change))
  each <- vapply(sets, function(i) {
    covariance <- x$sigma[[i]]^2 * matrix(x$vcov_unscaled[, , i], r)
    if (r == 0L || anyNA(covariance)) {
      return(c(NA_real_, NA_real_))
    }
    c(
      quadratic_by_row(change[i, , drop = FALSE], covariance) / r,
      exp(determinant(covariance)$modulus - full)
    )
  }, numeric(2L))
  table <- data.frame(
    deleted = rownames(change), size = x$size,
    cooks.distance = unname(cooks.distance.influence.lmm(x)),
    mdffits = each[1L, ], covratio = each[2L, ],
    unclass(dfbetas.influence.lmm(x)), components_without(x),
    check.names = FALSE, row.names = NULL
  )
  names(table)[5L + seq_len(r)] <- paste0("dfbetas.", colnames(change))
  finish_table(table, row.names, ...)
}

#' Standard deviations, correlations and residual parameters without each set
#'
#' Correlations are in the order of the lower triangle, after the standard deviations of their term.
#' @noRd
components_without <- function(x) {
  by_term <- lapply(x$random, function(term) term_parameter_names(term, term$group))
  names <- as.character(unlist(by_term))
  order <- order(rep.int(seq_along(by_term), lengths(by_term)), startsWith(names, "cor_"))
  values <- theta_to_sdcor(t(x$theta), x$sigma, x$random, t(x$phi))
  names <- c(names[order], colnames(x$phi), "sigma")
  order <- c(order, length(order) + seq_len(ncol(x$phi) + 1L))
  table <- t(matrix(values, ncol = length(x$sigma))[order, , drop = FALSE])
  dimnames(table) <- list(NULL, names)
  table
}

# Single observations at given theta --------------------------------------------------------------

#' beta-hat minus that without each row, and its ingredients: with `weight` = w e / (1 - h), the
#' change is `weight` times the fixed part of M^-1 t
#' @noRd
closed_form_deletion <- function(object) {
  leverages <- training_leverages(object)
  left <- beyond_rounding(leverages$left, 0)
  weight <- leverages$residuals / residual_variances(object) / left
  change <- t(leverages$fixed) * weight
  dimnames(change) <- list(row.names(object$frame), variable.names.lmm(object))
  list(change = change, weight = weight, left = left, leverages = leverages)
}

#' @rdname influence.lmm
#' @export
cooks.distance.lmm <- function(model, ...) {
  check_dots(...)
  with_memory({
    parts <- closed_form_deletion(model)
    # change' C^-1 change / p; the fixed part c of M^-1 t has c'(X'V^-1X)c = its part of t'M^-1 t
    squares <- parts$weight^2 * parts$leverages$of_fixed
    values <- squares / model$sigma^2 / ncol(parts$change)
    stats::naresid(model$na.action, stats::setNames(values, rownames(parts$change)))
  })
}

#' @rdname influence.lmm
#' @export
dfbeta.lmm <- function(model, ...) {
  check_dots(...)
  with_memory(stats::naresid(model$na.action, closed_form_deletion(model)$change))
}

#' @rdname influence.lmm
#' @export
dfbetas.lmm <- function(model, ...) {
  check_dots(...)
  with_memory({
    parts <- closed_form_deletion(model)
    # (X'V^-1X)^-1 without row i: plus c c' w / (1 - h), c the fixed part of M^-1 t
    added <- t(parts$leverages$fixed)^2 / residual_variances(model) / parts$left
    diagonal <- rep(diag(model$vcov_unscaled), each = nrow(added)) + added
    values <- parts$change / (deletion_sigma(model, parts$leverages) * sqrt(diagonal))
    stats::naresid(model$na.action, values)
  })
}
