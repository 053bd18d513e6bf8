data(Orthodont, package = "nlme")
fit <- lmm(distance ~ age * Sex + (age | Subject), Orthodont)

test_that("a formula draws what it names", {
  picture <- plot(fit, resid(., type = "scaled") ~ fitted(.) | Sex, abline = 0, id = 0.05)
  expect_s3_class(picture, "trellis")
  expect_identical(picture$condlevels, list(Sex = c("Male", "Female")))
  drawn <- picture$panel.args[[2]]
  women <- Orthodont$Sex == "Female"
  expect_equal(drawn$y, unname(residuals(fit, "scaled"))[women])
  expect_equal(drawn$x, unname(fitted(fit))[women])
  expect_identical(picture$ylab, "Residuals (scaled)")
  expect_identical(plot(fit, form = resid(.) ~ fitted(.))$xlab, "Fitted values")
  # labels and units of the data, as nlme has them
  expect_identical(plot(fit, resid(.) ~ age)$xlab, "Age (yr)")
  boxes <- plot(fit, Subject ~ resid(.))
  expect_identical(boxes$ylab, "Subject")
  expect_s3_class(plot(fit, ~ resid(.) | Sex), "trellis")
  grDevices::pdf(NULL)
  on.exit(grDevices::dev.off())
  options <- lattice::lattice.options(panel.error = "stop")
  on.exit(lattice::lattice.options(options), add = TRUE)
  for (p in list(picture, boxes, plot(fit, ~ resid(.) | Sex), qqnorm(fit, id = 0.05),
                 qqnorm(fit, ~ resid(., type = "scaled") | Sex, id = 0.05), qqnorm(fit, ~ ranef(.)),
                 qqmath(fit, id = 0.05))) {
    expect_no_error(print(p))
  }
})

test_that("the points are those of lme()'s plot", {
  theirs <- nlme::lme(distance ~ age * Sex, Orthodont, random = ~ age | Subject)
  ours <- plot(fit, resid(., type = "scaled") ~ fitted(.) | Sex)
  nlmes <- plot(theirs, resid(., type = "p") ~ fitted(.) | Sex)
  for (k in 1:2) {
    expect_equal(ours$panel.args[[k]][c("x", "y")], nlmes$panel.args[[k]][c("x", "y")],
                 tolerance = 1e-4, ignore_attr = TRUE)
  }
  ours <- qqnorm(fit)$panel.args[[1]]
  nlmes <- qqnorm(theirs)$panel.args[[1]]
  expect_equal(ours[c("x", "y")], nlmes[c("x", "y")], tolerance = 1e-4, ignore_attr = TRUE)
})

test_that("points are named by group, by a formula or by given names", {
  points <- named_points(fit, 0.05, NULL)
  large <- abs(residuals(fit, "scaled")) > qnorm(0.975)
  expect_identical(points$shown, large)
  expect_identical(points$text, as.character(Orthodont$Subject))
  by <- named_points(fit, ~ age > 13, ~age)
  expect_identical(unname(by$shown), Orthodont$age > 13)
  expect_identical(by$text, as.character(Orthodont$age))
})

test_that("what cannot be drawn is an error in words", {
  wrong <- function(...) expect_error(..., class = "ferrolmm_error_argument")
  wrong(plot(fit, resid(.) ~ aeg), "age")
  wrong(plot(fit, resid(.) ~ Sex), "numbers")
  wrong(plot(fit, resid(.) ~ fitted(.), which = 1), "which")
  wrong(plot(fit, abline = 0), "formula")
  wrong(plot(fit, resid(.) ~ fitted(.), id = 3), "id")
  wrong(plot(fit, resid(.) ~ fitted(.), abline = "a"), "abline")
  wrong(plot(fit, resid(.) ~ fitted(.), gird = TRUE), "grid")
  wrong(plot(fit, nothing(.) ~ fitted(.)), "evaluated")
  wrong(qqnorm(fit, resid(.) ~ age), "one-sided")
  wrong(qqnorm(fit, ~ ranef(.), id = 0.05), "residuals")
  wrong(qqmath(fit, Orthodont), "data")
})

test_that("data of any kind: na.exclude, a tibble, odd names, no random effects", {
  odd <- stats::setNames(as.data.frame(Orthodont), c("the size", "the age", "child", "Sex"))
  odd$`the size`[4] <- NA
  fit <- lmm(`the size` ~ `the age` + (1 | child), tibble::as_tibble(odd), na.action = na.exclude)
  picture <- plot(fit, resid(.) ~ `the age` | Sex)
  expect_identical(picture$xlab, "the age")
  expect_length(unlist(lapply(picture$panel.args, `[[`, "x")), 108)
  marginal <- lmm(distance ~ age, Orthodont, residual = ~ us(age | Subject))
  expect_s3_class(plot(marginal, resid(., type = "normalized") ~ age, id = 0.01), "trellis")
})

test_that("ggplot2 draws the same", {
  skip_if_not_installed("ggplot2")
  picture <- autoplot(fit, resid(., type = "scaled") ~ fitted(.) | Sex)
  expect_no_warning(built <- ggplot2::ggplot_build(picture))
  expect_equal(sort(built$data[[1]]$y), sort(unname(residuals(fit, "scaled"))))
  expect_identical(nlevels(built$data[[1]]$PANEL), 2L)
  expect_no_warning(ggplot2::ggplot_build(autoplot(fit, Subject ~ resid(.))))
  expect_no_warning(ggplot2::ggplot_build(autoplot(fit, ~ resid(.))))
})
