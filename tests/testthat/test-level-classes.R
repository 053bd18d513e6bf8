# Classes of levels with covariances of their own, through the binding: R has no syntax for them.
# Levels that are nested in the classes are fitted by lme4 with a term for each class, whose columns
# are zero outside of it.

# The engine's model of a formula without classes, with those of one grouping factor's levels
with_classes <- function(formula, data, group, by) {
  fit <- lmm(formula, data)
  model <- model_of(engine_inputs(fit))
  first <- match(levels(fit$flist[[group]]), data[[group]])
  classes <- list(codes = as.integer(data[[by]][first]), count = nlevels(data[[by]]))
  for (t in which(names(fit$cnms) == group)) model$terms[[t]]$classes <- classes
  model
}

fit_classes <- function(model, reml = TRUE, start = NULL, control = lmm_control()) {
  engine_fit(model, reml, start, control, optimize = is.null(start))
}

test_that("a variance for each class is that of lme4 with a term for each class", {
  skip_if_not_installed("lme4")
  data <- nlme::Orthodont
  data$male <- as.numeric(data$Sex == "Male")
  data$female <- 1 - data$male
  data$Subject <- factor(data$Subject, ordered = FALSE)
  model <- with_classes(distance ~ age * Sex + (1 | Subject), data, "Subject", "Sex")
  for (reml in c(TRUE, FALSE)) {
    found <- fit_classes(model, reml)
    other <- lme4::lmer(
      distance ~ age * Sex + (0 + male | Subject) + (0 + female | Subject), data,
      REML = reml, control = lme4::lmerControl(optCtrl = list(xtol_abs = 1e-10, ftol_abs = 1e-12))
    )
    expect_equal(found$criterion, -2 * as.numeric(logLik(other)), tolerance = 1e-9)
    expect_equal(found$theta, unname(lme4::getME(other, "theta")), tolerance = 1e-4)
    expect_equal(found$beta, unname(lme4::fixef(other)), tolerance = 1e-6)
    expect_equal(found$sigma, sigma(other), tolerance = 1e-4)
    b <- lme4::ranef(other)$Subject
    expect_equal(found$b, b$male + b$female, tolerance = 1e-4)
    # class after class, as the levels of Sex: Male, Female
    expect_length(found$theta, 2L)
    expect_identical(found$certificate$status, "converged")
    expect_length(found$certificate$rank, 2L)
  }
})

test_that("slopes and their inference by class are those of lme4, lmerTest and pbkrtest", {
  skip_if_not_installed("lmerTest")
  skip_if_not_installed("pbkrtest")
  data <- nlme::Orthodont
  data$male <- as.numeric(data$Sex == "Male")
  data$female <- 1 - data$male
  data$time <- (data$age - 11) / 2
  data$Subject <- factor(data$Subject, ordered = FALSE)
  model <- with_classes(distance ~ time * Sex + (1 + time | Subject), data, "Subject", "Sex")
  found <- fit_classes(model)
  other <- suppressMessages(lmerTest::lmer(
    distance ~ time * Sex + (0 + male + male:time | Subject) + (0 + female + female:time | Subject),
    data
  ))
  expect_equal(found$criterion, -2 * as.numeric(logLik(other)), tolerance = 1e-7)
  expect_lte(found$criterion, -2 * as.numeric(logLik(other)) + 1e-8)
  expect_equal(found$theta, unname(lme4::getME(other, "theta")), tolerance = 1e-3)
  # the engine's matrix of the coefficients, and Satterthwaite's degrees of freedom of each
  control <- lmm_control()
  ddf <- engine_satterthwaite(model, found$theta, TRUE, control)
  r <- length(found$beta)
  slopes <- array(ddf$vcov_gradient, c(r, r, length(ddf$vcov_gradient) / r^2))
  of_coefficient <- vapply(seq_len(r), function(c) {
    g <- slopes[c, c, ]
    2 * (found$sigma^2 * found$vcov_unscaled[c, c])^2 / drop(g %*% ddf$covariance %*% g)
  }, 0)
  expected <- summary(other)$coefficients
  expect_equal(of_coefficient, unname(expected[, "df"]), tolerance = 1e-2)
  expect_equal(
    found$sigma * sqrt(diag(found$vcov_unscaled)), unname(expected[, "Std. Error"]),
    tolerance = 1e-4
  )
  adjusted <- engine_kenward_roger(model, found$theta, TRUE, control, "ignored")$adjusted
  expect_equal(
    found$sigma^2 * matrix(adjusted, r), unname(as.matrix(pbkrtest::vcovAdj(other))),
    tolerance = 1e-3
  )
  variances <- engine_conditional_variances(model, found$theta, TRUE, control)
  expect_length(variances[[1L]], 4L * nlevels(data$Subject))
})

