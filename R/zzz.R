# What has to happen when the package is loaded: methods on generics that only some versions of
# another package have. Stable generics are registered in NAMESPACE.

.onLoad <- function(libname, pkgname) {
  when_loaded("lme4", register_lme4)
  when_loaded("lmerTest", register_lmertest)
  when_loaded("insight", register_insight)
  when_loaded("parameters", register_parameters)
  when_loaded("bayestestR", register_bayestestr)
  when_loaded("datawizard", register_datawizard)
  when_loaded("performance", register_performance)
  when_loaded("clubSandwich", register_clubsandwich)
  when_loaded("pbkrtest", register_pbkrtest)
  when_loaded("sandwich", register_sandwich)
  when_loaded("ggeffects", register_ggeffects)
  when_loaded("MuMIn", register_mumin)
  when_loaded("marginaleffects", register_marginaleffects)
  when_loaded("DHARMa", register_dharma)
  when_loaded("mitml", register_mitml)
  when_loaded("merTools", register_mertools)
  when_loaded("arm", register_arm)
  when_loaded("doBy", register_doby)
  when_loaded("car", register_car)
}

#' Tell what outlives the package that it was unloaded
#'
#' Objects, functions that are kept somewhere, hooks and methods that were registered by hand
#' outlive the namespace: none of them may call into the library once it is unloaded. A thread that
#' was left to itself (the engine's `runtime/detached`) is waited for; as long as one works, the
#' library stays.
#' @noRd
.onUnload <- function(libpath) {
  forget_hooks()
  remove_model_class()
  namespace <- topenv(environment(.onUnload))
  library_is_idle <- rs_wait_until_idle(5)
  for (name in grep("^rs_", names(namespace), value = TRUE)) {
    # by its name, as R CMD check would take the call for one on another package
    do.call("unlockBinding", list(name, namespace))
    assign(name, abort_unloaded, envir = namespace)
  }
  if (library_is_idle) {
    library.dynam.unload("ferrolmm", libpath)
  }
}

#' @noRd
abort_unloaded <- function(...) {
  ferrolmm_abort(
    "ferrolmm was unloaded.", "unloaded", i = "Load it again with library(ferrolmm)."
  )
}

#' Remove hooks that wait for other packages, and methods that were registered
#' @noRd
forget_hooks <- function() {
  home <- topenv()
  is_own <- function(f) is.function(f) && identical(topenv(environment(f)), home)
  for (package in waited_for$packages) {
    event <- packageEvent(package, "onLoad")
    setHook(event, Filter(Negate(is_own), getHook(event)), "replace")
  }
  for (package in loadedNamespaces()) {
    table <- asNamespace(package)[[".__S3MethodsTable__."]]
    if (is.environment(table)) {
      names <- names(table)
      rm(list = names[vapply(names, function(name) is_own(table[[name]]), NA)], envir = table)
    }
  }
}

#' The packages that hooks wait for
#' @noRd
waited_for <- new.env()

#' Do something now if a package is loaded, and whenever it is loaded later
#' @noRd
when_loaded <- function(package, action) {
  setHook(packageEvent(package, "onLoad"), function(...) action())
  waited_for$packages <- c(waited_for$packages, package)
  if (isNamespaceLoaded(package)) {
    action()
  }
}

#' lme4::isSingular() is a generic since lme4 2.0; before that it reads theta by getME(), which
#' works
#' @noRd
register_lme4 <- function() {
  register_methods("lme4", list(isSingular = isSingular.lmm))
}

#' What 'easystats' finds in a fit, from which most of its functions work
#' @noRd
register_insight <- function() {
  register_methods("insight", list(
    find_formula = find_formula.lmm, find_parameters = find_parameters.lmm,
    find_weights = find_weights.lmm, find_algorithm = find_algorithm.lmm,
    is_converged = is_converged.lmm, get_parameters = get_parameters.lmm,
    get_statistic = get_statistic.lmm, get_df = get_df.lmm, n_parameters = n_parameters.lmm,
    get_loglikelihood = get_loglikelihood.lmm, loglikelihood = get_loglikelihood.lmm,
    get_variance = get_variance.lmm, get_data = get_data.lmm, get_modelmatrix = get_modelmatrix.lmm,
    get_predicted = get_predicted.lmm, get_predicted_ci = get_predicted_ci.lmm,
    get_datagrid = get_datagrid.lmm, model_info = model_info.lmm,
    ellipsis_info = ellipsis_info.lmm, get_call = get_call.lmm, get_varcov = get_varcov.lmm,
    get_mixed_info = get_mixed_info.lmm
  ))
}

