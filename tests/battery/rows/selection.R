# Tests, selection, robust variances, simulation: lmerTest, pbkrtest, MuMIn, lmtest, sandwich,
# clubSandwich, DHARMa, boot, MASS, stats (item 4).

calls("lmerTest", on = c("slopes", "cake", "crossed", "terms"),
  "anova" = as.data.frame(anova(m)),
  "anova I" = as.data.frame(anova(m, type = 1)),
  "anova II" = as.data.frame(anova(m, type = "II")),
  "anova, Kenward-Roger" = as.data.frame(anova(m, ddf = "Kenward-Roger")),
  "anova, lme4" = as.data.frame(anova(m, ddf = "lme4")),
  "summary" = coef(summary(m)),
  "summary, Kenward-Roger" = coef(summary(m, ddf = "Kenward-Roger")),
  "ranova" = as.data.frame(lmerTest::ranova(m)),
  "rand" = as.data.frame(lmerTest::rand(m)),
  "drop1" = as.data.frame(drop1(m)),
  "drop1, Kenward-Roger" = as.data.frame(drop1(m, ddf = "Kenward-Roger")),
  "drop1, Chisq" = as.data.frame(drop1(m, test = "Chisq")),
  "step, fixed" = as.data.frame(lmerTest::step(m)$fixed),
  "step, random" = as.data.frame(lmerTest::step(m)$random),
  "get_model" = fixef(lmerTest::get_model(lmerTest::step(m))),
  "show_tests" = lmerTest::show_tests(anova(m)),
  "show_tests, fractions" =
    lmerTest::show_tests(anova(m, type = 2), fractions = TRUE, names = FALSE),
  "contest" = lmerTest::contest(m, diag(length(fixef(m)))[2, , drop = FALSE]),
  "contest, joint" = lmerTest::contest(m, diag(length(fixef(m)))),
  "contest, not joint" =
    lmerTest::contest(m, diag(length(fixef(m)))[2, , drop = FALSE], joint = FALSE),
  "contest1D" = lmerTest::contest1D(m, diag(length(fixef(m)))[2, ]),
  "contest1D, confint" = lmerTest::contest1D(m, diag(length(fixef(m)))[2, ], confint = TRUE),
  "contestMD" = lmerTest::contestMD(m, diag(length(fixef(m)))[-1, , drop = FALSE]),
  "contestMD, KR" =
    lmerTest::contestMD(m, diag(length(fixef(m)))[-1, , drop = FALSE], ddf = "Kenward-Roger"),
  "calcSatterth" = lmerTest::calcSatterth(m, diag(length(fixef(m)))[2, ]),
  "as_lmerModLmerTest" = fixef(lmerTest::as_lmerModLmerTest(m)),
  "anova, marginal" = as.data.frame(anova(m, type = "marginal"))
)
calls("lmerTest", on = c("cake", "crossed", "terms"),
  "ls_means" = as.data.frame(lmerTest::ls_means(m)),
  "lsmeansLT" = as.data.frame(lmerTest::lsmeansLT(m)),
  "difflsmeans" = as.data.frame(lmerTest::difflsmeans(m)),
  "ls_means, pairwise" =
    as.data.frame(lmerTest::ls_means(m, pairwise = TRUE, ddf = "Kenward-Roger")),
  "ls_means, which" =
    as.data.frame(lmerTest::ls_means(m, which = names(model.frame(m))[vapply(model.frame(m),
      is.factor, NA)][1])),
  "show_tests of ls_means" = lmerTest::show_tests(lmerTest::ls_means(m))
)
calls("lmerTest", on = "cake", kind = "runs",
  "plot of ls_means" = plot(lmerTest::ls_means(m)),
  "plot of step" = plot(lmerTest::step(m))
)
calls("lmerTest", on = "slopes",
  "step, no random" = as.data.frame(lmerTest::step(m, reduce.random = FALSE)$fixed),
  "step, alpha" = as.data.frame(lmerTest::step(m, alpha.random = 1e-12)$random),
  "anova of two" = as.data.frame(anova(m, update(m, . ~ . - Days))),
  "anova of two, refit = FALSE" =
    as.data.frame(anova(m, update(m, . ~ . - (Days | Subject) + (1 | Subject)), refit = FALSE)),
  "ranova, whole terms" = as.data.frame(lmerTest::ranova(m, reduce.terms = FALSE))
)

