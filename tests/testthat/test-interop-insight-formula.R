# Formula, variables and names of parameters, as 'insight' finds them in the model of lmer().

without_environment <- function(formulas) {
  texts <- function(x) {
    vapply(if (is.list(x)) x else list(x), function(f) paste(deparse(f, 500L), collapse = ""), "")
  }
  lapply(unclass(formulas), function(x) sort(texts(x)))
}

for_twins("formula and variables", function(ours, theirs) {
  skip_if_not_installed("insight")
  expect_identical(
    without_environment(insight::find_formula(ours)),
    without_environment(insight::find_formula(theirs))
  )
  expect_true(insight::is_mixed_model(ours))
  expect_setequal(
    insight::find_random(ours, flatten = TRUE), insight::find_random(theirs, flatten = TRUE)
  )
  for (effects in c("fixed", "random", "all")) {
    expect_equal(
      lapply(insight::find_predictors(ours, effects = effects), sort),
      lapply(insight::find_predictors(theirs, effects = effects), sort)
    )
  }
  expect_identical(insight::find_response(ours), insight::find_response(theirs))
  expect_equal(
    lapply(insight::find_terms(ours), sort), lapply(insight::find_terms(theirs), sort)
  )
  expect_equal(insight::find_random_slopes(ours), insight::find_random_slopes(theirs))
  expect_identical(insight::find_weights(ours), insight::find_weights(theirs))
  expect_identical(insight::find_interactions(ours), insight::find_interactions(theirs))
  # without fixed effects lme4 stores no REML
  if (ours$rank > 0L) {
    expect_identical(
      insight::find_algorithm(ours)$algorithm, insight::find_algorithm(theirs)$algorithm
    )
  }
})

for_twins("names of parameters", function(ours, theirs) {
  skip_if_not_installed("insight")
  expect_equal(
    insight::find_parameters(ours, effects = "fixed"),
    insight::find_parameters(theirs, effects = "fixed")
  )
  expect_equal(insight::find_parameters(ours)$random, insight::find_parameters(theirs)$random)
  expect_setequal(
    insight::find_parameters(ours, flatten = TRUE), insight::find_parameters(theirs, flatten = TRUE)
  )
})

test_that("nested factors, structures and hostile names are found", {
  skip_if_not_installed("insight")
  d <- twin_data()$sleepstudy
  d$`the day` <- d$Days
  d$block <- factor(rep(1:6, 30))
  fit <- suppressMessages(
    lmm(log(Reaction) ~ scale(`the day`) + cs(1 + `the day` | Subject) + (1 | Subject:block), d)
  )
  expect_identical(
    without_environment(insight::find_formula(fit)),
    list(
      conditional = "log(Reaction) ~ scale(`the day`)",
      random = c("~1 + `the day` | Subject", "~1 | Subject:block")
    )
  )
  expect_identical(insight::find_random(fit)$random, c("Subject:block", "Subject"))
  expect_identical(insight::find_predictors(fit, effects = "fixed")$conditional, "the day")
  expect_identical(insight::find_response(fit), "Reaction")
})

test_that("variables of a residual structure are where those of lme() are", {
  skip_if_not_installed("insight")
  d <- as.data.frame(nlme::Orthodont)
  fit <- lmm(distance ~ age * Sex + (1 | Subject), d,
             correlation = nlme::corAR1(form = ~ 1 | Subject))
  theirs <- nlme::lme(distance ~ age * Sex, d, ~ 1 | Subject, nlme::corAR1(form = ~ 1 | Subject))
  expect_identical(
    without_environment(insight::find_formula(fit)),
    without_environment(insight::find_formula(theirs))
  )
  expect_identical(insight::find_predictors(fit), insight::find_predictors(theirs))
  expect_identical(insight::find_variables(fit), insight::find_variables(theirs))
  heterogeneous <- lmm(
    distance ~ age + (1 | Subject), d, weights = nlme::varIdent(form = ~ 1 | Sex)
  )
  expect_identical(
    without_environment(insight::find_formula(heterogeneous))[-(1:2)], list(dispersion = "~Sex")
  )
  expect_null(insight::find_weights(heterogeneous))
})

test_that("a model of repeated measures without random effects is no mixed model to 'insight'", {
  skip_if_not_installed("insight")
  d <- as.data.frame(nlme::Orthodont)
  d$visit <- d$`my visit` <- factor(d$age)
  fit <- lmm(distance ~ Sex, d, residual = ~ us(`my visit` | Subject))
  theirs <- nlme::gls(
    distance ~ Sex, d, nlme::corSymm(form = ~ 1 | Subject), nlme::varIdent(form = ~ 1 | visit)
  )
  expect_identical(
    without_environment(insight::find_formula(fit)),
    list(conditional = "distance ~ Sex", correlation = "~`my visit` | Subject")
  )
  expect_identical(insight::is_mixed_model(fit), insight::is_mixed_model(theirs))
  expect_null(insight::find_random(fit))
  expect_identical(
    insight::find_predictors(fit),
    list(conditional = "Sex", correlation = c("my visit", "Subject"))
  )
  expect_identical(insight::find_parameters(fit), list(conditional = c("(Intercept)", "SexFemale")))
})

test_that("an optimum without a certificate has not converged", {
  skip_if_not_installed("insight")
  fit <- our_twin("slope")
  expect_true(as.vector(insight::is_converged(fit)))
  early <- suppressWarnings(update(fit, control = lmm_control(max_evaluations = 2)))
  expect_false(as.vector(insight::is_converged(early)))
})
