# Degrees of freedom: one way for all tests of fixed effects.
#
# summary(), anova(), drop1(), contest() and confint() ask ddf_for() once for a method, and hand
# what it returns to test_rows() (one row of L at a time) or test_joint() (all rows together). L
# always has a column for each *kept* coefficient; contrast_matrix() in contest.R makes such an L of
# what a user gives.

#' Methods for the degrees of freedom of tests of fixed effects
#'
#' The argument `ddf` of [summary.lmm()], [anova.lmm()], [contest()], [drop1.lmm()] and
#' [confint.lmm()] says how the uncertainty about the variance parameters is taken into account:
#'
#' - `"Satterthwaite"`: t and F statistics of the estimated covariance matrix. The degrees of
#'   freedom match the variance of `l'Cl`, from the exact Hessian of the criterion. For several rows
#'   the F statistic has the degrees of freedom of Fai and Cornelius (1996).
#'   They depend on which rows span the hypothesis: [contest()] and `car::linearHypothesis()` take
#'   orthonormal ones, so that it does not matter how it is written; [anova()][anova.lmm] and
#'   [drop1()][drop1.lmm] take rows as 'lmerTest' does, of which those of types I and II (not III)
#'   depend on the contrasts of the factors, and all on the order of their levels: the F statistics
#'   do not, but in unbalanced data the degrees of freedom do, a little; for type II of several
#'   interactions other rows of the same hypothesis are taken, with the same F and slightly other
#'   degrees of freedom.
#' - `"Kenward-Roger"`: the covariance matrix is corrected for its bias in small samples, F
#'   statistics are scaled, and the degrees of freedom match two moments of the scaled statistic. It
#'   is defined for REML: for a fit by ML the model is fitted again by REML, with a message, and the
#'   tests are those of that fit. A test that the method does not determine, because a corrected
#'   variance or the degrees of freedom are not positive, is `NA`, with a warning of class
#'   `ferrolmm_warning_kenward_roger`; with 'emmeans' then all are.
#'   Where the covariance matrix of the data is linear in variances and covariances (unstructured
#'   and diagonal random effects, with or without a known covariance matrix of their levels, and
#'   independent residuals), the covariance matrix of the variance
#'   parameters is the inverse of their expected information, as in 'pbkrtest'; for the other
#'   structures of random effects and residuals it is that of the observed information, as in SAS
#'   and 'mmrm'. The parameters are those of SAS: covariances for unstructured, Toeplitz and
#'   compound symmetric residuals, otherwise variances, correlations, ranges and powers. ('mmrm'
#'   takes others for unstructured residuals: there `"Kenward-Roger-Linear"` is this method.)
#' - `"Kenward-Roger-linear"`: the same without the second derivatives of the covariance matrix,
#'   which makes a difference only where it is not linear in its parameters (SAS:
#'   `DDFM=KR(FIRSTORDER)`; 'mmrm': `"Kenward-Roger-Linear"`). It does not depend on how the
#'   structure is parameterised.
#' - `"asymptotic"`: the normal distribution, and F with infinitely many degrees of freedom.
#' - `"none"`: the statistics alone, as 'lme4' has it; `"lme4"` is understood too.
#'
#' Names can be abbreviated, and case does not matter. Both methods work from factors of the
#' mixed-model equations: no matrix of the size of the data is built, whatever that size is.
#' @references
#' Fai, A. H.-T. and Cornelius, P. L. (1996). Approximate F-tests of multiple degree of freedom
#' hypotheses in generalized least squares analyses of unbalanced split-plot experiments. *Journal
#' of Statistical Computation and Simulation*, 54(4), 363-378.
#'
#' Giesbrecht, F. G. and Burns, J. C. (1985). Two-stage analysis based on a mixed model:
#' large-sample asymptotic theory and small-sample simulation results. *Biometrics*, 41(2), 477-486.
#'
#' Kenward, M. G. and Roger, J. H. (1997). Small sample inference for fixed effects from restricted
#' maximum likelihood. *Biometrics*, 53(3), 983-997.
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age * Sex + (age | Subject), Orthodont)
#' anova(fit)
#' anova(fit, ddf = "Kenward-Roger")
#' @name ddf
NULL

ddf_methods <- c(
  "Satterthwaite", "Kenward-Roger", "Kenward-Roger-linear", "asymptotic", "none"
)

