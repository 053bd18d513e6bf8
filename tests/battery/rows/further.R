# Further calls that users of lmer() write, package by package: other arguments of the same
# functions, and functions that the other files leave out.

calls("emmeans", on = "cake",
  "confint of pairs" = confint(pairs(emmeans::emmeans(m, "recipe")), level = 0.9),
  "treatment against control" =
    summary(emmeans::contrast(emmeans::emmeans(m, ~ recipe), "trt.vs.ctrl", ref = 1)),
  "consecutive" = summary(emmeans::contrast(emmeans::emmeans(m, ~ temperature), "consec")),
  "effects" = summary(emmeans::contrast(emmeans::emmeans(m, ~ temperature), "eff")),
  "own contrasts" = summary(
    emmeans::contrast(emmeans::emmeans(m, ~ recipe), list(ab = c(1, -1, 0), abc = c(0.5, 0.5, -1)))
  ),
  "Bonferroni" = summary(pairs(emmeans::emmeans(m, ~ recipe), adjust = "bonferroni")),
  "pairs of all" = summary(pairs(emmeans::emmeans(m, ~ recipe | temperature), by = NULL)),
  "given df" = summary(emmeans::emmeans(m, ~ recipe, df = 30), infer = TRUE),
  "given vcov" = summary(emmeans::emmeans(m, ~ recipe, vcov. = 2 * vcov(m)), infer = TRUE),
  "given vcov, function" = summary(emmeans::emmeans(m, ~ recipe, vcov. = function(x) 2 * vcov(x))),
  "proportional weights" = summary(emmeans::emmeans(m, ~ recipe, weights = "proportional")),
  "null value" = as.data.frame(emmeans::test(emmeans::emmeans(m, ~ recipe), null = 30)),
  "one-sided" = summary(pairs(emmeans::emmeans(m, ~ recipe)), side = ">", infer = TRUE),
  "pairwise formula" = summary(emmeans::emmeans(m, pairwise ~ recipe)),
  "grand mean" = summary(emmeans::emmeans(m, ~ 1), infer = TRUE),
  "emmip with intervals" = emmeans::emmip(m, ~ recipe | temperature, CIs = TRUE, plotit = FALSE),
  "regrid" = summary(emmeans::regrid(emmeans::emmeans(m, ~ recipe), transform = "log")),
  "mvcontrast" =
    as.data.frame(emmeans::mvcontrast(emmeans::emmeans(m, ~ recipe * temperature), "pairwise",
      mult.name = "temperature")),
  "limits of sizes" = summary(emmeans::emmeans(m, ~ recipe, pbkrtest.limit = 10,
    lmerTest.limit = 10)),
  "plot with comparisons" = plot(emmeans::emmeans(m, ~ recipe), comparisons = TRUE),
  "xtable" = xtable::xtable(summary(emmeans::emmeans(m, ~ recipe)))
)
calls("emmeans", on = "slopes",
  "range of a covariate" = summary(emmeans::emmeans(m, ~ Days, cov.reduce = range)),
  "trend, Kenward-Roger" =
    summary(emmeans::emtrends(m, ~ 1, var = "Days", mode = "kenward-roger"), infer = TRUE),
  "trend, asymptotic" =
    summary(emmeans::emtrends(m, ~ 1, var = "Days", mode = "asymptotic"), infer = TRUE),
  "grid at values" = summary(emmeans::ref_grid(m, at = list(Days = 1:3)), infer = TRUE)
)
calls("emmeans", on = "terms",
  "trends of second degree" =
    summary(emmeans::emtrends(m, ~ arm, var = "dose", max.degree = 2), infer = FALSE),
  "pairs of trends" = summary(pairs(emmeans::emtrends(m, ~ arm, var = "dose")))
)