calls("pbkrtest", on = c("slopes", "cake", "crossed"), peer = "lme4",
  "KRmodcomp" = pbkrtest::KRmodcomp(m, smaller(m))$stats,
  "KRmodcomp, matrix" = pbkrtest::KRmodcomp(m, diag(length(fixef(m)))[2, , drop = FALSE])$stats,
  "SATmodcomp" = as.data.frame(pbkrtest::SATmodcomp(m, smaller(m))$test),
  "vcovAdj" = as.matrix(pbkrtest::vcovAdj(m)),
  "get_Lb_ddf" = pbkrtest::get_Lb_ddf(m, diag(length(fixef(m)))[2, ]),
  "get_SigmaG" = as.matrix(pbkrtest::get_SigmaG(m)$Sigma),
  "Lb_ddf" = pbkrtest::Lb_ddf(diag(length(fixef(m)))[2, ], vcov(m), pbkrtest::vcovAdj(m)),
  "model2restriction_matrix" = abs(pbkrtest::model2restriction_matrix(m, smaller(m))),
  "getKR" = pbkrtest::getKR(pbkrtest::KRmodcomp(m, smaller(m)), "ddf")
)
calls("pbkrtest", on = "slopes", peer = "lme4",
  "PBmodcomp" =
    as.data.frame(pbkrtest::PBmodcomp(update(m, REML = FALSE), update(m,
      . ~ . - Days, REML = FALSE), nsim = 5)$test)["LRT", ],
  "PBrefdist" =
    length(pbkrtest::PBrefdist(update(m, REML = FALSE), update(m, . ~ . - Days, REML = FALSE),
      nsim = 5)),
  "restriction_matrix2model" = fixef(pbkrtest::restriction_matrix2model(m, matrix(c(0, 1), 1))),
  "get_modcomp, anova" = attr(logLik(m), "df")
)

