# Rendering of equations: the same pieces, written by a "pen" as text or as LaTeX.

#' Greek letters: name, character, LaTeX
#' @noRd
greek_letters <- c(
  beta = "\u03b2", gamma = "\u03b3", pi = "\u03c0", psi = "\u03c8", kappa = "\u03ba",
  delta = "\u03b4", phi = "\u03c6", nu = "\u03bd",
  rho = "\u03c1", sigma = "\u03c3", epsilon = "\u03b5", theta = "\u03b8", Lambda = "\u039b"
)

#' The functions that write one kind of output
#'
#' @returns list(format, values, number(x), greek(name, sub), letter(name, sub), variable(label,
#'   index), square(symbol), times, approx, transpose, inverse, exp, comma)
#' @noRd
equation_pen <- function(format, values, digits) {
  number <- function(x) trimws(formatC(x, digits = digits, format = "g"))
  if (format == "latex") {
    sub <- function(symbol, index) if (nzchar(index)) paste0(symbol, "_{", index, "}") else symbol
    return(list(
      format = format, values = values, number = latex_number(number),
      greek = function(name, index = "") {
        sub(if (name == "epsilon") "\\varepsilon" else paste0("\\", name), index)
      },
      letter = function(name, index = "") sub(name, index),
      variable = function(label, index) {
        paste0("\\text{", latex_escape(bare(label)), "}_{", index, "}")
      },
      label = function(text) paste0("\\text{", latex_escape(text), "}"),
      square = "^2", times = " \\times ", by = " \\times ", approx = " \\sim ",
      transpose = "^\\top", inverse = "^{-1}", exp = "\\exp", comma = ",\\ "
    ))
  }
  unicode <- isTRUE(l10n_info()[["UTF-8"]])
  list(
    format = format, values = values, number = number,
    greek = function(name, index = "") {
      paste0(if (unicode) greek_letters[[name]] else name, index)
    },
    letter = function(name, index = "") paste0(name, index),
    variable = function(label, index) paste0(bare(label), "_", index),
    label = function(text) text,
    square = if (unicode) "\u00b2" else "^2", times = if (unicode) " \u00d7 " else " * ",
    by = " x ", approx = " ~ ", transpose = "'",
    inverse = if (unicode) "\u207b\u00b9" else "^-1", exp = "exp", comma = ", "
  )
}

#' 1e-05 as a power of ten
#' @noRd
latex_number <- function(number) {
  function(x) sub("e(-?)[+]?0*([0-9]+)$", " \\\\times 10^{\\1\\2}", number(x))
}

#' A name that needs backticks in R, without them
#' @noRd
bare <- function(label) gsub("`", "", label, fixed = TRUE)

#' What LaTeX needs instead of characters that have a meaning there, or another shape
#' @noRd
latex_characters <- c(
  "\\" = "\\textbackslash{}", "#" = "\\#", "$" = "\\$", "%" = "\\%", "&" = "\\&", "_" = "\\_",
  "{" = "\\{", "}" = "\\}", "^" = "\\textasciicircum{}", "~" = "\\textasciitilde{}",
  "<" = "\\textless{}", ">" = "\\textgreater{}", "|" = "\\textbar{}"
)

#' @noRd
latex_escape <- function(text) {
  vapply(strsplit(as.character(text), ""), function(characters) {
    special <- characters %in% names(latex_characters)
    characters[special] <- latex_characters[characters[special]]
    paste(characters, collapse = "")
  }, "")
}

#' Characters that a piece of LaTeX takes on the page, roughly
#' @noRd
printed_width <- function(latex) {
  plain <- gsub("\\\\(text|underset)", "", latex)
  nchar(gsub("[{}_^\\\\,& ]", "", gsub("\\\\[a-zA-Z]+", "x", plain)))
}

# Symbols -----------------------------------------------------------------------------------------

#' Index of a row: "ij", "ijk"; for crossed factors "i(jk)"
#' @noRd
row_index <- function(model) {
  letters <- paste(model$groups$index, collapse = "")
  if (model$nested) paste0("i", letters) else paste0("i(", letters, ")")
}

