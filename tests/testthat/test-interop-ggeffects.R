test_that("predictions on a grid are those of the population, whatever group it names", {
  d <- twin_data()$sleepstudy
  fit <- our_twin("slope")
  grid <- data.frame(Days = c(0, 3.5), Subject = d$Subject[1:2])
  found <- grid_predictions(fit, grid, "Days", "fixed", 0.9, "confidence")
  wanted <- predict(fit, grid, re.form = NA, se.fit = TRUE)
  expect_equal(found$predicted, unname(wanted$fit))
  expect_equal(attr(found, "std.error"), unname(wanted$se.fit), tolerance = 1e-8)
  ratio <- (found$conf.high - found$predicted) / attr(found, "std.error")
  expect_equal(ratio, rep(stats::qt(0.95, df.residual(fit)), 2L))
  fresh <- grid_predictions(fit, grid, "Days", "fixed", 0.9, "prediction")
  expect_equal(attr(fresh, "std.error")^2, unname(wanted$se.fit)^2 + sigma(fit)^2)
  known <- grid_predictions(fit, grid, c("Days", "Subject"), "random", NA, "prediction")
  expect_equal(known$predicted, unname(predict(fit, grid)))
  expect_true(all(is.na(known$conf.low)))
  expect_error(
    grid_predictions(fit, grid, "Days", "zero_inflated", 0.9, "confidence"), "fixed",
    class = "ferrolmm_error_argument"
  )
})

test_that("only groups that are focal have their effects, and variances are those of the rows", {
  fit <- our_twin("crossed")
  grid <- data.frame(plate = "a", sample = "B")
  found <- grid_predictions(fit, grid, "sample", "random", 0.95, "prediction")
  expect_equal(found$predicted, unname(predict(fit, grid, re.form = ~ (1 | sample))))
  d <- as.data.frame(nlme::Orthodont)
  fit <- lmm(
    distance ~ age + (1 | Subject), d, weights = nlme::varIdent(form = ~ 1 | Sex)
  )
  grid <- data.frame(age = 10, Sex = c("Male", "Female"))
  found <- grid_predictions(fit, grid, "age", "fixed", 0.95, "prediction")
  wanted <- predict(fit, grid, re.form = NA, interval = "prediction", ddf = "asymptotic")
  expect_equal(
    attr(found, "std.error"), unname(wanted[, "upr"] - wanted[, "fit"]) / stats::qnorm(0.975),
    tolerance = 1e-8
  )
})

test_that("ggpredict(), ggemmeans() and ggeffect() are those of lmer()", {
  skip_if_not_installed("ggeffects", "2.0")
  columns <- c("x", "predicted", "std.error", "conf.low", "conf.high")
  same <- function(name, f, ...) {
    call <- function(fit) {
      as.data.frame(suppressMessages(suppressWarnings(f(fit, ..., verbose = FALSE))))
    }
    expect_equal(
      call(our_twin(name))[columns], call(lme4_twin(name))[columns], tolerance = 1e-5,
      ignore_attr = TRUE
    )
  }
  for (f in list(ggeffects::ggpredict, ggeffects::ggemmeans)) {
    same("slope", f, "Days")
    same("shared_factor", f, c("temperature", "recipe"))
    same("factor_slope", f, "late", interval = "prediction")
  }
  same("slope", ggeffects::ggpredict, "Days", type = "random")
  same("slope", ggeffects::ggpredict, c("Days [0,5]", "Subject [308,309]"), type = "random")
  same("weighted", ggeffects::ggpredict, "Days [0:3]", ci_level = 0.8)
  expect_error(
    ggeffects::ggpredict(our_twin("slope"), "Days", vcov = "HC3"), "vcovCR",
    class = "ferrolmm_error_argument"
  )
})
