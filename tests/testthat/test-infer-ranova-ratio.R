test_that("a likelihood ratio below zero is NA, with the term that it is of", {
  expect_identical(likelihood_ratios(100, c(104, 100 - 1e-7), c("a", "b")), c(4, 0))
  expect_warning(
    ratio <- likelihood_ratios(100, c(104, 99), c("a", "b")),
    "Without `b` the likelihood is higher", class = "ferrolmm_warning_convergence"
  )
  expect_identical(ratio, c(4, NA))
})

test_that("a fit that was cut off has no simulated p-values, and says so", {
  s <- lme4::sleepstudy
  suppressWarnings(fit <- lmm(
    Reaction ~ Days + (Days | Subject), s, control = lmm_control(max_evaluations = 2)
  ))
  expect_identical(fit$certificate$status, "iteration-limit")
  messages <- capture_warnings(table <- ranova(fit))
  expect_match(messages, "The fit of `the model` ended before the optimum", all = FALSE)
  expect_true(all(is.na(table[["Pr(>LRT)"]])))
  smaller <- lmm(Reaction ~ Days + (1 | Subject), s)
  if (logLik(smaller) > logLik(fit)) {
    expect_true(is.na(table$LRT[[2L]]))
  }
  expect_silent(whole <- ranova(lmm(Reaction ~ Days + (Days | Subject), s)))
  expect_false(anyNA(whole[["Pr(>LRT)"]][-1L]))
})

test_that("a fit whose fitted values did not settle has no certificate and no profile", {
  set.seed(6)
  d <- data.frame(g = gl(8, 3), x = rnorm(24))
  d$y <- 1 + d$x + rnorm(8)[d$g] + rnorm(24) * exp(d$x)
  expect_warning(
    fit <- lmm(
      y ~ x + (1 | g), d, weights = nlme::varComb(nlme::varExp(), nlme::varPower(form = ~ abs(x)))
    ),
    "did not settle in 100 fits", class = "ferrolmm_warning_convergence"
  )
  expect_identical(fit$certificate$status, "not-settled")
  expect_output(print(fit), "NOT proved: the variances depend on fitted values")
  expect_error(profile(fit), "nothing to profile", class = "ferrolmm_error_argument")
  expect_error(
    confint(fit, method = "profile"), "nothing to profile", class = "ferrolmm_error_argument"
  )
  expect_warning(table <- ranova(fit), "ended before the optimum")
  expect_identical(table[["Pr(>LRT)"]], c(NA_real_, NA_real_))
})

test_that("other comparisons of likelihoods say that a fit was cut off", {
  s <- lme4::sleepstudy
  cut <- lmm_control(max_evaluations = 1, starts = 1)
  suppressWarnings({
    large <- lmm(Reaction ~ Days + (Days | Subject), s, REML = FALSE, control = cut)
    small <- lmm(Reaction ~ 1 + (Days | Subject), s, REML = FALSE, control = cut)
  })
  expect_warning(anova(large, small), "The fit of `large`, `small` ended before")
  expect_warning(drop1(large, test = "Chisq"), "ended before the optimum")
  messages <- capture_warnings(test <- pb_test(large, small, nsim = 5))
  expect_match(messages, "of 5 simulated responses did not come to an optimum", all = FALSE)
  expect_identical(test$test["PBtest", "p.value"], NA_real_)
})
