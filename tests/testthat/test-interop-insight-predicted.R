for_twins("data and model matrices", function(ours, theirs) {
  skip_if_not_installed("insight")
  expect_equal(
    insight::get_data(ours, source = "mf", verbose = FALSE),
    insight::get_data(theirs, source = "mf", verbose = FALSE), ignore_attr = TRUE
  )
  expect_equal(
    insight::get_modelmatrix(ours), insight::get_modelmatrix(theirs), ignore_attr = TRUE
  )
  expect_equal(insight::get_response(ours), insight::get_response(theirs), ignore_attr = TRUE)
})

test_that("predictions, their errors and intervals are those of the model of lmer()", {
  skip_if_not_installed("insight")
  skip_if_not_installed("lme4")
  d <- twin_data()$sleepstudy
  fit <- lmm(Reaction ~ poly(Days, 2) + (Days | Subject), d)
  theirs <- lme4::lmer(Reaction ~ poly(Days, 2) + (Days | Subject), d, start = unname(fit$theta))
  new <- data.frame(Days = c(1, 3), Subject = factor(c("308", "372")))
  for (arguments in list(
    list(ci = 0.9), list(ci = 0.9, predict = "prediction"), list(include_random = FALSE, ci = 0.95),
    list(data = new, ci = 0.95), list(data = new["Days"], ci = c(0.5, 0.9))
  )) {
    mine <- as.data.frame(do.call(insight::get_predicted, c(list(fit), arguments)))
    wanted <- as.data.frame(do.call(insight::get_predicted, c(list(theirs), arguments)))
    expect_equal(mine, wanted, tolerance = 1e-4, ignore_attr = TRUE)
  }
})

test_that("a prediction is not NA where a grouping factor is a predictor as well", {
  skip_if_not_installed("insight")
  # for models of 'lme4' this is an error: 'insight' makes the predictor NA
  fit <- our_twin("shared_factor")
  predicted <- insight::get_predicted(fit, include_random = FALSE, ci = 0.95)
  expect_equal(as.numeric(predicted), unname(predict(fit, re.form = NA)))
  expect_equal(
    as.data.frame(predicted)$SE, predict(fit, re.form = NA, se.fit = TRUE)$se.fit,
    ignore_attr = TRUE
  )
})

test_that("intervals by Satterthwaite and Kenward-Roger have the degrees of freedom of each row", {
  skip_if_not_installed("insight")
  fit <- our_twin("slope")
  new <- data.frame(Days = c(0, 4))
  x <- cbind(1, new$Days)
  for (method in c("satterthwaite", "kr")) {
    inference <- ddf_for(fit, easystats_ddf[[method]])
    tests <- test_rows(inference, x)
    mine <- as.data.frame(insight::get_predicted(fit, data = new, ci = 0.95, ci_method = method))
    expect_equal(mine$SE, tests$se)
    expect_equal(mine$CI_high, tests$estimate + tests$se * stats::qt(0.975, tests$df))
  }
})

test_that("prediction intervals have the variance of the row", {
  skip_if_not_installed("insight")
  d <- as.data.frame(nlme::Orthodont)
  d$visit <- factor(d$age)
  fit <- lmm(distance ~ Sex + age, d, residual = ~ csh(visit | Subject))
  mine <- as.data.frame(insight::get_predicted(fit, predict = "prediction", ci = 0.95))
  x <- model.matrix(fit)
  expect_equal(
    mine$SE^2,
    unname(rowSums((x %*% vcov(fit)) * x) + sigma(fit)^2 * residual_variances(fit))
  )
})

test_that("bootstrap predictions have draws given the random effects", {
  skip_if_not_installed("insight")
  fit <- our_twin("slope")
  set.seed(1)
  predicted <- insight::get_predicted(fit, iterations = 20, ci = 0.8)
  draws <- attr(predicted, "iterations")
  expect_identical(dim(draws), c(180L, 20L))
  expect_equal(as.numeric(predicted), unname(rowMeans(draws)))
  expect_lt(max(abs(predicted - fitted(fit))), 40)
  limits <- as.data.frame(predicted)
  expect_true(all(limits$CI_low <= limits$CI_high))
})

test_that("reference grids have the predictors, and no group", {
  skip_if_not_installed("insight")
  skip_if_not_installed("lme4")
  d <- twin_data()$sleepstudy
  fit <- lmm(Reaction ~ Days + late + (Days | Subject), d)
  theirs <- lme4::lmer(Reaction ~ Days + late + (Days | Subject), d)
  expect_equal(
    as.data.frame(insight::get_datagrid(fit)), as.data.frame(insight::get_datagrid(theirs)),
    ignore_attr = TRUE
  )
  expect_identical(class(attr(insight::get_datagrid(fit), "model")), "lmm")
  d$visit <- factor(d$Days)
  repeated <- lmm(Reaction ~ Days + late, d, residual = ~ ar1(visit | Subject))
  expect_named(insight::get_datagrid(repeated), c("Days", "late"))
})

test_that("a grid has the variables of nested groups, and predictors among them as they are", {
  skip_if_not_installed("insight")
  cake <- twin_data()$cake
  fit <- lmm(angle ~ recipe * temperature + (1 | recipe:replicate), cake)
  grid <- as.data.frame(insight::get_datagrid(fit, "recipe"))
  expect_identical(levels(factor(grid$recipe)), levels(cake$recipe))
  expect_true(all(grid$replicate == 0))
  expect_false("recipe:replicate" %in% names(grid))
})
