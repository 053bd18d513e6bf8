# What a walk over all exported functions of the packages found that the other files leave out:
# those that take a model of lmer(), and terms that depend on a group or on the rows of the data.

calls("nlme", on = c("slopes", "growth", "within"),
  "allCoef" = nlme::allCoef(m),
  "needUpdate" = nlme::needUpdate(m)
)
calls("lattice", on = c("slopes", "growth", "within"), "rfs" = lattice::rfs(m))
calls("car", on = c("slopes", "growth", "within"), "sigmaHat" = car::sigmaHat(m))
calls("emmeans", on = c("slopes", "growth", "within"),
  "recover_data" = as.list(as.data.frame(emmeans::recover_data(m)))
)
calls("methods", on = c("slopes", "growth", "within"), kind = "runs", "show" = methods::show(m))
calls_of("insight", on = c("slopes", "within", "visits"), c(
  "is_nullmodel", "loglikelihood", "is_empty_object", "clean_parameters"
))
calls_of("performance", on = c("slopes", "within"), c(
  "multicollinearity", "performance_rse", "r2_efron", "performance_roc",
  "check_heterogeneity_bias"
))
calls_of("parameters", on = c("slopes", "within"), c(
  "standardise_parameters", "standardise_posteriors", "standardise_info"
))
calls_of("bayestestR", on = c("slopes", "within", "growth"), c(
  "sexit_thresholds", "p_to_bf", "rope"
))
calls("bayestestR", on = c("slopes", "within"),
  "p_to_bf, log" = as.data.frame(bayestestR::p_to_bf(m, log = TRUE))
)
calls("pbkrtest", on = c("slopes", "cake", "within"),
  "getLRT" = pbkrtest::getLRT(m, smaller(m))
)
calls("broom", on = "slopes", "confint_tidy" = broom::confint_tidy(m, func = function(object, ...) {
  stats::confint(object, parm = "beta_", method = "Wald", ...)
}))
calls_of("lme4", on = "slopes", c("confint.merMod", "vcov.merMod", "rePos", "devcomp"))

# Columns of within_between() and ns(): coefficients have names of their own, which are text.
calls("stats", on = "within", kind = "numbers",
  "fixed effects" = fixef(m),
  "covariance" = as.matrix(vcov(m)),
  "fitted" = fitted(m),
  "new rows" = predict(m, data_of$within[c(3, 40, 77), ]),
  "population" = predict(m, data_of$within[c(3, 40, 77), ], re.form = NA),
  "model matrix" = model.matrix(m)
)
calls("stats", on = "within", kind = "numbers", peer = "lme4",
  "drop1, within" = unclass(stats::drop1(m, test = "Chisq"))[c("AIC", "LRT")]
)
calls("emmeans", on = "within", kind = "numbers",
  "means" = summary(emmeans::emmeans(m, ~ sex, at = list(hour = 12), data = data_of$within)),
  "differences" = summary(pairs(emmeans::emmeans(m, ~ sex))),
  "difference, Kenward-Roger" =
    summary(pairs(emmeans::emmeans(m, ~ sex, lmer.df = "kenward-roger"))),
  "joint tests" = as.data.frame(emmeans::joint_tests(m))
)
calls("car", on = "within", kind = "numbers",
  "Anova, Chisq of within" = as.data.frame(car::Anova(m, test.statistic = "Chisq")),
  "vif" = car::vif(m),
  "deltaMethod of sex" = as.data.frame(car::deltaMethod(m, "sexm"))
)
calls("parameters", on = "within", peer = "lme4", kind = "numbers",
  "fixed, within" = as.data.frame(parameters::model_parameters(m, effects = "fixed")),
  "standardised, within" = as.data.frame(parameters::standardize_parameters(m))
)
calls("performance", on = "within", peer = "lme4", kind = "numbers",
  "r2" = performance::r2(m),
  "icc" = performance::icc(m),
  "model_performance" = as.data.frame(performance::model_performance(m)),
  "collinearity" = as.data.frame(performance::check_collinearity(m))
)
calls("insight", on = "within", kind = "numbers",
  "variances" = insight::get_variance(m),
  "predicted" = as.numeric(insight::get_predicted(m)),
  "predictors" = insight::find_predictors(m, flatten = TRUE)
)
calls("ggeffects", on = "within", peer = "lme4", kind = "numbers",
  "sex" = as.data.frame(ggeffects::ggpredict(m, "sex"))[c("x", "predicted")],
  "age" = as.data.frame(ggeffects::ggpredict(m, "age [30, 50, 70]"))[c("x", "predicted")]
)
calls("effects", on = "within", kind = "numbers",
  "of sex" = as.data.frame(effects::Effect("sex", m)),
  "of all" = lapply(effects::allEffects(m), as.data.frame),
  "of predictors" = lapply(effects::predictorEffects(m), as.data.frame)
)
calls("multcomp", on = "within", kind = "numbers",
  "sex" = summary(multcomp::glht(m, "sexm = 0"))$test[c("coefficients", "sigma", "tstat")]
)
calls("MuMIn", on = "within", kind = "numbers", "r.squaredGLMM" = MuMIn::r.squaredGLMM(m))
calls("marginaleffects", on = "within", kind = "numbers",
  "slope of hour" = as.data.frame(
    marginaleffects::avg_slopes(m, variables = "hour", re.form = NA)
  )[c("estimate", "std.error")],
  "sex" = as.data.frame(
    marginaleffects::avg_comparisons(m, variables = "sex", re.form = NA)
  )[c("estimate", "std.error")]
)
calls("broom.mixed", on = "within", kind = "numbers",
  "fixed, within" = as.data.frame(generics::tidy(m, effects = "fixed"))
)
calls("clubSandwich", on = "within", kind = "numbers",
  "CR2" = as.matrix(clubSandwich::vcovCR(m, type = "CR2"))
)
