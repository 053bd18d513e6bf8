#' Print a fitted model
#'
#' A short account: the call, the criterion, the standard deviations and correlations of the random
#' effects, the numbers of observations and levels, and the fixed effects. A fit that is singular
#' or whose optimum is not proved says so in the last lines. See [summary.lmm()] for more.
#'
#' @param x A model fitted by [lmm()].
#' @param digits The number of significant digits.
#' @param ranef.comp What to print of the random effects: `"Std.Dev."`, `"Variance"` or both; where
#'   variances may be negative these by default.
#' @param ... Not used.
#' @returns `x`, invisibly.
#' @seealso [summary.lmm()], [methods_paragraph()]
#' @examples
#' data(Orthodont, package = "nlme")
#' lmm(distance ~ age + (age | Subject), Orthodont)
#' @export
print.lmm <- function(x, digits = max(3L, getOption("digits") - 3L),
                      ranef.comp = "Std.Dev.", ...) {
  check_dots(...)
  check_digits(digits)
  title <- format_title(x$REML, length(x$random) > 0L, is_sampled(x), has_eliminated(x))
  writeLines(paste0(title, " ['lmm']"))
  writeLines(format_call(x$call, full_formula(x)))
  writeLines(c(format_criterion(criterion_table(x), 4L), format_penalty(x), format_sampling(x)))
  varcor <- VarCorr.lmm(x)
  if (missing(ranef.comp)) ranef.comp <- usual_comp(varcor)
  print_random_effects(varcor, digits, ranef.comp)
  writeLines(as.character(format_residual(x, digits, attr(varcor, "visits"))))
  writeLines(format_counts(count_data(x)))
  of_smooths <- smooth_coefficients(x)
  shown <- seq_along(x$coefficients)
  print_fixed_effects(x$coefficients[setdiff(shown, of_smooths)], digits)
  print_smooth_edf(x, digits)
  if (x$certificate$status != "converged") {
    writeLines(c(format_certificate(x$certificate), format_findings(x)))
  } else if (is_estimated(x$certificate)) {
    writeLines(format_solver(x$certificate))
  }
  invisible(x)
}

#' @noRd
print_random_effects <- function(varcor, digits, comp) {
  if (length(varcor) == 0L) {
    if (is_printed(attr(varcor, "visits"), digits)) {
      # the residual covariance that follows has the standard deviations
      return(invisible())
    }
    writeLines(
      paste0("Residual standard deviation: ", format(attr(varcor, "sc"), digits = digits))
    )
    return(invisible())
  }
  cat("Random effects:\n")
  print(format_varcorr(varcor, digits, comp), quote = FALSE)
  writeLines(as.character(attr(varcor, "notes")))
}

#' @noRd
print_fixed_effects <- function(coefficients, digits) {
  if (length(coefficients) == 0L) {
    cat("No fixed effects\n")
    return(invisible())
  }
  cat("Fixed Effects:\n")
  print(format(coefficients, digits = digits), print.gap = 2L, quote = FALSE)
}

#' @noRd
print_smooth_edf <- function(object, digits) {
  if (!has_smooths(object)) {
    return(invisible())
  }
  cat("Smooth terms, effective degrees of freedom:\n")
  edf <- smooth_edf(object, smooth_posterior(object))
  shown <- stats::setNames(format(edf[, "edf"], digits = digits), rownames(edf))
  print(shown, print.gap = 2L, quote = FALSE)
}

#' @export
print.lmm_certificate <- function(x, ...) {
  check_dots(...)
  writeLines(format_certificate(x))
  if (nzchar(x$message)) {
    writeLines(wrap_text(sentence(x$message), indent = 2L, exdent = 2L))
  }
  invisible(x)
}
