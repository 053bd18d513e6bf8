# Marginal means, effects and tests of them: emmeans, multcomp, car, effects, ggeffects,
# marginaleffects (item 3).

calls("emmeans", on = "slopes",
  "means at values" =
    summary(emmeans::emmeans(m, ~ Days, at = list(Days = c(0, 5, 9))), infer = TRUE),
  "slope" = summary(emmeans::emtrends(m, ~ 1, var = "Days", mode = "satterthwaite"), infer = TRUE),
  "reference grid" = emmeans::ref_grid(m)@bhat
)
calls("emmeans", on = "cake",
  "means of two factors" = summary(emmeans::emmeans(m, ~ recipe * temperature), infer = TRUE),
  "lmer.df satterthwaite" =
    summary(emmeans::emmeans(m, ~ recipe, lmer.df = "satterthwaite"), infer = TRUE),
  "lmer.df kenward-roger" =
    summary(emmeans::emmeans(m, ~ recipe, lmer.df = "kenward-roger"), infer = TRUE),
  "lmer.df asymptotic" =
    summary(emmeans::emmeans(m, ~ recipe, lmer.df = "asymptotic"), infer = TRUE),
  "mode kenward-roger" =
    summary(emmeans::emmeans(m, ~ recipe, mode = "kenward-roger"), infer = TRUE),
  "mode asymptotic" = summary(emmeans::emmeans(m, ~ recipe, mode = "asymptotic"), infer = TRUE),
  "pairs" = summary(pairs(emmeans::emmeans(m, ~ recipe)), infer = TRUE),
  "pairs, satterthwaite" = summary(pairs(emmeans::emmeans(m, ~ recipe, mode = "satterthwaite"))),
  "pairs by" = summary(pairs(emmeans::emmeans(m, ~ recipe | temperature))),
  "joint tests" = as.data.frame(emmeans::joint_tests(m)),
  "joint tests, satterthwaite" = as.data.frame(emmeans::joint_tests(m, mode = "satterthwaite")),
  "joint tests by" = as.data.frame(emmeans::joint_tests(m, by = "recipe")),
  "effect sizes" =
    summary(emmeans::eff_size(emmeans::emmeans(m, ~ recipe), sigma = sigma(m), edf = 200)),
  "emmip" = emmeans::emmip(m, recipe ~ temperature, plotit = FALSE)[, "yvar"],
  "polynomial contrasts" = summary(emmeans::contrast(emmeans::emmeans(m, ~ temperature), "poly")),
  "interaction contrasts" = summary(
    emmeans::contrast(
      emmeans::emmeans(m, ~ recipe * temperature), interaction = c("pairwise", "poly")
    )
  ),
  "variance of the grid" = emmeans::ref_grid(m)@V,
  "as.glht" =
    summary(emmeans::as.glht(pairs(emmeans::emmeans(m, ~ recipe))))$test[c("coefficients",
      "sigma", "tstat")],
  "test, joint" = as.data.frame(emmeans::test(emmeans::emmeans(m, ~ recipe), joint = TRUE)),
  "equivalence" =
    summary(emmeans::emmeans(m, ~ recipe), delta = 5, side = "equivalence", null = 30),
  "plot" = plot(emmeans::emmeans(m, ~ recipe)),
  "pwpp" = emmeans::pwpp(emmeans::emmeans(m, ~ recipe)),
  "pwpm" = emmeans::pwpm(emmeans::emmeans(m, ~ recipe))
)
calls("emmeans", on = "crossed",
  "crossed means" = summary(emmeans::emmeans(m, pairwise ~ genre), infer = TRUE)
)
calls("emmeans", on = "terms",
  "means with poly() and scale()" =
    summary(emmeans::emmeans(m, pairwise ~ arm, at = list(dose = 2, weight = 75)), infer = TRUE),
  "trend of poly()" =
    summary(emmeans::emtrends(m, ~ arm, var = "dose", at = list(dose = c(1, 3))), infer = TRUE)
)
calls("emmeans", on = "growth",
  "means at ten years" = summary(emmeans::emmeans(m, ~ Sex, at = list(age = 10))),
  "slopes by sex" = summary(emmeans::emtrends(m, pairwise ~ Sex, var = "age")),
  "joint tests by sex" = as.data.frame(emmeans::joint_tests(m))
)
calls("emmeans", on = "visits",
  "means of visits" =
    summary(emmeans::emmeans(m, ~ Sex | visit, mode = if (inherits(m,
      "gls")) "asymptotic" else "asymptotic")),
  "means of visits, satterthwaite" =
    summary(emmeans::emmeans(m, pairwise ~ Sex | visit, mode = "satterthwaite"))
)
calls("emmeans", on = "cake", also = "multcomp",
  "cld" = as.data.frame(multcomp::cld(emmeans::emmeans(m, ~ temperature)))
)
calls("emmeans", on = "slopes", also = "mice",
  "means of imputed fits" =
    as.data.frame(emmeans::emmeans(with(imputed, fitter(Reaction ~ Days + (1 | Subject))),
      ~ Days))
)
calls("lsmeans", on = "cake",
  "lsmeans" = summary(lsmeans::lsmeans(m, ~ recipe))
)

