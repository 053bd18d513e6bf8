# Methods for generics of 'car', whose defaults read coef(), which for these models is a table for
# each grouping factor, and silently give wrong numbers.

#' Support for 'car'
#'
#' `car::Anova()` gives tests of the terms, and `car::linearHypothesis()` those of [contest()]; for
#' `"Chisq"` Wald's chi-squared statistic of `vcov.`. Type II is that of 'car': each term after all
#' others but those that contain all of its variables, covariates too, in the metric of the
#' covariance matrix of the estimates. (For SAS, 'lmerTest' and [anova()][anova.lmm] a factor is not
#' contained in its interaction with a covariate, and the metric is that of the design.) Types I and
#' III are those of [anova.lmm()]: type III does not depend on how factors are coded, as it does in
#' 'car', which agrees where they have sum contrasts. `car::vif()` gives the generalised
#' variance inflation factors of the terms of the fixed part (Fox and Monette, 1992): \eqn{\det
#' R_{11} \det R_{22} / \det R}, with \eqn{R} the correlation matrix of the estimates without the
#' intercept, \eqn{R_{11}} that of the columns of a term and \eqn{R_{22}} that of the others; where
#' terms have several columns, also its root of order twice their number. `car::deltaMethod()` and
#' `car::Confint()` are about the fixed effects. `car::influencePlot()`, `car::infIndexPlot()` and
#' `car::outlierTest()` take the diagnostics of this package: [hatvalues()][hatvalues.lmm()],
#' [rstudent()][residuals.lmm()] and [cooks.distance()][influence.lmm()].
#'
#' @param mod,model,object A model fitted by [lmm()].
#' @param type For `Anova()` the type of the tests, see [anova.lmm()]; for `vif()` only `"terms"`.
#' @param test.statistic,test `"F"`, or `"Chisq"` for Wald's chi-squared.
#' @param ddf The method for the degrees of freedom of F, see [ddf]: `r ddf_choices()`.
#' @param vcov. A covariance matrix or a function that gives one: F then has infinite denominator
#'   degrees of freedom.
#' @param hypothesis.matrix,rhs `L` and `rhs` of [contest()].
#' @param estimate Give the estimates along with their limits?
#' @param level The confidence level.
#' @param g. A function of the fixed effects as a string, see `car::deltaMethod()`.
#' @param parameterNames Names of the fixed effects in `g.`.
#' @param ... For `deltaMethod()` its further arguments; for `Confint()` those of [confint.lmm()].
#' @returns What the generics return.
#' @references
#' Fox, J. and Monette, G. (1992). Generalized collinearity diagnostics. *Journal of the American
#' Statistical Association*, 87, 178-183.
#' @seealso [anova.lmm()], [contest()], [ddf]
#' @examplesIf requireNamespace("car", quietly = TRUE)
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + Sex + (age | Subject), Orthodont)
#' car::Anova(fit, test.statistic = "Chisq")
#' car::vif(fit)
#' @name car-lmm
#' @rawNamespace S3method(car::Anova, lmm)
Anova.lmm <- function(mod, type = "II", ddf = "Satterthwaite", test.statistic = c("F", "Chisq"),
                      vcov. = NULL, ...) {
  check_dots(...)
  statistic <- match_choice(test.statistic, "test.statistic", c("F", "Chisq"))
  type <- match_type(type)
  inference <- car_inference(mod, ddf, missing(ddf), statistic, vcov.)
  contrasts <- if (type == "II") {
    adjusted_contrasts(inference)
  } else {
    term_contrasts(inference$object, type)
  }
  if (statistic == "F") {
    if (is.null(vcov.) && type != "II") {
      return(anova.lmm(mod, type = type, ddf = ddf))
    }
    table <- f_table(inference, contrasts)
    heading <- paste0(
      describe_type(type), " Analysis of Variance Table",
      if (is.null(vcov.)) {
        describe_ddf(match_ddf(ddf), " with ")
      } else {
        " with the given covariance matrix"
      }
    )
    if (is.null(vcov.)) {
      return(structure(
        table, heading = heading, class = c("anova.lmm", "anova", "data.frame"),
        hypotheses = shown_hypotheses(contrasts, inference$object)
      ))
    }
  } else {
    table <- chi_squared_table(inference, contrasts)
    heading <- c(
      paste0("Analysis of Deviance Table (", describe_type(type), " Wald chisquare tests)\n"),
      paste0("Response: ", names(mod$frame)[[1L]])
    )
  }
  structure(table, heading = heading, class = c("anova", "data.frame"))
}