#' One of `ddf_methods`, from the start of its name in any case
#' @noRd
match_ddf <- function(ddf) {
  if (missing(ddf) || identical(ddf, ddf_methods)) {
    return(ddf_methods[[1L]])
  }
  known <- c(tolower(ddf_methods), "lme4")
  found <- NA
  if (is.character(ddf) && length(ddf) == 1L && !is.na(ddf) && nzchar(ddf)) {
    # "kenward" is the first of the two
    short <- if (tolower(ddf) == "kr") "kenward-roger" else tolower(ddf)
    found <- which(startsWith(known, short))[1L]
  }
  if (is.na(found)) {
    given <- if (length(ddf) == 1L && is.atomic(ddf)) paste0(": not ", format(ddf))
    ferrolmm_abort(
      paste0("`ddf` must be one of ", quote_names(ddf_methods), given, "."), "argument"
    )
  }
  c(ddf_methods, "none")[[found]]
}

#' The inference that a method makes of a fit
#'
#' @param method one of `ddf_methods`.
#' @returns a list with `method`; `object`, the fit that is tested; `beta` and `variance` of the
#'   kept coefficients (adjusted by Kenward-Roger); `single(L)`, degrees of freedom of each row; and
#'   `joint(L, estimate)`, list(statistic, unscaled, numdf, dendf) of the hypothesis that
#'   `estimate`, which is `L beta - rhs`, is zero; `unscaled` is the statistic before Kenward and
#'   Roger's scaling. That method has `determined()` too: does it determine all tests?
#' @noRd
ddf_for <- function(object, method) {
  if (object$rank == 0L) {
    return(fixed_ddf(object, method, NA_real_))
  }
  switch(method,
    Satterthwaite = satterthwaite(object),
    `Kenward-Roger` = kenward_roger(object),
    `Kenward-Roger-linear` = kenward_roger(object, linear = TRUE),
    asymptotic = fixed_ddf(object, method, Inf),
    none = fixed_ddf(object, method, NA_real_)
  )
}

#' Inference that takes the variance parameters as known
#'
#' @param variance of the coefficients; NULL: that of the fit. What is returned has an upper
#'   triangular root `rx` of the inverse of that one.
#' @noRd
fixed_ddf <- function(object, method, ddf, variance = NULL) {
  rx <- if (is.null(variance)) object$rx / object$sigma
  variance <- if (is.null(variance)) vcov.lmm(object) else variance
  list(
    method = method, object = object, beta = object$beta, variance = variance, rx = rx,
    single = function(L) rep.int(ddf, nrow(L)),
    joint = function(L, estimate) {
      wald <- wald_statistic(L, estimate, variance, rx)
      f <- wald$value / wald$rank
      list(statistic = f, unscaled = f, numdf = wald$rank, dendf = ddf)
    }
  )
}

#' Call one of the engine's inference functions on a fit
#' @noRd
engine_inference <- function(engine, object, ...) {
  engine(
    model_of(engine_inputs(object, in_place = TRUE)), theta_of(object), object$REML,
    engine_control(object), ...
  )
}

#' The control of a fit with its constraints by position
#' @noRd
engine_control <- function(object, control = object$control) {
  resolve_constraints(control, names(c(object$theta, object$phi)))
}

#' The control of a fit without its constraints
#'
#' For what is a function of theta alone, and wanted at others than that of the fit: a held
#' parameter has its value there only.
#' @noRd
unconstrained_control <- function(object) {
  control <- object$control
  control[c("hold", "tie")] <- list(NULL)
  control
}

#' Quadratic form of `estimate` in the inverse of L C L', and the rank of L
#'
#' @param variance C; `rx` an upper triangular root of its inverse, NULL where there is none.
#' @noRd
wald_statistic <- function(L, estimate, variance, rx = NULL) {
  rows <- independent_rows(L, variance)
  if (length(rows) == 0L) {
    return(list(value = NA_real_, rank = 0L))
  }
  L <- L[rows, , drop = FALSE]
  root <- covariance_root(L, variance, rx)
  list(value = sum(backsolve(root, estimate[rows], transpose = TRUE)^2), rank = length(rows))
}

#' Share of the sums that l'Cl of a row, less what rows before it tell, must be for L C L' to have
#' half of its digits
#' @noRd
enough_left <- 1e-8

#' Upper triangular root of L C L'
#'
#' Where next to nothing is left of the sums, or of a row beside others, as with predictors far from
#' zero, the product has lost it, and the Cholesky factor is noise or fails. With C^-1 = R'R the
#' triangle of the QR decomposition of R^-T L' is a root of it too, at the square root of its
#' condition.
#' @noRd
covariance_root <- function(L, variance, rx = NULL) {
  root <- tryCatch(chol(L %*% variance %*% t(L)), error = function(e) NULL)
  sums <- row_variances(abs(L), abs(variance))
  if (!is.null(root) && all(diag(root)^2 > enough_left * sums)) {
    return(root)
  }
  half <- if (is.null(rx)) {
    what <- "The covariance matrix of the tested combinations of coefficients"
    advice <- "Test fewer rows together, or a model whose variances the data tell."
    upper_cholesky(variance, what, i = advice) %*% t(L)
  } else {
    backsolve(rx, t(L), transpose = TRUE)
  }
  qr.R(qr(half, tol = 0))
}

