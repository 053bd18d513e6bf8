# Variance components of a fit, their covariance matrix, and functions of them.
#
# The components are those of the engine, in its order: the cells of the covariance matrix of each
# block (the lower triangle, column by column), the parameters phi of the residual structure, and
# sigma^2. They are called .b1, .b2, ... in expressions. All that a user can name (variances as
# V1, V2, ..., standard deviations and correlations by the names that confint() has, phi, sigma) is
# an expression in them: `definitions`.

#' The components of a fit
#'
#' @returns a list: `values`; `covariance`, their asymptotic covariance matrix; `hidden`, is a
#'   component at the boundary, where that is no covariance matrix?; `definitions`, a named list of
#'   expressions; `table`, what V1, V2, ... are, with their values and standard errors
#' @noRd
variance_components <- function(object) {
  pieces <- parameter_pieces(object)
  covariance <- pieces$jacobian %*% pieces$covariance %*% t(pieces$jacobian)
  values <- component_values(object)
  table <- as.data.frame(VarCorr.lmm(object))[c("grp", "var1", "var2", "vcov")]
  found <- list(
    values = values, covariance = covariance, hidden = components_at_boundary(object),
    definitions = c(numbered_components(object, table), parameter_expressions(object))
  )
  errors <- vapply(paste0("V", seq_len(nrow(table))), function(name) {
    delta_error(found, found$definitions[[name]])
  }, 0)
  found$table <- data.frame(
    component = paste0("V", seq_len(nrow(table))), table[c("grp", "var1", "var2")],
    estimate = table$vcov, se = unname(errors)
  )
  found
}

#' @noRd
component_symbol <- function(i) as.name(paste0(".b", i))

#' Values of the components at the parameters of a fit, or at others
#' @noRd
component_values <- function(object, theta = theta_of(object)[seq_along(object$theta)],
                             phi = object$phi, sigma = object$sigma) {
  relative <- if (is_nobound(object)) {
    entries_matrix
  } else {
    function(theta, term) tcrossprod(term_factor(theta, term))
  }
  cells <- Map(function(theta, term) {
    v <- sigma^2 * relative(theta, term)
    v[lower.tri(v, diag = TRUE)]
  }, split_theta(theta, object$random), random_blocks(object$random))
  c(unlist(cells, use.names = FALSE), unname(phi), sigma^2)
}

#' Number of the first cell of each block's covariance matrix among the components, less one
#' @noRd
component_starts <- function(object) {
  k <- block_sizes(object$random)
  unname(cumsum(c(0L, k * (k + 1L) / 2L)))
}

#' The number of a cell of the lower triangle, column by column
#' @noRd
cell_number <- function(row, col, k) {
  i <- pmax(row, col)
  j <- pmin(row, col)
  (j - 1L) * k - (j * (j - 1L)) %/% 2L + i
}

#' Which components have no standard error: variances of zero, their covariances, covariances of
#' singular matrices; all where the parameters are not identified. Not what is held or known: it has
#' one, zero.
#' @noRd
components_at_boundary <- function(object) {
  known <- varcorr_uncertainty(object, varcorr_cells(object, all = TRUE))
  starts <- component_starts(object)
  n <- starts[[length(starts)]] + length(object$phi) + 1L
  # cells that a structure sets to zero stay there
  hidden <- rep.int(FALSE, n)
  random <- known[known$part == "random", ]
  k <- block_sizes(object$random)[random$block]
  at <- starts[random$block] + cell_number(random$i, random$j, k)
  hidden[at] <- is.na(random$se.vcov)
  others <- known[known$part != "random", ]
  hidden[starts[[length(starts)]] + seq_len(nrow(others))] <- is.na(others$se.sdcor)
  hidden & !fixed_components(object)
}

#' Which components do not vary, because their parameters are held or sigma is known
#' @noRd
fixed_components <- function(object) {
  held <- names(object$control$hold)
  known <- !is.null(object$control$sigma)
  cells <- Map(function(theta, names, term) {
    k <- length(term$cnms)
    whole <- all(names %in% held) && (known || all(theta == 0))
    at_zero <- is_natural(term) & names %in% held & theta == 0
    if (isTRUE(term$hom)) at_zero <- at_zero[[1L]]
    zero <- rep_len(at_zero[seq_len(count_sd(term))], k)
    cell <- which(lower.tri(diag(k), diag = TRUE), arr.ind = TRUE)
    whole | zero[cell[, 1L]] | zero[cell[, 2L]]
  }, split_theta(object$theta, object$random), theta_names(object), random_blocks(object$random))
  c(unlist(cells), names(object$phi) %in% held, known)
}

#' Names of theta by block
#' @noRd
theta_names <- function(object) {
  split_theta(names(object$theta), object$random)
}

#' V1, V2, ...: the rows of as.data.frame(VarCorr())
#' @noRd
numbered_components <- function(object, table) {
  starts <- component_starts(object)
  sizes <- block_sizes(object$random)
  random <- unlist(lapply(seq_along(sizes), function(t) {
    k <- sizes[[t]]
    cells <- varcorr_order(k, "cov.last")
    lapply(starts[[t]] + cell_number(cells[, 1L], cells[, 2L], k), component_symbol)
  }))
  n <- starts[[length(starts)]] + length(object$phi) + 1L
  rows <- nrow(table) - length(random)
  residual <- if (is.null(distinct_variances(object, object$sigma))) {
    list(component_symbol(n))
  } else {
    lapply(seq_len(rows), function(row) residual_expression(object, row, n))
  }
  all <- c(random, residual)
  stats::setNames(all, paste0("V", seq_along(all)))
}

