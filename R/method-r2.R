#' Explained variance and intraclass correlation
#'
#' `r_squared()`: the shares of the variance that the fixed effects explain (marginal) and that
#' fixed and random effects explain together (conditional), after Nakagawa and Schielzeth (2013).
#' `intraclass()`: the shares of the random effects in the variance that the fixed effects do not
#' explain, by grouping factor.
#'
#' @details
#' With \eqn{V_f} the variance of \eqn{X\hat\beta} over the rows (divisor \eqn{n - 1}),
#' \eqn{V_r} the mean over the rows of \eqn{z'Gz}, which takes random slopes into account (Johnson,
#' 2014), and \eqn{V_e} the mean of the residual variances, \eqn{\sigma^2 / w} (times \eqn{d^2},
#' with a variance function), \deqn{R^2_m = V_f / (V_f + V_r + V_e), \quad R^2_c = (V_f + V_r) /
#' (V_f + V_r + V_e).} The intraclass correlation of a grouping factor is its part of \eqn{V_r /
#' (V_r + V_e)}; `adjusted` is this share, `unadjusted` has \eqn{V_f} in the denominator as well. An
#' offset is not part of \eqn{V_f}.
#'
#' With 'performance' loaded, its `r2()` gives the same numbers.
#' @param object A model fitted by [lmm()].
#' @param ... None: any other argument is an error.
#' @returns `r_squared()`: a named vector, `marginal` and `conditional`. `intraclass()`: a data
#'   frame with columns `group` (the grouping factors, then all together as `(all)`), `adjusted` and
#'   `unadjusted`.
#' @references
#' Nakagawa, S. and Schielzeth, H. (2013). A general and simple method for obtaining R2 from
#' generalized linear mixed-effects models. *Methods in Ecology and Evolution*, 4, 133-142.
#'
#' Johnson, P. C. D. (2014). Extension of Nakagawa and Schielzeth's R2GLMM to random slopes models.
#' *Methods in Ecology and Evolution*, 5, 944-946.
#' @seealso [VarCorr.lmm()], [intraclass()]
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' r_squared(fit)
#' intraclass(fit)
#' @export
r_squared <- function(object, ...) {
  check_dots(...)
  check_lmm(object, "r_squared")
  parts <- variance_parts(object)
  total <- parts$fixed + sum(parts$random) + parts$residual
  c(marginal = parts$fixed, conditional = parts$fixed + sum(parts$random)) / total
}

#' @rdname r_squared
#' @export
intraclass <- function(object, ...) {
  check_dots(...)
  check_lmm(object, "intraclass")
  parts <- variance_parts(object)
  random <- c(parts$random, `(all)` = sum(parts$random))
  below <- sum(parts$random) + parts$residual
  data.frame(
    group = names(random), adjusted = unname(random) / below,
    unadjusted = unname(random) / (below + parts$fixed)
  )
}

#' What the covariance of one class is multiplied by in each level: nothing in levels of other
#' classes, else the level's variance in a known matrix; NULL where that is 1 everywhere
#' @noRd
class_weights <- function(object, term, class) {
  level <- if (length(term$known)) level_variances(object, term$factor)
  if (is.null(term$class_of)) {
    return(level)
  }
  (term$class_of == class) * if (is.null(level)) 1 else level
}

#' Variances over the rows: of the fixed part, mean z'Gz by grouping factor, mean sigma^2 / w
#' @noRd
variance_parts <- function(object) {
  x <- own_matrix(object)
  n <- count_observations(object)
  rows <- rep_len(require_counts(x, "The variance explained"), nrow(x)) / n
  one <- attr(x, "one")
  fixed <- drop(x[, kept_columns(object), drop = FALSE] %*% object$beta)
  fixed <- fixed - one * sum(rows * one * fixed)
  factors <- term_factors(unname(object$theta), object$random)
  by_term <- vapply(seq_along(factors), function(t) {
    term <- object$random[[t]]
    sum(vapply(seq_along(factors[[t]]), function(class) {
      level <- class_weights(object, term, class)
      squares <- term_squares(object, t, level, attr(x, "counts"))$squares
      sum(squares / n * tcrossprod(factors[[t]][[class]]))
    }, 0))
  }, 0)
  factor <- vapply(object$random, `[[`, 1L, "factor")
  random <- vapply(seq_along(object$flist), function(f) sum(by_term[factor == f]), 0)
  list(
    fixed = sum(rows * fixed^2) * n / (n - 1),
    random = stats::setNames(object$sigma^2 * random, names(object$flist)),
    residual = object$sigma^2 *
      if (is.null(object$condensed)) mean(residual_variances(object)) else 1
  )
}
