# Random effects many orders of magnitude larger than residuals: balanced data have closed forms,
# here at the parameters of the fit itself, so that where the optimiser stops makes no difference.

relative <- function(x, y) max(abs(x - y) / abs(y))

test_that("one factor keeps its digits up to theta 1e7", {
  for (scale in 10^(3:7)) {
    set.seed(1)
    J <- 12
    n <- 5
    d <- data.frame(g = gl(J, n))
    d$y <- 3 + scale * rnorm(J)[d$g] + rnorm(J * n)
    fit <- lmm(y ~ 1 + (1 | g), d)
    theta <- fit$theta
    means <- tapply(d$y, d$g, mean)
    expect_gt(theta, 0.5 * scale)
    se <- sigma(fit) * sqrt((1 + n * theta^2) / (J * n))
    for (ddf in c("Satterthwaite", "Kenward-Roger")) {
      found <- summary(fit, ddf = ddf)$coefficients
      expect_lt(relative(found[, "Std. Error"], se), 1e-10)
      expect_lt(relative(found[, "df"], J - 1), 1e-6)
    }
    shrunken <- n * theta^2 / (1 + n * theta^2) * (means - mean(means))
    effects <- ranef(fit, condVar = TRUE)$g
    expect_lt(max(abs(effects[[1]] - shrunken)), 1e-12 * max(abs(shrunken)))
    variances <- as.numeric(attr(effects, "postVar"))
    expect_lt(relative(variances, sigma(fit)^2 * theta^2 / (1 + n * theta^2)), 1e-10)
    new <- predict(fit, data.frame(g = d$g[1]), se.fit = TRUE)
    expect_equal(new$fit[[1]], mean(means) + shrunken[[1]], tolerance = 1e-12)
  }
})

test_that("a slope that varies keeps its digits too", {
  for (scale in 10^c(3, 5, 7)) {
    set.seed(2)
    J <- 12
    x <- c(-1.3, -0.4, 0.2, 0.9, 2.1)
    d <- data.frame(g = gl(J, 5), x = rep(x, J))
    u <- scale * matrix(rnorm(2 * J), J)
    d$y <- 3 + d$x + u[cbind(d$g, 1)] + u[cbind(d$g, 2)] * d$x + rnorm(5 * J)
    fit <- lmm(y ~ x + (x | g), d)
    # Var(beta) = (sigma^2 (X'X)^-1 + G) / J, all levels having the same X
    right <- (sigma(fit)^2 * solve(crossprod(cbind(1, x))) + VarCorr(fit)$g[1:2, 1:2]) / J
    expect_lt(relative(as.matrix(vcov(fit)), right), 1e-9)
    expect_lt(relative(summary(fit)$coefficients[, "df"], J - 1), 1e-6)
  }
})

test_that("of a nested factor the outer one may be small", {
  set.seed(3)
  d <- expand.grid(k = 1:3, b = 1:4, a = gl(8, 1))
  d$ab <- interaction(d$a, d$b)
  d$y <- 1e5 * rnorm(32)[d$ab] + 3 * rnorm(8)[d$a] + rnorm(96)
  fit <- lmm(y ~ 1 + (1 | ab), d)
  found <- summary(fit)$coefficients
  expect_lt(
    relative(found[, "Std. Error"], sigma(fit) * sqrt((1 + 3 * fit$theta^2) / 96)), 1e-10
  )
})
