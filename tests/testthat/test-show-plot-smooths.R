d <- smooth_data_of()
fit <- suppressMessages(
  lmm(y ~ f + s(x, by = f, k = 5) + t2(x, z, k = 4) + s(x, g, bs = "fs", k = 4) +
        s(g, bs = "re"), d)
)

test_that("plot() returns what it draws", {
  pdf(NULL)
  on.exit(dev.off())
  drawn <- plot(smooths(fit))
  expect_named(drawn, rownames(smooths(fit)))
  one <- plot(smooths(fit), select = "s(x):fb", level = 0.9)[[1]]
  posterior <- smooth_posterior(fit)
  grid <- data.frame(x = one$x, f = factor("b", levels(d$f)))
  found <- smooth_values_at(fit, smooths_of(fit)[["s(x):fb"]], grid, posterior)
  expect_equal(one$fit, found$fit)
  expect_equal(one$upr, found$fit + qnorm(0.95) * found$se)
  expect_equal(range(one$x), range(d$x[d$f == "b"]))
  expect_true(anyNA(drawn[["t2(x,z)"]]$fit) || nrow(drawn[["t2(x,z)"]]) == 1600L)
  expect_equal(nlevels(drawn[["s(x,g)"]]$g), 20L)
  expect_equal(drawn[["s(g)"]]$fit, ranef(fit)[["s(g)"]][, 1], tolerance = 1e-8)
})

test_that("autoplot() draws the same", {
  skip_if_not_installed("ggplot2")
  picture <- autoplot(smooths(fit))
  expect_s3_class(picture, "ggplot")
  built <- ggplot2::ggplot_build(picture)
  expect_identical(nrow(built$layout$layout), nrow(smooths(fit)))
  line <- autoplot(smooths(fit), select = 1)
  expect_equal(
    ggplot2::layer_data(line, 2)$y, plot_values(fit, 1)[[1]]$fit, tolerance = 1e-12
  )
})

test_that("dates are axes of dates, and labels are those of the data", {
  d$day <- as.Date("2020-01-01") + round(300 * d$x)
  attr(d$z, "label") <- "Dose (mg)"
  fit <- suppressMessages(lmm(y ~ s(day, k = 5) + s(z, k = 5) + (1 | g), d))
  pictures <- smooth_pictures(smooths(fit), NULL, 0.95, TRUE)
  expect_s3_class(pictures[[1]]$values$day, "Date")
  expect_identical(pictures[[2]]$xlab, "Dose (mg)")
})

test_that("wrong arguments are refused", {
  expect_error(plot(smooths(fit), select = "s(q)"), class = "ferrolmm_error_argument")
  expect_error(plot(smooths(fit), select = 99), class = "ferrolmm_error_argument")
  expect_error(plot(smooths(fit), level = 95), class = "ferrolmm_error_argument")
  expect_error(plot(smooths(lmm(y ~ x + (1 | g), d))), class = "ferrolmm_error_argument")
})
