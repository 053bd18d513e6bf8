#' Functions of variance parameters
#'
#' Heritabilities, intraclass and genetic correlations, ratios and sums of variances: any function
#' of the variance parameters of a fit, with a standard error and limits.
#'
#' @section What a formula can name:
#' - `V1`, `V2`, ...: variances and covariances, the rows of
#'   [`as.data.frame(VarCorr(fit))`][VarCorr.lmm] and of `vpredict(fit)`; the residual is the last.
#' - standard deviations and correlations by the names of [confint.lmm()], in backticks:
#'   `` `sd_(Intercept)|Subject` ``, `` `cor_age.(Intercept)|Subject` ``, or `.sig01`; `sigma`.
#' - parameters of the residual structure: `residual.rho`, ..., the names of `fit$phi`.
#' - numbers and functions of the place where the formula was written.
#'
#' @section Methods:
#' `"delta"`: the standard error of the linear approximation, from the exact Hessian of the
#' criterion that was optimised, as those of `VarCorr(fit, se = TRUE)`. Limits are symmetric on a
#' scale that keeps them where the function's values are: the logit for shares, which are between 0
#' and 1 whatever the parameters, Fisher's scale between -1 and 1, the logarithm above 0; otherwise
#' `estimate` plus and minus so many standard errors. Where a component is at its boundary (a
#' variance of zero) there is neither, and a message says so.
#'
#' `"profile"`: the values at which the signed root of the change in the criterion (REML for a fit
#' by REML), all else fitted again, is at the normal quantile, see [profile.lmm()]. A limit at the
#' boundary is exact there. The formula may have `+`, `-`, `*`, `/`, `^`, `sqrt()`, `exp()` and
#' `log()`.
#'
#' `"boot"`: limits from a parametric [bootstrap()], and the standard deviation of the replicates.
#'
#' @param object A model fitted by [lmm()].
#' @param formula A formula, `name ~ function`, or a list of them. Without one, the components that
#'   it can be made of.
#' @param level The confidence level.
#' @param method The method, `"delta"`, `"profile"` or `"boot"`.
#' @param nsim,seed,boot.type,threads For `"boot"`, see [bootstrap()] and its `interval`.
#' @param ... None: any other argument is an error.
#' @returns A data frame with a row for each formula, named after its left side, and the columns
#'   `estimate`, `se`, `conf.low` and `conf.high`. Without a formula: `component`, `grp`, `var1`,
#'   `var2`, `estimate` and `se`.
#' @references
#' Lynch, M. and Walsh, B. (1998). *Genetics and Analysis of Quantitative Traits*, appendix 1.
#' Sinauer.
#' @seealso [heritability()], [repeatability()], [intraclass()]; [vcov.lmm()] with `which =
#'   "theta"`; [VarCorr.lmm()]
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (1 | Subject), Orthodont)
#' vpredict(fit)
#' vpredict(fit, icc ~ V1 / (V1 + V2))
#' vpredict(fit, icc ~ V1 / (V1 + V2), method = "profile")
#' vpredict(fit, list(total ~ V1 + V2, cv ~ sqrt(V1 + V2) / mean(Orthodont$distance)))
#' @export
vpredict <- function(object, ...) UseMethod("vpredict")

#' @export
vpredict.default <- function(object, ...) hand_over("vpredict", object, ..., package = "asreml")

#' @rdname vpredict
#' @export
vpredict.lmm <- function(object, formula = NULL, level = 0.95,
                         method = c("delta", "profile", "boot"), nsim = 1000L, seed = NULL,
                         boot.type = c("perc", "basic", "norm"), threads = NULL, ...) {
  check_dots(..., hints = c(xform = "The formula is the argument `formula`."))
  check_level(level)
  given_method <- !missing(method)
  method <- match_choice(method, "method", c("delta", "profile", "boot"))
  given <- c(
    nsim = !missing(nsim), seed = !missing(seed), boot.type = !missing(boot.type),
    threads = !missing(threads)
  )
  if (method != "boot" && any(given)) {
    ferrolmm_abort(
      paste0("Only for `method = \"boot\"`: ", quote_names(names(given)[given]), "."), "argument"
    )
  }
  boot.type <- match_choice(boot.type, "boot.type", c("perc", "basic", "norm"))
  if (method != "delta") require_bounds(object, paste0("`method = \"", method, "\"`"))
  formula <- tryCatch(formula, error = function(e) abort_no_functions(conditionMessage(e)))
  components <- variance_components(object)
  if (is.null(formula)) {
    if (!missing(level) || given_method) {
      ferrolmm_abort(
        "`level` and `method` are for functions: there is no `formula`.", "argument",
        i = "As in vpredict(fit, h2 ~ V1 / (V1 + V2))."
      )
    }
    return(components$table)
  }
  functions <- read_functions(formula, components, object)
  inform_not_finite(functions)
  switch(method,
    delta = function_intervals(components, functions, level),
    profile = function_profiles(object, components, functions, level),
    boot = function_bootstrap(object, components, functions, level, list(
      nsim = nsim, seed = seed, type = boot.type, threads = threads
    ))
  )
}

#' Arguments of [vpredict()] that the bootstrap alone has
#' @noRd
bootstrap_arguments <- c("nsim", "seed", "boot.type", "threads")

#' @noRd
abort_no_functions <- function(why = NULL) {
  ferrolmm_abort(
    "`formula` must be a formula or a list of formulas.", "argument", x = why,
    i = "As in vpredict(fit, h2 ~ V1 / (V1 + V2))."
  )
}

