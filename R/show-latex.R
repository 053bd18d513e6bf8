# Tables and equations as LaTeX.

#' Tables and equations on pages
#'
#' In R Markdown, Quarto and other documents that 'knitr' makes, a fit, its summary, tests of its
#' terms, comparisons of models and [VarCorr()][VarCorr.lmm] that a chunk prints become tables, and
#' [equations()] become displayed mathematics, in HTML as in PDF, without `results = "asis"`. The
#' chunk option `render = knitr::normal_print` prints them as in the console instead.
#'
#' `toLatex()` returns LaTeX for documents that are written by hand: a `tabular` for each table, or
#' an `align*` environment of 'amsmath'. `xtable::xtable()` and `flextable::as_flextable()` make
#' objects of these packages, for further formatting and for Word. `xtable()` of tests has the
#' numbers as they are, for its own `digits` and `display`.
#'
#' Estimates have `digits` significant digits, tests two decimals, and p-values below 0.001 are
#' given as that. For tables of your own take the numbers: see [tables].
#'
#' @param x,object A model fitted by [lmm()], its summary, tests by [anova()][anova.lmm],
#'   [drop1()][drop1.lmm] or [ranova()], or `VarCorr()`; for `toLatex()` also [equations()].
#' @param digits The number of significant digits of estimates; for `xtable()` of tests as for
#'   `xtable::xtable()`.
#' @param what Which table to make: `"fixed"`, `"random"`, `"visits"` (the residual covariance) or
#'   `"residual"` (its parameters), `"tests"`; by default the first that there is.
#' @param inline Is it printed within a line of text, as 'knitr' says?
#' @param caption,label,align,display See `xtable::xtable()`.
#' @param ... Not used.
#' @returns `toLatex()`: lines of LaTeX, of class `Latex`. The others: what their generics return.
#' @seealso [equations()], [methods_paragraph()], [tables]
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age * Sex + (age | Subject), Orthodont)
#' toLatex(summary(fit))
#' toLatex(anova(fit))
#' toLatex(equations(fit, "mixed"))
#' @name report-tables
NULL

#' @rdname report-tables
#' @importFrom utils toLatex
#' @export
toLatex.lmm <- function(object, digits = 4L, ...) {
  check_dots(...)
  latex_tables(report_tables(object, digits))
}

#' @rdname report-tables
#' @export
toLatex.summary.lmm <- function(object, digits = 4L, ...) {
  check_dots(...)
  latex_tables(report_tables(object, digits))
}

#' @rdname report-tables
#' @export
toLatex.VarCorr.lmm <- function(object, digits = 4L, ...) {
  check_dots(...)
  latex_tables(report_tables(object, digits))
}

#' @rdname report-tables
#' @export
toLatex.anova.lmm <- function(object, digits = 4L, ...) {
  check_dots(...)
  latex_tables(report_tables(object, digits))
}

#' @rdname report-tables
#' @export
toLatex.lmm_equations <- function(object, ...) {
  check_dots(...)
  structure(object$latex, class = "Latex")
}

#' A tabular for each table, after a comment with its title
#' @noRd
latex_tables <- function(tables) {
  lines <- lapply(tables, function(table) {
    c(paste("%", table$title), latex_tabular(table$cells, table$text), "")
  })
  structure(utils::head(unlist(lines, use.names = FALSE), -1L), class = "Latex")
}

#' @param text how many of the first columns are text.
#' @noRd
latex_tabular <- function(cells, text) {
  shown <- vapply(cells, latex_cells, character(nrow(cells)))
  shown <- matrix(shown, nrow(cells))
  align <- c(rep.int("l", text), rep.int("r", ncol(cells) - text))
  row <- function(x) paste0("  ", paste(x, collapse = " & "), " \\\\")
  c(
    paste0("\\begin{tabular}{", paste(align, collapse = ""), "}"), "  \\hline",
    row(latex_cells(names(cells))), "  \\hline", apply(shown, 1L, row), "  \\hline",
    "\\end{tabular}"
  )
}

#' Cells outside mathematics: carets as such, and numbers with a minus sign
#' @noRd
latex_cells <- function(cells) {
  text <- gsub("$\\hat{\\;}$", "\\textasciicircum{}", latex_escape(cells), fixed = TRUE)
  sub("^(-[0-9][^$]*)$", "$\\1$", text)
}
