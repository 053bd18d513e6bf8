# The tables of summaries, of tests and of variances with formatted cells, for pages: knitr, LaTeX,
# 'xtable' and 'flextable' all take them from here.

#' Tables as data frames
#'
#' `as.data.frame()` returns the numbers of what is printed as a table. Tests by
#' [anova()][anova.lmm], [drop1()][drop1.lmm], [ranova()] and [contest()] are data frames already,
#' intervals by [confint()][confint.lmm] are a matrix.
#'
#' @param x What `summary()` of a fit or of [lmList()], `coef()`, [pb_test()] or [equations()]
#'   returned.
#' @param row.names,optional Arguments of the generic: names for the rows; `optional` is not used.
#' @param what The table of a summary: the `"fixed"` effects, or the `"random"` effects with the
#'   residual, as [VarCorr()][VarCorr.lmm] has them.
#' @param ... `stringsAsFactors`; otherwise not used.
#' @returns A data frame. Of a summary's fixed effects: the columns of its table of coefficients, a
#'   row for each coefficient. Of `coef()` and of [lmList()]'s summary: in long form. Of
#'   `equations()`: the symbols and what they stand for.
#' @seealso [summary.lmm()], [VarCorr.lmm()], [report-tables] for tables on a page.
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' as.data.frame(summary(fit))
#' as.data.frame(summary(fit), what = "random")
#' head(as.data.frame(coef(fit)))
#' @name tables
NULL

#' @rdname tables
#' @export
as.data.frame.summary.lmm <- function(x, row.names = NULL, optional = FALSE,
                                      what = c("fixed", "random"), ...) {
  check_dots(..., allowed = "stringsAsFactors")
  what <- match_choice(what, "what", c("fixed", "random"))
  table <- if (what == "fixed") {
    as.data.frame(x$coefficients, optional = TRUE)
  } else {
    as.data.frame.VarCorr.lmm(x$varcor)
  }
  finish_table(table, row.names, ...)
}

#' @rdname tables
#' @export
as.data.frame.coef.lmm <- function(x, row.names = NULL, optional = FALSE, ...) {
  check_dots(..., allowed = "stringsAsFactors")
  tables <- Map(function(values, group) {
    data.frame(
      grp = rep.int(group, length(values) * nrow(values)),
      level = rep.int(rownames(values), length(values)),
      term = rep(names(values), each = nrow(values)),
      value = unlist(values, use.names = FALSE)
    )
  }, unclass(x), names(x))
  finish_table(do.call(rbind, unname(tables)), row.names, ...)
}

#' @rdname tables
#' @export
as.data.frame.summary.lmList.lmm <- function(x, row.names = NULL, optional = FALSE, ...) {
  check_dots(..., allowed = "stringsAsFactors")
  cells <- x$coefficients
  labels <- dimnames(cells)
  columns <- lapply(stats::setNames(labels[[2L]], labels[[2L]]), function(name) {
    as.vector(cells[, name, ])
  })
  table <- data.frame(
    group = rep.int(labels[[1L]], length(labels[[3L]])),
    term = rep(labels[[3L]], each = length(labels[[1L]])), columns, check.names = FALSE
  )
  finish_table(table, row.names, ...)
}

#' @rdname tables
#' @export
as.data.frame.pb_test <- function(x, row.names = NULL, optional = FALSE, ...) {
  check_dots(..., allowed = "stringsAsFactors")
  finish_table(as.data.frame(x$test), row.names, ...)
}

#' @rdname tables
#' @export
as.data.frame.lmm_equations <- function(x, row.names = NULL, optional = FALSE, ...) {
  check_dots(..., allowed = "stringsAsFactors")
  finish_table(x$symbols, row.names, ...)
}

# Formatted cells ----------------------------------------------------------------------------------

#' The tables of an object with their cells as text
#'
#' @param digits significant digits of estimates and sums of squares.
#' @returns a named list of list(title, cells: a data frame of text whose first column has the names
#'   of the rows, text: how many of the first columns are text rather than numbers)
#' @noRd
report_tables <- function(x, digits = 4L) {
  check_digits(digits)
  if (inherits(x, "lmm")) {
    x <- summary.lmm(x, ddf = "none")
  }
  if (inherits(x, "summary.lmm")) {
    return(c(
      if (nrow(parametric_rows(x))) list(
        fixed = list(
          title = "Fixed effects", cells = coefficient_cells(parametric_rows(x), digits), text = 1L
        )
      ),
      if (!is.null(x$smooths)) list(
        smooths = list(
          title = "Smooth terms", text = 1L,
          cells = as_cells("Term", rownames(x$smooths), x$smooths, digits)
        )
      ),
      variance_tables(x$varcor, digits), residual_tables(x, digits)
    ))
  }
  if (inherits(x, "VarCorr.lmm")) {
    return(variance_tables(x, digits))
  }
  heading <- trimws(sub("\n.*$", "", attr(x, "heading")[[1L]]))
  list(tests = list(title = heading, cells = test_cells(x, digits), text = 1L))
}

