# Covariance structures of random effects: what theta of a term means.
#
# A term with k effects has theta
#   us         the lower triangle of the relative covariance factor T, column by column
#   diag       relative standard deviations: k of them, or 1 if homogeneous
#   rr         that of the first columns of T: the loadings of so many factors
#   fa         loadings as those of rr, then the relative specific standard deviation of each effect
#   others     relative standard deviations (k or 1), then the parameters of the correlations, each
#              the correlation of the first effect with a later one
# Relative: divided by sigma. A term with one effect is "us". The engine says which structures there
# are ([random_kind()]) and what parameters they have ([effects_parameters()]). Where levels have
# classes with covariances of their own, each class has all of these: R/structure-random-classes.R.

#' @noRd
count_sd <- function(term) if (isTRUE(term$hom)) 1L else length(term$cnms)

#' Correlation parameters of a natural structure, none of independent effects
#' @noRd
term_correlations <- function(term) {
  if (random_kind(term$structure)$correlated) {
    return(effects_parameters(term$structure, length(term$cnms)))
  }
  list(names = character(), lower = numeric(), upper = numeric(), start = numeric())
}

#' The number of covariance parameters that a term has
#' @noRd
count_theta <- function(term) count_classes(term) * count_block(term)

#' Those of one class of its levels
#' @noRd
count_block <- function(term) {
  if (is_factor_analytic(term)) {
    return(count_loadings(term) + length(term$cnms))
  }
  if (is_natural(term)) {
    return(count_sd(term) + length(term_correlations(term)$names))
  }
  k <- length(term$cnms)
  if (has_factors(term)) count_loadings(term) else (k * (k + 1L)) %/% 2L
}

#' The cell of the covariance matrix that each element of a term's theta stands for, of one class
#'
#' A standard deviation has the diagonal cell of its effect (the first, where all effects share
#' one), a correlation the first cell where it occurs. A loading has the row of its effect and the
#' column of its factor.
#' @returns list(row, col)
#' @noRd
theta_index <- function(term) {
  k <- length(term$cnms)
  if (has_factors(term)) {
    return(factor_index(term))
  }
  if (is_natural(term)) {
    sd <- seq_len(count_sd(term))
    lag <- seq_along(term_correlations(term)$names)
    return(list(row = c(sd, 1L + lag), col = c(sd, rep.int(1L, length(lag)))))
  }
  list(row = sequence(k:1L, seq_len(k)), col = rep.int(seq_len(k), k:1L))
}

#' Row and column of each parameter of a term, as a matrix
#' @noRd
theta_entries <- function(term) {
  index <- theta_index(term)
  cbind(index$row, index$col)
}

#' Lower bounds of a term's theta: 0 for standard deviations
#' @noRd
term_lower <- function(term) {
  index <- theta_index(term)
  own <- if (is_natural(term) && !has_factors(term)) {
    c(double(count_sd(term)), term_correlations(term)$lower)
  } else {
    ifelse(index$row == index$col, 0, -Inf)
  }
  rep.int(own, count_classes(term))
}

#' Upper bounds: those of correlations
#' @noRd
term_upper <- function(term) {
  own <- if (is_natural(term) && !has_factors(term)) {
    c(rep.int(Inf, count_sd(term)), term_correlations(term)$upper)
  } else {
    rep.int(Inf, count_block(term))
  }
  rep.int(own, count_classes(term))
}

#' Names of a term's theta: "g.x" on the diagonal, "g.y.x" below it, as lme4 has them; "g.sd" for a
#' standard deviation of all effects, "g.rho", "g.rho1", ... for the correlations of a structure;
#' "g.x.factor1" for a loading, "g.x" for a specific standard deviation; followed by the class,
#' where there are classes: "g.x arm1"
#' @noRd
term_theta_names <- function(term) {
  if (has_factors(term)) {
    return(paste(term$group, factor_names(term, "factor"), sep = "."))
  }
  index <- theta_index(term)
  names <- term$cnms[index$row]
  below <- index$row != index$col
  if (is_natural(term)) {
    if (isTRUE(term$hom)) {
      names[1L] <- "sd"
    }
    names[below] <- term_correlations(term)$names
  } else {
    names[below] <- paste(names[below], term$cnms[index$col[below]], sep = ".")
  }
  name_classes(paste(term$group, names, sep = "."), term$classes)
}

#' Correlation matrix of a natural structure at theta
#' @noRd
term_correlation <- function(theta, term) {
  k <- length(term$cnms)
  if (random_kind(term$structure)$correlated) {
    engine_effects_correlation(term$structure, theta[-seq_len(count_sd(term))], k)
  } else {
    diag(k)
  }
}

#' Relative covariance factor T of one term from its theta
#' @noRd
term_factor <- function(theta, term) {
  k <- length(term$cnms)
  if (has_factors(term)) {
    return(root_of_factors(theta, term))
  }
  if (!is_natural(term)) {
    factor <- matrix(0, k, k)
    factor[lower.tri(factor, diag = TRUE)] <- theta
    return(factor)
  }
  sd <- rep_len(theta[seq_len(count_sd(term))], k)
  if (random_kind(term$structure)$correlated) {
    sd * lower_root(term_correlation(theta, term))
  } else {
    diag(sd, k)
  }
}

#' theta of each block: of each term, or of each class of its levels
#' @noRd
split_theta <- function(theta, terms) {
  sizes <- rep.int(vapply(terms, count_block, 1L), vapply(terms, count_classes, 1L))
  unname(split(unname(theta), factor(rep.int(seq_along(sizes), sizes), seq_along(sizes))))
}