calls("multcomp", on = "cake",
  "Tukey" =
    summary(multcomp::glht(m, linfct = multcomp::mcp(recipe = "Tukey")))$test[c("coefficients",
      "sigma", "tstat")],
  "Dunnett, confint" =
    confint(multcomp::glht(m, linfct = multcomp::mcp(recipe = "Dunnett")), calpha = 2)$confint,
  "rows of a matrix" =
    summary(multcomp::glht(m, linfct = diag(18)[2:3, ]))$test[c("coefficients", "sigma",
      "tstat")],
  "letters" =
    multcomp::cld(multcomp::glht(m, linfct = multcomp::mcp(recipe = "Tukey")))$mcletters$Letters,
  "df" = multcomp::glht(m, linfct = multcomp::mcp(recipe = "Tukey"))$df,
  "adjusted" =
    summary(multcomp::glht(m, linfct = multcomp::mcp(recipe = "Tukey")),
      test = multcomp::adjusted("holm"))$test$pvalues,
  "Chisqtest" =
    summary(multcomp::glht(m, linfct = multcomp::mcp(recipe = "Tukey")),
      test = multcomp::Chisqtest())$test[c("SSH", "df", "pvalue")]
)
calls("multcomp", on = "slopes",
  "one hypothesis" =
    summary(multcomp::glht(m, linfct = "Days = 0"))$test[c("coefficients", "sigma", "tstat",
      "pvalues")],
  "one row" = confint(multcomp::glht(m, linfct = matrix(c(0, 1), 1)))$confint,
  "modelparm" =
    unclass(multcomp::modelparm(m, coef. = nlme::fixef, vcov. = vcov, df = NULL))[c("coef",
      "vcov", "df")],
  "all coefficients" =
    summary(multcomp::glht(m), test = multcomp::univariate())$test[c("coefficients", "sigma",
      "pvalues")]
)
calls("multcomp", on = "crossed",
  "hypotheses by name" = summary(
    multcomp::glht(m, linfct = paste(setdiff(names(fixef(m)), "(Intercept)")[1], "= 0")),
    test = multcomp::univariate()
  )$test[c("coefficients", "sigma", "tstat")]
)
calls("multcomp", on = c("growth", "visits"),
  "Tukey of sexes" =
    summary(multcomp::glht(m, linfct = multcomp::mcp(Sex = "Tukey")),
      test = multcomp::univariate())$test[c("coefficients", "sigma",
      "tstat")]
)