#' Type II as 'car' has it: the coefficients of a term less what the estimates of its relatives, the
#' terms with all its variables, say of them
#' @noRd
adjusted_contrasts <- function(inference) {
  object <- inference$object
  labels <- labels.lmm(object)
  kept <- kept_columns(object)
  pattern <- attr(object$terms, "factors") > 0L
  identity <- diag(length(kept))
  contrasts <- lapply(seq_along(labels), function(term) {
    contains <- apply(pattern[, term] <= pattern, 2L, all)
    own <- which(object$assign[kept] == term)
    relatives <- which(object$assign[kept] %in% setdiff(which(contains), term))
    L <- identity[own, , drop = FALSE]
    if (length(relatives) > 0L && length(own) > 0L) {
      variance <- inference$variance
      slopes <- solve(
        variance[relatives, relatives, drop = FALSE], variance[relatives, own, drop = FALSE]
      )
      L[, relatives] <- -t(slopes)
    }
    L
  })
  stats::setNames(contrasts, labels)
}

#' @rdname car-lmm
#' @rawNamespace S3method(car::linearHypothesis, lmm)
linearHypothesis.lmm <- function(model, hypothesis.matrix, rhs = NULL, ddf = "Satterthwaite",
                                 test = c("F", "Chisq"), vcov. = NULL, ...) {
  check_dots(...)
  statistic <- match_choice(test, "test", c("F", "Chisq"))
  inference <- car_inference(model, ddf, missing(ddf), statistic, vcov.)
  hypotheses <- contrast_matrix(hypothesis.matrix, if (is.null(rhs)) 0 else rhs, inference$object)
  check_contradiction(hypotheses, inference)
  table <- if (statistic == "F") {
    hypotheses <- orthonormal_rows(hypotheses, inference$variance)
    test_joint(inference, hypotheses$L, hypotheses$rhs)
  } else {
    chi_squared(inference, hypotheses$L, hypotheses$rhs)
  }
  structure(
    table,
    heading = paste0("Linear hypothesis test", if (statistic == "F" && is.null(vcov.)) {
      describe_ddf(inference$method, " with ")
    }),
    class = c("anova", "data.frame")
  )
}

#' The inference that the arguments of a test of 'car' ask for
#' @noRd
car_inference <- function(object, ddf, no_ddf, statistic, variance) {
  check_one_ddf(no_ddf, variance)
  method <- match_ddf(ddf)
  if (statistic == "F") {
    return(other_inference(object, variance, NULL, method))
  }
  if (!no_ddf && method != "asymptotic") {
    ferrolmm_abort(
      "`ddf` is for F statistics: a chi-squared statistic has none.", "argument",
      i = "Use test = \"F\", or leave `ddf` out."
    )
  }
  other_inference(object, variance, NULL, "asymptotic")
}

#' Wald's statistic (L b - rhs)' (L V L')^-1 (L b - rhs)
#' @noRd
chi_squared <- function(inference, L, rhs = 0) {
  wald <- if (nrow(L) == 0L) {
    list(value = NA_real_, rank = 0L)
  } else {
    wald_statistic(L, drop(L %*% inference$beta) - rhs, inference$variance, inference$rx)
  }
  data.frame(
    Chisq = wald$value, Df = wald$rank,
    "Pr(>Chisq)" = stats::pchisq(wald$value, wald$rank, lower.tail = FALSE), check.names = FALSE
  )
}

#' @noRd
chi_squared_table <- function(inference, contrasts) {
  none <- chi_squared(inference, matrix(0, 0L, 0L))[0L, ]
  tests <- lapply(unname(contrasts), function(L) chi_squared(inference, L))
  table <- do.call(rbind, c(list(none), tests))
  row.names(table) <- names(contrasts)
  table
}

#' @rdname car-lmm
#' @rawNamespace S3method(car::vif, lmm)
vif.lmm <- function(mod, type = "terms", ...) {
  check_dots(...)
  match_choice(type, "type", "terms")
  if (mod$rank < length(mod$coefficients)) {
    ferrolmm_abort(
      "A variance inflation factor is not defined where coefficients are aliased.", "argument",
      x = paste0("Dropped for want of rank: ",
                 quote_names(names(mod$coefficients)[is.na(mod$coefficients)]), ".")
    )
  }
  slopes <- which(mod$assign > 0L)
  labels <- labels.lmm(mod)
  if (length(labels) < 2L) {
    ferrolmm_abort(
      "Variance inflation factors compare terms: the fixed part has fewer than two.", "argument"
    )
  }
  correlations <- stats::cov2cor(vcov.lmm(mod)[slopes, slopes, drop = FALSE])
  owner <- mod$assign[slopes]
  log_determinant <- function(at) {
    as.numeric(determinant(correlations[at, at, drop = FALSE])$modulus)
  }
  whole <- log_determinant(seq_along(owner))
  columns <- tabulate(owner, length(labels))
  factors <- vapply(seq_along(labels), function(term) {
    own <- owner == term
    exp(log_determinant(own) + log_determinant(!own) - whole)
  }, 0)
  if (all(columns == 1L)) {
    return(stats::setNames(factors, labels))
  }
  matrix(
    c(factors, columns, factors^(1 / (2 * columns))), ncol = 3L,
    dimnames = list(labels, c("GVIF", "Df", "GVIF^(1/(2*Df))"))
  )
}

