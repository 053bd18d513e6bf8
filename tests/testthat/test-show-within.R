test_that("the picture returns both slopes and leaves par() alone", {
  grDevices::pdf(NULL)
  on.exit(grDevices::dev.off())
  fit <- lmm(score ~ within_between(hour, doctor) + (1 | doctor), surgery)
  before <- graphics::par("mar", "las", "mfrow")
  slopes <- plot_within_between(fit)
  expect_identical(graphics::par("mar", "las", "mfrow"), before)
  expect_equal(slopes$estimate, c(fixef(fit)[2:3], diff(fixef(fit)[2:3])), ignore_attr = TRUE)
  errors <- sqrt(diag(as.matrix(vcov(fit))))
  expect_equal(slopes$std.error[1:2], errors[2:3], ignore_attr = TRUE)
  plain <- lmm(score ~ hour + (1 | doctor), surgery)
  expect_error(plot_within_between(plain), class = "ferrolmm_error_argument")
  expect_error(plot_within_between(fit, 2), class = "ferrolmm_error_argument")
})

test_that("an error says which part was dropped, and why", {
  d <- nlme::Orthodont
  fit <- suppressMessages(lmm(distance ~ within_between(age, Subject) + (1 | Subject), d))
  expect_error(plot_within_between(fit), "dropped", class = "ferrolmm_error_argument")
  expect_error(plot_within_between(fit), "same mean")
})

test_that("of many groups the lines of 60 are drawn", {
  fit <- lmm(mobility ~ within_between(Age, doctor) + (1 | doctor), doctors)
  chosen <- choose_within_between(fit, 1)
  d <- within_between_data(fit, chosen)
  slopes <- within_between_slopes(fit, chosen)
  lines <- within_lines(d, slopes)
  expect_identical(nrow(lines), 60L)
  expect_equal((lines$yend - lines$y) / (lines$xend - lines$x), rep(fixef(fit)[[2]], 60))
  skip_if_not_installed("ggplot2")
  expect_no_warning(ggplot2::ggplot_build(autoplot(fit, "within_between")))
})
