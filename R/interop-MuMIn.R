# Methods for 'MuMIn', whose defaults drop random effects, and read coef(). Registered in zzz.R.

#' Support for 'MuMIn'
#'
#' `MuMIn::dredge()` and `model.avg()` select and average models of [lmm()] as they do for those of
#' 'lme4': random effects stay in all of them. Compare fits by ML: `lmm(REML = FALSE)`.
#' `MuMIn::r.squaredGLMM()` is [r_squared()] in its format.
#'
#' @references
#' Nakagawa, S., Johnson, P. C. D. and Schielzeth, H. (2017). The coefficient of determination R2
#' and intra-class correlation coefficient from generalized linear mixed-effects models revisited
#' and expanded. *Journal of the Royal Society Interface*, 14(134), 20170213.
#' @seealso [r_squared()]
#' @name MuMIn-lmm
NULL

#' The terms of the fixed part, and the bars as an attribute
#' @noRd
getAllTerms.lmm <- function(x, ...) {
  check_fit(x)
  theirs <- utils::getS3method("getAllTerms", "terms", envir = asNamespace("MuMIn"))
  found <- theirs(x$terms, ...)
  attr(found, "response") <- stats::formula(x$terms)[[2L]]
  bars <- lapply(split_random(full_formula(x)[[3L]])$bars, `[[`, "call")
  if (length(bars) > 0L) {
    random <- call("~", quote(.), Reduce(function(a, b) call("+", a, b), c(quote(.), bars)))
    attr(found, "random") <- stats::as.formula(random, env = environment(full_formula(x)))
    attr(found, "random.terms") <- vapply(bars, function(bar) {
      code_label(if (is_call_to(bar, "(")) bar[[2L]] else bar, 500L)
    }, "")
  }
  found
}

#' Arguments of the call of a submodel
#' @noRd
makeArgs.lmm <- function(obj, termNames, opt, ...) {
  check_fit(obj)
  # what lmm() starts from does not depend on the fixed part
  opt$gmCall$start <- NULL
  theirs <- utils::getS3method("makeArgs", "default", envir = asNamespace("MuMIn"))
  arguments <- theirs(obj, termNames, opt, ...)
  bars <- lapply(split_random(full_formula(obj)[[3L]])$bars, `[[`, "call")
  arguments$formula[[3L]] <- Reduce(
    function(a, b) call("+", a, b), bars, arguments$formula[[3L]]
  )
  arguments
}

#' @noRd
coeffs.lmm <- function(model) {
  fixef.lmm(model)
}

#' @noRd
coefTable.lmm <- function(model, ...) {
  check_dots(...)
  estimates <- fixef.lmm(model)
  structure(
    cbind(
      Estimate = estimates, "Std. Error" = sqrt(diag(vcov.lmm(model))), df = df.residual.lmm(model)
    ),
    class = c("coefTable", "matrix")
  )
}

#' @noRd
r.squaredGLMM.lmm <- function(object, null, ...) {
  check_fit(object)
  found <- r_squared(object)
  matrix(found, 1L, dimnames = list(NULL, c("R2m", "R2c")))
}
