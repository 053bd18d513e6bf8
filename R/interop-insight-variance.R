# Variances for 'insight', from which 'performance' has R2 and intraclass correlations.

#' The parts that the variance of the response has
#'
#' `var.fixed`, `var.random` and `var.residual` are those of [r_squared()], which takes slopes
#' without a fixed effect, weights and variance functions into account; a variance that is estimated
#' as zero counts as zero. The others describe the terms: variances of intercepts, of slopes, their
#' correlations.
#' @noRd
get_variance.lmm <- function(x, component = "all", verbose = TRUE, tolerance = 1e-5, ...) {
  check_fit(x)
  component <- match_choice(component, "component", c(
    "all", "fixed", "random", "residual", "distribution", "dispersion", "intercept", "slope",
    "rho01", "rho00"
  ))
  parts <- variance_parts(x)
  has_random <- length(x$random) > 0L
  values <- list(
    var.fixed = parts$fixed,
    var.random = if (has_random) sum(parts$random),
    var.residual = parts$residual,
    var.distribution = parts$residual,
    var.dispersion = 0
  )
  values <- c(values, variances_of_terms(x))
  wanted <- switch(component,
    all = names(values),
    rho01 = "cor.slope_intercept",
    rho00 = "cor.slopes",
    paste0("var.", component)
  )
  Filter(Negate(is.null), values[intersect(wanted, names(values))])
}

#' Variances of intercepts and slopes, and their correlations, named by grouping factor
#' @noRd
variances_of_terms <- function(object) {
  matrices <- VarCorr.lmm(object)
  groups <- name_blocks(object)
  found <- Map(function(matrix, group) {
    effects <- rownames(matrix)
    variances <- unname(diag(matrix))
    correlations <- attr(matrix, "correlation")
    slope <- effects != "(Intercept)"
    named <- function(values, names) stats::setNames(values, sprintf("%s.%s", group, names))
    # from the first effect to the later ones
    pairs <- which(lower.tri(correlations) & outer(slope, slope, `&`), arr.ind = TRUE)
    with_intercept <- if (any(!slope)) correlations[slope, !slope]
    list(
      intercept = stats::setNames(variances[!slope], rep_len(group, sum(!slope))),
      slope = named(variances[slope], effects[slope]),
      slope_intercept = if (length(with_intercept) == 1L) {
        stats::setNames(with_intercept, group)
      } else if (length(with_intercept) > 1L) {
        named(unname(with_intercept), effects[slope])
      },
      slopes = named(
        correlations[pairs], sprintf("%s-%s", effects[pairs[, 2L]], effects[pairs[, 1L]])
      )
    )
  }, unname(unclass(matrices)[seq_along(groups)]), groups)
  collect <- function(part) {
    values <- unlist(lapply(unname(found), `[[`, part))
    if (length(values) > 0L) values
  }
  list(
    var.intercept = collect("intercept"), var.slope = collect("slope"),
    cor.slope_intercept = collect("slope_intercept"), cor.slopes = collect("slopes")
  )
}

#' The parts from which 'insight' has variances of a mixed model
#'
#' The covariance matrices have the class by which 'lme4' tells the structure: whatever ours is,
#' they are whole.
#' @noRd
get_mixed_info.lmm <- function(model, ...) {
  check_fit(model)
  info <- their_method("insight", "get_mixed_info", "default")(model, ...)
  info$vc[] <- lapply(info$vc, function(matrix) {
    class(matrix) <- c("vcmat_us", class(matrix))
    matrix
  })
  info
}
