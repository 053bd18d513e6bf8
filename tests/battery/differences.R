# Results that differ, with who is right and how that was shown. See rows.R.

# ---- degrees of freedom and intervals ----

containment <- paste(
  "nlme counts degrees of freedom by the levels at which a term varies, whatever the",
  "estimates; ours are Satterthwaite's, checked against brute-force derivatives",
  "(tests/testthat/test-infer-ddf.R). Means, differences and standard errors are the same."
)
differs("emmeans", c("means at ten years", "slopes by sex", "joint tests by sex"),
  "df|CL |p.value", containment, on = "growth"
)
differs("emmeans", "means of visits, satterthwaite", "df|CL |p.value",
  paste(
    "emmeans estimates gls's Satterthwaite degrees of freedom from jittered refits. With every",
    "visit measured and one unstructured matrix the test at a visit is the t test of its rows,",
    "with 25 degrees of freedom: t.test() of visit 8 has p = 0.07503802 on 25, as ours."
  ),
  on = "visits"
)
differs("emmeans", "crossed means", "df|CL |p.value",
  paste(
    "emmeans asks pbkrtest for Kenward and Roger's degrees of freedom by default; ours are",
    "Satterthwaite's by default. With mode = \"kenward-roger\" they are the same (rows of",
    "cake)."
  ),
  on = "crossed"
)
differs("emmeans", "reference grid", "lacks names",
  "Names of the coefficients inside the grid are not used by any function of emmeans."
)
differs("lme4", "confint, Wald", "values",
  paste(
    "lme4's Wald intervals take a normal quantile; ours take that of t with Satterthwaite's",
    "degrees of freedom, as lmerTest's and the intervals of summary() do. ddf = \"asymptotic\"",
    "gives lme4's."
  )
)
differs("car", c("Confint*"), "values",
  paste(
    "car takes a normal quantile for lmer's fits, ours that of t with Satterthwaite's degrees",
    "of freedom, as confint(fit) does."
  )
)

# ---- tables of tests ----

tables <- paste(
  "One table for all tests of a fit: F with its two degrees of freedom (Satterthwaite's), which",
  "is the chi-squared statistic divided by the numerator's degrees of freedom where car has it.",
  "The rows with test.statistic = \"Chisq\" and test = \"Chisq\" have car's numbers."
)
differs("car", c("Anova", "Anova III", "linear hypothesis*", "lht*"),
  "^lacks|^has more|^rows has|has [0-9]+ values", tables
)
differs("car", c("Anova, F", "Anova III, F"), "^lacks|^has more|^rows|has [0-9]+ values|Pr", paste(
  tables,
  "car takes Kenward and Roger's degrees of freedom here; ours do with ddf = \"Kenward-Roger\"."
))
differs("car", "Anova III, Chisq", "^lacks|^has more|has [0-9]+ values", paste(
  "car's type III tests the coefficients as they are coded, and the intercept too; ours does not",
  "depend on coding. With sum contrasts car has our numbers (row \"Anova III, sum contrasts\")."
))
differs("car", "Anova III, sum contrasts", "^rows|has [0-9]+ values", paste(
  "car has a row for the intercept; the other rows agree (tests/testthat/test-interop-car.R)."
))
differs("car", "S", "has more", paste(
  "car shows lme4's summary, which has no degrees of freedom; ours has their column too."
))

# ---- deletion ----

