# Distributions of random effects and residuals.

#' Random effects of a group, and the residual
#' @noRd
distribution_lines <- function(model, pen) {
  blocks <- unlist(lapply(seq_len(nrow(model$groups)), function(g) group_lines(model, g, pen)))
  c(
    blocks,
    write_statement(
      paste0(residual_symbol(model, pen), pen$approx, "N(0, ", residual_variance(model, pen), ")"),
      pen
    ),
    residual_statements(model, pen)
  )
}

#' @noRd
residual_variance <- function(model, pen) {
  variance <- if (pen$values) pen$number(model$sigma^2) else paste0(pen$greek("sigma"), pen$square)
  weight <- if (model$weighted) {
    index <- row_index(model)
    pen$letter("w", if (pen$format == "text") paste0("_", index) else index)
  }
  paste(c(scaled_variance(variance, model, pen), weight), collapse = " / ")
}

#' @noRd
effects_of_group <- function(model, g) {
  Filter(function(effect) effect$group == g, model$random)
}

#' Random effects of one factor: u0j ~ N(0, s), or a vector with its covariance matrix
#' @noRd
group_lines <- function(model, g, pen) {
  effects <- effects_of_group(model, g)
  symbols <- vapply(effects, function(effect) random_symbol(model, effect, pen), "")
  unlist(lapply(group_classes(model, g, pen), function(class) {
    cells <- covariance_cells(model, effects, pen, class$codes)
    words <- if (!is.null(class$words)) pen$label(paste0(", ", class$words))
    if (length(symbols) == 1L) {
      return(write_statement(paste0(symbols, pen$approx, "N(0, ", cells, ")", words), pen))
    }
    left <- paste0("(", paste(symbols, collapse = ", "), ")", pen$transpose, pen$approx)
    name <- group_matrix_name(model, g, pen, class$label)
    c(
      write_statement(paste0(left, "N(0, ", name, ")", words), pen),
      write_matrix(name, cells, pen)
    )
  }))
}

#' The classes of the levels of a grouping factor, of all of its terms: each where there are
#' numbers, else one that stands for all
#'
#' @returns list of list(codes, the class in each term, named by term; label, words, NULL where no
#'   term has classes; levels, how many there are)
#' @noRd
group_classes <- function(model, g, pen) {
  object <- model$object
  terms <- terms_of_factor(object, model$groups$factor[[g]])
  n_levels <- model$groups$levels[[g]]
  found <- combined_classes(object$random[terms], n_levels)
  by <- paste(found$by, collapse = ":")
  one <- function(row, label = NULL, words = NULL, levels = n_levels) {
    codes <- stats::setNames(found$codes[row, ], terms)
    list(codes = codes, label = label, words = words, levels = levels)
  }
  if (is.null(found$labels)) {
    return(list(one(1L)))
  }
  if (!pen$values) {
    return(list(one(1L, words = paste("for each", by))))
  }
  lapply(seq_along(found$labels), function(row) {
    one(row, found$labels[[row]], paste(by, found$labels[[row]]), found$levels[[row]])
  })
}

#' @param class label of a class of levels.
#' @noRd
group_matrix_name <- function(model, g, pen, class = NULL) {
  label <- paste(c(model$groups$name[[g]], class), collapse = " ")
  if (pen$format == "latex") {
    paste0("G_{\\text{", latex_escape(label), "}}")
  } else {
    paste0("G_", label)
  }
}

#' The covariance matrix of these effects as text: symbols or numbers, 0 between terms
#'
#' @param classes the class of the level in each term, named by term.
#' @noRd
covariance_cells <- function(model, effects, pen, classes) {
  k <- length(effects)
  cells <- matrix("0", k, k)
  for (a in seq_len(k)) {
    for (b in seq_len(k)) {
      first <- effects[[min(a, b)]]
      second <- effects[[max(a, b)]]
      if (first$term == second$term && (a == b || random_kind(first$structure)$correlated)) {
        cells[a, b] <- if (pen$values) {
          class <- classes[[as.character(first$term)]]
          pen$number(first$covariances[[class]][[second$position]])
        } else {
          covariance_symbol(model, first, second, pen)
        }
      }
    }
  }
  cells
}

#' @noRd
covariance_symbol <- function(model, a, b, pen) {
  letter <- model$groups$letter[[a$group]]
  plain <- pen$greek("sigma")
  if (!is.null(a$term_structure)) {
    return(structured_symbol(letter, a, b, pen))
  }
  if (a$position == b$position) {
    index <- paste0(letter, a$sub)
    plain <- paste0(plain, pen$square)
  } else {
    wide <- nchar(a$sub) > 1L || nchar(b$sub) > 1L
    index <- paste0(letter, a$sub, if (wide) ",", b$sub)
  }
  if (pen$format == "latex") paste0(plain, "_{", index, "}") else paste0(plain, "_", index)
}

#' A cell of a structured covariance matrix: rho^lag and two standard deviations
#' @noRd
structured_symbol <- function(letter, a, b, pen) {
  latex <- pen$format == "latex"
  index <- function(symbol, at) {
    if (latex) paste0(symbol, "_{", at, "}") else paste0(symbol, "_", at)
  }
  hom <- isTRUE(a$term_structure$hom)
  own <- function(effect) paste0(letter, if (!hom) effect$sub)
  sigma <- pen$greek("sigma")
  if (a$position == b$position || hom) {
    spread <- index(paste0(sigma, pen$square), own(a))
  } else {
    spread <- paste(index(sigma, own(a)), index(sigma, own(b)))
  }
  if (a$position == b$position) {
    return(spread)
  }
  lag <- abs(a$position - b$position)
  rho <- lag_symbol(
    a$term_structure$structure,
    function(at = "") index(pen$greek("rho"), paste0(letter, at)), lag,
    function(x, k) {
      if (k == 1L) x else if (latex) paste0(x, "^{", k, "}") else paste0(x, "^", k)
    }
  )
  if (rho == "0") rho else paste(rho, spread)
}
