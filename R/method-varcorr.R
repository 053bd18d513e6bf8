#' Variances and correlations of the random effects
#'
#' The estimated covariance matrix of each random-effects term, with the residual standard
#' deviation. The layout is that of the 'lme4' package, so code written for it can read the result.
#'
#' @param x A model fitted by [lmm()]; for the methods, what `VarCorr()` returned.
#' @param sigma The residual standard deviation to scale the matrices by. Without it the estimated
#'   one is used; `sigma = 1` gives the covariances relative to the residual variance.
#' @param se Compute standard errors too? They take about as long as Satterthwaite's method;
#'   as.data.frame() shows them.
#' @param ... For `print()`, passed to [print.default()]; otherwise not used.
#' @returns `VarCorr()`: a list of class `VarCorr.lmm` with one covariance matrix per term, each
#'   with the attributes `stddev` and `correlation`; the attribute `sc` of the list is the residual
#'   standard deviation. Terms that share a grouping factor are told apart as `g`, `g.1`, ... A term
#'   whose covariances differ by group, as `us(x | g, by = arm)`, has a matrix for each, called
#'   `g <level of arm>`.
#'
#'   `as.data.frame()`: a data frame with the columns `grp`, `var1`, `var2`, `vcov` (variance or
#'   covariance) and `sdcor` (standard deviation or correlation). The last row is the residual;
#'   where its variance differs between visits or strata, there is a row for each of them, with its
#'   name as `var1`, and one for each pair of visits (in strata, as groups `Residual, <stratum>`).
#'   After `VarCorr(x, se = TRUE)` also `se.vcov`, `se.sdcor`, and `conf.low` and `conf.high`, the
#'   limits of `sdcor`.
#'
#'   `as.matrix()`: the table of 'nlme', a matrix of text with the columns `Variance`, `StdDev` and
#'   `Corr` and a row for each effect and the residual.
#'
#' @section Structures:
#' The matrices are full matrices whatever the structure. Terms that are neither unstructured nor
#' diagonal have the attribute `structure`, its name, and are printed with it: a correlation that
#' all pairs share appears once, followed by the name of the structure, and correlations by lag are
#' in a column. The parameters of the residual structure are in the attribute `residual`, a data
#' frame with the columns `parameter`, `estimate` and, after `se = TRUE`, `std.error`. Where rows
#' have visits, `print()` shows the standard deviations and correlations of these;
#' [getVarCov()][getVarCov.lmm] returns their covariance matrix.
#'
#' @section Standard errors:
#' They are those of the asymptotic normal distribution: from the exact Hessian of the criterion
#' that was optimised, transformed to each parameter by the delta method. Limits are symmetric on
#' the scale of the logarithm for standard deviations (and other parameters that are positive), on
#' Fisher's scale for correlations, on the logistic scale between 0 and 1. At the boundary of the
#' parameter space that distribution does not hold: a variance of zero and the correlations of a
#' singular covariance matrix have `NA`, and the attribute `note` of the data frame says so.
#' @seealso [confint.lmm()] for intervals, [getVarCov.lmm()] for the residual covariance of visits,
#'   [tables].
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' VarCorr(fit)
#' print(VarCorr(fit), comp = c("Variance", "Std.Dev."))
#' as.data.frame(VarCorr(fit))
#' as.data.frame(VarCorr(fit, se = TRUE))
#' @importFrom nlme VarCorr
#' @method VarCorr lmm
#' @export
VarCorr.lmm <- function(x, sigma = 1, se = FALSE, ...) {
  check_dots(...)
  check_flag(se, "se")
  if (!missing(sigma) && (!is.numeric(sigma) || length(sigma) != 1L || !isTRUE(sigma >= 0))) {
    ferrolmm_abort(
      paste0("`sigma` must be a positive number", describe_given(sigma), "."), "argument"
    )
  }
  if (se && !missing(sigma)) {
    ferrolmm_abort("`se` is for the estimated `sigma`: leave `sigma` out.", "argument")
  }
  sigma <- if (missing(sigma)) x$sigma else sigma
  blocks <- random_blocks(x$random)
  nobound <- is_nobound(x)
  matrices <- if (nobound) {
    Map(nobound_covariance, relative_covariances(x), blocks, sigma)
  } else {
    Map(term_covariance, split_theta(x$theta, x$random), blocks, sigma)
  }
  uncertainty <- if (se) varcorr_uncertainty(x, varcorr_cells(x, all = TRUE))
  visits <- visit_covariances(x, abs(sigma))
  variances <- distinct_variances(x, abs(sigma), visits)
  if (se && !is.null(variances)) {
    attr(variances, "errors") <- distinct_variance_errors(x, uncertainty)
  }
  structure(
    matrices,
    names = block_names(x),
    sc = sigma,
    useSc = TRUE,
    uncertainty = uncertainty,
    residual = if (length(x$phi) > 0L) residual_parameters(x, uncertainty),
    visits = visits,
    variances = variances,
    notes = structure_notes(x),
    nobound = if (nobound) TRUE,
    class = c("VarCorr.lmm", "VarCorr.merMod")
  )
}