deletion <- paste(
  "lme4's formulas take the random effects for fixed ones; ours delete the row or group from",
  "the mixed model equations, which least squares on the other rows and refits without them",
  "confirm (tests/testthat/test-method-influence.R). dfbeta() has the sign of stats, lme4's",
  "the opposite."
)
differs("car", c("influence, *", "dfbeta"), "values|names", deletion)
student <- paste(
  "rstudent() is the t of an indicator of the row: generalised least squares with it, at the same",
  "relative variances, has 6.0555 for row 57 of sleepstudy, as ours; lme4's formula has 5.5270."
)
differs("car", c("influencePlot", "outlierTest"), "StudRes|Hat|CookD|rows|rstudent|p |p$", student)
differs("lme4", c("cooks.distance", "influence", "converted: influence"), "values|names", deletion)
differs("stats", "rstudent", "values", student)
differs("performance", c("check_outliers", "outliers, Cook"), "values", deletion)
differs("performance", c("check_normality", "check_model"), ".", paste(
  "They test or draw rstudent(fit); with correlated residuals normalized ones, where performance",
  "draws raw residuals and leaves out what it cannot have.", deletion
))
differs("performance", c("check_heteroscedasticity", "check_heteroskedasticity"), "values", paste(
  "performance divides squared residuals by the deviance over its degrees of freedom: multiply",
  "the response by 10, and p of growth goes from 0.53 to 0.995. Ours divides by their mean, which",
  "is car::ncvTest() where the variance of the random effects is held at zero, and normalizes",
  "correlated residuals (tests/testthat/test-interop-performance.R)."
))
differs("performance", "check_autocorrelation", "values", paste(
  "Raw residuals of an AR(1) model are correlated, which is what the model says; ours tests",
  "normalized ones."
), on = c("growth", "visits"))

# ---- easystats ----

