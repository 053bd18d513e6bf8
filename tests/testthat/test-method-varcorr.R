for_twins("VarCorr() has lme4's layout and values", function(ours, theirs) {
  v <- VarCorr(ours)
  expect_s3_class(v, c("VarCorr.lmm", "VarCorr.merMod"), exact = TRUE)
  reference <- unclass(VarCorr(theirs))
  # lme4 mangles a:b into a.b when one of the terms shares its factor with another
  names(reference) <- make.unique(names(lme4::getME(theirs, "cnms")))
  expect_equal(unclass(v), reference, tolerance = 1e-7)
})

for_twins("as.data.frame(VarCorr()) is lme4's table", function(ours, theirs) {
  for (order in c("cov.last", "lower.tri")) {
    table <- as.data.frame(VarCorr(ours), order = order)
    reference <- as.data.frame(VarCorr(theirs), order = order)
    reference$grp[-nrow(reference)] <- rep(names(VarCorr(ours)), table(factor(
      table$grp[-nrow(table)], levels = names(VarCorr(ours))
    )))
    reference[c("var1", "var2")] <- lapply(reference[c("var1", "var2")], as.character)
    expect_equal(table, reference, tolerance = 1e-7)
  }
})

test_that("sigma = scales the matrices", {
  fit <- our_twin("slope")
  relative <- VarCorr(fit, sigma = 1)
  expect_equal(attr(relative, "sc"), 1)
  expect_equal(c(relative$Subject) * sigma(fit)^2, c(VarCorr(fit)$Subject))
})

test_that("correlations are aligned whatever their sign", {
  v <- VarCorr(our_twin("slope"))
  term <- list(structure = "us", cnms = letters[1:3])
  three <- term_covariance(c(1, 0.5, -0.4, 1, 0.2, 1), term, 2)
  v$Subject <- three
  expect_identical(
    unname(format_varcorr(v, 4)[, 4:5]),
    cbind(c("", " 0.45", "-0.37", ""), c("", "", " 0.00", ""))
  )
})

test_that("a zero variance has no correlation", {
  term <- list(structure = "us", cnms = c("a", "b"))
  v <- term_covariance(c(1, 0.5, 0), term, 2)
  expect_equal(attr(v, "correlation")[2, 1], 1)
  v <- term_covariance(c(0, 0, 1), term, 2)
  expect_equal(attr(v, "correlation")[2, 1], NaN)
  expect_equal(unname(attr(v, "stddev")), c(0, 2))
})

test_that("standard errors are those of an n x n computation", {
  data <- twin_data()$sleepstudy
  data <- droplevels(data[data$Subject %in% levels(data$Subject)[1:9], ])
  fit <- lmm(Reaction ~ Days + (Days | Subject), data)
  table <- as.data.frame(VarCorr(fit, se = TRUE), order = "lower.tri")
  expect_equal(
    table$se.vcov, sqrt(diag(brute_inference(fit)$asymptotic)), tolerance = 1e-5
  )
  expect_equal(table$se.sdcor[1], table$se.vcov[1] / (2 * table$sdcor[1]))
  expect_equal(table$conf.low[4], table$sdcor[4]^2 / table$conf.high[4])
  cov_last <- as.data.frame(VarCorr(fit, se = TRUE))
  expect_equal(cov_last$se.sdcor, table$se.sdcor[c(1, 3, 2, 4)])
  wide <- as.data.frame(VarCorr(fit, se = TRUE), conf.level = 0.99)
  expect_true(all(wide$conf.low < cov_last$conf.low & wide$conf.high > cov_last$conf.high))
  expect_null(attr(table, "note"))
  expect_error(VarCorr(fit, sigma = 1, se = TRUE), class = "ferrolmm_error_argument")
})

test_that("a standard error of a correlation is that of its definition", {
  fit <- our_twin("slope")
  pieces <- engine_inference(engine_satterthwaite, fit)
  gamma <- pieces$jacobian %*% pieces$covariance %*% t(pieces$jacobian)
  v <- VarCorr(fit)$Subject[c(1, 2, 4)]
  rho <- function(v) v[2] / sqrt(v[1] * v[3])
  slope <- vapply(1:3, function(i) {
    h <- replace(numeric(3), i, 1e-4 * abs(v[i]))
    (rho(v + h) - rho(v - h)) / (2 * sum(h))
  }, 0)
  table <- as.data.frame(VarCorr(fit, se = TRUE))
  expect_equal(table$se.sdcor[3], sqrt(drop(slope %*% gamma[1:3, 1:3] %*% slope)), tolerance = 1e-6)
})

test_that("parameters at the boundary have no standard errors, and a note says so", {
  set.seed(6)
  data <- data.frame(g = gl(10, 6), x = rep(1:6, 10))
  b <- rnorm(10)
  data$y <- b[data$g] * (1 + 0.5 * data$x) + rnorm(60, 0, 0.3)
  data$y <- data$y + 0.05 * rnorm(60)
  fit <- suppressMessages(lmm(y ~ x + (x | g), data))
  skip_if_not(isSingular(fit), "the simulated fit is not singular")
  table <- as.data.frame(VarCorr(fit, se = TRUE))
  expect_true(is.na(table$se.sdcor[3]))
  expect_true(all(is.finite(table$se.sdcor[c(1, 2, 4)])))
  expect_match(attr(table, "note"), "boundary")
})

test_that("as.matrix() is the table of nlme", {
  data <- as.data.frame(nlme::Orthodont)
  one <- lmm(distance ~ age + (1 | Subject), data)
  mine <- as.matrix(VarCorr(one))
  other <- unclass(nlme::VarCorr(nlme::lme(distance ~ age, data, ~ 1 | Subject)))
  expect_identical(dimnames(mine), dimnames(other))
  expect_equal(as.numeric(mine), as.numeric(other), tolerance = 1e-5)
  mine <- as.matrix(VarCorr(lmm(distance ~ age + (age | Subject), data)))
  other <- unclass(nlme::VarCorr(nlme::lme(distance ~ age, data, ~ age | Subject)))
  expect_identical(dimnames(mine), dimnames(other))
  expect_equal(as.numeric(mine[, 1:2]), as.numeric(other[, 1:2]), tolerance = 1e-4)
  expect_identical(mine[, 3], other[, 3])
  mine <- as.matrix(VarCorr(lmm(yield ~ nitro + (1 | Block / Variety), nlme::Oats)))
  expect_identical(
    rownames(mine), c("Variety:Block =", "(Intercept)", "Block =", "(Intercept)", "Residual")
  )
  expect_identical(mine[c(1, 3), ], matrix("", 2, 2), ignore_attr = TRUE)
  three <- as.matrix(VarCorr(lmm(distance ~ age + Sex + (age + I(age^2 / 10) | Subject), data)))
  expect_identical(colnames(three), c("Variance", "StdDev", "Corr", ""))
  expect_identical(three[1, 4], "age")
  expect_identical(three[2, 4], "")
})
