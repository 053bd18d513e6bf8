for_twins("variances", function(ours, theirs) {
  skip_if_not_installed("insight")
  mine <- insight::get_variance(ours)
  root <- build_lambdat(ours) %*% build_zt(ours)
  expect_equal(mine$var.random, sigma(ours)^2 * sum(root^2) / nobs(ours), tolerance = 1e-10)
  wanted <- suppressWarnings(insight::get_variance(theirs, tolerance = 0))
  # 'insight' has no variances of two of these: of a slope without an intercept beside others
  skip_if(is.null(wanted))
  # it takes z'Gz from the columns of X of the same name, and one term of each grouping factor
  if (!anyDuplicated(names(ours$cnms)) &&
        all(unlist(ours$cnms) %in% c("(Intercept)", names(fixef(ours))))) {
    expect_equal(mine$var.random, wanted$var.random, tolerance = 1e-5)
  }
  expect_equal(mine$var.fixed, as.numeric(wanted$var.fixed), tolerance = 1e-5)
  # theirs is sigma^2; ours is the mean of sigma^2 / w
  w <- if (is.null(ours$prior.weights)) 1 else ours$prior.weights
  expect_equal(mine$var.residual, wanted$var.residual * mean(1 / w), tolerance = 1e-5)
  expect_equal(mine$var.intercept, wanted$var.intercept, tolerance = 1e-4, ignore_attr = TRUE)
  expect_equal(sort(unname(mine$var.slope)), sort(unname(wanted$var.slope)), tolerance = 1e-4)
  expect_equal(
    unname(mine$cor.slope_intercept), unname(wanted$cor.slope_intercept), tolerance = 1e-4
  )
})

test_that("parts are asked for one by one", {
  skip_if_not_installed("insight")
  fit <- our_twin("slope")
  all <- insight::get_variance(fit)
  expect_identical(insight::get_variance_random(fit), c(var.random = all$var.random))
  expect_identical(
    insight::get_variance_slope(fit), c(var.slope.Subject.Days = all$var.slope[[1L]])
  )
  expect_equal(
    unname(all$cor.slope_intercept), attr(VarCorr(fit)$Subject, "correlation")[[2L]]
  )
  three <- lmm(
    distance ~ age + Sex + (age + I(age^2) | Subject), as.data.frame(nlme::Orthodont),
    control = lmm_control(starts = 1)
  ) |> suppressMessages()
  expect_named(insight::get_variance(three)$cor.slopes, "Subject.age-I(age^2)")
  expect_named(
    insight::get_variance(three)$cor.slope_intercept, c("Subject.age", "Subject.I(age^2)")
  )
})

test_that("a variance of zero is a part, and variance functions count", {
  skip_if_not_installed("insight")
  d <- as.data.frame(nlme::Orthodont)
  d$none <- factor(rep(1:4, 27))
  singular <- suppressMessages(lmm(distance ~ age + Sex + (1 | none), d))
  expect_lt(insight::get_variance_random(singular), 1e-8)
  fit <- lmm(distance ~ age + (1 | Subject), d, weights = nlme::varIdent(form = ~ 1 | Sex))
  ratio <- fit$phi[[1L]]
  expect_equal(
    insight::get_variance(fit)$var.residual,
    sigma(fit)^2 * mean(ifelse(d$Sex == "Male", 1, ratio)^2)
  )
  repeated <- lmm(distance ~ age, d, residual = ~ ar1(none | Subject))
  expect_null(insight::get_variance(repeated)$var.random)
  expect_equal(insight::get_variance(repeated)$var.residual, sigma(repeated)^2)
})

test_that("tables of current versions name correlations of slopes", {
  skip_if_not_installed("insight", "1.0.0")
  skip_if_not_installed("parameters", "0.25.0")
  table <- parameters::model_parameters(our_twin("factor_slope"), effects = "random")
  expect_true("Cor (lateearly~latelate)" %in% table$Parameter)
})