calls("multcomp", on = "cake",
  "own matrix of contrasts" = summary(multcomp::glht(m, linfct = multcomp::mcp(
    recipe = rbind("B - A" = c(-1, 1, 0), "C - AB" = c(-0.5, -0.5, 1))
  )))$test[c("coefficients", "sigma", "tstat")],
  "averaged over interactions" = summary(multcomp::glht(m, linfct = multcomp::mcp(
    recipe = "Tukey", interaction_average = TRUE
  )))$test[c("coefficients", "sigma", "tstat")],
  "F test" =
    summary(multcomp::glht(m, linfct = multcomp::mcp(recipe = "Tukey")), test = multcomp::Ftest())$
    test[c("fstat", "df")],
  "by emmeans" =
    summary(multcomp::glht(m, linfct = emmeans::emm(pairwise ~ recipe)))$test[c("coefficients",
      "sigma", "tstat")],
  "simultaneous intervals of one" =
    confint(multcomp::glht(m, linfct = multcomp::mcp(recipe = c("B - A = 0"))))$confint
)
calls("multcomp", on = "slopes",
  "one-sided" =
    summary(multcomp::glht(m, linfct = "Days <= 0"))$test[c("coefficients", "sigma", "tstat",
      "pvalues")],
  "given vcov" =
    summary(multcomp::glht(m, linfct = "Days = 0", vcov. = 2 * vcov(m)))$test[c("sigma", "tstat")],
  "coef and vcov of glht" = {
    g <- multcomp::glht(m, linfct = "Days = 0")
    c(coef(g), vcov(g))
  }
)
calls("multcomp", on = "slopes", kind = "runs",
  "plot" = plot(multcomp::glht(m, linfct = "Days = 0")),
  "print" = print(summary(multcomp::glht(m, linfct = "Days = 0")))
)

calls("car", on = c("slopes", "cake"),
  "Anova, given vcov" = as.data.frame(car::Anova(m, vcov. = 2 * vcov(m),
    test.statistic = "Chisq")),
  "lht" = as.data.frame(car::lht(m, names(fixef(m))[2], test = "Chisq")),
  "lht, given vcov" =
    as.data.frame(car::linearHypothesis(m, names(fixef(m))[2], vcov. = 2 * vcov(m),
      test = "Chisq")),
  "qqPlot of ranef" = car::qqPlot(ranef(m)[[1]][, 1])
)
calls("car", on = "slopes",
  "deltaMethod of names" = as.data.frame(car::deltaMethod(m, "(Intercept)/Days")),
  "linear hypothesis, equation" =
    as.data.frame(car::linearHypothesis(m, "(Intercept) - 25 * Days = 0", test = "Chisq"))
)

calls("effects", on = "cake",
  "effect of an interaction" = as.data.frame(effects::effect("recipe*temperature", m)),
  "level" = as.data.frame(effects::Effect("recipe", m, confidence.level = 0.9)),
  "fixed predictors" = as.data.frame(
    effects::Effect("recipe", m, fixed.predictors = list(given.values = "equal"))
  ),
  "predictor effects of some" = lapply(effects::predictorEffects(m, ~ recipe), as.data.frame)
)
calls("effects", on = "slopes",
  "number of levels" = lapply(effects::allEffects(m, xlevels = 3), as.data.frame)
)
calls("effects", on = "cake", kind = "runs",
  "picture of lines" =
    plot(effects::Effect(c("recipe", "temperature"), m), multiline = TRUE, ci.style = "bands"),
  "picture as ggplot" =
    ggplot2::ggplot(
      as.data.frame(effects::Effect("recipe", m)), ggplot2::aes(recipe, fit)
    ) + ggplot2::geom_point()
)

calls("ggeffects", on = "slopes", peer = "lme4",
  "all values" = as.data.frame(ggeffects::ggpredict(m, "Days [all]")),
  "formula" = as.data.frame(ggeffects::ggpredict(m, terms = ~ Days)),
  "fe" = as.data.frame(ggeffects::ggpredict(m, "Days", type = "fe")),
  "re" = as.data.frame(ggeffects::ggpredict(m, "Days", type = "re")),
  "collapse_by_group" =
    as.data.frame(ggeffects::collapse_by_group(ggeffects::ggpredict(m, "Days"), m, "Subject"))
)
calls("ggeffects", on = "cake", peer = "lme4",
  "condition" =
    as.data.frame(ggeffects::ggpredict(m, "temperature", condition = c(recipe = "B"))),
  "factors at values" =
    as.data.frame(ggeffects::ggpredict(m, c("temperature [175, 225]", "recipe [A, C]")))
)