differs("insight", c("find_formula", "find_terms", "find_terms, flat"), "visit|values", paste(
  "The model's own formula: the MMRM says ~ us(visit | Subject), gls() needs as.integer(visit)",
  "in corSymm() and a factor in varIdent()."
), on = "visits")
differs("insight", c("find_parameters", "find_parameters, random", "get_parameters, random"),
  "^lacks|^has more", paste(
    "Random effects are named by their grouping factor, as insight has them for lmer's fits."
  ),
  on = "growth"
)
differs("insight", "find_algorithm", "optimizer|algorithm", paste(
  "Another optimiser, and gls()'s is not asked for."
))
differs("insight", c(
  "is_model", "is_model_supported", "is_regression_model", "all_models_equal",
  "all_models_same_class"
), "values", paste(
  "They look for the class in a vector inside insight; to pass, \"lmm\" would have to be added",
  "to it."
))
differs("insight", c("get_variance", "get_variance_random"), "has more", paste(
  "insight gives up on lme()'s fit with correlated residuals and on gls()'s; the variances are",
  "those of VarCorr(fit) and getVarCov(fit)."
), on = c("growth", "visits"))
differs("insight", c("get_predicted", "get_residuals"), "names", paste(
  "Values are named by rows of the data, as lmer's are; lme() names them by groups."
), on = c("growth", "visits"))
differs("insight", c("get_df", "get_df, residual"), "values", paste(
  "The residual degrees of freedom of a mixed model's fit are the rows less all its",
  "parameters, as insight has them for lmer's fits; lme()'s are by containment, gls()'s leave",
  "out the covariance."
), on = c("growth", "visits"))
differs("insight", "get_deviance", "values", paste(
  "insight falls back to a sum of squared residuals for lme() and gls(); ours is minus twice",
  "the log-likelihood, as lmer's."
), on = c("growth", "visits"))
differs("insight", "is_converged", "has more", paste(
  "insight has no answer for lme() and gls(); the certificate of a fit is one."
), on = c("growth", "visits"))
differs("insight", c("get_datagrid*", "get_data, random"), "values|lacks|type", paste(
  "insight takes the grouping factor for a predictor of lme()'s and gls()'s fits, and spreads",
  "the grid over it; ours is a grid for the population: the same 20 rows that insight makes of",
  "lmer(distance ~ age * Sex + (1 | Subject))."
), on = c("growth", "visits"))
differs("insight", c("get_datagrid", "get_datagrid, by"), "recipe|replicate", paste(
  "insight takes recipe:replicate for a column, which no data have, in versions before 1.0; later",
  "ones set recipe, a predictor too, to 0 with the rest of the group. Ours has recipe as it is in",
  "the data, and replicate 0."
), on = "cake")
differs("insight", "get_weights", "lacks", paste(
  "gls()'s weights = is a variance function; the MMRM has it in its structure, and no weights."
), on = "visits", when = version_of("insight") >= "1.0")
differs("insight", "get_data, random", "lacks", paste(
  "A fit without random effects has no data of random effects."
), on = "visits")
differs("insight", c("expectations", "predictions", "get_predicted_ci"), "CI|SE", paste(
  "Degrees of freedom as for lmer's fits (lme(): those of containment); predictions of single",
  "values of an MMRM take the residual variance of their visit, not gls()'s sigma of the first",
  "one."
), on = c("growth", "visits"))
differs("insight", c("population", "population predictions"), "has more|values has", paste(
  "insight has no predictions of the population for lme() here; ours agree with predict(level",
  "= 0)."
), on = "growth")
for (label in c("model_parameters", "random", "print all")) {
  differs("parameters", label, "NAs|SE", paste(
    "parameters of R 4.2's time has no standard errors of lmer's variance parameters; ours are",
    "those of the observed information, with intervals."
  ))
}
differs("parameters", c(
  "model_parameters", "ci", "p_value", "fixed", "print*", "level", "all", "random"
), "CI|df|p |values|has more", paste(
  "Residual degrees of freedom as for lmer's fits, which is what parameters takes by default;",
  "lme()'s are by containment."
), on = c("growth", "visits"))
differs("performance", c("r2", "r2_nakagawa", "icc", "model_performance"), "R2|IC|values", paste(
  "insight gives up on the random effects of lme()'s fit with correlated residuals, so that R2",
  "is that of the fixed effects' variance alone, and has an R2 of ordinary regression for",
  "gls(); ours are r_squared(fit), checked in tests/testthat/test-method-r2.R."
), on = c("growth", "visits"))
differs("performance", c("performance_aic", "performance_aicc", "model_performance"), ".", paste(
  "performance takes the likelihood by ML at lme()'s and gls()'s estimates by REML; ours is",
  "AIC(fit), as for lmer's fits."
), on = c("growth", "visits"))
differs("performance", c("performance_mae", "mae"), "NA", paste(
  "performance's mean absolute error of lmer's fit is NaN here; ours is",
  "mean(abs(residuals(fit)))."
), on = "cake", when = version_of("performance") < "0.12")
differs("performance", "check_convergence", "has more|NAs", paste(
  "performance has no answer for lme() and gls(); the certificate of a fit is one."
), on = c("growth", "visits"))
differs("performance", "binned_residuals", ".", paste(
  "Balanced data have ties of fitted values, and rounding decides into which bin they fall."
), on = "cake", when = version_of("performance") < "0.12")
differs("performance", "binned_residuals", "CI_high", paste(
  "The limit of a mean near zero: -0.551251 and -0.551341, of residuals of up to 131 and of fits",
  "whose fitted values differ by 1e-4."
), on = "slopes", when = version_of("performance") >= "0.12")
differs("performance", "check_collinearity", "NAs", paste(
  "The VIF of recipe in a balanced factorial is 1 but for its last digit, whose side decides",
  "whether performance's upper limit is infinite or not a number."
), on = "cake", when = version_of("performance") >= "0.12")
differs("sjPlot", "random effects", "ymin|ymax", paste(
  "3e-6 of the values: lmer's covariance parameters are less exact than ours, whose gradient is",
  "zero."
), on = "slopes", when = version_of("insight") >= "1.0")
differs("sjstats", "anova_stats", ".", paste(
  "sjstats adds a row of residuals where is_merMod() knows the class, a vector inside sjstats, and",
  "takes the last row for it. effectsize::eta_squared() and its like have right numbers (rows)."
), on = "slopes")
differs("sjPlot", c("tab_model, *"), "values", paste(
  "The table has the ICC and R2 that performance has no numbers for with lme()."
), on = "growth")
differs("stats", "add1", "^lacks|^has more|values|rows", paste(
  "Without `test` ours has F tests, as drop1() of lmerTest's fits has; add1(test = \"Chisq\") has",
  "lme4's numbers (row \"add1, Chisq\")."
))

# ---- lme4 ----