#' @importFrom nlme VarCorr
#' @export
nlme::VarCorr

#' Parameters of the residual structure, one per row
#' @noRd
residual_parameters <- function(object, uncertainty = NULL) {
  table <- data.frame(parameter = names(object$phi), estimate = unname(object$phi))
  if (!is.null(uncertainty)) {
    table$std.error <- uncertainty$se.sdcor[uncertainty$part == "residual"]
  }
  table
}

#' What is known of the structure of terms besides their covariance matrix: "id: covariance ... A"
#' @noRd
structure_notes <- function(object) {
  unlist(Map(function(block, name) {
    if (length(block$known) || has_factors(block)) paste0(name, ": ", describe_structure(block))
  }, random_blocks(object$random), block_names(object)), use.names = FALSE)
}

#' Covariance matrix sigma^2 T T' of one block, with its standard deviations and correlations
#'
#' An effect with zero variance has no correlations, unless a structure says what they would be.
#' @noRd
term_covariance <- function(theta, term, sigma) {
  factor <- term_factor(theta, term)
  covariance <- sigma^2 * tcrossprod(factor)
  relative <- sqrt(rowSums(factor^2))
  correlation <- if (is_natural(term) && !has_factors(term)) {
    term_correlation(theta, term)
  } else {
    tcrossprod(factor / relative)
  }
  diag(correlation) <- 1
  dimnames(covariance) <- dimnames(correlation) <- list(term$cnms, term$cnms)
  structure(
    covariance,
    stddev = structure(abs(sigma) * relative, names = term$cnms),
    correlation = correlation,
    structure = structure_label(term),
    effects = if (isTRUE(term$hom)) code_label(without_intercept(term$lhs))
  )
}

#' Name of a structure as VarCorr() has it: NULL for unstructured and diagonal terms, and for those
#' with factors, whose correlations are shown one by one
#' @noRd
structure_label <- function(term) {
  if (is_structured(term) && !has_factors(term) && length(term$cnms) > 1L) {
    paste0(if (isTRUE(term$hom)) "hom ", term$structure)
  }
}

#' @param row.names,optional Not used; arguments of the generic.
#' @param order `"cov.last"`: the variances of a term, then its covariances; `"lower.tri"`: the
#'   order of the lower triangle, column by column (that of `theta`).
#' @param conf.level The level of the intervals.
#' @rdname VarCorr.lmm
#' @export
as.data.frame.VarCorr.lmm <- function(x, row.names = NULL, optional = FALSE,
                                      order = c("cov.last", "lower.tri"),
                                      conf.level = 0.95, ...) {
  check_dots(..., allowed = "stringsAsFactors")
  order <- match_choice(order, "order", c("cov.last", "lower.tri"))
  check_level(conf.level, "conf.level")
  finish_table(varcorr_table(x, order, conf.level, attr(x, "variances")), row.names, ...)
}

