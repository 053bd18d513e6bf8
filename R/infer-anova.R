#' Test the terms of a model, or compare models
#'
#' With one model, F tests of the terms of its fixed part. With several, likelihood-ratio tests of
#' each model against the next smaller one.
#'
#' @section Types of tests:
#' The hypotheses are those that SAS and 'lmerTest' call type I, II and III. They depend on the
#' design but not on how factors are coded.
#'
#' - Type I: each term after those before it in the formula.
#' - Type II: each term after all others that do not contain it. A term is contained in another one
#'   that has the same covariates, its factors, and further factors.
#' - Type III: each term, averaged with equal weights over the factors of the terms that contain it.
#'   Where cells are empty, the hypotheses are those that can be estimated and that are orthogonal
#'   to those of the containing terms.
#'
#' A term none of whose coefficients can be estimated has no degrees of freedom.
#'
#' @section Likelihood ratios:
#' Where a likelihood is an estimate (see `solver` in [lmm_control()]) the comparison warns of its
#' Monte-Carlo error.
#'
#' Restricted likelihoods compare only between models with the same fixed part. Where the fixed
#' parts differ, models fitted by REML are fitted again by ML, with a message of class
#' `ferrolmm_message_refit`. p-values of variances, whose null value is on the boundary, are too
#' large: see [ranova()].
#'
#' @param object A model fitted by [lmm()].
#' @param ... Other models of the same data, by [lmm()] or by [lm()].
#' @param type The type of the tests: `"III"`, `"II"` or `"I"`, or a number.
#' @param ddf The method for the degrees of freedom, see [ddf]. `"lme4"` gives the table of 'lme4':
#'   each term after those before it, as in type I but in the metric of \eqn{X'V^{-1}X}, without
#'   p-values.
#' @param refit Fit models again by ML where their fixed parts differ? Without it, comparing them
#'   by the restricted likelihood is an error.
#' @param model.names Names of the models in the table; by default how the arguments were written.
#' @param test For one model `"F"`, for several `"Chisq"` (or `"LRT"`, the same): what is done
#'   without it.
#' @returns A data frame of class `anova`. One model: the columns `Sum Sq`, `Mean Sq`, `NumDF`,
#'   `DenDF`, `F value` and `Pr(>F)`. Several: `npar`, `AIC`, `BIC`, `logLik`, `deviance`, `Chisq`,
#'   `Df` and `Pr(>Chisq)`.
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age * Sex + (age | Subject), Orthodont)
#' anova(fit)
#' anova(fit, type = "II", ddf = "Kenward-Roger")
#' anova(fit, update(fit, . ~ . - age:Sex))
#' @importFrom stats anova
#' @export
anova.lmm <- function(object, ..., type = c("III", "II", "I"),
                      ddf = c(
                        "Satterthwaite", "Kenward-Roger", "Kenward-Roger-linear",
                        "asymptotic", "none"
                      ),
                      refit = TRUE, model.names = NULL, test = NULL) {
  others <- list(...)
  lapply(Filter(function(model) inherits(model, "lmm"), c(list(object), others)), check_fit)
  is_model <- vapply(others, inherits, NA, what = c("lmm", "lm"))
  named <- nzchar(if (is.null(names(others))) character(length(others)) else names(others))
  if (any(!is_model & !named)) {
    wrong <- class(others[!is_model & !named][[1L]])[[1L]]
    ferrolmm_abort(
      paste0("A model is compared with an object of class ", wrong, "."), "argument",
      i = "Compare models fitted by lmm(), or by lm()."
    )
  }
  if (any(!is_model)) {
    # all of them named
    check_dots(..., allowed = names(others)[is_model])
  }
  check_flag(refit, "refit")
  if (any(is_model)) {
    check_comparison_test(test)
    if (is.null(model.names)) {
      others_written <- as.list(substitute(list(...)))[-1L]
      model.names <- written_names(c(list(substitute(object)), others_written))
    }
    return(compare_models(c(list(object), unname(others)), model.names, refit))
  }
  check_single_test(test)
  if (!is.null(model.names)) {
    ferrolmm_abort("`model.names` is for several models.", "argument")
  }
  as_lme4 <- identical(ddf, "lme4")
  type <- if (as_lme4) lme4_type(type, missing(type)) else match_type(type)
  method <- match_ddf(ddf)
  inference <- ddf_for(object, method)
  heading <- paste0("Type ", type, " Analysis of Variance Table", describe_ddf(method, " with "))
  structure(
    f_table(inference, if (as_lme4) {
      factor_contrasts(object)
    } else {
      term_contrasts(inference$object, type)
    }),
    heading = heading, class = c("anova", "data.frame")
  )
}

