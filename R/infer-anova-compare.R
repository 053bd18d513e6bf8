# Several models compared by likelihood ratios.

#' @noRd
compare_models <- function(models, names, refit) {
  for (model in models) {
    if (inherits(model, "lmm") && is_sampled(model)) abort_sampled("A likelihood ratio test")
  }
  irregular <- differ_in_factors(models)
  if (length(names) != length(models)) {
    ferrolmm_abort(
      paste0("`model.names` has ", count_of(length(names), "name"), " for ",
             count_of(length(models), "model"), "."), "argument"
    )
  }
  names <- make.unique(names)
  compared <- with_one_likelihood(models, names, refit)
  models <- compared$models
  warn_monte_carlo(models)
  warn_cut_off(statuses_of(models), names)
  likelihoods <- lapply(models, function(model) {
    if (inherits(model, "lmm")) log_likelihood(model) else stats::logLik(model)
  })
  npar <- vapply(likelihoods, function(l) as.integer(attr(l, "df")), 1L)
  order <- order(npar)
  loglik <- vapply(likelihoods, as.numeric, 0)[order]
  npar <- npar[order]
  gain <- c(NA, 2 * diff(loglik))
  df <- c(NA, diff(npar))
  gain <- ifelse(gain < 0 & gain > -1e-6 * pmax(1, abs(loglik)), 0, gain)
  table <- data.frame(
    npar = npar,
    AIC = vapply(likelihoods, stats::AIC, 0)[order],
    BIC = vapply(likelihoods, stats::BIC, 0)[order],
    logLik = loglik, deviance = -2 * loglik, Chisq = gain, Df = df,
    "Pr(>Chisq)" = ifelse(
      df > 0 & !irregular, stats::pchisq(gain, pmax(df, 1), lower.tail = FALSE), NA
    ),
    row.names = names[order], check.names = FALSE
  )
  structure(
    table,
    heading = comparison_heading(
      models[order], names[order], compared$reml, compared$same_fixed, irregular
    ),
    class = c("anova.lmm", "anova", "data.frame")
  )
}

#' Do models differ in random parts some of which have factors?
#'
#' Loadings of a factor that is not there are not identified: the likelihood ratio of one factor
#' more is not asymptotically chi-squared, nor a mixture, and exceeds it (Hayashi, Bentler and Yuan
#' 2007, Structural Equation Modeling 14). So is that of fa() and an unstructured matrix.
#' @noRd
differ_in_factors <- function(models) {
  random <- lapply(Filter(function(model) inherits(model, "lmm"), models), function(model) {
    lapply(model$random, function(term) unclass(term)[c("cnms", "structure", "hom", "factors")])
  })
  with_factors <- any(vapply(unlist(random, recursive = FALSE), has_factors, NA))
  with_factors && (length(random) < length(models) || length(unique(random)) > 1L)
}

#' Models of the same data whose likelihoods can be compared: restricted ones only where all are,
#' and where the fixed parts agree
#' @returns list(models, reml, same_fixed)
#' @noRd
with_one_likelihood <- function(models, names, refit) {
  for (model in models) {
    if (inherits(model, "lmm")) require_maximum(model, "A likelihood ratio test")
  }
  check_bounds_alike(models)
  check_same_data(models, names)
  same_fixed <- all(vapply(models[-1L], same_fixed_part, NA, models[[1L]]))
  reml <- vapply(models, function(model) isTRUE(model$REML), NA)
  restricted <- all(reml) && same_fixed
  if (any(reml) && !restricted) {
    models <- refit_compared(models, reml, same_fixed, refit)
  }
  list(models = models, reml = restricted, same_fixed = same_fixed)
}

#' Refuse comparisons of models whose variances have bounds in some only
#' @noRd
check_bounds_alike <- function(models) {
  own <- Filter(function(model) inherits(model, "lmm") && length(model$random) > 0L, models)
  if (length(unique(vapply(own, is_nobound, NA))) > 1L) {
    ferrolmm_abort(
      "Variances have bounds in some of the models, and none in others.", "nobound",
      i = "Fit all of them with `nobound = TRUE` in lmm_control(), or none."
    )
  }
}

#' @noRd
refit_compared <- function(models, reml, same_fixed, refit) {
  why <- if (same_fixed) "not all are fitted by REML" else "their fixed parts differ"
  if (!refit) {
    ferrolmm_abort(
      paste0("Models fitted by REML cannot be compared: ", why, "."), "argument",
      i = "Use refit = TRUE, or fit them with REML = FALSE."
    )
  }
  ferrolmm_inform(
    paste0("Refitting ", count_of(sum(reml), "model"), " by ML, as ", why, "."), "refit"
  )
  models[reml] <- lapply(models[reml], refitML.lmm)
  models
}

