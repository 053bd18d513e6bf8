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
    lines <- c(lines, correlation_statement(residual$correlation, parts$correlation, pen))
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
  if (scale$type == "ident") {
    value <- c("1", if (pen$values) {
      vapply(par, pen$number, "")
    } else {
      vapply(seq_along(par) + 1L, function(l) pen$greek("delta", subscript(l, pen)), "")
    })
    list <- paste0(value, pen$label(paste0(" for ", scale$levels)), collapse = pen$comma)
    return(paste0(symbol, " = ", list, pen$label(paste0(" (", strata, ")"))))
  }
  n <- max(1L, length(scale$levels))
  coefficient <- function(letter, values) {
    if (pen$values && n == 1L) return(pen$number(values))
    pen$greek(letter, if (n > 1L) subscript("s", pen) else "")
  }
  body <- switch(scale$type,
    power = power(paste0("|", covariate, "|"), coefficient("delta", par)),
    exp = paste0(pen$exp, "(", coefficient("delta", par), " ", covariate, ")"),
    constpower = paste0(
      coefficient("kappa", par[seq_len(n)]), " + ",
      power(paste0("|", covariate, "|"), coefficient("delta", par[n + seq_len(n)]))
    )
  )
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

#' @noRd
correlation_statement <- function(correlation, par, pen) {
  latex <- pen$format == "latex"
  epsilon <- function(at) pen$greek("epsilon", subscript(at, pen))
  power <- function(base, exponent) {
    if (startsWith(base, "-")) {
      base <- paste0("(", base, ")")
    }
    if (latex) paste0(base, "^{", exponent, "}") else paste0(base, "^", exponent)
  }
  one <- function(letter, k = 1L) if (pen$values) pen$number(par[[k]]) else pen$greek(letter)
  n <- length(par)
  value <- switch(correlation$type,
    ar1 = , car1 = power(one("rho"), "|s-t|"),
    cs = one("rho"),
    us = pen$greek("rho", if (latex) "st" else "_st"),
    toep = pen$greek("rho", if (latex) "|s-t|" else "_|s-t|"),
    ante = paste0(
      pen$greek("rho", subscript("s", pen)), " ", pen$greek("rho", if (latex) "s+1" else "_(s+1)"),
      " ... ", pen$greek("rho", if (latex) "t-1" else "_(t-1)")
    ),
    arma = pen$label(paste0("that of an ARMA(", correlation$p, ", ", correlation$q,
                            ") process at lag |s-t|")),
    spatial_statement(correlation, one, power, pen)
  )
  what <- if (correlation$type %in% spatial_types) {
    paste0(", h: distance of two rows in ", position_words(correlation))
  } else if (correlation$type != "cs") {
    paste0(", s < t: ", position_words(correlation))
  } else {
    ", two rows"
  }
  within <- if (length(correlation$group)) paste0(" of one ", correlation$group_label)
  values <- if (pen$values && correlation$type %in% c("us", "toep", "ante", "arma")) {
    names <- switch(correlation$type,
      us = pair_labels(correlation), ante = neighbour_labels(correlation),
      toep = paste("lag", seq_len(n)),
      c(paste0("ar", seq_len(max(correlation$p, 0L)))[seq_len(correlation$p)],
        paste0("ma", seq_len(max(correlation$q, 0L)))[seq_len(correlation$q)])
    )
    paste0(names, ": ", vapply(par, pen$number, ""), collapse = ", ")
  }
  cor <- if (latex) "\\operatorname{cor}(" else "cor("
  statement <- paste0(
    cor, epsilon("s"), ", ", epsilon("t"), ") = ", value, pen$label(paste0(what, within))
  )
  if (is.null(values)) {
    return(statement)
  }
  c(
    statement,
    if (latex) pen$label(values) else paste0("  ", strwrap(values, getOption("width") - 6L))
  )
}

#' The functions of distance: `ratio` is h / range, `a` a multiple of it that [spatial_conditions]
#' gives
#' @noRd
spatial_formulas <- list(
  exp = function(ratio, power, pen) paste0(pen$exp, "(-", ratio, ")"),
  gaus = function(ratio, power, pen) {
    paste0(pen$exp, "(-", power(paste0("(", ratio, ")"), "2"), ")")
  },
  lin = function(ratio, power, pen) paste0("1 - ", ratio),
  ratio = function(ratio, power, pen) {
    paste0("1/(1 + ", power(paste0("(", ratio, ")"), "2"), ")")
  },
  spher = function(ratio, power, pen) {
    paste0("1 - 1.5 ", ratio, " + 0.5 ", power(paste0("(", ratio, ")"), "3"))
  },
  matern0.5 = function(ratio, power, pen) paste0(pen$exp, "(-", ratio, ")"),
  matern1.5 = function(ratio, power, pen) paste0("(1 + a) ", pen$exp, "(-a)"),
  matern2.5 = function(ratio, power, pen) {
    paste0("(1 + a + ", power("a", "2"), "/3) ", pen$exp, "(-a)")
  }
)

#' What is said after the formula: where it holds, and what `a` is
#' @noRd
spatial_conditions <- list(
  lin = function(ratio, range, pen) paste0(" (h < ", range, ")"),
  spher = function(ratio, range, pen) paste0(" (h < ", range, ")"),
  matern1.5 = function(ratio, range, pen) paste0(" (a = ", square_root(3, pen), " ", ratio, ")"),
  matern2.5 = function(ratio, range, pen) paste0(" (a = ", square_root(5, pen), " ", ratio, ")")
)

#' @noRd
square_root <- function(x, pen) {
  if (pen$format == "latex") paste0("\\sqrt{", x, "}") else paste0("sqrt(", x, ")")
}

#' @noRd
spatial_statement <- function(correlation, one, power, pen) {
  range <- one("phi")
  ratio <- paste0("h/", range)
  body <- spatial_formulas[[correlation$type]](ratio, power, pen)
  if (correlation$nugget) {
    body <- paste0("(1 - ", one("nu", 2L), ") (", body, ")")
  }
  condition <- spatial_conditions[[correlation$type]]
  if (is.null(condition)) body else paste0(body, condition(ratio, range, pen))
}

#' @noRd
position_words <- function(correlation) {
  if (correlation$kind == "order") {
    return("place in the order of rows")
  }
  paste(correlation$covariates, collapse = ", ")
}

#' @noRd
pair_labels <- function(correlation) {
  m <- correlation$n_positions
  below <- which(lower.tri(diag(m)), arr.ind = TRUE)
  paste0(correlation$visits[below[, 2L]], ",", correlation$visits[below[, 1L]])
}

#' @noRd
neighbour_labels <- function(correlation) {
  m <- correlation$n_positions
  paste0(correlation$visits[-m], ",", correlation$visits[-1L])
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
      cells[i, j] <- paste0(square, factor(i, j), if (i != j) " ", between)
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
  lag <- function() abs(position[[i]] - position[[j]])
  switch(correlation$type,
    ar1 = , car1 = power(rho(), lag()), cs = rho(),
    us = rho(paste(sort(c(position[[i]], position[[j]])), collapse = if (latex) "," else ",")),
    toep = , arma = rho(format(lag())),
    ante = {
      from <- min(position[[i]], position[[j]])
      paste(vapply(from + seq_len(lag()) - 1L, function(k) rho(k), ""), collapse = " ")
    },
    {
      distance <- stats::dist(
        do.call(cbind, take_position(position, c(i, j))), method = correlation$metric
      )
      paste0("r(", format(distance[[1L]], digits = 4L), ")")
    }
  )
}
