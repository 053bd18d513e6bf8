# The matrix style of equations, with all dimensions.

#' @noRd
matrix_lines <- function(object, model, sizes, pen) {
  rows <- sizes$table
  if (nrow(model$groups) == 0L) {
    return(c(
      write_heading("All of the data", pen), fixed_size_strings(rows, pen), gap(pen),
      residual_side(model, sizes, pen),
      if (pen$values) c(gap(pen), value_lines(model, pen))
    ))
  }
  all <- size_strings(rows, "rows", "columns", "", pen)
  one <- size_strings(rows, "group_rows", "group_columns", model$groups$index[[sizes$group]], pen)
  group <- paste0(
    "One group (", model$groups$name[[sizes$group]], " ", sizes$level, ", ",
    count_of(rows$group_rows[[1L]], "row"), ")"
  )
  c(
    write_heading("All of the data", pen), all, gap(pen),
    write_heading(group, pen), one, gap(pen),
    random_side(model, sizes, pen), gap(pen),
    residual_side(model, sizes, pen),
    if (pen$values) c(gap(pen), value_lines(model, pen))
  )
}

#' "y = X beta + eps" and the size of each, without random effects
#' @noRd
fixed_size_strings <- function(table, pen) {
  symbols <- c("y", "X", pen$greek("beta"), pen$greek("epsilon"))
  size <- paste0(table$rows, pen$by, table$columns)[1:4]
  if (pen$format == "latex") {
    under <- paste0("\\underset{", size, "}{", symbols, "}")
    return(paste0(
      under[[1L]], " &= ", under[[2L]], " \\; ", under[[3L]], " + ", under[[4L]], " \\\\"
    ))
  }
  meaning <- c("response", "predictors", "fixed effects", "residuals")
  c(
    paste0("  y = X ", symbols[[3L]], " + ", symbols[[4L]]),
    paste0("    ", format(symbols), "  ", format(size, justify = "right"), "  ", meaning)
  )
}

#' "y = X beta + Z u + eps" and the size of each
#' @noRd
size_strings <- function(table, rows, columns, index, pen) {
  sub <- function(symbol) {
    if (!nzchar(index)) symbol else paste0(symbol, "_", index)
  }
  beta <- pen$greek("beta")
  epsilon <- sub(pen$greek("epsilon"))
  symbols <- c(sub("y"), sub("X"), beta, sub("Z"), sub("u"), epsilon)
  size <- paste0(table[[rows]], pen$by, table[[columns]])[1:6]
  equation <- c(
    symbols[[1L]], " = ", symbols[[2L]], " ", beta, " + ", symbols[[4L]], " ", symbols[[5L]], " + ",
    epsilon
  )
  if (pen$format == "latex") {
    under <- paste0("\\underset{", size, "}{", symbols, "}")
    return(paste0(
      under[[1L]], " &= ", under[[2L]], " \\; ", under[[3L]], " + ", under[[4L]], " \\; ",
      under[[5L]], " + ", under[[6L]], " \\\\"
    ))
  }
  meaning <- c(
    "response", "predictors of the fixed effects", "fixed effects",
    "predictors of the random effects", "random effects", "residuals"
  )
  c(
    paste0("  ", paste(equation, collapse = "")),
    paste0("    ", format(symbols), "  ", format(size, justify = "right"), "  ", meaning)
  )
}

#' u ~ N(0, G), block by block
#' @noRd
random_side <- function(model, sizes, pen) {
  q <- sizes$table$rows[sizes$table$symbol == "G"]
  lines <- c(
    write_heading("Random effects", pen),
    write_statement(
      paste0("u", pen$approx, "N(0, G)", pen$comma, pen$label("G: "), q, pen$by, q,
             pen$label(", block diagonal")),
      pen
    )
  )
  for (g in seq_len(nrow(model$groups))) {
    effects <- effects_of_group(model, g)
    k <- length(effects)
    for (class in group_classes(model, g, pen)) {
      name <- group_matrix_name(model, g, pen, class$label)
      of <- paste0(
        " for each of ", class$levels, " levels",
        if (!is.null(class$label)) paste0(" of ", class$words), ": "
      )
      lines <- c(
        lines,
        write_statement(
          paste0(name, pen$label(of), k, pen$by, k, pen$label(paste0(
            ", ", matrix_words(effects),
            if (is.null(class$label) && !is.null(class$words)) paste0(", ", class$words)
          ))),
          pen
        ),
        write_matrix(name, covariance_cells(model, effects, pen, class$codes), pen)
      )
    }
  }
  count <- length(model$object$theta)
  square <- paste0(pen$greek("sigma"), pen$square)
  factor <- paste0(
    "G = ", square, " ", pen$greek("Lambda"), " ", pen$greek("Lambda"), pen$transpose, pen$comma,
    pen$greek("Lambda"), pen$label(" lower triangular, made of the "), count,
    pen$label(if (count == 1) " element of " else " elements of "), pen$greek("theta")
  )
  c(lines, write_statement(factor, pen))
}

