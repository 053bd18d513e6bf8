# What the certificate of the optimum says, in words.

#' Tell the user what there is to say about a fit; silent when nothing is wrong
#'
#' @param result the engine's result; `fixed`, `random`, `residual` are what it was fitted from.
#' @noRd
report_fit <- function(result, fixed, random, control, residual = NULL) {
  if (control$verbose > 0L) {
    inform_trace(result$certificate)
  }
  if (result$rank < length(fixed$names)) {
    inform_rank(result, fixed$names, random$eliminated)
  }
  certificate <- result$certificate
  if (identical(control$solver, "auto") && is_estimated(certificate)) {
    inform_solver(certificate)
  }
  status <- certificate$status
  if (status == "singular" || any(certificate$rank < full_ranks(random$terms))) {
    inform_singular(result$theta, random, certificate, fixed$tables)
  }
  unseen <- result$unseen
  if (length(unseen) > 0L) {
    unseen <- unseen[!residual$held[unseen]]
  }
  if (length(unseen) > 0L) {
    warn_unseen(unseen, residual)
  }
  warn_rounding(certificate$rounding)
  if (status == "converged") {
    warn_rounding_of_phi(certificate$rounding_of_phi)
  }
  explained <- length(unseen) > 0L && status == "not-identified"
  if (!status %in% c("converged", "singular", "evaluated") && !explained) {
    warn_convergence(certificate, random, residual)
  }
}

#' Does a fit, or part of its way, rest on conjugate gradients and random vectors?
#' @noRd
is_estimated <- function(certificate) {
  !is.null(certificate$path) && certificate$path != "exact"
}

#' @noRd
inform_solver <- function(certificate) {
  ferrolmm_inform(
    paste0("A large crossed problem: ", switch(certificate$path,
      "iterative, then exact" =
        "fitted by conjugate gradients, and exactly close to the optimum.",
      "iterative, exact criterion" =
        "fitted by conjugate gradients; the criterion is exact.",
      "fitted by conjugate gradients; the criterion is an estimate."
    )),
    "solver", certificate = certificate,
    i = paste0(sentence(monte_carlo_errors(certificate)), " See `solver` in lmm_control().")
  )
}

#' Warn of likelihoods of fits that ended before their optimum, and say which
#'
#' @param statuses of their certificates, "" of models of other packages.
#' @param names what the user calls them.
#' @returns `TRUE` for each that did, invisibly
#' @noRd
warn_cut_off <- function(statuses, names) {
  short <- statuses %in% c("iteration-limit", "time-limit", "interrupted", "not-settled")
  if (any(short)) {
    ferrolmm_warn(
      paste0("The fit of ", quote_names(names[short]), " ended before the optimum: ",
             "likelihood ratios are those of the fits as they are."),
      "convergence",
      i = if (any(statuses == "not-settled")) {
        "Use a variable as covariate of the variances: varPower(form = ~ x)."
      } else {
        "Raise the limits with control = lmm_control(max_evaluations = , time_limit = )."
      }
    )
  }
  invisible(short)
}

#' The status of the certificate of each model, "" of those of other packages and without parameters
#' @noRd
statuses_of <- function(models) {
  vapply(models, function(model) {
    status <- if (inherits(model, "lmm")) model$certificate$status else model$status
    if (is.null(status)) "" else status
  }, "")
}

#' What chance leaves uncertain, in words
#' @noRd
monte_carlo_errors <- function(certificate) {
  chance <- certificate$monte_carlo
  theta <- chance$theta
  if (isTRUE(all(c(chance$criterion, theta) == 0))) {
    return("no Monte-Carlo error is left")
  }
  paste0(
    "Monte-Carlo standard error of the criterion ", format_magnitude(chance$criterion),
    if (length(theta)) paste0(", of theta ", if (length(theta) > 1L) "at most ",
                              format_magnitude(max(theta)))
  )
}

