# Responses of fits without bounds on variances (R/fit-nobound.R).

#' The covariance matrix of the rows of a fit without bounds relative to sigma^2, sparse
#' @noRd
marginal_covariance <- function(object) {
  zt <- build_zt(object)
  blocks <- Map(function(g, term) {
    levels <- nlevels(object$flist[[term$factor]])
    Matrix::kronecker(Matrix::Diagonal(levels), g)
  }, relative_covariances(object), object$random)
  noise <- if (is.null(object$prior.weights)) 1 else 1 / object$prior.weights
  Matrix::crossprod(zt, Matrix::bdiag(blocks) %*% zt) +
    Matrix::Diagonal(count_rows(object), noise)
}

#' A function that draws deviations of the rows from their means: there may be no random effects to
#' draw, but there is a root of V
#' @noRd
marginal_drawer <- function(object) {
  root <- Matrix::chol(Matrix::forceSymmetric(marginal_covariance(object)))
  function() object$sigma * as.numeric(Matrix::crossprod(root, stats::rnorm(nrow(root))))
}
