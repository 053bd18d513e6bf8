# Penalties on covariances of random effects, as users write them.

#' Penalties on covariances of random effects
#'
#' Estimates of variances are often zero, and those of correlations 1 or -1, where there are few
#' groups. A penalty on the covariance matrix of a term's random effects keeps it off that boundary:
#' it is minus twice the logarithm of a density, which is zero there, and is added to the criterion
#' that is minimised. The estimate is then the mode of a posterior density. Given to
#' [lmm_control()] as `penalty`.
#'
#' @details
#' G is the covariance matrix of one level's k effects relative to the residual variance,
#' \eqn{Var(b) = \sigma^2 G}, as `theta` is, and x a standard deviation or a variance of it. With
#' `relative = FALSE` the density is one of \eqn{\sigma^2 G}. Densities are known up to a constant.
#' They are proportional to
#'
#' * `penalty_wishart()`: \eqn{\det(G)^{(df - k - 1)/2} e^{-tr(S^{-1} G)/2}}, S being `scale`;
#' * `penalty_inverse_wishart()`: \eqn{\det(G)^{-(df + k + 1)/2} e^{-tr(S G^{-1})/2}};
#' * `penalty_gamma()`: \eqn{x^{shape - 1} e^{-rate\,x}};
#' * `penalty_inverse_gamma()`: \eqn{x^{-(shape + 1)} e^{-scale/x}}.
#'
#' The defaults of `penalty_wishart()`, `df = k + 2.5` with an infinite scale, are those of
#' `blme::blmer()`, and for one effect the same as those of `penalty_gamma()`. Chung et al. (2013)
#' recommend `penalty_gamma(shape = 2)`, a density that is proportional to the standard deviation;
#' their estimate is about one standard error from zero where that of maximum likelihood is zero.
#'
#' The gamma penalties are for terms with one effect, and for those with independent effects, of
#' which each has it; the Wishart penalties are for any, whatever structure their matrix has. Of a
#' term whose covariances differ by group (`us(x | g, by = arm)`) each matrix has the penalty.
#'
#' With `relative = FALSE` a finite `scale` or a positive `rate` needs a known residual standard
#' deviation, `lmm_control(sigma = )`. Without them the residual variance has a closed form beside
#' the penalty: the residual sum of squares divided by the residual degrees of freedom less the sum
#' of k (df - k - 1) of all penalised matrices (for gamma penalties of standard deviations
#' shape - 1, of variances twice that).
#'
#' @section What a penalised fit says:
#' `logLik()`, `deviance()` and `REMLcrit()`, and with them `AIC()` and `BIC()`, are those of the
#' likelihood without the penalty, at the estimates; they are not its maximum.
#' `fit$devcomp$cmp[["penalty"]]` is the penalty there, up to the constant of the density. Gradient
#' and Hessian of the certificate are those of the penalised criterion. Standard errors of variance
#' components and Satterthwaite's degrees of freedom rest on the same Hessian, as approximations of
#' the posterior covariances. Predictions, simulations, the [bootstrap()], [refit()] and
#' [influence()] follow: all fits that they make have the penalty.
#'
#' What compares maxima of likelihoods, or needs the fit by REML, is an error of class
#' `ferrolmm_error_penalty`: likelihood ratios by `anova()`, [ranova()], [drop1()], [add1()] and
#' [pb_test()], profiles, the methods of Kenward and Roger, and [as_lmerMod()].
#'
#' @param df The degrees of freedom: more than k + 1 of the Wishart density, more than k - 1 of the
#'   inverse one. `NULL`: k + 2.5.
#' @param scale The scale matrix of a Wishart density, k x k, or a number for a multiple of the
#'   identity matrix, in the order in which the effects are printed; `Inf` for none. Of
#'   the inverse densities it is positive.
#' @param shape The shape of a gamma density, more than 1; of the inverse one, positive.
#' @param rate The rate, 0 or more.
#' @param of The density is one of the standard deviation (`"sd"`) or of the variance.
#' @param relative Is the density one of covariances relative to the residual variance?
#' @param ... None: any other argument is an error.
#' @returns An object of class `lmm_penalty`.
#' @references
#' Chung, Y., Rabe-Hesketh, S., Dorie, V., Gelman, A. and Liu, J. (2013). A nondegenerate penalized
#' likelihood estimator for variance parameters in multilevel models. *Psychometrika*, 78(4),
#' 685-709.
#'
#' Chung, Y., Gelman, A., Rabe-Hesketh, S., Liu, J. and Dorie, V. (2015). Weakly informative prior
#' for point estimation of covariance matrices in hierarchical models. *Journal of Educational and
#' Behavioral Statistics*, 40(2), 136-157.
#' @seealso [lmm_control()], [isSingular()]
#' @examples
#' # eight schools (Rubin 1981), whose variance is estimated as zero
#' schools <- data.frame(
#'   school = LETTERS[1:8], effect = c(28, 8, -3, 7, -1, 1, 18, 12),
#'   se = c(15, 10, 16, 11, 9, 11, 10, 18)
#' )
#' known <- lmm_control(sigma = 1)
#' fit <- lmm(effect ~ 1 + (1 | school), schools, weights = 1 / se^2, control = known)
#' VarCorr(fit)
#' off_zero <- lmm_control(sigma = 1, penalty = penalty_gamma(shape = 2))
#' update(fit, control = off_zero)
#' @name penalties
NULL

#' @rdname penalties
#' @export
penalty_wishart <- function(df = NULL, scale = Inf, relative = TRUE, ...) {
  check_dots(...)
  if (!is.null(df)) check_penalty_number(df, "df", "positive", function(x) x > 0)
  new_penalty("wishart", list(df = df, scale = check_scale_matrix(scale, TRUE)), relative)
}

#' @rdname penalties
#' @export
penalty_gamma <- function(shape = 2.5, rate = 0, of = c("sd", "variance"), relative = TRUE,
                          ...) {
  check_dots(...)
  check_penalty_number(shape, "shape", "above 1, so that the density is zero at zero",
                       function(x) x > 1)
  check_penalty_number(rate, "rate", "0 or more", function(x) x >= 0)
  of <- match_choice(of, "of", c("sd", "variance"))
  new_penalty("gamma", list(shape = shape, rate = rate, of = of), relative)
}

#' @rdname penalties
#' @export
penalty_inverse_wishart <- function(df, scale, relative = TRUE, ...) {
  check_dots(...)
  if (missing(df) || missing(scale)) abort_penalty_needs("penalty_inverse_wishart", "df")
  check_penalty_number(df, "df", "positive", function(x) x > 0)
  new_penalty("inverse_wishart", list(df = df, scale = check_scale_matrix(scale, FALSE)), relative)
}

#' @rdname penalties
#' @export
penalty_inverse_gamma <- function(shape, scale, of = c("sd", "variance"), relative = TRUE,
                                  ...) {
  check_dots(...)
  if (missing(shape) || missing(scale)) abort_penalty_needs("penalty_inverse_gamma", "shape")
  positive <- function(x) x > 0
  check_penalty_number(shape, "shape", "positive", positive)
  check_penalty_number(scale, "scale", "positive", positive)
  of <- match_choice(of, "of", c("sd", "variance"))
  new_penalty("inverse_gamma", list(shape = shape, scale = scale, of = of), relative)
}

#' @noRd
abort_penalty_needs <- function(name, argument) {
  ferrolmm_abort(
    paste0(name, "() needs `", argument, "` and `scale`: they have no default."), "penalty"
  )
}
