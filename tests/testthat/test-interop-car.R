test_that("car's tests are those of anova() and contest()", {
  skip_if_not_installed("car")
  fit <- our_twin("shared_factor")
  expect_equal(car::Anova(fit, type = 3), anova(fit))
  # terms that no other one contains
  expect_equal(car::Anova(fit)[2:3, ], anova(fit, type = "II")[2:3, ], ignore_attr = TRUE)
  expect_equal(
    car::linearHypothesis(fit, c("recipeB = 1", "recipeC"))[["F value"]],
    contest(fit, c("recipeB = 1", "recipeC"))[["F value"]]
  )
  expect_output(
    print(car::linearHypothesis(fit, "recipeB = 0", ddf = "K")), "Kenward-Roger"
  )
})

test_that("Wald's chi-squared tests are those of car for the same model by lmer()", {
  skip_if_not_installed("car")
  skip_if_not_installed("lme4")
  d <- nlme::Orthodont
  d$group <- factor(rep(1:3, length.out = nrow(d)))
  fit <- lmm(distance ~ age + Sex * group + (1 | Subject), d)
  theirs <- lme4::lmer(formula(fit), d, start = unname(fit$theta))
  wanted <- car::Anova(theirs, type = 2)
  ours <- car::Anova(fit, type = 2, test = "Chisq")
  expect_identical(rownames(ours), rownames(wanted))
  expect_equal(ours$Chisq, wanted$Chisq, tolerance = 1e-4)
  expect_equal(ours$Df, wanted$Df)
  expect_equal(
    car::linearHypothesis(fit, c("group2 = 1", "group3 = 0"), test = "Chisq")$Chisq,
    car::linearHypothesis(theirs, c("group2 = 1", "group3 = 0"))$Chisq[2],
    tolerance = 1e-4
  )
  expect_equal(
    car::Anova(fit, vcov. = 4 * vcov(fit), test = "Chisq")$Chisq,
    car::Anova(fit, test = "Chisq")$Chisq / 4
  )
  expect_error(
    car::Anova(fit, test = "Chisq", ddf = "KR"), "ddf", class = "ferrolmm_error_argument"
  )
  expect_error(car::Anova(fit, test = "LR"), "test.statistic", class = "ferrolmm_error_argument")
})

test_that("type II is that of car: relatives have all variables, and the metric is vcov()", {
  skip_if_not_installed("car")
  skip_if_not_installed("lme4")
  d <- nlme::Orthodont[-c(1, 5, 6, 50:53, 77), ]
  d$group <- factor(rep(1:3, length.out = nrow(d)))
  for (formula in list(
    distance ~ age * Sex + (1 | Subject), distance ~ Sex * group * age + (age | Subject),
    distance ~ 0 + Sex + Sex:group + poly(age, 2):group + (1 | Subject)
  )) {
    fit <- lmm(formula, d)
    theirs <- suppressMessages(lme4::lmer(formula, d, start = unname(fit$theta), control =
      lme4::lmerControl(optimizer = NULL, calc.derivs = FALSE)))
    expect_equal(
      car::Anova(fit, test.statistic = "Chisq")$Chisq, car::Anova(theirs)$Chisq, tolerance = 1e-6
    )
    skip_if_not_installed("pbkrtest")
    expect_equal(
      car::Anova(fit, ddf = "Kenward-Roger")[["F value"]],
      car::Anova(theirs, test.statistic = "F")$F, tolerance = 1e-5
    )
  }
  # the statistic of a term is that of the model without its relatives, where V is the same
  fit <- lmm(distance ~ age * Sex + (1 | Subject), d)
  expect_identical(
    names(lmerTest::show_tests(car::Anova(fit))), c("age", "Sex", "age:Sex")
  )
  expect_output(print(car::Anova(fit)), "Type II Analysis of Variance Table with Satterthwaite")
})

test_that("type III does not depend on coding, and is car's with sum contrasts", {
  skip_if_not_installed("car")
  skip_if_not_installed("lme4")
  d <- nlme::Orthodont[-c(1, 5, 6, 50:53, 77), ]
  d$group <- factor(rep(1:3, length.out = nrow(d)))
  fit <- lmm(distance ~ Sex * group + age + (1 | Subject), d)
  sums <- list(Sex = "contr.sum", group = "contr.sum")
  theirs <- lme4::lmer(distance ~ Sex * group + age + (1 | Subject), d, contrasts = sums)
  expect_equal(
    car::Anova(fit, type = 3, test.statistic = "Chisq")$Chisq,
    car::Anova(theirs, type = 3)$Chisq[-1], tolerance = 1e-4
  )
})

test_that("infIndexPlot() draws what influence() of groups says", {
  skip_if_not_installed("car")
  fit <- our_twin("slope")
  grDevices::pdf(NULL)
  on.exit(grDevices::dev.off())
  deleted <- influence(fit, "Subject")
  expect_no_error(car::infIndexPlot(deleted))
  expect_no_error(car::infIndexPlot(deleted, vars = c("dfbetas", "cookd"), id = FALSE))
  expect_error(car::infIndexPlot(deleted, var = 1), class = "ferrolmm_error_argument")
})