#' Estimates with their tests
#' @noRd
coefficient_cells <- function(table, digits) {
  as_cells("Term", rownames(table), as.data.frame(table, optional = TRUE), digits)
}

#' The table of tests of terms or models
#' @noRd
test_cells <- function(table, digits) {
  first <- if (any(c("npar", "Chisq") %in% names(table)) && "BIC" %in% names(table)) {
    "Model"
  } else {
    "Term"
  }
  as_cells(first, rownames(table), as.data.frame(unclass(table), optional = TRUE), digits)
}

#' Columns of numbers as text, each kind in its own way
#' @noRd
as_cells <- function(first, rows, columns, digits) {
  cells <- Map(function(values, name) format_cells(values, name, digits), columns, names(columns))
  p <- grep("^Pr\\(", names(columns))
  names(cells) <- sub(" value$", "", names(columns))
  names(cells)[p] <- if (length(p) == 1L) {
    "p"
  } else {
    words <- c(
      "Pr(>Chisq)" = "p (chi-squared)", "Pr(>Chibarsq)" = "p (limit)", "Pr(>LRT)" = "p (finite)"
    )
    words[names(columns)[p]]
  }
  data.frame(
    c(stats::setNames(list(bare(rows)), first), cells),
    check.names = FALSE, stringsAsFactors = FALSE
  )
}

#' @noRd
format_cells <- function(values, name, digits) {
  known <- !is.na(values)
  decimals <- function(k) formatC(values[known], digits = k, format = "f")
  cells <- character(length(values))
  cells[known] <- if (grepl("^Pr\\(", name)) {
    format.pval(values[known], digits = 2L, eps = 0.001)
  } else if (name %in% c("t value", "z value", "F value", "Chisq", "LRT")) {
    decimals(2L)
  } else if (name %in% c("df", "DenDF", "AIC", "BIC", "logLik", "deviance")) {
    decimals(1L)
  } else {
    format(values[known], digits = digits, trim = TRUE)
  }
  cells
}

#' Random effects, and the covariances of visits
#' @noRd
variance_tables <- function(varcor, digits) {
  visits <- attr(varcor, "visits")
  tables <- list()
  if (length(varcor) > 0L || is.null(visits)) {
    cells <- format_varcorr(varcor, digits, c("Variance", "Std.Dev."))
    cells[] <- bare(trimws(cells))
    tables$random <- list(
      title = "Random effects", text = 2L,
      cells = named_cells(cells, c("Group", "Effect", "Variance", "Std. Dev."), "Corr.")
    )
  }
  for (k in seq_along(visits)) {
    name <- paste0("visits", if (k > 1L) k)
    tables[[name]] <- visit_table(visits[[k]], names(visits)[[k]], digits)
  }
  tables
}

#' Parameters of the residual structure, where the covariances of visits do not say all
#' @noRd
residual_tables <- function(x, digits) {
  if (is.null(x$residual) || isTRUE(attr(attr(x$varcor, "visits"), "complete"))) {
    return(NULL)
  }
  columns <- as.data.frame(x$residual, optional = TRUE)
  list(residual = list(
    title = "Parameters of the residual covariance", text = 1L,
    cells = as_cells("Parameter", rownames(x$residual), columns, digits)
  ))
}

#' @noRd
visit_table <- function(v, stratum, digits) {
  m <- nrow(v)
  correlation <- matrix("", m, m - 1L)
  below <- lower.tri(v)[, -m, drop = FALSE]
  correlation[below] <- format_pair(stats::cov2cor(v)[lower.tri(v)], TRUE, digits)
  cells <- cbind(rownames(v), format(sqrt(diag(v)), digits = digits, trim = TRUE), correlation)
  list(
    title = paste0("Residual covariance", if (nzchar(stratum)) paste0(", ", stratum)), text = 1L,
    cells = named_cells(cells, c("Visit", "Std. Dev."), rownames(v)[-m])
  )
}

#' A matrix of text as a data frame: names of the first columns, and of those that follow
#' @noRd
named_cells <- function(cells, first, others) {
  more <- ncol(cells) - length(first)
  table <- as.data.frame(unname(cells), stringsAsFactors = FALSE)
  names(table) <- c(first, others, character(more))[seq_len(ncol(cells))]
  table
}
