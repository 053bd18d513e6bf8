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

#' From how many places the optimum was sought, and how many walks ended there
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

#' What a reader should know about the optimum beyond the certificate: which variances and
#' correlations are at their boundary, and why the optimum is not proved
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

#' @noRd
term_boundary <- function(object, t) {
  term <- object$random[[t]]
  boundary_facts(
    theta_matrix(object$theta, object$random)[[t]], term, effect_scales(object, t),
    object$certificate$rank[[t]]
  )
}
