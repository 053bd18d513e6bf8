# Penalties on covariance matrices of random effects: what users write, and what the engine takes.

#' @noRd
new_penalty <- function(family, parameters, relative) {
  check_flag(relative, "relative")
  structure(c(list(family = family), parameters, list(relative = relative)), class = "lmm_penalty")
}

#' @noRd
check_penalty_number <- function(x, name, wanted, is_good) {
  if (!is.numeric(x) || length(x) != 1L || !is.finite(x) || !is_good(x)) {
    ferrolmm_abort(
      paste0("`", name, "` must be a number, ", wanted, describe_given(x), "."), "argument"
    )
  }
}

#' A scale as a number or a matrix
#' @param infinite may it be Inf?
#' @noRd
check_scale_matrix <- function(scale, infinite) {
  if (infinite && is.numeric(scale) && identical(as.vector(scale), Inf)) {
    return(Inf)
  }
  if (!is.numeric(scale) || length(scale) == 0L || !all(is.finite(scale)) ||
        length(scale) > 1L && (!is.matrix(scale) || nrow(scale) != ncol(scale))) {
    ferrolmm_abort(
      paste0("`scale` must be a positive number or a square matrix", describe_given(scale), "."),
      "argument"
    )
  }
  matrix <- as.matrix(scale)
  symmetric <- max(abs(matrix - t(matrix))) <= 1e-8 * max(abs(matrix))
  if (!symmetric || is.null(tryCatch(chol(matrix), error = function(e) NULL))) {
    ferrolmm_abort("`scale` must be positive definite.", "argument")
  }
  if (length(scale) == 1L) as.double(scale) else unname((matrix + t(matrix)) / 2)
}

#' The argument `penalty` of lmm_control(): NULL, a penalty, or a list of penalties
#' @noRd
check_penalties <- function(penalty) {
  if (is.null(penalty) || inherits(penalty, "lmm_penalty")) {
    return(penalty)
  }
  is_one <- function(x) is.null(x) || inherits(x, "lmm_penalty")
  if (!is.list(penalty) || length(penalty) == 0L || !all(vapply(penalty, is_one, NA))) {
    ferrolmm_abort(
      paste0("`penalty` must be a penalty or a list of penalties", describe_given(penalty), "."),
      "argument", i = "As in penalty = penalty_wishart(), or list(subject = penalty_gamma())."
    )
  }
  names <- names(penalty)
  if (!is.null(names) && (!all(nzchar(names)) || anyDuplicated(names))) {
    ferrolmm_abort(
      "`penalty` must name each grouping factor once, or have no names.", "argument"
    )
  }
  penalty
}

#' The control with the penalties as the engine takes them, term by term
#'
#' @param terms descriptors of the random-effects terms.
#' @returns `control` with `penalties`, list(terms, log_sigma2) or NULL: for each term NULL or
#'   list(log_det, linear, inverse, root, inverse_root)
#' @noRd
resolve_penalties <- function(control, terms) {
  given <- control$penalty
  if (is.null(given) || !is.null(control$penalties)) {
    return(control)
  }
  own <- penalties_of_terms(given, terms)
  coefficients <- Map(penalty_coefficients, own, terms, list(control$sigma))
  times <- vapply(terms, function(term) {
    length(term$cnms) * max(1L, length(term$classes))
  }, 0)
  log_sigma2 <- mapply(function(penalty, found, times) {
    if (is.null(penalty) || penalty$relative) 0 else found$log_det * times
  }, own, coefficients, times)
  control$penalties <- list(terms = unname(coefficients), log_sigma2 = sum(log_sigma2))
  control
}

#' The penalty of each term, or NULL
#' @noRd
penalties_of_terms <- function(given, terms) {
  if (length(terms) == 0L) {
    ferrolmm_abort("`penalty` is for random effects, and the model has none.", "argument")
  }
  if (inherits(given, "lmm_penalty")) {
    return(rep(list(given), length(terms)))
  }
  groups <- vapply(terms, function(term) term$group, "")
  if (is.null(names(given))) {
    if (length(given) != length(terms)) {
      labels <- vapply(terms, function(term) term$label, "")
      ferrolmm_abort(
        paste0("`penalty` has ", count_of(length(given), "element"), " for ",
               count_of(length(terms), "random-effects term"), "."), "argument",
        i = paste0("The terms are, in their order, ", quote_names(labels, 10L),
                   "; or name the grouping factors.")
      )
    }
    return(given)
  }
  unknown <- setdiff(names(given), groups)
  if (length(unknown) > 0L) {
    ferrolmm_abort(
      paste0("`penalty` names no grouping factor of the model: ", quote_names(unknown), "."),
      "argument", i = c(
        did_you_mean(unknown[[1L]], groups),
        paste0("They are ", quote_names(unique(groups), 10L), ".")
      )
    )
  }
  lapply(groups, function(group) given[[group]])
}

