# Methods for generics of 'pbkrtest': tests of fixed effects by two models, and what they are made
# of. Registered in zzz.R, as not every version has all of these generics.

#' Support for 'pbkrtest'
#'
#' `pbkrtest::KRmodcomp()` and `SATmodcomp()` test a model against a smaller one, or against a
#' matrix of restrictions, by the methods of Kenward and Roger and of Satterthwaite (see [ddf]); a
#' fit by ML is fitted again by REML, with a message. `vcovAdj()` is the covariance matrix that is
#' corrected for small samples, with the attributes `P` and `W` from which `Lb_ddf()` has its
#' degrees of freedom; `get_Lb_ddf()` gives those of a hypothesis. `model2restriction_matrix()`
#' writes a smaller model as restrictions, with orthonormal rows. `getLRT()` has the likelihood
#' ratio of both models by ML. For `PBmodcomp()` see [pb_test()].
#'
#' @param largeModel,object A model fitted by [lmm()].
#' @param smallModel A smaller one, the changes to the formula that make it, or a matrix with a
#'   column for each coefficient.
#' @param betaH The hypothetical value of the coefficients, one number or one for each.
#' @param L,Lcoef A hypothesis: a vector or matrix with a column for each coefficient.
#' @param sparse Give a sparse matrix?
#' @param details,eps Not used: arguments of the generics.
#' @returns What the generics return.
#' @seealso [contest()], [drop1.lmm()], [pb_test()]
#' @references
#' Halekoh, U. and Højsgaard, S. (2014). A Kenward-Roger approximation and parametric bootstrap
#' methods for tests in linear mixed models: the R package pbkrtest. *Journal of Statistical
#' Software*, 59(9), 1-32.
#' @examplesIf requireNamespace("pbkrtest", quietly = TRUE)
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age * Sex + (age | Subject), Orthodont)
#' pbkrtest::KRmodcomp(fit, . ~ . - age:Sex)
#' @name pbkrtest-lmm
#' @aliases KRmodcomp.lmm
KRmodcomp.lmm <- function(largeModel, smallModel, betaH = 0, details = 0) {
  check_fit(largeModel)
  start <- proc.time()[[3L]]
  models <- nested_models(largeModel, smallModel)
  large <- refit_reml(models$large, "Kenward-Roger")
  L <- models$L
  if (!is.numeric(betaH) || anyNA(betaH) || !length(betaH) %in% c(1L, ncol(L))) {
    ferrolmm_abort(
      paste0("`betaH` must be one number, or one for each of the ",
             count_of(ncol(L), "coefficient"), "."), "argument"
    )
  }
  inference <- ddf_for(large, "Kenward-Roger")
  found <- inference$joint(L, drop(L %*% (large$beta - betaH)))
  upper_tail <- function(f) stats::pf(f, found$numdf, found$dendf, lower.tail = FALSE)
  scaling <- found$statistic / found$unscaled
  stats <- list(
    ndf = found$numdf, ddf = found$dendf, Fstat = found$statistic,
    p.value = upper_tail(found$statistic), F.scaling = scaling, FstatU = found$unscaled,
    p.valueU = upper_tail(found$unscaled),
    aux = c(kenward_roger_constants(large, L), F.scaling = scaling)
  )
  test <- data.frame(
    stat = c(stats$Fstat, stats$FstatU), ndf = as.integer(found$numdf), ddf = found$dendf,
    F.scaling = c(scaling, NA), p.value = c(stats$p.value, stats$p.valueU),
    row.names = c("Ftest", "FtestU")
  )
  structure(
    list(
      test = test, type = "F", aux = stats$aux, stats = stats,
      formula.large = bare_formula(large),
      formula.small = if (is.null(models$small)) {
        list(L = L, betaH = betaH)
      } else {
        bare_formula(models$small)
      },
      ctime = proc.time()[[3L]] - start, L = L
    ),
    class = "KRmodcomp"
  )
}

