# easystats: insight, parameters, performance, datawizard, effectsize, bayestestR, and sjPlot,
# sjstats, which stand on them (item 2).

everywhere <- names(fits)
calls_of("insight", on = everywhere, c(
  "find_formula", "find_random", "find_predictors", "find_response", "find_variables", "find_terms",
  "find_parameters", "find_algorithm", "find_weights", "find_offset", "find_interactions",
  "find_random_slopes", "find_statistic", "find_smooth", "find_transformation", "get_data",
  "get_varcov", "get_variance", "get_parameters", "get_predicted", "get_predictors", "get_response",
  "get_random", "get_residuals", "get_sigma", "get_statistic", "get_df", "get_deviance",
  "get_loglikelihood", "get_modelmatrix", "get_intercept", "get_auxiliary", "get_weights",
  "get_transformation", "get_family", "get_mixed_info", "n_obs", "n_parameters",
  "n_grouplevels", "model_info", "model_name", "has_intercept", "is_mixed_model", "is_model",
  "is_model_supported", "is_multivariate", "is_converged", "link_function", "link_inverse",
  "clean_names", "get_datagrid", "get_priors", "is_bayesian_model", "is_gam_model",
  "find_offset", "get_offset", "get_variance_random"
))
calls_of("insight", on = c("slopes", "cake", "crossed", "terms", "growth"), c(
  "get_variance_residual", "get_variance_fixed", "get_variance_intercept", "get_variance_slope",
  "get_variance_distribution", "get_variance_dispersion", "get_correlation_slope_intercept",
  "get_correlation_slopes"
))
calls("insight", on = everywhere,
  "link functions applied" = c(insight::link_function(m)(1:3), insight::link_inverse(m)(1:3)),
  "model_info, parts" =
    unlist(insight::model_info(m)[c("is_linear", "is_mixed", "family", "link_function")]),
  "get_varcov, fixed" = insight::get_varcov(m, component = "conditional"),
  "get_data, random" = insight::get_data(m, effects = "random"),
  "get_data, fixed" = insight::get_data(m, effects = "fixed"),
  "get_df, residual" = insight::get_df(m, type = "residual"),
  "get_df, model" = insight::get_df(m, type = "model"),
  "expectations" = as.data.frame(insight::get_predicted(m, predict = "expectation", ci = 0.95)),
  "predictions" = as.data.frame(insight::get_predicted(m, predict = "prediction", ci = 0.95)),
  "population" = as.data.frame(insight::get_predicted(m, include_random = FALSE, ci = 0.95)),
  "find_formula, random" = insight::find_formula(m)$random,
  "find_variables, flat" = insight::find_variables(m, flatten = TRUE),
  "get_datagrid, by" = insight::get_datagrid(m, insight::find_predictors(m)$conditional[1]),
  "get_call" = class(insight::get_call(m)),
  "response name" = insight::find_response(m, combine = FALSE),
  "find_terms, flat" = insight::find_terms(m, flatten = TRUE),
  "get_predicted_ci" = insight::get_predicted_ci(m, predictions = fitted(m))
)
calls("insight", on = c("slopes", "cake", "crossed", "terms", "growth"),
  "get_parameters, random" = insight::get_parameters(m, effects = "random"),
  "get_parameters, all" = insight::get_parameters(m, effects = "fixed"),
  "find_parameters, random" = insight::find_parameters(m, effects = "random"),
  "find_parameters, flat" = insight::find_parameters(m, effects = "fixed", flatten = TRUE),
  "find_predictors, all" = insight::find_predictors(m, effects = "all"),
  "find_predictors, random" = insight::find_predictors(m, effects = "random"),
  "find_random, split" = insight::find_random(m, split_nested = TRUE, flatten = TRUE),
  "n_parameters, random" = insight::n_parameters(m, effects = "random"),
  "population predictions" =
    as.numeric(insight::get_predicted(m, data = head(data_of[[fit_name]],
      4L), include_random = FALSE)),
  "null model's variance" = stats::sigma(insight::null_model(m)),
  "all_models_equal" = insight::all_models_equal(m, m),
  "is_nested_models" = insight::is_nested_models(m, smaller(m))
)
calls("insight", on = c("slopes", "cake", "crossed", "terms"),
  "get_df, satterthwaite" = insight::get_df(m, type = "satterthwaite"),
  "get_df, kenward" = insight::get_df(m, type = "kenward"),
  "get_df, wald" = insight::get_df(m, type = "wald"),
  "get_df, normal" = insight::get_df(m, type = "normal"),
  "get_df, ml1" = insight::get_df(m, type = "ml1"),
  "get_df, betwithin" = insight::get_df(m, type = "betwithin"),
  "get_loglikelihood, ML" = as.numeric(insight::get_loglikelihood(m, estimator = "ML")),
  "get_sigma" = as.numeric(insight::get_sigma(m)),
  "export_table" = insight::export_table(data.frame(a = round(as.numeric(fixef(m)), 3)))
)
calls("insight", on = "slopes",
  "get_varcov, cluster robust" =
    insight::get_varcov(m, vcov = "CR0", vcov_args = list(cluster = sleepstudy$Subject)),
  "get_variance, tolerance" = insight::get_variance(m, tolerance = 1e-9)
)

