skip_if_not_installed("emmeans")
d <- smooth_data_of()
fit <- lmm(y ~ f + s(x, by = f, k = 6) + s(z) + (1 | g), d)

test_that("means of a grid are predictions of the population, with their degrees of freedom", {
  means <- as.data.frame(emmeans::emmeans(fit, "f", at = list(x = 0.3)))
  new <- data.frame(f = levels(d$f), x = 0.3, z = mean(d$z))
  ours <- predict(fit, new, re.form = NA, se.fit = TRUE, interval = "confidence")
  expect_equal(means$emmean, unname(ours$fit[, "fit"]), tolerance = 1e-8)
  expect_equal(means$SE, unname(ours$se.fit), tolerance = 1e-8)
  expect_equal(means$upper.CL, unname(ours$fit[, "upr"]), tolerance = 1e-5)
})

test_that("means and contrasts are those of 'emmeans' for gam()", {
  twin <- mgcv::gam(
    y ~ f + s(x, by = f, k = 6) + s(z) + s(g, bs = "re"), data = d, method = "REML"
  )
  at <- list(x = c(0.2, 0.7))
  ours <- emmeans::emmeans(fit, c("f", "x"), at = at, mode = "asymptotic")
  theirs <- emmeans::emmeans(twin, c("f", "x"), at = c(at, list(g = "1")))
  # of one level of g there, of the population here: contrasts have neither
  ours <- as.data.frame(emmeans::contrast(ours, "pairwise"))
  theirs <- as.data.frame(emmeans::contrast(theirs, "pairwise"))
  expect_equal(ours$estimate, theirs$estimate, tolerance = 1e-4)
  expect_equal(ours$SE, theirs$SE, tolerance = 1e-4)
})

test_that("what the means of smooths do not have is refused", {
  for (call in list(
    function() emmeans::emmeans(fit, "f", mode = "kenward-roger"),
    function() emmeans::emmeans(fit, "f", vcov. = vcov(fit))
  )) {
    expect_error(call(), class = "ferrolmm_error_smooth")
  }
})
