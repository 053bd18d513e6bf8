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

test_that("degrees of freedom are taken, and nothing is ignored", {
  skip_if_not_installed("lmtest")
  fit <- our_twin("slope")
  expect_equal(
    lmtest::coeftest(fit, df = 11)[, "Pr(>|t|)"],
    2 * pt(-abs(lmtest::coeftest(fit)[, "t value"]), 11)
  )
  expect_error(lmtest::coeftest(fit, df = "a"), "`df`", class = "ferrolmm_error_argument")
  expect_error(
    lmtest::coeftest(fit, df = 11, ddf = "KR"), "ddf", class = "ferrolmm_error_argument"
  )
  expect_error(
    lmtest::coeftest(fit, vcov. = diag(5)), "`vcov.`", class = "ferrolmm_error_argument"
  )
  expect_error(lmtest::coefci(fit, "dayz"), "Days", class = "ferrolmm_error_argument")
  scaled <- function(x, by) by * vcov(x)
  expect_equal(
    lmtest::coeftest(fit, vcov. = scaled, by = 4)[, "Std. Error"],
    2 * sqrt(diag(vcov(fit)))
  )
})

test_that("lrtest() compares what anova() compares", {
  skip_if_not_installed("lmtest")
  s <- transform(lme4::sleepstudy, half = factor(Days > 4))
  m0 <- lmm(Reaction ~ 1 + (1 | Subject), s)
  m1 <- lmm(Reaction ~ Days + (1 | Subject), s)
  # by ML: lme4 1.1-31, anova(lmer(..., REML = FALSE), lmer(..., REML = FALSE))
  expect_message(test <- lmtest::lrtest(m0, m1), "their fixed parts differ",
                 class = "ferrolmm_message_refit")
  expect_equal(test$Chisq[2], 116.4624, tolerance = 1e-6)
  expect_equal(test[["#Df"]], c(3, 4))
  for (change in list("Days", 1, . ~ . - Days)) {
    changed <- suppressMessages(lmtest::lrtest(m1, change))
    expect_equal(changed$Chisq[2], test$Chisq[2], tolerance = 1e-8)
  }
  three <- suppressMessages(lmtest::lrtest(m0, m1, . ~ . + half))
  by_anova <- suppressMessages(anova(m0, m1, update(m1, . ~ . + half)))
  expect_equal(three$Chisq, by_anova$Chisq, tolerance = 1e-8)
  # restricted likelihoods of the same fixed part
  slope <- lmm(Reaction ~ Days + (Days | Subject), s)
  expect_silent(same <- lmtest::lrtest(m1, slope))
  expect_equal(same$LogLik, c(logLik(m1), logLik(slope)))
})

test_that("lrtest() refuses what it cannot compare, and waldtest() says what to use", {
  skip_if_not_installed("lmtest")
  fit <- our_twin("slope")
  expect_error(lmtest::lrtest(fit), "only one", class = "ferrolmm_error_argument")
  expect_error(lmtest::lrtest(fit, "Dayz"), "`Days`", class = "ferrolmm_error_argument")
  expect_error(lmtest::lrtest(fit, list()), "class list", class = "ferrolmm_error_argument")
  expect_error(lmtest::lrtest(fit, nome = 1), "nome", class = "ferrolmm_error_argument")
  expect_error(lmtest::lrtest(fit, fit, name = 1), "`name`", class = "ferrolmm_error_argument")
  fewer <- update(fit, subset = Days > 0)
  expect_error(lmtest::lrtest(fit, fewer), "not of the same data", class = "ferrolmm_error_data")
  expect_error(lmtest::waldtest(fit, fit), "drop1", class = "ferrolmm_error_argument")
})
