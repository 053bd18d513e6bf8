#' Covariance matrix of the fixed effects
#'
#' `sigma^2 (X'V^-1 X)^-1`, at the estimated variance parameters. That takes the parameters as
#' known: `adjusted = TRUE` adds the correction of Kenward and Roger (1997) for small samples, see
#' [ddf]. It also takes the model of the variances as right: `type` is an estimate that does not,
#' from the residuals of independent clusters, see [robust].
#'
#' @param object A model fitted by [lmm()], or its summary.
#' @param complete Pad coefficients that were dropped because of rank deficiency with `NA`, as
#'   `vcov()` does for [lm()]?
#' @param correlation Add the correlation matrix as the attribute `correlation`?
#' @param full The joint covariance matrix of \eqn{\hat\beta} and \eqn{\hat b - b}? Random effects
#'   come after the fixed effects, in the order of `getME(object, "b")`, and are named
#'   `group.level.effect`. It is a dense matrix: models with more than 10,000 effects are refused,
#'   as [predict.lmm()] has the standard errors of any combination of effects without it.
#' @param adjusted The covariance matrix of Kenward and Roger? Or that of one of their methods, by
#'   its name in [ddf], such as `"Kenward-Roger2"`. A fit by ML is then fitted again by REML, with a
#'   message.
#' @param which The covariance matrix of the `"fixed"` effects, or of the variance parameters,
#'   `"theta"`: the asymptotic one, from the exact Hessian of the criterion that was optimised. `NA`
#'   for parameters at their boundary, zero for those that are held.
#' @param scale Of the variance parameters: standard deviations, correlations, parameters of the
#'   residual structure and sigma (`"sdcor"`, the names are those of [confint.lmm()]), or variances
#'   and covariances (`"vcov"`, the only scale where these have no bounds).
#' @param type A covariance matrix that stays right in large samples where the variances and
#'   correlations of the model are not: `r sandwich_choices()`, see [robust].
#' @param cluster With `type`: the clusters, as `~ subject`; by default the levels of the coarsest
#'   grouping factor, or the groups of correlated residuals, see [robust].
#' @param ... Not used.
#' @returns A matrix with the coefficients' names.
#' @seealso [vpredict()] for functions of the variance parameters; [getME.lmm()], [lmm-accessors]
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' vcov(fit)
#' vcov(fit, adjusted = TRUE)
#' vcov(fit, type = "CR2")
#' vcov(fit, which = "theta")
#' @importFrom stats vcov
#' @export
vcov.lmm <- function(object, complete = FALSE, correlation = FALSE, full = FALSE,
                     adjusted = FALSE, which = c("fixed", "theta"), scale = c("sdcor", "vcov"),
                     type = NULL, cluster = NULL, ...) {
  check_dots(..., hints = c(
    use.hessian = "The matrix is exact here, without a numerical Hessian: leave it out.",
    sigm = "It is that of the fit, sigma(fit)."
  ))
  check_flag(complete, "complete")
  check_flag(correlation, "correlation")
  check_flag(full, "full")
  adjusted <- match_adjusted(adjusted)
  which <- match_choice(which, "which", c("fixed", "theta"))
  if (which == "theta") {
    require_no_factors(
      object, "`which = \"theta\"`", "VarCorr(fit, se = TRUE) has standard errors of variances."
    )
    check_fixed_only(c(
      complete = complete, full = full, adjusted = !is.null(adjusted), type = !is.null(type),
      cluster = !is.null(cluster)
    ))
    scale <- if (missing(scale) && is_nobound(object)) {
      "vcov"
    } else {
      match_choice(scale, "scale", c("sdcor", "vcov"))
    }
    if (scale == "sdcor") require_bounds(object, "`scale = \"sdcor\"`")
    return(with_correlation(theta_covariance(object, scale), correlation))
  }
  if (!missing(scale)) {
    ferrolmm_abort("`scale` is for `which = \"theta\"`.", "argument")
  }
  if (is_sampled(object) && (full || !is.null(adjusted))) {
    abort_sampled(
      paste0("`", if (full) "full" else "adjusted", "`"),
      "vcov(fit) is robust; type = \"CR2\" is that for few clusters."
    )
  }
  if (!is.null(type) && (full || !is.null(adjusted))) {
    ferrolmm_abort(
      paste0("`type` is a covariance matrix of its own: leave ",
             if (full) "`full`" else "`adjusted`", " out."), "argument"
    )
  }
  if (is.null(type) && !is.null(cluster)) {
    ferrolmm_abort("`cluster` goes with `type`, as in type = \"CR2\".", "argument")
  }
  if (full) {
    require_bounds(object, "`full = TRUE`")
    return(with_memory(with_correlation(joint_covariance(object), correlation)))
  }
  names <- names(object$coefficients)
  kept <- kept_columns(object)
  variance <- if (!is.null(adjusted)) {
    adjusted_variance(object, adjusted)
  } else if (is.null(type)) {
    fixed_covariance(object)
  } else {
    sandwich_variance(object, type, cluster)
  }
  variance <- with_correlation(variance, correlation)
  if (complete && length(kept) < length(names)) {
    padded <- matrix(NA_real_, length(names), length(names), dimnames = list(names, names))
    padded[kept, kept] <- variance
    return(padded)
  }
  variance
}

