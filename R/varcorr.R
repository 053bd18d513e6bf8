#' Variances and correlations of the random effects
#'
#' The estimated covariance matrix of each random-effects term, with the residual standard
#' deviation. The layout is that of the 'lme4' package, so code written for it can read the result.
#'
#' @param x A model fitted by [lmm()]; for the methods, what `VarCorr()` returned.
#' @param sigma The residual standard deviation to scale the matrices by. Without it the estimated
#'   one is used; `sigma = 1` gives the covariances relative to the residual variance.
#' @param ... For `print()`, passed to [print.default()]; otherwise not used.
#' @returns `VarCorr()`: a list of class `VarCorr.lmm` with one covariance matrix a term, each with
#'   the attributes `stddev` and `correlation`; the attribute `sc` of the list is the residual
#'   standard deviation. Terms that share a grouping factor are told apart as `g`, `g.1`, ...
#'
#'   `as.data.frame()`: a data frame with the columns `grp`, `var1`, `var2`, `vcov` (variance or
#'   covariance) and `sdcor` (standard deviation or correlation). The last row is the residual.
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' VarCorr(fit)
#' print(VarCorr(fit), comp = c("Variance", "Std.Dev."))
#' as.data.frame(VarCorr(fit))
#' @importFrom nlme VarCorr
#' @method VarCorr lmm
#' @export
VarCorr.lmm <- function(x, sigma = 1, ...) {
  sigma <- if (missing(sigma)) x$sigma else sigma
  factors <- theta_matrix(x$theta, x$random)
  matrices <- Map(
    function(factor, term) term_covariance(factor, sigma, term$cnms),
    factors, x$random
  )
  structure(
    matrices,
    names = term_names(x),
    sc = sigma,
    useSc = TRUE,
    class = c("VarCorr.lmm", "VarCorr.merMod")
  )
}

#' @importFrom nlme VarCorr
#' @export
nlme::VarCorr

#' Covariance matrix sigma^2 T T' of one term, with its standard deviations and correlations
#' @noRd
term_covariance <- function(factor, sigma, names) {
  covariance <- sigma^2 * tcrossprod(factor)
  stddev <- abs(sigma) * sqrt(rowSums(factor^2))
  correlation <- tcrossprod(factor / sqrt(rowSums(factor^2)))
  diag(correlation) <- 1
  dimnames(covariance) <- dimnames(correlation) <- list(names, names)
  structure(
    covariance,
    stddev = structure(stddev, names = names),
    correlation = correlation
  )
}

#' The number of covariance parameters that a term has
#' @noRd
count_theta <- function(term) {
  k <- length(term$cnms)
  if (term$structure == "diag") k else k * (k + 1L) / 2L
}

#' Names of the terms by grouping factor: g, g.1, ... when several share one
#' @noRd
term_names <- function(object) {
  make.unique(names(object$cnms))
}

#' @param row.names,optional Not used; there for the generic.
#' @param order `"cov.last"`: the variances of a term, then its covariances; `"lower.tri"`: the
#'   order of the lower triangle, column by column (that of `theta`).
#' @rdname VarCorr.lmm
#' @export
as.data.frame.VarCorr.lmm <- function(x, row.names = NULL, optional = FALSE,
                                      order = c("cov.last", "lower.tri"), ...) {
  order <- match.arg(order)
  tables <- Map(function(v, group) varcorr_rows(v, group, order), x, names(x))
  sigma <- attr(x, "sc")
  residual <- data.frame(
    grp = "Residual", var1 = NA_character_, var2 = NA_character_, vcov = sigma^2, sdcor = sigma
  )
  rows <- do.call(rbind, c(unname(tables), list(residual)))
  rownames(rows) <- NULL
  rows
}

#' The rows of one term in as.data.frame(VarCorr())
#' @noRd
varcorr_rows <- function(v, group, order) {
  k <- nrow(v)
  cells <- which(lower.tri(v, diag = TRUE), arr.ind = TRUE, useNames = FALSE)
  if (order == "cov.last") {
    cells <- cells[order(cells[, 1L] != cells[, 2L]), , drop = FALSE]
  }
  sdcor <- attr(v, "correlation")
  diag(sdcor) <- attr(v, "stddev")
  names <- rownames(v)
  pair <- cells[, 1L] != cells[, 2L]
  data.frame(
    grp = rep.int(group, nrow(cells)),
    var1 = names[cells[, 2L]],
    var2 = ifelse(pair, names[cells[, 1L]], NA_character_),
    vcov = v[cells],
    sdcor = sdcor[cells]
  )
}

#' @param digits The number of significant digits to print.
#' @param comp What to print: `"Std.Dev."`, `"Variance"` or both.
#' @param corr Print correlations (`TRUE`) or covariances (`FALSE`) beside them? By default
#'   correlations if `comp` has standard deviations.
#' @rdname VarCorr.lmm
#' @export
print.VarCorr.lmm <- function(x, digits = max(3L, getOption("digits") - 2L), comp = "Std.Dev.",
                              corr = NULL, ...) {
  print(format_varcorr(x, digits, comp, corr), quote = FALSE, ...)
  invisible(x)
}
