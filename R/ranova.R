#' Test the random effects
#'
#' A table of likelihood-ratio tests: for each random-effects term, the model without it, or without
#' one of its slopes. The fixed part stays, so that models fitted by REML are compared by the
#' restricted likelihood.
#'
#' A variance that is zero is on the boundary of its parameter space, and the likelihood ratio is
#' then not distributed as chi-squared with the difference in parameters: the naive p-value,
#' `Pr(>Chisq)`, is too large. `Pr(>Chibarsq)` is that of the right mixture of chi-squared
#' distributions (Self and Liang 1987). Without the last of k correlated effects it is an equal
#' mixture of k - 1 and k degrees of freedom (Stram and Lee 1994). When d > 1 effects are left out
#' at a time, their covariance matrix is on the boundary of the cone of nonnegative definite
#' matrices, and the weights are those of that cone; this holds when every group carries the same
#' information, and approximately otherwise. For d > 3 the table gives an upper bound, the equal
#' mixture of the two largest degrees of freedom.
#'
#' The mixture takes it that the other variances are not zero. It is a statement about many groups:
#' with few of them, simulate.
#'
#' @param model A model fitted by [lmm()].
#' @param reduce.terms Leave out one slope at a time, where a term has any (`TRUE`), or whole terms
#'   (`FALSE`)? `(x | g)` is reduced to `(1 | g)`, `(0 + f | g)` with a factor `f` to `(1 | g)`.
#' @param ... Passed to methods.
#' @returns A data frame of class `anova` with the columns `npar`, `logLik`, `AIC`, `LRT`, `Df`,
#'   `Pr(>Chisq)` (naive) and `Pr(>Chibarsq)`; the first row is the model itself.
#' @references
#' Self, S. G. and Liang, K.-Y. (1987). Asymptotic properties of maximum likelihood estimators and
#' likelihood ratio tests under nonstandard conditions. *Journal of the American Statistical
#' Association*, 82(398), 605-610.
#'
#' Stram, D. O. and Lee, J. W. (1994). Variance components testing in the longitudinal mixed effects
#' model. *Biometrics*, 50(4), 1171-1177.
#' @examples
#' data(Orthodont, package = "nlme")
#' ranova(lmm(distance ~ age + (age | Subject), Orthodont))
#' @export
ranova <- function(model, ...) UseMethod("ranova")

#' @export
ranova.default <- function(model, ...) {
  hand_over("ranova", model, ..., package = "lmerTest")
}

#' @rdname ranova
#' @export
ranova.lmm <- function(model, reduce.terms = TRUE, ...) {
  warn_monte_carlo(list(model, model))
  inputs <- engine_inputs(model)
  reductions <- do.call(c, lapply(
    seq_along(model$random), function(t) term_reductions(model, t, reduce.terms)
  ))
  smaller <- vapply(
    reductions, function(reduction) reduced_fit(model, inputs, reduction), double(2L)
  )
  npar <- c(count_parameters(model), smaller[1L, ])
  criterion <- c(model$criterion, smaller[2L, ])
  ratio <- c(NA, pmax(criterion[-1L] - criterion[[1L]], 0))
  df <- c(NA, npar[[1L]] - npar[-1L])
  table <- data.frame(
    npar = npar, logLik = -criterion / 2, AIC = criterion + 2 * npar, LRT = ratio, Df = df,
    "Pr(>Chisq)" = stats::pchisq(ratio, df, lower.tail = FALSE),
    "Pr(>Chibarsq)" = c(NA, unlist(Map(mixture_p, ratio[-1L], reductions))),
    check.names = FALSE,
    row.names = make.unique(c("<none>", vapply(reductions, function(x) x$label, "")))
  )
  structure(
    table,
    heading = c(
      "ANOVA-like table for random effects: single term deletions",
      paste0("Model: ", code_label(plain_formula(model), 500L))
    ),
    class = c("anova", "data.frame")
  )
}

#' The smaller models that a term gives
#'
#' @returns list of lists: `label`; `term`; `design`, what replaces the term in the engine's design,
#'   NULL for nothing; `kept` and `dropped`, numbers of effects; `structure`
#' @noRd
term_reductions <- function(model, t, reduce) {
  term <- model$random[[t]]
  k <- length(term$cnms)
  lhs <- if (reduce && k > 1L) reduced_sides(term, model$frame)
  bar <- paste0("(", term$label, ")")
  if (length(lhs) == 0L) {
    return(list(list(
      label = bar, term = t, design = NULL, kept = 0L, dropped = k, structure = term$structure,
      left = 0L, lost = count_theta(term)
    )))
  }
  unname(Map(function(side, name) {
    columns <- basis_columns(side, model$frame, term$contrasts)$columns
    kept <- length(columns)
    smaller <- term
    smaller$cnms <- character(kept)
    smaller$structure <- if (kept == 1L) "us" else term$structure
    smaller$hom <- kept > 1L && isTRUE(term$hom)
    left <- count_theta(smaller)
    list(
      label = paste(name, "in", bar), term = t, kept = kept, dropped = k - kept,
      design = list(
        factor = term$factor, columns = columns, structure = smaller$structure, hom = smaller$hom
      ),
      structure = term$structure, left = left, lost = count_theta(term) - left
    )
  }, lhs, names(lhs)))
}

