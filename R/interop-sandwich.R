# Methods for generics of 'sandwich', whose defaults take rows as independent. Those that are errors
# are registered in zzz.R, as not every version has all of the generics.

#' Support for 'sandwich'
#'
#' `sandwich::estfun()` gives the contributions to the estimating equations of the fixed effects,
#' \eqn{X_j' V_j^{-1} r_j}, which are independent between clusters: that of a cluster stands in its
#' first row, and the other rows are zero. So `sandwich::sandwich(fit)` and `vcovCL(fit, cluster)`
#' take rows of a cluster together: without a correction for the number of clusters (which `cluster`
#' tells `vcovCL()`) they are `vcov(fit, type = "CR0")`. Clusters are the default of [robust].
#'
#' Estimates that take rows one by one (`vcovHC()`, `vcovHAC()`, `vcovBS()`, `vcovJK()`) have no
#' meaning for a mixed model, and are errors; see [robust] and [bootstrap()].
#'
#' @param x A model fitted by [lmm()].
#' @param ... Not used.
#' @returns `estfun()`: a matrix with a row for each row of the fit and a column for each
#'   coefficient. `bread()`: `nobs(fit) * vcov(fit)`.
#' @references
#' Zeileis, A. (2006). Object-oriented computation of sandwich estimators. *Journal of Statistical
#' Software*, 16(9), 1-16.
#' @seealso [robust], which has adjustments for few clusters and degrees of freedom
#' @examplesIf requireNamespace("sandwich", quietly = TRUE)
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + Sex + (age | Subject), Orthodont)
#' sandwich::vcovCL(fit, cluster = ~ Subject)
#' @name sandwich-lmm
#' @rawNamespace S3method(sandwich::estfun, lmm)
estfun.lmm <- function(x, ...) {
  check_dots(...)
  clusters <- independent_clusters(x)
  found <- engine_inference(
    engine_sandwich, x, clusters$codes, clusters$count, "none", FALSE
  )
  scores <- matrix(
    0, nobs.lmm(x), x$rank,
    dimnames = list(row.names(x$frame), names(x$coefficients)[kept_columns(x)])
  )
  own <- backsolve(found$root, matrix(found$scores, x$rank), transpose = TRUE) / x$sigma^2
  scores[match(seq_len(clusters$count), clusters$codes), ] <- t(own)
  scores
}

#' @rdname sandwich-lmm
#' @rawNamespace S3method(sandwich::bread, lmm)
bread.lmm <- function(x, ...) {
  check_dots(...)
  nobs.lmm(x) * vcov.lmm(x)
}

#' @noRd
abort_single_rows <- function(generic) {
  abort_not_defined(
    generic, c(
      "It takes rows one by one, and those of a mixed model are not independent.",
      paste0(
        "vcov(fit, type = \"CR2\") and sandwich::vcovCL(fit, cluster) take clusters together."
      )
    )
  )
}

#' @noRd
vcovHC.lmm <- function(x, ...) abort_single_rows("sandwich::vcovHC")

#' @noRd
vcovHAC.lmm <- function(x, ...) abort_single_rows("sandwich::vcovHAC")

#' @noRd
vcovBS.lmm <- function(x, ...) abort_single_rows("sandwich::vcovBS")

#' @noRd
vcovJK.lmm <- function(x, ...) abort_single_rows("sandwich::vcovJK")