#' The table of VarCorr()
#'
#' @param variances residual covariance matrices by visit, whose rows take the place of that of
#'   sigma; NULL for none.
#' @noRd
varcorr_table <- function(x, order, level, variances = NULL) {
  tables <- Map(function(v, group) varcorr_rows(v, group, order), x, names(x))
  sigma <- attr(x, "sc")
  residual <- if (is.null(variances)) {
    data.frame(
      grp = "Residual", var1 = NA_character_, var2 = NA_character_, vcov = sigma^2, sdcor = sigma
    )
  } else {
    distinct_variance_rows(variances, order)
  }
  rows <- do.call(rbind, c(unname(tables), list(residual)))
  rownames(rows) <- NULL
  uncertainty <- attr(x, "uncertainty")
  if (is.null(uncertainty)) {
    return(rows)
  }
  cells <- Map(
    function(v, t) cbind(t, varcorr_order(nrow(v), order)), unname(lapply(x, unclass)), seq_along(x)
  )
  cells <- do.call(rbind, c(list(matrix(0L, 0L, 3L)), cells))
  errors <- if (!is.null(variances)) {
    known <- attr(variances, "errors")
    key <- function(t) paste(t$grp, t$var1, t$var2, sep = "\r")
    known[match(key(residual), key(known)), ]
  }
  add_uncertainty(rows, cells, uncertainty, errors, level)
}

#' @rdname VarCorr.lmm
#' @export
as.matrix.VarCorr.lmm <- function(x, ...) {
  check_dots(...)
  sigma <- attr(x, "sc")
  variances <- c(unlist(lapply(x, diag)), sigma^2)
  numbers <- cbind(format(variances), format(sqrt(variances)))
  width <- max(1L, vapply(x, nrow, 1L))
  at <- 0L
  blocks <- Map(function(v, group) {
    k <- nrow(v)
    correlations <- matrix("", k, width - 1L)
    if (k > 1L) {
      below <- lower.tri(v)[, -k, drop = FALSE]
      correlations[, seq_len(k - 1L)][below] <-
        formatC(attr(v, "correlation")[lower.tri(v)], digits = 3L, format = "f")
      correlations[1L, seq_len(k - 1L)] <- abbreviate(colnames(v)[-k], 6L)
    }
    block <- cbind(numbers[at + seq_len(k), , drop = FALSE], correlations)
    at <<- at + k
    rownames(block) <- rownames(v)
    if (length(x) == 1L) {
      return(block)
    }
    rbind(matrix("", 1L, width + 1L, dimnames = list(paste(group, "="))), block)
  }, lapply(x, identity), names(x))
  last <- matrix(c(numbers[at + 1L, ], character(width - 1L)), 1L, dimnames = list("Residual"))
  table <- do.call(rbind, c(unname(blocks), list(last)))
  colnames(table) <- c("Variance", "StdDev", if (width > 1L) c("Corr", character(width - 2L)))
  table
}

#' @param residual standard errors of the rows of the residual; NULL: that of sigma.
#' @noRd
add_uncertainty <- function(rows, cells, uncertainty, residual, level) {
  random <- which(uncertainty$part == "random")
  cell_of <- function(t, i, j) paste(t, i, j)
  from <- random[match(
    cell_of(cells[, 1L], cells[, 2L], cells[, 3L]),
    cell_of(uncertainty$block[random], uncertainty$i[random], uncertainty$j[random])
  )]
  if (is.null(residual)) {
    residual <- uncertainty[uncertainty$part == "sigma", ]
  }
  rows$se.vcov <- c(uncertainty$se.vcov[from], residual$se.vcov)
  rows$se.sdcor <- c(uncertainty$se.sdcor[from], residual$se.sdcor)
  limits <- parameter_limits(
    rows$sdcor, rows$se.sdcor, ifelse(is.na(rows$var2), "positive", "correlation"), level
  )
  rows$conf.low <- limits[, 1L]
  rows$conf.high <- limits[, 2L]
  attr(rows, "note") <- attr(uncertainty, "note")
  rows
}

