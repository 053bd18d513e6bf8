# lmerTest::step(): backward elimination, with the tests of this package.

#' Support for 'lmerTest'
#'
#' `lmerTest::step()` simplifies a model: while the largest p-value of the random effects, by the
#' likelihood ratio and the chi-squared distribution as in [ranova()]'s column `Pr(>Chisq)`, is
#' above `alpha.random`, that term (or slope) goes; then, while the largest p-value of the terms
#' that [drop1()][drop1.lmm()] tests is above `alpha.fixed`, that term goes. Where no random effects
#' and no residual structure are left, the model is one of [lm()]. `lmerTest::get_model()` gives the
#' model that was found. Without 'lmerTest', `step()` is [stats::step()], another search, by AIC.
#'
#' `lmerTest::ls_means()` (`lsmeansLT()`, the same) gives the means of the levels of factors, and
#' `difflsmeans()` their pairwise differences: the other factors count with equal weights for each
#' of their levels, and each numeric column of the model frame is at its mean (of `poly(x, 2)`, each
#' of its columns). Means that cannot be estimated are `NA`. `lmerTest::show_tests()` shows the
#' hypotheses of these tables, and of those of [anova()][anova.lmm()] and [drop1()][drop1.lmm()].
#'
#' `lmerTest::ranova()` and `rand()` are not generic: use [ranova()] of this package.
#'
#' @param object,model A model fitted by [lmm()].
#' @param ddf The method for the degrees of freedom, see [ddf]: `r ddf_choices()`.
#' @param alpha.random,alpha.fixed p-values above which terms are eliminated.
#' @param reduce.fixed,reduce.random Eliminate fixed effects, random effects?
#' @param keep Names of fixed terms that stay.
#' @param which Names of the terms of factors; by default all of them.
#' @param level The confidence level.
#' @param pairwise Pairwise differences of the means?
#' @param ... Not used.
#' @returns `step()`: an object of class `step_list` with the tables `random` and `fixed`.
#'   `ls_means()`, `lsmeansLT()`, `difflsmeans()`: a data frame of class `ls_means`.
#' @references
#' Kuznetsova, A., Brockhoff, P. B. and Christensen, R. H. B. (2017). lmerTest package: tests in
#' linear mixed effects models. *Journal of Statistical Software*, 82(13), 1-26.
#' @seealso [ranova()], [drop1.lmm()], [contest()]
#' @examplesIf requireNamespace("lmerTest", quietly = TRUE)
#' data(cake, package = "lme4")
#' fit <- lmm(angle ~ recipe * temperature + (1 | recipe:replicate), cake)
#' lmerTest::step(fit)
#' lmerTest::ls_means(fit, "recipe")
#' @name lmerTest-lmm
#' @aliases step.lmm
step.lmm <- function(object, ddf = "Satterthwaite", alpha.random = 0.1, alpha.fixed = 0.05,
                     reduce.fixed = TRUE, reduce.random = TRUE, keep = character(), ...) {
  check_dots(...)
  method <- match_ddf(ddf)
  if (method == "none") {
    ferrolmm_abort("step() needs p-values, which ddf = \"none\" does not give.", "argument")
  }
  check_alpha(alpha.random, "alpha.random")
  check_alpha(alpha.fixed, "alpha.fixed")
  check_flag(reduce.fixed, "reduce.fixed")
  check_flag(reduce.random, "reduce.random")
  unknown <- setdiff(keep, labels.lmm(object))
  if (length(unknown) > 0L) {
    ferrolmm_abort(
      paste0("`keep` names ", quote_names(unknown), ", which is no term of the fixed part."),
      "argument", i = did_you_mean(unknown[[1L]], labels.lmm(object))
    )
  }
  random <- eliminate_random(object, if (reduce.random) alpha.random else 1)
  fixed <- eliminate_fixed(
    random$model, method, if (reduce.fixed) alpha.fixed else 1, keep, fit_home(object)
  )
  structure(
    list(random = random$table, fixed = fixed$table),
    model = fixed$model, drop1 = fixed$tests, class = "step_list"
  )
}

#' @noRd
check_alpha <- function(alpha, name) {
  if (!is.numeric(alpha) || length(alpha) != 1L || is.na(alpha) || alpha < 0 || alpha > 1) {
    ferrolmm_abort(
      paste0("`", name, "` must be a number from 0 to 1", describe_given(alpha), "."), "argument"
    )
  }
}

#' Which row of a table of tests goes next; none where all p-values are small or missing
#' @noRd
next_to_go <- function(p, alpha) {
  if (any(p > alpha, na.rm = TRUE)) which.max(p) else integer()
}

#' Rows of a table that were eliminated, in their order, and those that stay
#' @noRd
reduction_table <- function(gone, rest, first = NULL, heading) {
  columns <- c("Eliminated", setdiff(names(rest), "Eliminated"))
  steps <- Map(function(row, number) cbind(Eliminated = number, row), gone, seq_along(gone))
  table <- do.call(rbind, c(
    if (!is.null(first)) list(cbind(Eliminated = NA_real_, first)), steps,
    list(cbind(Eliminated = numeric(nrow(rest)), rest))
  ))
  structure(table[columns], heading = heading, class = c("anova", "data.frame"))
}