test_that("the user's start, held and tied values are by class", {
  data <- nlme::Orthodont
  data$Subject <- factor(data$Subject, ordered = FALSE)
  model <- with_classes(distance ~ age + (1 | Subject), data, "Subject", "Sex")
  free <- fit_classes(model)
  at <- fit_classes(model, start = c(1.2, 0.7))
  expect_equal(at$theta, c(1.2, 0.7), tolerance = 1e-12)
  # by definition
  class <- as.integer(data$Sex)
  same <- outer(data$Subject, data$Subject, "==")
  v <- diag(nrow(data)) + same * c(1.2, 0.7)[class]^2
  x <- cbind(1, data$age)
  xvx <- crossprod(x, solve(v, x))
  beta <- solve(xvx, crossprod(x, solve(v, data$distance)))
  e <- data$distance - x %*% beta
  degrees <- nrow(data) - 2
  scale <- 2 * pi * drop(crossprod(e, solve(v, e))) / degrees
  expect_equal(
    at$criterion,
    c(determinant(v)$modulus + determinant(xvx)$modulus) + degrees * (1 + log(scale)),
    tolerance = 1e-12
  )
  expect_equal(at$beta, drop(beta), tolerance = 1e-10)
  options <- engine_options(TRUE, NULL, lmm_control(), TRUE)
  tied <- engine_value(rs_fit(model, c(options[names(options) != "tie"], list(tie = c(1L, 1L)))))
  expect_equal(tied$criterion, lmm(distance ~ age + (1 | Subject), data)$criterion)
  held <- engine_value(rs_fit(model, c(options[names(options) != "hold"], list(hold = c(NA, 1)))))
  expect_equal(held$theta[2L], 1)
  expect_gt(held$criterion, free$criterion)
})

test_that("fits from moments know classes", {
  data <- nlme::Orthodont
  data$Subject <- factor(data$Subject, ordered = FALSE)
  model <- with_classes(distance ~ age + (1 | Subject), data, "Subject", "Sex")
  found <- fit_classes(model)
  moments <- engine_moments(model, lmm_control())
  of_moments <- engine_model_of_moments(model, moments)
  expect_equal(fit_classes(of_moments)$theta, found$theta, tolerance = 1e-8)
  expect_equal(fit_classes(of_moments)$criterion, found$criterion, tolerance = 1e-11)
})

test_that("classes that do not fit the levels are refused", {
  data <- nlme::Orthodont
  data$Subject <- factor(data$Subject, ordered = FALSE)
  model <- with_classes(distance ~ age + (1 | Subject), data, "Subject", "Sex")
  model$terms[[1L]]$classes$codes <- rep(1L, 27L)
  expect_error(fit_classes(model), class = "ferrolmm_error_dimension")
  model$terms[[1L]]$classes$codes <- 1:2
  expect_error(fit_classes(model), class = "ferrolmm_error_dimension")
})

test_that("a known matrix between levels of different classes is refused, and taken within them", {
  data <- nlme::Orthodont
  data$Subject <- factor(data$Subject, ordered = FALSE)
  n <- nlevels(data$Subject)
  sex <- data$Sex[match(levels(data$Subject), data$Subject)]
  K <- diag(0.7, n) + 0.3
  dimnames(K) <- list(levels(data$Subject), levels(data$Subject))
  model <- with_classes(distance ~ age + us(1 | Subject, cov = K), data, "Subject", "Sex")
  expect_error(fit_classes(model), class = "ferrolmm_error_known")
  K <- K * outer(sex, sex, "==")
  model <- with_classes(distance ~ age + us(1 | Subject, cov = K), data, "Subject", "Sex")
  found <- fit_classes(model)
  # by definition
  d <- found$theta[as.integer(data$Sex)]
  v <- diag(nrow(data)) + K[data$Subject, data$Subject] * outer(d, d)
  x <- cbind(1, data$age)
  xvx <- crossprod(x, solve(v, x))
  e <- data$distance - x %*% found$beta
  degrees <- nrow(data) - 2
  scale <- 2 * pi * drop(crossprod(e, solve(v, e))) / degrees
  expect_equal(
    found$criterion,
    c(determinant(v)$modulus + determinant(xvx)$modulus) + degrees * (1 + log(scale)),
    tolerance = 1e-11
  )
})

test_that("terms of one grouping factor may have classes of their own", {
  skip_if_not_installed("lme4")
  data <- nlme::Orthodont
  data$male <- as.numeric(data$Sex == "Male")
  data$female <- 1 - data$male
  data$time <- (data$age - 11) / 2
  data$Subject <- factor(data$Subject, ordered = FALSE)
  model <- with_classes(
    distance ~ time * Sex + (1 | Subject) + (0 + time | Subject), data, "Subject", "Sex"
  )
  model$terms[[2L]]$classes <- NULL
  found <- fit_classes(model)
  other <- suppressMessages(lme4::lmer(
    distance ~ time * Sex + (0 + male | Subject) + (0 + female | Subject) + (0 + time | Subject),
    data
  ))
  expect_equal(found$criterion, -2 * as.numeric(logLik(other)), tolerance = 1e-8)
  expect_equal(found$theta, unname(lme4::getME(other, "theta")), tolerance = 1e-3)
  b <- lme4::ranef(other)$Subject
  expect_equal(found$b, c(b$male + b$female, b$time), tolerance = 1e-3)
})