#' Left sides without one of their terms, named by what is left out
#'
#' An intercept that was coded as part of a factor comes back when that factor goes. Only sides that
#' have fewer effects count.
#' @noRd
reduced_sides <- function(term, frame) {
  formula <- stats::as.formula(call("~", term$lhs))
  whole <- stats::terms(formula)
  scope <- stats::drop.scope(whole)
  sides <- lapply(scope, function(label) {
    smaller <- stats::update.formula(formula, stats::as.formula(paste("~ . -", label)))
    categorical <- any(vapply(
      all.vars(str2lang(label)), function(v) is_categorical(frame[[v]]), NA
    ))
    if (attr(whole, "intercept") == 0L && categorical) {
      smaller <- stats::update.formula(smaller, ~ . + 1)
    }
    smaller[[2L]]
  })
  names(sides) <- scope
  size <- vapply(sides, function(side) {
    terms <- stats::terms(stats::as.formula(call("~", side)))
    if (length(attr(terms, "term.labels")) + attr(terms, "intercept") == 0L) {
      return(0L)
    }
    length(basis_columns(side, frame)$columns)
  }, 1L)
  sides[size > 0L & size < length(term$cnms)]
}

#' Number of parameters and criterion of the model that a reduction leaves
#' @noRd
reduced_fit <- function(model, inputs, reduction) {
  design <- inputs$random$design
  design$terms[[reduction$term]] <- reduction$design
  if (length(design$terms) == 0L && !has_residual(model)) {
    return(c(model$rank + 1, criterion_without_random(model, inputs$fixed)))
  }
  used <- sort(unique(vapply(design$terms, function(term) term$factor, 1L)))
  design$factors <- design$factors[used]
  design$terms <- lapply(design$terms, function(term) {
    term$factor <- match(term$factor, used)
    term
  })
  model_without <- engine_model(inputs$fixed, list(design = design), inputs$residual)
  control <- model$control
  control$hold <- control$tie <- NULL
  result <- engine_fit(model_without, model$REML, NULL, resolve_constraints(control, NULL))
  lost <- count_theta(model$random[[reduction$term]]) - reduction$left
  c(count_parameters(model) - lost, result$criterion)
}

#' Minus twice the (restricted) log-likelihood of the linear model of the fixed part
#' @noRd
criterion_without_random <- function(model, fixed) {
  root <- if (is.null(fixed$weights)) 1 else sqrt(fixed$weights)
  y <- if (is.null(fixed$offset)) fixed$y else fixed$y - fixed$offset
  x <- fixed$X[, kept_columns(model), drop = FALSE]
  decomposed <- qr(root * x, tol = 1e-12)
  rss <- if (ncol(x) > 0L) sum(qr.resid(decomposed, root * y)^2) else sum((root * y)^2)
  n <- length(y)
  df <- if (model$REML) n - model$rank else n
  diagonal <- if (ncol(x) > 0L) abs(diag(qr.R(decomposed))) else 1
  determinant <- if (model$REML) 2 * sum(log(diagonal)) else 0
  df * (1 + log(2 * pi * rss / df)) + determinant - 2 * sum(log(root))
}

# Mixtures of chi-squared distributions ------------------------------------------------------------

#' p-value of a likelihood ratio for leaving out effects of a term
#' @noRd
mixture_p <- function(statistic, reduction) {
  d <- reduction$dropped
  correlated <- reduction$structure == "us"
  if (!reduction$structure %in% c("us", "diag")) {
    # with the variances go correlations that then mean nothing: no simple mixture
    return(NA_real_)
  }
  weights <- if (correlated) cone_weights(d) else stats::dbinom(0:d, d, 0.5)
  df <- seq_along(weights) - 1L
  if (correlated) {
    df <- df + d * reduction$kept
  }
  tails <- ifelse(
    df > 0L, stats::pchisq(statistic, pmax(df, 1L), lower.tail = FALSE), statistic <= 0
  )
  sum(weights * tails)
}

#' Weights of the dimensions 0, 1, ... of the projection of a normal symmetric d x d matrix on the
#' cone of nonnegative definite matrices (Kuriki & Takemura 2000, Annals of Statistics 28)
#' @noRd
cone_weights <- function(d) {
  r <- sqrt(2)
  size <- d * (d + 1L) / 2L
  switch(
    min(d, 4L),
    c(1, 1) / 2,
    c(2 - r, r, r, 2 - r) / 4,
    c(
      1 / 4 - r / (2 * pi), r / 4 - 1 / 4, r / (2 * pi), 1 - r / 2, r / (2 * pi), r / 4 - 1 / 4,
      1 / 4 - r / (2 * pi)
    ),
    c(numeric(size - 1L), 1, 1) / 2
  )
}
