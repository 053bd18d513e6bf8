test_that("estimated marginal means are those of the same model by lme4", {
  skip_if_not_installed("emmeans")
  skip_if_not_installed("lmerTest")
  skip_if_not_installed("pbkrtest")
  ours <- our_twin("shared_factor")
  theirs <- suppressMessages(lmerTest::as_lmerModLmerTest(lme4_twin("shared_factor")))
  for (mode in c("satterthwaite", "kenward-roger", "asymptotic")) {
    means <- as.data.frame(suppressMessages(emmeans::emmeans(ours, "recipe", mode = mode)))
    reference <- as.data.frame(suppressMessages(
      emmeans::emmeans(theirs, "recipe", mode = mode, data = twin_data()$cake)
    ))
    expect_equal(means, reference, tolerance = 1e-4, ignore_attr = TRUE, info = mode)
  }
})

test_that("aliased coefficients: means that cannot be estimated are not", {
  skip_if_not_installed("emmeans")
  data <- twin_data()$cake
  data <- data[!(data$recipe == "B" & data$temperature == "205"), ]
  fit <- suppressMessages(lmm(angle ~ recipe * temperature + (1 | replicate), data))
  means <- as.data.frame(suppressMessages(emmeans::emmeans(fit, c("recipe", "temperature"))))
  empty <- means$recipe == "B" & means$temperature == "205"
  expect_true(is.na(means$emmean[empty]))
  expect_true(all(is.finite(means$df[!empty])))
  linear <- lm(angle ~ recipe * temperature, data)
  cells <- as.data.frame(suppressMessages(emmeans::emmeans(linear, c("recipe", "temperature"))))
  expect_equal(means$emmean, cells$emmean, tolerance = 1e-6)
})

test_that("transformations, trends, weights and another covariance matrix are understood", {
  skip_if_not_installed("emmeans")
  data <- twin_data()$sleepstudy
  fit <- lmm(log(Reaction) ~ poly(Days, 2) * late + (1 | Subject), data, weights = w)
  shown <- suppressMessages(as.data.frame(emmeans::emmeans(fit, "late", type = "response")))
  expect_true(all(shown$response > 100))
  slopes <- emmeans::emtrends(our_twin("slope"), ~1, var = "Days")
  expect_equal(as.data.frame(slopes)$Days.trend, fixef(our_twin("slope"))[["Days"]])
  means <- suppressMessages(as.data.frame(emmeans::emmeans(fit, "late")))
  wide <- suppressMessages(as.data.frame(emmeans::emmeans(fit, "late", vcov. = 4 * vcov(fit))))
  expect_equal(wide$SE, 2 * means$SE)
})
