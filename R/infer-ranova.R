#' Test the random effects
#'
#' A table of likelihood-ratio tests: for each random-effects term, the model without it, or without
#' one of its slopes. The fixed part stays, so that models fitted by REML are compared by the
#' restricted likelihood.
#'
#' A variance that is zero is on the boundary of its parameter space, and the likelihood ratio is
#' then not distributed as chi-squared with the difference in parameters. The table has three
#' p-values:
#'
#' * `Pr(>Chisq)`, the naive one, by that chi-squared distribution: too large, mostly by a factor of
#'   about two.
#' * `Pr(>Chibarsq)`, by the limit for many groups, a mixture of chi-squared distributions (Self and
#'   Liang 1987). Without the last of k correlated effects it is an equal mixture of k - 1 and k
#'   degrees of freedom (Stram and Lee 1994). When d > 1 effects are left out at a time, their
#'   covariance matrix is on the boundary of the cone of nonnegative definite matrices, and the
#'   weights are those of that cone; this holds when every group carries the same information, and
#'   approximately otherwise. For d > 3 it is an upper bound, the equal mixture of the two largest
#'   degrees of freedom. The limit assumes that the other variances are not zero.
#' * `Pr(>LRT)`, in finite samples. With a few dozen groups the limit rejects too rarely, in 3.5 to
#'   4.5 % of cases instead of 5 %, since an estimate is exactly zero more often than half of the
#'   time. This p-value keeps its level, and is the one to report.
#'
#' Where variances have no bounds (`nobound = TRUE` in [lmm_control()]) zero is a value like any
#' other: the limit is the chi-squared distribution with all degrees of freedom, and `Pr(>Chisq)`
#' the only p-value.
#'
#' @section Distribution in finite samples:
#' Under the hypothesis it does not depend on the fixed effects, nor on the residual variance.
#'
#' * *Exact*, where no random effects are left: for one variance by the spectral representation of
#'   Crainiceanu and Ruppert (2004), from the eigenvalues of Z'(I - H)Z, with `nsim` (10 000 to
#'   100 000) draws; for several effects of a term by simulation, as below.
#' * *Parametric bootstrap*, where other variances or a residual structure remain: `nsim` (1000)
#'   responses are simulated from the estimates of the smaller model, and both models are fitted to
#'   each. It takes account of the estimation of the other parameters.
#' * *Approximate*, where that would take long and one variance of at most 2000 levels is tested:
#'   the spectral representation with the other variances known (Greven and others 2008).
#' * Otherwise the *limit*, `Pr(>Chibarsq)`: with 2000 levels its level is 4.9 % instead of 5 %. The
#'   same applies where the variance of a residual depends on its fitted value.
#'
#' All but the last are by simulation, with p = (1 + k) / (1 + nsim) where k draws reach the
#' statistic. Where fewer than ten of at least 1000 do, the tail is that of the limit, stretched so
#' that the two agree at the upper hundredth of the draws. The method used is shown above the table.
#'
#' The limit is `NA` for terms whose effects have a structure other than `us()` and `diag()`, and
#' where `lmm_control()` holds or ties parameters of the term; the bootstrap remains. Parameters
#' that both models have are held and tied in both. A term whose parameters are all held is not
#' tested.
#'
#' @param model A model fitted by [lmm()].
#' @param reduce.terms Leave out one slope at a time, where a term has any (`TRUE`), or whole terms
#'   (`FALSE`)? `(x | g)` is reduced to `(1 | g)`, `(0 + f | g)` with a factor `f` to `(1 | g)`.
#' @param distribution `"finite"` for all three p-values; `"limit"`, without simulation, leaves
#'   `Pr(>LRT)` out.
#' @param nsim The number of simulations, where there are any. `NULL` takes the numbers given below,
#'   and skips the bootstrap where it would take long; with a number it is always done.
#' @param seed A seed for [set.seed()], set for this call only. `"response"` makes one from the
#'   response: the same call gives the same numbers, other data independent ones. `NULL` continues
#'   from the generator's current state.
#' @param ... Passed to methods.
#' @returns A data frame of class `anova` with the columns `npar`, `logLik`, `AIC`, `LRT`, `Df`,
#'   `Pr(>Chisq)` (naive), `Pr(>Chibarsq)` and `Pr(>LRT)`; the first row is the model itself. The
#'   attribute `how` says for each tested term how `Pr(>LRT)` was found. A fit that was cut off
#'   before its optimum has no `Pr(>LRT)`, and no `LRT` where the smaller model fits better: a
#'   warning says so.
#' @references
#' Crainiceanu, C. M. and Ruppert, D. (2004). Likelihood ratio tests in linear mixed models with one
#' variance component. *Journal of the Royal Statistical Society B*, 66(1), 165-185.
#'
#' Greven, S., Crainiceanu, C. M., Küchenhoff, H. and Peters, A. (2008). Restricted likelihood ratio
#' testing for zero variance components in linear mixed models. *Journal of Computational and
#' Graphical Statistics*, 17(4), 870-891.
#'
#' Self, S. G. and Liang, K.-Y. (1987). Asymptotic properties of maximum likelihood estimators and
#' likelihood ratio tests under nonstandard conditions. *Journal of the American Statistical
#' Association*, 82(398), 605-610.
#'
#' Stram, D. O. and Lee, J. W. (1994). Variance components testing in the longitudinal mixed effects
#' model. *Biometrics*, 50(4), 1171-1177.
#' @seealso [anova.lmm()], [isSingular()], [pb_test()]
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
ranova.lmm <- function(model, reduce.terms = TRUE, distribution = c("finite", "limit"),
                       nsim = NULL, seed = "response", ...) {
  check_dots(...)
  check_flag(reduce.terms, "reduce.terms")
  given <- !missing(distribution) || !is.null(nsim)
  distribution <- match_choice(distribution, "distribution", c("finite", "limit"))
  nobound <- is_nobound(model)
  if (given && distribution == "finite") {
    require_bounds(model, "A null distribution in finite samples")
  }
  if (distribution == "limit" && (!missing(nsim) || !missing(seed))) {
    ferrolmm_abort(
      "`nsim` and `seed` are for distribution = \"finite\".", "argument",
      i = "The limiting distribution needs no simulation."
    )
  }
  if (!is.null(nsim)) {
    nsim <- check_count(nsim, "nsim", 1L)
  }
  need_random(model, "ranova()")
  require_maximum(model, "ranova()")
  warn_monte_carlo(list(model, model))
  inputs <- engine_inputs(model)
  tested <- setdiff(seq_along(model$random), smooth_terms(model))
  if (length(tested) == 0L) {
    ferrolmm_abort(
      "ranova() tests the random effects of bars, and the model has none beside its smooths.",
      "argument", i = "smooths(fit) tests smooth terms."
    )
  }
  reductions <- do.call(c, lapply(
    tested, function(t) term_reductions(model, t, reduce.terms)
  ))
  smaller <- lapply(reductions, function(reduction) reduced_fit(model, inputs, reduction))
  npar <- c(count_parameters(model), vapply(smaller, `[[`, 1, "npar"))
  criterion <- c(model$criterion, vapply(smaller, `[[`, 1, "criterion"))
  labels <- make.unique(c("<none>", vapply(reductions, function(x) x$label, "")))
  cut_off <- warn_cut_off(
    statuses_of(c(list(model), smaller)), c("the model", paste("without", labels[-1L]))
  )
  stopped <- cut_off[[1L]] | cut_off[-1L]
  ratio <- c(NA, likelihood_ratios(model$criterion, criterion[-1L], labels[-1L]))
  df <- c(NA, npar[[1L]] - npar[-1L])
  table <- data.frame(
    npar = npar, logLik = -criterion / 2, AIC = criterion + 2 * npar, LRT = ratio, Df = df,
    "Pr(>Chisq)" = ifelse(df > 0, stats::pchisq(ratio, df, lower.tail = FALSE), NA),
    check.names = FALSE,
    row.names = labels
  )
  how <- NULL
  if (!nobound) {
    table[["Pr(>Chibarsq)"]] <- c(NA, mapply(
      function(reduction, ratio, df) limit_p(model, reduction, ratio, df),
      reductions, ratio[-1L], df[-1L]
    ))
  }
  if (distribution == "finite" && !nobound) {
    response <- identical(seed, "response")
    state <- random_state(if (response) response_seed(inputs$fixed$y) else seed)
    if (!is.null(state$before)) {
      on.exit(assign(".Random.seed", state$before, envir = globalenv()))
    }
    found <- Map(function(reduction, smaller, ratio, df, stopped) {
      if (stopped || is.na(ratio)) {
        return(list(p = NA_real_, how = NA_character_))
      }
      finite_null(model, inputs, reduction, smaller, ratio, df, nsim)
    }, reductions, smaller, ratio[-1L], df[-1L], stopped)
    table[["Pr(>LRT)"]] <- c(NA, vapply(found, `[[`, 1, "p"))
    how <- stats::setNames(vapply(found, `[[`, "", "how"), rownames(table)[-1L])
  }
  structure(
    table,
    heading = c(
      "ANOVA-like table for random effects: single term deletions",
      paste0("Model: ", code_label(plain_formula(model), 500L)),
      if (nobound) "Variances have no bounds: zero is no boundary, and Pr(>Chisq) the limit.",
      if (!all(is.na(how))) paste0("Pr(>LRT): ", describe_null(how))
    ),
    how = how,
    class = c("ranova.lmm", "anova.lmm", "anova", "data.frame")
  )
}

