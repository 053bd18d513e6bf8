# Generics whose defaults expect an object of lm() or aov(), and would fail with meaningless errors.

#' @noRd
abort_not_defined <- function(generic, instead) {
  ferrolmm_abort(
    paste0("`", generic, "()` is not defined for models of lmm()."), "argument", i = instead
  )
}

#' @importFrom stats alias
#' @export
alias.lmm <- function(object, ...) {
  abort_not_defined(
    "alias", "Aliased coefficients are those that are NA in fixef(fit, add.dropped = TRUE)."
  )
}

#' @importFrom stats dummy.coef
#' @export
dummy.coef.lmm <- function(object, ...) {
  abort_not_defined("dummy.coef", "Means of the levels of factors are those of 'emmeans'.")
}

#' @importFrom stats effects
#' @export
effects.lmm <- function(object, ...) {
  abort_not_defined("effects", "fixef(fit) and ranef(fit) are the effects of a mixed model.")
}

#' @export
kappa.lmm <- function(z, ...) {
  abort_not_defined("kappa", "The condition of the predictors is kappa(model.matrix(fit)).")
}

#' @importFrom stats model.tables
#' @export
model.tables.lmm <- function(x, ...) {
  abort_not_defined("model.tables", "Tables of means are those of 'emmeans'.")
}

#' @importFrom stats proj
#' @export
proj.lmm <- function(object, ...) {
  abort_not_defined("proj", "Parts of the fitted values: predict(fit, re.form = , random.only = ).")
}

#' @importFrom stats se.contrast
#' @export
se.contrast.lmm <- function(object, ...) {
  abort_not_defined("se.contrast", "Contrasts are tested by contest(fit, L), or by 'emmeans'.")
}

#' @importFrom stats TukeyHSD
#' @export
TukeyHSD.lmm <- function(x, which, ordered = FALSE, conf.level = 0.95, ...) {
  abort_not_defined("TukeyHSD", "All pairs of levels are pairs(emmeans::emmeans(fit, \"factor\")).")
}

#' @rawNamespace S3method(MASS::boxcox, lmm)
#' @noRd
boxcox.lmm <- function(object, ...) {
  abort_not_defined("boxcox", "Fit the transformed response: lmm(log(y) ~ ...), and see plot(fit).")
}

#' @rawNamespace S3method(MASS::logtrans, lmm)
#' @noRd
logtrans.lmm <- function(object, ...) {
  abort_not_defined(
    "logtrans", "Fit the transformed response: lmm(log(y + 1) ~ ...), and see plot(fit)."
  )
}

#' @rawNamespace S3method(lmtest::waldtest, lmm)
#' @noRd
waldtest.lmm <- function(object, ...) {
  abort_not_defined(
    "lmtest::waldtest", "drop1(fit) and contest(fit, L) test fixed effects by Wald's statistic."
  )
}
