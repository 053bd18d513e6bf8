# Loadings on factors: rr(x | g, k = ) and fa(x | g, k = ), terms with `factors`.
#
# G = Lambda Lambda' + diag(psi): Lambda has a row for each effect and a column for each factor, psi
# is zero for rr(). theta has Lambda turned so that it is lower triangular, with no negative
# diagonal, column by column, then the roots of psi for fa(), all relative to sigma.

#' @noRd
has_factors <- function(term) !is.null(term$factors)

#' @noRd
is_factor_analytic <- function(term) has_factors(term) && is_natural(term)

#' Has a fit terms with factors?
#' @noRd
has_factor_terms <- function(object) any(vapply(object$random, has_factors, NA))

#' The number of loadings that are parameters: those above the diagonal are zero
#' @noRd
count_loadings <- function(term) {
  k <- length(term$cnms)
  d <- term$factors
  k * d - (d * (d - 1L)) %/% 2L
}

#' The largest number of factors for so many effects: no more parameters than an unstructured matrix
#'
#' For fa() that is Ledermann's bound (1937, Psychometrika 2), the largest d with
#' (k - d)^2 >= k + d.
#' @noRd
largest_factors <- function(structure, k) {
  if (structure == "rr") {
    return(k)
  }
  as.integer(max(0, floor((2 * k + 1 - sqrt(8 * k + 1)) / 2 + 1e-9)))
}

#' Effect and factor of each element of theta: of specific deviations the effect twice
#' @noRd
factor_index <- function(term) {
  k <- length(term$cnms)
  d <- term$factors
  own <- if (is_factor_analytic(term)) seq_len(k)
  list(
    row = c(sequence(seq.int(k, by = -1L, length.out = d), seq_len(d)), own),
    col = c(rep.int(seq_len(d), seq.int(k, by = -1L, length.out = d)), own)
  )
}

#' Names of loadings and specific deviations
#'
#' @param loading begins those of loadings; `specific`, if given, those of specific deviations: the
#'   words then stand first.
#' @noRd
factor_names <- function(term, loading, specific = NULL) {
  index <- factor_index(term)
  own <- seq_len(count_loadings(term))
  effect <- term$cnms[index$row]
  factor <- paste0(loading, index$col[own])
  if (is.null(specific)) {
    c(paste(effect[own], factor, sep = "."), effect[-own])
  } else {
    c(paste(factor, effect[own], sep = "_"), paste0(specific, "_", effect[-own], recycle0 = TRUE))
  }
}

#' Lambda and psi of one term, relative to sigma and sigma^2
#' @noRd
term_loadings <- function(theta, term) {
  own <- seq_len(count_loadings(term))
  k <- length(term$cnms)
  lambda <- matrix(0, k, term$factors)
  lambda[do.call(cbind, factor_index(term))[own, , drop = FALSE]] <- theta[own]
  list(loadings = lambda, specific = if (is_factor_analytic(term)) theta[-own]^2 else double(k))
}

#' Lower triangular T with T T' = Lambda Lambda' + diag(psi)
#' @noRd
root_of_factors <- function(theta, term) {
  parts <- term_loadings(theta, term)
  k <- nrow(parts$loadings)
  if (is_factor_analytic(term)) {
    return(lower_root(tcrossprod(parts$loadings) + diag(parts$specific, k), 1e-14))
  }
  cbind(parts$loadings, matrix(0, k, k - ncol(parts$loadings)))
}

#' The rank that the covariance matrix of a term has off the boundary
#' @noRd
full_rank <- function(term) {
  if (has_factors(term) && !is_factor_analytic(term)) term$factors else length(term$cnms)
}

#' @noRd
full_ranks <- function(terms) vapply(random_blocks(terms), full_rank, 1L)