# As dredge() wants it: by ML, without missing values.
with_ml <- function(m) {
  if (fit_name == "crossed") m <- update(m, data = complete_ratings)
  update(m, REML = FALSE, na.action = na.fail)
}
complete_ratings <- stats::na.omit(ratings)
calls("MuMIn", on = c("slopes", "cake", "crossed"), peer = "lme4",
  "dredge" = as.data.frame(MuMIn::dredge(with_ml(m))),
  "model.avg" = coef(MuMIn::model.avg(MuMIn::dredge(with_ml(m)))),
  "AICc" = MuMIn::AICc(m),
  "QAIC" = MuMIn::QAIC(m, chat = 1),
  "coeffs" = MuMIn::coeffs(m),
  "coefTable" = as.data.frame(unclass(MuMIn::coefTable(m))),
  "std.coef" = as.data.frame(unclass(MuMIn::std.coef(m, partial.sd = FALSE))),
  "stdize" = dim(MuMIn::stdize(model.frame(m))),
  "stdizeFit" = fixef(MuMIn::stdizeFit(m, data = MuMIn::stdize(data_of[[fit_name]]))),
  "getAllTerms" = as.character(MuMIn::getAllTerms(m)),
  "model.names" = MuMIn::model.names(m),
  "r.squaredGLMM" = MuMIn::r.squaredGLMM(m),
  "r.squaredLR" = as.numeric(MuMIn::r.squaredLR(m)),
  "null.fit" = as.numeric(logLik(MuMIn::null.fit(m))),
  "model.sel" =
    as.data.frame(MuMIn::model.sel(update(m, REML = FALSE), smaller(m, REML = FALSE))),
  "nested" = MuMIn::nested(m, smaller(m)),
  "DIC, loo" = MuMIn::CAICF(m),
  "Weights" = MuMIn::Weights(c(AIC(m), AIC(smaller(m)))),
  "loo" = MuMIn::loo(m),
  "fitted df" = MuMIn::coefTable(m)[, "df"]
)
calls("MuMIn", on = "slopes", peer = "lme4",
  "confint of average" = confint(MuMIn::model.avg(MuMIn::dredge(with_ml(m)))),
  "predict of average" =
    predict(MuMIn::model.avg(MuMIn::dredge(with_ml(m)), fit = TRUE), newdata = head(sleepstudy,
      3), re.form = NA),
  "sw" = as.numeric(MuMIn::sw(MuMIn::dredge(with_ml(m)))),
  "get.models" = length(MuMIn::get.models(MuMIn::dredge(with_ml(m)), subset = TRUE)),
  "dredge, REML" = as.data.frame(MuMIn::dredge(update(m, na.action = na.fail), REML = FALSE)),
  "subset" = nrow(subset(MuMIn::dredge(with_ml(m)), delta < 4)),
  "dredge, extra" = as.data.frame(MuMIn::dredge(with_ml(m), extra = list(s = sigma))),
  "dredge, fixed" = as.data.frame(MuMIn::dredge(with_ml(m), fixed = "Days")),
  "pdredge's exprApply" = class(MuMIn::exprApply(formula(m), "|", identity)),
  "jackknife weights" =
    length(MuMIn::stackingWeights(with_ml(m), smaller(with_ml(m)), data = sleepstudy,
      R = 2))
)
by_ml <- function(m) {
  if (inherits(m, "lme")) {
    return(update(m, method = "ML", na.action = na.fail))
  }
  update(m, REML = FALSE, na.action = na.fail)
}
calls("MuMIn", on = "growth",
  "dredge, growth" = as.data.frame(MuMIn::dredge(by_ml(m))),
  "r.squaredGLMM, growth" = MuMIn::r.squaredGLMM(m),
  "AICc, growth" = MuMIn::AICc(m),
  "coefTable, growth" = as.data.frame(unclass(MuMIn::coefTable(m)))
)

