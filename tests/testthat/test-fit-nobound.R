# Fits whose variances have no bounds: against analysis of variance, V formed n x n, gls() with
# compound symmetry, and fits with bounds whose optimum is inside.

free <- lmm_control(nobound = TRUE)

# groups whose means vary less than independent observations would
repelled <- function(seed, groups = 12L, size = 4L, share = 0.5) {
  set.seed(seed)
  g <- gl(groups, size)
  e <- rnorm(groups * size)
  x <- rnorm(groups * size)
  data.frame(g, x, h = gl(size, 1L, groups * size), y = x + e - share * ave(e, g))
}

dense_v <- function(fit) {
  z <- suppressMessages(as.matrix(getME(update(fit, control = lmm_control()), "Z")))
  g <- Map(function(v, term) {
    kronecker(diag(nlevels(fit$flist[[term$factor]])), matrix(v, nrow(v)))
  }, unclass(VarCorr(fit)), fit$random)
  weights <- if (is.null(weights(fit))) rep(1, nobs(fit)) else weights(fit)
  sigma(fit)^2 * diag(1 / weights) + z %*% as.matrix(Matrix::bdiag(unname(g))) %*% t(z)
}

dense_criterion <- function(fit) {
  v <- dense_v(fit)
  x <- model.matrix(fit)
  y <- model.response(model.frame(fit))
  vi <- solve(v)
  a <- t(x) %*% vi %*% x
  r <- y - x %*% solve(a, t(x) %*% vi %*% y)
  n <- length(y) - if (isREML(fit)) ncol(x) else 0
  log_det <- function(m) c(determinant(m)$modulus)
  log_det(v) + (if (isREML(fit)) log_det(a) else 0) + drop(t(r) %*% vi %*% r) + n * log(2 * pi)
}

test_that("a balanced one-way layout has the estimates of the analysis of variance", {
  d <- repelled(1)
  fit <- lmm(y ~ 1 + (1 | g), d, control = free)
  squares <- anova(lm(y ~ g, d))[["Mean Sq"]]
  expect_equal(VarCorr(fit)$g[1, 1], (squares[[1]] - squares[[2]]) / 4, tolerance = 1e-8)
  expect_lt(VarCorr(fit)$g[1, 1], 0)
  expect_equal(sigma(fit)^2, squares[[2]], tolerance = 1e-8)
  expect_equal(c(vcov(fit)), squares[[1]] / nrow(d), tolerance = 1e-8)
  expect_identical(fit$certificate$status, "converged")
  # Var of a mean square is 2 E(MS)^2 / df
  se <- sqrt((2 * squares[[1]]^2 / 11 + 2 * squares[[2]]^2 / 36) / 16)
  expect_equal(sqrt(vcov(fit, which = "theta")[1, 1]), se, tolerance = 1e-6)
})

test_that("balanced nested and crossed layouts have the estimates of the analysis of variance", {
  set.seed(3)
  d <- expand.grid(r = 1:3, b = factor(1:4), a = factor(1:6))
  d$y <- rnorm(72) + rnorm(6)[d$a]
  d$y <- d$y - 0.5 * ave(d$y, d$a, d$b) + 0.5 * ave(d$y, d$a)
  fit <- lmm(y ~ 1 + (1 | a / b), d, control = free)
  m <- anova(lm(y ~ a + a:b, d))[["Mean Sq"]]
  v <- vapply(VarCorr(fit)[c("a", "b:a")], function(v) v[1, 1], 0)
  expect_equal(unname(v), c(m[[1]] - m[[2]], 4 * (m[[2]] - m[[3]])) / 12, tolerance = 1e-7)
  expect_lt(v[["b:a"]], 0)
  d$y <- rnorm(72) + rnorm(6)[d$a]
  d$y <- d$y - 0.4 * ave(d$y, d$b)
  fit <- lmm(y ~ 1 + (1 | a) + (1 | b), d, control = free)
  m <- anova(lm(y ~ a + b, d))[["Mean Sq"]]
  v <- vapply(VarCorr(fit)[c("a", "b")], function(v) v[1, 1], 0)
  expect_equal(unname(v), (m[1:2] - m[[3]]) / c(12, 18), tolerance = 1e-7)
})