calls("car", on = names(fits),
  "Anova" = as.data.frame(car::Anova(m)),
  "Anova III" = as.data.frame(car::Anova(m, type = 3)),
  "Anova, Chisq" = as.data.frame(car::Anova(m, type = "II", test.statistic = "Chisq")),
  "Anova III, Chisq" = as.data.frame(car::Anova(m, type = "III", test.statistic = "Chisq"))
)
sums <- list(recipe = "contr.sum", temperature = "contr.sum")
calls("car", on = "cake",
  "Anova III, sum contrasts" = as.data.frame(
    car::Anova(update(m, contrasts = sums), type = "III", test.statistic = "Chisq")
  )
)
calls("car", on = c("cake", "crossed", "terms", "growth", "visits"), "vif" = car::vif(m))
calls("car", on = c("slopes", "cake", "crossed", "terms"),
  "Anova, F" = as.data.frame(car::Anova(m, test.statistic = "F")),
  "Anova III, F" = as.data.frame(car::Anova(m, type = "III", test.statistic = "F")),
  "S" = car::S(m)$coefficients
)
calls("car", on = "slopes",
  "linear hypothesis" = as.data.frame(car::linearHypothesis(m, "Days = 10")),
  "linear hypothesis, F" = as.data.frame(car::linearHypothesis(m, "Days = 10", test = "F")),
  "linear hypothesis, Chisq" = as.data.frame(car::linearHypothesis(m, "Days = 10", test = "Chisq")),
  "linear hypothesis, matrix" = as.data.frame(car::linearHypothesis(m, diag(2), c(250, 10))),
  "deltaMethod" = as.data.frame(car::deltaMethod(m, "b0/b1", parameterNames = c("b0", "b1"))),
  "Confint" = as.matrix(car::Confint(m)),
  "matchCoefs" = car::matchCoefs(m, "Days"),
  "compareCoefs" = car::compareCoefs(m, m, print = FALSE),
  "influence, Cook's distances" = cooks.distance(influence(m, "Subject")),
  "influence, dfbetas" = as.matrix(dfbetas(influence(m, "Subject"))),
  "infIndexPlot of an influence" = car::infIndexPlot(influence(m, "Subject")),
  "dfbeta" = as.matrix(dfbeta(influence(m, "Subject"))),
  "influencePlot" = car::influencePlot(m),
  "infIndexPlot" = car::infIndexPlot(m),
  "qqPlot" = car::qqPlot(resid(m)),
  "qqPlot of a fit" = car::qqPlot(m),
  "residualPlots" = car::residualPlots(m),
  "brief" = car::brief(m),
  "marginalModelPlot" = car::mmp(m),
  "Predict" = car::Predict(m, newdata = data.frame(Days = 1:3)),
  "hccm" = car::hccm(m),
  "avPlots" = car::avPlots(m),
  "Boot" = dim(car::Boot(m, R = 3)$t),
  "poTest" = car::poTest(m),
  "durbinWatsonTest" = car::durbinWatsonTest(m),
  "outlierTest" = car::outlierTest(m),
  "crPlots" = car::crPlots(m),
  "leveneTest" = car::leveneTest(m),
  "ncvTest" = car::ncvTest(m),
  "carWeb, strings2factors" = nrow(car::strings2factors(model.frame(m)))
)
calls("car", on = "cake",
  "linear hypothesis, two rows" =
    as.data.frame(car::linearHypothesis(m, c("recipeB = 0", "recipeC = 0"))),
  "linear hypothesis, F, two rows" =
    as.data.frame(car::linearHypothesis(m, c("recipeB = 0", "recipeC = 0"), test = "F")),
  "linear hypothesis, matchCoefs" = as.data.frame(car::linearHypothesis(m, car::matchCoefs(m, ":")))
)
calls("car", on = "growth",
  "linear hypothesis of age" = as.data.frame(car::linearHypothesis(m, "age = 1")),
  "deltaMethod, growth" = as.data.frame(car::deltaMethod(m, "age/`(Intercept)`")),
  "Confint, growth" = as.matrix(car::Confint(m)),
  "S, growth" = car::S(m)$tTable
)