# Standard errors ----------------------------------------------------------------------------------

#' The estimated parameters of the random effects, a row for each, in the order of theta
#'
#' @param all all nonzero cells of each covariance matrix, instead of one per parameter?
#' @returns a data frame with the columns block, grp, i and j (row and column in the block's
#'   covariance matrix), var1, var2
#' @noRd
varcorr_cells <- function(object, all = FALSE) {
  groups <- block_names(object)
  blocks <- random_blocks(object$random)
  cells <- Map(function(term, t) {
    k <- length(term$cnms)
    at <- if (all) {
      which(lower.tri(diag(k), diag = TRUE), arr.ind = TRUE, useNames = FALSE)
    } else {
      theta_entries(term)
    }
    if (!random_kind(term$structure)$correlated) {
      at <- at[at[, 1L] == at[, 2L], , drop = FALSE]
    }
    data.frame(
      block = rep.int(t, nrow(at)), grp = rep.int(groups[[t]], nrow(at)), i = at[, 1L],
      j = at[, 2L], var1 = term$cnms[at[, 2L]],
      var2 = ifelse(at[, 1L] == at[, 2L], NA_character_, term$cnms[at[, 1L]])
    )
  }, blocks, seq_along(blocks))
  empty <- data.frame(
    block = integer(), grp = character(), i = integer(), j = integer(), var1 = character(),
    var2 = character()
  )
  do.call(rbind, c(list(empty), unname(cells)))
}

#' Standard errors of variances and covariances, standard deviations and correlations
#'
#' @param cells what varcorr_cells() returns.
#' @returns the cells, a row for each element of phi (grp "residual"), and one for sigma, with vcov,
#'   sdcor, se.vcov, se.sdcor and `kind` (how limits are found, see [parameter_limits()]); the
#'   attribute `note` says why some are NA, `residual` is the covariance matrix of phi and sigma^2
#' @noRd
varcorr_uncertainty <- function(object, cells = varcorr_cells(object)) {
  pieces <- parameter_pieces(object)
  gamma <- pieces$jacobian %*% pieces$covariance %*% t(pieces$jacobian)
  vc <- VarCorr.lmm(object)
  sizes <- block_sizes(object$random)
  starts <- cumsum(c(0L, sizes * (sizes + 1L) / 2L))
  rows <- lapply(seq_len(nrow(cells)), function(c) {
    t <- cells$block[[c]]
    here <- starts[[t]] + seq_len(starts[[t + 1L]] - starts[[t]])
    cell_uncertainty(vc[[t]], cells$i[[c]], cells$j[[c]], gamma[here, here, drop = FALSE])
  })
  n_phi <- length(object$phi)
  at_phi <- starts[[length(starts)]] + seq_len(n_phi)
  phi_se <- sqrt(diag(gamma)[at_phi])
  residual <- sqrt(gamma[nrow(gamma), ncol(gamma)])
  sigma <- object$sigma
  values <- rbind(
    do.call(rbind, rows),
    cbind(rep.int(NA_real_, n_phi), unname(object$phi), rep.int(NA_real_, n_phi), phi_se),
    c(sigma^2, sigma, residual, residual / (2 * sigma))
  )
  dimnames(values) <- list(NULL, c("vcov", "sdcor", "se.vcov", "se.sdcor"))
  kind <- c(
    ifelse(is.na(cells$var2), "positive", "correlation"), phi_kinds(object$residual), "positive"
  )
  others <- data.frame(
    block = NA_integer_, grp = c(rep.int("residual", n_phi), "Residual"), i = NA_integer_,
    j = NA_integer_, var1 = c(names(object$phi), NA), var2 = NA_character_
  )
  part <- rep.int(c("random", "residual", "sigma"), c(nrow(cells), n_phi, 1L))
  table <- hide_boundary(cbind(rbind(cells, others), values, kind = kind, part = part), object)
  own <- c(at_phi, nrow(gamma))
  structure(table, residual = gamma[own, own, drop = FALSE])
}

