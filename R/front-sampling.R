# Weights of samples drawn with unequal probabilities, as users write them.

#' Weights of a sample drawn with unequal probabilities
#'
#' In surveys, schools are drawn with known probabilities, and pupils within schools. Weights are
#' the inverses of these probabilities: a row or a school of weight 2 stands for two of the
#' population. Given to [lmm()] as `weights`, they make the estimates those of a weighted
#' pseudo-likelihood, with robust standard errors: the analysis of Stata's `mixed y x [pw = w1] ||
#' school:, pweight(w2)`, of Mplus (`TYPE = TWOLEVEL` with `WEIGHT` and `BWEIGHT`) and of `mix()` in
#' 'WeMix'.
#'
#' @details
#' # What is maximised
#'
#' Schools j have weights \eqn{w_j}, rows the weights \eqn{w_{i|j}}. With the density f of a row
#' given the effects \eqn{u_j} of its school the log pseudo-likelihood is
#' \deqn{\sum_j w_j \log \int \exp\Big\{\sum_i w_{i|j} \log f(y_{ij} \mid u_j)\Big\}
#'   \phi(u_j)\, du_j,}{sum_j w_j log Int exp(sum_i w_i|j log f(y_ij | u_j)) phi(u_j) du_j,}
#' and with a third level the sum over schools stands in the integral over the effects of a district
#' (Pfeffermann et al. 1998; Rabe-Hesketh & Skrondal 2006; Asparouhov 2006). Whole weights say how
#' often a row, or a school with all its rows, is repeated: the estimates are exactly those of the
#' data with these repetitions, by maximum likelihood. That is another thing than precision weights
#' (`weights = w`), by which the variance of a row is \eqn{\sigma^2 / w}.
#'
#' # Conditional weights
#'
#' Weights of rows are those *given* that their school was drawn, and weights of schools those given
#' that their district was. Many data sets have overall (unconditional) weights of the rows instead:
#' with `conditional = FALSE` the weight of a row is divided by that of its school, and that of a
#' school by that of its district; rows or schools without weights have the conditional weight 1
#' then, too. Multiplying all weights of the coarsest level by a number changes
#' nothing but the value of the pseudo-likelihood.
#'
#' # Scaling
#'
#' Multiplying the weights of the rows of a school by a number does change the estimates, most of
#' all those of variances: a sum of weights above the number of rows looks as if more was known of
#' each school's effect than is, and what is sampling error of its mean is taken for variance
#' between schools. `scale` rescales the weights of the rows within each group of the finest level,
#' as Stata's `pwscale()`: `"size"`, so that they sum to its number of rows; `"effective"`, so that
#' they sum to the effective number of rows, \eqn{(\sum_i w_i)^2 / \sum_i w_i^2}; `"none"` leaves
#' them as they are. Weights of other levels are never rescaled.
#'
#' # What estimates are worth
#'
#' With weights of the coarsest level alone (`sampling_weights(school = w2)`) all estimates are
#' consistent as the number of clusters grows. Weights of rows that vary within groups are another
#' matter: the integral takes their sum for what is known of a group, and estimates are consistent
#' only where groups grow, too. Variances between groups are too large then and those of rows too
#' small, most of all without scaling; `"size"` takes much of that away. Where the weights of rows
#' are *informative* (pupils who do better are drawn more often) and groups small, fixed effects are
#' biased a little, too, and no scaling is right for all sizes of groups: compare them, and do not
#' lean on a variance that moves.
#'
#' An example, from `bench/coverage.R` (1000 samples; about 105 of 300 schools, those with high
#' effects more often than others; variances of schools and of pupils 1). With 10 of 20 pupils at
#' random, 95% intervals covered in 94.0 to 94.7%, and in 95.3 to 96.1% with `vcov = "CR2"`; that of
#' the intercept without weights in 7%. With about 50 schools, those of a predictor of schools
#' covered in 91.3%, and in 94.8% with `"CR2"`: robust standard errors need many clusters, or that.
#' With pupils drawn informatively no covariance matrix mends a bias: mean estimates of the two
#' variances were 1.07 and 0.90 for 6 of 10 pupils without scaling, 1.01 and 0.96 by size, and 0.99
#' and 1.00 for 36 of 60 pupils by size; intervals of the intercept covered in 92, 90 and 94%, with
#' `"CR2"` in 93, 91 and 95%.
#'
#' # What is reported
#'
#' `vcov()` is the sandwich estimate of all parameters together, with the clusters of the coarsest
#' level as independent, times K / (K - 1), K the number of clusters, as gllamm reports it. So are
#' `vcov(which = "theta")` and the standard errors of variance components. Stata's `mixed` and
#' 'WeMix' take the part of the Hessian between fixed effects and variances for zero, as it is in
#' large samples if the model is right; with few clusters their standard errors of fixed effects
#' differ by some per cent, and `information = "fixed"` gives them. Tests and intervals are t with
#' K - 1 degrees of freedom (`ddf = "clusters"`), as is usual for surveys; `ddf = "asymptotic"`
#' gives the z of Stata's `mixed` and of Mplus.
#'
#' With few clusters this estimate is too small, and K - 1 too many: write
#' `vcov(fit, type = "CR2")`, `summary(fit, vcov = "CR2")`, and so in `anova()`, `contest()`,
#' `confint()` and means of the population by `predict()`. Scores of clusters are adjusted then, by
#' d^1/2 R^-1/2 d^-1/2 with d
#' the covariance matrix that the scores of a cluster would have at the true coefficients if the
#' model were right and weights said nothing, and R what of it is left at the estimates, so that
#' the part of the fixed effects is unbiased under the model; degrees of freedom are those of its
#' variance there (Bell and McCaffrey 2002), as in [robust], whose other types can be had as well.
#'
#' Predicted random effects are modes of the weighted
#' integrand, and `residuals()` are not weighted: weights do not change the variance of a row.
#'
#' What rests on a likelihood is an error of class `ferrolmm_error_sampling`, that names what can be
#' used instead: likelihood ratios and everything of their kind (`logLik()`, `AIC()`, `BIC()`,
#' `anova()` of several fits, [ranova()], profiles), bootstrap and simulation, degrees of freedom
#' from the model, measures of influence, `r_squared()`. `-fit$criterion / 2` is the log
#' pseudo-likelihood.
#'
#' # What is possible
#'
#' One grouping factor, or two of which one is nested in the other, with any terms of their own; ML
#' (`REML = FALSE`). Not (yet): crossed factors and more levels, residual structures, `mm()`, known
#' matrices of levels, covariances by group, penalties, parameters that are held, aggregated data.
#'
#' @param rows (`numeric`)\cr weights of the rows; `NULL` for 1.
#' @param ... (`numeric`)\cr weights of levels, named by their grouping factor (`school = w2`, and
#'   `` `class:school` = w2 `` for the classes of `school/class`), a value for each row that is the
#'   same in all rows of a group. A level without has weights 1.
#' @param scale (`character(1)`)\cr what becomes of the weights of rows, see above.
#' @param conditional (`logical(1)`)\cr are the weights of rows and finer levels those given the
#'   coarser one? `FALSE`: overall weights.
#' @param information (`character(1)`)\cr the Hessian in the robust covariance matrix of the fixed
#'   effects: `"joint"`, that of all parameters, or `"fixed"`, that of the fixed effects at the
#'   estimated variances, as in Stata's `mixed` and 'WeMix'.
#' @returns An object of class `lmm_sampling`, for the argument `weights` of [lmm()]. Weights are
#'   evaluated in its `data`; they must be numbers. Rows with a weight of zero, their own or of a
#'   level, are left out; `NA` is a missing value (see `na.action`); negative and infinite weights
#'   are an error of class `ferrolmm_error_weights`, as are weights of a level that differ within a
#'   group.
#' @references
#' Asparouhov, T. (2006). General multi-level modeling with sampling weights. *Communications in
#' Statistics - Theory and Methods*, 35(3), 439-460.
#'
#' Bell, R. M. and McCaffrey, D. F. (2002). Bias reduction in standard errors for linear regression
#' with multi-stage samples. *Survey Methodology*, 28, 169-181.
#'
#' Pfeffermann, D., Skinner, C. J., Holmes, D. J., Goldstein, H. and Rasbash, J. (1998). Weighting
#' for unequal selection probabilities in multilevel models. *Journal of the Royal Statistical
#' Society B*, 60(1), 23-40.
#'
#' Rabe-Hesketh, S. and Skrondal, A. (2006). Multilevel modelling of complex survey data. *Journal
#' of the Royal Statistical Society A*, 169(4), 805-827.
#' @seealso [lmm()]; [robust] for robust standard errors of fits without sampling weights.
#' @examples
#' data(Orthodont, package = "nlme")
#' # boys were drawn half as often as girls, and early visits twice as often as late ones
#' children <- transform(
#'   Orthodont, w2 = ifelse(Sex == "Male", 2, 1), w1 = ifelse(age > 10, 2, 1)
#' )
#' fit <- lmm(
#'   distance ~ age * Sex + (1 | Subject), children, REML = FALSE,
#'   weights = sampling_weights(w1, Subject = w2, scale = "size")
#' )
#' summary(fit)
#' @export
sampling_weights <- function(rows = NULL, ..., scale = c("none", "size", "effective"),
                             conditional = TRUE, information = c("joint", "fixed")) {
  scale <- match_choice(scale, "scale", c("none", "size", "effective"))
  information <- match_choice(information, "information", c("joint", "fixed"))
  check_flag(conditional, "conditional")
  levels <- list(...)
  given <- names(levels)
  if (length(levels) > 0L && (is.null(given) || !all(nzchar(given)))) {
    ferrolmm_abort(
      "Weights of levels are named by their grouping factor.", "weights",
      i = "As in sampling_weights(w1, school = w2)."
    )
  }
  if (anyDuplicated(given)) {
    ferrolmm_abort(
      paste0("`", given[anyDuplicated(given)], "` has weights twice."), "weights"
    )
  }
  if (is.null(rows) && length(levels) == 0L) {
    ferrolmm_abort("There are no weights, neither of rows nor of levels.", "weights")
  }
  structure(
    list(
      rows = rows, levels = levels, scale = scale, conditional = conditional,
      information = information
    ),
    class = "lmm_sampling"
  )
}
