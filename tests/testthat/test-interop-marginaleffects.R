## The same calls on our fit and on lmer()'s at its theta; warnings are about `re.form`. Standard
## errors of slopes are differences of differences, which leave 'marginaleffects' four digits.
expect_same_effects <- function(name, ..., of = c("predictions", "avg_slopes", "avg_comparisons")) {
  for (f in of) {
    call <- function(fit) suppressWarnings(elsewhere("marginaleffects", f)(fit, ...))
    ours <- as.data.frame(call(our_twin(name)))
    wanted <- as.data.frame(call(lme4_twin(name)))
    columns <- intersect(c("term", "contrast", "estimate"), names(wanted))
    expect_equal(ours[columns], wanted[columns], tolerance = 1e-5, ignore_attr = TRUE)
    columns <- intersect(c("std.error", "conf.low", "conf.high"), names(wanted))
    expect_equal(ours[columns], wanted[columns], tolerance = 1e-4, ignore_attr = TRUE)
  }
}

test_that("the option has our class beside those that it had", {
  skip_if_not_installed("marginaleffects")
  asNamespace("marginaleffects")
  expect_true("lmm" %in% getOption("marginaleffects_model_classes"))
  before <- options(marginaleffects_model_classes = c("other", "lmm"))
  on.exit(options(before))
  add_model_class()
  expect_identical(getOption("marginaleffects_model_classes"), c("other", "lmm"))
  remove_model_class()
  expect_identical(getOption("marginaleffects_model_classes"), "other")
  remove_model_class()
  add_model_class()
  expect_identical(getOption("marginaleffects_model_classes"), c("other", "lmm"))
  options(marginaleffects_model_classes = "lmm")
  remove_model_class()
  expect_null(getOption("marginaleffects_model_classes"))
})

test_that("predictions, slopes and comparisons are those of lmer()", {
  skip_if_not_installed("marginaleffects")
  for (name in c("slope", "weighted", "factor_slope", "shared_factor")) {
    expect_same_effects(name, re.form = NA)
  }
  expect_same_effects("slope", of = "avg_slopes")
  expect_same_effects("slope", vcov = FALSE, of = "predictions")
  grid <- data.frame(Days = c(0, 4.5), Subject = c("308", "309"))
  expect_same_effects("slope", newdata = grid, of = "predictions")
  expect_same_effects("slope", newdata = grid, re.form = NA, of = "predictions")
  expect_same_effects("slope", hypothesis = "Days = 10", of = "hypotheses")
})

test_that("covariance matrices are what `vcov` says", {
  skip_if_not_installed("marginaleffects")
  get_vcov <- elsewhere("marginaleffects", "get_vcov")
  fit <- our_twin("slope")
  expect_null(get_vcov(fit, FALSE))
  expect_equal(get_vcov(fit), vcov(fit))
  expect_equal(get_vcov(fit, "satterthwaite"), vcov(fit))
  expect_equal(get_vcov(fit, 2 * unname(vcov(fit))), 2 * vcov(fit))
  expect_equal(
    sqrt(diag(get_vcov(fit, "kenward-roger"))),
    coef(summary(fit, ddf = "Kenward-Roger"))[, "Std. Error"]
  )
  expect_error(get_vcov(fit, "HC3"), "vcovCR", class = "ferrolmm_error_argument")
})

test_that("slopes of a residual structure are differences of its coefficients", {
  skip_if_not_installed("marginaleffects")
  d <- as.data.frame(nlme::Orthodont)
  d$visit <- factor(d$age)
  fit <- lmm(distance ~ age * Sex, d, residual = ~ us(visit | Subject))
  slopes <- suppressWarnings(
    elsewhere("marginaleffects", "avg_slopes")(fit, variables = "age", by = "Sex")
  )
  slopes <- as.data.frame(slopes)
  slopes <- slopes[match(c("Male", "Female"), slopes$Sex), ]
  wanted <- contest(fit, c("age", "age + age:SexFemale"), joint = FALSE)
  expect_equal(slopes$estimate, wanted$Estimate, tolerance = 1e-6)
  expect_equal(slopes$std.error, wanted[["Std. Error"]], tolerance = 1e-3)
})