#' Value and standard errors of one variance or covariance, by the delta method
#'
#' @param gamma covariance matrix of the lower triangle of `v`.
#' @noRd
cell_uncertainty <- function(v, i, j, gamma) {
  k <- nrow(v)
  position <- matrix(0L, k, k)
  position[lower.tri(position, diag = TRUE)] <- seq_len(k * (k + 1L) / 2L)
  own <- position[i, j]
  se <- sqrt(gamma[own, own])
  sd <- attr(v, "stddev")
  if (i == j) {
    return(c(v[i, i], sd[[i]], se, se / (2 * sd[[i]])))
  }
  rho <- v[i, j] / (sd[[i]] * sd[[j]])
  used <- c(own, position[i, i], position[j, j])
  slope <- c(1 / (sd[[i]] * sd[[j]]), -rho / (2 * v[i, i]), -rho / (2 * v[j, j]))
  spread <- drop(slope %*% gamma[used, used] %*% slope)
  c(v[i, j], rho, se, sqrt(max(spread, 0)))
}

#' No standard errors where the normal approximation does not hold
#' @noRd
hide_boundary <- function(table, object) {
  identified <- object$certificate$status != "not-identified"
  if (is_nobound(object) && identified) {
    return(table)
  }
  factors <- theta_matrix(object$theta, object$random)
  singular <- object$certificate$rank < block_sizes(object$random)
  zero <- Map(
    function(factor, t) sqrt(rowSums(factor^2)) * effect_scales(object, t) < 1e-5,
    factors, block_terms(object$random)
  )
  hidden <- vapply(seq_len(nrow(table)), function(c) {
    t <- table$block[[c]]
    if (is.na(t)) {
      at_zero <- table$grp[[c]] == "Residual" && isTRUE(object$certificate$residual_zero)
      return(!identified || at_zero || isTRUE(table$se.sdcor[[c]] == 0))
    }
    if (isTRUE(table$se.sdcor[[c]] == 0)) {
      return(TRUE)
    }
    pair <- table$i[[c]] != table$j[[c]]
    !identified || pair && singular[[t]] || any(zero[[t]][c(table$i[[c]], table$j[[c]])])
  }, NA)
  table[hidden, c("se.vcov", "se.sdcor")] <- NA_real_
  attr(table, "note") <- if (!identified) {
    "The covariance parameters are not identified: no standard errors."
  } else if (any(hidden)) {
    "Parameters at their boundary have no standard error."
  }
  table
}

#' Limits of parameters by their kind
#'
#' @param kind "positive": symmetric on the log scale; "correlation": on Fisher's; "unit", between 0
#'   and 1: on the logistic one; "real": as they are.
#' @noRd
parameter_limits <- function(value, se, kind, level) {
  z <- stats::qnorm((1 + level) / 2)
  limits <- matrix(NA_real_, length(value), 2L)
  scales <- list(
    positive = list(
      range = c(0, Inf), to = log, back = exp, slope = function(v) 1 / v
    ),
    correlation = list(
      range = c(-1, 1), to = atanh, back = tanh, slope = function(v) 1 / (1 - v^2)
    ),
    unit = list(
      range = c(0, 1), to = stats::qlogis, back = stats::plogis,
      slope = function(v) 1 / (v * (1 - v))
    ),
    real = list(
      range = c(-Inf, Inf), to = identity, back = identity,
      slope = function(v) rep.int(1, length(v))
    )
  )
  for (name in names(scales)) {
    scale <- scales[[name]]
    at <- !is.na(se) & kind == name
    # there are none at the edge of the range, which rounding may overstep
    at[at] <- value[at] > scale$range[[1L]] & value[at] < scale$range[[2L]]
    v <- value[at]
    limits[at, ] <- scale$back(scale$to(v) + outer(z * se[at] * scale$slope(v), c(-1, 1)))
  }
  limits
}
