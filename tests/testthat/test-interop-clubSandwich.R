test_that("robust covariance matrices are those of the same model by lmer()", {
  skip_if_not_installed("clubSandwich")
  skip_if_not_installed("lme4")
  library(clubSandwich, warn.conflicts = FALSE)
  d <- as.data.frame(nlme::Orthodont)
  formulas <- list(
    distance ~ age + Sex + (1 | Subject), distance ~ age * Sex + (age | Subject)
  )
  for (formula in formulas) {
    fit <- lmm(formula, d)
    theirs <- suppressWarnings(lme4::lmer(formula, d, start = unname(fit$theta)))
    for (type in c("CR0", "CR1", "CR2", "CR3")) {
      expect_equal(
        as.matrix(vcovCR(fit, type = type)), as.matrix(vcovCR(theirs, type = type)),
        tolerance = 1e-5, ignore_attr = TRUE
      )
    }
    expect_equal(
      coef_test(fit, vcov = "CR2")$p_Satt, coef_test(theirs, vcov = "CR2")$p_Satt, tolerance = 1e-4
    )
  }
})

test_that("weights and structures of residuals are in it", {
  skip_if_not_installed("clubSandwich")
  d <- as.data.frame(nlme::Orthodont)
  d$w <- seq(1, 3, length.out = nrow(d))
  fit <- lmm(distance ~ age + Sex, d, residual = ~ ar1(age | Subject), weights = w)
  # by the formula, with dense matrices
  X <- model.matrix(fit)
  V <- as.matrix(getME(fit, "R"))
  bread <- vcov(fit)
  r <- residuals(fit, type = "marginal")
  meat <- Reduce(`+`, lapply(split(seq_along(r), d$Subject), function(i) {
    tcrossprod(t(X[i, ]) %*% solve(V[i, i], r[i]))
  }))
  expect_equal(
    as.matrix(clubSandwich::vcovCR(fit, type = "CR0")), bread %*% meat %*% bread,
    ignore_attr = TRUE, tolerance = 1e-8
  )
})

test_that("clusters must be independent", {
  skip_if_not_installed("clubSandwich")
  fit <- lmm(distance ~ age + (1 | Subject), nlme::Orthodont)
  expect_error(
    clubSandwich::vcovCR(fit, cluster = nlme::Orthodont$age, type = "CR0"), "`Subject`",
    class = "ferrolmm_error_argument"
  )
  expect_error(
    clubSandwich::vcovCR(fit, cluster = 1:3, type = "CR0"), "`cluster`",
    class = "ferrolmm_error_argument"
  )
  expect_error(clubSandwich::vcovCR(fit), "`type`", class = "ferrolmm_error_argument")
  wide <- clubSandwich::vcovCR(fit, cluster = nlme::Orthodont$Sex, type = "CR0")
  expect_identical(nlevels(attr(wide, "cluster")), 2L)
})
