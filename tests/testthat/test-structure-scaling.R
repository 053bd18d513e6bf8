# Effects with standard deviations of their own and common correlations: another unit of a covariate
# is another unit of its standard deviation and changes nothing else.

set.seed(5)
units_data <- expand.grid(t = 1:6, g = factor(1:12))
units_data$h <- factor(rep_len(1:7, 72))
units_data$x <- rnorm(72)
units_data$x2 <- runif(72)
of_g <- cbind(rnorm(12), rnorm(12))
of_g[, 2] <- 0.7 * of_g[, 2] + 0.5 * of_g[, 1]
units_data$y <- units_data$x + of_g[units_data$g, 1] + of_g[units_data$g, 2] * units_data$x2 +
  0.5 * rnorm(72) + 0.3 * rnorm(7)[units_data$h]

in_units <- function(unit) transform(units_data, z = x2 * unit)
three_units <- c(1e-9, 1, 1e9)

test_that("fits, intervals and tests do not depend on the unit of a covariate", {
  found <- lapply(three_units, function(unit) {
    d <- in_units(unit)
    fit <- lmm(y ~ x + cs(1 + z | g) + (1 | h), d)
    theta <- unname(getME(fit, "theta")) * c(1, unit, 1, 1)
    interval <- suppressWarnings(confint(fit))
    interval[2L, ] <- interval[2L, ] * unit
    drawn <- simulate(fit, 1, seed = 1)[[1L]]
    set.seed(1)
    predicted <- unlist(predict(fit, head(d, 4L), interval = "confidence"))
    list(
      c(logLik(fit)), theta, interval, drawn, predicted, fit$certificate$rank,
      ranova(fit)[, c("logLik", "LRT", "Pr(>Chisq)")],
      coef(summary(fit, ddf = "Kenward-Roger")), coef(summary(fit)), hatvalues(fit),
      as.matrix(ranef(fit)$g) %*% diag(c(1, unit))
    )
  })
  # the optimum of dense evaluation at the same parameters
  Z <- cbind(1, units_data$x2)
  theta <- found[[2L]][[2L]]
  G <- diag(theta[1:2]) %*% matrix(c(1, theta[3], theta[3], 1), 2) %*% diag(theta[1:2])
  same <- function(f) outer(f, f, "==")
  V <- diag(72) + Z %*% G %*% t(Z) * same(units_data$g) + theta[4]^2 * same(units_data$h)
  X <- cbind(1, units_data$x)
  A <- crossprod(X, solve(V, X))
  r <- units_data$y - X %*% solve(A, crossprod(X, solve(V, units_data$y)))
  q <- sum(r * solve(V, r))
  dense <- -0.5 * (c(determinant(V)$modulus) + c(determinant(A)$modulus) +
                     70 * (1 + log(2 * pi * q / 70)))
  expect_equal(found[[2L]][[1L]], dense, tolerance = 1e-10)
  for (other in found[-2L]) {
    expect_equal(other, found[[2L]], tolerance = 1e-5)
    expect_equal(other[[1L]], found[[2L]][[1L]], tolerance = 1e-10)
  }
})

test_that("few walks are enough in tiny and in huge units", {
  for (word in c("cs", "hetar1", "toep")) {
    formula <- reformulate(paste0(word, "(0 + z + x | g)"), "y")
    fits <- lapply(three_units, function(unit) {
      suppressMessages(suppressWarnings(lmm(formula, in_units(unit))))
    })
    starts <- vapply(fits, function(fit) fit$certificate$starts, 0L)
    expect_identical(starts, rep(starts[2L], 3L))
    criterion <- vapply(fits, function(fit) fit$criterion, 0)
    expect_equal(criterion, rep(criterion[2L], 3L), tolerance = 1e-10)
  }
})

test_that("what is held, tied and started from are values of the user's units", {
  found <- lapply(three_units, function(unit) {
    d <- transform(in_units(unit), z2 = z)
    control <- lmm_control(hold = c(g.rho = 0.2))
    held <- lmm(y ~ x + cs(1 + z | g) + (1 | h), d, control = control)
    expect_equal(getME(held, "theta")[["g.rho"]], 0.2, tolerance = 1e-12)
    control <- lmm_control(tie = list(c("g.rho", "h.rho")))
    tied <- suppressMessages(lmm(y ~ x + cs(1 + z | g) + cs(1 + z2 | h), d, control = control))
    theta <- getME(tied, "theta")
    expect_equal(theta[["g.rho"]], theta[["h.rho"]], tolerance = 1e-12)
    start <- c(0.5, 0.4 / unit, 0.1, 0.3)
    started <- lmm(y ~ x + cs(1 + z | g) + (1 | h), d, start = start)
    at <- lmm_control(hold = stats::setNames(start, names(getME(started, "theta"))))
    there <- lmm(y ~ x + cs(1 + z | g) + (1 | h), d, control = at)
    expect_equal(unname(getME(there, "theta")), start, tolerance = 1e-12)
    expect_error(
      lmm(y ~ x + cs(1 + z | g), d, control = lmm_control(hold = c(g.z = 1 / unit))),
      class = "ferrolmm_error_restriction"
    )
    c(logLik(held), logLik(tied), logLik(started), logLik(there))
  })
  expect_equal(found[[1L]], found[[2L]], tolerance = 1e-10)
  expect_equal(found[[3L]], found[[2L]], tolerance = 1e-10)
})

test_that("a standard deviation of zero beside others is left where a correlation leads away", {
  # steps from this start end at a deviation of zero, where a share of the sum has no slope
  fit <- lmm(y ~ x + cs(1 + z | g) + (1 | h), in_units(1), start = c(0.5, 0.4, 0.1, 0.3))
  best <- lmm(y ~ x + cs(1 + z | g) + (1 | h), in_units(1))
  expect_equal(fit$criterion, best$criterion, tolerance = 1e-8)
  expect_gt(getME(fit, "theta")[["g.z"]], 1)
})
