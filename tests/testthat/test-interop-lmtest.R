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