#' Index of what belongs to a level: that of its group and of those above it
#' @noRd
level_index <- function(model, level) {
  letters <- model$groups$index[model$groups$level >= level]
  letters <- paste(letters, collapse = "")
  if (model$nested || nchar(letters) < 2L) letters else paste0("(", letters, ")")
}

#' @noRd
group_index <- function(model, group) {
  if (model$nested) level_index(model, model$groups$level[[group]]) else model$groups$index[[group]]
}

#' The coefficient of a level with these keys
#' @noRd
coefficient_symbol <- function(model, keys, level, pen) {
  names <- c("gamma", "beta", "pi", "psi", "kappa", "rho")
  levels <- top_level(model)
  if (levels == 1L) {
    names <- "beta"
  }
  index <- if (level < levels) level_index(model, level + 1L) else ""
  digits <- coefficient_digits(model, keys[seq_len(level)])
  pen$greek(names[[levels - level + 1L]], join_index(digits, index))
}

#' Digits and letters of an index: "0j", with a comma after numbers of more than one digit
#' @noRd
join_index <- function(digits, letters) {
  comma <- nzchar(letters) && grepl(",", digits, fixed = TRUE)
  paste0(digits, if (comma) ",", letters)
}

#' @noRd
random_symbol <- function(model, effect, pen) {
  group <- effect$group
  pen$letter(
    model$groups$letter[[group]], join_index(effect$sub, group_index(model, group))
  )
}

#' @noRd
residual_symbol <- function(model, pen) {
  index <- row_index(model)
  pen$greek("epsilon", if (pen$format == "text") paste0("_", index) else index)
}

#' @noRd
write_parts <- function(model, parts, pen) {
  vapply(parts, function(part) {
    index <- if (part$group == 0L) row_index(model) else group_index(model, part$group)
    pen$variable(part$label, index)
  }, "")
}

#' One addend: a coefficient and the predictors that it multiplies
#' @returns c(sign, body)
#' @noRd
addend <- function(symbol, factors, pen, estimate = NULL) {
  sign <- "+"
  if (!is.null(estimate) && pen$values) {
    sign <- if (estimate < 0) "-" else "+"
    symbol <- pen$number(abs(estimate))
  }
  c(sign, paste(c(symbol, paste(factors, collapse = pen$times))[c(TRUE, length(factors) > 0L)],
                collapse = if (pen$format == "latex") " \\, " else " "))
}

# Equations as lines ------------------------------------------------------------------------------

#' "left = a + b - c" on as many lines as it takes
#' @noRd
write_equation <- function(left, addends, pen) {
  if (length(addends) == 0L) {
    addends <- list(c("+", "0"))
  }
  signs <- vapply(addends, `[[`, "", 1L)
  bodies <- vapply(addends, `[[`, "", 2L)
  pieces <- paste(signs, bodies)
  pieces[[1L]] <- if (signs[[1L]] == "-") paste0("-", bodies[[1L]]) else bodies[[1L]]
  if (pen$format == "latex") {
    lines <- fill_lines(paste0(left, " &= "), pieces, 65L, "&\\quad ", printed_width)
    return(paste0(lines, " \\\\"))
  }
  fill_lines(paste0("  ", left, " = "), pieces)
}

#' Pieces one after another; a new line, indented as far as the first, before one that would not fit
#' @param size function: the width of text.
#' @noRd
fill_lines <- function(start, pieces, width = getOption("width"),
                       indent = strrep(" ", min(nchar(start), 20L)), size = nchar) {
  lines <- paste0(start, pieces[[1L]])
  for (piece in pieces[-1L]) {
    last <- length(lines)
    if (size(lines[[last]]) + 1L + size(piece) <= width) {
      lines[[last]] <- paste(lines[[last]], piece)
    } else {
      lines <- c(lines, paste0(indent, piece))
    }
  }
  lines
}

#' @noRd
write_heading <- function(text, pen) {
  if (pen$format == "latex") paste0("&\\text{", latex_escape(text), "} \\\\") else text
}

