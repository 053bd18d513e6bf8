# What two results have to say, and where they differ.

# Names of classes of fits: they differ, and say nothing else.
fit_classes <- "\\b(lmm|lmerModLmerTest|lmerMod|merMod|lmerTest|lme4|ferrolmm|lme|gls|nlme)\\b"

# The values in a result: a named list of vectors of numbers or of text, by their path. Pictures
# become what is drawn; functions, environments, calls and attributes say nothing.
values_of <- function(x, depth = 0L) {
  if (depth > 8L || is.null(x) || is.function(x) || is.environment(x)) {
    return(list())
  }
  if (inherits(x, "patchwork") && length(x$patches$plots)) {
    plots <- c(x$patches$plots, list(structure(x, class = setdiff(class(x), "patchwork"))))
    return(parts_of(plots, depth))
  }
  if (inherits(x, "ggplot")) {
    return(parts_of(lapply(ggplot2::ggplot_build(x)$data, as.data.frame), depth))
  }
  if (inherits(x, "trellis")) {
    return(parts_of(lapply(x$panel.args, `[`, c("x", "y")), depth))
  }
  if (inherits(x, "formula")) {
    return(list(formula = paste(deparse(x, width.cutoff = 500L), collapse = " ")))
  }
  if (is.language(x)) {
    return(list())
  }
  if (isS4(x)) {
    if (methods::is(x, "Matrix")) {
      return(values_of(as.matrix(x), depth))
    }
    slots <- methods::slotNames(x)
    return(parts_of(stats::setNames(lapply(slots, methods::slot, object = x), slots), depth))
  }
  if (is.factor(x)) {
    x <- as.character(x)
  }
  if (is.atomic(x)) {
    out <- list(values = as.vector(x))
    named <- if (is.null(dim(x))) names(x) else unlist(dimnames(x))
    if (length(named)) {
      out$names <- as.character(named)
    }
    return(out)
  }
  if (is.list(x)) {
    out <- parts_of(x, depth)
    rows <- attr(x, "row.names")
    if (is.character(rows) && !identical(rows, as.character(seq_along(rows)))) {
      out$rows <- rows
    }
    return(out)
  }
  list()
}

parts_of <- function(x, depth) {
  named <- names(x) %||% rep("", length(x))
  unnamed <- is.na(named) | named == ""
  named[unnamed] <- as.character(seq_along(x))[unnamed]
  parts <- lapply(seq_along(x), function(i) {
    part <- tryCatch(x[[i]], error = function(e) NULL)
    inner <- values_of(part, depth + 1L)
    if (length(inner)) stats::setNames(inner, paste0(named[i], "$", names(inner)))
  })
  unlist(parts, recursive = FALSE)
}

as_numbers <- function(x) if (is.complex(x)) c(Re(x), Im(x)) else as.numeric(x)

# Largest difference of two numeric vectors of one length. One is a difference of 1e-4 of the value
# (of a hundredth of the largest value in the vector where that is more).
distance <- function(peer, ours) {
  both <- is.finite(peer) & is.finite(ours)
  if (!any(both)) {
    return(0)
  }
  size <- pmax(abs(peer[both]), 0.01 * max(abs(peer[both])))
  max(pmax(abs(peer[both] - ours[both]) - 1e-7, 0) / pmax(size, 1e-300)) / 1e-4
}

# Coefficients of within_between() have names of their own in our fits, and tables of text as many
# dashes as the names are wide.
within_names <- function(x) {
  x <- gsub("within[ _]between[(](\\w+), (\\w+)[)](within|between)", "\\1 (\\3 \\2)", x)
  gsub("-{3,}", "---", x)
}

compare_text <- function(peer, ours) {
  plain <- function(x) {
    trimws(gsub("[[:space:]]+", " ", gsub(fit_classes, "<fit>", within_names(x))))
  }
  peer <- plain(peer)
  ours <- plain(ours)
  same <- (is.na(peer) & is.na(ours)) | (!is.na(peer) & !is.na(ours) & peer == ours)
  if (all(same)) {
    return(character())
  }
  # Printed numbers may end in another last digit.
  number <- "-?[0-9]+\\.?[0-9]*(e[-+]?[0-9]+)?"
  numbers <- function(x) as.numeric(unlist(regmatches(x, gregexpr(number, x))))
  if (all(gsub(number, "#", peer) == gsub(number, "#", ours), na.rm = TRUE)) {
    a <- numbers(peer)
    b <- numbers(ours)
    if (length(a) == length(b) && all(abs(a - b) <= 1e-3 * pmax(1, abs(a)))) {
      return(character())
    }
  }
  first <- which(!same)[1]
  sprintf("'%s' is '%s'", substr(peer[first], 1, 80), substr(ours[first], 1, 80))
}

# Where two vectors at one path differ: nothing, or a few words.
compare_vectors <- function(peer, ours) {
  if (length(peer) != length(ours)) {
    return(sprintf("has %d values, not %d", length(ours), length(peer)))
  }
  if (!length(peer)) {
    return(character())
  }
  if (is.character(peer) && is.character(ours)) {
    return(compare_text(peer, ours))
  }
  if (is.character(peer) != is.character(ours) && !all(is.na(peer)) && !all(is.na(ours))) {
    return("is of another type")
  }
  if (is.character(peer) || is.character(ours)) {
    peer <- is.na(peer)
    ours <- is.na(ours)
  }
  peer <- as_numbers(peer)
  ours <- as_numbers(ours)
  if (any(is.na(peer) != is.na(ours))) {
    return(sprintf("has %d NAs, not %d", sum(is.na(ours)), sum(is.na(peer))))
  }
  if (any(is.infinite(peer) != is.infinite(ours) & !is.na(peer))) {
    return("is infinite where the other is not")
  }
  far <- distance(peer, ours)
  if (far <= 1) {
    return(character())
  }
  worst <- which.max(ifelse(is.finite(peer) & is.finite(ours), abs(peer - ours), -1))
  sprintf("%.6g is %.6g", peer[worst], ours[worst])
}

# Differences of two results, a line each; none if they say the same.
compare_results <- function(peer, ours, numbers_only = FALSE) {
  keep <- function(x) Filter(function(v) !numbers_only || !is.character(v), x)
  peer <- keep(values_of(peer))
  ours <- keep(values_of(ours))
  common <- intersect(names(peer), names(ours))
  lines <- unlist(lapply(common, function(path) {
    words <- compare_vectors(peer[[path]], ours[[path]])
    if (length(words)) paste(sub("[$]values$", "", path), words)
  }))
  lost <- setdiff(names(peer), names(ours))
  more <- setdiff(names(ours), names(peer))
  c(
    lines,
    if (length(lost)) paste("lacks", paste(utils::head(lost, 6L), collapse = ", ")),
    if (length(more)) paste("has more:", paste(utils::head(more, 6L), collapse = ", "))
  )
}
