# Rows of the table of VarCorr(): of a covariance matrix, and of residual variances where there are
# several.

#' Cells of the lower triangle of a term's covariance matrix, in the order of its rows in a table
#' @noRd
varcorr_order <- function(k, order) {
  cells <- which(lower.tri(diag(k), diag = TRUE), arr.ind = TRUE, useNames = FALSE)
  if (order == "cov.last") {
    cells <- cells[order(cells[, 1L] != cells[, 2L]), , drop = FALSE]
  }
  cells
}

#' The rows of one term in as.data.frame(VarCorr())
#' @noRd
varcorr_rows <- function(v, group, order) {
  k <- nrow(v)
  cells <- varcorr_order(k, order)
  sdcor <- attr(v, "correlation")
  diag(sdcor) <- attr(v, "stddev")
  names <- rownames(v)
  pair <- cells[, 1L] != cells[, 2L]
  data.frame(
    grp = rep.int(group, nrow(cells)),
    var1 = names[cells[, 2L]],
    var2 = ifelse(pair, names[cells[, 1L]], NA_character_),
    vcov = v[cells],
    sdcor = sdcor[cells]
  )
}

#' The covariance matrices of residuals whose variances differ between visits or strata
#'
#' @param visits what [visit_covariances()] returns for the same `sigma`.
#' @returns a list of matrices, named by the group that the table of VarCorr() gives their rows:
#'   those of visits; or one whose diagonal has the variances of the strata, and whose attribute
#'   `diagonal` says that there are no covariances. NULL where one variance is that of all rows, or
#'   variances depend on a covariate
#' @noRd
distinct_variances <- function(object, sigma, visits = visit_covariances(object, sigma)) {
  scales <- object$residual$scales
  if (length(scales) == 0L) {
    return(NULL)
  }
  if (!is.null(visits)) {
    strata <- names(visits)
    groups <- ifelse(nzchar(strata), paste0("Residual, ", strata), "Residual")
    return(stats::setNames(lapply(visits, identity), groups))
  }
  has_covariate <- any(vapply(scales, function(s) scale_kind(s$type)$covariate, NA))
  if (has_covariate || length(object$residual$fixed) > 0L) {
    return(NULL)
  }
  strata <- visit_strata(scales, character(), object$frame)
  sd <- sigma * scale_values(
    object$residual, object$phi, training_design(object), count_rows(object)
  )
  at <- match(levels(strata), strata)
  value <- diag(sd[at]^2, length(at))
  dimnames(value) <- list(levels(strata), levels(strata))
  list(Residual = structure(value, diagonal = TRUE))
}

#' Their rows in the table of VarCorr(), in the order of [varcorr_order()]
#' @noRd
distinct_variance_rows <- function(matrices, order) {
  rows <- Map(function(v, group) {
    sd <- sqrt(diag(v))
    parts <- structure(v, stddev = sd, correlation = v / outer(sd, sd))
    found <- varcorr_rows(parts, group, order)
    if (isTRUE(attr(v, "diagonal"))) found[is.na(found$var2), ] else found
  }, matrices, names(matrices))
  do.call(rbind, unname(rows))
}

#' Standard errors of the rows of residual variances in the table of VarCorr()
#'
#' By the delta method from the covariance matrix of phi and sigma^2; the derivatives are central
#' differences.
#' @param uncertainty what [varcorr_uncertainty()] returns.
#' @returns a data frame: grp, var1 and var2 of the rows, se.vcov and se.sdcor
#' @noRd
distinct_variance_errors <- function(object, uncertainty) {
  gamma <- attr(uncertainty, "residual")
  at <- c(object$phi, object$sigma^2)
  rows_at <- function(par) {
    object$phi[] <- par[-length(par)]
    distinct_variance_rows(distinct_variances(object, sqrt(par[[length(par)]])), "lower.tri")
  }
  values_at <- function(par) as.matrix(rows_at(par)[c("vcov", "sdcor")])
  rows <- rows_at(at)
  ranges <- phi_ranges(object$residual)
  room <- pmin(at - c(ranges$lower, 0), c(ranges$upper, Inf) - at)
  steps <- pmin(1e-4 * pmax(abs(at), 1e-3), 0.5 * room)
  slopes <- vapply(seq_along(at), function(a) {
    step <- replace(numeric(length(at)), a, steps[[a]])
    (values_at(at + step) - values_at(at - step)) / (2 * steps[[a]])
  }, matrix(0, nrow(rows), 2L))
  known <- !is.na(uncertainty$se.vcov[uncertainty$part == "sigma"])
  errors <- vapply(1:2, function(k) {
    slope <- matrix(slopes[, k, ], nrow(rows))
    sqrt(pmax(rowSums((slope %*% gamma) * slope), 0))
  }, numeric(nrow(rows)))
  errors <- matrix(errors, nrow(rows))
  # a parameter at its end has no neighbours
  errors[!known | !is.finite(errors)] <- NA
  cbind(rows[c("grp", "var1", "var2")], se.vcov = errors[, 1L], se.sdcor = errors[, 2L])
}
