test_that("F tests of single terms are lmerTest's", {
  skip_if_not_installed("lmerTest")
  for (name in c("slope", "shared_factor", "weighted", "missing")) {
    theirs <- suppressMessages(lmerTest::as_lmerModLmerTest(lme4_twin(name)))
    ours <- drop1(our_twin(name))
    reference <- as.data.frame(suppressMessages(drop1(theirs)))
    expect_identical(dimnames(as.data.frame(ours)), dimnames(reference))
    expect_equal(as.data.frame(ours), reference, tolerance = 1e-4, ignore_attr = TRUE)
    expect_equal(ours[["F value"]], reference[["F value"]], tolerance = 1e-6)
  }
})

test_that("a term can be named; one that others contain has nothing to lose", {
  fit <- our_twin("shared_factor")
  table <- drop1(fit, ~ recipe + recipe:temperature)
  expect_identical(rownames(table), c("recipe", "recipe:temperature"))
  expect_identical(table$NumDF, c(0L, 10L))
  expect_equal(table[2, "F value"], anova(fit)["recipe:temperature", "F value"])
  expect_error(
    drop1(fit, "recip"), "Did you mean `recipe`", class = "ferrolmm_error_argument"
  )
})

test_that("likelihood ratios are lme4's", {
  skip_if_not_installed("lme4")
  data <- twin_data()$sleepstudy
  fit <- lmm(Reaction ~ Days + late + offset(w) + (1 | Subject), data, weights = w)
  expect_message(
    table <- drop1(fit, test = "Chisq"), class = "ferrolmm_message_refit"
  )
  theirs <- lme4::lmer(
    Reaction ~ Days + late + offset(w) + (1 | Subject), data, weights = w, REML = FALSE
  )
  reference <- drop1(theirs, test = "Chisq")
  expect_identical(rownames(table), rownames(reference))
  expect_named(table, c("Df", "AIC", "LRT", "Pr(>Chi)"))
  expect_equal(as.matrix(table), as.matrix(reference), tolerance = 1e-5, ignore_attr = TRUE)
})

test_that("the last term goes, the contrasts of the others stay", {
  fit <- lmm(angle ~ recipe + temp + (1 | replicate), twin_data()$cake,
             contrasts = list(recipe = "contr.sum"), REML = FALSE)
  table <- drop1(fit, test = "none")
  expect_named(table, c("Df", "AIC"))
  expect_equal(table["recipe", "AIC"], AIC(update(fit, . ~ . - recipe, contrasts = NULL)))
  expect_equal(table["temp", "AIC"], AIC(update(fit, . ~ . - temp)))
  only <- lmm(Reaction ~ 0 + Days + (1 | Subject), twin_data()$sleepstudy)
  expect_equal(drop1(only)[["F value"]], coef(summary(only))[, "t value"]^2, ignore_attr = TRUE)
})

test_that("step() finds its way", {
  set.seed(1)
  data <- transform(twin_data()$sleepstudy, noise = rnorm(180))
  fit <- lmm(Reaction ~ Days + noise + (1 | Subject), data, REML = FALSE)
  chosen <- stats::step(fit, trace = 0)
  expect_identical(attr(terms(chosen), "term.labels"), "Days")
})
