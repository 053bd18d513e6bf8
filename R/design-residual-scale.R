# Variance functions with the data at hand: covariates and strata.

#' @noRd
build_scale <- function(spec, frame) {
  stratum <- variable_names(spec$stratum)
  scale <- list(
    type = spec$type, covariate = variable_names(spec$covariate), fitted = spec$fitted,
    stratum = stratum, levels = NULL
  )
  if (length(stratum) > 0L) {
    scale <- with_strata(scale, spec, frame)
  }
  if (length(scale$covariate) == 1L) {
    x <- frame[[scale$covariate]]
    check_one_column(x, scale$covariate, "the variance function")
    if (!is.numeric(x)) {
      ferrolmm_abort(
        paste0("The variance function needs a number as covariate, `", scale$covariate, "` is ",
               describe_value(x), "."),
        "residual"
      )
    }
    check_scale_covariate(scale, x, paste0("`", scale$covariate, "`"))
  }
  scale
}

#' @noRd
check_scale_covariate <- function(scale, x, what) {
  if (!scale_kind(scale$type)$zero && any(x == 0)) {
    ferrolmm_abort(
      paste0("varPower() of ", what, ", which is zero in ", count_of(sum(x == 0), "row"),
             ": their variance would be zero."),
      "residual", i = "Use varConstPower() or varExp()."
    )
  }
}

#' Strata of a variance function, the reference of varIdent first: their labels, as in nlme, and the
#' group key that rows are matched by
#'
#' As in nlme the reference is the level of the first row; for a structure by visit it is the first
#' visit; where values are given by name it is the level that has none.
#' @noRd
with_strata <- function(scale, spec, frame) {
  group <- group_factor(scale$stratum, frame)
  labels <- group$levels
  if (!is.null(group$key$tuples)) {
    labels <- make.unique(tuple_labels(group$key$leaves, group$key$tuples, "*"), sep = "#")
  }
  order <- if (spec$by_level) {
    seq_along(labels)
  } else {
    unique(group$codes)
  }
  levels <- labels[order]
  if (length(levels) < 2L) {
    ferrolmm_abort(
      paste0("The variance function has one stratum only: `",
             paste(scale$stratum, collapse = "*"), "` is \"", levels, "\" in all rows."),
      "residual"
    )
  }
  given <- c(names(spec$value), names(spec$fixed))
  kind <- scale_kind(spec$type)
  if (length(kind$parameters) > 1L) {
    given <- unlist(lapply(c(spec$value, spec$fixed), names))
  }
  unknown <- setdiff(given, c(levels, ""))
  if (length(unknown)) {
    ferrolmm_abort(
      paste0("The variance function has a value for ", quote_names(unknown),
             ", which is no level of `", paste(scale$stratum, collapse = "*"), "`."),
      "residual", i = paste0("Its levels are ", quote_names(levels, 10L), ".")
    )
  }
  if (kind$reference && any(levels %in% given) && !all(levels %in% given)) {
    reference <- setdiff(levels, given)[[1L]]
    levels <- c(reference, setdiff(levels, reference))
  }
  scale$levels <- levels
  scale$key <- reorder_key(group$key, match(levels, labels))
  scale
}

#' @noRd
check_fixed_variances <- function(residual, frame) {
  for (name in residual$fixed) {
    v <- frame[[name]]
    check_one_column(v, name, "varFixed()")
    if (!is.numeric(v) || any(v <= 0)) {
      ferrolmm_abort(
        paste0("varFixed() needs positive numbers: `", name, "` is ",
               if (is.numeric(v)) format(v[which(v <= 0)[1L]]) else describe_value(v), "."),
        "residual"
      )
    }
  }
}

#' Refuse sqrt(const^2 + prop^2 v^2) beside a sigma: d is then determined up to a factor
#' @noRd
check_scale_beside_sigma <- function(residual, control) {
  if (!is.null(control$sigma)) {
    return(invisible())
  }
  sizes <- vapply(residual$scales, count_scale_parameters, 1L)
  first <- length(residual$names) - sum(sizes)
  for (i in seq_along(residual$scales)) {
    own <- first + sum(sizes[seq_len(i - 1L)]) + seq_len(sizes[[i]])
    free <- !residual$held[own] & !residual$names[own] %in% names(control$hold)
    if (residual$scales[[i]]$type == "constprop" && all(free)) {
      ferrolmm_abort(
        "varConstProp() has a constant and a proportion beside sigma: one of them is too much.",
        "identifiable",
        i = paste0(
          "Say what sigma is, lmm_control(sigma = 1), or hold one of the others, ",
          "varConstProp(form = ~ x, fixed = list(const = 1))."
        )
      )
    }
  }
}