calls("effects", on = c("slopes", "cake", "crossed", "terms", "growth", "visits"),
  "all effects" = lapply(effects::allEffects(m), as.data.frame)
)
calls("effects", on = "cake",
  "one effect" = as.data.frame(effects::Effect(c("recipe", "temperature"), m)),
  "predictor effects" = lapply(effects::predictorEffects(m), as.data.frame),
  "Kenward-Roger" = as.data.frame(effects::Effect("recipe", m, KR = TRUE)),
  "effect()" = as.data.frame(effects::effect("recipe", m)),
  "summary" = summary(effects::Effect("recipe", m))$effect
)
calls("effects", on = "slopes",
  "effect of days" = as.data.frame(effects::Effect("Days", m, xlevels = list(Days = c(0, 4, 9)))),
  "predictor effect" = as.data.frame(effects::predictorEffect("Days", m)),
  "partial residuals" = effects::Effect("Days", m, residuals = TRUE)$residuals
)
calls("effects", on = c("slopes", "cake"), kind = "runs",
  "picture" = plot(effects::allEffects(m)),
  "picture of predictor effects" = plot(effects::predictorEffects(m))
)

calls("ggeffects", on = "slopes", peer = "lme4",
  "ggpredict" = as.data.frame(ggeffects::ggpredict(m, "Days")),
  "ggpredict of all terms" = lapply(ggeffects::ggpredict(m), as.data.frame),
  "ggpredict at values" = as.data.frame(ggeffects::ggpredict(m, "Days [0, 3, 9]")),
  "ggpredict, random" = as.data.frame(ggeffects::ggpredict(m, "Days", type = "random")),
  "ggpredict of groups" =
    as.data.frame(ggeffects::ggpredict(m, c("Days", "Subject [308, 309]"), type = "random")),
  "ggemmeans" = as.data.frame(ggeffects::ggemmeans(m, "Days")),
  "ggeffect" = as.data.frame(ggeffects::ggeffect(m, "Days")),
  "ggaverage" = as.data.frame(ggeffects::ggaverage(m, "Days")),
  "predict_response" = as.data.frame(ggeffects::predict_response(m, "Days")),
  "picture" = plot(ggeffects::ggpredict(m, "Days")),
  "picture with data" = plot(ggeffects::ggpredict(m, "Days"), show_data = TRUE, jitter = 0),
  "residualise over grid" =
    as.data.frame(ggeffects::residualize_over_grid(ggeffects::data_grid(m, "Days"), m)),
  "vcov" = vcov(ggeffects::ggpredict(m, "Days"))
)
calls("ggeffects", on = "slopes", peer = "lme4", kind = "runs",
  "simulate" = as.data.frame(ggeffects::ggpredict(m, "Days", type = "simulate")),
  "print" = print(ggeffects::ggpredict(m, "Days")),
  "picture with residuals" = plot(ggeffects::ggpredict(m, "Days"), show_residuals = TRUE),
  "picture with old names" = plot(ggeffects::ggpredict(m, "Days"), residuals = TRUE)
)
calls("ggeffects", on = "cake", peer = "lme4",
  "ggpredict, two terms" = as.data.frame(ggeffects::ggpredict(m, c("temperature", "recipe"))),
  "ggemmeans, two terms" = as.data.frame(ggeffects::ggemmeans(m, c("temperature", "recipe"))),
  "ggeffect, two terms" = as.data.frame(ggeffects::ggeffect(m, c("temperature", "recipe"))),
  "random, recipe" = as.data.frame(ggeffects::ggpredict(m, "recipe", type = "random")),
  "hypothesis_test" = as.data.frame(ggeffects::hypothesis_test(m, "recipe")),
  "test_predictions" = as.data.frame(ggeffects::test_predictions(m, "recipe")),
  "new_data" = ggeffects::new_data(m, c("temperature", "recipe")),
  "pretty_range" = nrow(ggeffects::data_grid(m, "recipe"))
)
calls("ggeffects", on = "terms", peer = "lme4",
  "poly()" = as.data.frame(ggeffects::ggpredict(m, c("dose", "arm"))),
  "scale()" = as.data.frame(ggeffects::ggpredict(m, "weight [60, 70, 80]"))
)
calls("ggeffects", on = "crossed",
  "crossed" = as.data.frame(ggeffects::ggpredict(m, c("fatigue [0, 5]", "genre")))
)
calls("ggeffects", on = "growth",
  "growth" = as.data.frame(ggeffects::ggpredict(m, c("age", "Sex"))),
  "growth, ggemmeans" = as.data.frame(ggeffects::ggemmeans(m, c("age", "Sex")))
)
calls("ggeffects", on = "visits",
  "visits" = as.data.frame(ggeffects::ggpredict(m, c("visit", "Sex")))
)

