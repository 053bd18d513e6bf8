# Text blocks that print() and summary() share. Each function returns character, prints nothing.

#' "Linear mixed model fit by ..."
#' @noRd
format_title <- function(reml) {
  paste("Linear mixed model fit by", if (reml) "REML" else "maximum likelihood")
}

#' The lines that describe the call: formula, data, weights, ...
#' @noRd
format_call <- function(call, formula) {
  parts <- list(
    Formula = formula, "   Data" = call$data, Weights = call$weights, Offset = call$offset,
    " Subset" = call$subset
  )
  parts <- parts[!vapply(parts, is.null, NA)]
  unlist(Map(format_labelled, names(parts), lapply(parts, format_code)), use.names = FALSE)
}

#' Code as lines of text; a value in its place (from do.call()) by what it is
#' @noRd
format_code <- function(x) {
  if (inherits(x, "formula")) {
    attributes(x) <- NULL
  }
  if (is.language(x) || is.atomic(x) && length(x) <= 5L) {
    return(deparse(x, width.cutoff = 65L))
  }
  rows <- if (is.null(nrow(x))) paste(length(x), "values") else paste(nrow(x), "rows")
  paste0("<", class(x)[[1L]], ", ", rows, ">")
}

#' "Label: first line", with the following lines indented
#' @noRd
format_labelled <- function(label, lines) {
  paste0(c(paste0(label, ": "), rep_len("    ", length(lines) - 1L)), trimws(lines))
}

#' Criterion of a REML fit, or the table of information criteria of an ML fit
#' @noRd
criterion_table <- function(object) {
  if (object$REML) {
    return(c(REML = object$criterion))
  }
  likelihood <- logLik.lmm(object)
  c(
    AIC = stats::AIC(likelihood), BIC = stats::BIC(likelihood),
    logLik = as.numeric(likelihood), deviance = object$criterion,
    df.resid = df.residual.lmm(object)
  )
}

#' @noRd
format_criterion <- function(table, digits) {
  if (identical(names(table), "REML")) {
    return(paste("REML criterion at convergence:", round(table[["REML"]], digits)))
  }
  numbers <- formatC(round(table, digits), digits = digits, format = "f")
  numbers[["df.resid"]] <- format(table[["df.resid"]])
  width <- pmax(nchar(numbers), nchar(names(table)))
  c(
    paste(sprintf("%*s", width, names(table)), collapse = " "),
    paste(sprintf("%*s", width, numbers), collapse = " ")
  )
}

#' Number of observations and of levels
#' @noRd
format_groups <- function(nobs, ngrps) {
  groups <- paste(names(ngrps), ngrps, sep = ", ", collapse = "; ")
  line <- paste0("Number of obs: ", nobs, ", groups:  ", groups)
  if (nchar(line) < getOption("width")) line else wrap_text(line, exdent = 4L)
}

#' Variances and correlations as a character matrix, a row for each effect
#'
#' @param comp "Std.Dev.", "Variance" or both; the first letters will do.
#' @param corr correlations or covariances in the last columns? NULL: what goes with `comp`.
#' @noRd
format_varcorr <- function(x, digits, comp = "Std.Dev.", corr = NULL) {
  comp <- match.arg(comp, c("Std.Dev.", "Variance"), several.ok = TRUE)
  corr <- if (is.null(corr)) "Std.Dev." %in% comp else corr
  sizes <- vapply(x, nrow, 1L)
  sd <- c(unlist(lapply(x, attr, "stddev"), use.names = FALSE), attr(x, "sc"))
  columns <- list(Std.Dev. = format(sd, digits = digits), Variance = format(sd^2, digits = digits))
  groups <- unlist(Map(function(name, k) c(name, character(k - 1L)), names(x), sizes))
  cells <- cbind(
    Groups = format(c(groups, "Residual")),
    Name = format(c(unlist(lapply(x, rownames), use.names = FALSE), "")),
    do.call(cbind, columns[comp])
  )
  if (any(sizes > 1L)) {
    cells <- cbind(cells, format_pairs(x, sizes, corr, digits))
  }
  dimnames(cells) <- list(rep.int("", nrow(cells)), colnames(cells))
  cells
}

