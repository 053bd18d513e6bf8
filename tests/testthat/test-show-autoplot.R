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

test_that("profiles and deletions have pictures by ggplot2 too", {
  skip_if_not_installed("ggplot2")
  data(Orthodont, package = "nlme")
  fit <- lmm(distance ~ age + (age | Subject), Orthodont)
  profiled <- profile(fit, "theta_")
  picture <- ggplot2::autoplot(profiled)
  expect_no_warning(built <- ggplot2::ggplot_build(picture))
  expect_equal(nlevels(picture$data$panel), 4)
  # dashed lines end on the curve: at the quantiles, or at the end of the curve
  limits <- confint(profiled, level = 0.5)
  heights <- built$data[[2]]
  expect_true(all(vapply(limits, function(x) any(abs(heights$x - x) < 1e-8), NA)))
  inner <- abs(heights$y)[heights$x %in% limits[".sigma", ]]
  expect_equal(inner, rep(qnorm(0.75), 2), tolerance = 1e-3)
  one <- ggplot2::autoplot(profiled, parm = ".sigma", absolute = TRUE)
  expect_true(all(one$data$y >= 0))
  expect_error(ggplot2::autoplot(profiled, levels = 2), class = "ferrolmm_error_argument")

  without <- influence(fit, groups = "Subject")
  picture <- ggplot2::autoplot(without)
  expect_no_warning(ggplot2::ggplot_build(picture))
  expect_equal(nrow(picture$data), 3 * 27)
  cook <- picture$data[picture$data$panel == "Cook's distance", ]
  expect_equal(cook$y, unname(cooks.distance(without)))
  expect_equal(which(cook$large), sort(order(-cook$y)[1:3]))
  expect_equal(nlevels(ggplot2::autoplot(without, which = "age")$data$panel), 1)
  expect_error(ggplot2::autoplot(without, which = "agee"), class = "ferrolmm_error_argument")
})

test_that("a model without random effects has three pictures", {
  skip_if_not_installed("ggplot2")
  data(Orthodont, package = "nlme")
  fit <- lmm(distance ~ age, Orthodont, residual = ~ us(factor(age) | Subject))
  expect_equal(nlevels(ggplot2::autoplot(fit)$data$panel), 3)
  expect_error(ggplot2::autoplot(fit, which = 4), class = "ferrolmm_error_argument")
  expect_error(ggplot2::autoplot(ranef(fit)), class = "ferrolmm_error_argument")
})

test_that("our own generic draws the objects of both packages", {
  skip_if_not_installed("ggplot2")
  fit <- lmm(distance ~ age + (age | Subject), nlme::Orthodont)
  ours <- ferrolmm::autoplot(fit)
  expect_equal(ours$data, ggplot2::autoplot(fit)$data)
  expect_error(ferrolmm::autoplot(1), "numeric")
})

test_that("the largest residuals are labelled, residuals and effects have colours of their own", {
  skip_if_not_installed("ggplot2")
  fit <- lmm(distance ~ age + (age | Subject), nlme::Orthodont)
  picture <- autoplot(fit, which = 1)
  largest <- order(-abs(residuals(fit)))[1:3]
  expect_setequal(trimws(na.omit(picture$data$label)), names(residuals(fit))[largest])
  expect_true(all(is.na(autoplot(fit, labels = 0)$data$label)))
  expect_no_warning(ggplot2::ggplot_build(autoplot(fit)))
})

test_that("Z, Lambda and L have pictures by ggplot2", {
  skip_if_not_installed("ggplot2")
  fit <- lmm(yield ~ nitro + (1 | Block / Variety), nlme::Oats)
  for (which in c("Z", "Lambda", "L")) {
    picture <- autoplot(fit, which)
    expect_no_warning(ggplot2::ggplot_build(picture))
    expect_identical(nrow(picture$data), if (which == "Z") 2L else 4L)
  }
  blocks <- square_blocks(square_pattern(fit, "Lambda"), c(100L, 100L))
  expect_identical(sum(blocks$rasters[[1]] != "#FFFFFF"), 18L)
  expect_identical(sum(blocks$rasters[[2]] != "#FFFFFF"), 0L)
  drawn <- z_blocks(z_pattern(fit))
  filled <- vapply(drawn$rasters, function(raster) sum(as.matrix(raster) != "#FFFFFF"), 1)
  expect_identical(filled, c(72, 72))
  expect_error(autoplot(fit, "V"), class = "ferrolmm_error_argument")
})