#' What the engine adds up for one term, see its `api/penalty.rs`
#'
#' @param sigma the known residual standard deviation, or NULL.
#' @noRd
penalty_coefficients <- function(penalty, term, sigma) {
  if (is.null(penalty)) {
    return(NULL)
  }
  k <- length(term$cnms)
  found <- if (is_of_matrix(penalty)) {
    wishart_coefficients(penalty, term, k)
  } else {
    gamma_coefficients(penalty, term, k)
  }
  if (!penalty$relative) {
    if (is.null(sigma) && !is_power(penalty)) abort_absolute_penalty(penalty, term)
    if (!is.null(sigma)) {
      found["linear"] <- list(found$linear * sigma^2)
      found["inverse"] <- list(found$inverse / sigma^2)
      found$root <- found$root * sigma
      found$inverse_root <- found$inverse_root / sigma
    }
    for (name in c("linear", "inverse")) {
      if (length(found[[name]]) == 0L) found[name] <- list(NULL)
    }
  }
  found
}

#' @noRd
is_of_matrix <- function(penalty) penalty$family %in% c("wishart", "inverse_wishart")

#' Is the density a power of the determinant alone?
#' @noRd
is_power <- function(penalty) {
  switch(penalty$family,
    wishart = identical(penalty$scale, Inf), gamma = penalty$rate == 0, FALSE
  )
}

#' @noRd
abort_absolute_penalty <- function(penalty, term) {
  name <- if (penalty$family == "gamma") "rate" else "scale"
  ferrolmm_abort(
    paste0("A penalty on covariances that are not relative to sigma has no `", name,
           "` where sigma is estimated: (", term_words(term), ")."), "argument",
    i = c(
      "Use relative = TRUE, or a known sigma: lmm_control(sigma = ).",
      if (name == "rate") "rate = 0 needs neither.",
      if (penalty$family == "wishart") "scale = Inf needs neither."
    )
  )
}

#' @noRd
wishart_coefficients <- function(penalty, term, k) {
  inverse <- penalty$family == "inverse_wishart"
  df <- if (is.null(penalty$df)) k + 2.5 else penalty$df
  least <- if (inverse) k - 1 else k + 1
  if (df <= least) {
    ferrolmm_abort(
      paste0("`df` of the penalty on (", term_words(term), ") must be more than ", least, "."),
      "argument", x = paste0("It is ", format(df), ", and each level has ",
                             count_of(k, "effect"), ".")
    )
  }
  scale <- penalty$scale
  if (is.matrix(scale) && nrow(scale) != k) {
    ferrolmm_abort(
      paste0("`scale` of the penalty on (", term_words(term), ") must be ", k, " x ", k, "."),
      "argument", x = paste0("It is ", nrow(scale), " x ", nrow(scale), ".")
    )
  }
  if (!is.matrix(scale) && is.finite(scale)) scale <- diag(scale, k)
  list(
    log_det = if (inverse) -(df + k + 1) else df - k - 1,
    linear = if (!inverse && is.matrix(scale)) as.double(chol2inv(chol(scale))),
    inverse = if (inverse) as.double(scale),
    root = 0, inverse_root = 0
  )
}

#' @noRd
gamma_coefficients <- function(penalty, term, k) {
  if (k > 1L && (term$structure != "diag" || isTRUE(term$hom))) {
    ferrolmm_abort(
      paste0("A gamma penalty is one of a single variance, and each level of (",
             term_words(term), ") has ", k, " effects with a covariance matrix."), "argument",
      i = paste0("Use penalty_", sub("gamma", "wishart", penalty$family), "(), which is for any.")
    )
  }
  inverse <- penalty$family == "inverse_gamma"
  of_sd <- penalty$of == "sd"
  power <- if (inverse) -(penalty$shape + 1) else penalty$shape - 1
  size <- 2 * if (inverse) penalty$scale else penalty$rate
  matrix <- if (!of_sd && size > 0) as.double(diag(size, k))
  list(
    log_det = power * if (of_sd) 1 else 2,
    linear = if (!inverse) matrix, inverse = if (inverse) matrix,
    root = if (of_sd && !inverse) size else 0, inverse_root = if (of_sd && inverse) size else 0
  )
}

#' Does a start, or a held value, put a penalised standard deviation at zero?
#'
#' @param theta values of theta, NA where there is none.
#' @noRd
check_penalised_values <- function(theta, name, control, random) {
  if (is.null(control$penalty) || is.null(theta)) {
    return(invisible())
  }
  penalised <- lengths(penalties_of_terms(control$penalty, random$terms)) > 0L
  counts <- vapply(random$terms, function(term) length(term_lower(term)), 1L)
  of_term <- rep.int(penalised, counts)
  theta <- theta[seq_along(of_term)]
  wrong <- which(of_term & random$lower == 0 & !is.na(theta) & theta == 0)
  if (length(wrong) > 0L) {
    ferrolmm_abort(
      paste0("`", name, "` is zero for ", quote_names(random$theta_names[wrong]),
             ", where the penalty is infinite."),
      if (name == "start") "start" else "restriction", i = "Give a positive value."
    )
  }
}

#' The penalties of a fit in words, a line each
#' @noRd
penalty_words <- function(control, terms) {
  given <- control$penalty
  if (is.null(given)) {
    return(character())
  }
  if (inherits(given, "lmm_penalty")) {
    return(format(given))
  }
  own <- penalties_of_terms(given, terms)
  kept <- lengths(own) > 0L
  groups <- vapply(terms[kept], function(term) term_words(term), "")
  if (!any(kept)) character() else paste0("(", groups, "): ", vapply(own[kept], format, ""))
}
