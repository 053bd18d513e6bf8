#' Confidence intervals of the parameters
#'
#' Intervals of the fixed effects and of the standard deviations and correlations of the random
#' effects.
#'
#' @section Wald intervals:
#' Of a fixed effect: the estimate and a quantile of t, with the degrees of freedom of `ddf`, times
#' the standard error. Of a standard deviation: symmetric on the scale of its logarithm, which keeps
#' the limits positive. Of a correlation: symmetric on Fisher's scale, the inverse hyperbolic
#' tangent. Parameters of a residual structure, `residual.rho` and so on: like correlations or
#' standard deviations where they are of that kind (ranges and ratios of standard deviations are
#' positive), otherwise symmetric. Their standard errors are from the exact Hessian of the
#' criterion, see [VarCorr.lmm()]. A parameter at its boundary (a variance of zero, a correlation of
#' one) has no standard error, and its limits are `NA`.
#'
#' @section Other intervals:
#' `method = "profile"` gives the parameter values at which the root of the change in the criterion,
#' REML for a fit by REML, is at the normal quantile; see [profile.lmm()], also for how fixed
#' effects are treated. These limits respect the boundary: a limit is exactly zero where the
#' likelihood has not fallen enough there. `method = "boot"` gives intervals from a parametric
#' [bootstrap()].
#'
#' @param object A model fitted by [lmm()].
#' @param parm The parameters: names, positions, or `"beta_"` for the fixed effects and `"theta_"`
#'   for the rest. By default all.
#' @param level The confidence level.
#' @param method The method, `"Wald"`, `"profile"` or `"boot"`.
#' @param ddf The method for the degrees of freedom of the fixed effects, see [ddf]:
#'   `r ddf_choices()`.
#' @param vcov,cluster For `"Wald"` and the fixed effects, another covariance matrix than the
#'   model's: a type of [robust] matrix, such as `"CR2"`, with its clusters; a matrix, or a function
#'   that makes one of the fit.
#' @param oldNames Call the parameters of the random effects `.sig01`, `.sig02`, ... and `.sigma`,
#'   as 'lme4' does? Otherwise `sd_(Intercept)|Subject`, `cor_age.(Intercept)|Subject`, ... and
#'   `sigma`.
#' @param nsim,seed,boot.type For `"boot"`: the number of replicates, the seed, and the kind of
#'   interval, see [bootstrap()].
#' @param FUN For `"boot"`: the statistic, a function of a fit; by default the parameters.
#' @param quiet Accepted for scripts written for 'lme4'; there is no message to suppress.
#' @param ... For `"boot"`: `use.u` and `threads` of [bootstrap()].
#' @returns A matrix with a row for each parameter and a column for each limit.
#' @seealso [profile.lmm()], [bootstrap()], [ddf], [VarCorr.lmm()] with standard errors.
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' confint(fit)
#' confint(fit, parm = "theta_", oldNames = FALSE)
#' confint(fit, parm = "theta_", method = "profile")
#' @importFrom stats confint
#' @export
confint.lmm <- function(object, parm, level = 0.95, method = "Wald",
                        ddf = "Satterthwaite",
                        oldNames = TRUE, nsim = 500L, seed = NULL,
                        boot.type = c("perc", "basic", "norm"), FUN = NULL, quiet = TRUE,
                        vcov = NULL, cluster = NULL, ...) {
  check_level(level)
  method <- match_choice(method, "method", c("Wald", "profile", "boot"))
  if (method == "boot" && has_smooths(object)) {
    ferrolmm_abort(
      "Bootstrap intervals are not available for models with smooth terms.", "smooth",
      i = "method = \"profile\" has intervals of variances."
    )
  }
  if (missing(oldNames) && is_nobound(object)) oldNames <- FALSE
  check_flag(oldNames, "oldNames")
  check_flag(quiet, "quiet")
  check_dots(..., allowed = if (method == "boot") c("use.u", "type", "threads"))
  given <- !c(
    ddf = missing(ddf), vcov = is.null(vcov), cluster = is.null(cluster),
    nsim = missing(nsim), seed = missing(seed), boot.type = missing(boot.type), FUN = missing(FUN)
  )
  check_method_arguments(names(given)[given], method)
  boot.type <- match_choice(boot.type, "boot.type", c("perc", "basic", "norm"))
  if (method != "Wald") refuse_eliminated(object, paste0("`method = \"", method, "\"`"))
  if (method != "Wald") require_bounds(object, paste0("`method = \"", method, "\"`"))
  if (oldNames) require_bounds(object, "`oldNames = TRUE`")
  if (!is.null(FUN)) {
    require_no_factors(object, "A bootstrap")
    if (is_sampled(object)) abort_sampled("A bootstrap")
    return(confint.bootstrap.lmm(
      bootstrap.lmm(object, nsim, FUN, seed, ...), parm = if (!missing(parm)) parm, level = level,
      interval = boot.type
    ))
  }
  if (is_sampled(object) && method != "Wald") {
    abort_sampled(paste0("`method = \"", method, "\"`"), "Use method = \"Wald\".")
  }
  names <- parameter_names(object, oldNames)
  wanted <- if (missing(parm) || is.null(parm)) {
    seq_along(names)
  } else {
    which_parameters(parm, names, object)
  }
  if (method != "Wald" || any(wanted <= count_variance(object))) {
    require_no_factors(
      object, "An interval of loadings, or by profile or bootstrap,",
      "Use parm = \"beta_\" for the fixed effects; VarCorr(fit, se = TRUE) for variances."
    )
  }
  limits <- switch(method,
    Wald = wald_limits(object, level, wanted, match_ddf(ddf), vcov, cluster),
    profile = profile_confidence(object, level, wanted),
    boot = bootstrap_confidence(object, level, nsim, seed, boot.type, ...)
  )
  probabilities <- c((1 - level) / 2, (1 + level) / 2)
  dimnames(limits) <- list(
    names, paste(format(100 * probabilities, trim = TRUE, scientific = FALSE, digits = 3L), "%")
  )
  limits[wanted, , drop = FALSE]
}

