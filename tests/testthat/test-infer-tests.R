test_that("a factor with many levels is tested as its coefficients one by one", {
  set.seed(82)
  many <- data.frame(f = gl(60, 4), g = factor(rep(1:12, 20)))
  many$y <- rnorm(60)[many$f] + rnorm(12)[many$g] + rnorm(240)
  fit <- lmm(y ~ f + (1 | g), many)
  table <- coef(summary(fit))
  reference <- lmerTest::lmer(y ~ f + (1 | g), many)
  expected <- coef(summary(reference))
  expect_equal(table[, 1:2], expected[, 1:2], tolerance = 1e-5)
  expect_equal(table[, 3], expected[, 3], tolerance = 1e-3)
})

test_that("the normal approximation has z tests", {
  table <- coef(summary(our_twin("slope"), ddf = "asymptotic"))
  expect_identical(colnames(table), c("Estimate", "Std. Error", "z value", "Pr(>|z|)"))
  expect_equal(table[, 4], 2 * pnorm(-abs(table[, 3])))
  joint <- contest(our_twin("slope"), diag(2), ddf = "asymptotic")
  expect_equal(joint[["Pr(>F)"]], pchisq(2 * joint[["F value"]], 2, lower.tail = FALSE))
})
