#' Smooth terms
#'
#' A model of [lmm()] can have smooth terms, `s(x)` and `t2(x, z)` of 'mgcv': penalised splines,
#' whose wiggliness is estimated with the variances of the random effects. `smooths()` is the table
#' of them, as `summary()` of 'mgcv' has it: effective degrees of freedom and a test that the
#' function is zero.
#'
#' @section Terms:
#' \describe{
#'   \item{`s(x)`}{a smooth function of a number, by default a thin plate spline of rank 10.
#'     Its arguments are those of [mgcv::s()]: `k`, one more than its largest degrees of freedom;
#'     `bs`, the basis (`"tp"`, `"cr"`, `"cc"` for what is periodic, `"ps"`, `"ts"` and `"cs"`,
#'     which can shrink to zero, `"re"`, `"mrf"`, `"sos"`, ...); `m`, `xt`, `pc`.}
#'   \item{`s(x, z)`}{of several numbers on one scale, such as coordinates.}
#'   \item{`s(x, by = f) + f`}{a function for each level of the factor `f`. They are centred: `f`
#'     itself belongs to the model.}
#'   \item{`s(x, by = z)`}{a coefficient of the number `z` that varies with `x`. It is not centred
#'     unless `z` is constant.}
#'   \item{`s(x, g, bs = "fs")`}{a random curve for each level of the factor `g`, with parameters
#'     that the levels share.}
#'   \item{`t2(x, z)`}{of numbers on different scales: a tensor product. `te()` and `ti()` have
#'     penalties that overlap, and no form as a mixed model: they are errors.}
#' }
#' Knots are given as `xt = list(knots = )`, a vector or a list with one for each variable: a year
#' is periodic in `s(day, bs = "cc", xt = list(knots = c(0, 365)))`. `sp`, `id` and `fx` are errors:
#' smoothing parameters are estimated, one for each penalty. Smooths are added to the formula, never
#' multiplied; they cannot stand in a bar, and a model with them cannot have a structure of its
#' residuals. A function called `s` of one's own is not found by a formula.
#'
#' @section The model:
#' The mixed model of a smooth (Wood, 2017, section 5.8) has its functions that no penalty touches
#' (the straight line, for `s(x)`) among the fixed effects, with names such as `s(x).fx1`, and the
#' others as effects of one variance for each penalty: `s(x)` among the random effects of
#' [VarCorr()][VarCorr.lmm]. A variance of zero is a function without wiggles. The restricted
#' likelihood, fitted values and effective degrees of freedom are those of `mgcv::gam(method =
#' "REML")` with `s(g, bs = "re")` in the place of `(1 | g)`, and of 'gamm4'; by ML, too, but for
#' `t2()`, whose functions are centred here. Zero variances are exact, and of several optima the
#' lowest that was found is taken, see [lmm_control()].
#'
#' Functions of this package that take the fixed effects for all of the mean, or the random effects
#' for deviations from it, refuse models with smooths by name: [coef()][coef.lmm],
#' [equations()], [bootstrap()], [r_squared()] and others. Means of 'emmeans' have the smooths.
#' `anova()` and `drop1()` are about the parametric terms, `ranova()` about bars. The log-likelihood
#' counts the parameters of the mixed model, so AIC is the marginal one, not that of [mgcv::gam()],
#' which counts effective degrees of freedom.
#'
#' The functions are of the population: `predict(fit, re.form = NA)` has them and leaves out the
#' random effects of bars, and `random.only = TRUE` leaves them out.
#' Standard errors of predictions are those of Henderson's prediction errors, which are the Bayesian
#' ones of [mgcv::predict.gam()]: bands have about their level on average over the function, not at
#' each point (Nychka, 1988), less where it bends most. They take the variances as known. In 500
#' simulations each of 200 rows in 20 groups, bands of 95 % covered a sine in 95.6 % of 50 points
#' (93 to 98 % by point), a function of two bumps in 93.3 % (81 to 97 %), a line in 94.3 % (93 to
#' 96 %); and p-values of a function that is zero were below 0.05 in 6.4 %.
#'
#' @section Tests:
#' The test of Wood (2013a) is of a smooth as a whole: is f = 0? It is a Wald test with a
#' pseudo-inverse of as many degrees of freedom as the smooth uses (`Ref.df`), F against the
#' effective degrees of freedom of the residuals. Smooths without fixed columns (`"re"`, `"fs"`,
#' `"cc"`, `"ts"`, ...) are tested as random effects (Wood, 2013b). The p-values take variances as
#' known, and are approximate. They are those of `summary()` of a gam; not so for `t2()`, where
#' 'mgcv' takes the coefficients in one parametrisation and their columns in another. To ask whether
#' a function is straight, compare AIC with the model that has `x` in its place: [ranova()] is for
#' the random effects of bars, [anova()][anova.lmm] and [drop1()][drop1.lmm] for parametric terms.
#'
#' @param object A model fitted by [lmm()].
#' @param ... Not used.
#' @returns A data frame of class `smooths.lmm` with a row for each smooth, named as 'mgcv' names
#'   it, and the columns `edf`, `Ref.df`, `F` and `Pr(>F)`; no rows for a model without smooths.
#' @references
#' Nychka, D. (1988). Bayesian confidence intervals for smoothing splines. *Journal of the American
#' Statistical Association*, 83(404), 1134-1143.
#'
#' Wood, S. N. (2013a). On p-values for smooth components of an extended generalized additive model.
#' *Biometrika*, 100(1), 221-228.
#'
#' Wood, S. N. (2013b). A simple test for random effects in regression models. *Biometrika*, 100(4),
#' 1005-1010.
#'
#' Wood, S. N. (2017). *Generalized Additive Models: An Introduction with R*, 2nd edition. CRC
#' Press.
#' @seealso [plot.smooths.lmm()] for pictures, [predict.lmm()], [lmm()]
#' @examples
#' data(Ovary, package = "nlme")
#' fit <- lmm(follicles ~ s(Time, bs = "cc", k = 8) + (1 | Mare), Ovary)
#' smooths(fit)
#' plot(smooths(fit))
#' new <- data.frame(Time = c(0, 0.5, 1))
#' predict(fit, new, re.form = NA, interval = "confidence", ddf = "asymptotic")
#' @export
smooths <- function(object, ...) {
  check_dots(...)
  check_lmm(object, "smooths")
  structure(
    smooth_table(object), fit = object, class = c("smooths.lmm", "data.frame")
  )
}

