# Calls that lists of classes inside other packages, or slots of S4 classes, shut out. See rows.R.

slots <- paste(
  "It reads slots of lme4's S4 class or asks for it by name, and its functions are no generics",
  "that could have a method. as_lmerMod(fit) passes: see the rows \"converted\"."
)
gate("merTools", c(
  "REsim", "FEsim", "predictInterval", "plotREsim", "plotFEsim", "modelInfo", "expectedRank",
  "REextract", "REcorrExtract", "RMSE.merMod", "averageObs"
), "merMod|lmerMod|S4|applicable|n_rfac|slot|@", slots)
gate("arm", c("sim", "standardize", "display", "se.coef"), "inherited method", paste(
  "arm has S4 generics with methods for lme4's class. as_lmerMod(fit) passes: see the rows",
  "\"converted\"."
))
gate("arm", "se.fixef", "slot|@", "se.fixef() is no generic and reads slots of vcov(fit).")
gate("cAIC4", "cAIC", "not supported", paste("cAIC() tests for the class.", slots))
gate("RLRsim", "exactRLRT", "Invalid <m>", paste(
  "exactRLRT() tests for the class. ranova(fit) has exact tests of variances.", slots
))
gate("lmerTest", c("ranova", "rand", "ranova, whole terms"), "lmer-fit", paste(
  "lmerTest::ranova() is no generic and tests for lmerMod; after library(ferrolmm), ranova()",
  "is ours (tests/testthat/test-infer-ranova.R compares them)."
))
gate("lmerTest", c("calcSatterth", "as_lmerModLmerTest"), "lmerMod", paste(
  "They are no generics and test for lmerMod; contest() and as_lmerMod(fit) take their places."
))
gate("lme4", c("REMLcrit", "llikAIC", "devfun2", "getL"), "slot|S4|merMod|@|inherited", paste(
  "lme4 reads slots of its S4 class here and keeps no generic. getME(fit, \"devfun\"),",
  "logLik(fit) and AIC(fit) say the same."
))
gate("parameters", c(
  "compare_parameters", "compare_models", "pool_parameters"
), "object|model", paste(
  "insight::is_model_supported() looks for the class in a vector inside insight; to pass,",
  "\"lmm\" would have to be added to it."
))
gate("car", "compareCoefs", "subscripts", paste(
  "compareCoefs() is no generic: it takes fixef() of classes that it lists and coef() of others."
))
gate("sjstats", "cv", "coerced", paste(
  "cv_helper() inside sjstats has a list of classes, and takes what is none of them for numbers.",
  "sigma(fit) / mean(getResponse(fit)) says the same."
))
gate("nlme", c("compareFits", "plot of compareFits"), "dimension|subscript|length|object1", paste(
  "compareFits() is no generic and takes tables; coef(fit) is a list of them by grouping factor,",
  "as lmer()'s is. compareFits(coef(a)$g, coef(b)$g) works: see the row \"compareFits of tables\"."
))
gate("nlme", "corMatrix", "NULL", paste(
  "The row reads fit$modelStruct, a part of nlme's objects. getVarCov(fit) has the matrices."
))
gate("insight", c("find_statistic", "is_nested_models"), "model object", paste(
  "They look for the class in a vector inside insight; to pass, \"lmm\" would have to be added",
  "to it."
))
gate("parameters", c(
  "p_function", "confidence_curve", "consonance_function"
), "model object", paste(
  "It looks for the class in a vector inside insight; to pass, \"lmm\" would have to be added",
  "to it."
))
gate("sjPlot", "plot_models", "recognized", paste(
  "plot_models() asks insight::is_model(), a vector of classes inside insight."
), when = version_of("insight") >= "1.0")
gate("ggeffects", "ggaverage", "model", paste(
  ".compact_list() inside ggeffects leaves the model out of a list of arguments where",
  "insight::is_model() does not know its class. marginaleffects::avg_predictions() works."
), when = version_of("ggeffects") >= "2")
gate("mitml", "multilevelR2", "not supported", paste(
  "multilevelR2() is no generic and has a list of classes; r_squared(fit) is ours."
))
no_model <- "x && y|get1index|using `by`"
gate("performance", c("performance_roc", "check_heterogeneity_bias"), no_model, paste(
  "They are no generics and ask insight::is_model(), a vector of classes inside insight.",
  "check_heterogeneity_bias(data, select =, group =) takes the data; performance_roc() is for",
  "binary responses, and has NULL for lmer()."
))
gate("lme4", c("confint.merMod", "vcov.merMod", "rePos", "devcomp"), "slot|merMod|@", paste(
  "Methods and constructors of lme4 called by name, which read slots of its S4 class; the generics",
  "confint() and vcov() have ours."
))