#' Models by the names of the call; "model 2" for one that is written out there
#'
#' By do.call() the models themselves stand in the call.
#' @noRd
written_names <- function(written) {
  names <- paste("model", seq_along(written))
  given <- names(written)
  for (i in seq_along(written)) {
    label <- if (is.language(written[[i]])) code_label(written[[i]])
    if (!is.null(given) && nzchar(given[[i]])) label <- given[[i]]
    if (length(label) == 1L && nchar(label) <= 20L) names[[i]] <- label
  }
  names
}

#' What lmerTest calls "lme4" is the table of 'lme4', whose tests are sequential
#' @noRd
lme4_type <- function(type, by_default) {
  if (!by_default && match_type(type) != "I") {
    ferrolmm_abort(
      paste0("`ddf = \"lme4\"` is the table of 'lme4', which has tests of type I: ",
             "`type` cannot be ", match_type(type), "."),
      "argument", i = "With ddf = \"none\" there are tests of each type without p-values."
    )
  }
  "I"
}

#' Models are compared by likelihood ratios
#' @noRd
check_comparison_test <- function(test) {
  if (!is.null(test) && is.na(match(tolower(as.character(test)[1L]), c("chisq", "lrt")))) {
    ferrolmm_abort(
      paste0("`test` of several models must be \"Chisq\" or \"LRT\", which are the same",
             describe_given(test), "."),
      "argument", i = "With one model, anova() gives F tests of its terms."
    )
  }
}

#' The terms of one model are tested by F
#' @noRd
check_single_test <- function(test) {
  if (!is.null(test) && !identical(test, "F")) {
    ferrolmm_abort(
      paste0("The tests of one model are F tests: `test` must be \"F\"", describe_given(test),
             "."),
      "argument",
      i = paste0("Likelihood ratios are drop1(fit, test = \"Chisq\"), Wald's chi-squared is ",
                 "car::Anova(fit, test.statistic = \"Chisq\").")
    )
  }
}

#' @noRd
match_type <- function(type) {
  known <- c("III", "II", "I")
  if (missing(type) || identical(type, known)) {
    return("III")
  }
  if (!is.character(type) && !is.numeric(type)) {
    ferrolmm_abort(
      paste0("`type` must be \"I\", \"II\" or \"III\"", describe_given(type), "."), "argument"
    )
  }
  given <- toupper(as.character(type))
  found <- match(given, c(known, "3", "2", "1"))
  if (length(given) != 1L || is.na(found)) {
    ferrolmm_abort(
      paste0("`type` must be \"I\", \"II\" or \"III\"",
             if (length(given) == 1L) paste0(": not ", given), "."), "argument"
    )
  }
  rep.int(known, 2L)[[found]]
}

# Hypotheses of the terms --------------------------------------------------------------------------

#' The hypothesis of each term of the fixed part
#'
#' @returns named list of matrices with a column for each kept coefficient
#' @noRd
term_contrasts <- function(object, type) {
  labels <- labels.lmm(object)
  if (length(labels) == 0L) {
    return(list())
  }
  cells <- design_cells(object)
  kept <- kept_columns(object)
  x <- fixed_matrix(object$terms, cells$frame, object$contrasts)[, kept, drop = FALSE]
  columns <- lapply(seq_along(labels), function(j) which(object$assign[kept] == j))
  contrasts <- switch(type,
    I = sequential_contrasts(x * sqrt(cells$count), columns),
    II = contained_last_contrasts(x * sqrt(cells$count), columns, containing_terms(object)),
    III = marginal_contrasts(object, cells$frame, x)
  )
  names(contrasts) <- labels
  contrasts
}