#' Refuse arguments that belong to another method
#' @noRd
check_method_arguments <- function(given, method) {
  other <- intersect(given, if (method == "Wald") c("nsim", "seed", "boot.type", "FUN") else
    c("ddf", "vcov", "cluster", if (method == "profile") c("nsim", "seed", "boot.type", "FUN")))
  if (length(other) > 0L) {
    ferrolmm_abort(
      paste0("Not for `method = \"", method, "\"`: ", quote_names(other), "."), "argument",
      i = if (any(c("ddf", "vcov", "cluster") %in% other)) {
        "`ddf`, `vcov` and `cluster` are for method = \"Wald\"."
      } else {
        "They are for method = \"boot\"."
      }
    )
  }
}

#' @noRd
which_parameters <- function(parm, names, object) {
  n_random <- length(names) - length(object$coefficients)
  if (is.character(parm)) {
    groups <- list(theta_ = seq_len(n_random), beta_ = n_random + seq_along(object$coefficients))
    match_names(
      setdiff(parm, names(groups)), names, "parm", "parameter", parameter_details(object)
    )
    at <- lapply(parm, function(name) {
      if (is.null(groups[[name]])) match(name, names) else groups[[name]]
    })
    return(unlist(at))
  }
  match_numbers(parm, length(names), "parm", "parameter")
}

#' @noRd
wald_limits <- function(object, level, wanted, method, vcov, cluster) {
  p <- length(object$coefficients)
  n_random <- count_variance(object)
  limits <- matrix(NA_real_, n_random + p, 2L)
  if (any(wanted <= n_random)) {
    table <- varcorr_uncertainty(object)
    if (is_nobound(object)) {
      # variances and covariances themselves, which may be negative
      entries <- table$part == "random"
      table[entries, c("sdcor", "se.sdcor")] <- table[entries, c("vcov", "se.vcov")]
      table$kind[entries] <- "real"
    }
    limits[seq_len(n_random), ] <- parameter_limits(
      table$sdcor, table$se.sdcor, table$kind, level
    )
  }
  if (any(wanted > n_random)) {
    inference <- ddf_for(object, method, vcov, cluster)
    tests <- test_rows(inference, diag(object$rank))
    half <- half_widths(inference, tests, level)
    limits[n_random + kept_columns(object), ] <- cbind(tests$estimate - half, tests$estimate + half)
  }
  limits
}
