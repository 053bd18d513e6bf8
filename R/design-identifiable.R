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
    if (!is.null(group$members)) {
      check_members_identified(terms[[t]], group, weights, free && !structured, control)
      next
    }
    tied <- is_natural(terms[[t]]) && !has_factors(terms[[t]]) &&
      random_kind(terms[[t]]$structure)$correlated
    k <- length(terms[[t]]$cnms)
    sizes <- class_sizes(terms[[t]], group, n)
    many <- any(sizes$levels >= sizes$rows | k * sizes$levels >= sizes$rows & !tied)
    doubtful <- free && many && !structured
    single <- any(sizes$levels < 2L)
    if (!single && !doubtful) {
      next
    }
    constraints <- own_constraints(terms[[t]], control)
    if (constraints$elsewhere || !anyNA(constraints$hold)) {
      next
    }
    if (single) {
      check_single_level(terms[[t]], group, sizes)
    }
    # rows that are not there leave the second question to the certificate
    identified <- if (of_cells) group$n_levels < n else NA
    if (doubtful && is.na(identified)) {
      identified <- term_is_identified(terms[[t]], group, weights, constraints)
    }
    if (doubtful && !identified) {
      abort_not_identified(terms[[t]], group, k, sizes)
    }
  }
}

#' The same of a term whose levels share rows: ZZ' and W^-1, of one effect a level
#' @noRd
check_members_identified <- function(term, group, weights, doubtful, control) {
  constraints <- own_constraints(term, control)
  if (constraints$elsewhere || !anyNA(constraints$hold)) {
    return(invisible())
  }
  n <- length(group$codes)
  sizes <- data.frame(levels = group$n_levels, rows = n)
  if (group$n_levels < 2L) check_single_level(term, group, sizes)
  if (!doubtful || length(term$cnms) > 1L || group$n_levels < n) {
    return(invisible())
  }
  z <- if (is.null(term$values[[1L]])) rep.int(1, n) else columns_matrix(term$values, n)[, 1L]
  rows <- members_matrix(group$members, group$n_levels)
  scaled <- rows %*% Matrix::Diagonal(n, z)
  squares <- sum(Matrix::tcrossprod(scaled)^2)
  noise <- 1 / if (is.null(weights)) rep.int(1, n) else weights
  cosine <- sum(noise * Matrix::colSums(scaled^2)) / sqrt(squares * sum(noise^2))
  if (!isTRUE(1 - cosine > independent_enough)) {
    abort_not_identified(term, group, 1L, sizes)
  }
}

#' Levels and rows of each class of a term's levels
#'
#' @param n observations in all: those of each class are not known where rows are not there.
#' @noRd
class_sizes <- function(term, group, n) {
  if (is.null(term$class_of)) {
    return(data.frame(levels = group$n_levels, rows = n))
  }
  count <- count_classes(term)
  codes <- as.integer(group$codes)
  rows <- if (length(codes) == n) tabulate(term$class_of[codes], count) else Inf
  data.frame(levels = tabulate(term$class_of, count), rows = rows, class = term$classes)
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
#'
#' @param sizes what [class_sizes()] returns.
#' @noRd
check_single_level <- function(term, group, sizes) {
  if (isTRUE(term$hom) && !random_kind(term$structure)$correlated) {
    return(invisible())
  }
  # a penalty may be on a single direction, as that of s(x, k = 3)
  if (!is.null(term$members$smooth)) {
    return(invisible())
  }
  class <- which(sizes$levels < 2L)[[1L]]
  level <- group$levels[level_classes(term, group$n_levels) == class]
  ferrolmm_abort(
    paste0("Grouping factor `", group$name, "` has only one level",
           if (length(level) > 0L) paste0(" (\"", level, "\")"),
           if (!is.null(term$by)) {
             paste0(" of `", by_label(term), "` ", sizes$class[[class]])
           }, "."),
    "grouping", group = group$name,
    x = if (!is.null(term$by)) paste0("In the term (", term_words(term), ")."),
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
#' to sigma; without any, it is a combination of the others). Classes of levels have a G each, and
#' rows of different ones nothing in common.
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
  class_of <- level_classes(term, group$n_levels)
  slopes <- covariance_slopes(term, k, constraints)
  last <- ncol(slopes)
  with_residual <- 0
  gram <- matrix(0, last, last)
  for (class in seq_len(count_classes(term))) {
    own <- slopes[(class - 1L) * k^2 + seq_len(k^2), , drop = FALSE]
    # (a, c) by (b, d) to (a, b) by (c, d)
    cross <- crossprod(by_level[class_of == class, , drop = FALSE])
    squares <- aperm(array(cross, c(k, k, k, k)), c(1L, 3L, 2L, 4L))
    gram <- gram + crossprod(own, matrix(squares, k^2) %*% own)
    rows <- class_of[codes] == class
    with_residual <- with_residual + crossprod(own, colSums((products / w)[rows, , drop = FALSE]))
  }
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

#' Derivatives of vec(G), of one class after the other, along the free parameters at a generic
#' point, and vec(G) of what is held
#' @noRd
covariance_slopes <- function(term, k, constraints) {
  m <- count_block(term)
  theta <- 1 + 0.13 * seq_len(m) %% 5
  if (has_factors(term)) {
    theta <- sin(1.7 * seq_len(m))
  } else if (is_natural(term)) {
    theta[-seq_len(count_sd(term))] <- term_correlations(term)$start
  }
  theta <- rep.int(theta, count_classes(term))
  held <- !is.na(constraints$hold)
  theta[held] <- constraints$hold[held]
  theta <- theta[match(constraints$sets, constraints$sets)]
  g <- function(theta) unlist(lapply(theta_matrix(theta, list(term)), tcrossprod))
  slopes <- vapply(unique(constraints$sets[!held]), function(set) {
    step <- 1e-4 * (constraints$sets == set)
    (g(theta + step) - g(theta - step)) / 2e-4
  }, numeric(k^2 * count_classes(term)))
  cbind(matrix(slopes, k^2 * count_classes(term)), if (any(held)) g(theta) else 0)
}

#' @param sizes what [class_sizes()] returns.
#' @noRd
abort_not_identified <- function(term, group, k, sizes) {
  fit_anyway <- "lmm_control(not_identified = \"fit\") fits it all the same."
  n <- sum(sizes$rows)
  if (all(sizes$levels >= sizes$rows)) {
    ferrolmm_abort(
      paste0("Grouping factor `", group$name, "` has as many levels (", group$n_levels,
             ") as there are observations (", n, ")."),
      "grouping", group = group$name,
      x = paste0("The variance of (", term_words(term), ") cannot be told from the residual ",
                 "variance."),
      i = c("Known variances of the rows are weights with lmm_control(sigma = 1).", fit_anyway)
    )
  }
  class <- which(k * sizes$levels >= sizes$rows)[[1L]]
  ferrolmm_abort(
    paste0("The term (", term_words(term), ") has ", k * sizes$levels[[class]],
           " random effects for ", sizes$rows[[class]], " observations",
           if (!is.null(term$by)) {
             paste0(" of `", by_label(term), "` ", sizes$class[[class]])
           }, "."),
    "grouping", group = group$name,
    x = "Its covariances and the residual variance are not identifiable.",
    i = c(
      paste0("Use fewer random effects (", sizes$levels[[class]], " levels times ", k,
             " effects), or more data."),
      if (k > 2L && is_visit_term(term)) {
        paste0("An unstructured covariance matrix of visits is residual = ~ us(",
               code_label(without_intercept(term$lhs)), " | ",
               if (length(term$by)) paste0(by_label(term), " / "), term$group, ").")
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
