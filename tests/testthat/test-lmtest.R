test_that("coeftest() and coefci() are the summary's tests and confint()'s limits", {
  skip_if_not_installed("lmtest")
  fit <- our_twin("deficient")
  for (ddf in c("Satterthwaite", "Kenward-Roger")) {
    table <- coef(summary(fit, ddf = ddf))
    kept <- !is.na(table[, 1])
    tests <- lmtest::coeftest(fit, ddf = ddf)
    expect_equal(unclass(tests)[, ], table[kept, ])
    expect_equal(
      lmtest::coefci(fit, ddf = ddf), confint(fit, "beta_", ddf = ddf)[kept, ]
    )
  }
  expect_output(print(lmtest::coeftest(fit)), "t test of coefficients")
  expect_output(print(lmtest::coeftest(fit, ddf = "asymptotic")), "z test of coefficients")
  expect_identical(rownames(lmtest::coefci(fit, "Days", level = 0.9)), "Days")
})

test_that("another covariance matrix can be used", {
  skip_if_not_installed("lmtest")
  fit <- our_twin("slope")
  wide <- lmtest::coeftest(fit, vcov. = 4 * vcov(fit))
  expect_equal(wide[, "Std. Error"], 2 * coef(summary(fit))[, "Std. Error"])
  expect_identical(colnames(wide)[3], "z value")
  with_df <- lmtest::coeftest(fit, vcov. = vcov, df = 17)
  expect_equal(with_df[, "Pr(>|t|)"], coef(summary(fit))[, "Pr(>|t|)"], tolerance = 1e-6)
  limits <- lmtest::coefci(fit, vcov. = vcov, df = 17)
  expect_equal(limits, confint(fit, "beta_"), tolerance = 1e-6)
})

test_that("car's tests are those of anova() and contest()", {
  skip_if_not_installed("car")
  fit <- our_twin("shared_factor")
  expect_equal(car::Anova(fit, type = 3), anova(fit))
  expect_equal(car::Anova(fit), anova(fit, type = "II"))
  expect_equal(
    car::linearHypothesis(fit, c("recipeB = 1", "recipeC"))[["F value"]],
    contest(fit, c("recipeB = 1", "recipeC"))[["F value"]]
  )
  expect_output(
    print(car::linearHypothesis(fit, "recipeB = 0", ddf = "K")), "Kenward-Roger"
  )
})
