same_table <- function(mine, wanted, tolerance = 1e-5) {
  numbers <- names(wanted)[vapply(wanted, is.numeric, NA)]
  testthat::expect_identical(mine$Parameter, wanted$Parameter)
  testthat::expect_equal(
    as.list(mine)[numbers], as.list(wanted)[numbers], tolerance = tolerance, ignore_attr = TRUE
  )
}

for_twins("tables of fixed effects", function(ours, theirs) {
  skip_if_not_installed("parameters")
  skip_if(ours$rank == 0L)
  for (method in list(NULL, "wald", "normal")) {
    same_table(
      parameters::model_parameters(ours, effects = "fixed", ci_method = method),
      parameters::model_parameters(theirs, effects = "fixed", ci_method = method)
    )
  }
  same_table(parameters::ci(ours, 0.9), parameters::ci(theirs, 0.9))
  same_table(parameters::p_value(ours), parameters::p_value(theirs))
  same_table(parameters::standard_error(ours), parameters::standard_error(theirs))
})

for_twins("tables of variances and of random effects", function(ours, theirs) {
  skip_if_not_installed("parameters")
  skip_if(ours$rank == 0L)
  mine <- parameters::model_parameters(ours, effects = "random")
  # without 'merDeriv' there are no limits for models of 'lme4'
  wanted <- suppressMessages(parameters::model_parameters(theirs, effects = "random"))
  expect_identical(mine$Parameter, wanted$Parameter)
  expect_identical(gsub(":", ".", mine$Group), gsub(":", ".", wanted$Group))
  expect_equal(mine$Coefficient, wanted$Coefficient, tolerance = 1e-5)
  mine <- parameters::model_parameters(ours, effects = "random", group_level = TRUE)
  wanted <- parameters::model_parameters(theirs, effects = "random", group_level = TRUE)
  key <- function(table) order(table$Group, table$Parameter, table$Level)
  same_table(mine[key(mine), ], wanted[key(wanted), ], tolerance = 1e-4)
})

test_that("Satterthwaite and Kenward-Roger are those of 'lmerTest' and 'pbkrtest'", {
  skip_if_not_installed("parameters")
  skip_if_not_installed("lmerTest")
  skip_if_not_installed("pbkrtest")
  d <- twin_data()$sleepstudy[-(1:7), ]
  fit <- lmm(Reaction ~ Days + (Days | Subject), d)
  theirs <- lmerTest::lmer(Reaction ~ Days + (Days | Subject), d)
  for (method in c("satterthwaite", "kenward")) {
    same_table(
      parameters::model_parameters(fit, effects = "fixed", ci_method = method),
      parameters::model_parameters(theirs, effects = "fixed", ci_method = method), 1e-4
    )
  }
  same_table(
    parameters::p_value(fit, method = "kenward"), parameters::p_value_kenward(theirs), 1e-4
  )
  same_table(parameters::p_value_kenward(fit), parameters::p_value_kenward(theirs), 1e-4)
  same_table(parameters::ci(fit, method = "kr"), parameters::ci(theirs, method = "kr"), 1e-4)
  expect_equal(
    parameters::degrees_of_freedom(fit, "satterthwaite"),
    parameters::degrees_of_freedom(theirs, "satterthwaite"), tolerance = 1e-4, ignore_attr = TRUE
  )
  # later versions hand over to 'insight'
  if (packageVersion("parameters") < "0.21.0") {
    expect_equal(
      parameters::degrees_of_freedom(fit), parameters::degrees_of_freedom(theirs), tolerance = 1e-4,
      ignore_attr = TRUE
    )
  }
  for (method in c("ml1", "betwithin")) {
    same_table(
      parameters::model_parameters(fit, effects = "fixed", ci_method = method),
      parameters::model_parameters(theirs, effects = "fixed", ci_method = method), 1e-4
    )
  }
})

