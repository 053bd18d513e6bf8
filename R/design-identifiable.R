# Can the variances of random effects be told from the residual variance?
#
# V = sum_a gamma_a K_a + sigma^2 W^-1 is linear in the covariances gamma of random effects: they
# are identified if and only if the matrices K_a and W^-1 are linearly independent (Rao and Kleffe,
# 1988, Estimation of Variance Components, section 4.2); covariances of a structure, if the
# derivatives along its parameters are. Checked where counts of levels make it doubtful; the
# certificate of the fit checks what these matrices do not show.

#' Smallest eigenvalue of the correlations between the K_a below which they are dependent
#' @noRd
independent_enough <- 1e-9

#' Stop where the variances of a term cannot be told from the residual variance
#'
#' @param terms,groups parallel lists; `spec` the residual structure, `control` the options.
#' @noRd
check_terms_identified <- function(terms, groups, frame, spec, control) {
  n <- frame_observations(frame)
  of_cells <- !is.null(attr(frame, "observations"))
  if (identical(control$not_identified, "fit")) {
    return(invisible())
  }
  free <- is.null(control$sigma)
  weights <- .subset2(frame, "(weights)")
  for (variable in variable_names(spec$fixed)) {
    fixed <- 1 / as.double(frame[[variable]])
    weights <- if (is.null(weights)) fixed else weights * fixed
  }
  # a residual structure is left to the certificate, and a known matrix ties the levels
  structured <- length(spec$correlation) > 0L || length(spec$scales) > 0L
  for (t in seq_along(terms)) {
    group <- groups[[t]]
    if (!is.null(group$precision)) {
      next
    }
    tied <- is_natural(terms[[t]]) && random_kind(terms[[t]]$structure)$correlated
    k <- length(terms[[t]]$cnms)
    many <- group$n_levels >= n || k * group$n_levels >= n && !tied
    doubtful <- free && many && !structured
    single <- group$n_levels < 2L
    if (!single && !doubtful) {
      next
    }
    constraints <- own_constraints(terms[[t]], control)
    if (constraints$elsewhere || !anyNA(constraints$hold)) {
      next
    }
    if (single) {
      check_single_level(terms[[t]], group)
    }
    # rows that are not there leave the second question to the certificate
    identified <- if (of_cells) group$n_levels < n else NA
    if (doubtful && is.na(identified)) {
      identified <- term_is_identified(terms[[t]], group, weights, constraints)
    }
    if (doubtful && !identified) {
      abort_not_identified(terms[[t]], group, k, n)
    }
  }
}

#' Observations that the rows of a frame stand for
#' @noRd
frame_observations <- function(frame) {
  observations <- attr(frame, "observations")
  if (is.null(observations)) .row_names_info(frame, 2L) else observations
}

#' What is held and tied of a term's theta
#' @returns list(hold, sets, elsewhere): the values that are held, NA for others; the set of each
#'   parameter; is one of them tied to a parameter that is not of the term?
#' @noRd
own_constraints <- function(term, control) {
  names <- term_theta_names(term)
  resolved <- resolve_constraints(control, names)
  list(
    hold = if (is.null(resolved$hold)) rep.int(NA_real_, length(names)) else resolved$hold,
    sets = if (is.null(resolved$tie)) seq_along(names) else resolved$tie,
    elsewhere = any(vapply(control$tie, function(set) {
      any(set %in% names) && !all(set %in% names)
    }, NA))
  )
}

#' One level: a single draw of each effect. Several effects with one variance still determine it.
#' @noRd
check_single_level <- function(term, group) {
  if (isTRUE(term$hom) && !random_kind(term$structure)$correlated) {
    return(invisible())
  }
  ferrolmm_abort(
    paste0("Grouping factor `", group$name, "` has only one level",
           if (group$n_levels) paste0(" (\"", group$levels[1L], "\")"), "."),
    "grouping", group = group$name,
    i = c(
      "A variance between levels needs at least two; remove the term, or check the data.",
      "lmm_control(not_identified = \"fit\") fits it all the same."
    )
  )
}

