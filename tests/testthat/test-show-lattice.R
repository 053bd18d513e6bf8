data(Orthodont, package = "nlme")
fit <- lmm(distance ~ age + (age | Subject), Orthodont)

test_that("profiles are drawn by lattice as by plot()", {
  profiled <- profile(fit, "theta_")
  picture <- lattice::xyplot(profiled)
  expect_identical(
    gsub("\n", " ", picture$condlevels[[1]]),
    c("SD of (Intercept) | Subject", "Correlation of age and (Intercept) | Subject",
      "SD of age | Subject", "Residual SD")
  )
  last <- picture$panel.args[[4]]
  path <- profiled[profiled$.par == ".sigma", ]
  curve <- approx(last$x, last$y, path$.sigma, ties = "ordered")
  expect_equal(curve$y, path$.zeta, tolerance = 1e-3)
  density <- lattice::densityplot(profiled, parm = "sigma")
  curve <- density$panel.args[[1]]
  # nearly all of the distribution of zeta lies within the profile
  expect_equal(sum(diff(curve$x) * (curve$y[-1] + curve$y[-length(curve$y)]) / 2), 1,
               tolerance = 1e-2)
  grDevices::pdf(NULL)
  on.exit(grDevices::dev.off())
  options <- lattice::lattice.options(panel.error = "stop")
  on.exit(lattice::lattice.options(options), add = TRUE)
  expect_no_error(print(picture))
  expect_no_error(print(density))
  expect_error(lattice::xyplot(profiled, fit), "data", class = "ferrolmm_error_argument")
  expect_error(lattice::xyplot(profiled, lvels = 0.9), "levels", class = "ferrolmm_error_argument")
})

test_that("random effects have dotplots and quantile plots, with or without lme4", {
  for (draw in list(lattice::dotplot, lattice::qqmath)) {
    pictures <- draw(ranef(fit))
    expect_named(pictures, "Subject")
    own <- pictures$Subject
    expect_identical(own$condlevels[[1]], c("(Intercept)", "age"))
    expect_equal(sort(own$panel.args[[2]]$x), sort(ranef(fit)$Subject$age))
    # intervals have room
    limits <- as.data.frame(ranef(fit))
    limits <- limits$condval + outer(limits$condsd, c(-1, 1) * qnorm(0.975))
    drawn <- do.call(rbind, own$x.limits)
    expect_lte(min(drawn[2, ]), min(limits[28:54, ]))
    expect_gte(max(drawn[2, ]), max(limits[28:54, ]))
  }
  grDevices::pdf(NULL)
  on.exit(grDevices::dev.off())
  options <- lattice::lattice.options(panel.error = "stop")
  on.exit(lattice::lattice.options(options), add = TRUE)
  expect_no_error(print(lattice::dotplot(ranef(fit, condVar = FALSE))$Subject))
  expect_no_error(print(lattice::qqmath(ranef(fit))$Subject))
})

test_that("pairs() draws coefficients or random effects", {
  grDevices::pdf(NULL)
  on.exit(grDevices::dev.off())
  expect_identical(pairs(fit), coef(fit)$Subject)
  expect_equal(pairs(fit, ~ ranef(.)), ranef(fit, condVar = FALSE)$Subject, ignore_attr = TRUE)
  expect_error(pairs(fit, ~ fixef(.)), class = "ferrolmm_error_argument")
  one <- lmm(distance ~ age + (1 | Subject), Orthodont)
  expect_error(pairs(one), "two effects", class = "ferrolmm_error_argument")
})