#' @noRd
check_fixed_only <- function(flags) {
  if (any(flags)) {
    ferrolmm_abort(
      paste0("Not for `which = \"theta\"`: ", quote_names(names(flags)[flags], Inf), "."),
      "argument"
    )
  }
}

#' @rdname vcov.lmm
#' @export
vcov.summary.lmm <- function(object, ...) {
  check_dots(...)
  object$vcov
}

#' The method whose covariance matrix is wanted, NULL for the plain one
#' @noRd
match_adjusted <- function(adjusted) {
  if (is.character(adjusted)) {
    method <- tryCatch(match_ddf(adjusted), ferrolmm_error_argument = function(e) "")
    if (isTRUE(ddf_methods[[method]]$needs_reml)) {
      return(method)
    }
    able <- names(Filter(function(entry) isTRUE(entry$needs_reml), ddf_methods))
    ferrolmm_abort(
      paste0("`adjusted` must be TRUE, FALSE or one of ", quote_names(able, Inf),
             ": other methods have no covariance matrix of their own."), "argument"
    )
  }
  check_flag(adjusted, "adjusted")
  if (adjusted) "Kenward-Roger"
}

#' The covariance matrix of the fixed effects corrected for small samples
#' @noRd
adjusted_variance <- function(object, method = "Kenward-Roger") {
  inference <- ddf_for(object, method)
  if (!inference$determined()) {
    ferrolmm_abort(
      paste0(method, "'s method does not determine the covariance matrix of all fixed effects ",
             "here."),
      "kenward_roger",
      x = paste0(
        "The data tell too little of a variance parameter: the correction outweighs what it ",
        "corrects."
      ),
      i = "Use the unadjusted matrix, or a simpler structure of the variances."
    )
  }
  inference$variance
}

#' @noRd
with_correlation <- function(variance, correlation) {
  if (correlation) {
    attr(variance, "correlation") <- correlation_of(variance)
  }
  variance
}

#' Covariance matrix of (beta-hat, b-hat - b)
#'
#' The inverse of the coefficient matrix of Henderson's mixed-model equations times sigma^2, by
#' blocks: with A = Lambda M^-1 Lambda'Z'WX and C = vcov, they are C, -AC and
#' sigma^2 Lambda M^-1 Lambda' + A C A'. Zero for random effects whose variance is zero.
#' @noRd
joint_covariance <- function(object) {
  size <- object$rank + length(object$b)
  if (size > 10000) {
    ferrolmm_abort(
      paste0("The joint covariance matrix of ", count_of(size, "effect"), " is too large."),
      "argument",
      i = "predict(se.fit = TRUE) and ranef(condVar = TRUE) give the parts that are needed."
    )
  }
  fixed <- fixed_covariance(object)
  factor <- cholesky_of_system(object)
  lambda_t <- getME.lmm(object, "Lambdat")
  x <- whiten_rows(object, fixed_model_matrix(object))
  inverse <- Matrix::crossprod(lambda_t, Matrix::solve(factor, lambda_t, system = "A"))
  moves <- Matrix::crossprod(
    lambda_t, Matrix::solve(factor, weighted_system(object) %*% x, system = "A")
  )
  moves <- matrix(as.numeric(moves), length(object$b), ncol(x))
  cross <- -moves %*% fixed
  random <- object$sigma^2 * as.matrix(inverse) - cross %*% t(moves)
  joint <- rbind(cbind(fixed, t(cross)), cbind(cross, random))
  names <- c(rownames(fixed), effect_names(object))
  dimnames(joint) <- list(names, names)
  (joint + t(joint)) / 2
}

#' Names of the random effects in the order of b
#' @noRd
effect_names <- function(object) {
  unlist(lapply(object$random, function(term) {
    labels <- levels(object$flist[[term$factor]])
    paste(
      names(object$flist)[[term$factor]], rep(labels, each = length(term$cnms)), term$cnms,
      sep = "."
    )
  }))
}
