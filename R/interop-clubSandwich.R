# Methods for 'clubSandwich', most of whose generics are internal (registered in zzz.R). Its default
# treats the rows of any model as independent.

#' Support for 'clubSandwich'
#'
#' `clubSandwich::vcovCR()` estimates the covariance matrix of the fixed effects from the residuals
#' of independent clusters (Bell and McCaffrey, 2002; Pustejovsky and Tipton, 2018):
#' \eqn{C (\sum_j X_j' V_j^{-1} A_j r_j r_j' A_j' V_j^{-1} X_j) C} with \eqn{C} = `vcov(fit)`,
#' \eqn{V_j} the covariance matrix of the observations of a cluster, \eqn{r_j} their marginal
#' residuals and \eqn{A_j} the adjustment of `type`. `coef_test()`, `conf_int()` and `Wald_test()`
#' of that package use it. `vcov(fit, type = )` and the argument `vcov` of [summary.lmm()] and its
#' relatives have the same estimates and tests, and are faster; this method is for what takes
#' objects of 'clubSandwich', and for its `target` and `form`.
#'
#' @param obj A model fitted by [lmm()].
#' @param cluster A formula, the name of a variable or a value for each row: rows of different
#'   clusters must be independent, see [robust], also for the default.
#' @param type `"CR0"` to `"CR3"`, see `clubSandwich::vcovCR()`.
#' @param target,inverse_var,form See `clubSandwich::vcovCR()`.
#' @param ... Not used.
#' @returns A matrix of class `vcovCR`.
#' @references
#' Bell, R. M. and McCaffrey, D. F. (2002). Bias reduction in standard errors for linear regression
#' with multi-stage samples. *Survey Methodology*, 28, 169-181.
#'
#' Pustejovsky, J. E. and Tipton, E. (2018). Small-sample methods for cluster-robust variance
#' estimation and hypothesis testing in fixed effects models. *Journal of Business & Economic
#' Statistics*, 36, 672-683.
#' @seealso [robust], [vcov.lmm()]
#' @examplesIf requireNamespace("clubSandwich", quietly = TRUE)
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + Sex + (age | Subject), Orthodont)
#' clubSandwich::vcovCR(fit, type = "CR2")
#' @name clubSandwich-lmm
#' @rawNamespace S3method(clubSandwich::vcovCR, lmm)
vcovCR.lmm <- function(obj, cluster = NULL, type, target = NULL, inverse_var = is.null(target),
                       form = "sandwich", ...) {
  check_dots(...)
  if (missing(type)) {
    ferrolmm_abort("`type` is missing, as in vcovCR(fit, type = \"CR2\").", "argument")
  }
  type <- match_choice(type, "type", c("CR0", "CR1", "CR1p", "CR1S", "CR2", "CR3"))
  check_flag(inverse_var, "inverse_var")
  if (!is.matrix(form)) {
    form <- match_choice(form, "form", c("sandwich", "meat", "estfun"))
  }
  if (!is.null(target) && !is.numeric(target) && !is.list(target)) {
    ferrolmm_abort(
      paste0("`target` must be variances or a list of covariance matrices",
             describe_given(target), "."), "argument"
    )
  }
  cluster <- cluster_factor(obj, cluster)
  default <- utils::getS3method("vcovCR", "default", envir = asNamespace("clubSandwich"))
  default(obj, cluster, type, target, inverse_var, form)
}

#' Independent clusters as a factor, for each row
#' @noRd
cluster_factor <- function(object, cluster = NULL) {
  found <- independent_clusters(object, cluster)
  factor(found$levels[found$codes], found$levels)
}

#' Coefficients, by name
#' @noRd
coef_CS.lmm <- function(obj) {
  fixef.lmm(obj)
}

#' @noRd
residuals_CS.lmm <- function(obj) {
  marginal_residuals(obj)
}

#' Covariance matrices of the observations of each cluster
#' @noRd
targetVariance.lmm <- function(obj, cluster = cluster_factor(obj)) {
  root <- build_lambdat(obj) %*% build_zt(obj)
  residual <- residual_root(obj, "times")
  lapply(split(seq_along(cluster), cluster), function(rows) {
    whole <- Matrix::crossprod(root[, rows, drop = FALSE]) + residual[rows, rows, drop = FALSE]
    unname(obj$sigma^2 * as.matrix(whole))
  })
}

#' @noRd
weightMatrix.lmm <- function(obj, cluster = cluster_factor(obj)) {
  lapply(targetVariance.lmm(obj, cluster), function(v) {
    chol2inv(upper_cholesky(v, "The factor of the covariance matrix of a cluster"))
  })
}
