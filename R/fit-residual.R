# R of a fitted model: variances, correlations, roots. Products with all rows are the engine's; a
# correlation matrix is formed here for the one group, or the rows, that a user asks about.

#' phi by structure
#'
#' @returns list(correlation = vector, scales = list of vectors)
#' @noRd
split_phi <- function(residual, phi) {
  phi <- unname(phi)
  sizes <- vapply(residual$scales, count_scale_parameters, 1L)
  n_correlation <- length(phi) - sum(sizes)
  ends <- n_correlation + cumsum(sizes)
  list(
    correlation = phi[seq_len(n_correlation)],
    scales = Map(function(end, size) phi[end - size + seq_len(size)], ends, sizes)
  )
}

#' @noRd
count_scale_parameters <- function(scale) {
  strata <- max(1L, length(scale$levels))
  as.integer(switch(scale$type, ident = strata - 1L, constpower = 2L * strata, strata))
}

#' Standard deviations of rows relative to sigma, by the variance functions alone
#'
#' @param design what [residual_design()] makes of the rows.
#' @noRd
scale_values <- function(residual, phi, design, n) {
  values <- rep.int(1, n)
  parts <- split_phi(residual, phi)$scales
  for (s in seq_along(parts)) {
    scale <- design$scales[[s]]
    stratum <- if (is.null(scale$stratum)) 1L else scale$stratum
    par <- parts[[s]]
    v <- scale$covariate
    strata <- max(1L, scale$n_strata)
    values <- values * switch(scale$type,
      ident = c(1, par)[stratum],
      power = abs(v)^par[stratum],
      exp = exp(par[stratum] * v),
      constpower = par[stratum] + abs(v)^par[strata + stratum]
    )
  }
  values
}

#' Correlation matrix of rows at these positions
#'
#' @param par natural parameters of the correlation; `position` as the engine takes it, of the rows
#'   of one group; `n` the number of rows.
#' @noRd
position_correlation <- function(correlation, par, position, n) {
  if (n == 1L) {
    return(matrix(1))
  }
  lag <- function() abs(outer(position, position, `-`))
  result <- switch(correlation$type,
    ar1 = , car1 = par^lag(),
    arma = {
      p <- as.integer(correlation$p)
      far <- max(lag(), 1)
      acf <- stats::ARMAacf(
        par[seq_len(p)], par[p + seq_len(length(par) - p)], lag.max = far
      )
      matrix(acf[lag() + 1L], n)
    },
    cs = matrix(par, n, n),
    us = {
      m <- correlation$n_positions
      whole <- matrix(0, m, m)
      whole[lower.tri(whole)] <- par
      (whole + t(whole))[position, position]
    },
    toep = matrix(c(1, par)[lag() + 1L], n),
    ante = matrix(
      mapply(
        function(i, j) prod(par[seq_len(abs(i - j)) + min(i, j) - 1L]),
        position[row(diag(n))], position[col(diag(n))]
      ), n
    ),
    spatial_correlation(correlation, par, position)
  )
  diag(result) <- 1
  result
}

#' @noRd
spatial_correlation <- function(correlation, par, position) {
  apart <- stats::dist(do.call(cbind, position), method = correlation$metric)
  distance <- as.matrix(apart) / par[1L]
  inside <- distance < 1
  value <- switch(correlation$type,
    exp = exp(-distance), gaus = exp(-distance^2), lin = inside * (1 - distance),
    ratio = 1 / (1 + distance^2), spher = inside * (1 - 1.5 * distance + 0.5 * distance^3)
  )
  dimnames(value) <- NULL
  if (correlation$nugget) value * (1 - par[2L]) else value
}

#' @noRd
take_position <- function(position, rows) {
  if (is.list(position)) lapply(position, function(x) x[rows]) else position[rows]
}

#' C, or a root of it, times a matrix with a row for each row of the data
#'
#' @param design what [residual_design()] makes of the rows; `what` as for [engine_residual_rows()].
#' @noRd
correlation_times <- function(object, design, x, what) {
  design$scales <- list()
  par <- split_phi(object$residual, object$phi)$correlation
  engine_residual_rows(design, NULL, par, x, what, object$control$threads)
}

