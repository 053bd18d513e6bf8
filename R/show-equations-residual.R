# The residual structure in equations: variance functions, correlations, R of one group.

#' What the equations say of the residuals besides "N(0, sigma^2)", as statements
#' @noRd
residual_statements <- function(model, pen) {
  residual <- model$residual
  if (is.null(residual)) {
    return(NULL)
  }
  parts <- split_phi(residual, model$phi)
  lines <- unlist(Map(
    function(scale, par, s) scale_statement(scale, par, s, model, pen),
    residual$scales, parts$scales, seq_along(residual$scales)
  ))
  if (!is.null(residual$correlation)) {
    lines <- c(lines, correlation_statements(residual$correlation, parts$correlation, pen))
  }
  write_statement(lines, pen)
}

#' Standard deviations relative to sigma: d_ij, or d1_ij d2_ij
#' @noRd
scale_symbol <- function(s, model, pen) {
  index <- row_index(model)
  name <- if (length(model$residual$scales) > 1L) paste0("d", s) else "d"
  if (pen$format == "latex") {
    return(pen$letter(
      "d", if (length(model$residual$scales) > 1L) paste0(s, ",", index) else index
    ))
  }
  paste0(name, "_", index)
}

#' @noRd
scale_statement <- function(scale, par, s, model, pen) {
  index <- row_index(model)
  symbol <- scale_symbol(s, model, pen)
  covariate <- if (scale$fitted) {
    pen$variable("fitted", index)
  } else if (length(scale$covariate)) {
    pen$variable(scale$covariate, index)
  }
  strata <- paste(scale$stratum, collapse = "*")
  latex <- pen$format == "latex"
  power <- function(base, exponent) {
    if (latex) paste0(base, "^{", exponent, "}") else paste0(base, "^", exponent)
  }
  if (!scale_kind(scale$type)$covariate) {
    value <- c("1", if (pen$values) {
      vapply(par, pen$number, "")
    } else {
      vapply(seq_along(par) + 1L, function(l) pen$greek("delta", subscript(l, pen)), "")
    })
    list <- paste0(value, pen$label(paste0(" for ", scale$levels)), collapse = pen$comma)
    return(paste0(symbol, " = ", list, pen$label(paste0(" (", strata, ")"))))
  }
  n <- max(1L, length(scale$levels))
  body <- scale_words[[scale$type]]$equation(list(
    covariate = covariate, power = power, exp = pen$exp,
    one = function(letter, k) {
      if (pen$values && n == 1L) return(pen$number(par[[k]]))
      pen$greek(letter, if (n > 1L) subscript("s", pen) else "")
    }
  ))
  stratified <- if (n > 1L) {
    values <- if (pen$values) {
      paste0(" (", paste0(vapply(utils::tail(par, n), pen$number, ""), " for ", scale$levels,
                          collapse = ", "), ")")
    }
    pen$label(paste0(", s: ", strata, values))
  }
  paste0(symbol, " = ", body, stratified)
}

#' @noRd
subscript <- function(x, pen) {
  if (pen$format == "latex") as.character(x) else paste0("_", x)
}

#' The pieces of a correlation's formula, see [structure_words]
#'
#' @returns list(one(letter), the only parameter; range, ratio (distance / range), of functions of
#'   distance; rho(index); power(base, exponent); root(x); exp; label(text); orders; matrix, the
#'   name of a known one)
#' @noRd
formula_pieces <- function(correlation, par, pen) {
  latex <- pen$format == "latex"
  one <- function(letter, k = 1L) if (pen$values) pen$number(par[[k]]) else pen$greek(letter)
  range <- if (length(par) > 0L) one("phi")
  list(
    one = one, range = range, ratio = paste0("h/", range),
    rho = function(index) {
      sum <- grepl("^[a-z][+-]", index) && !latex
      pen$greek("rho", subscript(if (sum) paste0("(", index, ")") else index, pen))
    },
    power = function(base, exponent) {
      if (startsWith(base, "-")) {
        base <- paste0("(", base, ")")
      }
      if (latex) paste0(base, "^{", exponent, "}") else paste0(base, "^", exponent)
    },
    root = function(x) if (latex) paste0("\\sqrt{", x, "}") else paste0("sqrt(", x, ")"),
    exp = pen$exp, label = pen$label, orders = order_words(correlation),
    matrix = correlation$group_label
  )
}