#' @noRd
count_elements <- function(effects) {
  k <- length(effects)
  if (!is.null(effects[[1L]]$term_structure)) {
    return(effects[[1L]]$term_structure$count)
  }
  if (random_kind(effects[[1L]]$structure)$correlated) k * (k + 1) / 2 else k
}

#' "unstructured, q(q+1)/2 = 3 distinct elements", and the like
#' @noRd
matrix_words <- function(effects) {
  terms <- split(effects, vapply(effects, `[[`, 1L, "term"))
  k <- length(effects)
  count <- sum(vapply(terms, count_elements, 1))
  named <- effects[[1L]]$term_structure
  if (!is.null(named) && length(terms) == 1L) {
    return(paste0(
      named$words, ", ", count_of(count, "parameter"), " (full: ", k * (k + 1) / 2, ")"
    ))
  }
  if (count == k * (k + 1) / 2) {
    return(paste0(
      if (k == 1L) "one variance" else "unstructured", ", q(q+1)/2 = ",
      count_of(count, "distinct element")
    ))
  }
  paste0(
    if (count == k) "diagonal" else "block diagonal", ", ", count_of(count, "distinct element"),
    " (full: ", k * (k + 1) / 2, ")"
  )
}

#' eps ~ N(0, R), and what follows for y
#' @noRd
residual_side <- function(model, sizes, pen) {
  n <- sizes$table$rows[[1L]]
  latex <- pen$format == "latex"
  square <- paste0(pen$greek("sigma"), pen$square)
  r <- residual_formula(model, square, pen)
  mean <- paste0("X", if (latex) "", pen$greek("beta"))
  given <- if (latex) " \\mid " else " | "
  size <- paste0(pen$comma, pen$label("R: "), n, pen$by, n)
  c(
    write_heading("Residuals", pen),
    write_statement(
      paste0(pen$greek("epsilon"), pen$approx, "N(0, R)", pen$comma, "R = ", r, size), pen
    ),
    if (model$weighted) {
      write_statement(paste0("W = ", pen$label("diagonal matrix of the weights")), pen)
    },
    residual_statements(model, pen),
    residual_matrix_lines(model$object, model, pen),
    gap(pen),
    if (nrow(model$groups) == 0L) {
      c(
        write_heading("The response", pen),
        write_statement(paste0("y", pen$approx, "N(", mean, ", R)"), pen)
      )
    } else {
      c(
        write_heading("The response, given the random effects and on the whole", pen),
        write_statement(
          paste0("(y", given, pen$greek("beta"), ", u)", pen$approx, "N(", mean, " + Zu, R)"), pen
        ),
        write_statement(
          paste0(
            "y", pen$approx, "N(", mean, ", V)", pen$comma, "V = Z G Z", pen$transpose, " + R"
          ),
          pen
        )
      )
    }
  )
}

#' The estimates of beta and sigma^2
#' @noRd
value_lines <- function(model, pen) {
  names <- vapply(model$fixed, `[[`, "", "name")
  estimates <- vapply(model$fixed, function(effect) pen$number(effect$estimate), "")
  square <- paste0(pen$greek("sigma"), pen$square, " = ", pen$number(model$sigma^2))
  if (pen$format == "latex") {
    return(c(
      if (length(names)) {
        paste0("&", pen$greek("beta"), " = (", paste(estimates, collapse = ", "), ")^\\top \\\\")
      },
      write_statement(square, pen)
    ))
  }
  c(
    "Estimates",
    if (length(names)) {
      lead <- c(pen$greek("beta"), rep.int(" ", length(names) - 1L))
      paste0("  ", format(lead), "  ", format(names), "  ", format(estimates, justify = "right"))
    },
    paste0("  ", square)
  )
}
