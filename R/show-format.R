# Text blocks that print() and summary() share. Each function returns character, prints nothing.

#' "Linear mixed model fit by ..."
#' @noRd
format_title <- function(reml, random = TRUE) {
  paste(
    if (random) "Linear mixed model fit by" else "Linear model with structured residuals fit by",
    if (reml) "REML" else "maximum likelihood"
  )
}

#' The lines that describe the call: formula, data, weights, ...
#' @noRd
format_call <- function(call, formula) {
  parts <- list(
    Formula = formula, "   Data" = call$data, Weights = call$weights, Offset = call$offset,
    " Subset" = call$subset, Correlation = call$correlation, Residual = call$residual
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
  likelihood <- log_likelihood(object)
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
  if (length(ngrps) == 0L) {
    return(paste0("Number of obs: ", nobs))
  }
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
  known <- c("Std.Dev.", "Variance")
  if (!is.character(comp) || length(comp) == 0L) {
    match_choice(comp, "comp", known)
  }
  comp <- vapply(comp, match_choice, "", "comp", known, USE.NAMES = FALSE)
  corr <- if (is.null(corr)) "Std.Dev." %in% comp else check_flag(corr, "corr")
  sigma <- attr(x, "sc")
  x <- lapply(x, shown_part)
  sizes <- vapply(x, nrow, 1L)
  sd <- c(unlist(lapply(x, attr, "stddev"), use.names = FALSE), sigma)
  columns <- list(Std.Dev. = format(sd, digits = digits), Variance = format(sd^2, digits = digits))
  groups <- unlist(Map(function(name, k) c(name, character(k - 1L)), names(x), sizes))
  cells <- cbind(
    Groups = format(c(groups, "Residual")),
    Name = format(c(unlist(lapply(x, rownames), use.names = FALSE), "")),
    do.call(cbind, columns[comp])
  )
  if (any(sizes > 1L) || any(vapply(x, function(v) !is.null(attr(v, "structure")), NA))) {
    cells <- cbind(cells, format_pairs(x, sizes, corr, digits))
  }
  dimnames(cells) <- list(rep.int("", nrow(cells)), colnames(cells))
  cells
}

#' Lower triangles of the correlations (covariances), one under the other, blank elsewhere
#' @noRd
format_pairs <- function(x, sizes, corr, digits) {
  free <- vapply(x, function(v) is.null(attr(v, "structure")), NA)
  width <- max(sizes[free] - 1L, if (any(!free)) 1L, 1L)
  blocks <- lapply(x, function(v) {
    values <- if (corr) attr(v, "correlation") else v
    if (!is.null(attr(v, "structure"))) {
      return(format_structure(values, v, width, corr, digits))
    }
    text <- matrix("", nrow(v), width)
    k <- nrow(v) - 1L
    below <- lower.tri(v)[, seq_len(k), drop = FALSE]
    text[, seq_len(k)][below] <- format_pair(values[lower.tri(v)], corr, digits)
    text
  })
  cells <- rbind(do.call(rbind, unname(blocks)), "")
  filled <- nzchar(cells)
  cells[filled] <- formatC(cells[filled], width = max(nchar(cells)))
  colnames(cells) <- c(if (corr) "Corr" else "Cov", character(width - 1L))
  cells
}

#' The effects of a term that are shown: the first one alone where all have one variance and one
#' correlation parameter
#' @noRd
shown_part <- function(v) {
  name <- attr(v, "structure")
  if (is.null(name) || !startsWith(name, "hom ") || name == "hom toep") {
    return(v)
  }
  first <- v[1L, 1L, drop = FALSE]
  attr(first, "stddev") <- attr(v, "stddev")[1L]
  attr(first, "correlation") <- attr(v, "correlation")
  attr(first, "structure") <- name
  attr(first, "covariance") <- v
  first
}

#' The correlations of a structure: the one that they are made of, or one for each lag
#' @noRd
format_structure <- function(values, v, width, corr, digits) {
  text <- matrix("", nrow(v), width)
  name <- sub("^hom ", "", attr(v, "structure"))
  if (!corr && !is.null(attr(v, "covariance"))) {
    values <- attr(v, "covariance")
  }
  text[1L, 1L] <- if (name == "diag") {
    "(diag)"
  } else if (name == "toep") {
    "(toep)"
  } else {
    paste0(format_pair(values[2L, 1L], corr, digits), " (", name, ")")
  }
  if (name == "toep") {
    text[-1L, 1L] <- format_pair(values[-1L, 1L], corr, digits)
  }
  text
}

#' @noRd
format_pair <- function(values, corr, digits) {
  if (corr) {
    formatC(values, digits = max(2L, digits - 2L), format = "f")
  } else {
    format(values, digits = digits)
  }
}

#' The residual structure in words, with its estimates
#' @noRd
format_residual <- function(object, digits) {
  residual <- object$residual
  if (is.null(residual)) {
    return(NULL)
  }
  parts <- split_phi(residual, object$phi)
  held <- split_phi(residual, ifelse(phi_held(object), " (held)", ""))
  lines <- "Residuals:"
  if (!is.null(residual$correlation)) {
    lines <- c(lines, format_correlation(residual$correlation, parts, held$correlation, digits))
  }
  for (s in seq_along(residual$scales)) {
    lines <- c(
      lines, format_scale(residual$scales[[s]], parts$scales[[s]], held$scales[[s]], digits)
    )
  }
  if (length(residual$fixed)) {
    lines <- c(lines, paste0(" Known variances proportional to ",
                             paste(residual$fixed, collapse = " * ")))
  }
  lines
}

#' Which elements of phi were not estimated?
#' @noRd
phi_held <- function(object) {
  object$residual$held | names(object$phi) %in% names(object$control$hold)
}

#' @noRd
format_correlation <- function(correlation, parts, held, digits) {
  par <- parts$correlation
  number <- function(x) formatC(x, digits = max(2L, digits - 1L), format = "f")
  title <- residual_words[[correlation$type]]
  if (correlation$type == "arma") {
    title <- paste0("ARMA(", correlation$p, ", ", correlation$q, ")")
  }
  by <- if (length(correlation$covariates)) {
    paste0(" by ", paste(correlation$covariates, collapse = ", "))
  } else if (correlation$kind == "order") {
    " by the order of rows"
  }
  within <- if (length(correlation$group)) paste0(" within ", correlation$group_label)
  head <- paste0(" Correlation: ", title, by, within)
  if (correlation$type %in% c("us", "ante")) {
    m <- correlation$n_positions
    matrix <- position_correlation(correlation, par, seq_len(m), m)
    text <- matrix("", m, m - 1L)
    below <- lower.tri(matrix)[, -m, drop = FALSE]
    text[below] <- number(matrix[, -m, drop = FALSE][below])
    visits <- correlation$visits
    cells <- rbind(
      c("", visits[-m]), cbind(visits, text)
    )
    cells[, 1L] <- format(cells[, 1L])
    cells[, -1L] <- formatC(cells[, -1L], width = max(nchar(cells[, -1L])))
    return(c(head, trimws(paste0("   ", apply(cells, 1L, paste, collapse = " ")), "right")))
  }
  names <- switch(correlation$type,
    ar1 = , car1 = , cs = "rho", toep = paste("lag", seq_along(par)),
    arma = c(
      if (correlation$p > 0L) paste0("ar", seq_len(correlation$p)),
      if (correlation$q > 0L) paste0("ma", seq_len(correlation$q))
    ),
    c("range", "nugget")[seq_along(par)]
  )
  values <- if (correlation$type %in% spatial_types) {
    format(par, digits = digits, trim = TRUE)
  } else {
    number(par)
  }
  wrap_text(
    paste0(head, ", ", paste0(names, " = ", values, held, collapse = ", ")), indent = 1L,
    exdent = 3L
  )
}

#' @noRd
format_scale <- function(scale, par, held, digits) {
  value <- function(x) format(x, digits = digits, trim = TRUE)
  strata <- paste(scale$stratum, collapse = "*")
  covariate <- if (scale$fitted) "fitted values" else scale$covariate
  if (scale$type == "ident") {
    return(wrap_text(
      paste0("Standard deviation by ", strata, ", ratios to that of ", scale$levels[[1L]], ": ",
             paste0(scale$levels[-1L], " ", value(par), held, collapse = ", ")),
      indent = 1L, exdent = 3L
    ))
  }
  formula <- switch(scale$type,
    power = paste0("|", covariate, "|^power"), exp = paste0("exp(exp * ", covariate, ")"),
    constpower = paste0("const + |", covariate, "|^power")
  )
  labels <- if (length(scale$levels)) scale$levels else ""
  names <- switch(scale$type,
    constpower = paste(rep(c("const", "power"), each = length(labels)), labels),
    paste(scale$type, labels)
  )
  wrap_text(
    paste0("Standard deviation proportional to ", formula, if (nzchar(strata)) {
      paste0(" by ", strata)
    }, ": ", paste0(trimws(names), " = ", value(par), held, collapse = ", ")),
    indent = 1L, exdent = 3L
  )
}

#' The certificate in one sentence: what the optimum is known to be, and by which numbers
#' @noRd
format_certificate <- function(certificate) {
  estimated <- identical(certificate$path, "iterative")
  verdict <- switch(certificate$status,
    converged = if (estimated) "optimum of the estimated criterion proved" else "optimum proved",
    singular = "optimum proved, at the boundary: singular fit",
    `not-identified` = "NOT proved: the data do not identify all covariance parameters",
    `iteration-limit` = "NOT proved: stopped at the limit of evaluations",
    `time-limit` = "NOT proved: stopped at the time limit",
    interrupted = "NOT proved: interrupted",
    evaluated = "none, evaluated at the given theta",
    "NOT proved"
  )
  facts <- paste(certificate_facts(certificate), collapse = ", ")
  c(
    wrap_text(paste0("Certificate: ", verdict, " (", facts, ")"), exdent = 2L),
    if (is_estimated(certificate)) format_solver(certificate)
  )
}

#' How the criterion was evaluated and what chance leaves uncertain
#' @noRd
format_solver <- function(certificate) {
  wrap_text(
    paste0("Solver: ", certificate$path, ", ", certificate$monte_carlo$vectors,
           " random vectors (", monte_carlo_errors(certificate), ")"),
    exdent = 2L
  )
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
    paste0(certificate$evaluations, " evaluation", if (certificate$evaluations != 1L) "s"),
    starts_facts(certificate)
  )
}

#' From how many places the optimum was looked for, and how many walks ended there
#' @noRd
starts_facts <- function(certificate) {
  starts <- certificate$starts
  if (is.null(starts) || starts == 0L) {
    return(NULL)
  }
  vanishing <- certificate$vanishing
  c(
    if (starts == 1L) "1 start" else paste(certificate$agree, "of", starts, "starts agree"),
    if (isTRUE(vanishing > 0L)) {
      paste("residual variance vanishes from", vanishing)
    }
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
