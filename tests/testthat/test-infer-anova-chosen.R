test_that("anova(L = ) and anova(Terms = ) are one joint test, as contest() makes it", {
  fit <- lmm(distance ~ age * Sex + (1 | Subject), nlme::Orthodont)
  numbers <- function(table) as.list(table)
  found <- anova(fit, L = c(age = 1))
  expect_s3_class(found, c("anova.lmm", "anova", "data.frame"), exact = TRUE)
  expect_identical(numbers(found), numbers(contest(fit, c(age = 1))), ignore_attr = TRUE)
  L <- rbind(c(0, 1, 0, 0), c(0, 0, 0, 1))
  expect_identical(
    numbers(anova(fit, L = L, ddf = "Kenward-Roger")),
    numbers(contest(fit, L, ddf = "Kenward-Roger")), ignore_attr = TRUE
  )
  # the intercept is the first term
  one <- anova(fit, Terms = 2)
  expect_identical(numbers(one), numbers(contest(fit, c(0, 1, 0, 0))), ignore_attr = TRUE)
  expect_identical(numbers(anova(fit, Terms = "age")), numbers(one))
  expect_match(attr(one, "heading"), "F-test for: age", fixed = TRUE)
  both <- anova(fit, Terms = c("Sex", "age:Sex"))
  expect_identical(
    numbers(both), numbers(contest(fit, diag(4)[3:4, ])), ignore_attr = TRUE
  )
  expect_match(attr(both, "heading"), "Sex, age:Sex", fixed = TRUE)
  expect_output(print(both), "F-test for: Sex, age:Sex with Satterthwaite's method")
})

test_that("F is that of nlme for the same hypotheses", {
  ours <- lmm(distance ~ age * Sex + (1 | Subject), nlme::Orthodont)
  theirs <- nlme::lme(distance ~ age * Sex, nlme::Orthodont, ~ 1 | Subject)
  for (terms in list(1, 2, "Sex", c("age", "age:Sex"))) {
    expect_equal(
      anova(ours, Terms = terms)$`F value`, anova(theirs, Terms = terms)$`F-value`,
      tolerance = 1e-6
    )
  }
  L <- c(age = 1, `age:SexFemale` = 0.5)
  expect_equal(
    anova(ours, L = L)$`F value`, anova(theirs, L = L)$`F-value`, tolerance = 1e-6
  )
})

test_that("a fit without intercept counts its own terms", {
  fit <- lmm(distance ~ 0 + Sex + age + (1 | Subject), nlme::Orthodont)
  expect_equal(anova(fit, Terms = 1)$NumDF, 2)
  expect_equal(anova(fit, Terms = 1), anova(fit, Terms = "Sex"))
  expect_error(anova(fit, Terms = "(Intercept)"), class = "ferrolmm_error_argument")
})

test_that("what cannot be one test is an error", {
  fit <- lmm(distance ~ age * Sex + (1 | Subject), nlme::Orthodont)
  wrong <- list(
    list(L = c(age = 1), Terms = 2), list(Terms = 9), list(Terms = "aeg"), list(Terms = 0),
    list(L = list(c(age = 1), c(age = 1))), list(L = 1:3), list(L = c(age = 1), type = "II"),
    list(update(fit, . ~ . - age:Sex), Terms = 2), list(Terms = NA), list(Terms = list(2))
  )
  for (arguments in wrong) {
    expect_error(do.call(anova, c(list(fit), arguments)), class = "ferrolmm_error_argument")
  }
})