# Random effects ----------------------------------------------------------------------------------

#' @returns list(model, table)
#' @noRd
eliminate_random <- function(model, alpha) {
  gone <- list()
  tests <- random_tests(model)
  first <- tests[1L, ]
  repeat {
    at <- next_to_go(tests[["Pr(>Chisq)"]], alpha)
    if (length(at) == 0L) {
      break
    }
    gone <- c(gone, list(tests[at, ]))
    model <- without_reduction(model, at - 1L)
    tests <- random_tests(model)
  }
  list(model = model, table = reduction_table(
    gone, tests[-1L, ], first, "Backward reduced random-effect table:\n"
  ))
}

#' What ranova() tests, by the chi-squared distribution; the model alone where it has no random
#' effects
#' @noRd
random_tests <- function(model) {
  columns <- c("npar", "logLik", "AIC", "LRT", "Df", "Pr(>Chisq)")
  if (inherits(model, "lmm") && length(model$random) > 0L) {
    return(as.data.frame(ranova.lmm(model, distribution = "limit"))[columns])
  }
  likelihood <- stats::logLik(model)
  npar <- attr(likelihood, "df")
  table <- data.frame(npar, as.numeric(likelihood), 2 * npar - 2 * as.numeric(likelihood),
                      NA_real_, NA_real_, NA_real_, row.names = "<none>")
  stats::setNames(table, columns)
}

#' The model without what the number of a reduction of ranova() leaves out
#' @noRd
without_reduction <- function(model, number) {
  reductions <- do.call(c, lapply(
    seq_along(model$random), function(t) term_reductions(model, t, TRUE)
  ))
  reduction <- reductions[[number]]
  if (length(model$random) == 1L && is.null(reduction$design) && is.null(model$residual)) {
    return(linear_model(model))
  }
  change <- call("-", quote(.), bar_of_term(model, reduction$term))
  if (!is.null(reduction$smaller)) {
    change <- call("+", change, bar_of_term(model, reduction$term, reduction$smaller$lhs))
  }
  update.lmm(model, stats::as.formula(call("~", quote(.), change)))
}

#' The bar of one term in the words of the formula, with another left side if there is one
#' @noRd
bar_of_term <- function(model, t, lhs = own_side(term)) {
  term <- model$random[[t]]
  for (bar in split_random(full_formula(model)[[3L]])$bars) {
    parsed <- parse_bar(bar)
    group <- match(term$group, vapply(parsed$groups, `[[`, "", "name"))
    # `||` stands for several terms, of which each has its own left side
    if (!is.na(group) && (parsed$double || identical(parsed$lhs, term$lhs))) {
      written <- bar$call
      inner <- call("|", lhs, parsed$groups[[group]]$expr)
      if (is_bar(written)) {
        return(call("(", inner))
      }
      written[[2L]] <- inner
      return(written)
    }
  }
}

#' The model without random effects: the call of lmm() that lm() understands
#' @noRd
linear_model <- function(model) {
  call <- model$call
  kept <- argument_names(call, c("data", "subset", "weights", "offset", "na.action", "contrasts"))
  formula <- stats::formula(model$terms)
  environment(formula) <- environment(full_formula(model))
  linear <- as.call(c(list(quote(stats::lm), formula = formula), as.list(call)[kept]))
  before <- options(own_options(model))
  on.exit(options(before))
  eval(linear, fit_home(model))
}

# Fixed effects -----------------------------------------------------------------------------------

#' @param home where the call of a model of lm() is evaluated.
#' @returns list(model, table, tests): `tests` are those of the last model
#' @noRd
eliminate_fixed <- function(model, method, alpha, keep, home) {
  heading <- c(
    "Backward reduced fixed-effect table:",
    if (inherits(model, "lmm")) paste("Degrees of freedom method:", method, "\n")
  )
  rows <- stats::nobs(model)
  gone <- list()
  tests <- fixed_tests(model, method)
  repeat {
    p <- tests[["Pr(>F)"]]
    p[rownames(tests) %in% keep] <- NA
    at <- next_to_go(p, alpha)
    if (length(at) == 0L) {
      break
    }
    label <- rownames(tests)[[at]]
    gone <- c(gone, list(as.data.frame(tests)[at, ]))
    smaller <- stats::as.formula(paste(". ~ . -", label))
    model <- if (inherits(model, "lmm")) {
      update.lmm(model, smaller)
    } else {
      eval(stats::update(model, smaller, evaluate = FALSE), home)
    }
    check_same_rows(model, rows, label)
    tests <- fixed_tests(model, method)
  }
  list(
    model = model, table = reduction_table(gone, as.data.frame(tests), heading = heading),
    tests = tests
  )
}

#' @noRd
fixed_tests <- function(model, method) {
  if (inherits(model, "lmm")) {
    return(drop1.lmm(model, ddf = method))
  }
  stats::drop1(model, test = "F")[-1L, , drop = FALSE]
}

#' @noRd
check_same_rows <- function(model, rows, label) {
  now <- stats::nobs(model)
  if (now != rows) {
    ferrolmm_abort(
      paste0("Without ", quote_names(label), " the model has ", count_of(now, "row"), ", not ",
             rows, ": tests of different rows do not compare."),
      "data", i = "Leave out rows with missing values before the fit."
    )
  }
}