#' @param x What `smooths()` returned.
#' @param digits The number of significant digits.
#' @param signif.stars Print significance stars?
#' @rdname smooths
#' @export
print.smooths.lmm <- function(x, digits = max(3L, getOption("digits") - 3L),
                              signif.stars = getOption("show.signif.stars"), ...) {
  check_dots(...)
  check_digits(digits)
  if (!is.null(signif.stars)) check_flag(signif.stars, "signif.stars")
  if (nrow(x) == 0L) {
    cat("No smooth terms\n")
    return(invisible(x))
  }
  print_smooths(x, digits, isTRUE(signif.stars))
  invisible(x)
}

#' @noRd
print_smooths <- function(table, digits, signif.stars) {
  cat("Smooth terms:\n")
  table <- as.matrix(as.data.frame(unclass(table), optional = TRUE, row.names = rownames(table)))
  stats::printCoefmat(
    table, digits = digits, signif.stars = signif.stars, has.Pvalue = TRUE, P.values = TRUE,
    cs.ind = NULL, tst.ind = 3L
  )
}

#' @noRd
smooth_table <- function(object) {
  smooths <- smooths_of(object)
  columns <- c("edf", "Ref.df", "F", "Pr(>F)")
  if (length(smooths) == 0L) {
    empty <- matrix(numeric(), 0L, 4L, dimnames = list(NULL, columns))
    return(as.data.frame(empty, optional = TRUE))
  }
  posterior <- smooth_posterior(object)
  edf <- smooth_edf(object, posterior)
  residual <- count_rows(object) - sum(training_leverages(object)$hat)
  rows <- vapply(seq_along(smooths), function(k) {
    own <- smooth_estimates(object, smooths[[k]], posterior)
    test <- if (length(own$fixed) > 0L) {
      test_that_zero(object, own, edf[k, "edf1"], residual, posterior)
    } else {
      test_of_effects(object, smooths[[k]], own, residual, posterior)
    }
    c(edf[k, "edf"], test$rank, test$statistic / test$rank, test$p)
  }, double(4L))
  table <- as.data.frame(t(rows), row.names = names(smooths))
  stats::setNames(table, columns)
}

