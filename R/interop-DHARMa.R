# Methods for 'DHARMa', whose default ignores which random effects are simulated. Registered in
# zzz.R.

#' Support for 'DHARMa'
#'
#' `DHARMa::simulateResiduals()` simulates from models of [lmm()] given the random effects
#' (`simulateREs = "conditional"`), with new ones (`"unconditional"`) or as `re.form` says
#' (`"user-specified"`), prior weights and residual structures included, and fits again where
#' `refit = TRUE`. Its warning about a class that is not supported is about a list of classes, which
#' cannot be extended.
#'
#' @seealso [simulate.lmm()]
#' @name DHARMa-lmm
NULL

#' @noRd
getSimulations.lmm <- function(object, nsim = 1,
                               simulateREs = c("conditional", "unconditional", "user-specified"),
                               type = c("normal", "refit"), ...) {
  check_fit(object)
  simulated <- match_choice(
    simulateREs, "simulateREs", c("conditional", "unconditional", "user-specified")
  )
  type <- match_choice(type, "type", c("normal", "refit"))
  if (simulated != "user-specified" && "re.form" %in% ...names()) {
    ferrolmm_abort(
      "`re.form` is for simulateREs = \"user-specified\".", "argument"
    )
  }
  values <- switch(simulated,
    conditional = simulate.lmm(object, nsim, re.form = NULL, ...),
    unconditional = simulate.lmm(object, nsim, re.form = NA, ...),
    simulate.lmm(object, nsim, ...)
  )
  if (type == "refit") values else data.matrix(values)
}

#' @noRd
getFixedEffects.lmm <- function(object, ...) {
  fixef.lmm(object)
}