#' Standard error of the criterion where it is an estimate, else 0
#' @noRd
criterion_error <- function(object) {
  certificate <- object$certificate
  if (identical(certificate$path, "iterative")) certificate$monte_carlo$criterion else 0
}

#' Warn that likelihoods carry the error of estimated criteria
#'
#' @param objects models; those that are not from lmm() are skipped.
#' @noRd
warn_monte_carlo <- function(objects) {
  errors <- vapply(objects, criterion_error, 0)
  if (all(errors == 0)) {
    return(invisible())
  }
  ferrolmm_warn(
    paste0(
      if (length(errors) > 1L) "A comparison of likelihoods" else "The log-likelihood",
      " carries Monte-Carlo error: the standard error of ",
      if (length(errors) > 1L) "a ratio (Chisq) is up to " else "-2 logLik is ",
      format_magnitude(sqrt(sum(errors^2))), "."
    ),
    "monte_carlo", errors = errors,
    i = "Fit with control = lmm_control(solver = \"exact\") for the exact one."
  )
}

#' @noRd
inform_rank <- function(result, names, eliminated = NULL) {
  dropped <- names[sort(result$pivot[-seq_len(result$rank)])]
  if (result$rank == 0L) {
    dropped <- names
  }
  if (any(vapply(eliminated$terms, function(term) term$cnms == "(Intercept)", NA))) {
    # as everybody knows
    dropped <- setdiff(dropped, "(Intercept)")
    if (length(dropped) == 0L) {
      return(invisible())
    }
  }
  ferrolmm_inform(
    paste0("The fixed-effects model matrix is rank deficient: ", length(dropped), " of ",
           length(names), " columns dropped."),
    "rank", dropped = dropped,
    x = paste0("Dropped: ", quote_names(dropped, 10L),
               if (length(dropped) == 1L) " is" else " are",
               " numerically a linear combination of ",
               if (is.null(eliminated)) "the other columns" else
                 "other columns and the fixed effects of levels",
               "; the coefficient is NA.")
  )
}

#' @noRd
inform_singular <- function(theta, random, certificate, tables = NULL) {
  rank <- certificate$rank
  thetas <- split_theta(theta, random$terms)
  facts <- list()
  scales <- if (is.null(tables)) {
    lapply(random$design$terms, function(term) vapply(term$columns, column_scale, 0))
  } else {
    scales_of_tables(random$design, tables)
  }
  blocks <- random_blocks(random$terms)
  for (t in seq_along(blocks)) {
    # a smooth without wiggles is no cause for concern
    if (!is.null(blocks[[t]]$members$smooth)) next
    scale <- scales[[blocks[[t]]$term]]
    facts[[t]] <- boundary_facts(thetas[[t]], blocks[[t]], scale, rank[t])
  }
  facts <- c(
    unlist(facts),
    if (isTRUE(certificate$residual_zero)) {
      paste0("The residual variance is estimated as zero: the random effects take up all of the ",
             "variation, and `sigma` is a small number that stands for zero.")
    }
  )
  if (length(facts) == 0L) {
    return(invisible())
  }
  ferrolmm_inform(
    "Singular fit: the optimum is at the boundary of the covariance parameters.",
    "singular", x = facts, i = "See isSingular(); a simpler random-effects part may be enough."
  )
}

#' Root mean square of a basis column
#' @noRd
column_scale <- function(column) {
  if (is.null(column)) 1 else sqrt(mean(column_values(column)^2))
}

