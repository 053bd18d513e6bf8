# R of a fitted model, group by group: variances, correlations, roots. What the engine does for the
# fit in closed form is done here for the one group, or the rows, that a user asks about.

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

#' Rows of each group, groups of one row left out; ordered by position where there is an order
#' @noRd
residual_blocks <- function(residual, design) {
  if (is.null(residual$correlation)) {
    return(list())
  }
  codes <- design$groups$codes
  position <- design$correlation$position
  order <- if (is.null(position) || is.list(position)) {
    order(codes)
  } else {
    order(codes, position)
  }
  blocks <- split(order, codes[order])
  unname(blocks[lengths(blocks) > 1L])
}

#' @noRd
take_position <- function(position, rows) {
  if (is.list(position)) lapply(position, function(x) x[rows]) else position[rows]
}

#' Apply `use(values of a block, lower root of its correlation matrix)` to each block of a matrix
#'
#' Blocks with the same positions share the root.
#' @noRd
by_block <- function(residual, phi, design, values, use) {
  par <- split_phi(residual, phi)$correlation
  position <- design$correlation$position
  known <- new.env()
  for (rows in residual_blocks(residual, design)) {
    here <- take_position(position, rows)
    key <- paste(c(length(rows), unlist(here)), collapse = " ")
    root <- known[[key]]
    if (is.null(root)) {
      root <- t(chol(position_correlation(residual$correlation, par, here, length(rows))))
      assign(key, root, envir = known)
    }
    values[rows, ] <- use(values[rows, , drop = FALSE], root)
  }
  values
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
  drop(by_block(
    object$residual, object$phi, training_design(object), matrix(scaled),
    function(x, root) forwardsolve(root, x)
  ))
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
  n <- nobs.lmm(object)
  variance <- object$sigma^2 * residual_variances(object)
  names <- row.names(object$frame)
  if (!has_correlation(object)) {
    value <- Matrix::Diagonal(x = variance)
    dimnames(value) <- list(names, names)
    return(value)
  }
  design <- training_design(object)
  blocks <- residual_blocks(object$residual, design)
  alone <- setdiff(seq_len(n), unlist(blocks))
  pieces <- lapply(blocks, function(rows) {
    list(
      i = rep(rows, length(rows)), j = rep(rows, each = length(rows)),
      x = as.vector(residual_covariance_block(object, design, rows, variance))
    )
  })
  pieces <- c(pieces, list(list(i = alone, j = alone, x = variance[alone])))
  part <- function(name) unlist(lapply(pieces, `[[`, name))
  Matrix::sparseMatrix(
    i = part("i"), j = part("j"), x = part("x"), dims = c(n, n), dimnames = list(names, names)
  )
}

#' @noRd
residual_covariance_block <- function(object, design, rows, variance) {
  par <- split_phi(object$residual, object$phi)$correlation
  sd <- sqrt(variance[rows])
  outer(sd, sd) * position_correlation(
    object$residual$correlation, par, take_position(design$correlation$position, rows),
    length(rows)
  )
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
#' nlme::getVarCov(fit)
#' @importFrom nlme getVarCov
#' @method getVarCov lmm
#' @export
getVarCov.lmm <- function(obj, individuals = 1L,
                          type = c("random.effects", "conditional", "marginal"),
                          individual = individuals, ...) {
  if (missing(type) && length(obj$random) == 0L) {
    type <- "conditional"
  }
  type <- match_choice(type, "type", c("random.effects", "conditional", "marginal"))
  if (type == "random.effects") {
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
    match(as.character(individual), groups$levels)
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

#' @noRd
covariance_groups <- function(object) {
  if (has_correlation(object)) {
    groups <- residual_groups(object$residual$correlation, object$frame)
    position <- training_design(object)$correlation$position
    return(list(
      name = object$residual$correlation$group_label, codes = groups$codes, levels = groups$levels,
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
    levels = levels(object$flist[[1L]])
  )
}
