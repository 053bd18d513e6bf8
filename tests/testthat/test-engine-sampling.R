# Robust covariance matrices of pseudo-likelihoods.

test_that("standard errors are those of the clusters' scores by differences", {
  d <- survey_data(5, 10)
  fit <- lmm(y ~ x + (1 | school), d, REML = FALSE, weights = sampling_weights(w1, school = w2))
  # in (beta, tau^2, sigma^2), the closed form of each school
  value <- function(psi) {
    vapply(split(d, d$school), function(own) {
      e <- own$y - psi[1] - psi[2] * own$x
      a <- sum(own$w1) / psi[4]
      b <- sum(own$w1 * e) / psi[4]
      own$w2[[1]] * (-0.5 * sum(own$w1) * log(2 * pi * psi[4]) - 0.5 * sum(own$w1 * e^2) / psi[4] -
                       0.5 * log(1 + psi[3] * a) + 0.5 * b^2 * psi[3] / (1 + psi[3] * a))
    }, 0)
  }
  psi <- c(fixef(fit), VarCorr(fit)$school[1, 1], sigma(fit)^2)
  expect_equal(sum(value(psi)), -fit$criterion / 2, tolerance = 1e-10)
  step <- 1e-4
  move <- function(a, by) replace(psi, a, psi[a] + by * step)
  scores <- vapply(1:4, function(a) {
    (value(move(a, 1)) - value(move(a, -1))) / (2 * step)
  }, double(nlevels(d$school)))
  total <- function(psi) sum(value(psi))
  hessian <- outer(1:4, 1:4, Vectorize(function(a, b) {
    both <- function(x, y) {
      at <- psi
      at[a] <- at[a] + x * 1e-3
      at[b] <- at[b] + y * 1e-3
      total(at)
    }
    (both(1, 1) - both(1, -1) - both(-1, 1) + both(-1, -1)) / 4e-6
  }))
  k <- nlevels(d$school)
  robust <- solve(hessian, crossprod(scores)) %*% solve(hessian) * k / (k - 1)
  expect_equal(vcov(fit), robust[1:2, 1:2], tolerance = 1e-5, ignore_attr = TRUE)
  expect_equal(vcov(fit, which = "theta", scale = "vcov"), robust[3:4, 3:4], tolerance = 1e-4,
               ignore_attr = TRUE)
  table <- coef(summary(fit))
  expect_equal(table[, "Std. Error"], sqrt(diag(vcov(fit))))
  expect_equal(unname(table[, "df"]), rep(k - 1, 2))
  expect_equal(unname(table[, "Pr(>|t|)"]),
               unname(2 * pt(-abs(table[, "t value"]), k - 1)))
  z <- coef(summary(fit, ddf = "asymptotic"))
  expect_equal(z[, "z value"], table[, "t value"])
  limits <- confint(fit)["x", ]
  expect_equal(unname(limits), fixef(fit)[["x"]] +
                 c(-1, 1) * qt(0.975, k - 1) * sqrt(vcov(fit)["x", "x"]))
  expect_equal(anova(fit)["x", "F value"], table["x", "t value"]^2)
  expect_equal(contest(fit, "x = 0", joint = FALSE)[["t value"]], table["x", "t value"])
  at <- data.frame(x = c(0, 2))
  means <- predict(fit, at, re.form = NA, se.fit = TRUE)
  l <- cbind(1, at$x)
  expect_equal(unname(means$se.fit), sqrt(diag(l %*% vcov(fit) %*% t(l))))
})

test_that("a variance of zero leaves robust standard errors", {
  d <- survey_data(11)
  d$y <- d$y - ave(d$y, d$school)
  fit <- suppressMessages(lmm(y ~ x + (1 | school), d, REML = FALSE,
                              weights = sampling_weights(school = w2)))
  expect_true(isSingular(fit))
  x <- cbind(1, d$x)
  e <- d$y - x %*% fixef(fit)
  bread <- solve(crossprod(x, d$w2 * x))
  k <- nlevels(d$school)
  meat <- crossprod(rowsum(x * drop(d$w2 * e), d$school)) * k / (k - 1)
  expect_equal(vcov(fit), bread %*% meat %*% bread, tolerance = 1e-6, ignore_attr = TRUE)
  expect_true(is.na(vcov(fit, which = "theta")[1, 1]))
})