test_that("limits of variances are those of VarCorr() and of profiles", {
  skip_if_not_installed("parameters")
  fit <- our_twin("slope")
  table <- parameters::model_parameters(fit)
  random <- table[table$Effects == "random", ]
  order <- c("SD (Intercept)", "SD (Days)", "Cor (Intercept~Days)", "SD (Observations)")
  expect_setequal(random$Parameter, order)
  known <- as.data.frame(VarCorr(fit, se = TRUE))[match(random$Parameter, order), ]
  expect_equal(random$Coefficient, known$sdcor)
  expect_equal(random$SE, known$se.sdcor)
  expect_equal(random$CI_low, known$conf.low)
  expect_equal(random$CI_high, known$conf.high)
  profiled <- parameters::model_parameters(fit, ci_method = "profile")
  limits <- confint(fit, method = "profile", oldNames = FALSE)
  expect_equal(
    profiled$CI_low[profiled$Parameter == "Days"], limits["Days", 1L], ignore_attr = TRUE
  )
  expect_equal(
    profiled$CI_high[profiled$Parameter == "SD (Observations)"], limits["sigma", 2L],
    ignore_attr = TRUE
  )
  expect_equal(
    profiled$CI_low[profiled$Parameter == "SD (Intercept)"],
    limits["sd_(Intercept)|Subject", 1L], ignore_attr = TRUE
  )
  double <- parameters::model_parameters(our_twin("double_bar"), effects = "random")
  expect_equal(double$SE, as.data.frame(VarCorr(our_twin("double_bar"), se = TRUE))$se.sdcor)
  none <- parameters::model_parameters(fit, ci_random = FALSE)
  expect_true(all(is.na(none$CI_low[none$Effects == "random"])))
})

test_that("limits of variances find effects with names that are no names of R", {
  skip_if_not_installed("parameters")
  d <- twin_data()$sleepstudy
  d$`the day` <- d$Days
  fit <- lmm(Reaction ~ `the day` + (`the day` | Subject), d)
  table <- parameters::model_parameters(fit, effects = "random")
  known <- as.data.frame(VarCorr(fit, se = TRUE))
  expect_setequal(table$SE, known$se.sdcor)
})

test_that("p-values are calibrated, and fits pooled from their tables", {
  skip_if_not_installed("parameters")
  fit <- our_twin("slope")
  p <- parameters::p_value(fit)$p
  table <- parameters::p_calibrate(fit)
  expect_equal(table$p_calibrated, 1 / (1 + 1 / (-exp(1) * p * log(p))))
  pooled <- parameters::pool_parameters(list(
    parameters::model_parameters(fit, effects = "fixed"),
    parameters::model_parameters(fit, effects = "fixed")
  ))
  expect_equal(pooled$Coefficient, unname(fixef(fit)))
})

test_that("tables print, and know where they come from", {
  skip_if_not_installed("parameters")
  my_fit <- our_twin("slope")
  table <- parameters::model_parameters(my_fit)
  expect_identical(attr(table, "object_name"), "my_fit")
  expect_output(print(table), "Random Effects")
  expect_output(print(table), "SD \\(Days: Subject\\)|SD \\(Days\\)")
  both <- parameters::compare_parameters(table, parameters::model_parameters(my_fit))
  expect_equal(both[["Coefficient.Model 1"]], table$Coefficient, ignore_attr = TRUE)
})

test_that("robust standard errors are those of 'clubSandwich'", {
  skip_if_not_installed("parameters")
  skip_if_not_installed("clubSandwich")
  fit <- our_twin("slope")
  table <- parameters::model_parameters(
    fit, effects = "fixed", vcov = "vcovCR", vcov_args = list(type = "CR2")
  )
  expect_equal(
    table$SE, unname(sqrt(diag(as.matrix(clubSandwich::vcovCR(fit, type = "CR2")))))
  )
})

test_that("standardized parameters are those of a fit to standardized variables", {
  skip_if_not_installed("parameters")
  skip_if_not_installed("datawizard")
  skip_if_not_installed("lme4")
  d <- twin_data()$sleepstudy
  z <- transform(d, Reaction = as.vector(scale(Reaction)), Days = as.vector(scale(Days)))
  model <- lmm(Reaction ~ Days + late + (Days | Subject), d)
  again <- lmm(Reaction ~ Days + late + (Days | Subject), z)
  expect_equal(fixef(datawizard::standardize(model)), fixef(again), tolerance = 1e-6)
  expect_equal(
    parameters::standardize_parameters(model)$Std_Coefficient, unname(fixef(again)),
    tolerance = 1e-6
  )
  theirs <- lme4::lmer(Reaction ~ Days + late + (Days | Subject), d, start = unname(model$theta))
  for (method in c("basic", "posthoc", "smart", "pseudo")) {
    expect_equal(
      parameters::standardize_parameters(model, method = method)$Std_Coefficient,
      parameters::standardize_parameters(theirs, method = method)$Std_Coefficient,
      tolerance = 1e-4
    )
  }
})