differs("lme4", "predict, newparams", "values", paste(
  "lme4 keeps the spherical random effects u of the fit and multiplies them by the new factor;",
  "ours are the conditional modes at the new parameters. Without random effects they agree."
))
differs("lme4", c("predict, newparams", "predict, random only", "predict, newparams, population"),
  "has [0-9]+ values", paste(
    "lme4 pads these predictions with NA for rows that the fit left out by na.omit;",
    "predict(fit) does not, and ours do not."
  ),
  on = "crossed", when = version_of("lme4") < "2.0"
)
differs("lme4", c("anova of mixed classes", "anova of two"), "lacks|has more|rows", paste(
  "lme4 2.0 calls the column -2*log(L) that was deviance; numbers agree. Models that are no names",
  "are called by their place."
), when = version_of("lme4") >= "2.0")
differs("lmerTest", c("anova of two", "anova of two, refit = FALSE"), "lacks|has more|rows", paste(
  "lme4 2.0 calls the column -2*log(L) that was deviance; numbers agree. Models that are no names",
  "are called by their place."
), when = version_of("lme4") >= "2.0")
differs("lme4", "confint, profile", "values", paste(
  "lme4 2.0 counts standard deviations before correlations: its .sig02 is the .sig03 of lme4 1.1",
  "and of ours, which follow theta. The intervals are the same; oldNames = FALSE names them."
), when = version_of("lme4") >= "2.0")
differs("lme4", "getME devcomp", "dims", paste(
  "lme4 2.0 has four more dimensions, of the dispersion of generalised models."
), when = version_of("lme4") >= "2.0")
differs("lme4", "drop1, Chisq", "^lacks|^has more", paste(
  "The columns are those of stats::drop1(): Df and Pr(>Chi); lme4 calls them npar and Pr(Chi)."
))
differs("lme4", "predict, se", "^lacks|^has more", paste(
  "lme4 1.1 has no se.fit and gives the values alone; ours is a list of fit and se.fit, as",
  "lme4 2.0's."
), when = version_of("lme4") < "2.0")
differs("lme4", "anova of mixed classes", "rows",
  "Models are called by their place, as in anova() of two of ours."
)
differs("lmerTest", "anova of two*", "rows",
  "Models are called by their place where the call is no name."
)
differs("lmerTest", "drop1, Chisq", "^lacks|^has more|rows has", paste(
  "lmerTest's drop1() has F tests whatever `test` says; ours is the likelihood ratio test",
  "asked for, equal to lme4's (rows of lme4)."
))
differs("stats", "confint, Wald", "values|names", paste(
  "lme4 has NA for Wald intervals of variance parameters; ours are those of the observed",
  "information."
))
differs("stats", "case names", "values",
  "lme4's fits have no case names; ours have those of the rows."
)
differs("stats", "variable names", "has more",
  "lme4's fits have no variable names; ours have them."
)
differs("MASS", "addterm", "has [0-9]+ values|^lacks|^has more", paste(
  "MASS takes the bar of lme4's terms() for a term to add, and has a row without numbers for it;",
  "the row of Days is the same: LRT 23.537, p = 1.226e-06."
))

differs("sandwich", "bread", "values", paste(
  "lmer's method is clubSandwich's, where that package is loaded: vcov / sigma^2 times the number",
  "of clusters, in the scale of its own meat. Without it sandwich's default has nobs * vcov =",
  "8383.5 for the intercept of sleepstudy, as ours, and with it sandwich() is vcovCR() of type CR0",
  "(tests/testthat/test-interop-sandwich.R)."
), when = nzchar(system.file(package = "clubSandwich")))
differs("parameters", "degrees_of_freedom", "values", paste(
  "The default, \"analytical\", is Kenward and Roger's for lmer's fits; for correlated residuals",
  "ours has it, too (against brute force: tests/testthat/test-infer-ddf.R); lme() and gls() have",
  "the rows less the coefficients."
), on = c("growth", "visits"))

# ---- nlme ----