#' A residual variance or covariance as an expression in phi and sigma^2
#'
#' Most are sigma^2 times powers of the elements of phi: squares of ratios of standard deviations, a
#' correlation or, for AR(1), a power of it. The exponents are found by moving each element, and
#' what they predict is compared at two other points; any other function stays one.
#' @noRd
residual_expression <- function(object, row, n) {
  n_phi <- length(object$phi)
  at <- n - 1L - n_phi + seq_len(n_phi)
  value_at <- function(phi, sigma2) {
    object$phi[] <- phi
    distinct_variance_rows(distinct_variances(object, sqrt(sigma2)), "cov.last")$vcov[[row]]
  }
  symbols <- c(lapply(at, component_symbol), list(component_symbol(n)))
  base <- ifelse(phi_kinds(object$residual) == "positive", 1, 0.2)
  exponents <- suppressWarnings(vapply(seq_len(n_phi), function(a) {
    log2(value_at(base, 1) / value_at(replace(base, a, base[[a]] / 2), 1))
  }, 0))
  whole <- all(is.finite(exponents)) && all(abs(exponents - round(exponents)) < 1e-8)
  if (whole) {
    exponents <- round(exponents)
    agrees <- vapply(c(0.9, 1.1), function(factor) {
      phi <- base * factor^seq_along(base)
      expected <- value_at(base, 1) * prod((phi / base)^exponents)
      isTRUE(abs(value_at(phi, 1) / expected - 1) < 1e-8)
    }, NA)
    whole <- all(agrees)
  }
  if (!whole) {
    return(as.call(c(list(function(...) {
      par <- c(...)
      value_at(par[-length(par)], par[[length(par)]])
    }), symbols)))
  }
  constant <- value_at(base, 1) / prod(base^exponents)
  factors <- Map(function(symbol, e) {
    if (e == 1) symbol else call("^", symbol, e)
  }, symbols[which(exponents != 0)], exponents[exponents != 0])
  product <- Reduce(function(a, b) call("*", a, b), factors, symbols[[n_phi + 1L]])
  if (abs(constant - 1) < 1e-12) product else call("*", constant, product)
}

#' Standard deviations, correlations, phi and sigma by both of their names
#' @noRd
parameter_expressions <- function(object) {
  starts <- component_starts(object)
  blocks <- random_blocks(object$random)
  random <- unlist(lapply(seq_along(blocks), function(t) {
    term <- blocks[[t]]
    k <- length(term$cnms)
    index <- theta_index(term)
    cell <- function(i, j) component_symbol(starts[[t]] + cell_number(i, j, k))
    Map(function(i, j) {
      if (i == j) {
        return(call("sqrt", cell(i, i)))
      }
      call("/", cell(i, j), call("sqrt", call("*", cell(i, i), cell(j, j))))
    }, index$row, index$col)
  }))
  first <- starts[[length(starts)]]
  phi <- lapply(first + seq_along(object$phi), component_symbol)
  sigma <- call("sqrt", component_symbol(first + length(object$phi) + 1L))
  values <- c(random, phi, list(sigma))
  count <- seq_along(values)
  new <- parameter_names(object, FALSE)[count]
  old <- parameter_names(object, TRUE)[count]
  c(stats::setNames(values, new), stats::setNames(values, old)[!old %in% new])
}

#' The value of an expression in the components
#' @noRd
evaluate_components <- function(expression, values, enclosure = baseenv()) {
  data <- stats::setNames(as.list(values), paste0(".b", seq_along(values)))
  eval(expression, data, enclosure)
}

#' Numbers of the components that an expression has
#' @noRd
components_in <- function(expression) {
  names <- grep("^\\.b[0-9]+$", all.vars(expression), value = TRUE)
  sort(as.integer(sub("^\\.b", "", names)))
}

#' Gradient of an expression in the components
#'
#' By differences of fourth order, (8 (f(x + h) - f(x - h)) - (f(x + 2h) - f(x - 2h))) / 12h, whose
#' error is h^4 f^(5) / 30; h is a thousandth of what the component is, or of what it is known to.
#' NA where a step leaves what the expression is defined for, as sqrt() at zero.
#' @noRd
component_gradient <- function(components, expression, enclosure = baseenv()) {
  used <- components_in(expression)
  gradient <- numeric(length(components$values))
  se <- sqrt(pmax(diag(components$covariance), 0))
  for (a in used[se[used] > 0]) {
    size <- abs(components$values[[a]])
    h <- 1e-3 * if (size > 0) size else se[[a]]
    value <- function(times) {
      at <- components$values
      at[[a]] <- at[[a]] + times * h
      suppressWarnings(evaluate_components(expression, at, enclosure))
    }
    gradient[[a]] <- (8 * (value(1) - value(-1)) - (value(2) - value(-2))) / (12 * h)
  }
  replace(gradient, is.nan(gradient), NA)
}

#' Standard error of an expression by the delta method: sqrt(g' A g), A the covariance matrix of the
#' components; NA where one of them is at its boundary
#' @noRd
delta_error <- function(components, expression, enclosure = baseenv()) {
  if (any(components$hidden[components_in(expression)])) {
    return(NA_real_)
  }
  gradient <- component_gradient(components, expression, enclosure)
  sqrt(max(drop(gradient %*% components$covariance %*% gradient), 0))
}
