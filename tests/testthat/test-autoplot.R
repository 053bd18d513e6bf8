test_that("ggplot2's generic finds our methods, and the pictures build", {
  skip_if_not_installed("ggplot2")
  data(Orthodont, package = "nlme")
  slopes <- lmm(distance ~ age + (age | Subject), Orthodont)
  intercepts <- lmm(mobility ~ Age + (1 | doctor), doctors)
  for (fit in list(slopes, intercepts)) {
    for (object in list(fit, ranef(fit), ranef(fit, condVar = FALSE), pooling(fit))) {
      picture <- ggplot2::autoplot(object)
      expect_s3_class(picture, "ggplot")
      expect_no_warning(ggplot2::ggplot_build(picture))
    }
  }
  expect_s3_class(ggplot2::autoplot(slopes, which = 3), "ggplot")
  expect_error(ggplot2::autoplot(slopes, which = 7), class = "ferrolmm_error_argument")
  expect_s3_class(ggplot2::autoplot(pooling(slopes), terms = "age"), "ggplot")
})
