#' @rdname ddf
#' @order 2
#' @section `"Satterthwaite"`:
#' t and F statistics of the estimated covariance matrix. The degrees of freedom match the variance
#' of `l'Cl`, from the exact Hessian of the criterion (Giesbrecht and Burns 1985). For several rows
#' the F statistic has the degrees of freedom of Fai and Cornelius (1996). They depend on which rows
#' span the hypothesis: [contest()] and `car::linearHypothesis()` take orthonormal ones, so that it
#' does not matter how it is written; [anova()][anova.lmm] and [drop1()][drop1.lmm] take rows as
#' 'lmerTest' does, of which those of types I and II (not III) depend on the contrasts of the
#' factors, and all on the order of their levels: the F statistics do not, but in unbalanced data
#' the degrees of freedom do, a little; for type II of several interactions other rows of the same
#' hypothesis are taken, with the same F and slightly other degrees of freedom.
#' @references
#' Fai, A. H.-T. and Cornelius, P. L. (1996). Approximate F-tests of multiple degree of freedom
#' hypotheses in generalized least squares analyses of unbalanced split-plot experiments. *Journal
#' of Statistical Computation and Simulation*, 54(4), 363-378.
#'
#' Giesbrecht, F. G. and Burns, J. C. (1985). Two-stage analysis based on a mixed model:
#' large-sample asymptotic theory and small-sample simulation results. *Biometrics*, 41(2), 477-486.
#' @name ddf
NULL

#' Inference by Satterthwaite's method
#'
#' A row l of L has variance v = l'Cl, whose gradient with respect to the variance parameters psi is
#' g; the degrees of freedom are 2 v^2 / (g' A g), A the asymptotic covariance matrix of psi.
#' @noRd
satterthwaite <- function(object) {
  pieces <- engine_inference(engine_satterthwaite, object)
  variance <- fixed_covariance(object)
  r <- nrow(variance)
  s <- nrow(pieces$covariance)
  gradients <- array(pieces$vcov_gradient, c(r, r, s))
  single <- function(L) {
    v <- row_variances(L, variance)
    slopes <- vapply(
      seq_len(s), function(a) row_variances(L, matrix(gradients[, , a], r)), double(nrow(L))
    )
    # relative to v, whose square may overflow
    slopes <- matrix(slopes, nrow(L)) / v
    ddf <- 2 / rowSums((slopes %*% pieces$covariance) * slopes)
    # a variance that is known, up to rounding
    ifelse(ddf > 1e10, Inf, ddf)
  }
  list(
    beta = object$beta, variance = variance, single = single,
    joint = function(L, estimate) fai_cornelius(L, estimate, variance, single)
  )
}

#' The F statistic as a mean of independent squared t statistics, one per eigenvector of L C L'
#' @noRd
fai_cornelius <- function(L, estimate, variance, single) {
  rank <- length(independent_rows(L, variance))
  at <- single_entries(L)
  if (is.null(at)) {
    directions <- eigen_directions(L %*% variance %*% t(L), rank)
    rotated <- crossprod(directions, L)
  } else {
    # the same without products of matrices that may be large
    values <- L[cbind(seq_along(at), at)]
    own <- variance[at, at, drop = FALSE] * outer(values, values)
    directions <- eigen_directions(own, rank)
    rotated <- matrix(0, rank, ncol(L))
    rotated[, at] <- t(directions * values)
  }
  squares <- drop(crossprod(directions, estimate))^2 / row_variances(rotated, variance)
  list(
    statistic = mean(squares), unscaled = mean(squares), numdf = rank,
    dendf = pooled_ddf(single(rotated))
  )
}

#' The eigenvectors of the `rank` largest eigenvalues
#'
#' Rows of very different sizes hide each other: they are scaled to one size when needed.
#' @noRd
eigen_directions <- function(v, rank) {
  decompose <- function(v) {
    if (nrow(v)^3 > many_operations) engine_eigen(v) else eigen(v, symmetric = TRUE)
  }
  parts <- decompose(v)
  if (parts$values[[rank]] > 1e-10 * parts$values[[1L]]) {
    return(parts$vectors[, seq_len(rank), drop = FALSE])
  }
  size <- sqrt(diag(v))
  size[size == 0] <- 1
  parts <- decompose(v / outer(size, size))
  parts$vectors[, seq_len(rank), drop = FALSE] / size
}

#' Degrees of freedom nu for which the mean of q squared t variables, with degrees of freedom `df`,
#' has the expectation nu / (nu - 2) of an F variable
#' @noRd
pooled_ddf <- function(df) {
  if (anyNA(df) || all(is.infinite(df)) || diff(range(df)) < 1e-8) {
    return(mean(df))
  }
  if (any(df <= 2)) {
    return(2)
  }
  excess <- sum(ifelse(is.finite(df), 2 / (df - 2), 0))
  2 * (length(df) + excess) / excess
}

#' A joint hypothesis in orthonormal rows
#'
#' All sets of C-orthogonal rows that span those of L give the same F, but not the same degrees of
#' freedom, and the eigenvectors of L C L' that Fai and Cornelius (1996) take depend on how the
#' hypothesis is written. Those of Q C Q', the rows of Q being orthonormal and spanning those of L,
#' do not: another such Q is a rotation of this one, and the eigenvectors rotate with it. Where L L'
#' is a multiple of the identity, as for coefficients, nothing changes.
#' @param hypotheses list(L, rhs)
#' @noRd
orthonormal_rows <- function(hypotheses, variance) {
  L <- hypotheses$L
  rank <- if (nrow(L) > 1L && all(is.finite(L))) length(independent_rows(L, variance)) else 0L
  if (rank == 0L) {
    return(hypotheses)
  }
  size <- sqrt(rowSums(L^2))
  size[size == 0] <- 1
  parts <- svd(L / size, nu = rank, nv = 0L)
  change <- crossprod(parts$u / parts$d[col(parts$u)], diag(1 / size, length(size)))
  rhs <- rep_len(hypotheses$rhs, nrow(L))
  list(L = change %*% L, rhs = drop(change %*% rhs))
}