calls_of("parameters", on = everywhere, c(
  "model_parameters", "ci", "p_value", "standard_error", "format_parameters", "degrees_of_freedom",
  "parameters_type", "n_parameters", "random_parameters"
))
calls_of("parameters", on = c("slopes", "cake", "crossed", "terms"), c(
  "p_value_satterthwaite", "p_value_kenward", "p_value_ml1", "p_value_wald", "p_value_betwithin",
  "dof_satterthwaite", "dof_kenward", "dof_ml1", "dof_betwithin", "se_satterthwaite", "se_kenward",
  "ci_satterthwaite", "ci_kenward", "ci_ml1", "ci_betwithin"
))
calls_of("parameters", on = "slopes", c(
  "standardize_info", "equivalence_test", "p_function", "p_calibrate", "p_direction",
  "p_significance", "p_rope"
))
calls("parameters", on = everywhere,
  "fixed" = as.data.frame(parameters::model_parameters(m, effects = "fixed")),
  "print" = capture.output(print(parameters::model_parameters(m, effects = "fixed"))),
  "level" = as.data.frame(parameters::model_parameters(m, effects = "fixed", ci = c(0.5, 0.9)))
)
calls("parameters", on = c("slopes", "cake", "crossed", "terms", "growth"),
  "random" = as.data.frame(parameters::model_parameters(m, effects = "random")),
  "random without intervals" =
    as.data.frame(parameters::model_parameters(m, effects = "random", ci = NULL)),
  "all" = as.data.frame(parameters::model_parameters(m, effects = "all", ci = NULL)),
  "print all" = capture.output(print(parameters::model_parameters(m)))
)
calls("parameters", on = c("slopes", "cake", "crossed", "terms"),
  "ci_method satterthwaite" =
    as.data.frame(parameters::model_parameters(m, effects = "fixed", ci_method = "satterthwaite")),
  "ci_method kenward" =
    as.data.frame(parameters::model_parameters(m, effects = "fixed", ci_method = "kenward")),
  "ci_method wald" =
    as.data.frame(parameters::model_parameters(m, effects = "fixed", ci_method = "wald")),
  "ci_method normal" =
    as.data.frame(parameters::model_parameters(m, effects = "fixed", ci_method = "normal")),
  "ci_method residual" =
    as.data.frame(parameters::model_parameters(m, effects = "fixed", ci_method = "residual")),
  "ci_method ml1" =
    as.data.frame(parameters::model_parameters(m, effects = "fixed", ci_method = "ml1")),
  "ci_method betwithin" =
    as.data.frame(parameters::model_parameters(m, effects = "fixed", ci_method = "betwithin")),
  "ci, satterthwaite" = as.data.frame(parameters::ci(m, method = "satterthwaite")),
  "p_value, kenward" = as.data.frame(parameters::p_value(m, method = "kenward")),
  "standard_error, kenward" = as.data.frame(parameters::standard_error(m, method = "kenward")),
  "keep" =
    as.data.frame(parameters::model_parameters(m, effects = "fixed", keep = names(fixef(m))[2])),
  "drop" = as.data.frame(parameters::model_parameters(m, effects = "fixed", drop = "Intercept"))
)
calls("parameters", on = "slopes", peer = "lme4",
  "group level" =
    as.data.frame(parameters::model_parameters(m, effects = "random", group_level = TRUE)),
  "grouplevel" = as.data.frame(parameters::model_parameters(m, effects = "grouplevel")),
  "ci_method profile" =
    as.data.frame(parameters::model_parameters(m, effects = "fixed", ci_method = "profile")),
  "standardize basic" =
    as.data.frame(parameters::model_parameters(m, effects = "fixed", standardize = "basic")),
  "standardize refit" =
    as.data.frame(parameters::model_parameters(m, effects = "fixed", standardize = "refit")),
  "standardize pseudo" =
    as.data.frame(parameters::model_parameters(m, effects = "fixed", standardize = "pseudo")),
  "standardize posthoc" =
    as.data.frame(parameters::model_parameters(m, effects = "fixed", standardize = "posthoc")),
  "standardize_parameters" = as.data.frame(parameters::standardize_parameters(m)),
  "standard_error, random" = parameters::standard_error(m, effects = "random"),
  "compare_parameters" = as.data.frame(parameters::compare_parameters(m, m, effects = "fixed")),
  "cluster robust" =
    as.data.frame(parameters::model_parameters(m, effects = "fixed",
      vcov = "vcovCR", vcov_args = list(type = "CR1", cluster = sleepstudy$Subject))),
  "print_md" =
    as.character(parameters::print_md(parameters::model_parameters(m, effects = "fixed"))),
  "print_html" = nchar(as.character(parameters::print_md(parameters::model_parameters(m))))[1] > 0,
  "exponentiate" =
    as.data.frame(parameters::model_parameters(m, effects = "fixed", exponentiate = TRUE)),
  "p_adjust" = as.data.frame(parameters::model_parameters(m, effects = "fixed", p_adjust = "holm")),
  "iterations, boot" =
    nrow(as.data.frame(parameters::model_parameters(m, effects = "fixed", bootstrap = TRUE,
      iterations = 10)))
)
calls("parameters", on = "slopes", peer = "lme4", kind = "runs",
  "ci_method boot" =
    parameters::model_parameters(m, effects = "fixed", ci_method = "boot", iterations = 10),
  "bootstrap_model" = parameters::bootstrap_model(m, iterations = 3),
  "bootstrap_parameters" = parameters::bootstrap_parameters(m, iterations = 10),
  "simulate_model" = parameters::simulate_model(m, iterations = 20),
  "simulate_parameters" = parameters::simulate_parameters(m, iterations = 50)
)
calls("parameters", on = "cake",
  "of anova" = as.data.frame(parameters::model_parameters(anova(m))),
  "select_parameters" = fixef(parameters::select_parameters(m)),
  "pool_parameters" = as.data.frame(parameters::pool_parameters(list(m, m)))
)

