# Small accessors of what a fit stores: methods of generics in stats and nlme.

#' Extract the parts of a fitted model
#'
#' Methods of the usual generics. `fixef()` gives the fixed effects; `formula()`, `terms()` and
#' `model.frame()` can be narrowed to the fixed or the random part; `model.matrix()` rebuilds the
#' model matrix of either.
#'
#' @param object,x,formula A model fitted by [lmm()].
#' @param add.dropped Include coefficients that were dropped because of rank deficiency, as `NA`?
#' @param full Include the names of coefficients that were dropped because of rank deficiency?
#' @param fixed.only,random.only Only the fixed, only the random part?
#' @param type For `model.matrix()`: `"fixed"` (X), `"random"` (Z, sparse) or `"randomListRaw"`
#'   (the model matrix of each term before it is split by level). For `weights()`: `"prior"`, the
#'   weights given.
#' @param data For `model.matrix()`: other rows, coded as those of the fit (bases such as `poly()`
#'   are those of the fit). Rows with missing values are `NA`; levels that the fit has not seen
#'   have no column in Z, and are an error.
#' @param ... Not used.
#' @returns `fixef()`: a named vector. `sigma()`: the residual standard deviation. `formula()`,
#'   `terms()`, `model.frame()`, `model.matrix()`, `family()`, `weights()`: as their generics say.
#'   `ngrps()`: the number of levels of each grouping factor, and of the groups within which
#'   residuals are correlated. `case.names()`, `variable.names()` and
#'   `labels()`: the names of the rows, of the columns of X, and of the terms of the fixed part.
#' @seealso [getME.lmm()], [vcov.lmm()], [VarCorr.lmm()], [ranef.lmm()]
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' fixef(fit)
#' sigma(fit)
#' formula(fit, random.only = TRUE)
#' head(model.matrix(fit))
#' ngrps(fit)
#' @name lmm-accessors
NULL

#' @rdname lmm-accessors
#' @importFrom nlme fixef
#' @method fixef lmm
#' @export
fixef.lmm <- function(object, add.dropped = FALSE, ...) {
  check_dots(...)
  check_flag(add.dropped, "add.dropped")
  coefficients <- object$coefficients
  if (add.dropped) coefficients else coefficients[!is.na(coefficients)]
}

#' @importFrom nlme fixef
#' @export
nlme::fixef

#' @rdname lmm-accessors
#' @importFrom stats sigma
#' @export
sigma.lmm <- function(object, ...) {
  check_dots(...)
  object$sigma
}

#' @rdname lmm-accessors
#' @importFrom stats formula
#' @export
formula.lmm <- function(x, fixed.only = FALSE, random.only = FALSE,
                        ...) {
  # as.formula() passes `env`
  check_dots(..., allowed = "env")
  check_one_part(fixed.only, random.only)
  if (fixed.only) {
    return(stats::formula(x$terms))
  }
  if (random.only) {
    return(random_formula(full_formula(x)))
  }
  full_formula(x)
}

#' @noRd
check_one_part <- function(fixed_only, random_only) {
  check_flag(fixed_only, "fixed.only")
  check_flag(random_only, "random.only")
  if (fixed_only && random_only) {
    ferrolmm_abort(
      "`fixed.only` and `random.only` cannot both be TRUE.", "argument",
      i = "Set both to FALSE to get the whole."
    )
  }
}

#' A formula without its fixed part: the response and the bar terms as they were written
#' @noRd
random_formula <- function(formula) {
  terms <- lapply(split_random(formula[[3L]])$bars, `[[`, "call")
  formula[[3L]] <- if (length(terms)) {
    Reduce(function(left, right) call("+", left, right), terms)
  } else {
    1
  }
  formula
}

#' @rdname lmm-accessors
#' @importFrom stats terms
#' @export
terms.lmm <- function(x, fixed.only = TRUE, random.only = FALSE,
                      ...) {
  check_dots(...)
  if (missing(fixed.only) && isTRUE(random.only)) {
    fixed.only <- FALSE
  }
  check_one_part(fixed.only, random.only)
  if (fixed.only) {
    return(x$terms)
  }
  if (random.only) {
    return(stats::terms(
      parse_formula(random_formula(full_formula(x)), NULL, NULL, residual = list())$frame
    ))
  }
  attr(x$frame, "terms")
}

#' @rdname lmm-accessors
#' @importFrom stats model.frame
#' @export
model.frame.lmm <- function(formula, fixed.only = FALSE, ...) {
  check_dots(...)
  check_flag(fixed.only, "fixed.only")
  frame <- formula$frame
  if (!fixed.only) {
    return(frame)
  }
  columns <- c(variable_columns(formula$terms), own_columns)
  narrowed <- frame[names(frame) %in% columns]
  attr(narrowed, "terms") <- formula$terms
  attr(narrowed, "na.action") <- attr(frame, "na.action")
  narrowed
}

#' @rdname lmm-accessors
#' @importFrom stats family
#' @export
family.lmm <- function(object, ...) {
  check_dots(...)
  stats::gaussian()
}

#' @rdname lmm-accessors
#' @importFrom stats weights
#' @export
weights.lmm <- function(object, type = "prior", ...) {
  check_dots(...)
  match_choice(type, "type", "prior")
  values <- if (is_sampled(object)) sampled_weights(object) else object$prior.weights
  stats::naresid(object$na.action, if (is.null(values)) rep.int(1, nobs.lmm(object)) else values)
}

#' @rdname lmm-accessors
#' @importFrom stats case.names
#' @export
case.names.lmm <- function(object, ...) {
  check_dots(...)
  row.names(object$frame)
}

#' @rdname lmm-accessors
#' @importFrom stats variable.names
#' @export
variable.names.lmm <- function(object, full = FALSE, ...) {
  check_dots(...)
  check_flag(full, "full")
  names(fixef.lmm(object, add.dropped = full))
}

#' @rdname lmm-accessors
#' @export
labels.lmm <- function(object, ...) {
  check_dots(...)
  attr(object$terms, "term.labels")
}

#' @rdname lmm-generics
#' @export
#' @rawNamespace S3method(lme4::ngrps, lmm)
ngrps.lmm <- function(object, ...) {
  check_dots(...)
  counts <- vapply(object$flist, nlevels, 1L)
  of_smooths <- vapply(object$random[smooth_terms(object)], `[[`, 1L, "factor")
  if (length(of_smooths) > 0L) counts <- counts[-of_smooths]
  subjects <- residual_subjects(object)
  if (is.null(subjects) || subjects$name %in% names(counts)) {
    return(counts)
  }
  c(counts, stats::setNames(subjects$count, subjects$name))
}
