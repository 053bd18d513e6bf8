#' @rdname ddf
#' @order 3
#' @section `"Kenward-Roger"`:
#' The covariance matrix is corrected for its bias in small samples, F statistics are scaled, and
#' the degrees of freedom match two moments of the scaled statistic (Kenward and Roger 1997). It is
#' defined for REML: for a fit by ML the model is fitted again by REML, with a message, and the
#' tests are those of that fit. A test that the method does not determine, because a corrected
#' variance or the degrees of freedom are not positive, is `NA`, with a warning of class
#' `ferrolmm_warning_kenward_roger`; with 'emmeans' all tests are `NA` then.
#'
#' Where the covariance matrix of the data is linear in variances and covariances (unstructured and
#' diagonal random effects, with or without a known covariance matrix of their levels, and
#' independent residuals), the covariance matrix of the variance parameters is the inverse of their
#' expected information, as in 'pbkrtest'; for the other structures of random effects and residuals
#' it is that of the observed information, as in SAS and 'mmrm'. In a singular fit a variance of
#' zero is a parameter like the others for the expected information, which there is at zero, too;
#' for the observed one, what the covariance matrix of the data does not move with is known: the
#' method is that of the model without it. The parameters are those of SAS: covariances for
#' unstructured, Toeplitz and compound symmetric residuals, and for such random effects with one
#' variance, otherwise variances, correlations, ranges and powers. ('mmrm' uses others for
#' unstructured residuals: there `"Kenward-Roger-Linear"` is this method.)
#' @section `"Kenward-Roger2"`:
#' The method of Kenward and Roger (1997) with their improved approximation (2009) of the covariance
#' matrix (SAS: `DDFM=KR2`). Where the covariance matrix of the data is not linear in its
#' parameters, estimates of these are biased, which the method of 1997 leaves out: its second
#' derivatives then depend on which parameters a structure is written in, and may shrink standard
#' errors. With the bias (that of Cox and Snell for the restricted likelihood) only that part of the
#' second derivatives counts which no choice of parameters changes: their sum, weighed by the
#' covariances of the parameters, less its projection on the first derivatives. The covariances are
#' those of the method of 1997, of the observed information. Where there is no such part, as for
#' all variances and covariances, unstructured, Toeplitz and compound symmetric residuals, it is the
#' method of 1997 in the parameters of SAS. Scale and degrees of freedom of F are as there. With
#' structured residuals the method takes the covariance matrix of each set of rows that are not
#' independent of others as it is: more than 3000 such rows are an error.
#' @section `"Kenward-Roger-linear"`:
#' The method of Kenward and Roger without the second derivatives of the covariance matrix, which
#' makes a difference only where that matrix is not linear in its parameters (SAS:
#' `DDFM=KR(FIRSTORDER)`; 'mmrm': `"Kenward-Roger-Linear"`). It does not depend on how the structure
#' is parameterised.
#' @references
#' Kenward, M. G. and Roger, J. H. (1997). Small sample inference for fixed effects from restricted
#' maximum likelihood. *Biometrics*, 53(3), 983-997.
#'
#' Kenward, M. G. and Roger, J. H. (2009). An improved approximation to the precision of fixed
#' effects from restricted maximum likelihood. *Computational Statistics and Data Analysis*, 53(7),
#' 2583-2595.
#' @name ddf
NULL

#' Inference by the method of Kenward and Roger (1997)
#'
#' The correction of the covariance matrix is an expansion to second order, and the degrees of
#' freedom match two moments: where the data say little about the variances, the corrected variance
#' of a combination of coefficients may be negative, and so may the degrees of freedom; with `f * k
#' + (1 | f:k)` the variances of cells depend on a parameter about which the data say nothing. Such
#' a test is not determined: it is NA, with a warning. Other tests of the same fit are not affected.
#'
#' Everything here is relative to sigma^2, except `variance`.
#' @noRd
kenward_roger <- function(object, second = c("in parameters", "beside tangent", "ignored")) {
  second <- second[[1L]]
  if (second == "in parameters") {
    require_no_factors(
      object, "\"Kenward-Roger\", which depends on how a covariance matrix is parameterised,",
      "\"Kenward-Roger2\" does not, nor does \"Satterthwaite\"."
    )
  }
  if (second == "beside tangent") check_clusters(object)
  pieces <- engine_inference(engine_kenward_roger, object, second)
  r <- object$rank
  s <- nrow(pieces$w)
  derivatives <- array(pieces$derivatives, c(r, r, s))
  adjusted <- matrix(pieces$adjusted, r, r)
  variance <- object$sigma^2 * adjusted
  names <- names(object$coefficients)[kept_columns(object)]
  dimnames(variance) <- list(names, names)
  # Phi = half_phi half_phi'
  half_phi <- backsolve(object$rx, diag(r))
  # variance parameters about which the data say nothing
  unknown <- which(is.infinite(diag(matrix(pieces$w, s))))
  pieces$w[cbind(unknown, unknown)] <- 0
  reach <- vapply(unknown, function(i) {
    max(abs(backsolve(half_phi, t(backsolve(half_phi, derivatives[, , i])))))
  }, 0)
  pieces_of <- function(L) {
    found <- hypothesis_pieces(L, half_phi, adjusted, derivatives, pieces$w)
    if (is.null(found)) {
      return(NULL)
    }
    dependent <- abs(found$reduced[, unknown, drop = FALSE]) > 1e-8 * rep(reach, each = nrow(L)^2)
    if (!any(dependent)) found
  }
  list(
    beta = object$beta, variance = variance,
    determined = function() is_determined(pieces_of(diag(r)), r),
    single = function(L) {
      ddf <- vapply(seq_len(nrow(L)), function(i) {
        joint_moments(pieces_of(L[i, , drop = FALSE]), 1L)$ddf
      }, 0)
      # a row of zeros is not a hypothesis
      lost <- sum(is.na(ddf) & rowSums(L != 0) > 0)
      if (lost > 0L) warn_not_determined(lost)
      ddf
    },
    joint = function(L, estimate) {
      rows <- independent_rows(L, object$sigma^2 * tcrossprod(half_phi))
      if (length(rows) == 0L) {
        return(list(statistic = NA_real_, unscaled = NA_real_, numdf = 0L, dendf = NA_real_))
      }
      parts <- pieces_of(L[rows, , drop = FALSE])
      moments <- joint_moments(parts, length(rows))
      if (is.na(moments$ddf)) {
        warn_not_determined(1L)
        f <- NA_real_
      } else {
        z <- backsolve(parts$root, estimate[rows], transpose = TRUE)
        z <- backsolve(parts$adjusted_root, z, transpose = TRUE)
        f <- sum(z^2) / (object$sigma^2 * length(rows))
      }
      list(
        statistic = moments$scale * f, unscaled = f, numdf = length(rows), dendf = moments$ddf
      )
    }
  )
}

