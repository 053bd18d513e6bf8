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