#' The distinct rows of the predictors, and how often each occurs
#'
#' Factors have few combinations of levels, and no hypothesis depends on more than those. With
#' covariates every row counts as one.
#' @noRd
design_cells <- function(object) {
  frame <- object$frame
  used <- rowSums(attr(object$terms, "factors") > 0L) > 0
  factors <- lapply(variable_columns(object$terms)[used], function(name) .subset2(frame, name))
  if (length(factors) == 0L || !all(vapply(factors, is_categorical, NA))) {
    return(list(frame = frame, count = 1))
  }
  codes <- lapply(factors, function(f) if (is.logical(f)) f + 1L else as.integer(f))
  if (length(codes) == 1L) {
    codes <- match(codes[[1L]], unique(codes[[1L]]))
  } else {
    sizes <- vapply(factors, function(f) length(categories(f)), 1L)
    codes <- engine_interaction(codes, sizes)$codes
  }
  first <- which(!duplicated(codes))
  list(frame = frame[first, , drop = FALSE], count = tabulate(codes)[codes[first]])
}

#' Type I: the rows of the unit upper triangular factor of X'X
#' @noRd
sequential_contrasts <- function(x, columns) {
  factor <- unit_triangle(x)
  lapply(columns, function(here) factor[here, , drop = FALSE])
}

#' The rows of the factor of X'V^-1X, as in the table of 'lme4': sequential in that metric
#' @noRd
factor_contrasts <- function(object) {
  labels <- labels.lmm(object)
  rx <- unname(build_rx(object))
  assign <- object$assign[kept_columns(object)]
  contrasts <- lapply(seq_along(labels), function(j) rx[assign == j, , drop = FALSE])
  stats::setNames(contrasts, labels)
}

#' @noRd
unit_triangle <- function(x) {
  r <- qr.R(qr(x, tol = 1e-12))
  r / diag(r)
}

#' Type II: a term's rows when those that contain it come last, and it comes before them
#' @noRd
contained_last_contrasts <- function(x, columns, containing) {
  compact <- qr.R(qr(x, tol = 1e-12))
  p <- ncol(x)
  lapply(seq_along(columns), function(j) {
    later <- unlist(columns[containing[[j]]])
    order <- c(setdiff(seq_len(p), c(columns[[j]], later)), columns[[j]], later)
    factor <- unit_triangle(compact[, order, drop = FALSE])
    rows <- match(columns[[j]], order)
    contrasts <- matrix(0, length(rows), p)
    contrasts[, order] <- factor[rows, , drop = FALSE]
    contrasts
  })
}

#' Which terms contain each term: same covariates, all its factors, and further factors
#' @noRd
containing_terms <- function(object) {
  pattern <- attr(object$terms, "factors") > 0L
  variables <- variable_columns(object$terms)
  categorical <- vapply(
    variables, function(name) is_categorical(.subset2(object$frame, name)), NA
  )
  lapply(seq_len(ncol(pattern)), function(j) {
    contains <- function(i) {
      all(pattern[!categorical, i] == pattern[!categorical, j]) &&
        all(pattern[categorical, i] >= pattern[categorical, j]) &&
        any(pattern[categorical, i] > pattern[categorical, j])
    }
    which(vapply(seq_len(ncol(pattern)), contains, NA))
  })
}

