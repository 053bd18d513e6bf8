# The model as equations: R/show-equations-model.R describes it (what varies at which level, which
# symbol stands for what), and the other files of this name write the description as text or LaTeX.

#' Write a model down as equations
#'
#' Shows what a fitted model says, in one of three styles: level by level, as one equation, or as
#' matrices with all their dimensions.
#'
#' * `"levels"`: the equations of Raudenbush and Bryk. At level 1 the response depends on predictors
#'   that vary within groups, with coefficients that carry the index of the group; at level 2 each
#'   of these coefficients is a population value plus predictors that are constant within groups
#'   plus, where the model has one, a random effect. Nested factors (at most five) give one level
#'   each; crossed factors share level 2. Which predictor belongs to which level is determined from
#'   the data: a predictor that never varies within a group belongs to the group.
#' * `"mixed"`: the same with the upper levels substituted into the first.
#' * `"matrix"`: \eqn{y = X\beta + Zu + \epsilon} with the size of every matrix for all of the data
#'   and for one group, and the distributions of \eqn{u} and \eqn{\epsilon}: `G`, its structure and
#'   the number of its distinct elements, and `R`.
#'
#' A residual structure is written below the distributions: variance functions \eqn{d} and the
#' correlation of two rows of a group. The matrix style shows `R` of the largest group.
#'
#' Each column of a factor's contrasts is a predictor of its own, under the name that its
#' coefficient has.
#'
#' @param object A model fitted by [lmm()].
#' @param style How to write the model: `"levels"`, `"mixed"` or `"matrix"`.
#' @param format `"text"` or `"latex"` (an `align*` environment of 'amsmath').
#' @param values Write estimates in place of the symbols of coefficients and variances?
#' @param group For the matrix style: the group whose matrices are described, as a position or name
#'   of a level of the (coarsest nested, else first) grouping factor.
#' @param digits The number of significant digits of estimates.
#' @returns An object of class `lmm_equations`: a list with `style`, `format`, `lines` (what
#'   `print()` shows), `latex` (what [toLatex()][report-tables] returns and a page of R Markdown
#'   shows, whatever the format), `symbols` (a data frame of `symbol`, `kind` (`"fixed"` or
#'   `"random"`), `group`, `name` of the coefficient or random effect, and `estimate`: the
#'   coefficient or the variance) and, for the matrix style, `dimensions` (a data frame of sizes for
#'   all data and for one group).
#' @references
#' Raudenbush, S. W. and Bryk, A. S. (2002). *Hierarchical linear models*, 2nd edition. Sage.
#' @seealso [image.lmm()] for pictures of the matrices, [report-tables], [methods_paragraph()].
#' @examples
#' fit <- lmm(mobility ~ Age + Married + Sex + WBC + RBC + (1 | doctor), doctors)
#' equations(fit)
#' equations(fit, "mixed", values = TRUE)
#' equations(fit, "matrix", group = "3")
#'
#' ## Sex of a child is constant over time: it belongs to level 2.
#' data(Orthodont, package = "nlme")
#' growth <- lmm(distance ~ age * Sex + (age | Subject), Orthodont)
#' equations(growth)
#' equations(growth, "mixed", format = "latex")
#' @export
equations <- function(object, style = c("levels", "mixed", "matrix"),
                      format = c("text", "latex"), values = FALSE, group = 1L, digits = 4L, ...) {
  check_dots(...)
  check_lmm(object, "equations")
  style <- match_choice(style, "style", c("levels", "mixed", "matrix"))
  format <- match_choice(format, "format", c("text", "latex"))
  check_flag(values, "values")
  check_digits(digits)
  if (!missing(group) && style != "matrix") {
    ferrolmm_abort("`group` is for style = \"matrix\".", "argument")
  }
  model <- describe_model(object)
  sizes <- if (style == "matrix") matrix_sizes(object, model, group)
  write_with <- function(format) {
    pen <- equation_pen(format, values, digits)
    switch(style,
      levels = level_lines(model, pen),
      mixed = mixed_lines(model, pen),
      matrix = matrix_lines(object, model, sizes, pen)
    )
  }
  latex <- write_with("latex")
  latex[[length(latex)]] <- sub(" \\\\\\\\$", "", latex[[length(latex)]])
  latex <- c("\\begin{align*}", latex, "\\end{align*}")
  result <- list(style = style, format = format)
  if (style == "matrix") {
    result$dimensions <- sizes$table
  }
  result$lines <- if (format == "latex") latex else write_with("text")
  result$latex <- latex
  result$symbols <- model_symbols(model, equation_pen(format, FALSE, digits))
  structure(result, class = "lmm_equations")
}

#' @param x What `equations()` returned.
#' @param ... Not used.
#' @rdname equations
#' @export
print.lmm_equations <- function(x, ...) {
  check_dots(...)
  cat(x$lines, sep = "\n")
  invisible(x)
}

#' @rdname equations
#' @export
as.character.lmm_equations <- function(x, ...) {
  check_dots(...)
  x$lines
}