#' @noRd
register_parameters <- function() {
  register_methods("parameters", list(
    model_parameters = model_parameters.lmm, parameters = model_parameters.lmm,
    standard_error = standard_error.lmm, p_value = p_value.lmm,
    p_value_kenward = p_value_kenward.lmm, se_satterthwaite = se_satterthwaite.lmm,
    degrees_of_freedom = degrees_of_freedom.lmm, dof = degrees_of_freedom.lmm,
    dof_satterthwaite = dof_satterthwaite.lmm, bootstrap_model = bootstrap_model.lmm,
    .extract_random_parameters = extract_random_parameters.lmm,
    standardize_info = standardize_info.lmm, standardise_info = standardize_info.lmm,
    p_calibrate = p_calibrate.lmm, select_parameters = select_parameters.lmm
  ))
}

#' Generics that 'parameters' takes from 'bayestestR'
#' @noRd
register_bayestestr <- function() {
  register_methods("bayestestR", list(
    ci = ci.lmm, equivalence_test = equivalence_test.lmm,
    bayesfactor_models = bayesfactor_models.lmm, bf_models = bayesfactor_models.lmm,
    p_direction = p_direction.lmm, pd = p_direction.lmm, p_significance = p_significance.lmm,
    p_to_bf = p_to_bf.lmm, sexit_thresholds = sexit_thresholds.lmm
  ))
}

#' @noRd
register_datawizard <- function() {
  register_methods("datawizard", list(standardize = standardize.lmm, standardise = standardize.lmm))
}

#' The default of performance::r2() is one minus a ratio of sums of squares, which is not an R2 of a
#' mixed model
#' @noRd
register_performance <- function() {
  register_methods("performance", list(
    r2 = r2.lmm, model_performance = model_performance.lmm, performance = model_performance.lmm,
    check_normality = check_normality.lmm, check_singularity = check_singularity.lmm,
    check_convergence = check_convergence.lmm, check_model = check_model.lmm,
    performance_aic = performance_aic.lmm, performance_aicc = performance_aicc.lmm,
    check_residuals = check_residuals.lmm,
    check_heteroscedasticity = check_heteroscedasticity.lmm,
    check_heteroskedasticity = check_heteroscedasticity.lmm,
    check_autocorrelation = check_autocorrelation.lmm, check_outliers = check_outliers.lmm,
    check_overdispersion = check_overdispersion.lmm,
    check_group_variation = check_group_variation.lmm
  ))
  stats <- asNamespace("stats")
  for (generic in c("residuals", "rstandard", "rstudent")) {
    registerS3method(generic, "lmm_whitened", whitened_residuals, envir = stats)
  }
  registerS3method("cooks.distance", "lmm_whitened", cooks_by_deletion, envir = stats)
}

#' @noRd
register_lmertest <- function() {
  register_methods("lmerTest", list(
    contest = contest.lmm, contest1D = contest1D.lmm, contestMD = contestMD.lmm,
    step = step.lmm, ls_means = ls_means.lmm, lsmeansLT = lsmeansLT.lmm,
    difflsmeans = difflsmeans.lmm
  ))
}

#' Generics that 'clubSandwich' keeps for itself
#' @noRd
register_clubsandwich <- function() {
  register_methods("clubSandwich", list(
    coef_CS = coef_CS.lmm, residuals_CS = residuals_CS.lmm, targetVariance = targetVariance.lmm,
    weightMatrix = weightMatrix.lmm
  ))
}