differs("nlme", c("intervals", "intervals, *"), "values|lower|upper|fixed|sigma|lacks|more", paste(
  "Fixed effects: Satterthwaite's degrees of freedom in place of containment. Variances:",
  "nlme's parameter of the correlation is in corStruct, ours beside sigma; the limits agree to",
  "four digits, nlme's Hessian being of differences."
), on = "growth")
differs("nlme", c("parameters of corStruct", "Dim"), "^lacks", paste(
  "They read fit$modelStruct, a part of nlme's objects that ours does not have. VarCorr(fit) and",
  "intervals(fit) have the parameters (rows \"intervals*\"), getVarCov(fit) the matrices."
), on = "growth")
differs("nlme", "gls: intervals", "values", paste(
  "Satterthwaite's degrees of freedom, 25 of a visit, where gls() has the rows less the",
  "coefficients, 100: see \"means of visits, satterthwaite\" of emmeans."
), on = "visits")
differs("nlme", "print of VarCorr", "^lacks", paste(
  "VarCorr() is a list of matrices, as lme4's, which has no rows; as.matrix(VarCorr(fit)) is",
  "nlme's table (row \"VarCorr\")."
), on = "growth")
differs("nlme", c("anova, L", "anova, Terms"), "^lacks|^has more|rows|values", paste(
  "The columns are lmerTest's, and the degrees of freedom Satterthwaite's in place of containment;",
  "F agrees (tests/testthat/test-infer-anova-chosen.R)."
), on = "growth")
differs("nlme", c("random effects", "coef"), "^lacks|^has more",
  "A list with a table for each grouping factor, as lme4 has it; nlme has the table alone.",
  on = "growth"
)
differs("nlme", c("anova", "anova, marginal", "gls: anova", "tTable", "gls: tTable"),
  "^lacks|^has more|rows has", paste(
    "The tables have the columns of lmerTest's: coef(summary(fit)) and anova(fit), with tests",
    "of terms without the intercept and Satterthwaite's degrees of freedom."
  ),
  on = c("growth", "visits")
)
differs("nlme", "anova of two", "AIC|BIC|logLik|rows|^lacks|^has more", paste(
  "nlme lists the models as they are given, ours the smaller one first, with the columns of",
  "lme4's anova(). The likelihood ratio is the same."
), on = "growth")
differs("nlme", c("residuals, pearson", "gls: residuals, pearson"), "values", paste(
  "Pearson residuals are lme4's: divided by the root of the prior weights alone; scaled =",
  "TRUE, or type = \"normalized\", divides by sigma too. The argument's page says so."
), on = c("growth", "visits"))
differs("nlme", c("criteria", "gls: criteria"), "values", paste(
  "BIC by REML: nlme takes n - p observations, ours n, as lme4 does. Likelihood and AIC agree."
), on = c("growth", "visits"))
differs("nlme", c("getVarCov*", "gls: getVarCov*"), "names|^lacks|^has more",
  "Matrices are named by the visits, in a list by subject where one is asked for, as lme()'s are."
)
differs("nlme", "getCovariateFormula", "formula", paste(
  "formula(fit) has the random effects in bars; formula(fit, fixed.only = TRUE) is nlme's."
), on = "growth")
differs("nlme", "augPred, length", "rows",
  "Names of rows of the long table are left out.", on = "growth"
)
differs("lmtest", "coefci", "^lacks|^has more", paste(
  "coefci() of lme()'s fit fills a matrix from summary(fit) that it does not know; ours has",
  "limits."
), on = "growth")

# ---- tables of estimates ----