#' R'R = B'WB of the rows of the fit, B the basis that 'mgcv' has for a smooth, and the smooth's
#' coefficients and their covariance in it
#'
#' The test is the same in every basis but for signs, see [test_that_zero()].
#' @noRd
in_own_basis <- function(object, own, posterior) {
  x <- whiten_rows(object, fixed_model_matrix(object))[, own$fixed, drop = FALSE]
  # before the generic is called, see transposed()
  rows <- transposed(build_zt(object))
  z <- whiten_rows(object, as.matrix(rows[, posterior$at[own$random], drop = FALSE]))
  # a coefficient that is dropped, or a column that a smaller smooth has, leaves no square map
  square <- nrow(own$map) == ncol(own$map)
  map <- if (square) own$map else diag(length(own$values))
  r <- qr.R(qr(cbind(x, z), tol = 0))
  r <- t(solve(t(map), t(r)))
  list(
    r = qr.R(qr(r, tol = 0)), values = drop(map %*% own$values),
    covariance = map %*% own$covariance %*% t(map)
  )
}

#' Wood's (2013a) test that a function is zero
#'
#' With f = R c, V = R Cov(c) R' and its eigenvalues l_i and eigenvectors u_i, let a_i = u_i'f /
#' sqrt(l_i). For r = k + v degrees of freedom, k whole, the statistic is
#'   T = sum_{i < k} a_i^2 + a_k^2 + 2 rho a_k a_{k+1} + v a_{k+1}^2,   rho = sqrt(v (1 - v) / 2),
#' whose null distribution is that of chi-squared variables with weights of 1 and the eigenvalues of
#' [1, rho; rho, v], over one of the residuals. The sign of a_k a_{k+1} is arbitrary: the p-value is
#' the mean over both, and T that with the first element of each u_i positive.
#' @param rank r.
#' @noRd
test_that_zero <- function(object, own, rank, residual, posterior) {
  basis <- in_own_basis(object, own, posterior)
  v <- basis$r %*% basis$covariance %*% t(basis$r)
  parts <- eigen((v + t(v)) / 2, symmetric = TRUE)
  vectors <- parts$vectors
  first <- ifelse(vectors[1L, ] < 0, -1, 1)
  f <- drop(crossprod(vectors, basis$r %*% basis$values)) * first
  rank <- min(length(own$values), rank)
  whole <- floor(rank)
  part <- rank - whole
  usable <- sum(parts$values > max(parts$values) * .Machine$double.eps^0.9)
  if (usable < whole + (part > 0)) {
    rank <- whole <- usable
    part <- 0
  }
  a <- f[seq_len(usable)] / sqrt(parts$values[seq_len(usable)])
  if (whole == 0L) {
    return(weighted_test(a[[1L]]^2, 1, rank, residual))
  }
  if (part == 0) {
    return(weighted_test(sum(a[seq_len(whole)]^2), rep.int(1, whole), rank, residual))
  }
  rho <- sqrt(part * (1 - part) / 2)
  cross <- 2 * rho * a[[whole]] * a[[whole + 1L]]
  rest <- sum(a[seq_len(whole)]^2) + part * a[[whole + 1L]]^2
  root <- sqrt((part + 1) * (1 - part))
  weights <- c(rep.int(1, whole - 1L), (part + 1 + root) / 2, (part + 1 - root) / 2)
  tests <- lapply(c(1, -1), function(sign) {
    weighted_test(rest + sign * cross, weights, rank, residual)
  })
  list(
    statistic = tests[[1L]]$statistic, rank = rank, p = mean(vapply(tests, `[[`, 1, "p"))
  )
}