calls("parameters", on = c("slopes", "cake"), peer = "lme4",
  "parameters" = as.data.frame(parameters::parameters(m, effects = "fixed")),
  "with sigma" =
    as.data.frame(parameters::model_parameters(m, effects = "fixed", include_sigma = TRUE)),
  "summary" =
    as.data.frame(parameters::model_parameters(m, effects = "fixed", summary = TRUE)),
  "format" = as.data.frame(format(parameters::model_parameters(m, effects = "fixed"))),
  "ci, profile" = as.data.frame(parameters::ci(m, method = "profile")),
  "p_value, satterthwaite" = as.data.frame(parameters::p_value(m, method = "satterthwaite")),
  "standard_error, satterthwaite" =
    as.data.frame(parameters::standard_error(m, method = "satterthwaite")),
  "dof, satterthwaite" =
    as.numeric(parameters::degrees_of_freedom(m, method = "satterthwaite")),
  "dof, kenward" = as.numeric(parameters::degrees_of_freedom(m, method = "kenward")),
  "dof, residual" = as.numeric(parameters::degrees_of_freedom(m, method = "residual")),
  "equivalence_test" = as.data.frame(parameters::equivalence_test(m)),
  "sort" = as.data.frame(parameters::model_parameters(m, effects = "fixed", digits = 4)),
  "display" = as.character(parameters::display(parameters::model_parameters(m, effects = "fixed")))
)
calls("parameters", on = "slopes", peer = "lme4",
  "standardized names" =
    as.data.frame(insight::standardize_names(parameters::model_parameters(m, effects = "fixed"))),
  "random by profile" =
    as.data.frame(parameters::model_parameters(update(m, REML = FALSE), effects = "random",
      ci_method = "profile"))[c("Parameter", "Coefficient")],
  "effects of levels" =
    as.data.frame(parameters::model_parameters(m, effects = "random", group_level = TRUE))[1:4],
  "sd of standard errors" = unlist(parameters::standard_error(m, effects = "random"))
)

calls("performance", on = c("slopes", "cake", "crossed", "terms"), peer = "lme4",
  "rmse, normalized" = performance::performance_rmse(m, normalized = TRUE),
  "metrics" = as.data.frame(performance::model_performance(m, metrics = "common")),
  "icc, numbers" = unlist(performance::icc(m)),
  "r2_nakagawa, tolerance" = unlist(performance::r2_nakagawa(m, tolerance = 1e-9)),
  "singularity, tolerance" = performance::check_singularity(m, tolerance = 1e-3),
  "test_lrt" = as.data.frame(
    performance::test_lrt(smaller(m, REML = FALSE), update(m, REML = FALSE))
  )[, -(1:2)],
  "ranks" = as.data.frame(
    performance::compare_performance(m, smaller(m), rank = TRUE, metrics = c("AIC", "BIC", "RMSE"))
  )[, -(1:2)],
  "print of r2" = capture.output(print(performance::r2(m))),
  "print of icc" = capture.output(print(performance::icc(m))),
  "print of performance" = capture.output(print(performance::model_performance(m)))
)

calls("insight", on = c("slopes", "cake", "crossed", "terms"),
  "data of the frame" = insight::get_data(m, source = "mf"),
  "predictions as a link" =
    as.numeric(insight::get_predicted(m, predict = "link", ci = NULL)),
  "predictions of new rows" =
    as.numeric(insight::get_predicted(m, data = head(data_of[[fit_name]], 3L), ci = NULL)),
  "predictions for the population" = as.data.frame(
    insight::get_predicted(m, head(data_of[[fit_name]], 3L), include_random = FALSE, ci = 0.9)
  ),
  "model matrix of rows" =
    unname(as.matrix(insight::get_modelmatrix(m, data = head(data_of[[fit_name]], 3L)))),
  "formula_ok" = insight::formula_ok(m),
  "variables, random" = insight::find_variables(m, effects = "random", flatten = TRUE),
  "variances, flat" = unlist(insight::get_variance(m)),
  "is_mixed" = insight::model_info(m)$is_mixed,
  "response by name" = insight::find_response(m),
  "null model" = fixef(insight::null_model(m)),
  "number of observations" = insight::n_obs(m),
  "model name" = class(insight::model_name(m)),
  "formatted" = insight::format_table(
    as.data.frame(parameters::model_parameters(m, effects = "fixed"))
  )
)