#' A statement such as a distribution, on a line of its own
#' @noRd
write_statement <- function(text, pen) {
  if (pen$format == "latex") paste0("&", text, " \\\\") else paste0("  ", text)
}

#' An empty line in text
#' @noRd
gap <- function(pen) if (pen$format == "text") ""

#' The number of levels, that of the rows included
#' @noRd
top_level <- function(model) max(1L, model$groups$level)

#' The levels style
#' @noRd
level_lines <- function(model, pen) {
  last <- top_level(model)
  if (last == 1L) {
    return(mixed_lines(model, pen))
  }
  lines <- c(write_heading(paste0("Level 1 (", count_of(model$n, "row"), ")"), pen),
             level_one(model, pen))
  for (level in seq.int(2L, last)) {
    here <- model$groups$level == level
    names <- paste0(model$groups$name[here], ", ",
                    vapply(model$groups$levels[here], count_of, "", "level"), collapse = "; ")
    lines <- c(
      lines, gap(pen), write_heading(paste0("Level ", level, " (", names, ")"), pen),
      upper_level(model, level, pen)
    )
  }
  c(lines, gap(pen), distribution_lines(model, pen), index_lines(model, pen))
}

#' @noRd
level_one <- function(model, pen) {
  keys <- model$places[["1"]]
  addends <- lapply(keys, function(key) {
    parts <- parts_at(effect_with(model, key)$parts, 1L)
    addend(coefficient_symbol(model, key, 1L, pen), write_parts(model, parts, pen), pen)
  })
  write_equation(
    pen$variable(model$response, row_index(model)), c(addends, closing_addends(model, pen)), pen
  )
}

#' Offset and residual
#' @noRd
closing_addends <- function(model, pen) {
  offsets <- lapply(model$offset, function(label) c("+", pen$variable(label, row_index(model))))
  c(offsets, list(c("+", residual_symbol(model, pen))))
}

#' An effect whose keys begin with these
#' @noRd
effect_with <- function(model, keys) {
  for (effect in c(model$fixed, model$random)) {
    if (identical(effect$keys[seq_along(keys)], keys)) {
      return(effect)
    }
  }
}

#' The equations of one level above the first: one for each coefficient of the level below
#' @noRd
upper_level <- function(model, level, pen) {
  last <- top_level(model)
  lines <- character()
  for (parent in key_paths(model, level - 1L)) {
    children <- model$places[[paste(c(level, parent), collapse = "\r")]]
    addends <- lapply(children, function(key) {
      keys <- c(parent, key)
      effect <- effect_with(model, keys)
      addend(
        coefficient_symbol(model, keys, level, pen),
        write_parts(model, parts_at(effect$parts, level), pen), pen,
        if (level == last) effect$estimate
      )
    })
    own <- Filter(function(effect) {
      effect$level == level && identical(effect$keys[seq_along(parent)], parent)
    }, model$random)
    addends <- c(addends, lapply(own, function(effect) {
      above <- Filter(function(part) part$level >= level, effect$parts)
      addend(random_symbol(model, effect, pen), write_parts(model, above, pen), pen)
    }))
    left <- coefficient_symbol(model, parent, level - 1L, pen)
    lines <- c(lines, write_equation(left, addends, pen))
  }
  lines
}

#' All sequences of keys down to a level, in order
#' @noRd
key_paths <- function(model, level) {
  paths <- list(character())
  for (l in seq_len(level)) {
    paths <- unlist(lapply(paths, function(path) {
      lapply(model$places[[paste(c(l, path), collapse = "\r")]], function(key) c(path, key))
    }), recursive = FALSE)
  }
  paths
}

#' The mixed style
#' @noRd
mixed_lines <- function(model, pen) {
  last <- top_level(model)
  fixed <- lapply(model$fixed, function(effect) {
    addend(
      coefficient_symbol(model, effect$keys, last, pen), write_parts(model, effect$parts, pen), pen,
      effect$estimate
    )
  })
  random <- lapply(model$random, function(effect) {
    addend(random_symbol(model, effect, pen), write_parts(model, effect$parts, pen), pen)
  })
  c(
    write_equation(
      pen$variable(model$response, row_index(model)),
      c(fixed, random, closing_addends(model, pen)), pen
    ),
    gap(pen), distribution_lines(model, pen), index_lines(model, pen)
  )
}