#' @param x What `ranova()` returned.
#' @param digits The number of significant digits to print.
#' @rdname ranova
#' @export
print.ranova.lmm <- function(x, digits = max(3L, getOption("digits") - 3L), ...) {
  check_dots(...)
  check_digits(digits)
  heading <- attr(x, "heading")
  p <- grep("^Pr\\(", names(x))
  shown <- vapply(seq_along(x), function(i) {
    format_ranova_column(x[[i]], names(x)[[i]], i %in% p, digits)
  }, character(nrow(x)))
  shown <- matrix(shown, nrow(x), dimnames = list(rownames(x), names(x)))
  stars <- isTRUE(getOption("show.signif.stars"))
  if (stars) {
    marks <- significance_marks(x[[max(p)]])
    shown <- cbind(shown, format(marks))
  }
  # where terms leave no room for the numbers, heads become shorter, then terms go below the table
  is_wide <- function(shown) {
    numbers <- sum(pmax(nchar(colnames(shown)), apply(nchar(shown), 2L, max)) + 1L)
    max(nchar(rownames(shown))) + numbers >= getOption("width")
  }
  if (is_wide(shown)) {
    heads <- c("Pr(>Chisq)" = "p(Chisq)", "Pr(>Chibarsq)" = "p(Chibar)", "Pr(>LRT)" = "p(LRT)")
    colnames(shown)[p] <- heads[colnames(shown)[p]]
    heading <- sub("Pr(>LRT)", "p(LRT)", heading, fixed = TRUE)
  }
  cat(wrap_heading(heading), "", sep = "\n")
  below <- is_wide(shown)
  tested <- seq_len(nrow(x))[-1L]
  if (below) {
    rownames(shown)[tested] <- paste0("[", tested - 1L, "]")
  }
  print.default(shown, quote = FALSE, right = TRUE)
  if (below) {
    cat("---\n", paste0("[", tested - 1L, "] without ", rownames(x)[tested], "\n"), sep = "")
  }
  if (stars && !is.null(attr(marks, "legend"))) {
    cat("---\nSignif. codes:  ", attr(marks, "legend"), "\n", sep = "")
  }
  invisible(x)
}