#' What is asked for: expressions in the components, where the rest of their names is looked up, and
#' their values at the estimate
#' @noRd
read_functions <- function(formula, components, object) {
  formulas <- if (is.list(formula)) formula else list(formula)
  right <- length(formulas) > 0L && all(vapply(formulas, inherits, NA, "formula"))
  if (!right) abort_no_functions()
  found <- lapply(formulas, function(formula) {
    wanted <- formula[[length(formula)]]
    check_component_names(all.vars(wanted), components, object)
    expression <- replace_symbols(wanted, components$definitions)
    enclosure <- environment(formula)
    if (is.null(enclosure)) enclosure <- globalenv()
    name <- code_label(if (length(formula) == 3L) formula[[2L]] else wanted)
    value <- tryCatch(
      suppressWarnings(evaluate_components(expression, components$values, enclosure)),
      error = function(e) {
        ferrolmm_abort(
          paste0("`", name, "` cannot be computed."), "argument", x = conditionMessage(e),
          i = "vpredict(fit) lists the components that a formula can name."
        )
      }
    )
    if (!is.numeric(value) || length(value) != 1L) {
      ferrolmm_abort(paste0("`", name, "` must be a number."), "argument")
    }
    if (length(components_in(expression)) == 0L) {
      ferrolmm_abort(
        paste0("`", name, "` names no variance parameter of the fit."), "argument",
        i = "vpredict(fit) lists the components that a formula can name."
      )
    }
    list(
      name = name, expression = expression, enclosure = enclosure, value = as.double(value),
      kind = range_kind(expression, enclosure, object)
    )
  })
  names <- make.unique(vapply(found, `[[`, "", "name"))
  Map(function(one, name) replace(one, "name", name), found, names)
}

#' Refuse numbers of components that there are not, and names that two parameters have
#' @noRd
check_component_names <- function(names, components, object) {
  known <- names(components$definitions)
  numbered <- grep("^V[0-9]+$", names, value = TRUE)
  unknown <- setdiff(numbered, known)
  if (length(unknown) > 0L) {
    ferrolmm_abort(
      paste0("There is no component ", quote_names(unknown, Inf), "."), "argument",
      i = paste0(
        "The components are V1 to V", nrow(components$table), ", see vpredict(fit)."
      )
    )
  }
  repeated <- intersect(names, known[duplicated(known)])
  if (length(repeated) > 0L) {
    ferrolmm_abort(
      paste0(quote_names(repeated, Inf), " is the name of more than one parameter."), "argument",
      i = "V1, V2, ... are the variances and covariances by number, see vpredict(fit)."
    )
  }
}

#' An expression with symbols replaced by what they stand for
#' @noRd
replace_symbols <- function(expression, definitions) {
  if (is.name(expression)) {
    found <- definitions[[as.character(expression)]]
    return(if (is.null(found)) expression else found)
  }
  if (is.call(expression)) {
    # a function's name is no component
    from <- if (is.name(expression[[1L]])) 2L else 1L
    for (i in seq_along(expression)) {
      if (i >= from && !is_missing_argument(expression[[i]])) {
        expression[[i]] <- replace_symbols(expression[[i]], definitions)
      }
    }
  }
  expression
}

#' Where the values of a function are, whatever the parameters: "unit" (between 0 and 1),
#' "correlation" (between -1 and 1), "positive" or "real"
#'
#' By its values at some hundred points over eight orders of magnitude, the same ones each time.
#' @noRd
range_kind <- function(expression, enclosure, object) {
  if (is_nobound(object)) {
    return("real")
  }
  n_theta <- length(object$theta)
  n_phi <- length(object$phi)
  n <- n_theta + n_phi + 1L
  # the multiples of square roots of primes fill the cube evenly
  roots <- sqrt(first_primes(2L * n))
  is_factor <- c(theta_is_factor(object), logical(n_phi + 1L))
  exponential <- c(theta_is_factor(object), phi_kinds(object$residual) == "positive", TRUE)
  estimate <- c(unname(object$theta), unname(object$phi), object$sigma)
  sizes <- ifelse(estimate == 0, 1, estimate)
  values <- vapply(seq_len(300L), function(i) {
    u <- (i * roots) %% 1
    sign <- ifelse(u[n + seq_len(n)] < 0.5, -1, 1)
    size <- u[seq_len(n)]
    # shrunken correlations remain correlations; those of the other sign if they are small
    at <- ifelse(
      exponential, ifelse(is_factor, sign, 1) * sizes * 10^(8 * size - 4),
      estimate * size * ifelse(sign < 0, -0.01, 1)
    )
    values <- component_values(
      object, at[seq_len(n_theta)], at[n_theta + seq_len(n_phi)], at[[n]]
    )
    found <- tryCatch(
      suppressWarnings(evaluate_components(expression, values, enclosure)),
      error = function(e) NaN
    )
    if (is.numeric(found) && length(found) == 1L) as.double(found) else NaN
  }, 0)
  if (!all(is.finite(values))) {
    "real"
  } else if (all(values > 0)) {
    if (all(values <= 1)) "unit" else "positive"
  } else if (all(abs(values) <= 1)) {
    "correlation"
  } else {
    "real"
  }
}

#' Which elements of theta are entries of a covariance factor or standard deviations, rather than
#' correlations
#' @noRd
theta_is_factor <- function(object) {
  unlist(lapply(random_blocks(object$random), function(term) {
    !is_natural(term) | seq_len(count_theta(term)) <= count_sd(term)
  }))
}

#' @noRd
first_primes <- function(n) {
  # the n-th prime is below n (log n + log log n) for n > 5
  numbers <- seq_len(max(15L, ceiling(n * (log(n + 1) + log(log(n + 2) + 1)) + 10)))[-1L]
  is_prime <- vapply(numbers, function(x) all(x %% seq_len(floor(sqrt(x)))[-1L] != 0), NA)
  numbers[is_prime][seq_len(n)]
}
