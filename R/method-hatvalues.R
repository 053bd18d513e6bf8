#' Leverages
#'
#' The diagonal of the matrix that turns responses into fitted values (conditional means), at the
#' estimated variance parameters: \eqn{h_i = w_i \, PEV_i / \sigma^2} (with a variance function
#' \eqn{w_i / d_i^2} in place of \eqn{w_i}; not defined for correlated residuals), where \eqn{PEV_i}
#' is Henderson's prediction error variance of the row's conditional mean. Their sum is the
#' effective number of parameters of Hodges and Sargent (2001).
#'
#' @param model A model fitted by [lmm()].
#' @param ... Not used.
#' @returns A vector with one number for each row that was used, named by the rows of the data.
#' @references
#' Hodges, J. S. and Sargent, D. J. (2001). Counting degrees of freedom in hierarchical and other
#' richly-parameterised models. *Biometrika*, 88, 367-379.
#' @seealso [influence.lmm()], [residuals.lmm()]
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' sum(hatvalues(fit))
#' @importFrom stats hatvalues
#' @export
hatvalues.lmm <- function(model, ...) {
  check_dots(...)
  with_memory({
    values <- training_leverages(model)$hat
    stats::naresid(model$na.action, name_rows(values, model))
  })
}

#' Leverages of the rows of the fit, and how each row moves the fixed effects
#'
#' 1 - hat and the residuals are those that have their digits where a row all but determines an
#' effect: what is left of 1 and of y in double precision may be rounding.
#' @returns list(hat = n, left = 1 - hat, 0 where that is mere rounding, residuals = n, of_fixed =
#'   the fixed effects' part of the prediction error variances relative to sigma^2, fixed = rank x
#'   n)
#' @noRd
training_leverages <- function(object) {
  need_independent(
    object, "The leverage of a row",
    "residuals(type = \"normalized\") are defined; influence(groups = ) deletes whole groups."
  )
  found <- engine_inference(engine_leverages, object)
  c(list(hat = found$variances / residual_variances(object)),
    found[c("left", "residuals", "of_fixed", "fixed")])
}
