#' Inference by the method of Kenward and Roger (1997)
#'
#' Everything here is relative to sigma^2, except `variance`.
#' @noRd
kenward_roger <- function(object, linear = FALSE) {
  object <- refit_reml(object)
  pieces <- engine_inference(engine_kenward_roger, object, linear)
  r <- object$rank
  s <- nrow(pieces$w)
  unadjusted <- matrix(pieces$unadjusted, r, r)
  derivatives <- array(pieces$derivatives, c(r, r, s))
  variance <- object$sigma^2 * matrix(pieces$adjusted, r, r)
  names <- names(object$coefficients)[kept_columns(object)]
  dimnames(variance) <- list(names, names)
  check_adjusted(variance)
  traces <- function(L) kenward_roger_traces(L, unadjusted, derivatives, pieces$w)
  list(
    method = if (linear) "Kenward-Roger-linear" else "Kenward-Roger", object = object,
    beta = object$beta, variance = variance,
    single = function(L) {
      first <- vapply(seq_len(nrow(L)), function(i) traces(L[i, , drop = FALSE])[[1L]], 0)
      2 / first
    },
    joint = function(L, estimate) {
      rows <- independent_rows(L, variance)
      wald <- wald_statistic(L, estimate, variance)
      moments <- kenward_roger_moments(traces(L[rows, , drop = FALSE]), length(rows))
      f <- wald$value / wald$rank
      if (!all(c(moments$ddf, moments$scale) > 0)) {
        warn_moments()
        moments <- list(scale = NA_real_, ddf = NA_real_)
      }
      list(
        statistic = moments$scale * f, unscaled = f, numdf = wald$rank, dendf = moments$ddf
      )
    }
  )
}

#' The correction is an expansion to second order: where the data hardly tell of the variances
#' it may outweigh what it corrects
#' @noRd
check_adjusted <- function(variance) {
  if (all(is.finite(variance)) && all(diag(variance) > 0)) {
    scale <- sqrt(diag(variance))
    unit <- variance / outer(scale, scale)
    if (nrow(unit) == 0L || min(eigen(unit, TRUE, only.values = TRUE)$values) > 0) {
      return(invisible())
    }
  }
  ferrolmm_abort(
    "Kenward-Roger's method has no answer here: the adjusted covariance matrix is not positive.",
    "kenward_roger",
    x = "The variance parameters are so uncertain that the correction outweighs what it corrects.",
    i = "Use ddf = \"Satterthwaite\", or a simpler structure of the variances."
  )
}

#' The degrees of freedom that match two moments of the Wald statistic may be negative
#' @noRd
warn_moments <- function() {
  ferrolmm_warn(
    "Kenward-Roger's method has no answer for a joint test: its degrees of freedom are negative.",
    "kenward_roger",
    x = "The variance parameters are too uncertain for the approximation: the test is NA.",
    i = "Use ddf = \"Satterthwaite\", or a simpler structure of the variances."
  )
}

#' The covariance matrix of the fixed effects corrected for small samples
#' @noRd
adjusted_variance <- function(object) {
  kenward_roger(object)$variance
}

#' @noRd
refit_reml <- function(object) {
  if (object$REML) {
    return(object)
  }
  ferrolmm_inform(
    "Kenward-Roger's method is for REML: the model is refitted by REML, and that fit is tested.",
    "refit"
  )
  object$REML <- TRUE
  object$call$REML <- TRUE
  fit_again(object)
}

#' A1 = sum_ij W_ij tr(Theta D_i) tr(Theta D_j) and A2 = sum_ij W_ij tr(Theta D_i Theta D_j), with
#' Theta = L' (L Phi L')^-1 L
#'
#' With L Phi L' = R'R the traces are those of the q x q matrices S_i = R'^-1 L D_i L' R^-1.
#' @noRd
kenward_roger_traces <- function(L, phi, derivatives, w) {
  q <- nrow(L)
  s <- nrow(w)
  root <- covariance_root(L, phi)
  half <- backsolve(root, L, transpose = TRUE)
  r <- ncol(L)
  reduced <- vapply(
    seq_len(s),
    function(i) half %*% matrix(derivatives[, , i], r) %*% t(half), matrix(0, q, q)
  )
  reduced <- matrix(reduced, q * q, s)
  trace <- colSums(reduced[seq.int(1L, q * q, by = q + 1L), , drop = FALSE])
  c(sum(w * outer(trace, trace)), sum(w * crossprod(reduced)))
}

#' Scale and denominator degrees of freedom that match the first two moments of the Wald statistic,
#' and that are exact for Hotelling's T^2 and for balanced designs (Kenward & Roger 1997, section
#' 3)
#' @noRd
kenward_roger_moments <- function(a, q) {
  a1 <- a[[1L]]
  a2 <- a[[2L]]
  if (q == 1L) {
    return(list(ddf = 2 / a1, scale = 1))
  }
  if (a2 == 0) {
    return(list(ddf = Inf, scale = 1))
  }
  b <- (a1 + 6 * a2) / (2 * q)
  g <- ((q + 1) * a1 - (q + 4) * a2) / ((q + 2) * a2)
  below <- 3 * q + 2 * (1 - g)
  c1 <- g / below
  c2 <- (q - g) / below
  c3 <- (q + 2 - g) / below
  v0 <- 1 + c1 * b
  v0 <- if (abs(v0) < 1e-10) 0 else v0
  rho <- ratio(1 - a2 / q, 1 - c2 * b)^2 * v0 / (q * (1 - c3 * b))
  ddf <- 4 + (q + 2) / (q * rho - 1)
  ## The scale tends to a limit as the degrees of freedom tend to 2, where the formula is 0 / 0.
  scale <- if (abs(ddf - 2) < 1e-2) 1 else ddf * (1 - a2 / q) / (ddf - 2)
  list(ddf = ddf, scale = scale)
}

#' x / y, of which the limit is 1 where both vanish
#' @noRd
ratio <- function(x, y) {
  if (abs(x) < 1e-14 && abs(y) < 1e-14) 1 else x / y
}