#' @noRd
format_ranova_column <- function(value, name, is_p, digits) {
  text <- if (is_p) {
    format.pval(value, max(1L, digits - 2L), eps = 1e-15, na.form = "")
  } else if (name %in% c("logLik", "AIC")) {
    format(round(value, 2L), nsmall = 2L)
  } else {
    format(zapsmall(value, digits), digits = digits)
  }
  ifelse(is.na(value), "", text)
}

#' Stars, none for a p-value that is missing
#' @noRd
significance_marks <- function(p) {
  known <- !is.na(p)
  found <- stats::symnum(
    p[known], corr = FALSE, na = FALSE, cutpoints = c(0, 0.001, 0.01, 0.05, 0.1, 1),
    symbols = c("***", "**", "*", ".", " ")
  )
  marks <- character(length(p))
  marks[known] <- found
  structure(marks, legend = attr(found, "legend"))
}

#' "exact", or for each row where they differ
#' @noRd
describe_null <- function(how) {
  words <- c(
    exact = "exact null distribution", bootstrap = "parametric bootstrap",
    approximate = "other variances taken as known", limit = "limit for many groups"
  )
  how <- how[!is.na(how)]
  kinds <- unique(unname(how))
  if (length(kinds) == 1L) {
    return(words[[kinds]])
  }
  paste(vapply(kinds, function(kind) {
    paste0(words[[kind]], " for ", paste(names(how)[how == kind], collapse = ", "))
  }, ""), collapse = "; ")
}

