# What the methods for the packages of 'easystats' share: how they call the methods that those
# packages have for models of 'lme4', and how a fit gets past lists of classes. Functions there hand
# their `...` to all generics alike, with arguments of any of them: methods of generics that they
# call themselves check the fit and their own arguments, and take the rest.

#' Support for 'easystats', and what it cannot reach
#'
#' The packages 'insight', 'parameters', 'performance', 'datawizard', 'effectsize' and 'bayestestR'
#' take models of [lmm()] as they take models of 'lme4', those with structured residuals included:
#' `model_parameters()`, `ci()`, `p_value()` and `standard_error()` with the degrees of freedom of
#' [ddf] (`ci_method = "satterthwaite"`, `"kenward"`, `"kr2"`, `"bw"`, `"containment"` or
#' `"inner-outer"`; the default, `"residual"`, and `"betwithin"` are theirs),
#' `r2()`, `icc()`, `model_performance()`, the `check_*()`, `compare_performance()` and
#' `test_likelihoodratio()`, `standardize()` and `standardize_parameters()`, `eta_squared()`,
#' `get_predicted()`, `get_datagrid()`, `get_variance()`, and the `find_*()`. Methods are registered
#' when those packages are loaded.
#'
#' @section What differs from models of 'lme4':
#' - Variances of the random effects have standard errors and limits, those of [VarCorr.lmm()], or
#'   with `ci_method = "profile"` or `"boot"` those of [confint.lmm()].
#' - `get_variance()`, and with it `r2()` and `icc()`, is that of [r_squared()]: random slopes
#'   count with or without a fixed effect, several terms of one grouping factor all count, residual
#'   variances are averaged over weights and variance functions, and a variance that is estimated as
#'   zero counts as zero, where for models of 'lme4' there are no variances at all.
#' - `check_convergence()` and `is_converged()` say whether the optimum is certified.
#' - `bootstrap_model()` and `get_predicted(iterations = )` draw from the model: rows of groups are
#'   not drawn with replacement.
#' - With correlated residuals `check_normality()`, `check_heteroscedasticity()`,
#'   `check_autocorrelation()` and `check_model()` are about normalized residuals, and
#'   `check_outliers()` deletes rows while the covariance matrix of the others stays.
#' - `check_heteroscedasticity()` divides squared residuals by their mean, as Breusch and Pagan's
#'   test does. 'performance' divides them by a deviance, so that its p-value of a model of 'lme4'
#'   is another one where the response is in other units.
#'
#' @section What is out of reach:
#' Some functions are no generics and look the class up in constant lists inside 'insight', which
#' only its maintainers can change: `lmm` would have to be added to `.get_model_classes()`, to
#' `.supported_models_list()`, and to the models with t statistics in `find_statistic()`. Until then
#' - `is_model()`, `is_model_supported()` and `is_regression_model()` are `FALSE`;
#'   `find_statistic()` is an error (it is `"t-statistic"`), `find_transformation()` and
#'   `get_transformation()` are `NULL`, `all_models_equal()` and `is_nested_models()` do not work;
#' - `compare_performance()` and the tests of models leave a fit out that is not their first model
#'   and comes after one of 'lme4': write the fit first, and no list of models;
#' - for `compare_parameters(a, b)` write
#'   `compare_parameters(model_parameters(a), model_parameters(b))`, and for `pool_parameters(fits)`
#'   `pool_parameters(lapply(fits, model_parameters))`;
#' - for `p_function()` write `model_parameters(ci = c(0.5, 0.75, 0.95))`;
#' - for `dof_kenward()`, `se_kenward()` and `ci_kenward()` write `get_df(fit, "kenward")`,
#'   `standard_error(fit, method = "kenward")` and `ci(fit, method = "kenward")`;
#' - for `icc(ci = )`, which draws single rows, write
#'   `bootstrap(fit, FUN = function(fit) intraclass(fit)$adjusted)`;
#' - give `check_heterogeneity_bias()` the data.
#' @examplesIf requireNamespace("parameters", quietly = TRUE)
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + Sex + (age | Subject), Orthodont)
#' parameters::model_parameters(fit, ci_method = "satterthwaite")
#' @seealso [r_squared()], [ddf], [confint.lmm()].
#' @name easystats-lmm
NULL

#' A fit that constant lists of classes inside 'insight' let through
#'
#' Functions of 'insight' that are no generics stop at a class that they do not know. Their lists
#' hold `elm`, a class whose tests are t tests and for which none of the packages has a method: all
#' generics go on to the methods for `lmm`. It must not reach what a user gets.
#' @noRd
as_listed <- function(object, ...) {
  class(object) <- c("elm", "lmm", ...)
  object
}

#' The same for a function that shows the first class to the user
#' @noRd
as_compared <- function(object) {
  if (inherits(object, "lmm")) class(object) <- c("lmm", "elm")
  object
}

#' Call a function of 'easystats' with models that it lets through, by the names that they have
#' @noRd
call_compared <- function(f, models, names, arguments) {
  names <- make.unique(names)
  home <- list2env(stats::setNames(lapply(models, as_compared), names), parent = baseenv())
  eval(as.call(c(list(f), lapply(names, as.name), arguments)), home)
}

#' The method that a package has for another class
#' @noRd
their_method <- function(package, generic, class) {
  utils::getS3method(generic, class, envir = asNamespace(package))
}

#' Which effects are asked for
#' @noRd
match_part <- function(effects) {
  match_choice(effects, "effects", c("all", "fixed", "random"))
}

#' Names without backticks, as 'insight' has them everywhere
#' @noRd
text_names <- function(names) gsub("`", "", names, fixed = TRUE)

#' Words of 'easystats' for the methods of [ddf]
#' @noRd
easystats_ddf <- c(
  satterthwaite = "Satterthwaite", kenward = "Kenward-Roger", kr = "Kenward-Roger",
  "kenward-roger" = "Kenward-Roger", kr2 = "Kenward-Roger2", "kenward-roger2" = "Kenward-Roger2",
  bw = "between-within", containment = "containment", contain = "containment",
  "inner-outer" = "inner-outer"
)

#' Those that 'parameters' has in its list
#' @noRd
their_ddf <- c("satterthwaite", "kenward", "kr", "kenward-roger")

#' The method of a word, or that of [ddf] which 'parameters' hands over as `"satterthwaite"`
#' @noRd
easystats_method <- function(object, word) {
  own <- attr(object, "ddf")
  if (!is.null(own) && word == "satterthwaite") own else unname(easystats_ddf[word])
}

#' A word for degrees of freedom; intervals by other means go with tests by the default one
#' @noRd
plain_method <- function(method) {
  method <- if (is.null(method)) "wald" else tolower(method)
  if (method %in% c("fit", "nokr", "profile", "boot", "uniroot", "likelihood")) "wald" else method
}

#' Columns of X that have a coefficient
#' @noRd
matrix_of_rows <- function(object, data = NULL) {
  if (is.null(data)) {
    return(fixed_model_matrix(object))
  }
  frame <- new_frame(object, check_newdata(data), variable_columns(object$terms)[-1L])
  x <- fixed_matrix(object$terms, frame, object$contrasts)[, kept_columns(object), drop = FALSE]
  rownames(x) <- row.names(data)
  x
}
