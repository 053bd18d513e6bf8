data(Orthodont, package = "nlme")
fit <- lmm(distance ~ age + (1 | Subject), Orthodont)
replicates <- bootstrap(fit, nsim = 60, seed = 1)

test_that("plot() draws replicates with the intervals of confint()", {
  grDevices::pdf(NULL)
  on.exit(grDevices::dev.off())
  before <- graphics::par("mar", "oma", "mfrow")
  expect_identical(plot(replicates), confint(replicates))
  expect_identical(
    plot(replicates, "age", 0.9, "basic"),
    confint(replicates, "age", level = 0.9, interval = "basic")
  )
  expect_identical(graphics::par("mar", "oma", "mfrow"), before)
  drawn <- bootstrap_picture(replicates, NULL, 0.95, "perc")
  expect_identical(
    levels(drawn$replicates$panel),
    c("SD of (Intercept) | Subject", "Residual SD", "(Intercept)", "age")
  )
  age <- drawn$replicates$x[drawn$replicates$panel == "age"]
  expect_equal(age, unname(replicates$t[, "age"]))
  ratio <- function(m) c(ratio = fixef(m)[["age"]] / sigma(m))
  own <- bootstrap(fit, nsim = 20, FUN = ratio, seed = 1)
  expect_identical(rownames(plot(own)), "ratio")
  expect_error(plot(replicates, "aeg"), class = "ferrolmm_error_argument")
  constant <- bootstrap(fit, nsim = 3, FUN = function(m) 1, seed = 1)
  expect_error(plot(constant), "differ", class = "ferrolmm_error_argument")
})

test_that("ggplot2 draws the same", {
  skip_if_not_installed("ggplot2")
  built <- ggplot2::ggplot_build(autoplot(replicates))
  expect_equal(sum(built$data[[1]]$count), 4 * 60)
  expect_equal(sort(unname(c(built$data[[2]]$x, built$data[[2]]$xend))),
               sort(unname(as.vector(confint(replicates)))))
})