#' The smaller models that a term gives
#'
#' @returns list of lists: `label`; `term`; `design`, what replaces the term in the engine's design,
#'   NULL for nothing, and `smaller`, its description; `kept` and `dropped`, numbers of effects;
#'   `structure`, that of the term; `classes`, how many classes of its levels have these effects
#' @noRd
term_reductions <- function(model, t, reduce) {
  term <- model$random[[t]]
  k <- length(term$cnms)
  lhs <- if (reduce && k > 1L) reduced_sides(term, model$frame)
  bar <- paste0("(", term_words(term), ")")
  if (length(lhs) == 0L) {
    return(list(list(
      label = bar, term = t, design = NULL, smaller = NULL, kept = 0L, dropped = k,
      structure = term$structure, classes = count_classes(term)
    )))
  }
  unname(Map(function(side, name) {
    basis <- basis_columns(side, model$frame, term$contrasts)
    kept <- length(basis$columns)
    smaller <- term
    smaller$cnms <- basis$names
    smaller$columns <- seq_along(basis$names)
    smaller$lhs <- side
    smaller$structure <- if (kept == 1L) plain_structure else term$structure
    smaller$hom <- kept > 1L && isTRUE(term$hom)
    list(
      label = paste(name, "in", bar), term = t, kept = kept, dropped = k - kept,
      design = list(
        factor = term$factor, columns = own_term_columns(model, smaller),
        structure = smaller$structure, hom = smaller$hom, classes = engine_classes(smaller)
      ),
      smaller = smaller, structure = term$structure, classes = count_classes(term)
    )
  }, lhs, names(lhs)))
}