calls("lmerTest", on = c("slopes", "cake", "crossed", "terms"),
  "anova, words" = as.data.frame(anova(m, type = "III", ddf = "Satterthwaite")),
  "anova, two" = as.data.frame(anova(m, type = "2")),
  "summary, lme4" = coef(summary(m, ddf = "lme4"))[, "t value"],
  "contest, right side" =
    lmerTest::contest(m, diag(length(fixef(m)))[2, ], rhs = 1, joint = FALSE),
  "contest, level" =
    lmerTest::contest(m, diag(length(fixef(m))), joint = FALSE, confint = TRUE, level = 0.9),
  "contest, dependent rows" =
    lmerTest::contestMD(m, rbind(diag(length(fixef(m)))[2, ], 2 * diag(length(fixef(m)))[2, ])),
  "step, no fixed" = as.data.frame(lmerTest::step(m, reduce.fixed = FALSE)$random),
  "step, alpha" = as.data.frame(lmerTest::step(m, alpha.fixed = 0.001)$fixed),
  "step, kept" = names(fixef(lmerTest::get_model(lmerTest::step(m)))),
  "print of step" = capture.output(print(lmerTest::step(m)))[1:2],
  "print of summary" = grep("^Days|^genre|^fatigue|^recipe", capture.output(print(summary(m))),
    value = TRUE),
  "print of anova" = capture.output(print(anova(m)))
)
calls("lmerTest", on = "slopes",
  "drop1, scope" = as.data.frame(drop1(m, scope = "Days")),
  "drop1, formula" = as.data.frame(drop1(m, scope = ~ Days)),
  "carrots" = as.data.frame(lmerTest::step(
    fitter(Preference ~ sens2 + Homesize + (1 + sens2 | Consumer), lmerTest::carrots)
  )$fixed),
  "in one call" =
    as.data.frame(anova(fitter(Reaction ~ Days + (1 | Subject), sleepstudy, REML = FALSE)))
)
calls("lmerTest", on = "cake",
  "ls_means, level" = as.data.frame(lmerTest::ls_means(m, which = "recipe", level = 0.9)),
  "ls_means, some" = as.data.frame(lmerTest::ls_means(m, "recipe")),
  "difflsmeans, some" = as.data.frame(lmerTest::difflsmeans(m, which = "recipe"))
)

two_rows <- rbind(c(0, 1, 1), c(0, 0, 1))
calls("lmerTest", on = "crossed", "contest, two rows" = lmerTest::contestMD(m, two_rows))
calls("pbkrtest", on = "crossed", peer = "lme4",
  "SATmodcomp, two rows" = as.data.frame(pbkrtest::SATmodcomp(m, two_rows)$test),
  "KRmodcomp, two rows" = as.data.frame(pbkrtest::KRmodcomp(m, two_rows)$test)
)
calls("pbkrtest", on = c("slopes", "cake", "crossed"), peer = "lme4",
  "KRmodcomp, table" = as.data.frame(pbkrtest::KRmodcomp(m, smaller(m))$test),
  "summary of KRmodcomp" = as.data.frame(summary(pbkrtest::KRmodcomp(m, smaller(m)))),
  "p of KRmodcomp" = pbkrtest::getKR(pbkrtest::KRmodcomp(m, smaller(m)), "p.value"),
  "SATmodcomp, table" = as.data.frame(pbkrtest::SATmodcomp(m, smaller(m))$test),
  "compare_column_space" =
    pbkrtest::compare_column_space(model.matrix(m), model.matrix(smaller(m))),
  "ddf of all" = pbkrtest::get_Lb_ddf(m, diag(length(fixef(m)))[1, ]),
  "sizes of vcovAdj" = dim(pbkrtest::vcovAdj(m))
)

