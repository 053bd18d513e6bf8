test_that("glht() tests what it tests of lmer()", {
  skip_if_not_installed("multcomp")
  skip_if_not_installed("lme4")
  fit <- our_twin("shared_factor")
  theirs <- lme4_twin("shared_factor")
  mine <- summary(
    multcomp::glht(fit, linfct = c("recipeB = 0", "recipeB - recipeC = 0")),
    multcomp::adjusted("none")
  )
  wanted <- summary(
    multcomp::glht(theirs, linfct = c("recipeB = 0", "recipeB - recipeC = 0")),
    multcomp::adjusted("none")
  )
  for (part in c("coefficients", "sigma", "tstat", "pvalues")) {
    expect_equal(mine$test[[part]], wanted$test[[part]], tolerance = 1e-4, ignore_attr = TRUE)
  }
  d <- nlme::Orthodont
  d$group <- factor(rep(1:3, length.out = nrow(d)))
  formula <- distance ~ age + group + (1 | Subject)
  fit <- lmm(formula, d)
  theirs <- lme4::lmer(formula, d, start = unname(fit$theta))
  tukey <- function(model) {
    multcomp::glht(model, linfct = multcomp::mcp(group = "Tukey"))
  }
  expect_equal(coef(tukey(fit)), coef(tukey(theirs)), tolerance = 1e-5)
  expect_equal(vcov(tukey(fit)), vcov(tukey(theirs)), tolerance = 1e-5)
  expect_error(
    multcomp::glht(fit, "group2 = 0", vcov. = diag(2)), "`vcov.`", class = "ferrolmm_error_argument"
  )
  expect_identical(multcomp::glht(fit, "group2 = 0", df = 20)$df, 20)
})

test_that("effects are those of the same model by lmer()", {
  skip_if_not_installed("effects")
  skip_if_not_installed("lme4")
  d <- as.data.frame(nlme::Orthodont)
  fit <- lmm(distance ~ age * Sex + (1 | Subject), d)
  # 'effects' looks for the data of lmer() in the global environment
  theirs <- do.call(
    lme4::lmer, list(distance ~ age * Sex + (1 | Subject), d, start = unname(fit$theta))
  )
  ours <- as.data.frame(effects::Effect(c("age", "Sex"), fit))
  wanted <- as.data.frame(effects::Effect(c("age", "Sex"), theirs))
  expect_equal(ours[c("fit", "se", "lower", "upper")], wanted[c("fit", "se", "lower", "upper")],
               tolerance = 1e-5)
})

test_that("Effect() of a model with aliased columns is that of the model without them", {
  skip_if_not_installed("effects")
  d <- twin_data()$sleepstudy
  d$f <- factor(d$Days %% 3)
  d$twice <- 2 * d$Days
  fit <- lmm(Reaction ~ f + Days + (1 | Subject), d)
  aliased <- suppressMessages(lmm(Reaction ~ f + Days + twice + (1 | Subject), d))
  columns <- c("fit", "se", "lower", "upper")
  expect_equal(
    as.data.frame(effects::Effect("f", aliased))[columns],
    as.data.frame(effects::Effect("f", fit))[columns]
  )
})

test_that("effects beside within_between() are those in a group with an average mean", {
  skip_if_not_installed("effects")
  set.seed(613)
  d <- data.frame(clinic = gl(15, 8), hour = rnorm(120, 12, 2), age = runif(120, 20, 80))
  d$sex <- gl(2, 60, labels = c("f", "m"))
  d$score <- d$hour + d$age / 20 + rnorm(15)[d$clinic] + rnorm(120)
  fit <- lmm(
    score ~ within_between(hour, clinic) * sex + age + (1 | clinic), d
  )
  # by hand: hour less the mean of all rows, and that mean
  centre <- mean(d$hour)
  hours <- c(8, 12)
  x <- cbind(1, hours - centre, centre, 1, mean(d$age), hours - centre, centre)
  b <- fixef(fit)
  expect_match(names(b)[2:3], "within clinic|between clinic")
  ours <- effects::Effect(c("hour", "sex"), fit, xlevels = list(hour = hours))
  table <- as.data.frame(ours)
  expect_equal(table$fit[table$sex == "m"], drop(x %*% b), ignore_attr = TRUE)
  expect_equal(
    table$se[table$sex == "m"], sqrt(rowSums((x %*% vcov(fit)) * x)), ignore_attr = TRUE
  )
  every <- effects::allEffects(fit, xlevels = list(hour = hours))
  expect_named(every, c("age", "within_between(hour,\"clinic\"):sex"))
  expect_equal(as.data.frame(every[[2L]]), table)
  expect_error(effects::allEffects(fit, xlevls = 3), class = "ferrolmm_error_argument")
  # broom.helpers gives `level`
  wide <- as.data.frame(effects::allEffects(fit, level = 0.99)[[1L]])
  expect_equal(wide, as.data.frame(effects::allEffects(fit, se = list(level = 0.99))[[1L]]))
  expect_lt(wide$lower[[1L]], as.data.frame(every[[1L]])$lower[[1L]])
  expect_error(effects::allEffects(fit, level = 2), class = "ferrolmm_error_argument")
  expect_error(
    effects::allEffects(lmm(score ~ 1 + (1 | clinic), d)), class = "ferrolmm_error_argument"
  )
})

test_that("allEffects() has the terms that it has for lmer()", {
  skip_if_not_installed("effects")
  skip_if_not_installed("lme4")
  d <- as.data.frame(nlme::Orthodont)
  d$half <- gl(2, 4, 108)
  formula <- distance ~ poly(age, 2) * Sex + half + (1 | Subject)
  fit <- lmm(formula, d)
  theirs <- do.call(lme4::lmer, list(formula, d, start = unname(fit$theta)))
  ours <- effects::allEffects(fit)
  wanted <- effects::allEffects(theirs)
  expect_named(ours, names(wanted))
  for (k in seq_along(ours)) {
    expect_equal(as.data.frame(ours[[k]])[-1L], as.data.frame(wanted[[k]])[-1L], tolerance = 1e-5)
  }
})