differs("broom.mixed",
  c("tidy", "tidy, ran_pars", "tidy, ran_pars as variances", "tidy, several effects"),
  "NAs|has more", paste(
    "broom.mixed has no standard errors of lmer's variance parameters; ours are those of the",
    "observed information."
  )
)
differs("broom.mixed", "tidy, order of rows", "values", paste(
  "With lme4 2.0 broom.mixed has standard deviations before correlations; ours has the order of",
  "theta, as with lme4 1.1."
), when = version_of("lme4") >= "2.0")
for (label in c("tidy_plus_plus", "tidy_parameters", "tidy_with_broom_or_parameters")) {
  differs("broom.helpers", label, "NAs", paste(
    "Standard errors and limits of variance parameters, which lmer's fits do not have: those of",
    "the observed information."
  ))
}
differs("broom", "generics' tidy", "NAs|has more",
  "The same: standard errors of variance parameters, which broom.mixed does not have."
)
differs("broom.mixed", c("tidy", "tidy, ran_pars", "tidy, ran_coefs", "tidy, ran_vals", "glance"),
  "values|has more|^lacks|BIC|df", paste(
    "broom.mixed leaves the parameters of the residual correlation out of lme()'s and gls()'s",
    "tables; ours have a row for each, and lmer's columns. BIC by REML takes n observations,",
    "as lme4's."
  ),
  on = c("growth", "visits")
)
differs("broom.mixed", "tidy, fixed", "df|p.value|conf|^lacks|has more", paste(
  "Satterthwaite's degrees of freedom in place of containment and of gls()'s residual ones."
), on = c("growth", "visits"))
differs("broom.mixed", c("augment", "augment, data"), "cooksd|weights|names|^lacks|has more", paste(
  "Cook's distances delete rows, as test-method-influence.R checks by refits; lme4's formula",
  "takes the random effects for fixed ones. Columns are those of lmer's fits on all of ours."
))
differs("broom.mixed", c("tidy, profile", "tidy, fixed by profile"), "conf|has more", paste(
  "broom.mixed profiles the likelihood by ML for a fit by REML, as lme4 does; ours profile the",
  "criterion of the fit. By ML both agree (rows of lme4: confint, profile)."
))
differs("merTools", "converted: predictInterval", "fit|upr|lwr", paste(
  "Draws by eigenvectors of vcov(), which are arbitrary where eigenvalues repeat, as a",
  "balanced factorial's do. vcov() agrees to 3e-8, and so do 4000 draws to 0.04."
), on = "cake")
differs("flextable", "as_flextable, data", "^lacks|has more", paste(
  "flextable makes lmer's table from broom.mixed::tidy(); ours is that of summary(fit)."
))
differs("arm", "converted: display", "values",
  "The call that is printed takes another number of lines."
)

# ---- the rest ----

