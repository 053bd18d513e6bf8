test_that("dredge() and model.avg() are those of lmer() and lme()", {
  skip_if_not_installed("MuMIn")
  dredge <- elsewhere("MuMIn", "dredge")
  average <- elsewhere("MuMIn", "model.avg")
  d <- twin_data()
  cake <- d$cake
  sleepstudy <- d$sleepstudy
  orthodont <- as.data.frame(nlme::Orthodont)
  same <- function(ours, theirs) {
    mine <- suppressMessages(dredge(ours))
    wanted <- suppressMessages(dredge(theirs))
    columns <- c("df", "logLik", "AICc", "delta", "weight")
    expect_equal(
      as.data.frame(mine)[columns], as.data.frame(wanted)[columns], tolerance = 1e-5,
      ignore_attr = TRUE
    )
    mean_of <- function(table) {
      suppressMessages(average(elsewhere("MuMIn", "get.models")(table, subset = TRUE)))
    }
    expect_equal(coef(mean_of(mine)), coef(mean_of(wanted)), tolerance = 1e-5)
    expect_equal(vcov(mean_of(mine)), vcov(mean_of(wanted)), tolerance = 1e-4)
    invisible(mine)
  }
  same(
    lmm(Reaction ~ Days * late + w + (Days | Subject), sleepstudy, REML = FALSE,
        na.action = na.fail),
    lme4::lmer(Reaction ~ Days * late + w + (Days | Subject), sleepstudy, REML = FALSE,
               na.action = na.fail)
  )
  found <- same(
    lmm(angle ~ recipe * temp + (1 | replicate / recipe), cake, REML = FALSE, na.action = na.fail),
    lme4::lmer(angle ~ recipe * temp + (1 | replicate / recipe), cake, REML = FALSE,
               na.action = na.fail)
  )
  best <- elsewhere("MuMIn", "get.models")(found, 1L)[[1L]]
  expect_s3_class(best, "lmm")
  expect_length(best$random, 2L)
  # the call of lme() that 'MuMIn' evaluates again
  lme.formula <- utils::getFromNamespace("lme.formula", "nlme")
  same(
    lmm(distance ~ age * Sex + (1 | Subject), orthodont, REML = FALSE, na.action = na.fail,
        correlation = nlme::corAR1(form = ~ 1 | Subject)),
    nlme::lme(fixed = distance ~ age * Sex, data = orthodont, random = ~ 1 | Subject, method = "ML",
              na.action = na.fail, correlation = nlme::corAR1(form = ~ 1 | Subject))
  )
})

test_that("dredge() keeps structures of random effects with arguments, and models without any", {
  skip_if_not_installed("MuMIn")
  dredge <- elsewhere("MuMIn", "dredge")
  orthodont <- as.data.frame(nlme::Orthodont)
  orthodont$visit <- factor(orthodont$age)
  for (fit in list(
    lmm(distance ~ Sex + diag(age | Subject, hom = FALSE), orthodont, REML = FALSE,
        na.action = na.fail),
    lmm(distance ~ Sex, orthodont, residual = ~ us(visit | Subject), REML = FALSE,
        na.action = na.fail)
  )) {
    table <- as.data.frame(suppressMessages(dredge(fit)))
    expect_identical(nrow(table), 2L)
    wanted <- c(logLik(fit), logLik(update(fit, . ~ . - Sex)))
    expect_equal(sort(table$logLik), sort(as.numeric(wanted)), tolerance = 1e-8)
  }
})

test_that("coefficients and R squared are ours in the format of 'MuMIn'", {
  skip_if_not_installed("MuMIn")
  fit <- our_twin("slope")
  theirs <- lme4_twin("slope")
  expect_equal(
    elsewhere("MuMIn", "r.squaredGLMM")(fit), elsewhere("MuMIn", "r.squaredGLMM")(theirs),
    tolerance = 1e-6
  )
  expect_equal(
    elsewhere("MuMIn", "coefTable")(fit), elsewhere("MuMIn", "coefTable")(theirs), tolerance = 1e-6
  )
  expect_equal(elsewhere("MuMIn", "coeffs")(fit), fixef(fit))
  expect_equal(
    elsewhere("MuMIn", "std.coef")(fit, FALSE), elsewhere("MuMIn", "std.coef")(theirs, FALSE),
    tolerance = 1e-6
  )
})