#' Relative covariance factors T, one k x k lower triangular matrix a block
#' @noRd
theta_matrix <- function(theta, terms) {
  if (anyNA(theta)) abort_nobound("What is computed from covariance factors")
  unname(Map(term_factor, split_theta(theta, terms), random_blocks(terms)))
}

#' Relative covariance factors of each term: a list by term of lists by class
#' @noRd
term_factors <- function(theta, terms) {
  owner <- factor(block_terms(terms), seq_along(terms))
  unname(split(theta_matrix(theta, terms), owner))
}

#' Standard deviations, correlations, parameters of the residual structure and sigma for columns of
#' theta
#'
#' Of factors: loadings and specific standard deviations.
#' @param theta matrix, a column for each set of parameters; `phi` likewise, or NULL; `sigma` has an
#'   entry for each column.
#' @returns a matrix: rows of theta, of phi, sigma; the correlation with an effect of zero variance
#'   is NA
#' @noRd
theta_to_sdcor <- function(theta, sigma, random, phi = NULL) {
  at <- 0L
  out <- rbind(theta, if (length(phi)) matrix(phi, ncol = length(sigma)), sigma)
  for (term in random_blocks(random)) {
    here <- at + seq_len(count_theta(term))
    values <- theta[here, , drop = FALSE]
    out[here, ] <- if (has_factors(term)) {
      values * rep(sigma, each = length(here))
    } else if (is_natural(term)) {
      is_sd <- seq_along(here) <= count_sd(term)
      values[is_sd, ] <- values[is_sd, , drop = FALSE] * rep(sigma, each = sum(is_sd))
      values
    } else {
      factor_to_sdcor(values, sigma, term)
    }
    at <- at + length(here)
  }
  dimnames(out) <- NULL
  out[is.nan(out)] <- NA
  out
}

#' @noRd
factor_to_sdcor <- function(values, sigma, term) {
  entries <- theta_entries(term)
  row <- function(i, j) {
    found <- which(entries[, 1L] == i & entries[, 2L] == j)
    if (length(found) == 0L) 0 else values[found, ]
  }
  product <- function(i, j) {
    Reduce(`+`, lapply(seq_len(min(i, j)), function(l) row(i, l) * row(j, l)))
  }
  size <- lapply(seq_along(term$cnms), function(i) sqrt(product(i, i)))
  out <- values
  for (e in seq_len(nrow(entries))) {
    i <- entries[e, 1L]
    j <- entries[e, 2L]
    out[e, ] <- if (i == j) sigma * size[[i]] else product(i, j) / (size[[i]] * size[[j]])
  }
  out
}

#' c(theta, phi) of standard deviations, correlations, phi and sigma
#' @noRd
sdcor_to_theta <- function(sdcor, random) {
  sigma <- sdcor[[length(sdcor)]]
  at <- sum(vapply(random, count_theta, 1L))
  parts <- split_theta(sdcor[seq_len(at)], random)
  by_term <- Map(function(term, values) {
    if (has_factors(term)) {
      return(values / sigma)
    }
    if (is_natural(term)) {
      is_sd <- seq_along(values) <= count_sd(term)
      values[is_sd] <- values[is_sd] / sigma
      return(values)
    }
    entries <- theta_entries(term)
    correlation <- diag(length(term$cnms))
    correlation[entries] <- values
    sd <- diag(correlation)
    diag(correlation) <- 1
    (lower_root(correlation) * sd / sigma)[entries]
  }, random_blocks(random), parts)
  c(unlist(by_term), sdcor[at + seq_len(length(sdcor) - at - 1L)])
}

#' Names of a term's parameters on the scale on which they are shown: "sd_x|g", "cor_y.x|g"; "sd|g"
#' and "rho|g" for those of a structure; followed by the class, where there are classes
#' @noRd
term_parameter_names <- function(term, group) {
  if (has_factors(term)) {
    return(paste0(factor_names(term, "loading", "specific"), "|", group))
  }
  index <- theta_index(term)
  pair <- index$row != index$col
  names <- paste0("sd_", term$cnms[index$row])
  if (isTRUE(term$hom)) {
    names[1L] <- "sd"
  }
  names[pair] <- if (is_natural(term)) {
    term_correlations(term)$names
  } else {
    paste0("cor_", term$cnms[index$row[pair]], ".", term$cnms[index$col[pair]])
  }
  name_classes(paste0(names, "|", group), term$classes)
}

#' @noRd
structure_name <- function(term) structure_words[[term$structure]]$words

#' A structure in words, for printed output; NULL for the usual ones
#' @noRd
describe_structure <- function(term) {
  if (!is_structured(term) && is.null(term$known)) {
    return(NULL)
  }
  paste0(
    if (length(term$cnms) > 1L) {
      paste0(
        structure_name(term),
        if (has_factors(term)) {
          paste0(", ", count_of(term$factors, "factor"))
        } else if (isTRUE(term$hom)) {
          ", one variance"
        } else if (is_natural(term)) {
          ", own variances"
        }
      )
    },
    if (!is.null(term$known)) {
      paste0(
        if (length(term$cnms) > 1L) "; ",
        if (term$known$kind == "cov") "covariance of the levels " else "precision of the levels ",
        term$known$label
      )
    }
  )
}

#' Is theta of a term something other than the entries of its covariance factor?
#' @noRd
is_structured <- function(term) {
  isTRUE(term$hom) || has_factors(term) ||
    is_natural(term) && random_kind(term$structure)$correlated
}

#' @noRd
theta_counts <- function(object) {
  vapply(object$random, count_theta, 1L)
}

#' The left side of a term without "0 +"
#' @noRd
without_intercept <- function(lhs) {
  if (is_call_to(lhs, "+") && length(lhs) == 3L && identical(lhs[[2L]], 0)) lhs[[3L]] else lhs
}
