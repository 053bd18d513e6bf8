test_that("predictions at other parameters are their conditional modes", {
  fit <- our_twin("weighted")
  other <- list(beta = c(240, 12), theta = c(1.2, 0.1, 0.3), sigma = 20)
  # Henderson's equations for b at given beta and theta
  at <- with_parameters(fit, other)
  X <- model.matrix(fit)
  Z <- as.matrix(getME(fit, "Z"))
  Lambda <- kronecker(diag(18), matrix(c(1.2, 0.1, 0, 0.3), 2))
  W <- diag(weights(fit))
  ZL <- Z %*% Lambda
  u <- solve(t(ZL) %*% W %*% ZL + diag(36), t(ZL) %*% W %*% (fit$frame[[1]] - X %*% other$beta))
  expected <- as.vector(X %*% other$beta + ZL %*% u)
  expect_equal(unname(predict(fit, newparams = other)), expected, tolerance = 1e-8)
  expect_equal(unname(predict(fit, newparams = other, re.form = NA)), as.vector(X %*% other$beta))
  expect_equal(
    unname(predict(fit, fit$frame[1:5, ], newparams = other)), expected[1:5], tolerance = 1e-8
  )
  expect_equal(
    predict(fit, newparams = other, level = 0:1)$predict.Subject, expected, tolerance = 1e-8
  )
  # its own parameters, in any order of names, change nothing
  own <- list(beta = rev(fixef(fit)), theta = rev(fit$theta))
  expect_equal(predict(fit, newparams = own), predict(fit), tolerance = 1e-8)
  for (name in c("offset", "deficient", "missing", "crossed", "no_fixed")) {
    fit <- our_twin(name)
    expect_equal(
      predict(fit, newparams = list(beta = fixef(fit), theta = fit$theta, sigma = sigma(fit))),
      predict(fit), tolerance = 1e-7, info = name
    )
  }
})

test_that("fixed predictions at other parameters are those of 'lme4'", {
  skip_if_not_installed("lme4")
  fit <- our_twin("slope")
  theirs <- lme4_twin("slope")
  beta <- c(`(Intercept)` = 200, Days = 5)
  expect_equal(
    predict(fit, newparams = list(beta = beta), re.form = NA),
    predict(theirs, newparams = list(beta = beta, theta = lme4::getME(theirs, "theta"),
                                     sigma = sigma(theirs)), re.form = NA)
  )
})

test_that("simulations at other parameters have their distribution", {
  d <- nlme::Orthodont
  d$visit <- factor(d$age)
  fit <- lmm(distance ~ age * Sex, d, residual = ~ ar1(visit | Subject))
  phi <- fit$phi
  phi[] <- 0.9
  drawn <- as.matrix(simulate(
    fit, 2000, seed = 1, newparams = list(beta = c(0, 0, 0, 0), phi = phi, sigma = 3)
  ))
  expect_equal(mean(drawn), 0, tolerance = 0.1)
  expect_equal(sd(drawn), 3, tolerance = 0.02)
  expect_equal(cor(drawn[1, ], drawn[2, ]), 0.9, tolerance = 0.02)
  fit <- lmm(distance ~ age + (1 | Subject), d)
  drawn <- as.matrix(simulate(fit, 2000, seed = 1, newparams = list(theta = 2, sigma = 1)))
  expect_equal(mean(apply(drawn, 1, var)), 5, tolerance = 0.05)
  # kept random effects are those at the new parameters
  kept <- simulate(fit, 400, seed = 1, newparams = list(sigma = 1e-6), re.form = NULL)
  expect_equal(rowMeans(kept), predict(fit, newparams = list(sigma = 1)), tolerance = 1e-5)
})

test_that("other parameters are checked", {
  fit <- our_twin("slope")
  expect_error(predict(fit, newparams = list(beta = 1)), "2 numbers",
               class = "ferrolmm_error_argument")
  expect_error(predict(fit, newparams = list(beta = c(a = 1, b = 2))), "other names",
               class = "ferrolmm_error_argument")
  expect_error(predict(fit, newparams = list(betas = 1)), "some of",
               class = "ferrolmm_error_argument")
  expect_error(predict(fit, newparams = list(theta = c(-1, 0, 1))), "impossible",
               class = "ferrolmm_error_argument")
  expect_error(simulate(fit, newparams = list(sigma = 0)), "impossible",
               class = "ferrolmm_error_argument")
  expect_error(predict(fit, newparams = list(sigma = 2), se.fit = TRUE), "standard errors",
               class = "ferrolmm_error_argument")
})