#' @noRd
register_pbkrtest <- function() {
  register_methods("pbkrtest", list(
    KRmodcomp = KRmodcomp.lmm, SATmodcomp = SATmodcomp.lmm, vcovAdj = vcovAdj.lmm,
    get_Lb_ddf = get_Lb_ddf.lmm, get_ddf_Lb = get_ddf_Lb.lmm,
    model2restriction_matrix = model2restriction_matrix.lmm, PBrefdist = PBrefdist.lmm,
    getLRT = getLRT.lmm,
    get_SigmaG = converted_method("pbkrtest", "get_SigmaG", "object"),
    restriction_matrix2model =
      converted_method("pbkrtest", "restriction_matrix2model", "largeModel")
  ))
}

#' @noRd
register_mertools <- function() {
  register_methods("merTools", list(
    draw = converted_method("merTools", "draw", "object"),
    fastdisp = converted_method("merTools", "fastdisp", "x")
  ))
}

#' @noRd
register_doby <- function() {
  register_methods("doBy", list(
    esticon = converted_method("doBy", "esticon", "obj"),
    linest = converted_method("doBy", "linest", "object")
  ))
}

#' Power transformations of the response, which 'car' searches for by fits of 'lme4'
#' @noRd
register_car <- function() {
  register_methods("car", list(
    powerTransform = converted_method("car", "powerTransform", "object")
  ))
}

#' @noRd
register_arm <- function() {
  register_methods("arm", list(
    sigma.hat = converted_method("arm", "sigma.hat", "object"),
    extractDIC = converted_method("arm", "extractDIC", "fit")
  ))
}

#' Generics whose defaults have no meaning for a mixed model
#' @noRd
register_sandwich <- function() {
  register_methods("sandwich", list(
    vcovHC = vcovHC.lmm, vcovHAC = vcovHAC.lmm, vcovBS = vcovBS.lmm, vcovJK = vcovJK.lmm
  ))
}

#' A generic that 'ggeffects' keeps for itself
#' @noRd
register_ggeffects <- function() {
  register_methods("ggeffects", list(
    get_predictions = get_predictions.lmm, test_predictions = test_predictions.lmm
  ))
}

#' @noRd
register_mumin <- function() {
  register_methods("MuMIn", list(
    getAllTerms = getAllTerms.lmm, makeArgs = makeArgs.lmm, coeffs = coeffs.lmm,
    coefTable = coefTable.lmm, r.squaredGLMM = r.squaredGLMM.lmm
  ))
}

#' 'marginaleffects' asks an option for the classes of models that other packages bring
#' @noRd
register_marginaleffects <- function() {
  add_model_class()
  register_methods("marginaleffects", list(
    get_coef = get_coef.lmm, get_vcov = get_vcov.lmm, set_coef = set_coef.lmm,
    get_predict = get_predict.lmm, sanitize_model_specific = sanitize_model_specific.lmm
  ))
}

#' @noRd
register_dharma <- function() {
  register_methods("DHARMa", list(
    getSimulations = getSimulations.lmm, getFixedEffects = getFixedEffects.lmm
  ))
}

#' Generics that 'mitml' keeps for itself
#' @noRd
register_mitml <- function() {
  register_methods("mitml", list(
    .getCoef = .getCoef.lmm, .getMisc = .getMisc.lmm, .checkREML = .checkREML.lmm,
    .updateML = .updateML.lmm, .getArgsLL = .getArgsLL.lmm, .getUserLL = .getUserLL.lmm,
    .getDataLL = .getDataLL.lmm, .updateStackedLL = .updateStackedLL.lmm
  ))
}

#' Register methods on those of the generics that a package has
#' @noRd
register_methods <- function(package, methods) {
  namespace <- asNamespace(package)
  for (generic in names(methods)) {
    if (is_s3_generic(generic, namespace)) {
      registerS3method(generic, "lmm", methods[[generic]], envir = namespace)
    }
  }
}

#' Does a function dispatch on S3 classes, itself or as the default of an S4 generic?
#' @noRd
is_s3_generic <- function(name, namespace) {
  f <- get0(name, namespace, mode = "function", inherits = FALSE)
  if (methods::is(f, "genericFunction")) {
    f <- f@default
  }
  !is.null(f) && "UseMethod" %in% all.names(body(f))
}