#' Are the derivatives of V along the free parameters of a term and along sigma^2 linearly
#' independent?
#'
#' tr(Z A Z' Z B Z') over all levels is vec(A)' (sum_j C_j x C_j) vec(B), with C_j = Z_j'Z_j. The
#' derivative along sigma^2 is W^-1, and Z G Z' besides where parameters are held (they are relative
#' to sigma; without any, it is a combination of the others).
#' @noRd
term_is_identified <- function(term, group, weights, constraints) {
  n <- length(group$codes)
  k <- length(term$cnms)
  w <- if (is.null(weights)) rep.int(1, n) else weights
  z <- columns_matrix(term$values, n)
  # scaled to the same size, so that units do not matter
  z <- z / rep(pmax(sqrt(colMeans(z^2)), .Machine$double.xmin), each = n)
  pairs <- expand.grid(seq_len(k), seq_len(k))
  products <- z[, pairs[[1L]], drop = FALSE] * z[, pairs[[2L]], drop = FALSE]
  codes <- as.integer(group$codes)
  by_level <- rowsum(products, codes)
  # (a, c) by (b, d) to (a, b) by (c, d)
  squares <- aperm(array(crossprod(by_level), c(k, k, k, k)), c(1L, 3L, 2L, 4L))
  squares <- matrix(squares, k^2)
  slopes <- covariance_slopes(term, k, constraints)
  with_residual <- crossprod(slopes, colSums(products / w))
  last <- ncol(slopes)
  gram <- crossprod(slopes, squares %*% slopes)
  gram[last, ] <- gram[last, ] + with_residual
  gram[, last] <- gram[, last] + with_residual
  gram[last, last] <- gram[last, last] + sum(1 / w^2)
  size <- sqrt(diag(gram))
  if (any(size == 0)) {
    return(FALSE)
  }
  values <- eigen(gram / outer(size, size), symmetric = TRUE, only.values = TRUE)$values
  min(values) > independent_enough
}

#' Derivatives of vec(G) along the free parameters at a generic point, and vec(G) of what is held
#' @noRd
covariance_slopes <- function(term, k, constraints) {
  m <- count_theta(term)
  theta <- 1 + 0.13 * seq_len(m) %% 5
  if (is_natural(term)) {
    theta[-seq_len(count_sd(term))] <- term_correlations(term)$start
  }
  held <- !is.na(constraints$hold)
  theta[held] <- constraints$hold[held]
  theta <- theta[match(constraints$sets, constraints$sets)]
  g <- function(theta) c(tcrossprod(theta_matrix(theta, list(term))[[1L]]))
  slopes <- vapply(unique(constraints$sets[!held]), function(set) {
    step <- 1e-4 * (constraints$sets == set)
    (g(theta + step) - g(theta - step)) / 2e-4
  }, numeric(k^2))
  cbind(matrix(slopes, k^2), if (any(held)) g(theta) else 0)
}

#' @noRd
abort_not_identified <- function(term, group, k, n) {
  fit_anyway <- "lmm_control(not_identified = \"fit\") fits it all the same."
  if (group$n_levels >= n) {
    ferrolmm_abort(
      paste0("Grouping factor `", group$name, "` has as many levels (", group$n_levels,
             ") as there are observations (", n, ")."),
      "grouping", group = group$name,
      x = paste0("The variance of (", term$label, ") cannot be told from the residual variance."),
      i = c("Known variances of the rows are weights with lmm_control(sigma = 1).", fit_anyway)
    )
  }
  ferrolmm_abort(
    paste0("The term (", term$label, ") has ", k * group$n_levels, " random effects for ", n,
           " observations."),
    "grouping", group = group$name,
    x = "Its covariances and the residual variance are not identifiable.",
    i = c(
      paste0("Use fewer random effects (", group$n_levels, " levels times ", k,
             " effects), or more data."),
      if (k > 2L && is_visit_term(term)) {
        paste0("An unstructured covariance matrix of visits is residual = ~ us(",
               code_label(without_intercept(term$lhs)), " | ", term$group, ").")
      },
      fit_anyway
    )
  )
}

#' Is the left side of a term one variable? It may be the visits of an MMRM.
#' @noRd
is_visit_term <- function(term) {
  is.symbol(without_intercept(term$lhs))
}