#' Type III
#'
#' Let X have factors coded by treatments, and let Y have an indicator for each level of each factor
#' in each term. Y = X M says which function of the coefficients of Y each coefficient of X is: a
#' row of M. The rows of a term are made orthogonal to those of the terms that contain it, and what
#' is left of them is written in the coefficients of X again, and then in those of the model.
#' @param x the model matrix of the kept columns, for the rows of `frame`.
#' @noRd
marginal_contrasts <- function(object, frame, x) {
  kept <- kept_columns(object)
  assign <- object$assign[kept]
  recode <- !all(vapply(object$contrasts, identical, NA, "contr.treatment"))
  treatment <- if (recode) {
    treatment_matrix(object, frame)
  } else {
    list(x = x, assign = assign, keys = fixed_keys(object)[kept])
  }
  columns <- lapply(seq_along(labels.lmm(object)), function(j) which(treatment$assign == j))
  containing <- containing_terms(object)
  if (!recode && all(lengths(containing) == 0L)) {
    # each coefficient of X is one of Y, and nothing is to be orthogonal to anything
    return(lapply(columns, function(rows) {
      L <- matrix(0, length(rows), length(kept))
      L[cbind(seq_along(rows), rows)] <- 1
      L
    }))
  }
  decomposed <- qr(treatment$x, tol = 1e-12)
  indicators <- indicator_matrix(object, frame)
  functions <- qr.coef(decomposed, indicators$x)
  functions[abs(functions) < 1e-10] <- 0
  for (j in order(attr(object$terms, "order"), decreasing = TRUE)) {
    above <- unlist(columns[containing[[j]]])
    if (length(above) > 0L && length(columns[[j]]) > 0L) {
      basis <- qr(t(functions[above, , drop = FALSE]))
      rest <- t(qr.resid(basis, t(functions[columns[[j]], , drop = FALSE])))
      rest[abs(rest) < 1e-10] <- 0
      functions[columns[[j]], ] <- rest
    }
  }
  written <- functions[, match(treatment$keys, indicators$keys), drop = FALSE]
  if (recode) {
    written <- written %*% qr.coef(decomposed, x)
  }
  lapply(columns, function(rows) {
    L <- written[rows, , drop = FALSE]
    dimnames(L) <- NULL
    L[rowSums(abs(L)) > 1e-8, , drop = FALSE]
  })
}

#' Independent columns of the model matrix with factors coded by treatments
#' @noRd
treatment_matrix <- function(object, frame) {
  coding <- lapply(object$contrasts, function(given) "contr.treatment")
  x <- fixed_matrix(object$terms, frame, coding)
  decomposed <- qr(x)
  kept <- sort(decomposed$pivot[seq_len(decomposed$rank)])
  list(
    x = x[, kept, drop = FALSE], assign = attr(x, "assign")[kept],
    keys = design_keys(object$terms, frame, coding)[kept]
  )
}

#' The model matrix with an indicator for each level of each factor in each term
#' @noRd
indicator_matrix <- function(object, frame) {
  terms <- object$terms
  pattern <- attr(terms, "factors")
  pattern[pattern > 0L] <- 2L
  attr(terms, "factors") <- pattern
  list(
    x = fixed_matrix(terms, frame, object$contrasts),
    keys = design_keys(terms, frame, object$contrasts)
  )
}

# Comparison of models -----------------------------------------------------------------------------

#' @noRd
compare_models <- function(models, names, refit) {
  if (length(names) != length(models)) {
    ferrolmm_abort(
      paste0("`model.names` has ", count_of(length(names), "name"), " for ",
             count_of(length(models), "model"), "."), "argument"
    )
  }
  names <- make.unique(names)
  check_same_data(models, names)
  same_fixed <- all(vapply(models[-1L], same_fixed_part, NA, models[[1L]]))
  reml <- vapply(models, function(model) isTRUE(model$REML), NA)
  if (any(reml) && !(same_fixed && all(reml))) {
    models <- refit_compared(models, reml, same_fixed, refit)
    reml[] <- FALSE
  }
  warn_monte_carlo(models)
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
    "Pr(>Chisq)" = ifelse(df > 0, stats::pchisq(gain, pmax(df, 1), lower.tail = FALSE), NA),
    row.names = names[order], check.names = FALSE
  )
  structure(
    table,
    heading = comparison_heading(models[order], names[order], all(reml), same_fixed),
    class = c("anova", "data.frame")
  )
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
comparison_heading <- function(models, names, reml, same_fixed) {
  formulas <- vapply(models, function(model) {
    paste0(code_label(plain_formula(model), 500L), structure_suffix(model))
  }, "")
  c(
    paste0("Models fitted by ", if (reml) "REML" else "maximum likelihood",
           if (same_fixed) "; p-values of variances are conservative, see ranova()"),
    paste0(names, ": ", formulas)
  )
}

#' "; correlation = corAR1(...)" and the like, to tell models apart that share a formula
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

#' The same response, weights and variables, row by row
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
  frame <- stats::model.frame(model)
  y <- as.double(frame[[1L]])
  weights <- if (inherits(model, "lmm")) frame[["(weights)"]] else stats::weights(model)
  frame <- frame[setdiff(names(frame), c("(weights)", "(offset)", "(fitted)"))]
  list(y = y, weights = if (is.null(weights)) 1 else weights, frame = frame)
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
