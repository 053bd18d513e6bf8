# nlme's habits and lattice's pictures (item 5).

# nlme has one table where ours is a list of them by grouping factor. (Other packages have methods
# of as.data.frame() for it, which make another table.)
table_of <- function(x) {
  if (!is.data.frame(x)) x <- unclass(x)[[1L]]
  structure(x, class = "data.frame")
}
calls("nlme", on = "growth",
  "intervals" = nlme::intervals(m),
  "intervals, fixed" = unclass(nlme::intervals(m, which = "fixed")$fixed),
  "intervals, var-cov" = nlme::intervals(m, which = "var-cov"),
  "intervals, level" = unclass(nlme::intervals(m, level = 0.9, which = "fixed")$fixed),
  "augPred" = as.data.frame(nlme::augPred(m, primary = ~ age)),
  "augPred, length" = as.data.frame(nlme::augPred(m, primary = ~ age, length.out = 5, level = 0:1)),
  "comparePred" = as.data.frame(nlme::comparePred(m, m, primary = ~ age)),
  "ACF" = as.data.frame(nlme::ACF(m)),
  "ACF, maxLag" = as.data.frame(nlme::ACF(m, maxLag = 2, resType = "normalized")),
  "Variogram" = as.data.frame(nlme::Variogram(m, form = ~ age)),
  "Variogram, pearson" =
    as.data.frame(nlme::Variogram(m, form = ~ age | Subject, resType = "pearson")),
  "getData" = dim(nlme::getData(m)),
  "getGroups" = as.character(nlme::getGroups(m)),
  "getResponse" = as.numeric(nlme::getResponse(m)),
  "getCovariate" = nlme::getCovariate(m),
  "getVarCov" = as.numeric(nlme::getVarCov(m)),
  "getVarCov, conditional" =
    unclass(nlme::getVarCov(m, type = "conditional", individuals = "M01"))[[1]],
  "getVarCov, marginal" = unclass(nlme::getVarCov(m, type = "marginal", individuals = "M01"))[[1]],
  "VarCorr" = as.numeric(as.matrix(nlme::VarCorr(m))[, "StdDev"]),
  "fixed effects" = nlme::fixed.effects(m),
  "random effects" = nlme::random.effects(m),
  "ranef, augFrame" = table_of(nlme::ranef(m, augFrame = TRUE)),
  "coef" = coef(m),
  "coef, augFrame" = table_of(coef(m, augFrame = TRUE)),
  "corMatrix" = nlme::corMatrix(m$modelStruct$corStruct)[[1]],
  "parameters of corStruct" = coef(m$modelStruct$corStruct, unconstrained = FALSE),
  "anova" = as.data.frame(anova(m)),
  "anova, L" = as.data.frame(anova(m, L = c(age = 1))),
  "anova, Terms" = as.data.frame(anova(m, Terms = 2)),
  "anova, marginal" = as.data.frame(anova(m, type = "marginal")),
  "anova of two" = as.data.frame(anova(m, update(m, correlation = NULL)))[, -1],
  "tTable" = summary(m)$tTable,
  "residuals" = as.numeric(residuals(m)),
  "residuals, normalized" = as.numeric(residuals(m, type = "normalized")),
  "residuals, pearson" = as.numeric(residuals(m, type = "pearson")),
  "residuals, level 0" = as.numeric(residuals(m, level = 0)),
  "residuals, levels" = as.data.frame(residuals(m, level = 0:1)),
  "fitted, levels" = as.data.frame(fitted(m, level = 0:1)),
  "fitted, level 0" = as.numeric(fitted(m, level = 0)),
  "predict, level 0" = as.numeric(predict(m, newdata = growth[1:5, ], level = 0)),
  "predict, levels" = as.data.frame(predict(m, newdata = growth[1:5, ], level = 0:1)),
  "predict, levels, all rows" = as.data.frame(predict(m, level = 0:1)),
  "logLik, REML = FALSE" = as.numeric(logLik(m, REML = FALSE)),
  "criteria" = c(logLik(m), AIC(m), BIC(m), attr(logLik(m), "df"), nobs(m)),
  "sigma" = sigma(m),
  "vcov" = vcov(m),
  "update, no correlation" = nlme::fixef(update(m, correlation = NULL)),
  "update, ARMA" =
    as.numeric(logLik(update(m, correlation = nlme::corARMA(form = ~ 1 | Subject, p = 1, q = 1)))),
  "update, weights" = as.numeric(logLik(update(m, weights = nlme::varIdent(form = ~ 1 | Sex)))),
  "update, fixed" = nlme::fixef(update(m, . ~ . - age:Sex)),
  "getGroupsFormula" = nlme::getGroupsFormula(m),
  "getCovariateFormula" = nlme::getCovariateFormula(m),
  "compareFits" = as.data.frame(as.numeric(unlist(nlme::compareFits(coef(m), coef(m))))),
  "compareFits of tables" =
    as.vector(unclass(nlme::compareFits(table_of(coef(m)), table_of(coef(m))))),
  "pooledSD" = nlme::pooledSD(m),
  "Dim" = nlme::Dim(m$modelStruct$corStruct)$M,
  "formula" = formula(m)[[2]],
  "simulate" = dim(as.data.frame(simulate(m, nsim = 2, seed = 1))),
  "print of VarCorr" = nrow(nlme::VarCorr(m)),
  "getCovariate of data" = length(nlme::getCovariate(nlme::getData(m), ~ age)),
  "terms" = attr(terms(m), "term.labels"),
  "getResponseFormula" = nlme::getResponseFormula(m),
  "asOneFormula" = nlme::asOneFormula(formula(m, fixed.only = TRUE)[-2]),
  "isInitialized" = nlme::isInitialized(m$modelStruct),
  "gapply, groups" =
    names(nlme::gapply(growth, which = "age", FUN = function(x) mean(x$age),
      groups = nlme::getGroups(m)))
)
calls("nlme", on = "growth", kind = "runs",
  "plot of a formula" = print(plot(m, resid(., type = "p") ~ fitted(.) | Sex)),
  "plot, boxes" = print(plot(m, Sex ~ resid(.))),
  "plot, observed" = print(plot(m, distance ~ fitted(.), abline = c(0, 1))),
  "plot, id" = print(plot(m, resid(., type = "p") ~ fitted(.), id = 0.05)),
  "plot of augPred" = print(plot(nlme::augPred(m, primary = ~ age))),
  "plot of comparePred" = print(plot(nlme::comparePred(m, m, primary = ~ age))),
  "plot of ACF" = print(plot(nlme::ACF(m), alpha = 0.05)),
  "plot of Variogram" = print(plot(nlme::Variogram(m, form = ~ age))),
  "plot of intervals" = print(nlme::intervals(m)),
  "plot of ranef" = print(plot(nlme::ranef(m))),
  "plot of compareFits" = print(plot(nlme::compareFits(coef(m), coef(m)))),
  "qqnorm" = print(qqnorm(m)),
  "qqnorm by sex" = print(qqnorm(m, ~ resid(., type = "p") | Sex)),
  "qqnorm of ranef" = print(qqnorm(m, ~ ranef(.))),
  "pairs" = print(pairs(m, ~ ranef(.))),
  "plot" = print(plot(m))
)
calls("nlme", on = "slopes",
  "VarCorr, slopes" = as.data.frame(nlme::VarCorr(m)),
  "getData, slopes" = dim(nlme::getData(m)),
  "fixef" = nlme::fixef(m),
  "ranef" = nlme::ranef(m)$Subject
)
calls("nlme", on = "slopes", kind = "runs",
  "plot of ranef, slopes" = plot(nlme::ranef(m)),
  "intervals, slopes" = nlme::intervals(m),
  "qqnorm, slopes" = qqnorm(m),
  "augPred, slopes" = nlme::augPred(m, primary = ~ Days)
)
calls("nlme", on = "visits",
  "gls: intervals" = nlme::intervals(m, which = "coef")$coef,
  "gls: getVarCov" = as.matrix(nlme::getVarCov(m)),
  "gls: getVarCov of one" = unclass(nlme::getVarCov(m, individual = "M01")),
  "gls: residuals, normalized" = as.numeric(residuals(m, type = "normalized")),
  "gls: residuals, pearson" = as.numeric(residuals(m, type = "pearson")),
  "gls: fitted" = as.numeric(fitted(m)),
  "gls: predict" = as.numeric(predict(m, newdata = growth[1:4, ])),
  "gls: anova" = as.data.frame(anova(m)),
  "gls: criteria" = c(logLik(m), AIC(m), BIC(m), attr(logLik(m), "df")),
  "gls: vcov" = vcov(m),
  "gls: ACF" = as.data.frame(nlme::ACF(m, form = ~ 1 | Subject)),
  "gls: getData" = dim(nlme::getData(m)),
  "gls: getGroups" = as.character(nlme::getGroups(m)),
  "gls: getResponse" = as.numeric(nlme::getResponse(m)),
  "gls: Variogram" = as.data.frame(nlme::Variogram(m, form = ~ age | Subject)),
  "gls: tTable" = summary(m)$tTable,
  "gls: update" = as.numeric(logLik(update(m, . ~ . - visit:Sex)))
)
calls("nlme", on = "visits", kind = "runs",
  "gls: plot of a formula" = print(plot(m, resid(., type = "p") ~ fitted(.) | Sex)),
  "gls: qqnorm" = print(qqnorm(m)),
  "gls: plot" = print(plot(m))
)

