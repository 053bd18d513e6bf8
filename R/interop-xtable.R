# Tables of 'xtable' and 'flextable', with the cells of show-tables.R.

#' @rdname report-tables
#' @rawNamespace S3method(xtable::xtable, lmm)
xtable.lmm <- function(x, caption = NULL, label = NULL, align = NULL, digits = 4L, what = NULL,
                       ...) {
  check_dots(...)
  new_xtable(x, caption, label, align, digits, what)
}

#' @rdname report-tables
#' @rawNamespace S3method(xtable::xtable, summary.lmm)
xtable.summary.lmm <- xtable.lmm

#' @rdname report-tables
#' @rawNamespace S3method(xtable::xtable, anova.lmm)
xtable.anova.lmm <- function(x, caption = NULL, label = NULL, align = NULL, digits = NULL,
                             display = NULL, ...) {
  check_dots(..., allowed = "auto")
  check_strings(caption, "caption", 2L)
  check_strings(label, "label", 1L)
  counts <- names(x) %in% c("npar", "Df", "NumDF", "df")
  if (is.null(digits)) {
    digits <- c(0, ifelse(grepl("^Pr\\(", names(x)), 4, ifelse(counts, 0, 2)))
  }
  # print() would stumble over others
  if (!is.numeric(digits) || length(digits) == 0L || !isTRUE(all(abs(digits) <= 100))) {
    ferrolmm_abort(
      paste0("`digits` must be numbers of digits", describe_given(digits), "."), "argument",
      i = "One for all columns, or one for the names of the rows and one for each column."
    )
  }
  if (is.null(caption)) caption <- report_tables(x)[[1L]]$title
  # numbers, as of other tables of tests: `digits` and `display` are for those who print them
  table <- x
  class(table) <- c("anova", "data.frame")
  as_xtable(
    table, caption = caption, label = label, align = align, digits = digits, display = display, ...
  )
}

#' @rdname report-tables
#' @rawNamespace S3method(xtable::xtable, VarCorr.lmm)
xtable.VarCorr.lmm <- xtable.lmm

#' @rdname report-tables
#' @rawNamespace S3method(flextable::as_flextable, lmm)
as_flextable.lmm <- function(x, digits = 4L, what = NULL, ...) {
  check_dots(...)
  new_flextable(x, digits, what)
}

#' @rdname report-tables
#' @rawNamespace S3method(flextable::as_flextable, summary.lmm)
as_flextable.summary.lmm <- as_flextable.lmm

#' @rdname report-tables
#' @rawNamespace S3method(flextable::as_flextable, anova.lmm)
as_flextable.anova.lmm <- as_flextable.lmm

#' @rdname report-tables
#' @rawNamespace S3method(flextable::as_flextable, VarCorr.lmm)
as_flextable.VarCorr.lmm <- as_flextable.lmm

#' @noRd
one_table <- function(x, digits, what) {
  tables <- report_tables(x, digits)
  if (is.null(what)) {
    return(tables[[1L]])
  }
  tables[[match_choice(what, "what", names(tables))]]
}

#' An object of class xtable, without row names (its first column has them)
#' @noRd
new_xtable <- function(x, caption, label, align, digits, what) {
  table <- one_table(x, digits, what)
  cells <- table$cells
  if (is.null(align)) {
    align <- c("l", rep.int("l", table$text), rep.int("r", ncol(cells) - table$text))
  }
  # print() would stumble over others
  check_strings(caption, "caption", 2L)
  check_strings(label, "label", 1L)
  caption <- if (is.null(caption)) table$title else caption
  made <- as_xtable(cells, caption = caption, label = label, align = align)
  # print() would show the numbers of rows
  attr(made, "include.rownames") <- FALSE
  made
}

#' A table of 'xtable', whose own complaints name no argument
#' @noRd
as_xtable <- function(table, ...) {
  tryCatch(
    xtable::xtable(table, ...),
    error = function(e) {
      given <- paste0("`", names(list(...)), "`", collapse = ", ")
      ferrolmm_abort(
        paste0("One of ", given, " is not as 'xtable' takes it."), "argument",
        x = conditionMessage(e), i = "See ?xtable::xtable."
      )
    }
  )
}

#' NULL, or at most so many strings
#' @noRd
check_strings <- function(value, name, most) {
  if (!is.null(value) && (!is.character(value) || !length(value) %in% seq_len(most))) {
    ferrolmm_abort(
      paste0("`", name, "` must be a string", describe_given(value), "."), "argument"
    )
  }
}

#' @noRd
new_flextable <- function(x, digits, what) {
  table <- one_table(x, digits, what)
  cells <- table$cells
  shown <- names(cells)
  # columns need distinct names; the header shows those that are meant
  names(cells) <- make.unique(ifelse(nzchar(shown), shown, "column"))
  made <- flextable::flextable(cells)
  header <- stats::setNames(as.list(shown), names(cells))
  made <- flextable::set_header_labels(made, values = header)
  made <- flextable::align(made, j = seq_len(table$text), align = "left", part = "all")
  made <- flextable::align(
    made, j = seq.int(table$text + 1L, ncol(cells)), align = "right", part = "all"
  )
  flextable::autofit(flextable::set_caption(made, table$title))
}