#' @noRd
comparison_heading <- function(models, names, reml, same_fixed, irregular) {
  formulas <- vapply(models, function(model) {
    paste0(code_label(plain_formula(model), 500L), structure_suffix(model))
  }, "")
  c(
    paste0("Models fitted by ", if (reml) "REML" else "maximum likelihood",
           if (irregular) {
             "; numbers of factors have no chi-squared test, compare AIC or BIC"
           } else if (same_fixed && !any(vapply(models, is_nobound, NA))) {
             "; p-values of variances are conservative, see ranova()"
           }),
    paste0(names, ": ", formulas)
  )
}

#' "; correlation = corAR1(...)" and the like, to tell apart models that share a formula
#' @noRd
structure_suffix <- function(model) {
  if (!inherits(model, "lmm") || is.null(model$residual)) {
    return("")
  }
  parts <- as.list(model$call)[c("correlation", "weights", "residual")]
  parts <- parts[lengths(parts) > 0L]
  labels <- vapply(parts, function(part) {
    if (is.language(part)) code_label(part) else class(part)[[1L]]
  }, "")
  paste0("; ", names(parts), " = ", labels, collapse = "")
}

#' @noRd
plain_formula <- function(model) {
  formula <- if (inherits(model, "lmm")) full_formula(model) else stats::formula(model)
  attributes(formula) <- NULL
  formula
}

#' Do models have the same response, weights and variables, row by row?
#' @noRd
check_same_data <- function(models, names) {
  first <- compared_data(models[[1L]])
  for (i in seq_along(models)[-1L]) {
    other <- compared_data(models[[i]])
    pair <- quote_names(names[c(1L, i)])
    if (length(first$y) != length(other$y)) {
      ferrolmm_abort(
        paste0("The models are not of the same data: ", pair, " have ", length(first$y), " and ",
               length(other$y), " rows."), "data",
        i = "Rows with missing values are left out: fit all models to the rows that all can use."
      )
    }
    differs <- c(
      "the response" = !isTRUE(all.equal(first$y, other$y, tolerance = 1e-12)),
      "the weights" = !isTRUE(all.equal(first$weights, other$weights, tolerance = 1e-12))
    )
    shared <- intersect(names(first$frame)[-1L], names(other$frame)[-1L])
    shared <- shared[!vapply(
      shared, function(v) same_values(first$frame[[v]], other$frame[[v]]), NA
    )]
    what <- c(names(differs)[differs], if (length(shared) > 0L) quote_names(shared))
    if (length(what) > 0L) {
      ferrolmm_abort(
        paste0("The models are not of the same data: ", pair, " differ in ",
               paste(what, collapse = " and "), "."), "data"
      )
    }
  }
}

#' @noRd
compared_data <- function(model) {
  if (!is.null(model$condensed)) {
    moments <- model$condensed$moments
    if (is_of_tables(moments)) {
      # so do sums
      table <- model$condensed$tables[[1L]]
      return(list(y = c(count_observations(model), table$sums), weights = table$counts,
                  frame = list()))
    }
    cells <- moments$cells
    # counts and means tell moments apart
    return(list(
      y = c(count_observations(model), cells$means[cells$m, ]), weights = cells$weights,
      frame = model$condensed$moments$keys
    ))
  }
  frame <- stats::model.frame(model)
  y <- as.double(frame[[1L]])
  weights <- if (inherits(model, "lmm")) frame[["(weights)"]] else stats::weights(model)
  frame <- frame[setdiff(names(frame), own_columns)]
  list(y = y, weights = if (is.null(weights)) rep.int(1, length(y)) else weights, frame = frame)
}

#' Factors by their labels, numbers as they are
#' @noRd
same_values <- function(a, b) {
  if (identical(a, b)) {
    return(TRUE)
  }
  if (is.factor(a) || is.factor(b) || is.character(a)) {
    return(identical(as.character(a), as.character(b)))
  }
  isTRUE(all.equal(as.vector(a), as.vector(b), tolerance = 1e-12))
}

#' Do two models have the same X? By the names and coding of its columns
#' @noRd
same_fixed_part <- function(a, b) {
  parts <- function(model) {
    list(names(model$coefficients), is.na(model$coefficients), model$xlevels, model$contrasts)
  }
  inherits(a, "lmm") && inherits(b, "lmm") &&
    identical(lapply(parts(a), unname), lapply(parts(b), unname))
}