calls_of("performance", on = everywhere, peer = "lme4", c(
  "r2", "r2_nakagawa", "r2_xu", "icc", "model_performance", "performance_aic", "performance_aicc",
  "performance_rmse", "performance_mse", "performance_mae", "rmse", "mse", "mae",
  "check_convergence", "check_normality", "check_autocorrelation", "check_heteroscedasticity",
  "check_homogeneity", "check_overdispersion", "performance_score",
  "check_zeroinflation", "check_singularity",
  "check_collinearity", "performance_logloss", "r2_lm", "performance_pcp"
))
calls_of("performance", on = c("slopes", "cake"), peer = "lme4", c(
  "check_outliers", "check_distribution", "binned_residuals", "check_group_variation",
  "performance_cv", "performance_dvour", "check_model", "check_dag", "model_performance"
))
calls_of("performance", on = c("slopes", "growth"), peer = "lme4", kind = "runs", c(
  "check_predictions", "simulate_residuals", "check_residuals", "check_posterior_predictions",
  "performance_accuracy"
))
calls("performance", on = c("slopes", "cake", "crossed", "terms"), peer = "lme4",
  "icc by group" = as.data.frame(performance::icc(m, by_group = TRUE)),
  "r2 by group" = performance::r2(m, by_group = TRUE),
  "AIC by ML" = performance::performance_aic(m, estimator = "ML"),
  "normality of random effects" = as.numeric(performance::check_normality(m, effects = "random")),
  "compare_performance" =
    as.data.frame(performance::compare_performance(m, smaller(m)))[, -(1:2)],
  "test_wald" = as.data.frame(performance::test_wald(smaller(m), m))[, -(1:2)]
)
calls("performance", on = "slopes", peer = "lme4",
  "compare_performance of both" =
    as.data.frame(performance::compare_performance(m, fits$slopes$lme4))[1, -(1:2)],
  "test_performance" =
    as.data.frame(performance::test_performance(m, update(m, . ~ . - Days)))[, -(1:2)],
  "test_likelihoodratio" = as.data.frame(performance::test_likelihoodratio(
    update(m, . ~ . - Days, REML = FALSE), update(m, REML = FALSE)
  ))[, -(1:2)],
  "test_bf" =
    as.data.frame(performance::test_bf(update(m, . ~ . - Days, REML = FALSE),
      update(m, REML = FALSE)))[, -(1:2)],
  "test_vuong" = as.data.frame(performance::test_vuong(update(m, . ~ . - Days), m))[, -(1:2)],
  "heterogeneity bias" =
    as.data.frame(performance::check_heterogeneity_bias(sleepstudy,
      select = "Days", by = "Subject")),
  "icc, ci" = names(performance::icc(m, ci = 0.95, iterations = 10)),
  "outliers, Cook" = as.numeric(performance::check_outliers(m, method = "cook"))
)

