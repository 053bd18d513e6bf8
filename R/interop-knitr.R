# Printing in documents of 'knitr': tables and displayed mathematics.

#' @rdname report-tables
#' @rawNamespace S3method(knitr::knit_print, lmm)
knit_print.lmm <- function(x, ...) {
  check_dots(..., allowed = c("options", "inline"))
  knit_or_print(x, function() {
    summary <- summary.lmm(x, ddf = "none")
    c(markdown_head(summary), markdown_tables(report_tables(x)), markdown_foot(summary))
  })
}

#' @rdname report-tables
#' @rawNamespace S3method(knitr::knit_print, summary.lmm)
knit_print.summary.lmm <- function(x, ...) {
  check_dots(..., allowed = c("options", "inline"))
  knit_or_print(x, function() {
    c(markdown_head(x), markdown_tables(report_tables(x)), markdown_foot(x))
  })
}

#' @rdname report-tables
#' @rawNamespace S3method(knitr::knit_print, anova.lmm)
knit_print.anova.lmm <- function(x, ...) {
  check_dots(..., allowed = c("options", "inline"))
  knit_or_print(x, function() {
    more <- unlist(strsplit(attr(x, "heading")[-1L], "\n", fixed = TRUE))
    # as the column is called here
    more <- sub("Pr(>LRT)", "p (finite)", more, fixed = TRUE)
    c(markdown_tables(report_tables(x)), markdown_list(more[nzchar(trimws(more))]))
  })
}

#' @rdname report-tables
#' @rawNamespace S3method(knitr::knit_print, VarCorr.lmm)
knit_print.VarCorr.lmm <- function(x, ...) {
  check_dots(..., allowed = c("options", "inline"))
  knit_or_print(x, function() {
    c(markdown_tables(report_tables(x)), markdown_list(attr(x, "notes")))
  })
}

#' @rdname report-tables
#' @rawNamespace S3method(knitr::knit_print, lmm_equations)
knit_print.lmm_equations <- function(x, ...) {
  check_dots(..., allowed = c("options", "inline"))
  knit_or_print(x, function() {
    # MathJax, MathML and amsmath know `aligned` within $$
    c("$$", sub("{align*}", "{aligned}", x$latex, fixed = TRUE), "$$")
  })
}

#' @rdname report-tables
#' @rawNamespace S3method(knitr::knit_print, lmm_paragraph)
knit_print.lmm_paragraph <- function(x, inline = FALSE, ...) {
  check_dots(..., allowed = "options")
  if (isTRUE(inline)) {
    return(knitr::asis_output(markdown_escape(unclass(x))))
  }
  knit_or_print(x, function() markdown_escape(unclass(x)))
}

#' Markdown where the document is in Markdown, else the text of the console
#' @noRd
knit_or_print <- function(x, lines) {
  if (!identical(knitr::opts_knit$get("out.format"), "markdown")) {
    return(knitr::normal_print(x))
  }
  knitr::asis_output(paste0("\n\n", paste(lines(), collapse = "\n"), "\n\n"))
}

#' @noRd
markdown_tables <- function(tables) {
  unlist(lapply(tables, function(table) {
    cells <- table$cells
    cells[] <- lapply(cells, markdown_escape)
    align <- c(rep.int("l", table$text), rep.int("r", ncol(cells) - table$text))
    c(knitr::kable(
      cells, format = "pipe", align = align, caption = markdown_escape(table$title),
      row.names = FALSE, col.names = markdown_escape(names(cells))
    ), "")
  }), use.names = FALSE)
}

#' The model in words, as a formula, and by what else its call says of it
#' @noRd
markdown_head <- function(x) {
  title <- paste0(x$methTitle, format_test_title(x$ddf, x$robust), ".")
  parts <- call_parts(x$call, x$formula)
  parts$Data <- NULL
  code <- vapply(parts, function(part) paste(trimws(format_code(part)), collapse = " "), "")
  lines <- paste0(names(parts), ": ", vapply(code, markdown_code, ""))
  c(title, "", rbind(lines, ""), if (length(x$penalty) > 0L) c(markdown_escape(x$penalty), ""))
}

#' @noRd
markdown_foot <- function(x) {
  certificate <- paste(trimws(format_certificate(x$certificate, brief = TRUE)), collapse = " ")
  c(
    paste0(paste(trimws(format_counts(x$counts)), collapse = " "), ". ", certificate, "."), "",
    markdown_list(sub("^ *[*] *", "", paste(trimws(x$findings), collapse = " ")))
  )
}

#' @noRd
markdown_list <- function(items) {
  items <- items[nzchar(items)]
  if (length(items)) c("", paste("-", markdown_escape(items)), "")
}

#' Code between backticks, more of them where the code has some itself
#' @noRd
markdown_code <- function(code) {
  if (grepl("`", code, fixed = TRUE)) paste0("`` ", code, " ``") else paste0("`", code, "`")
}

#' Text in which Markdown sees no markup; kable() itself takes care of "|"
#' @noRd
markdown_escape <- function(text) gsub("([\\\\`*_^~<>$#\\[\\]])", "\\\\\\1", text, perl = TRUE)