#' @rdname pbkrtest-lmm
#' @aliases SATmodcomp.lmm
SATmodcomp.lmm <- function(largeModel, smallModel, details = 0, eps = NULL) {
  check_fit(largeModel)
  start <- proc.time()[[3L]]
  models <- nested_models(largeModel, smallModel)
  large <- as_reml(models$large)
  inference <- ddf_for(large, "Satterthwaite")
  hypotheses <- orthonormal_rows(list(L = models$L, rhs = 0), inference$variance)
  found <- test_joint(inference, hypotheses$L, hypotheses$rhs)
  structure(
    list(
      test = data.frame(
        statistic = found[["F value"]], ndf = found$NumDF, ddf = found$DenDF,
        p.value = found[["Pr(>F)"]]
      ),
      sigma = large$sigma, formula.large = stats::formula(large), formula.small = models$L,
      ctime = proc.time()[[3L]] - start, L = models$L
    ),
    class = "SATmodcomp"
  )
}

#' @noRd
as_reml <- function(object) {
  if (object$REML) {
    return(object)
  }
  ferrolmm_inform(
    "'pbkrtest' tests fits by REML: the model is refitted, and that fit is tested.", "refit"
  )
  object$REML <- TRUE
  object$call$REML <- TRUE
  fit_again(object)
}

#' A formula as 'pbkrtest' keeps it: a call
#' @noRd
bare_formula <- function(object) {
  formula <- stats::formula(object)
  attributes(formula) <- NULL
  formula
}

#' The larger of two models, the smaller one (NULL where it is a matrix), and the restrictions
#' @noRd
nested_models <- function(large, small) {
  if (inherits(small, "formula") || is.character(small)) {
    small <- update.lmm(large, small)
  }
  if (!inherits(small, "lmm")) {
    L <- contrast_matrix(small, 0, large)$L
    L <- L[independent_rows(L, vcov.lmm(large)), , drop = FALSE]
    dimnames(L) <- NULL
    return(list(large = large, small = NULL, L = L))
  }
  check_fit(small)
  if (nobs.lmm(small) != nobs.lmm(large)) {
    ferrolmm_abort(
      paste0("The models have different rows: ", nobs.lmm(large), " and ", nobs.lmm(small), "."),
      "data"
    )
  }
  if (small$rank > large$rank) {
    models <- list(large = small, small = large)
  } else {
    models <- list(large = large, small = small)
  }
  c(models, list(L = restrictions(models$large, models$small)))
}

#' The functions of the coefficients that are zero in the smaller model, with orthonormal rows
#' @noRd
restrictions <- function(large, small) {
  x <- fixed_model_matrix(large)
  x0 <- fixed_model_matrix(small)
  decomposed <- qr(x, tol = 1e-12)
  nested <- colSums(qr.resid(decomposed, x0)^2) <= 1e-14 * colSums(x0^2)
  if (!all(nested) || ncol(x0) == ncol(x)) {
    ferrolmm_abort(
      if (all(nested)) {
        "The fixed parts of the models are the same."
      } else {
        "The fixed parts of the models are not nested."
      }, "argument", i = "Compare models of which one has all fixed effects of the other."
    )
  }
  # what X has beside the columns of the smaller model, column after column
  beside <- qr.Q(qr(cbind(x0, x), tol = 1e-10))[, seq(ncol(x0) + 1L, ncol(x)), drop = FALSE]
  zapsmall(t(qr.Q(qr(crossprod(x, beside)))))
}

#' @rdname pbkrtest-lmm
#' @aliases model2restriction_matrix.lmm
model2restriction_matrix.lmm <- function(largeModel, smallModel, sparse = FALSE) {
  check_fit(largeModel)
  check_flag(sparse, "sparse")
  L <- nested_models(largeModel, smallModel)$L
  if (sparse) methods::as(Matrix::Matrix(L, sparse = TRUE), "CsparseMatrix") else L
}