#' The correlation of two rows as a formula, and where it holds
#' @noRd
correlation_formula <- function(correlation, par, pen) {
  words <- structure_words[[correlation$type]]
  pieces <- formula_pieces(correlation, par, pen)
  body <- if (is_product(correlation$type)) {
    paste(axis_symbol(seq_along(correlation$axes), pen), collapse = " ")
  } else {
    words$formula(pieces)
  }
  if (isTRUE(correlation$nugget)) {
    nugget <- if (pen$values) {
      pen$number(par[[length(par)]])
    } else {
      pen$letter("c", subscript("0", pen))
    }
    body <- paste0("(1 - ", nugget, ") (", body, ")")
  }
  if (is.null(words$condition)) body else paste0(body, " (", words$condition(pieces), ")")
}

#' "c_1", the factor of an axis
#' @noRd
axis_symbol <- function(k, pen) {
  vapply(k, function(a) pen$letter("c", subscript(a, pen)), "")
}

#' The factor of each axis: "c_1 = rho^|s-t|, s < t: row"
#' @noRd
axis_statements <- function(correlation, par, pen) {
  counts <- vapply(correlation$axes, function(axis) engine_correlation_parameters(axis)$count, 1)
  ends <- cumsum(counts)
  unlist(lapply(seq_along(counts), function(k) {
    axis <- correlation$axes[[k]]
    own <- if (pen$values) par[seq_len(counts[[k]]) + ends[[k]] - counts[[k]]]
    values <- if (pen$values && correlation_kind(axis$type)$each != "none") {
      paste0(" (", paste0(correlation_labels(axis), ": ", vapply(own, pen$number, ""),
                          collapse = ", "), ")")
    }
    paste0(
      axis_symbol(k, pen), " = ", correlation_formula(axis, own, pen),
      pen$label(paste0(", s < t: ", axis$covariates, values))
    )
  }))
}

#' A statement for each class of groups where there are numbers, else one
#' @noRd
correlation_statements <- function(correlation, par, pen) {
  by <- paste(correlation$by, collapse = ":")
  if (length(correlation$classes) == 0L) {
    return(correlation_statement(correlation, par, pen))
  }
  if (!pen$values) {
    return(correlation_statement(correlation, par, pen, paste0(", for each ", by)))
  }
  unlist(lapply(seq_along(correlation$classes), function(class) {
    correlation_statement(
      correlation, class_parameters(correlation, par, class), pen,
      paste0(", ", by, " ", correlation$classes[[class]])
    )
  }))
}

#' @param class words for the class of groups, after those for the group.
#' @noRd
correlation_statement <- function(correlation, par, pen, class = NULL) {
  latex <- pen$format == "latex"
  epsilon <- function(at) pen$greek("epsilon", subscript(at, pen))
  kind <- correlation_kind(correlation$type)
  what <- switch(kind$position,
    points = paste0(", h: distance of two rows in ", position_words(correlation)),
    none = , rows = , product = ", two rows",
    paste0(", s < t: ", position_words(correlation))
  )
  group <- setdiff(correlation$group, correlation$by)
  within <- if (length(group)) paste0(" of one ", paste(group, collapse = ":"))
  cor <- if (latex) "\\operatorname{cor}(" else "cor("
  statement <- paste0(
    cor, epsilon("s"), ", ", epsilon("t"), ") = ", correlation_formula(correlation, par, pen),
    pen$label(paste0(what, within, class))
  )
  if (is_product(correlation$type)) {
    return(c(statement, axis_statements(correlation, par, pen)))
  }
  # a formula without numbers
  if (!pen$values || kind$each == "none" && !kind$has_orders) {
    return(statement)
  }
  values <- paste0(
    correlation_labels(correlation), ": ", vapply(par, pen$number, ""), collapse = ", "
  )
  c(
    statement,
    if (latex) {
      vapply(strwrap(values, 90L), pen$label, "", USE.NAMES = FALSE)
    } else {
      paste0("  ", strwrap(values, getOption("width") - 6L))
    }
  )
}

#' @noRd
position_words <- function(correlation) {
  if (correlation$kind == "order") {
    return("place in the order of rows")
  }
  paste(correlation$covariates, collapse = ", ")
}

#' "sigma^2 d^2 / w": the variance of a residual
#' @noRd
scaled_variance <- function(variance, model, pen) {
  symbols <- vapply(seq_along(model$residual$scales), function(s) {
    symbol <- scale_symbol(s, model, pen)
    if (pen$format == "latex") paste0(symbol, pen$square) else sub("_", paste0(pen$square, "_"),
                                                                   symbol, fixed = TRUE)
  }, "")
  paste(c(variance, symbols), collapse = " ")
}

