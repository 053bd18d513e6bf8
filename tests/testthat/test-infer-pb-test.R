test_that("the statistic is the likelihood ratio, the reference that of simulated responses", {
  large <- our_twin("slope")
  small <- lmm(Reaction ~ Days + (1 | Subject), twin_data()$sleepstudy)
  test <- pb_test(large, small, nsim = 20, seed = 6)
  expect_equal(test$test["LRT", "stat"], as.numeric(2 * (logLik(refitML(large)) -
                                                           logLik(refitML(small)))))
  expect_identical(test$test["LRT", "df"], 2L)
  y <- simulate(refitML(small), 20, seed = 6)[[3]]
  again <- lapply(list(small, large), function(fit) suppressMessages(refit(refitML(fit), y)))
  expect_equal(test$reference[[3]], deviance(again[[1]]) - deviance(again[[2]]), tolerance = 1e-5)
  expect_equal(test$test["PBtest", "p.value"], 1 / 21)
  expect_output(print(test), "PBtest")
})

test_that("the reference distribution has its share at zero; p-values are never zero", {
  set.seed(12)
  data <- data.frame(g = gl(6, 6), x = rnorm(36), h = gl(9, 4))
  data$y <- rep(rnorm(6), each = 6) + rnorm(36)
  small <- lmm(y ~ x + (1 | g), data)
  large <- suppressMessages(lmm(y ~ x + (1 | g) + (1 | h), data))
  test <- pb_test(large, small, nsim = 400, seed = 1)
  # half the statistics or more are at zero, where chi-squared on one df has none
  expect_gt(mean(test$reference < 1e-6), 0.4)
  expect_identical(test$used, 400L)
  one_more <- 1 + sum(test$reference >= test$test["LRT", "stat"] - 1e-8)
  expect_equal(test$test["PBtest", "p.value"], one_more / 401)
})

test_that("one seed, one result; fixed effects and no intercept", {
  large <- our_twin("deficient")
  small <- lmm(Reaction ~ Days + (1 | Subject), twin_data()$sleepstudy)
  expect_identical(pb_test(large, small, 10, seed = 1)$test["LRT", "df"], 1L)
  expect_identical(
    pb_test(large, small, 10, seed = 1, threads = 1)$reference,
    pb_test(large, small, 10, seed = 1, threads = 2)$reference
  )
})

test_that("models that are not nested are errors", {
  sleepstudy <- twin_data()$sleepstudy
  large <- our_twin("slope")
  small <- lmm(Reaction ~ Days + (1 | Subject), sleepstudy)
  other <- lmm(Reaction ~ late + (1 | Subject), sleepstudy)
  expect_error(pb_test(small, large), "more parameters", class = "ferrolmm_error_argument")
  expect_error(pb_test(large, other), "fixed effects", class = "ferrolmm_error_argument")
  expect_error(pb_test(our_twin("weighted"), small), "weights", class = "ferrolmm_error_argument")
  expect_error(pb_test(our_twin("missing"), small), "same response",
               class = "ferrolmm_error_argument")
  expect_error(pb_test(large, 1), "fitted by lmm", class = "ferrolmm_error_argument")
  expect_error(pb_test(large, small, nsim = 0), "nsim", class = "ferrolmm_error_argument")
})

test_that("pbkrtest::PBmodcomp() finds the method", {
  skip_if_not_installed("pbkrtest")
  small <- lmm(Reaction ~ Days + (1 | Subject), twin_data()$sleepstudy)
  theirs <- pbkrtest::PBmodcomp(our_twin("slope"), small, nsim = 10, seed = 2)
  expect_identical(theirs$test, pb_test(our_twin("slope"), small, nsim = 10, seed = 2)$test)
})

test_that("weights of one and offsets of zero are none", {
  s <- transform(lme4::sleepstudy, one = 1, zero = 0)
  small <- lmm(Reaction ~ 1 + (1 | Subject), s)
  right <- pb_test(lmm(Reaction ~ Days + (1 | Subject), s), small, nsim = 5, seed = 1)$test
  weighted <- lmm(Reaction ~ Days + (1 | Subject), s, weights = one)
  expect_equal(pb_test(weighted, small, nsim = 5, seed = 1)$test, right)
  expect_equal(suppressMessages(anova(small, weighted))$Chisq[2], right$stat[1], tolerance = 1e-8)
  moved <- lmm(Reaction ~ Days + (1 | Subject), s, offset = zero)
  expect_equal(pb_test(moved, small, nsim = 5, seed = 1)$test, right)
  for (other in list(
    lmm(Reaction ~ Days + (1 | Subject), s, weights = one + (Days > 4)),
    lmm(Reaction ~ Days + (1 | Subject), s, offset = zero + Days)
  )) {
    expect_error(pb_test(other, small, nsim = 5), "weights and offset",
                 class = "ferrolmm_error_argument")
  }
})