differs("broom.mixed", "tidy, ran_vals with intervals", "conf", paste(
  "3e-6 of the values: lmer's covariance parameters are less exact than ours, whose gradient",
  "is zero."
))
differs("broom.mixed", "augment, new rows", "^lacks|has more", paste(
  "broom.mixed repeats columns of the fit beside new rows where their number happens to",
  "divide; ours has the predictions of the new rows."
))
differs("ggeffects", c("ggpredict, two terms", "random, recipe"), ".", paste(
  "Version 1 has other standard errors of ordered factors with lmer(); ours are the roots of",
  "the diagonal of X vcov(fit) X' (by hand: 1.892; ggeffects has 1.738)."
), on = "cake", when = version_of("ggeffects") < "2")
differs("ggeffects", c("growth", "growth, ggemmeans", "visits"), ".", paste(
  "Predictions and standard errors agree. Limits take a t quantile with the residual degrees of",
  "freedom of lmer's fits (growth: 1.9837, of 101), where lme() has the normal one; it is the",
  "other way round with ggemmeans()."
), on = c("growth", "visits"))
differs("ggeffects", "new_data", "another type|values", paste(
  "ggeffects has 0 for the grouping factor of classes that it lists, and a level for others."
))
differs("ggeffects", "random, recipe", "std.error|conf", paste(
  "The group is none, so that the prediction is that of the population; its standard error by",
  "predict(se.fit = TRUE), which ggeffects takes with type = \"fixed\" for lmer(), is 2.0381, ours",
  "with both. With type = \"random\" ggeffects goes another way, and has 1.7368."
), on = "cake", when = version_of("ggeffects") >= "2")
differs("parameters", "grouplevel", "CI", paste(
  "3e-6 of the values: lmer's covariance parameters are less exact than ours, whose gradient is",
  "zero."
), on = "slopes", when = version_of("insight") >= "1.0")
differs("ggeffects", "condition", "has more", paste(
  "Version 1 has no standard errors of lmer's predictions at a condition; ours are the roots of",
  "the diagonal of X vcov(fit) X'."
), on = "cake", when = version_of("ggeffects") < "2")
differs("ggeffects", "factors at values", "lacks|has more", paste(
  "Version 1 finds no standard errors of ordered factors with lmer(): see ggpredict, two terms."
), on = "cake", when = version_of("ggeffects") < "2")
differs("lmerTest", "carrots", "Pr|values", paste(
  "lmer()'s optimum: lme4's own criterion is 3748.92557606 at our parameters, at lmer's",
  "3748.92557645."
), on = "slopes")
basis <- paste(
  "The degrees of freedom of pbkrtest and lmerTest depend on how a hypothesis is written: for four",
  "bases of one of two rows 30.097, 30.137, 30.052 and 30.046; ours are 30.253 for all of them,",
  "and theirs where rows are orthonormal (R/infer-ddf-satterthwaite.R says why). F is the same."
)
differs("lmerTest", "contest, two rows", "DenDF|Pr", basis, on = "crossed")
differs("pbkrtest", "SATmodcomp, two rows", "ddf|p.value", basis, on = "crossed")
differs("lme4", "summary, printed groups", "values", paste(
  "Ours says in this line how many rows were left out because of missing values."
), on = "crossed")
differs("lme4", "refit, rows", "values", paste(
  "A constant that is added to the response leaves the restricted likelihood as it is: that of the",
  "fit, -871.814 for sleepstudy, is what ours and lme4 2.0 have; refit() of lme4 1.1 ends at",
  "-875.974, which is lower."
), when = version_of("lme4") < "2.0")
differs("lmerTest", c("show_tests", "show_tests, fractions"), ".", paste(
  "The same hypotheses: rows are named by our coefficients, and fractions are another basis of",
  "the same row space (tests/testthat/test-interop-lmerTest.R compares row spaces)."
), on = "cake")
differs("performance", "r2 by group", "R2", paste(
  "A share of 0.06 from two variances: at our parameters of the model without fixed effects lme4's",
  "own criterion is lower (1769.8449038587, at lmer's 1769.8449038626)."
), on = "slopes")
differs("performance", c("compare_performance", "compare_performance of both"), "R2|ICC", paste(
  "insight leaves out a random slope without a fixed one. The mean of z'Gz over the rows, by hand,",
  "makes the share of the smaller model 0.8653, as ours; with the intercept alone it is 0.4987."
), on = "slopes")
differs("sjPlot", "tab_model, two fits", "values", paste(
  "The smaller model's ICC and conditional R2: see compare_performance."
), on = "slopes")
differs("sjPlot", "tab_model, standardised", "values", paste(
  "The standardised intercept is zero but for rounding: the table has -0.00 for ours, 0.00 for",
  "lmer's, and the row reads the sign as a number."
))
differs("performance", c("test_likelihoodratio", "test_lrt"), "rows",
  "Models are named by their calls."
)
differs("insight", "find_transformation", "^lacks", paste(
  "It is no generic and looks for the class in a vector inside insight first."
))
differs("insight", "find_weights", "^lacks", paste(
  "gls()'s weights = is a variance function; the MMRM has it in its structure, and no weights."
), on = "visits")
differs("parameters", "random_parameters", "values", paste(
  "parameters has only the number of rows for gls()'s fit; ours has the residual variance too."
), on = "visits")
differs("lme4", "confint, default", "values", paste(
  "The default is method = \"Wald\" with Satterthwaite's degrees of freedom; lme4's is the",
  "profile of the likelihood by ML. By method = \"profile\" and ML both agree (row \"confint,",
  "profile\")."
))
differs("sjPlot", "int", "ymin|ymax", paste(
  "By ggeffects 1, which has other standard errors of ordered factors with lmer(): see ggpredict,",
  "two terms."
), on = "cake", when = version_of("ggeffects") < "2")
differs("parameters", "group level", "CI", paste(
  "3e-6 of the values: lmer's covariance parameters are less exact than ours, whose gradient is",
  "zero."
))
differs("marginaleffects", "predictions", "estimate|conf", paste(
  "re.form = NA asks for the population, which lme()'s predict() does not know: predict(m, level =",
  "0) has 22.609 for the first row, as ours; 25.053 is with the random effect."
), on = "growth")
differs("marginaleffects", c("slope of poly()", "picture of slopes"), "s.value|y|std", paste(
  "marginaleffects differentiates numerically. At dose 3.061 the delta method has the standard",
  "error 0.0529276, by hand; 0.0529101 is ours there, 0.0529416 lmer's."
), on = "terms")
differs("MuMIn", "coefTable, growth", "df", containment, on = "growth")
differs("DHARMa", c("unconditional", "unconditional by name"), "values", paste(
  "Other draws of the same distribution: ours makes one simulation after the other, so that the",
  "first does not depend on their number, lme4 all random effects first. One simulation is the",
  "same (row \"simulate, seed\"); of 4000 the residuals differ by 0.023 at most, and lmer's from",
  "those of the next seed by 0.028."
), on = "slopes")
differs("lme4", "simulate, several", "sim_", paste(
  "Other draws of the same distribution: see DHARMa, unconditional."
))
differs("car", "brief", "methTitle|devcomp|^lacks|has more", paste(
  "brief() returns the summary that it has printed: an object of another class, with other parts."
))