#' P(sum of weighted chi-squared variables > statistic times one of the residuals over its df)
#' @noRd
tail_of_weighted <- function(statistic, weights, residual) {
  k <- max(1, round(residual))
  mgcv::psum.chisq(0, c(weights, -statistic / k), df = c(rep.int(1, length(weights)), k))
}

#' The p-value of a weighted sum of squares, F where all weights are 1
#' @noRd
weighted_test <- function(statistic, weights, rank, residual) {
  p <- if (all(weights == 1)) {
    stats::pf(statistic / length(weights), length(weights), residual, lower.tail = FALSE)
  } else {
    tail_of_weighted(statistic, weights, residual)
  }
  if (!isTRUE(p >= 0 && p <= 1)) {
    p <- stats::pf(statistic / rank, rank, residual, lower.tail = FALSE)
  }
  list(statistic = statistic, rank = rank, p = p)
}

#' Wood's (2013b) test that the effects of a smooth without fixed columns are zero
#'
#' Let X_1 be the columns of the smooth, those of other smooths and of X, with the penalty P on
#' their coefficients; X_2 those of bars, and of smooths of bs = "re", with independent effects u.
#' Let y have the covariance S = I + X_2 X_2' relative to sigma^2. Estimates c have the covariance
#' C^-1 - C^-1 P C^-1 in the coefficients of X_1, C of all of them. The statistic is c'Qc, Q the
#' precision of the smooth's own in X_1'S X_1 + P, and its null distribution that of chi-squared
#' variables with weights the eigenvalues of Q Cov(c), over one of the residuals.
#' @noRd
test_of_effects <- function(object, smooth, own, residual, posterior) {
  at <- posterior$at[own$random]
  if (!any(posterior$lambda[own$random] > 0)) {
    return(list(statistic = 0, rank = length(at), p = 1))
  }
  random <- Filter(function(other) {
    isTRUE(other$maker$random) && other$label != smooth$label
  }, smooths_of(object))
  as_bars <- unlist(lapply(random, function(other) {
    unlist(lapply(terms_of_smooth(object, other), effects_of_term, object = object))
  }))
  penalised <- setdiff(posterior$at, as_bars)
  inner <- posterior$own[at, own$random, drop = FALSE]
  sampling <- inner - crossprod(posterior$own[penalised, own$random, drop = FALSE])
  q <- effects_precision(object, at, penalised)
  root <- upper_cholesky(q, "The test of a smooth")
  statistic <- sum((root %*% object$u[at])^2) / object$sigma^2
  spread <- root %*% sampling %*% t(root)
  weights <- eigen((spread + t(spread)) / 2, symmetric = TRUE, only.values = TRUE)$values
  weights <- weights[weights > max(weights) * .Machine$double.eps^0.8]
  list(
    statistic = statistic, rank = length(weights),
    p = tail_of_weighted(statistic, weights, residual)
  )
}

#' Q of [test_of_effects()]
#' @param at places of the smooth's effects in u; `penalised` those of all in X_1.
#' @noRd
effects_precision <- function(object, at, penalised) {
  system <- weighted_system(object)
  x <- whiten_rows(object, fixed_model_matrix(object))
  own <- as.matrix(system[at, , drop = FALSE])
  others <- rbind(t(x), as.matrix(system[setdiff(penalised, at), , drop = FALSE]))
  bars <- system[setdiff(seq_along(object$b), penalised), , drop = FALSE]
  columns <- t(rbind(others, own))
  rows <- rbind(columns, as.matrix(bars %*% columns))
  free <- ncol(x)
  roots <- diag(ncol(columns))[-seq_len(free), , drop = FALSE]
  r <- qr.R(qr(rbind(rows, roots), tol = 0))
  last <- seq.int(nrow(others) + 1L, ncol(columns))
  crossprod(r[last, last, drop = FALSE])
}