#' Lower triangles of the correlations (covariances), one under the other, blank elsewhere
#' @noRd
format_pairs <- function(x, sizes, corr, digits) {
  width <- max(sizes) - 1L
  blocks <- lapply(x, function(v) {
    values <- if (corr) attr(v, "correlation") else v
    below <- lower.tri(v)
    text <- matrix("", nrow(v), width)
    text[below[, seq_len(width), drop = FALSE]] <- format_pair(values[below], corr, digits)
    text
  })
  cells <- rbind(do.call(rbind, unname(blocks)), "")
  filled <- nzchar(cells)
  cells[filled] <- formatC(cells[filled], width = max(nchar(cells)))
  colnames(cells) <- c(if (corr) "Corr" else "Cov", character(width - 1L))
  cells
}

#' @noRd
format_pair <- function(values, corr, digits) {
  if (corr) {
    formatC(values, digits = max(2L, digits - 2L), format = "f")
  } else {
    format(values, digits = digits)
  }
}

#' The certificate in one sentence: what the optimum is known to be, and by which numbers
#' @noRd
format_certificate <- function(certificate) {
  verdict <- switch(certificate$status,
    converged = "optimum proved",
    singular = "optimum proved, at the boundary: singular fit",
    `not-identified` = "NOT proved: the data do not identify all covariance parameters",
    `iteration-limit` = "NOT proved: stopped at the limit of evaluations",
    interrupted = "NOT proved: interrupted",
    evaluated = "none, evaluated at the given theta",
    "NOT proved"
  )
  facts <- paste(certificate_facts(certificate), collapse = ", ")
  wrap_text(paste0("Certificate: ", verdict, " (", facts, ")"), exdent = 2L)
}

#' @noRd
certificate_facts <- function(certificate) {
  multipliers <- certificate$multipliers[!is.na(certificate$multipliers)]
  c(
    paste("scaled gradient", format_magnitude(certificate$max_gradient)),
    if (is.finite(certificate$min_eigenvalue)) {
      paste("smallest Hessian eigenvalue", format_magnitude(certificate$min_eigenvalue))
    },
    if (length(multipliers) > 0L) {
      paste("smallest multiplier", format_magnitude(min(multipliers)))
    },
    paste0(certificate$evaluations, " evaluation", if (certificate$evaluations != 1L) "s")
  )
}

#' A number of which only the size matters
#' @noRd
format_magnitude <- function(x) {
  format(signif(x, 1L), digits = 1L)
}

#' What a reader should know of the optimum beyond the certificate: which variances and correlations
#' are at their boundary, why the optimum is not proved
#' @noRd
format_findings <- function(object) {
  certificate <- object$certificate
  facts <- unlist(lapply(
    which(certificate$rank < lengths(object$cnms)),
    function(t) term_boundary(object, t)
  ))
  problem <- if (certificate$status == "failed" && nzchar(certificate$message)) {
    sentence(certificate$message)
  }
  findings <- paste("*", c(facts, problem), recycle0 = TRUE)
  unlist(lapply(findings, wrap_text, indent = 2L, exdent = 4L))
}

#' Lines as wide as the console
#' @noRd
wrap_text <- function(text, ...) {
  strwrap(text, width = getOption("width"), ...)
}

#' @noRd
term_boundary <- function(object, t) {
  term <- object$random[[t]]
  boundary_facts(
    theta_matrix(object$theta, object$random)[[t]], term, effect_scales(object, t),
    object$certificate$rank[[t]]
  )
}

#' Root mean square of each basis column of a term
#' @noRd
effect_scales <- function(object, t) {
  vapply(term_columns(object$random[[t]], object$frame), column_scale, 0)
}