#' @rdname car-lmm
#' @rawNamespace S3method(car::deltaMethod, lmm)
deltaMethod.lmm <- function(object, g., vcov. = NULL, parameterNames = names(fixef.lmm(object)),
                            ...) {
  check_dots(..., allowed = c("func", "constants", "level", "rhs", "envir"))
  variance <- if (is.null(vcov.)) vcov.lmm(object) else other_variance(object, vcov., "vcov.")
  if (!is.character(parameterNames) || length(parameterNames) != object$rank) {
    ferrolmm_abort(
      paste0("`parameterNames` must have a name for each of the ",
             count_of(object$rank, "fixed effect"), "."), "argument"
    )
  }
  if (!is.character(g.) || length(g.) != 1L || is.na(g.)) {
    ferrolmm_abort("`g.` must be a string, as in \"age / Sex\".", "argument")
  }
  car::deltaMethod(
    stats::setNames(object$beta, parameterNames), g., unname(variance),
    parameterNames = parameterNames, ...
  )
}

#' @rdname car-lmm
#' @param pattern,coef. For `matchCoefs()`: a regular expression, and the coefficients whose names
#'   it is compared with.
#' @rawNamespace S3method(car::matchCoefs, lmm)
matchCoefs.lmm <- function(model, pattern, coef. = fixef.lmm, ...) {
  check_dots(...)
  if (!is.function(coef.)) {
    ferrolmm_abort("`coef.` must be a function of a fit.", "argument")
  }
  if (!is.character(pattern) || length(pattern) != 1L || is.na(pattern)) {
    ferrolmm_abort(
      paste0("`pattern` must be a regular expression", describe_given(pattern), "."), "argument"
    )
  }
  grep(pattern, names(coef.(model)), value = TRUE)
}

#' A fit whose coef() are the fixed effects, for methods of 'car' for linear models
#' @noRd
as_linear <- function(model) {
  class(model) <- c("lmm_as_linear", class(model))
  model
}

#' @export
#' @noRd
coef.lmm_as_linear <- function(object, ...) {
  fixef.lmm(object)
}

#' What a generic of 'car' does with a linear model, on a fit; takes arguments of 'graphics', too
#' @noRd
by_linear_method <- function(generic, model, ...) {
  method <- utils::getS3method(generic, "lm", envir = asNamespace("car"))
  allowed <- setdiff(names(formals(method)), c("model", "..."))
  check_dots(..., allowed = c(allowed, graphical_arguments()))
  check_fit(model)
  method(as_linear(model), ...)
}

#' @rdname car-lmm
#' @rawNamespace S3method(car::influencePlot, lmm)
influencePlot.lmm <- function(model, ...) {
  by_linear_method("influencePlot", model, ...)
}

#' @rdname car-lmm
#' @rawNamespace S3method(car::infIndexPlot, lmm)
infIndexPlot.lmm <- function(model, ...) {
  by_linear_method("infIndexPlot", model, ...)
}

#' @rdname car-lmm
#' @rawNamespace S3method(car::infIndexPlot, influence.lmm)
infIndexPlot.influence.lmm <- function(model, ...) {
  method <- utils::getS3method("infIndexPlot", "influence.merMod", envir = asNamespace("car"))
  allowed <- setdiff(names(formals(method)), c("model", "..."))
  check_dots(..., allowed = c(allowed, graphical_arguments()))
  # the second part of lme4's objects has what was deleted as the names of its rows
  method(structure(
    c(list(NULL, as.data.frame(model$coefficients)), unclass(model), list(groups = model$name)),
    class = class(model)
  ), ...)
}

#' @rdname car-lmm
#' @rawNamespace S3method(car::outlierTest, lmm)
outlierTest.lmm <- function(model, ...) {
  by_linear_method("outlierTest", model, ...)
}

#' @rdname car-lmm
#' @rawNamespace S3method(car::Confint, lmm)
Confint.lmm <- function(object, estimate = TRUE, level = 0.95, vcov. = NULL, ...) {
  check_fit(object)
  check_flag(estimate, "estimate")
  limits <- if (is.null(vcov.)) {
    confint.lmm(object, "beta_", level, ...)[kept_columns(object), , drop = FALSE]
  } else {
    coefci.lmm(object, level = level, vcov. = vcov., ...)
  }
  if (estimate) cbind(Estimate = object$beta, limits) else limits
}
