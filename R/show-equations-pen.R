# A "pen" writes the pieces of equations as text or as LaTeX.

#' Greek letters: name, character, LaTeX
#' @noRd
greek_letters <- c(
  beta = "\u03b2", gamma = "\u03b3", pi = "\u03c0", psi = "\u03c8", kappa = "\u03ba",
  delta = "\u03b4", phi = "\u03c6", rho = "\u03c1", sigma = "\u03c3", epsilon = "\u03b5",
  theta = "\u03b8", Lambda = "\u039b"
)

#' The functions that write one kind of output
#'
#' @returns list(format, values, number(x), greek(name, sub), letter(name, sub), variable(label,
#'   index), sum(index), square(symbol), times, approx, transpose, inverse, exp, comma)
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
        label <- bare(label)
        power <- regmatches(label, regexec("^I\\(([^()]+)\\^([0-9]+)\\)$", label))[[1L]]
        paste0(
          "\\text{", latex_escape(if (length(power)) power[[2L]] else label), "}_{", index, "}",
          if (length(power)) paste0("^{", power[[3L]], "}")
        )
      },
      label = function(text) paste0("\\text{", latex_escape(text), "}"),
      sum = function(index) paste0("\\sum_{", index, "}"),
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
    label = function(text) text, sum = function(index) paste0("sum_", index),
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

#' A name without the backticks that it needs in R
#' @noRd
bare <- function(label) gsub("`", "", label, fixed = TRUE)

#' What LaTeX needs instead of characters that have a special meaning there, or another shape, in
#' terms that MathJax and pandoc know within \text{}, too
#' @noRd
latex_characters <- c(
  "\\" = "$\\backslash$", "#" = "\\#", "$" = "\\$", "%" = "\\%", "&" = "\\&", "_" = "\\_",
  "{" = "\\{", "}" = "\\}", "^" = "$\\hat{\\;}$", "~" = "$\\sim$", "<" = "$<$", ">" = "$>$",
  "|" = "$|$"
)

#' @noRd
latex_escape <- function(text) {
  vapply(strsplit(as.character(text), ""), function(characters) {
    special <- characters %in% names(latex_characters)
    characters[special] <- latex_characters[characters[special]]
    # "$$" would end displayed mathematics in Markdown
    gsub("$$", "", paste(characters, collapse = ""), fixed = TRUE)
  }, "")
}

#' Rough number of characters that a piece of LaTeX takes on the page
#' @noRd
printed_width <- function(latex) {
  plain <- gsub("\\\\(text|underset)", "", latex)
  nchar(gsub("[{}_^$\\\\,& ]", "", gsub("\\\\[a-zA-Z]+", "x", plain)))
}

#' Index of a row: "ij", "ijk"; for crossed factors "i(jk)"
#' @noRd
row_index <- function(model) {
  letters <- paste(model$groups$index[!model$groups$multiple], collapse = "")
  if (!nzchar(letters)) {
    return("i")
  }
  if (model$nested) paste0("i", letters) else paste0("i(", letters, ")")
}

#' Index of something at a level: that of its group and of those above it
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

#' The random effects of a row: of one level, or the weighted sum of those of several
#' @noRd
summed_symbol <- function(model, effect, pen) {
  symbol <- random_symbol(model, effect, pen)
  if (!model$groups$multiple[[effect$group]]) {
    return(symbol)
  }
  index <- model$groups$index[[effect$group]]
  paste(pen$sum(index), pen$letter("w", paste0("i", index)), symbol)
}

#' @noRd
residual_symbol <- function(model, pen) {
  index <- row_index(model)
  pen$greek("epsilon", if (pen$format == "text") paste0("_", index) else index)
}

#' Digits of the coefficient with these keys: "10", or "10,1" where a number has two digits
#' @noRd
coefficient_digits <- function(model, keys) {
  digits <- vapply(seq_along(keys), function(l) {
    seen <- model$places[[paste(c(l, keys[seq_len(l - 1L)]), collapse = "\r")]]
    match(keys[[l]], seen) - if ("" %in% seen) 1L else 0L
  }, 1L)
  wide <- any(unlist(lapply(model$places, length)) > 10L)
  paste(digits, collapse = if (wide) "," else "")
}

#' Random effects that multiply a predictor of their own level get a number of their own
#' @noRd
unique_digits <- function(digits, group) {
  base <- sub("\\*.*$", "", digits)
  for (key in unique(paste(base, group))) {
    same <- which(paste(base, group) == key)
    if (length(same) > 1L) {
      base[same[-1L]] <- paste0(base[same[-1L]], letter_numbers(length(same) - 1L))
    }
  }
  base
}

#' @noRd
parts_at <- function(parts, level) {
  parts[vapply(parts, function(part) part$level == level, NA)]
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

#' An empty line, in text
#' @noRd
gap <- function(pen) if (pen$format == "text") ""

#' The number of levels, that of the rows included
#' @noRd
top_level <- function(model) max(1L, model$groups$level)

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

#' "a", ..., "z", "aa", "ab", ...
#' @noRd
letter_numbers <- function(n) {
  numbers <- letters
  while (length(numbers) < n) {
    numbers <- c(letters, paste0(rep(numbers, each = 26L), letters))
  }
  numbers[seq_len(n)]
}