#' What is at the boundary in one block, one sentence per fact
#'
#' @param theta of the block; `scale` the size of each basis column, so that T times it is the
#'   contribution of each effect to the response, in residual standard deviations.
#' @param rank rank of the factor by the engine.
#' @noRd
boundary_facts <- function(theta, term, scale, rank, tolerance = 1e-5) {
  k <- length(term$cnms)
  if (rank >= full_rank(term)) {
    return(NULL)
  }
  if (has_factors(term)) {
    return(factor_facts(theta, term, rank))
  }
  factor <- term_factor(theta, term)
  if (!is.null(term$members$smooth)) {
    return(paste0("The smooth `", term$group, "` has no wiggles: its variance is estimated as ",
                  "zero."))
  }
  scaled <- factor * scale
  sd <- sqrt(rowSums(scaled^2))
  zero <- sd < tolerance * max(1, sd)
  if (sum(!zero) < rank) {
    zero <- rank(sd, ties.method = "first") <= k - rank
  }
  name <- paste0("`", term$cnms, "`")
  group <- paste0(" for group `", term$group, "`", if (!is.null(term$in_class)) {
    paste0(", `", by_label(term), "` ", term$in_class)
  })
  facts <- if (any(zero)) {
    paste0("The variance of ", name[zero], group, " is estimated as zero.")
  }
  kept <- which(!zero)
  if (length(kept) > rank) {
    more <- if (is_natural(term)) {
      paste0(
        "The ", structure_name(term), " correlation", group, " is at its boundary: ",
        "the covariance matrix of ", quote_names(term$cnms[kept], 4L), " has rank ", rank,
        " instead of ", length(kept), "."
      )
    } else {
      correlation_facts(scaled[kept, , drop = FALSE], name[kept], group, rank)
    }
    facts <- c(facts, more)
  }
  facts
}

#' What is at the boundary of a term with factors
#' @noRd
factor_facts <- function(theta, term, rank) {
  group <- paste0(" for group `", term$group, "`")
  if (!is_factor_analytic(term)) {
    return(paste0(
      "The covariance matrix of ", quote_names(term$cnms, 4L), group, " has rank ", rank,
      " instead of ", term$factors, ": fewer factors are enough."
    ))
  }
  zero <- term_loadings(theta, term)$specific == 0
  paste0(
    "Heywood case: the specific variance of ", quote_names(term$cnms[zero], 4L), group,
    " is estimated as zero."
  )
}

#' @noRd
correlation_facts <- function(scaled, name, group, rank) {
  correlation <- stats::cov2cor(tcrossprod(scaled))
  pairs <- which(
    lower.tri(correlation) & abs(correlation) > 1 - 1e-5, arr.ind = TRUE
  )
  if (nrow(pairs) == 0L) {
    return(paste0(
      "The covariance matrix of ", paste(name, collapse = ", "), group, " has rank ", rank,
      " instead of ", length(name), ": a combination of these effects has no variance."
    ))
  }
  paste0(
    "The correlation between ", name[pairs[, 2L]], " and ", name[pairs[, 1L]], group,
    " is estimated as ", sign(correlation[pairs]), "."
  )
}

#' Warn of estimates to which rounding has left few digits
#'
#' @param rounding relative error of the factor of the mixed-model equations, at most.
#' @noRd
warn_rounding <- function(rounding) {
  if (is.null(rounding) || !isTRUE(rounding > 1e-6)) {
    return(invisible())
  }
  digits <- max(0, floor(-log10(rounding)))
  ferrolmm_warn(
    paste0(
      "Rounding leaves the criterion and standard errors ",
      if (digits > 0) paste("about", count_of(digits, "digit")) else "no digit that is certain", "."
    ),
    "digits",
    x = paste(
      "Random effects are many orders of magnitude larger than residuals: what is computed are",
      "small differences of large numbers."
    ),
    i = "Make the largest random effects fixed effects, or fit a part of the data.",
    rounding = rounding
  )
}

#' Warn of a residual correlation that a double tells only in part
#'
#' The fit has all digits; what is computed from it later begins at `fit$phi`.
#' @param rounding relative error of what is left of the correlation to its end.
#' @noRd
warn_rounding_of_phi <- function(rounding) {
  if (is.null(rounding) || !isTRUE(rounding > 1e-8)) {
    return(invisible())
  }
  digits <- max(0, floor(-log10(rounding)))
  ferrolmm_warn(
    paste0(
      "A residual correlation is so near 1 or -1 that of what is left to it a number has only ",
      count_of(digits, "digit"), "."
    ),
    "digits",
    x = paste(
      "Estimates and standard errors are not affected. Degrees of freedom and what else is",
      "computed from the fit have no more digits."
    ),
    i = paste(
      "Random effects can stand for what the rows of a group share: (1 | group) for cs(1 | group)."
    ),
    rounding = rounding
  )
}

