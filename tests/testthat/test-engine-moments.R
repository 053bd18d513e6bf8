# The engine's result for a model at the optimum, as near as digits allow.
exact_fit <- function(model, reml = TRUE) {
  engine_fit(model, reml, NULL, lmm_control(tolerance = 1e-22))
}

expect_same_fit <- function(from_moments, from_rows, tolerance = 1e-11) {
  for (what in c("criterion", "theta", "beta", "sigma", "vcov_unscaled", "b", "ldL2", "pwrss")) {
    expect_equal(from_moments[[!!what]], from_rows[[!!what]], tolerance = tolerance)
  }
  expect_identical(from_moments$certificate$status, from_rows$certificate$status)
}

test_that("moments that are taken out and put in again give the fit of the rows", {
  sleepstudy <- lme4::sleepstudy
  sleepstudy$w <- 1 + seq_len(nrow(sleepstudy)) %% 4
  fits <- list(
    lmm(Reaction ~ Days + (Days | Subject), sleepstudy),
    lmm(Reaction ~ Days + (Days || Subject), sleepstudy, weights = w),
    lmm(diameter ~ 1 + (1 | plate) + (1 | sample), lme4::Penicillin),
    lmm(strength ~ 1 + (1 | batch / cask), lme4::Pastes, REML = FALSE),
    lmm(Reaction ~ poly(Days, 3) + offset(Days^2) + (1 | Subject), sleepstudy),
    suppressMessages(lmm(Reaction ~ Days + I(2 * Days) + (1 | Subject), sleepstudy))
  )
  for (fit in fits) {
    model <- model_of(engine_inputs(fit))
    moments <- engine_moments(model, lmm_control())
    # as they would come from a file
    moments <- unserialize(serialize(moments, NULL))
    alone <- engine_model_of_moments(model, moments)
    expect_length(alone$y, 0L)
    expect_same_fit(exact_fit(alone, fit$REML), exact_fit(model, fit$REML))
    expect_length(exact_fit(alone, fit$REML)$fitted, 0L)
  }
})

test_that("known covariance matrices of levels go with moments", {
  set.seed(6)
  k <- crossprod(matrix(rnorm(400), 20)) / 20 + diag(20)
  dimnames(k) <- list(letters[1:20], letters[1:20])
  d <- data.frame(id = factor(rep(letters[1:20], 3)), x = rnorm(60))
  d$y <- d$x + crossprod(chol(k), rnorm(20))[as.integer(d$id)] + rnorm(60)
  fit <- lmm(y ~ x + us(1 | id, cov = k), d)
  model <- model_of(engine_inputs(fit))
  alone <- engine_model_of_moments(model, engine_moments(model, lmm_control()))
  expect_same_fit(exact_fit(alone), exact_fit(model))
})

test_that("ddf need no rows, leverages say that they do", {
  fit <- lmm(Reaction ~ Days + (Days | Subject), lme4::sleepstudy)
  model <- model_of(engine_inputs(fit))
  alone <- engine_model_of_moments(model, engine_moments(model, lmm_control()))
  control <- lmm_control()
  expect_equal(
    engine_satterthwaite(alone, fit$theta, TRUE, control),
    engine_satterthwaite(model, fit$theta, TRUE, control),
    tolerance = 1e-9
  )
  expect_equal(
    engine_kenward_roger(alone, fit$theta, TRUE, control),
    engine_kenward_roger(model, fit$theta, TRUE, control),
    tolerance = 1e-9
  )
  expect_error(
    engine_leverages(alone, fit$theta, TRUE, control),
    class = "ferrolmm_error_needs_rows"
  )
})

test_that("there are no moments of a model with a residual structure", {
  d <- transform(lme4::sleepstudy, day = factor(Days))
  fit <- lmm(Reaction ~ Days, d, residual = ~ ar1(day | Subject))
  expect_error(
    engine_moments(model_of(engine_inputs(fit)), lmm_control()),
    class = "ferrolmm_error_dimension"
  )
})
