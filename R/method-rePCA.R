#' Principal components of the random effects
#'
#' The singular value decomposition of the relative covariance factor of each grouping factor. A
#' component with a standard deviation of (nearly) zero is a direction in which the model has no
#' variance to estimate: the random effects are of lower rank than the formula asks for.
#'
#' @param x A model fitted by [lmm()].
#' @param ... Not used.
#' @returns A list of class `prcomplist` with an object of class `prcomp` for each grouping factor;
#'   where covariances differ by group, as in `us(x | g, by = arm)`, for each of these, called
#'   `g <level of arm>`. Standard deviations are relative to the residual one.
#' @seealso [isSingular()], [VarCorr.lmm()], [ranova()]
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' summary(rePCA(fit)$Subject)
#' @export
#' @rawNamespace S3method(lme4::rePCA, lmm)
rePCA.lmm <- function(x, ...) {
  check_dots(...)
  factors <- term_factors(x$theta, x$random)
  components <- lapply(seq_along(x$flist), function(i) {
    terms <- terms_of_factor(x, i)
    classes <- combined_classes(x$random[terms], nlevels(x$flist[[i]]))
    found <- lapply(seq_len(nrow(classes$codes)), function(row) {
      factor_components(Map(`[[`, factors[terms], classes$codes[row, ]))
    })
    stats::setNames(found, name_classes(names(x$flist)[[i]], classes$labels))
  })
  structure(as.list(do.call(c, components)), class = "prcomplist")
}

#' Components of the block diagonal matrix of the factors of the terms on one grouping factor
#' @noRd
factor_components <- function(factors) {
  decomposition <- svd(block_diagonal(factors), nv = 0L)
  structure(
    list(sdev = decomposition$d, rotation = decomposition$u, center = FALSE, scale = FALSE),
    class = "prcomp"
  )
}

#' @noRd
block_diagonal <- function(blocks) {
  sizes <- vapply(blocks, nrow, 1L)
  ends <- cumsum(sizes)
  whole <- matrix(0, sum(sizes), sum(sizes))
  for (i in seq_along(blocks)) {
    range <- seq.int(ends[[i]] - sizes[[i]] + 1L, ends[[i]])
    whole[range, range] <- blocks[[i]]
  }
  whole
}
