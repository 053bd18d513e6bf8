data(Orthodont, package = "nlme")
growth <- lmm(distance ~ age * Sex + (age | Subject), Orthodont)

test_that("each picture and all together are drawn, and par() is as before", {
  grDevices::pdf(NULL)
  on.exit(grDevices::dev.off())
  before <- graphics::par("mar", "las", "mfrow")
  expect_identical(plot(growth), growth)
  for (k in 1:4) plot(growth, which = k)
  plot(growth, which = 1:2, labels = 0, col = "black", pch = 1)
  expect_identical(graphics::par("mar", "las", "mfrow"), before)
  expect_error(plot(growth, which = 5), class = "ferrolmm_error_argument")
  expect_error(plot(growth, labels = -1), class = "ferrolmm_error_argument")
})

test_that("large samples are thinned inside, never at the ends", {
  shown <- thin_quantiles(1e5)
  expect_lte(length(shown), 4000)
  expect_true(all(c(1:500, 1e5 - 0:499) %in% shown))
  expect_identical(thin_quantiles(10), 1:10)
})

test_that("effects with a variance of zero are not drawn, but named", {
  set.seed(1)
  d <- data.frame(g = factor(rep(1:6, each = 5)), y = rnorm(30))
  d$y <- d$y - ave(d$y, d$g)
  flat <- suppressMessages(lmm(y ~ 1 + (1 | g), data = d))
  expect_true(is.nan(random_samples(flat)[["g (Intercept)"]]))
  grDevices::pdf(NULL)
  on.exit(grDevices::dev.off())
  expect_silent(plot(flat))
})