test_that("criterion, effects and their errors are those of V formed n x n", {
  d <- repelled(2)[-c(1, 7, 8, 20), ]
  d$w <- runif(nrow(d), 0.5, 2)
  d$k <- factor(rep(1:5, length.out = nrow(d)))
  for (reml in c(TRUE, FALSE)) {
    # the likelihood of slopes has no maximum without restriction
    slopes <- if (reml) y ~ x + (x || g)
    for (formula in c(y ~ x + (1 | g), slopes, y ~ x + (1 | g) + (1 | k))) {
      fit <- lmm(formula, d, REML = reml, weights = w, control = free)
      expect_identical(fit$certificate$status, "converged")
      expect_equal(c(-2 * logLik(fit)), dense_criterion(fit), tolerance = 1e-8)
      # b = G Z'V^-1 (y - X beta)
      v <- dense_v(fit)
      noise <- sigma(fit)^2 / d$w
      marginal <- d$y - model.matrix(fit) %*% fixef(fit)
      expect_equal(
        unname(residuals(fit)), unname(drop(noise * solve(v, marginal))), tolerance = 1e-7
      )
      expect_equal(
        unname(vcov(fit)), unname(solve(t(model.matrix(fit)) %*% solve(v, model.matrix(fit)))),
        tolerance = 1e-8
      )
    }
  }
})

test_that("there may be no maximum", {
  d <- repelled(2)[-c(1, 7, 8, 20), ]
  d$w <- runif(nrow(d), 0.5, 2)
  expect_error(
    lmm(y ~ x + (x || g), d, REML = FALSE, weights = w, control = free),
    class = "ferrolmm_error_no_maximum"
  )
})

test_that("it is the model of gls() with a negative correlation", {
  skip_if_not_installed("nlme")
  d <- repelled(4)[-c(3, 9), ]
  fit <- lmm(y ~ x + (1 | g), d, control = free)
  other <- nlme::gls(y ~ x, d, correlation = nlme::corCompSymm(-0.1, ~ 1 | g))
  expect_equal(c(logLik(fit)), c(logLik(other)), tolerance = 1e-7)
  expect_equal(unname(vcov(fit)), unname(vcov(other)), tolerance = 1e-4)
  own <- lmm(y ~ x, d, residual = ~ cs(1 | g))
  expect_equal(c(logLik(fit)), c(logLik(own)), tolerance = 1e-9)
  expect_equal(
    contest(fit, c(0, 1))$df, contest(own, c(0, 1))$df, tolerance = 1e-4
  )
})

test_that("where the optimum with bounds is inside, everything is as there", {
  d <- lme4::sleepstudy
  bounded <- lmm(Reaction ~ Days + (Days | Subject), d)
  fit <- update(bounded, control = free)
  same <- function(f, ...) expect_equal(f(fit, ...), f(bounded, ...), tolerance = 1e-6)
  expect_equal(c(logLik(fit)), c(logLik(bounded)), tolerance = 1e-10)
  same(fixef)
  same(vcov)
  same(function(x) as.data.frame(VarCorr(x)))
  same(fitted)
  same(ranef)
  same(function(x) predict(x, se.fit = TRUE)$se.fit)
  new <- data.frame(Days = 3, Subject = "new")
  same(function(x) predict(x, new, allow.new.levels = TRUE, se.fit = TRUE)$se.fit)
  same(function(x) as.data.frame(anova(x)))
  same(function(x) as.data.frame(anova(x, ddf = "Kenward-Roger")))
  expect_equal(
    vcov(fit, which = "theta"), vcov(bounded, which = "theta", scale = "vcov"), tolerance = 1e-5
  )
  crossed <- lmm(diameter ~ 1 + (1 | plate) + (1 | sample), lme4::Penicillin)
  fit <- update(crossed, control = free)
  expect_equal(c(logLik(fit)), c(logLik(crossed)), tolerance = 1e-10)
  expect_equal(
    vcov(fit, which = "theta"), vcov(crossed, which = "theta", scale = "vcov"), tolerance = 1e-5
  )
  expect_equal(anova(fit, ddf = "KR"), anova(crossed, ddf = "KR"), tolerance = 1e-6)
})

