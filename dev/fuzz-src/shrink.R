# Make a failing problem small: drop calls, arguments, terms, rows, columns, as long as a failure of
# the same kind remains.

# The result of the same signature, or NULL
same_failure <- function(p, only, signature) {
  set.seed(p$seed)
  found <- tryCatch(run_problem(p, only), error = function(e) list())
  for (result in found) {
    if (is_failure(result) && signature_of(result) == signature) return(result)
  }
  NULL
}

shrink <- function(p, result, budget = 8) {
  end <- proc.time()[[3L]] + budget
  signature <- signature_of(result)
  only <- if (!is.null(result$call) && result$head != "lmm") {
    paste(deparse(result$call, 500L), collapse = " ")
  } else if (!is.null(result$check)) {
    result$check
  } else {
    "lmm"
  }
  last <- result
  fits <- function(candidate) {
    if (proc.time()[[3L]] > end) return(FALSE)
    found <- same_failure(candidate, only, signature)
    if (is.null(found)) return(FALSE)
    last <<- found
    TRUE
  }
  p$calls <- Filter(function(one) {
    identical(paste(deparse(one$call, 500L), collapse = " "), only)
  }, p$calls)
  if (length(p$calls) > 1L) p$calls <- p$calls[1L]
  if (!fits(p)) return(list(p = p, result = result, shrunk = FALSE))
  repeat {
    smaller <- FALSE
    for (candidate in candidates(p)) {
      if (fits(candidate)) {
        p <- candidate
        smaller <- TRUE
        break
      }
    }
    if (!smaller || proc.time()[[3L]] > end) break
  }
  p <- drop_rows(p, fits)
  candidate <- p
  candidate$data <- droplevels(p$data)
  if (fits(candidate)) p <- candidate
  # of a known matrix the levels that are left
  for (name in names(p$objects)) {
    candidate <- p
    used <- intersect(rownames(p$objects[[name]]), as.character(p$data$g))
    candidate$objects[[name]] <- p$objects[[name]][used, used, drop = FALSE]
    if (fits(candidate)) p <- candidate
  }
  list(p = p, result = last, shrunk = TRUE)
}

candidates <- function(p) {
  out <- list()
  for (i in rev(seq_along(p$fixed))) {
    out[[length(out) + 1L]] <- replace_field(p, "fixed", p$fixed[-i])
  }
  for (i in rev(seq_along(p$random))) {
    if (length(p$random) > 1L || !is.null(p$residual)) {
      out[[length(out) + 1L]] <- replace_field(p, "random", p$random[-i])
    }
    term <- p$random[[i]]
    if (!is.null(term$by)) {
      random <- p$random
      random[[i]]["by"] <- list(NULL)
      out[[length(out) + 1L]] <- replace_field(p, "random", random)
    }
    if (!identical(term$lhs, 1) && term$structure == "us") {
      term$lhs <- 1
      term$double <- FALSE
      random <- p$random
      random[[i]] <- term
      out[[length(out) + 1L]] <- replace_field(p, "random", random)
    }
  }
  for (name in names(p$arguments)) {
    smaller <- replace_field(p, "arguments", p$arguments[setdiff(names(p$arguments), name)])
    if (name == "control") smaller["hold"] <- smaller["tie"] <- smaller["sigma"] <- list(NULL)
    if (name %in% c("correlation", "residual")) smaller$residual["correlation"] <- list(NULL)
    if (name == "weights" && length(p$residual$scales)) smaller$residual$scales <- NULL
    if (length(smaller$random) > 0L || length(p$residual) == 0L) {
      if (length(smaller$residual$scales) + length(smaller$residual$correlation) == 0L) {
        smaller["residual"] <- list(NULL)
      }
      out[[length(out) + 1L]] <- smaller
    }
  }
  out
}

replace_field <- function(p, name, value) {
  p[name] <- list(value)
  p
}

# Halves, quarters, ... of the rows
drop_rows <- function(p, fits) {
  size <- nrow(p$data) %/% 2L
  while (size >= 1L) {
    at <- 1L
    while (at <= nrow(p$data) && nrow(p$data) > size) {
      candidate <- p
      candidate$data <- p$data[-(at:min(at + size - 1L, nrow(p$data))), , drop = FALSE]
      if (nrow(candidate$data) >= 3L && fits(candidate)) p <- candidate else at <- at + size
    }
    size <- size %/% 2L
  }
  p
}
