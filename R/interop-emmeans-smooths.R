# Reference grids of models with smooth terms: means of the population, which has the smooths.

#' The variables of a reference grid: those of the parametric part and of smooths
#' @noRd
smooth_grid_terms <- function(object) {
  labels <- setdiff(attr(object$terms, "term.labels"), smooth_labels(object))
  sources <- frame_expressions(object, smooth_sources(smooths_of(object)))
  labels <- c(labels, vapply(sources, formula_label, "", USE.NAMES = FALSE))
  stats::terms(stats::reformulate(labels, env = environment(full_formula(object))))
}

#' The basis of a reference grid: coefficients are the fixed effects and the effects of smooths,
#' their covariance that given the data
#'
#' Degrees of freedom are those of [predict.lmm()], by Satterthwaite's method or none.
#' @param method for degrees of freedom, see [match_ddf()].
#' @noRd
smooth_grid_basis <- function(object, grid, method) {
  if (!method %in% c("Satterthwaite", "asymptotic")) {
    ferrolmm_abort(
      paste0("`mode = \"", method, "\"` is not available for models with smooth terms."), "smooth",
      i = "Take \"satterthwaite\" or \"asymptotic\"."
    )
  }
  parts <- select_random(object, NA)
  rows <- new_rows(object, grid, parts, FALSE, FALSE, stats::na.pass)
  kept <- kept_columns(object)
  x <- fixed_matrix(object$terms, rows$frame, object$contrasts)
  terms <- vapply(parts, `[[`, 1L, "term")
  z <- do.call(cbind, Map(function(t, codes) {
    z <- transposed(members_matrix(codes, nlevels(object$flist[[object$random[[t]]$factor]])))
    as.matrix(z)
  }, terms, rows$codes))
  posterior <- smooth_posterior(object)
  effects <- unlist(lapply(terms, effects_of_term, object = object))
  at <- match(effects, posterior$at)
  lambda <- posterior$lambda[at]
  across <- t(posterior$cross[effects, , drop = FALSE] * lambda)
  variance <- object$sigma^2 * rbind(
    cbind(posterior$beta, across),
    cbind(t(across), posterior$own[effects, at, drop = FALSE] * tcrossprod(lambda))
  )
  space <- unestimable_space(object)
  nbasis <- matrix(NA)
  if (!is.null(space)) {
    null <- qr.Q(qr(space$null / space$size))
    nbasis <- rbind(null, matrix(0, ncol(z), ncol(null)))
  }
  arguments <- list(object = object, terms = terms, width = ncol(x), kept = kept)
  dffun <- if (method == "asymptotic") {
    function(k, dfargs) Inf
  } else {
    function(k, dfargs) dfargs$single(k, dfargs$arguments)
  }
  attr(dffun, "mesg") <- tolower(method)
  list(
    X = cbind(x, z), bhat = unname(c(object$coefficients, object$b[effects])), nbasis = nbasis,
    V = variance, dffun = dffun, dfargs = list(single = smooth_mean_df, arguments = arguments),
    misc = list()
  )
}

#' Degrees of freedom of a combination of fixed effects and effects of smooths
#' @param k its coefficients, without those of dropped columns or with them.
#' @noRd
smooth_mean_df <- function(k, arguments) {
  object <- arguments$object
  sizes <- vapply(arguments$terms, function(t) length(effects_of_term(object, t)), 1L)
  fixed <- length(k) - sum(sizes)
  x <- matrix(0, 1L, arguments$width)
  x[if (fixed == arguments$width) seq_len(fixed) else arguments$kept] <- k[seq_len(fixed)]
  codes <- rep(list(0L), length(object$flist))
  members <- members_of_codes(object, codes)
  columns <- vector("list", length(object$random))
  ends <- fixed + cumsum(sizes)
  for (i in seq_along(arguments$terms)) {
    t <- arguments$terms[[i]]
    weights <- k[seq.int(ends[[i]] - sizes[[i]] + 1L, ends[[i]])]
    known <- which(weights != 0)
    members[[object$random[[t]]$factor]] <- list(
      start = c(0L, length(known)), level = known, weight = as.double(weights[known])
    )
    columns[[t]] <- list(NULL)
  }
  design <- list(n = 1L, x = x, codes = codes, members = members, terms = columns)
  relative <- function(theta) {
    engine_prediction_variances(
      model_of(engine_inputs(object, in_place = TRUE)), theta, object$REML,
      unconstrained_control(object), design
    )
  }
  prediction_ddf(object, object$sigma^2 * relative(theta_of(object)), relative)
}
