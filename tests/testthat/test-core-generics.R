test_that("generics serve lme4's models when lme4 is loaded", {
  skip_if_not_installed("lme4")
  theirs <- lme4_twin("slope")
  expect_identical(getME(theirs, "theta"), lme4::getME(theirs, "theta"))
  expect_true(isLMM(theirs))
  expect_identical(isSingular(theirs), lme4::isSingular(theirs))
  expect_equal(ngrps(theirs), c(Subject = 18))
  expect_equal(REMLcrit(theirs), lme4::REMLcrit(theirs))
  expect_s4_class(refitML(theirs), "lmerMod")
})

test_that("lme4's generics serve our models", {
  skip_if_not_installed("lme4")
  fit <- our_twin("slope")
  expect_identical(lme4::getME(fit, "theta"), fit$theta)
  expect_true(lme4::isLMM(fit))
  expect_true(lme4::isREML(fit))
  expect_identical(lme4::isSingular(fit), FALSE)
  expect_identical(lme4::ngrps(fit), ngrps(fit))
  expect_identical(lme4::fixef(fit), fixef(fit))
  expect_equal(lme4::VarCorr(fit), VarCorr(fit))
  expect_s3_class(lme4::refitML(fit), "lmm")
})

test_that("either order of loading lme4 and ferrolmm works for both classes", {
  skip_on_cran()
  skip_if_not_installed("lme4")
  work <- c(
    "ours <- lmm(Reaction ~ Days + (Days | Subject), lme4::sleepstudy)",
    "theirs <- lme4::lmer(Reaction ~ Days + (Days | Subject), lme4::sleepstudy)",
    "for (m in list(ours, theirs)) {",
    "  stopifnot(isLMM(m), isREML(m), !isSingular(m), length(getME(m, 'theta')) == 3,",
    "    ngrps(m) == 18, !isREML(refitML(m)), abs(fixef(m)[[2]] - 10.467) < 1e-3,",
    "    nrow(ranef(m)$Subject) == 18, length(VarCorr(m)) == 1)",
    "  invisible(capture.output(print(ranef(m)), print(VarCorr(m)), print(summary(m))))",
    "}",
    "stopifnot(inherits(refit(ours, lme4::sleepstudy$Reaction), 'lmm'))",
    "cat('done\\n')"
  )
  expect_match(run_fresh("library(lme4)", "library(ferrolmm)", work), "done", all = FALSE)
  expect_match(run_fresh("library(ferrolmm)", "library(lme4)", work), "done", all = FALSE)
})

test_that("everything works without lme4", {
  skip_on_cran()
  output <- run_fresh(
    "library(ferrolmm)",
    "m <- lmm(distance ~ age + (age | Subject), nlme::Orthodont)",
    "stopifnot(isLMM(m), isREML(m), length(getME(m, 'theta')) == 3, !isSingular(m))",
    "invisible(capture.output(print(m), print(summary(m)), print(ranef(m)), print(VarCorr(m))))",
    "e <- tryCatch(getME(lm(1 ~ 1), 'X'), error = identity)",
    "stopifnot(inherits(e, 'ferrolmm_error_argument'), !isNamespaceLoaded('lme4'))",
    "cat('done\\n')"
  )
  expect_match(output, "done", all = FALSE)
})
