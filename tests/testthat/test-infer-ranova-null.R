few_groups <- function(spread = 0.5) {
  set.seed(4)
  d <- data.frame(g = gl(6, 5), x = rep(1:5, 6))
  d$y <- rnorm(30) + spread * rnorm(6)[d$g]
  d
}

test_that("one variance: the spectral representation is the distribution of simulated ratios", {
  d <- few_groups()
  for (reml in c(TRUE, FALSE)) {
    fit <- suppressMessages(lmm(y ~ x + (1 | g), d, REML = reml))
    inputs <- engine_inputs(fit)
    reduction <- term_reductions(fit, 1L, TRUE)[[1]]
    smaller <- reduced_fit(fit, inputs, reduction)
    set.seed(1)
    spectral <- spectral_ratios(fit, inputs, reduction, smaller, 20000L)
    simulated <- bootstrap_ratios(fit, inputs, smaller, 4000L)
    at <- c(0, 0.5, 1, 2, 4)
    error <- sqrt(0.25 * (1 / 20000 + 1 / 4000))
    for (x in at) {
      expect_lt(abs(mean(spectral > x + 1e-6) - mean(simulated > x + 1e-6)), 4 * error)
    }
    # more often zero than half of the time: that is why the limit rejects too rarely
    expect_gt(mean(spectral < 1e-6), 0.55)
  }
})

test_that("simulated ratios are those of lmm() and lm() on the same responses", {
  d <- few_groups()
  d$w <- rep(c(1, 2, 3), 10)
  fit <- suppressMessages(lmm(y ~ x + offset(x) + (1 | g), d, weights = w))
  inputs <- engine_inputs(fit)
  smaller <- reduced_fit(fit, inputs, term_reductions(fit, 1L, TRUE)[[1]])
  set.seed(7)
  ratios <- bootstrap_ratios(fit, inputs, smaller, 3L)
  set.seed(7)
  noise <- matrix(rnorm(90), 30) / sqrt(d$w)
  for (i in 1:3) {
    d$new <- d$x + noise[, i]
    large <- suppressMessages(lmm(new ~ x + offset(x) + (1 | g), d, weights = w))
    small <- lm(new ~ x + offset(x), d, weights = w)
    expected <- 2 * (logLik(large) - logLik(small, REML = TRUE))
    expect_equal(ratios[[i]], max(as.numeric(expected), 0), tolerance = 1e-5)
  }
})

test_that("p-values are reproducible, and the same for any number of threads", {
  d <- few_groups()
  fits <- suppressMessages(lapply(1:2, function(threads) {
    lmm(y ~ x + (x | g), d, control = lmm_control(threads = threads))
  }))
  set.seed(1)
  before <- .Random.seed
  tables <- lapply(fits, ranova, nsim = 200L)
  expect_identical(.Random.seed, before)
  expect_identical(tables[[1]][["Pr(>LRT)"]], tables[[2]][["Pr(>LRT)"]])
  expect_identical(tables[[1]], ranova(fits[[1]], nsim = 200L))
  one <- ranova(fits[[1]], nsim = 200L, seed = 1)
  expect_identical(one, ranova(fits[[1]], nsim = 200L, seed = 1))
  expect_false(identical(one[["Pr(>LRT)"]], tables[[1]][["Pr(>LRT)"]]))
  ranova(fits[[1]], nsim = 20L, seed = NULL)
  expect_false(identical(.Random.seed, before))
  expect_error(ranova(fits[[1]], nsim = 0), class = "ferrolmm_error_argument")
  expect_error(ranova(fits[[1]], distribution = "exact"), class = "ferrolmm_error_argument")
  expect_error(ranova(fits[[1]], nsims = 5), "nsims", class = "ferrolmm_error_argument")
})

test_that("how the p-values were found is told, for each term", {
  d <- few_groups()
  how <- function(...) attr(suppressMessages(ranova(lmm(..., data = d), nsim = 50L)), "how")
  expect_identical(unname(how(y ~ x + (1 | g))), "exact")
  expect_identical(unname(how(y ~ x + (x || g))), c("bootstrap", "bootstrap"))
  fit <- suppressMessages(lmm(y ~ x + (1 | g), d))
  expect_output(print(ranova(fit, nsim = 50L)), "exact null distribution", fixed = TRUE)
  limit <- ranova(fit, distribution = "limit")
  expect_null(attr(limit, "how"))
  expect_false("Pr(>LRT)" %in% names(limit))
  # many levels and several effects: the limit of its own accord, the bootstrap when asked for
  set.seed(2)
  big <- data.frame(g = gl(5000, 3), x = rnorm(15000))
  big$y <- rnorm(15000) + rnorm(5000)[big$g]
  large <- suppressMessages(lmm(y ~ x + (x | g), big))
  table <- ranova(large)
  expect_identical(unname(attr(table, "how")), "limit")
  expect_identical(table[["Pr(>LRT)"]], table[["Pr(>Chibarsq)"]])
  expect_identical(unname(attr(ranova(large, nsim = 2L), "how")), "bootstrap")
})

