#' @param x What `lmm_moments()` returned.
#' @rdname lmm_moments
#' @export
print.lmm_moments <- function(x, ...) {
  check_dots(...)
  counts <- x$cells$counts
  numbers <- vapply(x$numbers, number_label, "", USE.NAMES = FALSE)
  lines <- c(
    paste0("Moments of ", count_of(sum(counts), "row"), " in ",
           count_of(length(counts), "cell")),
    paste0("Formula: ", code_label(x$formula, 500L)),
    paste0("Cells by ", paste(names(x$keys), collapse = ", "), "; of ",
           if (length(counts)) paste0(min(counts), " to ", max(counts), " rows") else "no row"),
    paste0("Means and scatter of ", paste(numbers, collapse = ", "),
           if (x$weighted) ", weighted")
  )
  if (x$omitted > 0) {
    lines <- c(lines, paste0(count_of(x$omitted, "row"),
                             " left out because of missing values"))
  }
  cat(lines, sep = "\n")
  invisible(x)
}