#' @rdname pbkrtest-lmm
#' @aliases vcovAdj.lmm
vcovAdj.lmm <- function(object, details = 0) {
  check_fit(object)
  object <- refit_reml(object, "Kenward-Roger")
  pieces <- adjustment_pieces(object)
  variance <- ddf_for(object, "Kenward-Roger")$variance
  attr(variance, "P") <- pieces$P
  attr(variance, "W") <- pieces$W
  variance
}

#' Derivatives of X'V^-1X and the covariance matrix of the variance parameters
#' @noRd
adjustment_pieces <- function(object) {
  require_maximum(object, "ddf = \"Kenward-Roger\"")
  pieces <- engine_inference(engine_kenward_roger, object)
  r <- object$rank
  information <- crossprod(object$rx)
  derivatives <- array(pieces$derivatives, c(r, r, nrow(pieces$w)))
  list(
    P = lapply(seq_len(nrow(pieces$w)), function(i) {
      information %*% derivatives[, , i] %*% information / object$sigma^2
    }),
    # about some parameters the data may say nothing
    W = ifelse(is.infinite(pieces$w), 0, pieces$w)
  )
}

#' The constants of Kenward and Roger (1997, section 3) under their names in 'pbkrtest'
#' @noRd
kenward_roger_constants <- function(object, L) {
  traces <- kenward_roger_traces(object, L)
  a1 <- traces[["A1"]]
  a2 <- traces[["A2"]]
  q <- nrow(L)
  b <- (a1 + 6 * a2) / (2 * q)
  g <- ((q + 1) * a1 - (q + 4) * a2) / ((q + 2) * a2)
  below <- 3 * q + 2 * (1 - g)
  v <- 1 + c(g, g - q, g - q - 2) / below * b
  rho <- ((1 - a2 / q) / v[[2L]])^2 * v[[1L]] / v[[3L]] / q
  c(traces, V0 = v[[1L]], V1 = v[[2L]], V2 = v[[3L]], rho = rho)
}

#' A1 and A2
#' @noRd
kenward_roger_traces <- function(object, L) {
  pieces <- adjustment_pieces(object)
  phi <- vcov.lmm(object)
  theta <- t(L) %*% solve(L %*% phi %*% t(L), L)
  sides <- lapply(pieces$P, function(P) theta %*% phi %*% P %*% phi)
  traces <- vapply(sides, function(side) sum(diag(side)), 0)
  products <- outer(seq_along(sides), seq_along(sides), Vectorize(function(i, j) {
    sum(sides[[i]] * t(sides[[j]]))
  }))
  c(A1 = sum(pieces$W * outer(traces, traces)), A2 = sum(pieces$W * products))
}

#' @rdname pbkrtest-lmm
#' @aliases get_Lb_ddf.lmm
get_Lb_ddf.lmm <- function(object, L) {
  check_fit(object)
  inference <- ddf_for(object, "Kenward-Roger")
  L <- contrast_matrix(L, 0, inference$object)$L
  if (nrow(L) == 1L) {
    return(inference$single(L))
  }
  inference$joint(L, numeric(nrow(L)))$dendf
}

#' @rdname pbkrtest-lmm
#' @aliases get_ddf_Lb.lmm
get_ddf_Lb.lmm <- function(object, Lcoef) {
  get_Lb_ddf.lmm(object, Lcoef)
}

#' @noRd
getLRT.lmm <- function(largeModel, smallModel) {
  check_fit(largeModel)
  models <- nested_models(largeModel, smallModel)
  if (is.null(models$small)) {
    ferrolmm_abort("`smallModel` must be a model, or changes to the formula.", "argument")
  }
  for (model in models[c("large", "small")]) {
    require_maximum(model, "A likelihood ratio test")
  }
  large <- log_likelihood(refitML.lmm(models$large))
  small <- log_likelihood(refitML.lmm(models$small))
  statistic <- 2 * (as.numeric(large) - as.numeric(small))
  df <- attr(large, "df") - attr(small, "df")
  c(tobs = statistic, df = df, p.value = stats::pchisq(statistic, df, lower.tail = FALSE))
}
