# Degrees of freedom of fits with sampling weights.

#' @section Clusters:
#' `"clusters"` is the method of fits with [sampling_weights()], and of no others: t with K - 1
#' degrees of freedom, K the number of groups of the coarsest level, and F with as many in the
#' denominator, from the robust covariance matrix of the fit. Such fits have no other methods but
#' `"asymptotic"` and `"none"`: the default is taken for this one. With `vcov = "CR2"` (or another
#' type of [robust]) it is Satterthwaite's, as for other fits.
#' @name ddf
NULL

#' @noRd
cluster_ddf <- function(object) {
  if (!is_sampled(object)) {
    ferrolmm_abort("`ddf = \"clusters\"` is for fits with sampling weights.", "argument",
                   i = "For robust tests of other fits write vcov = \"CR2\".")
  }
  fixed_ddf(object, sampled_clusters(object)$count - 1)
}

#' The method that stands for one in a fit with sampling weights
#'
#' With a type of [robust] Satterthwaite's is that of its scores, else there is none.
#' @noRd
ddf_of_clusters <- function(method, vcov, cluster) {
  if (!is.null(cluster) || !is.null(vcov) && !is.character(vcov)) {
    abort_sampled(
      if (is.null(cluster)) "A covariance matrix that is given" else "`cluster`",
      paste0("vcov(fit) is robust, by the clusters of the coarsest level; vcov = \"CR2\" is for ",
             "few clusters.")
    )
  }
  able <- c("asymptotic", "none", if (is.null(vcov)) "clusters" else "Satterthwaite")
  if (method %in% able) {
    return(method)
  }
  if (method != "Satterthwaite") {
    abort_sampled(
      paste0("ddf = \"", method, "\"", if (!is.null(vcov)) " with `vcov`"),
      if (is.null(vcov)) {
        "Use ddf = \"clusters\" (the default here), or \"asymptotic\"."
      } else {
        "Leave `ddf` out, or use \"asymptotic\"."
      }
    )
  }
  "clusters"
}