#' A largest set of linearly independent rows of L, each column in units of its standard error
#' @noRd
independent_rows <- function(L, variance) {
  if (!is.null(single_entries(L)) && all(diag(variance) != 0)) {
    return(seq_len(nrow(L)))
  }
  # it is only a unit: a corrected variance may be negative
  scaled <- t(L) * sqrt(abs(diag(variance)))
  size <- sqrt(colSums(scaled^2))
  used <- which(size > 0)
  if (length(used) == 0L) {
    return(integer())
  }
  decomposed <- qr(scaled[, used, drop = FALSE] / rep(size[used], each = nrow(scaled)))
  sort(used[decomposed$pivot[seq_len(decomposed$rank)]])
}

#' Where the only entry of each row is, where no two are in one column; NULL for other matrices
#' @noRd
single_entries <- function(L) {
  at <- max.col(abs(L), "first")
  is_single <- sum(L != 0) == nrow(L) && all(L[cbind(seq_along(at), at)] != 0)
  if (is_single && !anyDuplicated(at)) at
}

#' Operations from which products are the engine's: it is faster, and can be interrupted
#' @noRd
many_operations <- 1e8

#' l'Cl of each row l of L
#'
#' Rows have few entries where coefficients are many: a summary of thousands of them takes no
#' product of matrices of that size.
#' @noRd
row_variances <- function(L, variance) {
  if (nrow(L) == 0L || sum(L != 0) > length(L) / 8) {
    if (as.double(length(L)) * ncol(L) > many_operations) {
      return(engine_row_variances(L, variance))
    }
    return(rowSums((L %*% variance) * L))
  }
  vapply(seq_len(nrow(L)), function(i) {
    at <- which(L[i, ] != 0)
    l <- L[i, at]
    sum(l * (variance[at, at, drop = FALSE] %*% l))
  }, 0)
}

#' Test each row of L by itself
#'
#' Where Kenward and Roger's method does not determine the degrees of freedom, it gives no standard
#' error either.
#' @returns a data frame with the columns estimate, se, df, statistic, p
#' @noRd
test_rows <- function(inference, L, rhs = 0) {
  estimate <- drop(L %*% inference$beta) - rhs
  se <- sqrt(pmax(row_variances(L, inference$variance), 0))
  se[rowSums(L != 0) == 0] <- NA_real_
  df <- if (nrow(L) > 0L) inference$single(L) else double()
  df[is.na(se)] <- NA_real_
  if (startsWith(inference$method, "Kenward-Roger")) se[is.na(df)] <- NA_real_
  statistic <- estimate / se
  data.frame(
    estimate = estimate + rhs, se = se, df = df, statistic = statistic,
    p = 2 * stats::pt(abs(statistic), df, lower.tail = FALSE)
  )
}

#' Test all rows of L together
#'
#' @returns a data frame of one row with the columns of anova()
#' @noRd
test_joint <- function(inference, L, rhs = 0) {
  result <- if (nrow(L) == 0L || all(L == 0)) {
    list(statistic = NA_real_, unscaled = NA_real_, numdf = 0L, dendf = NA_real_)
  } else {
    inference$joint(L, drop(L %*% inference$beta) - rhs)
  }
  mean_square <- result$unscaled * inference$object$sigma^2
  data.frame(
    "Sum Sq" = mean_square * result$numdf, "Mean Sq" = mean_square, NumDF = result$numdf,
    DenDF = result$dendf, "F value" = result$statistic,
    "Pr(>F)" = stats::pf(result$statistic, result$numdf, result$dendf, lower.tail = FALSE),
    check.names = FALSE
  )
}

#' Several joint tests as the rows of the table that anova() shows
#'
#' @param contrasts named list of matrices.
#' @noRd
f_table <- function(inference, contrasts) {
  tests <- lapply(unname(contrasts), function(L) test_joint(inference, L))
  none <- test_joint(inference, matrix(0, 0L, 0L))[0L, ]
  table <- do.call(rbind, c(list(none), tests))
  row.names(table) <- names(contrasts)
  if (inference$method == "none") table[c(1:3, 5L)] else table
}

#' "<before> Satterthwaite's method", for headings; nothing for "none"
#' @noRd
describe_ddf <- function(method, before) {
  switch(method,
    asymptotic = paste0(before, "the normal approximation"),
    none = "",
    paste0(before, method, "'s method")
  )
}