calls("lmtest", on = c("slopes", "growth"),
  "coeftest" = unclass(lmtest::coeftest(m))[, ],
  "coefci" = lmtest::coefci(m),
  "waldtest" = as.data.frame(lmtest::waldtest(m, ". ~ 1"))
)
calls("lmtest", on = "slopes", peer = "lme4",
  "lrtest" =
    as.data.frame(lmtest::lrtest(update(m, . ~ . - Days, REML = FALSE), update(m, REML = FALSE)))
)
calls("sandwich", on = c("slopes", "cake", "crossed"),
  "bread" = sandwich::bread(m),
  "estfun" = sandwich::estfun(m),
  "vcovHC" = sandwich::vcovHC(m),
  "vcovCL" = sandwich::vcovCL(m),
  "meat" = sandwich::meat(m),
  "sandwich" = sandwich::sandwich(m)
)
calls("clubSandwich", on = c("slopes", "cake", "growth", "visits", "terms"), peer = "lme4",
  "vcovCR, CR0" = as.matrix(clubSandwich::vcovCR(m, type = "CR0")),
  "vcovCR, CR1" = as.matrix(clubSandwich::vcovCR(m, type = "CR1")),
  "vcovCR, CR1p" = as.matrix(clubSandwich::vcovCR(m, type = "CR1p")),
  "vcovCR, CR1S" = as.matrix(clubSandwich::vcovCR(m, type = "CR1S")),
  "vcovCR, CR2" = as.matrix(clubSandwich::vcovCR(m, type = "CR2")),
  "vcovCR, CR3" = as.matrix(clubSandwich::vcovCR(m, type = "CR3")),
  "coef_test" = as.data.frame(clubSandwich::coef_test(m, vcov = "CR2")),
  "coef_test, all" = as.data.frame(clubSandwich::coef_test(m, vcov = "CR2", test = "All")),
  "conf_int" = as.data.frame(clubSandwich::conf_int(m, vcov = "CR2")),
  "Wald_test" =
    as.data.frame(clubSandwich::Wald_test(m, constraints = clubSandwich::constrain_zero(2),
      vcov = "CR2")),
  "linear_contrast" =
    as.data.frame(clubSandwich::linear_contrast(m, vcov = "CR2",
      contrasts = clubSandwich::constrain_zero(2)))
)
calls("clubSandwich", on = "crossed", peer = "lme4",
  "vcovCR, cluster" =
    as.matrix(clubSandwich::vcovCR(m, cluster = model.frame(m)$rater, type = "CR0"))
)
calls("DHARMa", on = c("slopes", "cake", "crossed", "terms"), peer = "lme4",
  "residuals" = DHARMa::simulateResiduals(m, n = 30, seed = 5)$scaledResiduals,
  "getResiduals" = as.numeric(DHARMa::getResiduals(m)),
  "getObservedResponse" = as.numeric(DHARMa::getObservedResponse(m)),
  "getFitted" = as.numeric(DHARMa::getFitted(m)),
  "getFixedEffects" = as.numeric(DHARMa::getFixedEffects(m)),
  "recalculated" =
    DHARMa::recalculateResiduals(DHARMa::simulateResiduals(m, n = 30,
      seed = 5), group = model.frame(m)[[ncol(model.frame(m))]])$scaledResiduals
)
calls("DHARMa", on = "slopes", peer = "lme4",
  "unconditional" =
    DHARMa::simulateResiduals(m, n = 30, seed = 5, simulateREs = "user-specified",
      re.form = NA)$scaledResiduals,
  "unconditional by name" =
    DHARMa::simulateResiduals(m, n = 30, seed = 5, simulateREs = "unconditional")$scaledResiduals,
  "refits" = DHARMa::simulateResiduals(m, n = 3, seed = 5, refit = TRUE)$scaledResiduals,
  "dispersion" =
    DHARMa::testDispersion(DHARMa::simulateResiduals(m, n = 30, seed = 5), plot = FALSE)$p.value,
  "uniformity" =
    DHARMa::testUniformity(DHARMa::simulateResiduals(m, n = 30, seed = 5), plot = FALSE)$p.value,
  "outliers" =
    DHARMa::testOutliers(DHARMa::simulateResiduals(m, n = 30, seed = 5), plot = FALSE)$p.value,
  "quantiles" =
    DHARMa::testQuantiles(DHARMa::simulateResiduals(m, n = 30, seed = 5), plot = FALSE)$p.value,
  "zero inflation" =
    DHARMa::testZeroInflation(DHARMa::simulateResiduals(m, n = 30,
      seed = 5), plot = FALSE)$p.value,
  "temporal" = DHARMa::testTemporalAutocorrelation(
    DHARMa::recalculateResiduals(
      DHARMa::simulateResiduals(m, n = 30, seed = 5), group = sleepstudy$Days
    ),
    time = 0:9, plot = FALSE
  )$p.value,
  "generic" =
    DHARMa::testGeneric(DHARMa::simulateResiduals(m, n = 30, seed = 5),
      summary = mean, plot = FALSE)$p.value,
  "simulations" = dim(DHARMa::getSimulations(m, nsim = 3)),
  "likelihood ratio" =
    DHARMa::simulateLRT(update(m, . ~ . - Days, REML = FALSE), update(m, REML = FALSE), n = 3,
      plot = FALSE, suppressWarnings = TRUE)$statistic
)
calls("DHARMa", on = "slopes", peer = "lme4", kind = "runs",
  "picture" = plot(DHARMa::simulateResiduals(m, n = 30, seed = 5)),
  "picture by a predictor" =
    DHARMa::plotResiduals(DHARMa::simulateResiduals(m, n = 30, seed = 5), sleepstudy$Days),
  "categorical" =
    DHARMa::testCategorical(DHARMa::simulateResiduals(m, n = 30, seed = 5), sleepstudy$Subject,
      plot = FALSE)
)
few_groups <- function(groups, i) {
  fixef(fitter(Reaction ~ Days + (1 | Subject), sleepstudy[sleepstudy$Subject %in% groups[i], ]))
}
noisy <- function(d, mle) transform(d, Reaction = Reaction + stats::rnorm(180))
calls("boot", on = "slopes", peer = "lme4",
  "boot of groups" = {
    set.seed(1)
    boot::boot(levels(sleepstudy$Subject), few_groups, R = 3)$t
  },
  "parametric boot" = {
    set.seed(1)
    boot::boot(
      sleepstudy, function(d) fixef(fitter(Reaction ~ Days + (1 | Subject), d)), R = 2,
      sim = "parametric", ran.gen = noisy, mle = 1
    )$t
  },
  "boot.ci of bootMer" =
    boot::boot.ci(lme4::bootMer(m, function(x) fixef(x)[2], nsim = 30, seed = 1), type = "norm",
      index = 1)$t0
)
calls("MASS", on = "slopes", peer = "lme4",
  "dropterm" = as.data.frame(MASS::dropterm(m, test = "Chisq")),
  "addterm" = as.data.frame(MASS::addterm(update(m, . ~ . - Days), ~ . + Days, test = "Chisq")),
  "stepAIC" = fixef(MASS::stepAIC(m, trace = 0)),
  "boxcox" = MASS::boxcox(m, plotit = FALSE)
)
calls("stats", on = c("slopes", "cake", "crossed", "terms"), peer = "lme4",
  "criteria" =
    c(AIC(m), BIC(m), logLik(m), attr(logLik(m), "df"), nobs(m), deviance(m, REML = FALSE)),
  "step" = fixef(stats::step(m, trace = 0)),
  "residual df" = df.residual(m),
  "weights" = weights(m),
  "sigma" = sigma(m),
  "vcov" = as.matrix(vcov(m)),
  "confint, Wald" = stats::na.omit(confint(m, method = "Wald")),
  "model matrix" = model.matrix(m),
  "random model matrix" = as.matrix(model.matrix(m, type = "random")),
  "extractAIC" = extractAIC(m),
  "formula" = formula(m),
  "formula, fixed" = formula(m, fixed.only = TRUE),
  "formula, random" = formula(m, random.only = TRUE),
  "terms" = attr(terms(m), "term.labels"),
  "terms, fixed" = attr(terms(m, fixed.only = TRUE), "term.labels"),
  "model frame" = model.frame(m),
  "model frame, fixed" = model.frame(m, fixed.only = TRUE),
  "hat values" = as.numeric(hatvalues(m)),
  "predict, population" = predict(m, re.form = NA),
  "predict" = predict(m),
  "residuals, pearson" = residuals(m, type = "pearson"),
  "residuals, scaled" = residuals(m, scaled = TRUE),
  "rstudent" = as.numeric(rstudent(m)),
  "case names" = length(case.names(m)),
  "variable names" = variable.names(m),
  "family" = family(m)$family,
  "fitted" = fitted(m),
  "predict, new rows" = predict(m, newdata = head(data_of[[fit_name]], 4L), re.form = NULL),
  "getCall" = class(getCall(m)),
  "add1" = as.data.frame(add1(intercept_only(m), scope = formula(m, fixed.only = TRUE))),
  "add1, Chisq" = as.data.frame(
    add1(intercept_only(m), scope = formula(m, fixed.only = TRUE), test = "Chisq")
  ),
  "dummy.coef" = lapply(dummy.coef(m), as.numeric)
)