calls("lattice", on = c("slopes", "cake"), peer = "lme4", kind = "runs",
  "dotplot of ranef" = print(lattice::dotplot(ranef(m))),
  "dotplot of ranef, intervals" = print(lattice::dotplot(ranef(m, condVar = TRUE))),
  "qqmath of ranef" = print(lattice::qqmath(ranef(m, condVar = TRUE))),
  "qqmath of a fit" = print(lattice::qqmath(m)),
  "qqmath, id" = print(lattice::qqmath(m, id = 0.05)),
  "plot" = print(plot(m)),
  "plot, smooth" = print(plot(m, sqrt(abs(resid(.))) ~ fitted(.), type = c("p", "smooth"))),
  "plot of quantiles" = print(plot(m, resid(., scaled = TRUE) ~ fitted(.), id = 0.05, abline = 0))
)
calls("lattice", on = "slopes", peer = "lme4", kind = "runs",
  "plot by group" = print(plot(m, resid(., scaled = TRUE) ~ fitted(.) | Subject, abline = 0)),
  "xyplot of a profile" = print(lattice::xyplot(profile(m))),
  "densityplot of a profile" = print(lattice::densityplot(profile(m))),
  "splom of a profile" = print(lattice::splom(profile(m)))
)
calls("lattice", on = "cake", peer = "lme4", kind = "runs",
  "plot, factor first" = print(plot(m, recipe ~ resid(.)))
)
