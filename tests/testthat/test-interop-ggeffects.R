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
  skip_if_not_installed("ggeffects")
  columns <- c("x", "predicted", "std.error", "conf.low", "conf.high")
  same <- function(name, f, ...) same_fits(our_twin(name), lme4_twin(name), f, ...)
  same_fits <- function(ours, theirs, f, ...) {
    call <- function(fit) {
      as.data.frame(suppressMessages(suppressWarnings(f(fit, ..., verbose = FALSE))))
    }
    expect_equal(call(ours)[columns], call(theirs)[columns], tolerance = 1e-5, ignore_attr = TRUE)
  }
  # version 1 has wrong standard errors for ordered factors, and ignores `interval`, for lmer()
  new <- utils::packageVersion("ggeffects") >= "2.0"
  cake <- twin_data()$cake
  cake$temperature <- factor(cake$temperature, ordered = FALSE)
  ours <- lmm(angle ~ recipe * temperature + (1 | recipe:replicate), cake)
  theirs <- lme4::lmer(
    angle ~ recipe * temperature + (1 | recipe:replicate), cake, start = unname(ours$theta)
  )
  for (f in list(ggeffects::ggpredict, ggeffects::ggemmeans)) {
    same("slope", f, "Days")
    same_fits(ours, theirs, f, c("temperature", "recipe"))
    if (new) same("factor_slope", f, "late", interval = "prediction")
  }
  same("slope", ggeffects::ggpredict, "Days", type = "random")
  same("slope", ggeffects::ggpredict, c("Days [0,5]", "Subject [308,309]"), type = "random")
  # that of lmer() wants its data in the global environment
  expect_equal(
    ggeffects::ggeffect(our_twin("slope"), "Days")$predicted,
    ggeffects::ggpredict(our_twin("slope"), "Days")$predicted, tolerance = 1e-8
  )
  # the names of arguments are others in version 2
  level <- stats::setNames(list(0.8), if (new) "ci_level" else "ci.lvl")
  do.call(same, c(list("weighted", ggeffects::ggpredict, "Days [0:3]"), level))
  robust <- stats::setNames(list("HC3"), if (new) "vcov" else "vcov.fun")
  expect_error(
    do.call(ggeffects::ggpredict, c(list(our_twin("slope"), "Days"), robust)), "vcovCR",
    class = "ferrolmm_error_argument"
  )
  scaled <- 4 * vcov(our_twin("slope"))
  given <- stats::setNames(list(function(fit) scaled), names(robust))
  wide <- do.call(ggeffects::ggpredict, c(list(our_twin("slope"), "Days"), given))
  expect_equal(
    wide$std.error, 2 * ggeffects::ggpredict(our_twin("slope"), "Days")$std.error,
    tolerance = 1e-8
  )
  expect_s3_class(plot(ggeffects::ggpredict(our_twin("slope"), "Days")), "ggplot")
})

test_that("ggpredict() simulates, and takes transformed predictors", {
  skip_if_not_installed("ggeffects")
  d <- twin_data()$sleepstudy
  fit <- our_twin("slope")
  set.seed(1)
  ours <- suppressWarnings(ggeffects::ggpredict(fit, "Days", type = "simulate"))
  expect_equal(ours$predicted, as.vector(tapply(predict(fit), d$Days, mean)), tolerance = 0.02)
  fit <- lmm(Reaction ~ splines::ns(Days, 3) + scale(w) + late + (1 | Subject), d)
  found <- suppressMessages(ggeffects::ggpredict(fit, "Days [0,4,9]", verbose = FALSE))
  grid <- data.frame(Days = c(0, 4, 9), w = mean(d$w), late = "early")
  expect_equal(found$predicted, unname(predict(fit, grid, re.form = NA)), tolerance = 1e-5)
})