calls("lme4", on = c("slopes", "cake", "crossed", "terms"), peer = "lme4",
  "fixef, dropped" = lme4::fixef(m, add.dropped = TRUE),
  "ranef, one factor" = ranef(m, whichel = names(ngrps(m))[1]),
  "ranef without variances" = ranef(m, condVar = FALSE)[[1]],
  "getME, several" = lme4::getME(m, c("theta", "beta", "sigma")),
  "VarCorr, one" = c(as.matrix(lme4::VarCorr(m)[[1]])),
  "VarCorr, sd" = attr(lme4::VarCorr(m)[[1]], "stddev"),
  "VarCorr, sc" = attr(lme4::VarCorr(m), "sc"),
  "VarCorr, digits" = capture.output(print(lme4::VarCorr(m), digits = 3)),
  "logLik, REML" = c(logLik(m, REML = FALSE), logLik(m, REML = TRUE)),
  "predict, zero" = predict(m, newdata = head(data_of[[fit_name]], 3L), re.form = ~ 0),
  "predict, type" = predict(m, type = "response"),
  "simulate, new rows" =
    dim(simulate(m, nsim = 2, newdata = head(data_of[[fit_name]], 5L), seed = 1)),
  "terms, random" = class(terms(m)),
  "model matrices, raw" = lapply(model.matrix(m, type = "randomListRaw"), function(x) unname(c(x))),
  "residuals, response" = residuals(m, type = "response", scaled = TRUE),
  "model names" = rownames(anova(m, smaller(m), model.names = c("large", "small"))),
  "as.function" = as.function(m)(lme4::getME(m, "theta")),
  "summary without correlation" = coef(summary(m, correlation = FALSE))[, "t value"],
  "summary, printed groups" =
    grep("Number of obs", capture.output(print(summary(m))), value = TRUE),
  "AIC, several" = as.data.frame(AIC(m, smaller(m)))$df,
  "update of weights" = fixef(update(m, weights = rep(2, length(fitted(m))))),
  "plot of ranef" = class(plot(ranef(m))) == "x",
  "levels of the groups" = lapply(lme4::getME(m, "flist"), levels),
  "isREML after refitML" = lme4::isREML(lme4::refitML(m)),
  "deviance of ML" = deviance(lme4::refitML(m)),
  "tail of the frame" = dim(utils::tail(model.frame(m), 3)),
  "formula of bars" = length(lme4::findbars(formula(m))) + length(all.vars(formula(m))),
  "refit, rows" = logLik(lme4::refit(m, lme4::getME(m, "y") + 1))[1]
)
calls("lme4", on = "slopes", peer = "lme4",
  "confint of variances" = confint(update(m, REML = FALSE), parm = "theta_", method = "profile",
    quiet = TRUE, oldNames = FALSE)[c("sd_(Intercept)|Subject", "sigma"), ],
  "confint, one" =
    confint(update(m, REML = FALSE), parm = "Days", method = "profile", quiet = TRUE),
  "confint, number" = confint(m, parm = 6, method = "Wald")[0],
  "confint, level" = confint(update(m, REML = FALSE), level = 0.9, method = "profile",
    parm = "beta_", quiet = TRUE),
  "influence, groups" = dim(dfbetas(influence(m, "Subject"))),
  "influence, data.group" = rownames(dfbetas(influence(m, groups = "Subject")))[1:2],
  "bootMer, parametric" =
    dim(lme4::bootMer(m, function(x) lme4::getME(x, "theta"), nsim = 2, type = "parametric",
      .progress = "none", PBargs = list(), seed = 1)$t),
  "update, uncorrelated" =
    logLik(update(m, . ~ Days + (Days || Subject)))[1],
  "update, control" = class(fixef(update(m, start = NULL))),
  "update, data" = fixef(update(m, data = subset(sleepstudy, Days > 0))),
  "update, subset" = fixef(update(m, subset = Days > 0)),
  "lapply over formulas" = vapply(
    c("Reaction ~ 1 + (1 | Subject)", "Reaction ~ Days + (1 | Subject)"),
    function(f) AIC(fitter(stats::as.formula(f), data = sleepstudy, REML = FALSE)), 0
  ),
  "do.call" = fixef(do.call(fitter, list(Reaction ~ Days + (1 | Subject), data = sleepstudy))),
  "formula by reformulate" = fixef(fitter(
    stats::reformulate(c("Days", "(1 | Subject)"), "Reaction"), sleepstudy
  )),
  "with()" = fixef(with(sleepstudy, fitter(Reaction ~ Days + (1 | Subject)))),
  "contrasts" = fixef(fitter(
    Reaction ~ factor(Days > 4) + (1 | Subject), sleepstudy, contrasts = NULL
  )),
  "offset" = fixef(fitter(Reaction ~ Days + offset(10 * Days) + (1 | Subject), sleepstudy)),
  "log of the response" = fixef(fitter(log(Reaction) ~ Days + (1 | Subject), sleepstudy)),
  "subset and weights" = fixef(fitter(
    Reaction ~ Days + (1 | Subject), sleepstudy, subset = Days < 8, weights = Days + 1
  ))
)

