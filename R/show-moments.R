#' @param x What `lmm_moments()` returned.
#' @rdname lmm_moments
#' @export
print.lmm_moments <- function(x, ...) {
  check_dots(...)
  counts <- cell_counts(x)
  numbers <- vapply(x$numbers, number_label, "", USE.NAMES = FALSE)
  lines <- c(
    paste0("Moments of ", count_of(count_moments(x), "row"), " in ",
           if (is_of_tables(x)) {
             count_of(length(x$tables), "table")
           } else {
             count_of(length(counts), "cell")
           }),
    paste0("Formula: ", code_label(x$formula, 500L)),
    if (is_of_tables(x)) describe_tables(x$tables),
    paste0(if (is_of_tables(x)) {
             "Cells of "
           } else {
             paste0("Cells by ", paste(names(x$keys), collapse = ", "), "; of ")
           },
           if (length(counts)) paste0(min(counts), " to ", max(counts), " rows") else "no row"),
    paste0(if (is_of_tables(x)) "Cross-products of " else "Means and scatter of ",
           paste(numbers, collapse = ", "), if (x$weighted) ", weighted")
  )
  if (x$omitted > 0) {
    lines <- c(lines, paste0(count_of(x$omitted, "row"),
                             " left out because of missing values"))
  }
  cat(lines, sep = "\n")
  invisible(x)
}

#' @noRd
describe_tables <- function(tables) {
  vapply(tables, function(table) {
    keys <- names(table$keys)
    paste0("Table by ", if (length(keys)) paste(keys, collapse = ", ") else "nothing", ": ",
           count_of(length(table$counts), "cell"))
  }, "")
}