test_that("a variance of zero is tested with all degrees of freedom", {
  d <- repelled(5)
  fit <- lmm(y ~ x + (1 | g), d, control = free)
  table <- ranova(fit)
  ratio <- c(-2 * logLik(lm(y ~ x, d), REML = TRUE)) - c(-2 * logLik(fit))
  expect_equal(table$LRT[[2]], ratio, tolerance = 1e-7)
  expect_equal(table[["Pr(>Chisq)"]][[2]], pchisq(ratio, 1, lower.tail = FALSE), tolerance = 1e-6)
  expect_false("Pr(>LRT)" %in% names(table))
  expect_error(ranova(fit, distribution = "finite"), class = "ferrolmm_error_nobound")
  expect_error(
    anova(fit, lmm(y ~ x + (1 | g) + (1 | h), d)), class = "ferrolmm_error_nobound"
  )
})

test_that("simulated responses have the covariance matrix of the model", {
  d <- repelled(6, groups = 3L)
  fit <- lmm(y ~ 1 + (1 | g), d, control = free)
  drawn <- as.matrix(simulate(fit, 4000, seed = 1))
  expect_lt(max(abs(cov(t(drawn)) - dense_v(fit))), 0.12 * sigma(fit)^2)
})

test_that("a negative variance is shown as one", {
  fit <- lmm(y ~ x + (1 | g), repelled(1), control = free)
  expect_output(print(VarCorr(fit)), "Variance")
  expect_output(print(VarCorr(fit)), "-0[.]")
  expect_output(print(summary(fit)), "-0[.]")
  expect_true(all(is.na(fit$theta)))
  expect_identical(names(fit$covariances), names(fit$theta))
  expect_identical(rownames(confint(fit))[[1]], "var_(Intercept)|g")
  limits <- confint(fit)[1, ]
  expect_equal(unname(sum(limits) / 2), VarCorr(fit)$g[1, 1])
})

test_that("what does not hold is refused by name", {
  d <- repelled(1)
  fit <- lmm(y ~ x + (1 | g), d, control = free)
  refused <- function(code) expect_error(code, class = "ferrolmm_error_nobound")
  refused(profile(fit))
  refused(bootstrap(fit, 2))
  refused(influence(fit))
  refused(hatvalues(fit))
  refused(r_squared(fit))
  refused(getME(fit, "theta"))
  refused(rePCA(fit))
  refused(equations(fit))
  refused(as_lmerMod(fit))
  refused(confint(fit, method = "profile"))
  refused(vcov(fit, type = "CR2"))
  refused(predict(fit, interval = "confidence"))
  refused(simulate(fit, use.u = TRUE))
  refused(residuals(fit, type = "std_marginal"))
  refused(residuals(fit, type = "std_conditional"))
  refused(refit(fit, matrix(rnorm(96), 48)))
  refused(lmm(y ~ x + (1 | g), d, residual = ~ ar1(1 | g), control = free))
  refused(lmm(y ~ x + ar1(0 + h | g), d, control = free))
  refused(lmm(y ~ x + (1 | g), d, control = lmm_control(nobound = TRUE, sigma = 1)))
})

