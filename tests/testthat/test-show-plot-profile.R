test_that("a panel for each parameter", {
  panels <- 0
  count <- function() panels <<- panels + 1
  hooks <- getHook("plot.new")
  setHook("plot.new", count)
  on.exit(setHook("plot.new", hooks, "replace"))
  grDevices::pdf(NULL)
  on.exit(grDevices::dev.off(), add = TRUE)
  profiled <- profile(our_twin("crossed"))
  plot(profiled)
  expect_identical(panels, 4)
  plot(profiled, c(".sigma", "sd_(Intercept)|plate"))
  expect_identical(panels, 6)
})

test_that("the curve that is drawn goes through the points and is monotone", {
  for (path in profile_paths(profile(our_twin("slope")))) {
    drawn <- dense_path(path)
    expect_true(all(diff(drawn$zeta) >= 0))
    expect_equal(drawn$zeta[match(path$value, drawn$value)], path$zeta)
  }
})

test_that("plots of profiles draw, and leave par() as it was", {
  grDevices::pdf(NULL)
  on.exit(grDevices::dev.off())
  before <- graphics::par("mfrow", "mar")
  fit <- our_twin("slope")
  profiled <- profile(fit)
  expect_identical(plot(profiled), profiled)
  expect_invisible(plot(profiled, "theta_", absolute = TRUE, levels = 0.95))
  expect_silent(plot(profile(fit, ".sig02"), mfrow = NULL))
  expect_identical(graphics::par("mfrow", "mar"), before)
  expect_error(plot(profiled, levels = 95), "level", class = "ferrolmm_error_argument")
})