test_that("bootstrap and simulation draw fixed effects of the model", {
  skip_if_not_installed("parameters")
  fit <- our_twin("slope")
  set.seed(3)
  draws <- parameters::bootstrap_model(fit, iterations = 200)
  expect_identical(names(draws), c("(Intercept)", "Days"))
  expect_equal(unname(colMeans(draws)), unname(fixef(fit)), tolerance = 0.02)
  expect_equal(stats::sd(draws$Days), sqrt(vcov(fit)[2, 2]), tolerance = 0.2)
  table <- parameters::bootstrap_parameters(fit, iterations = 50)
  expect_identical(table$Parameter, c("(Intercept)", "Days"))
  expect_identical(dim(parameters::simulate_model(fit, iterations = 10)), c(10L, 2L))
  expect_error(
    parameters::bootstrap_model(fit, type = "semiparametric"), class = "ferrolmm_error_argument"
  )
  tested <- parameters::equivalence_test(fit)
  expect_identical(tested$Parameter, c("(Intercept)", "Days"))
})

test_that("a model without random effects has all degrees of freedom", {
  skip_if_not_installed("parameters")
  d <- as.data.frame(nlme::Orthodont)
  d$visit <- factor(d$age)
  fit <- lmm(distance ~ Sex * age, d, residual = ~ us(visit | Subject))
  for (method in c("satterthwaite", "kenward")) {
    table <- parameters::model_parameters(fit, ci_method = method)
    tests <- coef(summary(fit, ddf = if (method == "kenward") "Kenward-Roger" else "Satterthwaite"))
    expect_equal(table$SE, unname(tests[, "Std. Error"]))
    expect_equal(table$df_error, unname(tests[, "df"]))
    expect_equal(table$p, unname(tests[, "Pr(>|t|)"]))
    expect_equal(
      table$CI_low, unname(tests[, 1L] - stats::qt(0.975, tests[, "df"]) * tests[, 2L])
    )
  }
  expect_error(
    parameters::model_parameters(fit, effects = "random"), class = "ferrolmm_error_argument"
  )
})

test_that("select_parameters() searches as for a model of lme4, and returns a fit of ours", {
  skip_if_not_installed("parameters")
  skip_if(!rlang::is_installed("cAIC4"))
  # it looks for the data by their name
  assign("cake", twin_data()$cake, globalenv())
  on.exit(rm("cake", envir = globalenv()))
  cake <- twin_data()$cake
  fit <- lmm(angle ~ recipe * temperature + (1 | recipe:replicate), cake)
  selected <- suppressWarnings(parameters::select_parameters(fit))
  theirs <- suppressWarnings(parameters::select_parameters(as_lmerMod(fit)))
  expect_s3_class(selected, "lmm")
  expect_equal(fixef(selected), lme4::fixef(theirs), tolerance = 1e-4)
})

test_that("effects = \"grouplevel\" are the random effects of each level", {
  skip_if_not_installed("parameters")
  fit <- our_twin("slope")
  found <- as.data.frame(parameters::model_parameters(fit, effects = "grouplevel"))
  expect_equal(
    found$Coefficient[seq_len(36)], as.vector(as.matrix(ranef(fit)$Subject)), ignore_attr = TRUE
  )
  expect_equal(nrow(found), 36)
})

test_that("thresholds and Bayes factors of 'bayestestR' are those of lmer()", {
  skip_if_not_installed("bayestestR")
  skip_if_not_installed("parameters")
  fit <- our_twin("slope")
  # 0.05 and 0.3 standard deviations of the response
  expect_equal(
    bayestestR::sexit_thresholds(fit), c(0.05, 0.3) * stats::sd(twin_data()$sleepstudy$Reaction)
  )
  found <- bayestestR::p_to_bf(fit)
  expect_equal(found$p, parameters::p_value(fit)$p)
  expect_equal(found$BF, as.data.frame(bayestestR::p_to_bf(found$p, n_obs = nobs(fit)))$BF)
})