test_that("Satterthwaite and Kenward-Roger at negative variances are those of the dense model", {
  set.seed(4)
  d <- expand.grid(r = 1:4, g = factor(1:15))
  d$h <- factor(d$r)
  v <- diag(4) - 0.22 * (1 - diag(4))
  d$y <- as.vector(replicate(15, t(chol(v)) %*% stats::rnorm(4)))
  d$x <- stats::rnorm(60)
  d$f <- factor(as.integer(d$g) %% 2)
  d <- d[-sample(60, 9), ]
  x <- stats::model.matrix(~ x + f, d)
  z <- lapply(d[c("g", "h")], function(f) stats::model.matrix(~ 0 + f))
  for (bars in c("(1 | g)", "(1 | g) + (1 | h)")) {
    fit <- lmm(
      stats::as.formula(paste("y ~ x + f +", bars)), d, control = lmm_control(nobound = TRUE)
    )
    expect_lt(fit$covariances[[1L]], 0)
    k <- length(fit$covariances)
    variance <- function(nu) {
      Reduce(`+`, Map(function(s, z) s * tcrossprod(z), nu[seq_len(k)], z[seq_len(k)])) +
        nu[[k + 1L]] * diag(nrow(d))
    }
    nu <- c(fit$covariances, 1) * sigma(fit)^2
    model <- brute_model(d$y, x, variance)
    expect_equal(REMLcrit(fit), brute_structures_criterion(model, nu), tolerance = 1e-10)
    expect_lt(max(abs(brute_gradient(model, nu))), 1e-6)
    observed <- brute_structure_inference(model, nu)
    expect_equal(vcov(fit, which = "theta"), observed$w, tolerance = 1e-6, ignore_attr = TRUE)
    expected <- brute_structure_inference(model, nu, expected = TRUE)
    for (l in list(c(0, 1, 0), c(0, 0, 1))) {
      test <- contest(fit, l, joint = FALSE, ddf = "Satterthwaite")
      expect_equal(test$df, observed$satterthwaite(l), tolerance = 1e-6)
    }
    tests <- rbind(c(0, 1, 0), c(0, 0, 1))
    for (rows in list(1L, 2L, 1:2)) {
      ours <- contest(fit, tests[rows, , drop = FALSE], ddf = "Kenward-Roger")
      theirs <- expected$kenward_roger(tests[rows, , drop = FALSE])
      expect_equal(c(ours[["F value"]], ours$DenDF), unname(theirs), tolerance = 1e-6)
    }
  }
})

test_that("predictions that a negative variance leaves without one have no standard error", {
  set.seed(8)
  d <- data.frame(g = factor(rep(1:12, each = 3)), x = rnorm(36))
  # groups are more alike to each other than their rows are
  d$y <- d$x + stats::ave(rnorm(36), d$g, FUN = function(e) e - mean(e)) + rnorm(12, sd = 0.1)[d$g]
  fit <- lmm(y ~ x + (1 | g), d, control = lmm_control(nobound = TRUE))
  expect_lt(fit$covariances[[1L]], 0)
  expect_true(all(is.na(c(fit$theta, fit$u)) & !is.nan(c(fit$theta, fit$u))))
  expect_warning(
    predicted <- predict(fit, data.frame(x = 0, g = "new"), se.fit = TRUE, allow.new.levels = TRUE),
    class = "ferrolmm_warning_nobound"
  )
  expect_true(is.na(predicted$se.fit))
  mean <- predict(fit, data.frame(x = 0), re.form = NA, se.fit = TRUE)
  expect_equal(unname(mean$se.fit), sqrt(vcov(fit)[1, 1]))
})

test_that("means by emmeans and tests by drop1() are those of contest()", {
  skip_if_not_installed("emmeans")
  d <- transform(nlme::Orthodont, w = distance - 0.9 * stats::ave(distance, Subject))
  fit <- lmm(w ~ age * Sex + (1 | Subject), d, control = free)
  expect_lt(fit$covariances[[1L]], 0)
  for (mode in c("satterthwaite", "kenward-roger")) {
    means <- as.data.frame(emmeans::emmeans(fit, "Sex", at = list(age = 9), mode = mode))
    rows <- rbind(c(1, 9, 0, 0), c(1, 9, 1, 9))
    direct <- contest(fit, rows, joint = FALSE, ddf = mode)
    expect_equal(means$SE, direct[["Std. Error"]], tolerance = 1e-8)
    expect_equal(means$df, direct$df, tolerance = 1e-6)
  }
  dropped <- drop1(fit)
  expect_equal(dropped[["F value"]], contest(fit, c(0, 0, 0, 1))[["F value"]], tolerance = 1e-8)
})