# ---- within_between() ----

differs("effects", c("of sex", "of all", "of predictors"), "NAs", paste(
  "effects takes the grouping factor inside within_between() for a predictor of lmer()'s fit and",
  "its mean for a value, so that all is NA; ours is the effect in a group with an average mean:",
  "7.796889 and 8.288196 by predict() with within_between(new = \"average\")."
), on = "within")
differs("insight", c("get_datagrid", "get_datagrid, by"), "clinic is of another type", paste(
  "insight has 0 for the grouping factor of lmer()'s fits; ours has a level of it, so that",
  "within_between() has a mean for the rows."
), on = "within")
differs("lattice", "rfs", "names", paste(
  "Values are named by rows of the data, as lmer's are; lme() names them by groups."
), on = "growth")
differs("nlme", "allCoef", "names", paste(
  "coef(fit) is a list with a table for each grouping factor, as lmer()'s is, and has its name."
), on = "growth")
differs("bayestestR", c("p_to_bf", "p_to_bf, log"), "BF", paste(
  "A Bayes factor of 1e81 from a p value of 1e-83: 1e-3 of it is 3e-6 of the t value, by which",
  "lmer's covariance parameters are less exact than ours, whose gradient is zero."
), on = "slopes")
differs("bayestestR", "p_to_bf", "BF|^p ", paste(
  "Residual degrees of freedom as for lmer's fits, which is what parameters takes by default;",
  "lme()'s are by containment."
), on = "growth")
differs("broom", "confint_tidy", "conf", paste(
  "lme4's Wald intervals take a normal quantile; ours that of t with Satterthwaite's degrees of",
  "freedom (row of lme4: confint, Wald)."
))

# ---- mitml ----

differs("mitml", c("testModels, D3 of slopes", "testModels, D4 of slopes"), "values", paste(
  "1e-5 of F, and so 3e-4 of its degrees of freedom: lmer's likelihood is lower by 7e-6 in the",
  "first data set. mitml's own computation on as_lmerMod(fit) has our numbers, 21.65313 on 209.503."
), on = "slopes", when = version_of("lme4") < "2.0")
differs("mitml", c("testModels, D3 of slopes", "testModels, D4 of slopes"), "values|NAs", paste(
  "mitml 0.4-5 hands standard deviation, correlation, standard deviation to devfun2(), which since",
  "lme4 2.0 wants standard deviations first: at the parameters of lmer(Reaction ~ Days + (Days |",
  "Subject)) it has NaN where logLik() is -875.97. With lme4 1.1 D3 is ours, D4 is with both."
), on = "slopes", when = version_of("lme4") >= "2.0")
differs("emmeans", "recover_data", "weights", paste(
  "emmeans 2 adds a column of ones, the weights of lmer()'s fit without weights; where there are",
  "weights, ours has the column, too."
), when = version_of("emmeans") >= "2.0")
