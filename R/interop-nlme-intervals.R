#' Confidence intervals of all parameters, as 'nlme' lists them
#'
#' The Wald intervals of [confint()][confint.lmm] in the form of `nlme::intervals()`: fixed effects,
#' standard deviations and correlations of the random effects by grouping factor, parameters of the
#' residual structure, and the residual standard deviation.
#'
#' Estimates of standard deviations and correlations and their intervals are those of 'nlme', but
#' for the exact Hessian here and differences there. Intervals of fixed effects have the degrees of
#' freedom of `ddf`, which are others than in 'nlme'.
#'
#' @param object A model fitted by [lmm()].
#' @param level The confidence level.
#' @param which `"all"` parameters, those of variances and correlations (`"var-cov"`), or the
#'   `"fixed"` effects, which `nlme::gls()` calls `"coef"`.
#' @param ddf The method for the degrees of freedom of the fixed effects, see [ddf]:
#'   `r ddf_choices()`.
#' @param ... Not used.
#' @returns A list of class `intervals.lme`: `fixed` (or `coef`, if asked for by that name), a
#'   matrix with the columns `lower`, `est.` and `upper`; `reStruct`, a list of such tables by
#'   grouping factor; `residual`, the parameters of the residual structure; `sigma`, a vector. Parts
#'   that a model has not are left out, and limits of parameters at their boundary are `NA`.
#' @seealso [confint.lmm()], also for intervals by profile and bootstrap.
#' @references
#' Pinheiro, J. C. and Bates, D. M. (2000). *Mixed-Effects Models in S and S-PLUS*. Springer,
#' section 2.4.
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' intervals(fit)
#' @name intervals.lmm
#' @importFrom nlme intervals
#' @method intervals lmm
#' @export
intervals.lmm <- function(object, level = 0.95, which = c("all", "var-cov", "fixed", "coef"),
                          ddf = "Satterthwaite", ...) {
  check_dots(...)
  check_level(level)
  which <- match_choice(which, "which", c("all", "var-cov", "fixed", "coef"))
  found <- list()
  if (which != "var-cov" && object$rank > 0L) {
    limits <- confint.lmm(object, "beta_", level, ddf = ddf)
    limits <- limits[kept_columns(object), , drop = FALSE]
    name <- if (which == "coef") "coef" else "fixed"
    found[[name]] <- labelled_intervals(limits, fixef.lmm(object), "Fixed effects:")
  }
  if (which %in% c("all", "var-cov")) {
    found <- c(found, variance_intervals(object, level))
  }
  structure(found, level = level, class = "intervals.lme")
}

#' Intervals of variances and correlations: list(reStruct, residual, sigma)
#' @noRd
variance_intervals <- function(object, level) {
  table <- varcorr_uncertainty(object)
  limits <- parameter_limits(table$sdcor, table$se.sdcor, table$kind, level)
  rows <- function(chosen, names, label = NULL) {
    values <- stats::setNames(table$sdcor[chosen], names)
    labelled_intervals(limits[chosen, , drop = FALSE], values, label)
  }
  random <- table$part == "random"
  found <- list()
  if (any(random)) {
    groups <- factor(table$grp[random], levels = unique(table$grp[random]))
    found$reStruct <- lapply(split(which(random), groups), function(chosen) {
      chosen <- chosen[order(!is.na(table$var2[chosen]))]
      single <- is.na(table$var2[chosen])
      names <- ifelse(
        single, paste0("sd(", table$var1[chosen], ")"),
        paste0("cor(", table$var1[chosen], ",", table$var2[chosen], ")")
      )
      as.data.frame(rows(chosen, names))
    })
    attr(found$reStruct, "label") <- "Random Effects:"
  }
  own <- table$part == "residual"
  if (any(own)) {
    found$residual <- rows(own, sub("^residual[.]", "", table$var1[own]), "Residual structure:")
  }
  last <- table$part == "sigma"
  if (is.null(object$control$sigma)) {
    sigma <- rows(last, "sigma")["sigma", ]
    found$sigma <- structure(sigma, label = "Within-group standard error:")
  }
  found
}

#' @noRd
labelled_intervals <- function(limits, values, label = NULL) {
  table <- matrix(
    c(limits[, 1L], values, limits[, 2L]), ncol = 3L,
    dimnames = list(names(values), c("lower", "est.", "upper"))
  )
  attr(table, "label") <- label
  table
}

#' @importFrom nlme intervals
#' @export
nlme::intervals