#' Refuse structured residuals beside levels whose precision matrix is known: V is no matrix of
#' blocks that are at hand
#' @noRd
check_clusters <- function(object) {
  known <- !vapply(object$precision, is.null, NA)
  if (!is.null(object$residual) && any(known)) {
    ferrolmm_abort(
      paste0("`ddf = \"Kenward-Roger2\"` is not for structured residuals beside a known matrix of ",
             "levels (", quote_names(names(object$flist)[known]), ")."),
      "argument", i = "Use ddf = \"Kenward-Roger\"."
    )
  }
}

#' @noRd
warn_not_determined <- function(tests) {
  ferrolmm_warn(
    paste0(
      "Kenward-Roger's method has no answer for ", count_of(tests, "test"), ": ",
      if (tests == 1L) "it is" else "they are", " NA."
    ),
    "kenward_roger",
    x = paste0(
      "The data tell so little of the variance parameters that the corrected variance, or the ",
      "degrees of freedom, are not positive."
    ),
    i = "Use ddf = \"Satterthwaite\", or a simpler structure of the variances."
  )
}

#' Is a matrix a covariance matrix of full rank?
#' @noRd
is_positive_definite <- function(variance) {
  if (nrow(variance) == 0L) {
    return(TRUE)
  }
  if (!all(is.finite(variance)) || !all(diag(variance) > 0)) {
    return(FALSE)
  }
  scale <- sqrt(diag(variance))
  unit <- variance / outer(scale, scale)
  min(eigen(unit, TRUE, only.values = TRUE)$values) > 0
}

#' What the method needs for a hypothesis: its corrected covariance matrix and A1 = sum_ij W_ij
#' tr(Theta D_i) tr(Theta D_j) and A2 = sum_ij W_ij tr(Theta D_i Theta D_j), with Theta = L' (L Phi
#' L')^-1 L
#'
#' With L Phi L' = R'R the traces are those of the q x q matrices S_i = R'^-1 L D_i L' R^-1. R is
#' from the QR decomposition of (L Phi^1/2)': Phi may be so close to singular that L Phi L' has no
#' Cholesky factor in doubles. In these coordinates the corrected matrix is the identity, and what
#' the correction adds.
#' @param half_phi a square root of Phi; `adjusted` the corrected matrix.
#' @returns list(root = R, adjusted_root = factor of R'^-1 L adjusted L' R^-1, reduced = the S_i, a
#'   column each, traces = c(A1, A2)); NULL where the corrected matrix is not positive definite
#' @noRd
hypothesis_pieces <- function(L, half_phi, adjusted, derivatives, w) {
  q <- nrow(L)
  r <- ncol(L)
  root <- qr.R(qr(t(L %*% half_phi), tol = 0))
  if (!all(is.finite(root)) || any(diag(root) == 0)) {
    return(NULL)
  }
  half <- backsolve(root, L, transpose = TRUE)
  corrected <- half %*% adjusted %*% t(half)
  if (!is_positive_definite(corrected)) {
    return(NULL)
  }
  reduced <- vapply(
    seq_len(nrow(w)),
    function(i) half %*% matrix(derivatives[, , i], r) %*% t(half), matrix(0, q, q)
  )
  reduced <- matrix(reduced, q * q, nrow(w))
  trace <- colSums(reduced[seq.int(1L, q * q, by = q + 1L), , drop = FALSE])
  list(
    root = root, adjusted_root = chol(corrected), reduced = reduced,
    traces = c(sum(w * outer(trace, trace)), sum(w * crossprod(reduced)))
  )
}

#' Does the method determine the variance of a hypothesis?
#'
#' Where the data say next to nothing about a variance parameter on which the variance of the
#' estimates depends, W is infinite up to rounding, and the degrees of freedom, 2 / A1 of a single
#' row, are zero.
#' @noRd
is_determined <- function(pieces, q) {
  !is.null(pieces) && isTRUE(max(abs(pieces$traces)) < 2e6 * q^2)
}

#' Scale and degrees of freedom of a hypothesis, NA where the method does not determine them
#' @noRd
joint_moments <- function(pieces, q) {
  moments <- if (is_determined(pieces, q)) kenward_roger_moments(pieces$traces, q)
  if (isTRUE(moments$ddf > 0) && isTRUE(moments$scale > 0)) {
    return(moments)
  }
  list(ddf = NA_real_, scale = NA_real_)
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

#' x / y, whose limit is 1 where both vanish
#' @noRd
ratio <- function(x, y) {
  if (abs(x) < 1e-14 && abs(y) < 1e-14) 1 else x / y
}