#' Left sides without one of their terms, named by what is left out
#'
#' An intercept that was coded as part of a factor comes back when that factor goes. Only sides that
#' have fewer effects count.
#' @noRd
reduced_sides <- function(term, frame) {
  formula <- stats::as.formula(call("~", own_side(term)))
  whole <- stats::terms(formula)
  pattern <- attr(whole, "factors") > 0L
  categorical <- vapply(
    variable_columns(whole), function(name) is_categorical(.subset2(frame, name)), NA
  )
  scope <- stats::drop.scope(whole)
  sides <- lapply(scope, function(label) {
    smaller <- stats::update.formula(formula, stats::as.formula(paste("~ . -", label)))
    own <- pattern[, match(label, attr(whole, "term.labels"))]
    if (attr(whole, "intercept") == 0L && any(own & categorical)) {
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
    length(basis_columns(side, frame, term$contrasts)$columns)
  }, 1L)
  sides[size > 0L & size < length(term$cnms)]
}

#' The left side of a term by itself, where it is one of those that `||` stands for
#' @noRd
own_side <- function(term) str2lang(term$label)[[2L]]

#' The model that a reduction leaves
#'
#' Parameters that it shares with the larger model are held or tied as there.
#' @returns list: `npar`, `criterion`, `theta`, `phi`, `control`, and `inputs` as [engine_inputs()]
#'   returns them; NULL for `inputs` where neither random effects nor residual parameters are left
#' @noRd
reduced_fit <- function(model, inputs, reduction) {
  terms <- model$random
  terms[[reduction$term]] <- reduction$smaller
  names <- as.character(unlist(lapply(terms, term_theta_names)))
  shared <- shared_parameters(model, reduction)
  control <- constraints_of(engine_control(model), shared)
  held <- c(logical(length(model$theta)), as.logical(model$residual$held))[shared]
  held[is.na(held)] <- FALSE
  npar <- model$rank + count_free(control, c(names, inputs$residual_names), held) +
    is.null(model$control$sigma)
  if (length(terms) == 0L && is.null(inputs$residual)) {
    # no variances, no bounds
    model$control$nobound <- FALSE
    fit <- criteria_without_random(model, inputs, as.matrix(inputs$fixed$y))
    return(list(npar = npar, criterion = fit$criterion))
  }
  design <- inputs$random$design
  design$terms[[reduction$term]] <- reduction$design
  used <- sort(unique(vapply(design$terms, function(term) term$factor, 1L)))
  design$factors <- design$factors[used]
  design$terms <- lapply(design$terms, function(term) {
    term$factor <- match(term$factor, used)
    term
  })
  inputs$random <- list(terms = terms, theta_names = names, design = design)
  result <- engine_fit(model_of(inputs), model$REML, NULL, control)
  list(
    npar = npar, criterion = result$criterion, status = result$certificate$status,
    theta = result$theta, phi = result$phi, inputs = inputs, control = control
  )
}

#' Which parameter of the model (of theta and phi) each one of a smaller model is; NA where it is
#' none
#' @noRd
shared_parameters <- function(model, reduction) {
  counts <- theta_counts(model)
  whole <- split(seq_along(model$theta), rep.int(seq_along(counts), counts))
  t <- reduction$term
  own <- whole[[t]]
  whole[[t]] <- if (!is.null(reduction$smaller)) {
    smaller <- reduction$smaller
    smaller$columns <- seq_along(smaller$cnms)
    own[match(
      parameter_keys(smaller, model$frame), parameter_keys(model$random[[t]], model$frame)
    )]
  }
  unname(c(unlist(whole), length(model$theta) + seq_along(model$phi)))
}

#' What each element of a term's theta is about: keys of its effects, or the number of a correlation
#' @noRd
parameter_keys <- function(term, frame) {
  effects <- term_keys(term, frame)
  index <- theta_index(term)
  pair <- index$row != index$col
  keys <- effects[index$row]
  if (is_natural(term)) {
    if (isTRUE(term$hom)) keys[1L] <- "sd"
    keys[pair] <- term_correlations(term)$names
  } else {
    keys[pair] <- paste(keys[pair], effects[index$col[pair]], sep = "\r")
  }
  name_classes(keys, term$classes)
}

#' Constraints by position for parameters that are taken from others, NA for new ones
#' @noRd
constraints_of <- function(control, from) {
  hold <- control$hold[from]
  control["hold"] <- list(if (any(!is.na(hold))) hold)
  if (!is.null(control$tie)) {
    sets <- control$tie[from]
    tie <- ifelse(is.na(sets), seq_along(from), match(sets, sets))
    control["tie"] <- list(if (anyDuplicated(tie)) tie)
  }
  control
}
