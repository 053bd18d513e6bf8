# What sampling weights mean for a fit: its covariance matrix, and what does not hold for it.

#' Has a fit sampling weights?
#' @noRd
is_sampled <- function(object) !is.null(object$sampling)

#' The overall weights of the rows as the user gave them, scaled
#' @noRd
sampled_weights <- function(object) {
  sampling <- object$sampling
  sampling$weights * (sampling$total / length(sampling$weights))
}

#' The clusters of the coarsest level
#' @noRd
sampled_clusters <- function(object) {
  f <- object$flist[[object$sampling$cluster]]
  name <- names(object$flist)[[object$sampling$cluster]]
  list(codes = as.integer(f), count = nlevels(f), name = name)
}

#' The same, as those of a robust covariance matrix that is asked for
#' @noRd
clusters_of_sample <- function(object, cluster) {
  if (!is.null(cluster)) {
    abort_sampled("`cluster`", "Clusters are the groups of the coarsest level: leave it out.")
  }
  clusters <- sampled_clusters(object)
  clusters$levels <- levels(object$flist[[object$sampling$cluster]])
  clusters
}

#' A fit with the robust covariance matrix of all its parameters, times K / (K - 1)
#'
#' For the factor see Rabe-Hesketh & Skrondal (2006), eq. 8, and Stata's `_robust`. Of fixed
#' effects at the estimated variances it is C S C, with C = sigma^2 (X'V^-1 X)^-1 and S the sum
#' over clusters of the squares of their scores.
#' @noRd
with_cluster_variance <- function(object) {
  clusters <- sampled_clusters(object)
  if (clusters$count < 2L) {
    ferrolmm_abort(
      paste0("`", clusters$name, "` has one group: robust standard errors need several."),
      "sampling"
    )
  }
  if (clusters$count <= object$rank) {
    ferrolmm_warn(
      paste0("`", clusters$name, "` has ", clusters$count, " groups, and the model ", object$rank,
             " fixed effects: robust standard errors are far too small, and do not determine ",
             "tests of all of them together."), "cluster"
    )
  }
  found <- engine_inference(
    engine_pseudo_likelihood, object, clusters$codes, clusters$count
  )
  if (object$sampling$information == "fixed") {
    kept <- seq_len(object$rank)
    own <- engine_inference(
      engine_sampled_sandwich, object, clusters$codes, clusters$count, "none", FALSE, FALSE
    )
    found$covariance[kept, kept] <- tcrossprod(own$root %*% own$scores)
  }
  found$covariance <- found$covariance * (clusters$count / (clusters$count - 1))
  object$sampling$variance <- found[c("covariance", "jacobian")]
  object
}

#' The robust covariance matrix of the kept coefficients
#' @noRd
sampled_covariance <- function(object) {
  kept <- seq_len(object$rank)
  object$sampling$variance$covariance[kept, kept, drop = FALSE]
}

#' The covariance matrix of psi = (internal theta, sigma^2), and the derivatives of the variance
#' components, as [engine_satterthwaite()] returns them
#' @noRd
parameter_pieces <- function(object) {
  if (!is_sampled(object)) {
    return(engine_inference(engine_satterthwaite, object))
  }
  variance <- object$sampling$variance
  own <- setdiff(seq_len(nrow(variance$covariance)), seq_len(object$rank))
  list(
    covariance = variance$covariance[own, own, drop = FALSE], jacobian = variance$jacobian
  )
}

#' Functions that hold for a fit with sampling weights
#'
#' All others are refused where such a fit enters them, so that what is added later is refused until
#' someone has thought of it. Some of these refuse some of their arguments.
#' @noRd
holds_for_sampled <- c(
  # estimates
  "print.lmm", "summary.lmm", "coef.lmm", "fixef.lmm", "ranef.lmm", "VarCorr.lmm", "sigma.lmm",
  "vcov.lmm", "getVarCov.lmm", "dummy.coef.lmm", "isSingular.lmm", "rePCA.lmm", "getME.lmm",
  # rows
  "fitted.lmm", "residuals.lmm", "predict.lmm", "weights.lmm", "nobs.lmm", "ngrps.lmm",
  "model.frame.lmm", "model.matrix.lmm", "getData.lmm", "getResponse.lmm", "getGroups.lmm",
  "getGroupsFormula.lmm", "case.names.lmm", "augment.lmm",
  # what the model is
  "formula.lmm", "terms.lmm", "labels.lmm", "variable.names.lmm", "family.lmm", "isREML.lmm",
  "isLMM.lmm", "isGLMM.lmm", "isNLMM.lmm", "update.lmm", "equations", "methods_paragraph",
  "alias.lmm",
  # tests and intervals from the robust covariance matrix
  "anova.lmm", "contest.lmm", "confint.lmm", "vpredict.lmm", "tidy.lmm", "emm_basis.lmm",
  "recover_data.lmm", "linearHypothesis.lmm"
)

#' @param what in words, as the subject of a sentence.
#' @noRd
abort_sampled <- function(what, i = NULL) {
  ferrolmm_abort(
    paste0(what, " does not hold for a fit with sampling weights: what it maximises is no ",
           "likelihood, and its variances are not those of the model."),
    "sampling",
    i = if (is.null(i)) "See the section \"What is reported\" in ?sampling_weights." else i
  )
}