calls("marginaleffects", on = c("slopes", "cake", "crossed", "terms", "growth", "visits"),
  "predictions" =
    as.data.frame(marginaleffects::predictions(m, newdata = head(data_of[[fit_name]], 5L),
      re.form = NA))[c("estimate", "std.error", "conf.low")],
  "hypotheses" = as.data.frame(marginaleffects::hypotheses(m)),
  "coefficients" = marginaleffects::get_coef(m),
  "variances" = marginaleffects::get_vcov(m)
)
calls("marginaleffects", on = "slopes",
  "average slopes" = as.data.frame(marginaleffects::avg_slopes(m)),
  "average slope" = as.data.frame(marginaleffects::avg_slopes(m, variables = "Days", re.form = NA)),
  "average comparisons" = as.data.frame(marginaleffects::avg_comparisons(m, re.form = NA)),
  "all predictions" = as.data.frame(marginaleffects::predictions(m))[c("estimate", "std.error")],
  "average predictions" = as.data.frame(marginaleffects::avg_predictions(m)),
  "grid of data" =
    as.data.frame(marginaleffects::predictions(m, newdata = marginaleffects::datagrid(Days = c(0,
      9)), re.form = NA))[c("estimate", "std.error")],
  "hypothesis" = as.data.frame(marginaleffects::hypotheses(m, "b2 = 10")),
  "picture" = marginaleffects::plot_predictions(m, condition = "Days", re.form = NA),
  "Satterthwaite" =
    as.data.frame(marginaleffects::predictions(m, vcov = "satterthwaite",
      newdata = head(sleepstudy, 3), re.form = NA))[c("estimate",
      "std.error", "conf.low")],
  "Kenward-Roger" =
    as.data.frame(marginaleffects::predictions(m, vcov = "kenward-roger",
      newdata = head(sleepstudy, 3), re.form = NA))[c("estimate",
      "std.error", "conf.low")],
  "df" = as.data.frame(marginaleffects::avg_slopes(m, df = 17, re.form = NA))
)
calls("marginaleffects", on = "slopes", kind = "runs",
  "inferences" =
    marginaleffects::inferences(marginaleffects::avg_slopes(m, re.form = NA),
      method = "simulation", R = 20)
)
calls("marginaleffects", on = "cake",
  "means of recipes" =
    as.data.frame(marginaleffects::avg_predictions(m, by = "recipe", re.form = NA)),
  "pairs of recipes" =
    as.data.frame(marginaleffects::avg_comparisons(m, variables = list(recipe = "pairwise"),
      re.form = NA)),
  "comparisons by" =
    as.data.frame(marginaleffects::avg_comparisons(m, variables = "recipe", by = "temperature",
      re.form = NA)),
  "balanced grid" =
    as.data.frame(marginaleffects::predictions(m, newdata = "balanced",
      re.form = NA))[c("estimate", "std.error")],
  "picture of comparisons" =
    marginaleffects::plot_comparisons(m, variables = "recipe", condition = "temperature",
      re.form = NA)
)
calls("marginaleffects", on = "terms",
  "slope of poly()" =
    as.data.frame(marginaleffects::avg_slopes(m, variables = "dose", by = "arm", re.form = NA)),
  "slope of scale()" =
    as.data.frame(marginaleffects::avg_slopes(m, variables = "weight", re.form = NA)),
  "picture of slopes" =
    marginaleffects::plot_slopes(m, variables = "dose", condition = "dose", re.form = NA)
)
calls("marginaleffects", on = c("growth", "visits"),
  "average comparisons of sexes" =
    as.data.frame(marginaleffects::avg_comparisons(m, variables = "Sex"))
)