calls("broom.mixed", on = c("slopes", "cake"),
  "tidy, boot" = dim(broom.mixed::tidy(m, effects = "fixed", conf.int = TRUE,
    conf.method = "Wald")),
  "tidy, exponentiated" =
    broom.mixed::tidy(update(m, log(.) ~ .), effects = "fixed", exponentiate = TRUE),
  "glance, ML" = broom.mixed::glance(update(m, REML = FALSE)),
  "augment, fitted" = broom.mixed::augment(m)[c(".fitted", ".resid")]
)

calls("sjPlot", on = c("slopes", "cake"), peer = "lme4",
  "tab_model, options" = html_numbers(sjPlot::tab_model(
    m, show.se = TRUE, show.stat = TRUE, collapse.ci = TRUE, p.style = "stars", digits = 3
  )$page.content),
  "tab_model, without random" = html_numbers(sjPlot::tab_model(
    m, show.re.var = FALSE, show.icc = FALSE, show.r2 = FALSE
  )$page.content),
  "tab_model, labels" = html_words(sjPlot::tab_model(m, dv.labels = "Y")$page.content),
  "estimates, sorted" = sjPlot::plot_model(m, sort.est = TRUE, show.values = TRUE)
)
calls("sjPlot", on = "slopes", peer = "lme4",
  "tab_model, named fits" = html_words(sjPlot::tab_model(
    m, update(m, REML = FALSE), dv.labels = c("REML", "ML"), show.aic = TRUE
  )$page.content),
  "prediction by groups" =
    sjPlot::plot_model(m, type = "pred", terms = c("Days", "Subject [308, 309]"), pred.type = "re")
)

calls("nlme", on = "growth",
  "predict, default" = as.numeric(predict(m)),
  "predict, new rows" = as.numeric(predict(m, growth[1:4, ])),
  "AIC of two" = as.data.frame(AIC(m, update(m, correlation = NULL)))$AIC,
  "VarCorr, table" = dim(as.matrix(nlme::VarCorr(m))),
  "getVarCov, random" = as.matrix(unclass(nlme::getVarCov(m)))[1],
  "ngroups" = length(unique(nlme::getGroups(m))),
  "residuals, type" = as.numeric(resid(m, type = "response")),
  "logLik" = c(logLik(m)),
  "formula" = length(all.vars(formula(m))) > 0,
  "coefficients" = nlme::fixef(m)[["age"]],
  "update, ML" = as.numeric(logLik(by_ml(m))),
  "modes" = unname(unlist(unclass(nlme::ranef(m)))),
  "summary" = class(summary(m))[1] != "x"
)
calls("MuMIn", on = c("slopes", "cake"), peer = "lme4",
  "dredge, standardised" = as.data.frame(MuMIn::dredge(with_ml(m), beta = "sd")),
  "dredge, AIC" = as.data.frame(MuMIn::dredge(with_ml(m), rank = "AIC")),
  "AICc of two" = as.data.frame(MuMIn::AICc(m, smaller(m))),
  "average of two" = summary(MuMIn::model.avg(with_ml(m), smaller(with_ml(m))))$coefmat.full,
  "model.sel of a list" =
    as.data.frame(MuMIn::model.sel(list(a = with_ml(m), b = smaller(with_ml(m)))))
)
calls_of("parameters", on = "slopes", c("confidence_curve", "consonance_function"))
calls("parameters", on = "slopes",
  "compare_models" = as.data.frame(parameters::compare_models(m, m, effects = "fixed"))
)
calls_of("performance", on = "slopes", peer = "lme4", "check_heteroskedasticity")
calls_of("insight", on = "slopes", c("is_regression_model", "all_models_same_class"))
calls("mitml", on = "slopes", peer = "lme4",
  "multilevelR2" = mitml::multilevelR2(list(m, m), print = c("RB1", "SB"))
)
calls("car", on = c("slopes", "cake"), peer = "lme4",
  "powerTransform" = car::powerTransform(m)[c("lambda", "llik", "start", "convergence")]
)
calls("multcomp", on = "slopes",
  "cftest" = multcomp::cftest(m)$test[c("coefficients", "sigma", "tstat", "pvalues")]
)
