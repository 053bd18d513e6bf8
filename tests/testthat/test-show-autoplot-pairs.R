test_that("pairs() and qqnorm() have forms by 'ggplot2' with the same points", {
  skip_if_not_installed("ggplot2")
  fit <- lmm(distance ~ age + (age | Subject), nlme::Orthodont)
  built <- ggplot2::ggplot_build(autoplot(fit, which = "pairs"))
  effects <- coef(fit)$Subject
  expect_setequal(built$data[[1]]$x, unlist(effects))
  # both panels beside the diagonal
  expect_identical(sort(tabulate(built$data[[1]]$PANEL, 4L)), c(0L, 0L, 27L, 27L))
  modes <- ggplot2::ggplot_build(autoplot(fit, which = "pairs", form = ~ ranef(.)))$data[[1]]
  expect_setequal(modes$y, unlist(ranef(fit, condVar = FALSE)$Subject))

  drawn <- ggplot2::ggplot_build(autoplot(fit, "qqnorm"))$data[[1]]
  expected <- stats::qqnorm(resid(fit, type = "scaled"), plot.it = FALSE)
  expect_equal(drawn$x, unname(expected$y))
  expect_equal(drawn$y, expected$x)
  random <- ggplot2::ggplot_build(autoplot(fit, which = "qqnorm", form = ~ ranef(.)))
  expect_identical(nrow(random$layout$layout), 2L)
  by_sex <- ggplot2::ggplot_build(autoplot(fit, which = "qqnorm", form = ~ resid(.) | Sex))
  expect_identical(nrow(by_sex$layout$layout), 2L)
})

test_that("what they cannot draw is an error", {
  skip_if_not_installed("ggplot2")
  fit <- lmm(distance ~ age + (1 | Subject), nlme::Orthodont)
  expect_error(autoplot(fit, which = "pairs"), class = "ferrolmm_error_argument")
  expect_error(autoplot(fit, "qqnorm", form = 1), class = "ferrolmm_error_argument")
  expect_error(
    autoplot(fit, which = "qqnorm", form = resid(.) ~ fitted(.)), class = "ferrolmm_error_argument"
  )
  expect_error(autoplot(fit, which = "Z", form = ~ resid(.)), "`form` is for",
    class = "ferrolmm_error_argument"
  )
})
