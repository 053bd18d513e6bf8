test_that("each group's regression is that of lm()", {
  data(Orthodont, package = "nlme")
  fit <- lmm(distance ~ age * Sex + (age | Subject), Orthodont)
  each <- lmList(fit)
  for (subject in c("M16", "F05")) {
    alone <- lm(distance ~ age, Orthodont, subset = Subject == subject)
    expect_equal(unlist(coef(each)[subject, 1:2]), coef(alone), ignore_attr = TRUE)
    expect_equal(each$std.error[subject, 1:2], coef(summary(alone))[, 2], ignore_attr = TRUE)
    expect_equal(each$sigma[[subject]], sigma(alone))
  }
  ## Sex is constant in a group.
  expect_true(all(is.na(coef(each)[, "SexFemale"])))
  expect_identical(dim(as.data.frame(each)), c(27L * 4L, 5L))
  expect_output(print(each), "27 of 27 groups")
})

test_that("it agrees with nlme's, and dispatches for both", {
  data(Orthodont, package = "nlme")
  fit <- lmm(distance ~ age + (age | Subject), Orthodont)
  theirs <- coef(nlme::lmList(distance ~ age | Subject, Orthodont))
  expect_equal(as.matrix(coef(lmList(fit)))[rownames(theirs), ], as.matrix(theirs))
})

test_that("groups that cannot be fitted are NA as a whole", {
  d <- data.frame(g = rep(1:5, c(6, 6, 6, 1, 3)), x = c(1:18, 1, 2, 2, 2))
  set.seed(1)
  d$y <- d$g + rnorm(22)
  each <- lmList(lmm(y ~ x + (1 | g), d))
  expect_identical(unname(rowSums(is.na(each$coefficients))), c(0, 0, 0, 2, 2))
  expect_error(lmList(lmm(y ~ x + (1 | g), d), level = "h"), class = "ferrolmm_error_argument")
})

test_that("weights and offset are used", {
  data(Orthodont, package = "nlme")
  d <- transform(as.data.frame(Orthodont), w = rep(1:4, 27))
  each <- lmList(lmm(distance ~ age + offset(age / 2) + (1 | Subject), d, weights = w))
  alone <- lm(distance ~ age + offset(age / 2), d, subset = Subject == "M01", weights = w)
  expect_equal(unlist(coef(each)["M01", ]), coef(alone), ignore_attr = TRUE)
  expect_equal(each$std.error["M01", ], coef(summary(alone))[, 2], ignore_attr = TRUE)
})

test_that("a formula names the groups, and only its variables are looked at", {
  d <- as.data.frame(nlme::Orthodont)
  d$unused <- d$age
  d$unused[3:5] <- NA
  each <- lmList(distance ~ age | Subject, d)
  wanted <- t(vapply(split(d, d$Subject), function(g) coef(lm(distance ~ age, g)), c(0, 0)))
  expect_equal(as.matrix(coef(each))[rownames(wanted), ], wanted)
  d$age[3] <- NA
  one <- summary(lm(distance ~ age, d[d$Subject == "M01", ]))
  each <- lmList(distance ~ age | Subject, d)
  expect_equal(each$std.error["M01", ], coef(one)[, 2])
  expect_equal(each$sigma[["M01"]], one$sigma)
  w <- seq(1, 2, length.out = nrow(d))
  weighted <- lmList(distance ~ age | Sex, d, weights = w, subset = age > 8)
  wanted <- lm(distance ~ age, d, weights = w, subset = age > 8 & Sex == "Male")
  expect_equal(unlist(coef(weighted)["Male", ]), coef(wanted))
  expect_error(lmList(distance ~ age, d), class = "ferrolmm_error_formula")
  expect_error(lmList(distance ~ age | Subject, d, poool = 1), class = "ferrolmm_error_argument")
  expect_s3_class(lmList(nlme::Orthodont), "lmList")
})

