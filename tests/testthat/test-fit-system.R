test_that("Z' and Lambda' are those of their definition, dense", {
  d <- nlme::Orthodont
  for (fit in list(
    lmm(distance ~ age + (age | Subject), d),
    lmm(distance ~ age + cs(0 + factor(age) | Subject), d),
    lmm(distance ~ age + (1 | Subject) + (0 + age | Subject), d)
  )) {
    blocks <- lapply(fit$random, function(term) {
      basis <- do.call(cbind, lapply(term_columns(term, fit$frame), function(x) {
        if (is.null(x)) rep(1, nrow(d)) else x
      }))
      indicators <- stats::model.matrix(~ 0 + fit$flist[[term$factor]])
      do.call(cbind, lapply(seq_len(ncol(indicators)), function(j) indicators[, j] * basis))
    })
    z <- do.call(cbind, blocks)
    expect_equal(as.matrix(build_zt(fit)), t(z), ignore_attr = TRUE)
    expect_identical(effect_levels(fit), rownames(build_zt(fit)))
    factors <- Map(function(factor, term) {
      kronecker(diag(nlevels(fit$flist[[term$factor]])), factor)
    }, theta_matrix(fit$theta, fit$random), fit$random)
    lambda <- as.matrix(Matrix::bdiag(factors))
    expect_equal(as.matrix(build_lambdat(fit)), t(lambda), ignore_attr = TRUE)
    expect_equal(
      as.numeric(Matrix::determinant(cholesky_of_system(fit), sqrt = TRUE)$modulus),
      0.5 * as.numeric(determinant(crossprod(z %*% lambda) + diag(ncol(z)))$modulus)
    )
  }
})

test_that("theta of a structure is no entry of a factor", {
  fit <- lmm(distance ~ age + cs(0 + factor(age) | Subject), nlme::Orthodont)
  expect_false(has_factor_theta(fit))
  expect_error(lambdat_pattern(fit), "`Lind`", class = "ferrolmm_error_argument")
})

test_that("rows are whitened by their variances and correlations", {
  d <- nlme::Orthodont
  fit <- lmm(distance ~ age, d, correlation = corAR1(form = ~ 1 | Subject),
             weights = varIdent(form = ~ 1 | Sex))
  r <- as.matrix(getME(fit, "R")) / sigma(fit)^2
  x <- whiten_rows(fit, fixed_model_matrix(fit))
  expect_equal(
    crossprod(x), crossprod(fixed_model_matrix(fit), solve(r, fixed_model_matrix(fit))),
    ignore_attr = TRUE
  )
  expect_equal(crossprod(build_rx(fit)), crossprod(x), ignore_attr = TRUE, tolerance = 1e-8)
})