test_that("variance inflation factors are car's of the same model by lmer()", {
  skip_if_not_installed("car")
  skip_if_not_installed("lme4")
  d <- nlme::Orthodont
  d$group <- factor(rep(1:3, length.out = nrow(d)))
  formulas <- list(
    distance ~ age * Sex + (age | Subject), distance ~ age + Sex + group + (1 | Subject),
    distance ~ age + group * Sex + (1 | Subject)
  )
  for (formula in formulas) {
    fit <- lmm(formula, d)
    # lmer() by itself stops too early
    theirs <- suppressWarnings(lme4::lmer(formula, d, start = unname(fit$theta)))
    expect_equal(car::vif(fit), car::vif(theirs), tolerance = 1e-5)
  }
  # by least squares without random effects, too
  expect_equal(
    car::vif(lmm(distance ~ age + Sex + group, d, residual = ~ ar1(age | Subject),
                 control = lmm_control(hold = c(residual.rho = 0)))),
    car::vif(lm(distance ~ age + Sex + group, d)), tolerance = 1e-8
  )
  expect_error(
    car::vif(lmm(distance ~ age + (1 | Subject), d)), "fewer than two",
    class = "ferrolmm_error_argument"
  )
  d$twice <- 2 * d$age
  aliased <- suppressMessages(lmm(distance ~ age + Sex + twice + (1 | Subject), d))
  expect_error(car::vif(aliased), "aliased", class = "ferrolmm_error_argument")
})

test_that("deltaMethod() and Confint() are about the fixed effects", {
  skip_if_not_installed("car")
  skip_if_not_installed("lme4")
  formula <- distance ~ age + Sex + (age | Subject)
  fit <- lmm(formula, nlme::Orthodont)
  theirs <- lme4::lmer(formula, nlme::Orthodont)
  ours <- car::deltaMethod(fit, "SexFemale / age")
  expect_equal(ours, car::deltaMethod(theirs, "SexFemale / age"), tolerance = 1e-4)
  expect_equal(car::deltaMethod(fit, "b0 + b1", parameterNames = paste0("b", 0:2))$Estimate,
               sum(fixef(fit)[1:2]))
  limits <- car::Confint(fit)
  expect_equal(limits[, 1], fixef(fit))
  expect_equal(limits[, -1], confint(fit, "beta_"))
  expect_identical(car::matchCoefs(fit, "^age"), "age")
  expect_error(car::deltaMethod(fit, 3), "`g.`", class = "ferrolmm_error_argument")
})

test_that("linearHypothesis() is a test of the hypothesis, however its rows are written", {
  skip_if_not_installed("car")
  set.seed(1)
  d <- data.frame(
    f = factor(sample(letters[1:3], 60, TRUE)), x = rnorm(60), g = factor(sample(8, 60, TRUE))
  )
  d$y <- rnorm(60) + rnorm(8)[d$g] * (1 + d$x)
  fit <- lmm(y ~ f + x + (x | g), d)
  L <- diag(4)[2:3, ]
  change <- matrix(c(1, 1, 0, 100), 2L)
  one <- car::linearHypothesis(fit, L, rhs = c(0.1, 0.2))
  other <- car::linearHypothesis(fit, change %*% L, rhs = drop(change %*% c(0.1, 0.2)))
  expect_equal(other, one, tolerance = 1e-8)
  expect_equal(one$DenDF, contest(fit, L)$DenDF, tolerance = 1e-8)
})

test_that("influence plots and outlier tests take our diagnostics", {
  skip_if_not_installed("car")
  fit <- our_twin("slope")
  grDevices::pdf(NULL)
  on.exit(grDevices::dev.off())
  found <- car::influencePlot(fit)
  at <- rownames(found)
  expect_equal(found$StudRes, unname(rstudent(fit)[at]))
  expect_equal(found$Hat, unname(hatvalues(fit)[at]))
  expect_equal(found$CookD, unname(cooks.distance(fit)[at]))
  expect_null(car::infIndexPlot(fit))
  outliers <- car::outlierTest(fit)
  worst <- which.max(abs(rstudent(fit)))
  expect_equal(outliers$rstudent[[1L]], rstudent(fit)[[worst]])
  expect_equal(
    outliers$p[[1L]],
    2 * stats::pt(abs(rstudent(fit)[[worst]]), df.residual(fit) - 1, lower.tail = FALSE)
  )
})

test_that("powerTransform() is that of the model by lmer()", {
  skip_if_not_installed("car")
  skip_if_not_installed("lme4")
  # it looks for the data by their name
  assign("sleepstudy", twin_data()$sleepstudy, globalenv())
  on.exit(rm("sleepstudy", envir = globalenv()))
  sleepstudy <- twin_data()$sleepstudy
  fit <- lmm(Reaction ~ Days + (1 | Subject), sleepstudy)
  theirs <- lme4::lmer(Reaction ~ Days + (1 | Subject), sleepstudy)
  expect_equal(
    unname(car::powerTransform(fit)$lambda), unname(car::powerTransform(theirs)$lambda),
    tolerance = 1e-3
  )
})
