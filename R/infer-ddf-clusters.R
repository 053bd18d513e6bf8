# Degrees of freedom of fits with sampling weights.

#' @section Clusters:
#' `"clusters"` is the method of fits with [sampling_weights()], and of no others: t with K - 1
#' degrees of freedom, K the number of groups of the coarsest level, and F with as many in the
#' denominator, from the robust covariance matrix of the fit. Such fits have no other methods but
#' `"asymptotic"` and `"none"`: the default is taken for this one.
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
#' @noRd
ddf_of_clusters <- function(method, vcov, cluster) {
  if (!is.null(vcov) || !is.null(cluster)) {
    abort_sampled(
      "`vcov`", "vcov(fit) is robust already, by the clusters of the coarsest level: leave it out."
    )
  }
  if (method %in% c("asymptotic", "none", "clusters")) {
    return(method)
  }
  if (method != "Satterthwaite") {
    abort_sampled(
      paste0("ddf = \"", method, "\""),
      "Use ddf = \"clusters\" (the default here), or \"asymptotic\"."
    )
  }
  "clusters"
}