test_that("the smaller model keeps the residual structure, in the table and the bootstrap", {
  data <- twin_data()$sleepstudy
  ar1 <- nlme::corAR1(form = ~ Days | Subject)
  fit <- lmm(Reaction ~ Days + (1 | Subject), data, correlation = ar1)
  table <- ranova(fit, nsim = 99L)
  gls <- nlme::gls(Reaction ~ Days, data, correlation = ar1)
  expect_equal(table$logLik[[2]], as.numeric(logLik(gls)), tolerance = 1e-8)
  expect_identical(table$npar, c(5, 4))
  expect_identical(unname(attr(table, "how")), "bootstrap")
  # the bootstrap draws rows that are correlated as those of gls()
  inputs <- engine_inputs(fit)
  smaller <- reduced_fit(fit, inputs, term_reductions(fit, 1L, TRUE)[[1]])
  set.seed(1)
  noise <- residual_draws(inputs, smaller$phi, 2000L, 1L)
  expect_equal(var(noise[1, ]), 1, tolerance = 0.15)
  lag <- vapply(1:3, function(k) cor(noise[1, ], noise[1 + k, ]), 1)
  rho <- coef(gls$modelStruct$corStruct, unconstrained = FALSE)[[1]]
  expect_lt(max(abs(lag - rho^(1:3))), 0.09)
  # where a variance depends on the fitted value there is the limit only
  power <- lmm(Reaction ~ Days + (1 | Subject), data, weights = nlme::varPower(form = ~ fitted(.)))
  expect_identical(unname(attr(ranova(power), "how")), "limit")
})

test_that("parameters that are held or tied stay so in the smaller model", {
  data <- twin_data()$sleepstudy
  half <- lmm(
    Reaction ~ Days + (Days || Subject), data,
    control = lmm_control(hold = c("Subject.(Intercept)" = 1))
  )
  table <- ranova(half, nsim = 99L)
  only <- lmm(Reaction ~ Days + (1 | Subject), data,
              control = lmm_control(hold = c("Subject.(Intercept)" = 1)))
  expect_identical(table$Df, c(NA, 0, 1))
  expect_equal(table$logLik[[3]], as.numeric(logLik(only)))
  expect_true(all(is.na(unlist(table[2, grep("^Pr", names(table))]))))
  expect_identical(attr(table, "how")[[1]], NA_character_)
  known <- lmm(Reaction ~ Days + (1 | Subject), data, control = lmm_control(sigma = 30))
  table <- ranova(known, nsim = 99L)
  linear <- lm(Reaction ~ Days, data)
  x <- model.matrix(linear)
  n <- nrow(x)
  expected <- -0.5 * ((n - 2) * log(2 * pi * 900) + determinant(crossprod(x))$modulus[[1]] +
                        sum(residuals(linear)^2) / 900)
  expect_equal(table$logLik[[2]], expected)
  expect_identical(unname(attr(table, "how")), "bootstrap")
})

test_that("structures of random effects have no simple limit, but a bootstrap", {
  fit <- lmm(Reaction ~ Days + cs(Days | Subject), twin_data()$sleepstudy)
  table <- ranova(fit, nsim = 99L)
  expect_identical(table[["Pr(>Chibarsq)"]], c(NA_real_, NA_real_))
  expect_equal(table[["Pr(>LRT)"]][[2]], 0.01)
})

test_that("a tail beyond the draws is that of the limit, stretched to meet them", {
  set.seed(3)
  tail <- function(x) pchisq(x, 1, lower.tail = FALSE) / 2
  statistics <- ifelse(runif(1000) < 0.5, 0, 1.3 * rchisq(1000, 1))
  inside <- simulated_p(1, statistics, tail)
  expect_equal(inside, (1 + sum(statistics >= 1)) / 1001)
  far <- simulated_p(20, statistics, tail)
  expect_equal(log(far), log(tail(20 / 1.3)), tolerance = 0.1)
  expect_lt(simulated_p(40, statistics, tail), far)
  # too few draws say nothing of the tail
  expect_equal(simulated_p(20, statistics[1:99], tail), 0.01)
})

test_that("tables that would not fit name the terms below", {
  table <- ranova(our_twin("double_bar"), distribution = "limit")
  old <- options(width = 120)
  on.exit(options(old))
  wide <- utils::capture.output(print(table))
  options(width = 60)
  narrow <- utils::capture.output(print(table))
  expect_true(any(startsWith(wide, "(0 + Days | Subject)")))
  expect_true(any(grepl("[2] without (0 + Days | Subject)", narrow, fixed = TRUE)))
  expect_false(any(startsWith(narrow, "(0 + Days | Subject)")))
})

test_that("without random effects there is nothing to test", {
  fit <- lmm(distance ~ age, nlme::Orthodont, residual = ~ us(factor(age) | Subject))
  expect_error(ranova(fit), "random effects", class = "ferrolmm_error_argument")
})