#' R, or a root of it, of the rows of a fit as a sparse matrix, relative to sigma^2
#'
#' From the product with the indicators of the first rows of all groups, of the second rows, ...
#' @noRd
residual_root <- function(object, what) {
  n <- nobs.lmm(object)
  sd <- sqrt(residual_variances(object))
  scale <- if (what == "times") sd else 1 / sd
  if (!has_correlation(object)) {
    return(Matrix::Diagonal(x = if (what == "times") scale^2 else scale))
  }
  design <- training_design(object)
  codes <- design$groups$codes
  sorted <- order(codes)
  place <- integer(n)
  place[sorted] <- sequence(rle(codes[sorted])$lengths)
  indicators <- matrix(0, n, max(place))
  indicators[cbind(seq_len(n), place)] <- if (what == "times") 1 else scale
  blocks <- correlation_times(object, design, indicators, what)
  at <- which(blocks != 0, arr.ind = TRUE)
  partner <- matrix(NA_integer_, max(codes), max(place))
  partner[cbind(codes, place)] <- seq_len(n)
  i <- unname(at[, 1L])
  j <- partner[cbind(codes[i], at[, 2L])]
  x <- blocks[at]
  if (what == "times") {
    x <- x * scale[i] * scale[j]
  }
  Matrix::sparseMatrix(i = i, j = j, x = x, dims = c(n, n))
}

#' Parameters of the fit for the engine: theta, then phi
#' @noRd
theta_of <- function(object) c(unname(object$theta), unname(object$phi))

#' Has the fit correlated residuals?
#' @noRd
has_correlation <- function(object) !is.null(object$residual$correlation)

#' Has the fit parameters of its residuals beside sigma?
#' @noRd
has_residual <- function(object) length(object$phi) > 0L

#' The residual structure of the rows of a fit, as the engine takes it
#' @noRd
training_design <- function(object) residual_design(object$residual, object$frame)

#' Variances of the residuals of the rows of a fit, relative to sigma^2: d^2 / w
#' @noRd
residual_variances <- function(object, phi = object$phi) {
  n <- nobs.lmm(object)
  values <- rep.int(1, n)
  if (length(object$residual$scales) > 0L) {
    values <- scale_values(object$residual, phi, training_design(object), n)^2
  }
  values / weights_or_one(object)
}

#' Residuals with the covariance structure taken out: uncorrelated, of variance 1
#' @noRd
normalized_residuals <- function(object, values = object$residuals) {
  scaled <- values / (object$sigma * sqrt(residual_variances(object)))
  if (!has_correlation(object)) {
    return(scaled)
  }
  drop(correlation_times(object, training_design(object), scaled, "whiten"))
}

#' Refuse what is defined for independent residuals only
#' @noRd
need_independent <- function(object, what, remedy = NULL) {
  if (has_correlation(object)) {
    ferrolmm_abort(
      paste0(what, " is not defined for a model with correlated residuals."), "residual",
      x = paste0("The model has ", describe_residual_term(object$residual), "."), i = remedy
    )
  }
}

#' Refuse what is about random effects where there are none
#' @noRd
need_random <- function(object, what) {
  if (length(object$random) == 0L) {
    ferrolmm_abort(
      paste0(what, " needs a model with random effects."), "argument",
      x = "This one has a residual structure alone."
    )
  }
}

#' Covariance matrix of the residuals of some rows
#' @noRd
residual_covariance <- function(object, rows) {
  sd <- object$sigma * sqrt(residual_variances(object)[rows])
  n <- length(rows)
  correlation <- diag(n)
  if (has_correlation(object)) {
    design <- training_design(object)
    codes <- design$groups$codes[rows]
    par <- split_phi(object$residual, object$phi)$correlation
    for (group in unique(codes)) {
      own <- which(codes == group)
      correlation[own, own] <- position_correlation(
        object$residual$correlation, par,
        take_position(design$correlation$position, rows[own]), length(own)
      )
    }
  }
  value <- correlation * outer(sd, sd)
  names <- row.names(object$frame)[rows]
  dimnames(value) <- list(names, names)
  value
}

#' R of all rows, sparse, times sigma^2
#' @noRd
whole_residual_covariance <- function(object) {
  value <- object$sigma^2 * residual_root(object, "times")
  names <- row.names(object$frame)
  dimnames(value) <- list(names, names)
  value
}

