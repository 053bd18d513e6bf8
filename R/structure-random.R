# Covariance structures of random effects: what theta of a term means.
#
# A term with k effects has theta
#   us         the lower triangle of the relative covariance factor T, column by column
#   diag       relative standard deviations: k of them, or 1 if homogeneous
#   cs, ar1    relative standard deviations (k or 1), then the correlation rho
#   toep       relative standard deviations (k or 1), then the correlations of lags 1, ..., k - 1
# Relative: divided by sigma. A term with one effect is "us".

#' Structures whose theta is not that of a covariance factor, but standard deviations and
#' correlations
#' @noRd
is_natural <- function(term) term$structure != "us"

#' @noRd
count_sd <- function(term) if (isTRUE(term$hom)) 1L else length(term$cnms)

#' @noRd
count_correlations <- function(term) {
  k <- length(term$cnms)
  switch(term$structure, diag = 0L, cs = , ar1 = 1L, toep = k - 1L, (k * (k - 1L)) %/% 2L)
}

#' The number of covariance parameters that a term has
#' @noRd
count_theta <- function(term) {
  k <- length(term$cnms)
  if (is_natural(term)) count_sd(term) + count_correlations(term) else (k * (k + 1L)) %/% 2L
}

#' The cell of the covariance matrix that each element of a term's theta stands for
#'
#' A standard deviation has the diagonal cell of its effect (the first, where all effects share
#' one), a correlation the first cell where it occurs.
#' @returns list(row, col)
#' @noRd
theta_index <- function(term) {
  k <- length(term$cnms)
  if (is_natural(term)) {
    sd <- seq_len(count_sd(term))
    lag <- seq_len(count_correlations(term))
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
  lower <- double(length(index$row))
  below <- index$row != index$col
  lower[below] <- if (!is_natural(term)) {
    -Inf
  } else if (term$structure == "cs") {
    -1 / (length(term$cnms) - 1)
  } else {
    -1
  }
  lower
}

#' Upper bounds: 1 for correlations
#' @noRd
term_upper <- function(term) {
  index <- theta_index(term)
  ifelse(is_natural(term) & index$row != index$col, 1, Inf)
}

#' Names of a term's theta: "g.x" on the diagonal, "g.y.x" below it, as lme4 has them; "g.sd" for a
#' standard deviation of all effects, "g.rho", "g.rho1", ... for the correlations of a structure
#' @noRd
term_theta_names <- function(term) {
  index <- theta_index(term)
  names <- term$cnms[index$row]
  below <- index$row != index$col
  if (is_natural(term)) {
    if (isTRUE(term$hom)) {
      names[1L] <- "sd"
    }
    names[below] <- correlation_names(term)
  } else {
    names[below] <- paste(names[below], term$cnms[index$col[below]], sep = ".")
  }
  paste(term$group, names, sep = ".")
}

#' @noRd
correlation_names <- function(term) {
  n <- count_correlations(term)
  if (term$structure == "toep") paste0("rho", seq_len(n)) else rep_len("rho", n)
}

#' Correlation matrix of a structure with natural parameters
#' @noRd
structure_correlation <- function(structure, rho, k) {
  lag <- abs(outer(seq_len(k), seq_len(k), `-`))
  correlation <- switch(structure,
    diag = matrix(0, k, k),
    cs = matrix(rep_len(rho, k * k), k),
    ar1 = rho^lag,
    toep = matrix(c(1, rho)[lag + 1L], k)
  )
  diag(correlation) <- 1
  correlation
}

#' Lower triangular root of a positive semidefinite matrix
#' @noRd
lower_root <- function(x) {
  k <- nrow(x)
  for (j in seq_len(k)) {
    before <- seq_len(j - 1L)
    for (i in j:k) {
      rest <- x[i, j] - sum(x[i, before] * x[j, before])
      x[i, j] <- if (i == j) {
        sqrt(max(rest, 0))
      } else if (x[j, j] > 0) {
        rest / x[j, j]
      } else {
        0
      }
    }
  }
  x[upper.tri(x)] <- 0
  x
}

#' Relative covariance factor T of one term from its theta
#' @noRd
term_factor <- function(theta, term) {
  k <- length(term$cnms)
  if (!is_natural(term)) {
    factor <- matrix(0, k, k)
    factor[lower.tri(factor, diag = TRUE)] <- theta
    return(factor)
  }
  n_sd <- count_sd(term)
  sd <- rep_len(theta[seq_len(n_sd)], k)
  if (term$structure == "diag") {
    return(diag(sd, k))
  }
  sd * lower_root(structure_correlation(term$structure, theta[-seq_len(n_sd)], k))
}

#' theta of each term
#' @noRd
split_theta <- function(theta, terms) {
  sizes <- vapply(terms, count_theta, 1L)
  unname(split(unname(theta), factor(rep.int(seq_along(terms), sizes), seq_along(terms))))
}

#' Relative covariance factors T_t, one k x k lower triangular matrix a term
#' @noRd
theta_matrix <- function(theta, terms) {
  unname(Map(term_factor, split_theta(theta, terms), terms))
}

#' Which elements of theta are correlations where they are shown on natural scales?
#' @noRd
correlation_parameters <- function(terms) {
  as.logical(unlist(lapply(terms, function(term) {
    index <- theta_index(term)
    index$row != index$col
  })))
}

#' Standard deviations, correlations, parameters of the residual structure and sigma for columns of
#' theta
#'
#' @param theta matrix, a column for each set of parameters; `phi` likewise, or NULL; `sigma` has an
#'   entry for each column.
#' @returns a matrix: rows of theta, of phi, sigma; the correlation with an effect of zero variance
#'   is NA
#' @noRd
theta_to_sdcor <- function(theta, sigma, random, phi = NULL) {
  at <- 0L
  out <- rbind(theta, if (length(phi)) matrix(phi, ncol = length(sigma)), sigma)
  for (term in random) {
    here <- at + seq_len(count_theta(term))
    values <- theta[here, , drop = FALSE]
    out[here, ] <- if (is_natural(term)) {
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
  sizes <- vapply(random, count_theta, 1)
  at <- sum(sizes)
  parts <- split(sdcor[seq_len(at)], rep(seq_along(random), sizes))
  by_term <- Map(function(term, values) {
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
  }, random, parts)
  c(unlist(by_term), sdcor[at + seq_len(length(sdcor) - at - 1L)])
}

#' Names of a term's parameters on the scale on which they are shown: "sd_x|g", "cor_y.x|g"; "sd|g"
#' and "rho|g" for those of a structure
#' @noRd
term_parameter_names <- function(term, group) {
  index <- theta_index(term)
  pair <- index$row != index$col
  names <- paste0("sd_", term$cnms[index$row])
  if (isTRUE(term$hom)) {
    names[1L] <- "sd"
  }
  names[pair] <- if (is_natural(term)) {
    correlation_names(term)
  } else {
    paste0("cor_", term$cnms[index$row[pair]], ".", term$cnms[index$col[pair]])
  }
  paste0(names, "|", group)
}

#' @noRd
structure_name <- function(term) {
  c(
    us = "unstructured", diag = "diagonal", cs = "compound symmetry", ar1 = "AR(1)",
    toep = "Toeplitz"
  )[[term$structure]]
}

#' A structure in words, for printed output; NULL for the usual ones
#' @noRd
describe_structure <- function(term) {
  if (term$structure %in% c("us", "diag") && !isTRUE(term$hom) && is.null(term$known)) {
    return(NULL)
  }
  paste0(
    if (length(term$cnms) > 1L) {
      paste0(
        structure_name(term),
        if (isTRUE(term$hom)) ", one variance" else if (is_natural(term)) ", own variances"
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

#' Covariance structures that can be written around a bar term: what the engine calls them, and
#' whether they are homogeneous (one variance) unless `hom =` says otherwise
#'
#' Defaults are those of lme4 2.x, where it has the structure, and of glmmTMB. To add a structure,
#' add a line here, its parameters below, and its file in the engine.
#' @noRd
covariance_structures <- list(
  us = list(structure = "us", hom = FALSE),
  diag = list(structure = "diag", hom = FALSE),
  homdiag = list(structure = "diag", hom = TRUE),
  cs = list(structure = "cs", hom = FALSE),
  homcs = list(structure = "cs", hom = TRUE),
  ar1 = list(structure = "ar1", hom = TRUE),
  hetar1 = list(structure = "ar1", hom = FALSE),
  toep = list(structure = "toep", hom = FALSE),
  homtoep = list(structure = "toep", hom = TRUE)
)

#' Structures of other packages, named in the error that they are not available here
#' @noRd
foreign_structures <- c("ou", "exp", "gau", "mat", "rr", "propto", "equalto", "un", "csh", "ar1h",
                        "toeph", "ad", "adh", "sp_exp", "sp_gau", "sp_matern")

#' Is theta of a term something other than the entries of its covariance factor?
#' @noRd
is_structured <- function(term) {
  isTRUE(term$hom) || !term$structure %in% c("us", "diag")
}

#' @noRd
theta_counts <- function(object) {
  vapply(object$random, count_theta, 1L)
}
