# Fits for which a function holds only where someone has made sure that it does: those with smooth
# terms, with sampling weights, with rr() or fa(), with fixed effects of levels, or without bounds
# on variances. What is added later is refused until it has been thought of.

#' Kinds of such fits: whether a fit is of that kind, the functions that hold, and the error for
#' another one, which is told its name
#' @noRd
restricted_kinds <- function() {
  list(
    list(applies = has_smooths, holds = holds_with_smooths, refuse = abort_beside_smooths),
    list(applies = is_sampled, holds = holds_for_sampled, refuse = abort_sampled),
    list(applies = has_factor_terms, holds = holds_with_factors, refuse = abort_beside_factors),
    list(
      applies = has_eliminated, holds = holds_with_eliminated, refuse = abort_beside_eliminated
    ),
    list(applies = is_nobound, holds = holds_nobound, refuse = abort_nobound)
  )
}

#' Refuse a function of the package that is not known to hold for a fit
#'
#' @param object the fit, without its class.
#' @param f the function that it entered.
#' @noRd
refuse_restricted <- function(object, f) {
  home <- topenv()
  for (kind in restricted_kinds()) {
    if (!kind$applies(object)) {
      next
    }
    is_mine <- function(name) identical(get0(name, home, inherits = FALSE), f)
    if (is.null(Find(is_mine, kind$holds))) {
      name <- Find(is_mine, ls(home))
      kind$refuse(if (is.null(name)) "This" else paste0(sub("[.]lmm$", "", name), "()"))
    }
  }
}