# getVarCov() --------------------------------------------------------------------------------------

#' Covariance matrices of random effects and of the observations of a group
#'
#' For nlme's generic. `"random.effects"`: the covariance matrices of the random effects, one for
#' each term. `"conditional"`: for some groups, the covariance matrix of their observations given
#' the random effects, \eqn{\sigma^2 R}. `"marginal"`: that of their observations,
#' \eqn{Z G Z' + \sigma^2 R}.
#'
#' @param obj A model fitted by [lmm()].
#' @param individuals The groups: names or positions of levels of the residual structure's groups;
#'   of the first grouping factor where the model has none. By default the first one.
#' @param individual The same, as it is called in 'nlme' for `gls()`.
#' @param type Which covariance matrix: `"random.effects"` where there are random effects, else
#'   `"conditional"`.
#' @param ... Not used.
#' @returns For `"random.effects"` a matrix, or a list of them for several terms. Otherwise a list
#'   with a matrix for each of `individuals`, named by it; rows are named by the rows of the data,
#'   and in the order of the visits where there are such.
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(
#'   distance ~ age * Sex, Orthodont, residual = ~ us(age | Subject)
#' )
#' getVarCov(fit)
#' @method getVarCov lmm
#' @export
getVarCov.lmm <- function(obj, individuals = 1L,
                          type = c("random.effects", "conditional", "marginal"),
                          individual = individuals, ...) {
  check_dots(...)
  if (missing(type) && length(obj$random) == 0L) {
    type <- "conditional"
  }
  type <- match_choice(type, "type", c("random.effects", "conditional", "marginal"))
  if (type == "random.effects") {
    if (!missing(individuals) || !missing(individual)) {
      ferrolmm_abort(
        "`individuals` are for the covariance matrix of observations.", "argument",
        i = "Use type = \"conditional\" or \"marginal\"."
      )
    }
    matrices <- lapply(VarCorr.lmm(obj), function(v) {
      matrix(as.numeric(v), nrow(v), dimnames = dimnames(v))
    })
    if (length(matrices) == 0L) {
      ferrolmm_abort(
        "The model has no random effects.", "argument", i = "Use type = \"conditional\"."
      )
    }
    return(if (length(matrices) == 1L) matrices[[1L]] else matrices)
  }
  groups <- covariance_groups(obj)
  chosen <- if (is.character(individual) || is.factor(individual)) {
    find_levels(individual, groups, groups$name)
  } else {
    match(individual, seq_along(groups$levels))
  }
  if (anyNA(chosen)) {
    ferrolmm_abort(
      paste0("`individuals` names no level of `", groups$name, "`."), "argument",
      i = paste0("Its levels are ", quote_names(groups$levels, 8L), ".")
    )
  }
  matrices <- lapply(chosen, function(level) {
    rows <- which(groups$codes == level)
    if (!is.null(groups$position)) {
      rows <- rows[order(groups$position[rows])]
    }
    value <- residual_covariance(obj, rows)
    if (type == "marginal") {
      zt <- build_zt(obj)[, rows, drop = FALSE]
      scaled <- build_lambdat(obj) %*% zt
      value <- value + obj$sigma^2 * as.matrix(Matrix::crossprod(scaled))
    }
    value
  })
  stats::setNames(matrices, groups$levels[chosen])
}

#' @importFrom nlme getVarCov
#' @export
nlme::getVarCov

#' @noRd
covariance_groups <- function(object) {
  if (has_correlation(object)) {
    groups <- residual_groups(object$residual$correlation, object$frame)
    position <- training_design(object)$correlation$position
    return(list(
      name = object$residual$correlation$group_label, codes = groups$codes, levels = groups$levels,
      key = groups$key,
      position = if (!is.list(position)) position
    ))
  }
  if (length(object$flist) == 0L) {
    return(list(
      name = "all rows", codes = rep.int(1L, nobs.lmm(object)), levels = "(all rows)"
    ))
  }
  list(
    name = names(object$flist)[[1L]], codes = as.integer(object$flist[[1L]]),
    levels = levels(object$flist[[1L]]), key = object$keys[[1L]]
  )
}