#' @noRd
warn_convergence <- function(certificate, random, residual) {
  detail <- if (nzchar(certificate$message)) sentence(certificate$message)
  groups <- c(
    if (length(random$cnms)) {
      paste0("the random effects of ", quote_names(unique(names(random$cnms))))
    },
    if (length(residual$names)) "the residual structure"
  )
  groups <- paste(groups, collapse = " or ")
  text <- switch(certificate$status,
    "not-identified" = list(
      "The covariance parameters are not identified by the data.",
      paste0("Simplify ", groups,
             "; a grouping factor must not be a fixed effect as well.")
    ),
    "iteration-limit" = list(
      "The optimum was not reached within the allowed number of evaluations.",
      "Raise it with control = lmm_control(max_evaluations = )."
    ),
    "time-limit" = list(
      "The optimum was not reached within the time limit: these are the estimates so far.",
      "Raise it with control = lmm_control(time_limit = )."
    ),
    "not-settled" = list(
      "The fitted values that the variance function depends on did not settle in 100 fits.",
      "Use a variable as covariate: varPower(form = ~ x)."
    ),
    "interrupted" = list(
      "The fit was interrupted: the estimates are those of the best point so far.",
      "Fit again for the optimum."
    ),
    list(
      "The optimum could not be certified.",
      paste0("Check ", groups, ", and compare with other starts (`start`).")
    )
  )
  class <- c(if (certificate$status == "not-identified") "identifiable", "convergence")
  ferrolmm_warn(text[[1L]], class, x = detail, i = text[[2L]],
                certificate = certificate)
}

#' Warn of residual parameters on which no two rows of a group depend
#'
#' @param unseen their indices in phi.
#' @noRd
warn_unseen <- function(unseen, residual) {
  names <- residual$names[unseen]
  correlation <- residual$correlation
  by_pair <- !is.null(correlation) && correlation_kind(correlation$type)$each == "pair"
  facts <- if (by_pair) {
    pairs <- which(lower.tri(diag(correlation$n_positions)), arr.ind = TRUE)
    class <- (unseen - 1L) %/% nrow(pairs) + 1L
    pairs <- pairs[(unseen - 1L) %% nrow(pairs) + 1L, , drop = FALSE]
    visits <- correlation$visits
    paste0(
      "No `", correlation$group_label, "` ",
      if (length(correlation$classes)) paste0("of ", correlation$classes[class], " "),
      "has both ", visits[pairs[, 2L]], " and ",
      visits[pairs[, 1L]], ": nothing tells of ", names, "."
    )
  } else {
    paste0("No two rows of a group tell anything of ", names, ".")
  }
  ferrolmm_warn(
    paste0(
      count_of(length(names), "parameter"), " of the residual structure ",
      if (length(names) == 1L) "is" else "are", " not identified by the data."
    ),
    "identifiable",
    x = c(
      utils::head(facts, 5L), if (length(facts) > 5L) paste("And", length(facts) - 5L, "more.")
    ),
    i = "Use a structure with fewer parameters, such as toep() or ar1h(), or merge visits.",
    parameters = names
  )
}

#' The path of the optimiser
#' @noRd
inform_trace <- function(certificate) {
  trace <- certificate$trace
  gradient <- c(trace$max_gradient, rep(NA, length(trace$criterion)))[seq_along(trace$criterion)]
  lines <- sprintf(
    "%4d  criterion %.6f  scaled gradient %.1e", seq_along(trace$criterion) - 1L, trace$criterion,
    gradient
  )
  ferrolmm_inform(
    paste(c(
      paste0("Optimiser: ", certificate$evaluations, " evaluations, ", certificate$status, "."),
      lines
    ), collapse = "\n"),
    "trace"
  )
}