#' "R = sigma^2 W^-1/2 D C D W^-1/2"
#' @noRd
residual_formula <- function(model, square, pen) {
  half <- if (pen$format == "latex") "^{-1/2}" else "^-1/2"
  weight <- if (model$weighted) paste0("W", half)
  scale <- if (length(model$residual$scales) > 0L) "D"
  core <- if (!is.null(model$residual$correlation)) "C"
  if (is.null(scale) && is.null(model$residual$correlation)) {
    return(paste0(square, if (model$weighted) paste0(" W", pen$inverse) else " I"))
  }
  if (is.null(core)) {
    return(paste(c(square, paste0("D", pen$square), if (model$weighted) {
      paste0("W", pen$inverse)
    }), collapse = " "))
  }
  paste(c(square, weight, scale, core, scale, weight), collapse = " ")
}

#' R of the rows of one group, in numbers where values are asked for
#' @noRd
residual_matrix_lines <- function(object, model, pen, most = 8L) {
  residual <- model$residual
  if (is.null(residual$correlation)) {
    return(NULL)
  }
  correlation <- residual$correlation
  groups <- covariance_groups(object)
  level <- which.max(tabulate(groups$codes, length(groups$levels)))
  rows <- which(groups$codes == level)
  if (!is.null(groups$position)) {
    rows <- rows[order(groups$position[rows])]
  }
  n <- length(rows)
  shown <- utils::head(rows, most)
  index <- if (length(correlation$group)) {
    paste0(correlation$group_label, " ", groups$levels[[level]])
  }
  name <- if (pen$format == "latex") {
    paste0("R", if (length(index)) paste0("_{\\text{", latex_escape(index), "}}"))
  } else {
    paste0("R", if (length(index)) paste0("_(", index, ")"))
  }
  cells <- if (pen$values) {
    value <- residual_covariance(object, shown)
    matrix(vapply(value, pen$number, ""), nrow(value))
  } else {
    square <- paste0(pen$greek("sigma"), pen$square)
    symbolic_residual(object, correlation, shown, square, pen)
  }
  c(
    write_statement(
      paste0(name, pen$label(": "), n, pen$by, n, if (n > most) {
        pen$label(paste0(", the first ", most, " rows"))
      }),
      pen
    ),
    write_matrix(name, cells, pen)
  )
}

#' @noRd
symbolic_residual <- function(object, correlation, rows, square, pen) {
  position <- take_position(training_design(object)$correlation$position, rows)
  latex <- pen$format == "latex"
  n <- length(rows)
  scaled <- length(object$residual$scales) > 0L
  cells <- matrix("", n, n)
  factor <- function(i, j) {
    index <- function(k) if (latex) paste0("d_{", k, "}") else paste0("d_", k)
    if (!scaled) {
      return("")
    }
    if (i == j) paste0(" ", sub("d", paste0("d", pen$square), index(i), fixed = TRUE)) else
      paste0(" ", index(i), " ", index(j))
  }
  for (i in seq_len(n)) {
    for (j in seq_len(n)) {
      between <- if (i != j) symbolic_correlation(correlation, position, i, j, pen)
      cells[i, j] <- if (identical(between, "0")) {
        "0"
      } else {
        paste0(square, factor(i, j), if (i != j) " ", between)
      }
    }
  }
  cells
}

#' @noRd
symbolic_correlation <- function(correlation, position, i, j, pen) {
  latex <- pen$format == "latex"
  rho <- function(index = "") {
    pen$greek("rho", if (nzchar(index)) subscript(index, pen) else "")
  }
  power <- function(x, k) {
    k <- format(k, digits = 4L)
    if (k == "1") x else if (latex) paste0(x, "^{", k, "}") else paste0(x, "^", k)
  }
  if (is_product(correlation$type)) {
    apart <- vapply(position, function(x) x[[i]] != x[[j]], NA)
    return(paste(axis_symbol(which(apart), pen), collapse = " "))
  }
  if (is.list(position)) {
    points <- do.call(cbind, take_position(position, c(i, j)))
    distance <- stats::dist(points, method = correlation$metric)
    return(paste0("r(", format(distance[[1L]], digits = 4L), ")"))
  }
  if (correlation$kind == "rows") {
    return(format(position_correlation(correlation, numeric(), position[c(i, j)], 2L)[1L, 2L],
                  digits = 4L))
  }
  visits <- if (is.null(position)) c(0, 1) else sort(c(position[[i]], position[[j]]))
  switch(correlation_kind(correlation$type)$each,
    pair = rho(paste(visits, collapse = ",")),
    neighbours = paste(vapply(seq_len(diff(visits)) + visits[[1L]] - 1L, rho, ""), collapse = " "),
    lag_symbol(
      correlation$type, function(index = "") rho(format(index)), diff(visits), power
    )
  )
}