#' What the indices run over, and what was dropped
#' @noRd
index_lines <- function(model, pen) {
  groups <- paste0(model$groups$index, ": ", model$groups$name, " (", model$groups$levels, ")",
                   recycle0 = TRUE)
  text <- paste0("Indices: ", paste(c("i: row", groups), collapse = ", "))
  dropped <- if (length(model$dropped) > 0L) {
    paste0("Dropped, a linear combination of others: ", paste(model$dropped, collapse = ", "))
  }
  lines <- c(text, dropped)
  if (pen$format == "latex") {
    return(write_heading(lines, pen))
  }
  c("", wrap_text(lines, exdent = 2L))
}

# Distributions -----------------------------------------------------------------------------------

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
  cells <- covariance_cells(model, effects, pen)
  if (length(symbols) == 1L) {
    return(write_statement(paste0(symbols, pen$approx, "N(0, ", cells, ")"), pen))
  }
  left <- paste0("(", paste(symbols, collapse = ", "), ")", pen$transpose, pen$approx)
  name <- group_matrix_name(model, g, pen)
  c(
    write_statement(paste0(left, "N(0, ", name, ")"), pen),
    write_matrix(name, cells, pen)
  )
}

#' @noRd
group_matrix_name <- function(model, g, pen) {
  label <- model$groups$name[[g]]
  if (pen$format == "latex") {
    paste0("G_{\\text{", latex_escape(label), "}}")
  } else {
    paste0("G_", label)
  }
}

#' The covariance matrix of these effects as text: symbols or numbers, 0 between terms
#' @noRd
covariance_cells <- function(model, effects, pen) {
  k <- length(effects)
  cells <- matrix("0", k, k)
  for (a in seq_len(k)) {
    for (b in seq_len(k)) {
      first <- effects[[min(a, b)]]
      second <- effects[[max(a, b)]]
      if (first$term == second$term && (a == b || first$structure != "diag")) {
        cells[a, b] <- if (pen$values) {
          pen$number(first$covariance[[second$position]])
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
  type <- a$term_structure$structure
  rho <- index(pen$greek("rho"), if (type == "toep") paste0(letter, lag) else letter)
  if (type == "ar1" && lag > 1L) {
    rho <- if (latex) paste0(rho, "^{", lag, "}") else paste0(rho, "^", lag)
  }
  paste(rho, spread)
}

#' @noRd
write_matrix <- function(name, cells, pen) {
  if (pen$format == "latex") {
    rows <- apply(cells, 1L, paste, collapse = " & ")
    body <- paste(rows, collapse = " \\\\ ")
    return(paste0("&", name, " = \\begin{pmatrix} ", body, " \\end{pmatrix} \\\\"))
  }
  columns <- apply(cells, 2L, function(column) formatC(column, width = max(nchar(column))))
  rows <- apply(matrix(columns, nrow(cells)), 1L, paste, collapse = "  ")
  start <- paste0("  ", name, " = ")
  lead <- c(start, rep.int(strrep(" ", nchar(start)), length(rows) - 1L))
  paste0(lead, "| ", rows, " |")
}

# The matrix style --------------------------------------------------------------------------------

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
    name <- group_matrix_name(model, g, pen)
    lines <- c(
      lines,
      write_statement(
        paste0(name, pen$label(paste0(" for each of ", model$groups$levels[[g]], " levels: ")),
               k, pen$by, k, pen$label(paste0(", ", structure_words(effects)))),
        pen
      ),
      write_matrix(name, covariance_cells(model, effects, pen), pen)
    )
  }
  count <- sum(vapply(split(model$random, vapply(model$random, `[[`, 1L, "term")), function(term) {
    count_elements(term)
  }, 1))
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
  if (effects[[1L]]$structure == "diag") k else k * (k + 1) / 2
}

#' "unstructured, q(q+1)/2 = 3 distinct elements", and the like
#' @noRd
structure_words <- function(effects) {
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
