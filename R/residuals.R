#' Residuals and fitted values
#'
#' Fitted values contain the random effects (and the offset, if there is one): they are the
#' conditional means of the response. For those of the population see [predict.lmm()].
#'
#' @param object A model fitted by [lmm()].
#' @param type The type of residual. `"response"` (and `"working"`): observed minus fitted.
#'   `"pearson"` (and `"deviance"`): times the square root of the prior weight. `"scaled"`: Pearson
#'   residuals divided by the residual standard deviation.
#' @param scaled Divide by the residual standard deviation?
#' @param ... Not used.
#' @returns A vector with one number for each row that was used, named by the rows of the data.
#'   After `na.action = na.exclude` the rows left out are there, as `NA`.
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' head(fitted(fit))
#' head(residuals(fit, type = "scaled"))
#' @importFrom stats residuals
#' @export
residuals.lmm <- function(object,
                          type = c("response", "pearson", "scaled", "working", "deviance"),
                          scaled = FALSE, ...) {
  type <- match.arg(type)
  values <- object$residuals
  if (type %in% c("pearson", "deviance", "scaled") && !is.null(object$prior.weights)) {
    values <- values * sqrt(object$prior.weights)
  }
  if (type == "scaled" || scaled) {
    values <- values / object$sigma
  }
  stats::naresid(object$na.action, name_rows(values, object))
}

#' @rdname residuals.lmm
#' @importFrom stats fitted
#' @export
fitted.lmm <- function(object, ...) {
  stats::napredict(object$na.action, name_rows(object$fitted.values, object))
}

#' Name a value for each used row by the rows of the model frame
#' @noRd
name_rows <- function(values, object) {
  names(values) <- row.names(object$frame)
  values
}
