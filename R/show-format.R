# Text blocks that print() and summary() share. Each function returns character, prints nothing.

#' "Linear mixed model fit by ..."
#' @noRd
format_title <- function(reml, random = TRUE, sampled = FALSE, of_levels = FALSE) {
  kind <- if (random) {
    "mixed model"
  } else {
    if (of_levels) "model" else "model with structured residuals"
  }
  paste(
    paste("Linear", kind, "fit by"),
    if (reml) "REML" else if (sampled) "weighted pseudo-likelihood" else "maximum likelihood"
  )
}

#' The lines that describe the call: formula, data, weights, ...
#' @noRd
format_call <- function(call, formula) {
  parts <- call_parts(call, formula)
  # as 'lme4' aligns them
  names(parts)[names(parts) == "Data"] <- "   Data"
  names(parts)[names(parts) == "Subset"] <- " Subset"
  unlist(Map(format_labelled, names(parts), lapply(parts, format_code)), use.names = FALSE)
}

#' What the call says of the model, by name: formula, data, weights, ...
#' @noRd
call_parts <- function(call, formula) {
  parts <- list(
    Formula = formula, Data = call$data, Weights = call$weights, Offset = call$offset,
    Subset = call$subset, Correlation = call$correlation, Residual = call$residual
  )
  parts[!vapply(parts, is.null, NA)]
}

#' "Label: first line", with the following lines indented
#' @noRd
format_labelled <- function(label, lines) {
  paste0(c(paste0(label, ": "), rep_len("    ", length(lines) - 1L)), trimws(lines))
}

#' AIC, BIC and log-likelihood, which REML has too
#' @noRd
format_information <- function(information) {
  numbers <- formatC(round(information, 1L), digits = 1L, format = "f")
  paste0(
    "AIC ", numbers[["AIC"]], ", BIC ", numbers[["BIC"]], ", logLik ", numbers[["logLik"]],
    " (restricted), ", count_of(information[["df"]], "parameter")
  )
}

#' The numbers of [format_information()], of a fit by REML; NULL by maximum likelihood, whose table
#' has them
#' @noRd
restricted_information <- function(object) {
  if (object$REML) {
    likelihood <- log_likelihood(object)
    c(
      AIC = stats::AIC(likelihood), BIC = stats::BIC(likelihood), logLik = as.numeric(likelihood),
      df = attr(likelihood, "df")
    )
  }
}

#' Criterion of a REML fit, or the table of information criteria of an ML fit
#' @noRd
criterion_table <- function(object) {
  if (object$REML) {
    return(c(REML = object$criterion))
  }
  if (is_sampled(object)) {
    return(c(pseudo = -object$criterion / 2))
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
  if (identical(names(table), "pseudo")) {
    return(paste("Log pseudo-likelihood:", round(table[["pseudo"]], digits)))
  }
  numbers <- formatC(round(table, digits), digits = digits, format = "f")
  numbers[["df.resid"]] <- format(table[["df.resid"]])
  width <- pmax(nchar(numbers), nchar(names(table)))
  c(
    paste(sprintf("%*s", width, names(table)), collapse = " "),
    paste(sprintf("%*s", width, numbers), collapse = " ")
  )
}

#' What a fit is made of: rows, levels of its grouping factors, rows that were left out
#' @noRd
count_data <- function(object) {
  list(
    nobs = nobs.lmm(object), ngrps = ngrps.lmm(object), subjects = residual_subjects(object),
    omitted = length(object$na.action),
    fixed_levels = if (has_eliminated(object)) {
      vapply(level_tables(object), nrow, 1L)
    }
  )
}

#' Number of observations and of levels
#'
#' @param counts what [count_data()] returns.
#' @noRd
format_counts <- function(counts) {
  subjects <- counts$subjects
  groups <- counts$ngrps
  most <- ifelse(
    names(groups) == c(subjects$name, "")[[1L]], paste0(" (up to ", subjects$most, " rows each)"),
    ""
  )
  line <- paste0(
    "Number of obs: ", counts$nobs,
    if (length(groups)) {
      paste0(", groups:  ", paste0(names(groups), ", ", groups, most, collapse = "; "))
    },
    if (length(counts$fixed_levels)) {
      paste0(
        "; fixed effects of levels:  ",
        paste0(names(counts$fixed_levels), ", ", counts$fixed_levels, collapse = "; ")
      )
    },
    if (counts$omitted > 0L) {
      paste0("; ", count_of(counts$omitted, "row"), " with missing values left out")
    }
  )
  if (nchar(line) < getOption("width")) line else wrap_text(line, exdent = 4L)
}

#' The certificate in one sentence: what the optimum is known to be, and by which numbers
#'
#' @param brief the verdict alone, where all is well?
#' @noRd
format_certificate <- function(certificate, brief = FALSE) {
  if (brief && certificate$status == "converged" && !is_estimated(certificate)) {
    agree <- if (isTRUE(certificate$agree < certificate$starts)) {
      paste0(" (", starts_facts(certificate), ")")
    }
    return(paste0("Certificate: optimum proved", agree))
  }
  estimated <- identical(certificate$path, "iterative")
  verdict <- switch(certificate$status,
    converged = if (estimated) "optimum of the estimated criterion proved" else "optimum proved",
    singular = "optimum proved, at the boundary: singular fit",
    `not-identified` = "NOT proved: the data do not identify all covariance parameters",
    `iteration-limit` = "NOT proved: stopped at the limit of evaluations",
    `time-limit` = "NOT proved: stopped at the time limit",
    interrupted = "NOT proved: interrupted",
    `not-settled` = "NOT proved: the variances depend on fitted values that did not settle",
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
    which(certificate$rank < full_ranks(object$random)),
    function(block) block_boundary(object, block)
  ))
  problem <- if (certificate$status == "failed" && nzchar(certificate$message)) {
    sentence(certificate$message)
  }
  findings <- paste("*", c(facts, problem), recycle0 = TRUE)
  unlist(lapply(findings, wrap_text, indent = 2L, exdent = 4L))
}

#' @noRd
block_boundary <- function(object, at) {
  block <- random_blocks(object$random)[[at]]
  boundary_facts(
    split_theta(object$theta, object$random)[[at]], block, effect_scales(object, block$term),
    object$certificate$rank[[at]]
  )
}