calls("datawizard", on = c("slopes", "terms"), peer = "lme4",
  "standardize" = fixef(datawizard::standardize(m)),
  "standardize, robust" = fixef(datawizard::standardize(m, robust = TRUE)),
  "standardize, two sd" = fixef(datawizard::standardize(m, two_sd = TRUE)),
  "standardize, response left" = fixef(datawizard::standardize(m, include_response = FALSE)),
  "center" = fixef(datawizard::center(m)),
  "data_extract" = length(datawizard::data_extract(model.frame(m), 1)),
  "model_to_dataframe" = dim(datawizard::data_to_long(as.data.frame(fixef(m))))
)
calls("effectsize", on = c("slopes", "cake", "crossed", "terms"),
  "eta_squared" = as.data.frame(effectsize::eta_squared(m)),
  "eta_squared of anova" = as.data.frame(effectsize::eta_squared(anova(m))),
  "epsilon_squared" = as.data.frame(effectsize::epsilon_squared(m)),
  "omega_squared" = as.data.frame(effectsize::omega_squared(m)),
  "cohens_f" = as.data.frame(effectsize::cohens_f(m)),
  "cohens_f_squared" = as.data.frame(effectsize::cohens_f_squared(anova(m)))
)
calls("effectsize", on = "slopes", peer = "lme4",
  "standardize_parameters" = as.data.frame(effectsize::standardize_parameters(m)),
  "standardize_parameters, basic" =
    as.data.frame(effectsize::standardize_parameters(m, method = "basic"))
)
calls("bayestestR", on = "slopes", peer = "lme4",
  "bayesfactor_models" = as.data.frame(bayestestR::bayesfactor_models(
    update(m, REML = FALSE), denominator = update(m, . ~ . - Days, REML = FALSE)
  ))$log_BF,
  "bayesfactor_inclusion" = as.data.frame(bayestestR::bayesfactor_inclusion(
    bayestestR::bayesfactor_models(
      update(m, REML = FALSE), denominator = update(m, . ~ . - Days, REML = FALSE)
    )
  )),
  "rope_range" = bayestestR::rope_range(m)
)

html_numbers <- function(x) {
  text <- gsub("[^0-9.-]+", " ", gsub("<[^>]*>", " ", x))
  as.numeric(strsplit(trimws(text), " +")[[1]])
}
html_words <- function(x) {
  text <- gsub("<style.*</style>|<[^>]*>", " ", paste(x, collapse = " "))
  strsplit(trimws(gsub("[^A-Za-z:]+", " ", text)), " +")[[1]]
}
calls("sjPlot", on = c("slopes", "cake", "crossed", "terms", "growth"), peer = "lme4",
  "tab_model, numbers" = html_numbers(sjPlot::tab_model(m)$page.content),
  "tab_model, words" = html_words(sjPlot::tab_model(m)$page.content)
)
calls("sjPlot", on = c("slopes", "cake", "crossed", "terms"), peer = "lme4",
  "estimates" = sjPlot::plot_model(m),
  "random effects" = sjPlot::plot_model(m, type = "re")
)
calls("sjPlot", on = "slopes", peer = "lme4",
  "tab_model, satterthwaite" =
    html_numbers(sjPlot::tab_model(m, df.method = "satterthwaite")$page.content),
  "tab_model, kenward" =
    html_numbers(sjPlot::tab_model(m, df.method = "kr", show.df = TRUE)$page.content),
  "tab_model, two fits" = html_numbers(sjPlot::tab_model(m, smaller(m))$page.content),
  "tab_model, standardised" = html_numbers(sjPlot::tab_model(m, show.std = TRUE)$page.content),
  "eff" = sjPlot::plot_model(m, type = "eff", terms = "Days"),
  "emm" = sjPlot::plot_model(m, type = "emm", terms = "Days"),
  "pred" = sjPlot::plot_model(m, type = "pred", terms = "Days"),
  "std" = sjPlot::plot_model(m, type = "std"),
  "std2" = sjPlot::plot_model(m, type = "std2"),
  "slope" = sjPlot::plot_model(m, type = "slope"),
  "resid" = sjPlot::plot_model(m, type = "resid"),
  "plot_models" = sjPlot::plot_models(m, m),
  "get_model_data" = as.data.frame(sjPlot::get_model_data(m, type = "est"))
)
calls("sjPlot", on = c("slopes", "cake"), peer = "lme4", kind = "runs",
  "diag" = sjPlot::plot_model(m, type = "diag")
)
calls("sjPlot", on = "cake", peer = "lme4", "int" = sjPlot::plot_model(m, type = "int"))
calls("sjstats", on = "slopes", peer = "lme4",
  "anova_stats" = as.data.frame(sjstats::anova_stats(m)),
  "cv" = sjstats::cv(m),
  "cv_error" = sjstats::cv_error(sleepstudy, Reaction ~ Days)
)