test_that("summary() counts the coefficients that are estimated", {
  d <- subset(as.data.frame(nlme::Pixel), Dog %in% 7:9)
  d$Dog <- factor(d$Dog)
  fits <- lapply(split(d, d$Dog), function(g) lm(pixel ~ day + I(day^2), g))
  df <- sum(vapply(fits, df.residual, 1L))
  rse <- sqrt(sum(vapply(fits, deviance, 0)) / df)
  of_fit <- lmList(suppressMessages(lmm(pixel ~ day + I(day^2) + (1 | Dog), d)))
  for (each in list(lmList(pixel ~ day + I(day^2) | Dog, d), of_fit)) {
    pooled <- summary(each)
    expect_equal(pooled$RSE, rse)
    expect_equal(round(pooled$RSE, 3), 17.467)
    expect_equal(pooled$df.residual, 12)
    table <- coef(summary(fits[["8"]]))
    expect_equal(
      pooled$coefficients["8", "Std. Error", ], table[, 2] / sigma(fits[["8"]]) * rse
    )
  }
  each <- lmList(pixel ~ day + I(day^2) | Dog, d)
  expect_equal(unlist(coef(each)["9", ]), coef(fits[["9"]]))
  expect_true(all(is.na(coef(of_fit)["9", ])))
  expect_output(print(summary(each)), "17.467 on 12 degrees of freedom")
  apart <- summary(each, pool = FALSE)
  expect_equal(apart$coefficients["8", , "day"], coef(summary(fits[["8"]]))["day", ])
})

test_that("without residual degrees of freedom there are estimates alone", {
  d <- data.frame(g = c(1, 2, 2), f = factor(c("a", "a", "b")), y = c(55, -38, -55))
  fit <- suppressMessages(lmm(y ~ f + (1 | g), d, control = lmm_control(sigma = 1)))
  expect_no_warning(found <- summary(lmList(fit))$coefficients)
  expect_true(all(is.na(found[, "Std. Error", ])))
  expect_false(any(is.nan(found)))
})

test_that("a group whose predictor is zero throughout has no slope", {
  d <- data.frame(y = c(1.2, 3.1, 2.2, 5.4, 3.3, 8.1), x = c(1, 2, 0, 0, 3, 1), g = gl(3, 2))
  fit <- suppressMessages(lmm(y ~ 0 + x + (0 + x | g), d, control = lmm_control(sigma = 1)))
  expect_identical(unname(is.na(coef(lmList(fit))$x)), c(FALSE, TRUE, FALSE))
  expect_no_error(pooling(fit))
})

test_that("plot() draws each group with the interval of its coefficients", {
  data(Orthodont, package = "nlme")
  each <- lmList(distance ~ age | Subject, Orthodont)
  grDevices::pdf(NULL)
  on.exit(grDevices::dev.off())
  before <- graphics::par("mar", "las", "mfrow")
  drawn <- plot(each, pool = FALSE)
  expect_identical(graphics::par("mar", "las", "mfrow"), before)
  one <- drawn[drawn$group == "M13" & drawn$term == "age", ]
  limits <- confint(lm(distance ~ age, Orthodont, subset = Subject == "M13"))["age", ]
  expect_equal(c(one$lower, one$upper), unname(limits))
  # in an environment that does not see our own method for formulas
  call <- quote(nlme::lmList(distance ~ age | Subject, as.data.frame(nlme::Orthodont)))
  theirs <- nlme::intervals(eval(call, globalenv()))
  pooled <- plot(each)
  pooled <- pooled[pooled$term == "age", ]
  expect_equal(pooled$upper, unname(theirs[as.character(pooled$group), "upper", "age"]))
  few <- Orthodont[-(2:4), ]
  drawn <- plot(lmList(lmm(distance ~ age + (1 | Subject), few)))
  expect_false("M01" %in% drawn$group)
  expect_identical(sort(drawn$rank), rep(1:26, each = 2))
  skip_if_not_installed("ggplot2")
  expect_no_warning(ggplot2::ggplot_build(autoplot(each)))
})
