#' Heritability and repeatability
#'
#' Shares of one variance in the variance of an observation around the fixed effects, with standard
#' errors and limits.
#'
#' @section Heritability:
#' `heritability(type = "plot")`: \eqn{h^2 = \sigma^2_g / (\sum \sigma^2 + \sigma^2_e)}, the
#' variance of the term over the sum of all variances, on the basis of one observation. Without
#' `term` it is that of the term with a known matrix (`cov =` or `prec =`), narrow-sense
#' heritability where that is a relationship matrix. A term whose variance differs by group has no
#' one heritability.
#'
#' `type = "cullis"`: \eqn{H^2 = 1 - \bar v / (2 \sigma^2_g)} (Cullis, Smith and Coombes 2006), with
#' \eqn{\bar v} the mean prediction error variance of the difference of two levels: the basis of
#' trials with replicates, balanced or not. It has no standard error here.
#'
#' @section Repeatability:
#' The share of the variance of a grouping factor, all its terms together, of which a random slope
#' counts by the mean of \eqn{z'Gz} over the rows, as in [intraclass()], which has the estimates of
#' all factors. `adjusted = FALSE` adds the variance of the fixed part to the denominator, taken as
#' known by the limits.
#'
#' @param object A model fitted by [lmm()].
#' @param term The term: its grouping factor by name, or its number. It has one effect.
#' @param group The grouping factor, by name.
#' @param adjusted Leave the variance that the fixed effects explain out of the denominator?
#' @param type `"plot"` or `"cullis"`.
#' @param level,method,... The confidence level, the method and its arguments, as for [vpredict()].
#' @returns A data frame with a row and the columns `estimate`, `se`, `conf.low` and `conf.high`.
#' @references
#' Cullis, B. R., Smith, A. B. and Coombes, N. E. (2006). On the design of early generation variety
#' trials with correlated data. *Journal of Agricultural, Biological, and Environmental Statistics*,
#' 11(4), 381-393.
#'
#' Nakagawa, S. and Schielzeth, H. (2010). Repeatability for Gaussian and non-Gaussian data: a
#' practical guide for biologists. *Biological Reviews*, 85(4), 935-956.
#' @seealso [vpredict()] for any other function; [intraclass()], [r_squared()]
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (1 | Subject), Orthodont)
#' repeatability(fit)
#' repeatability(fit, method = "profile")
#' heritability(fit, "Subject", type = "cullis")
#' @export
heritability <- function(object, term = NULL, type = c("plot", "cullis"), level = 0.95,
                         method = c("delta", "profile", "boot"), ...) {
  check_lmm(object, "heritability")
  type <- match_choice(type, "type", c("plot", "cullis"))
  check_dots(..., allowed = if (type == "plot") bootstrap_arguments)
  t <- heritable_term(object, term)
  if (type == "cullis") {
    if (!missing(method) || !missing(level)) {
      ferrolmm_abort(
        "`type = \"cullis\"` has no limits: leave `method` and `level` out.", "argument"
      )
    }
    return(data.frame(
      estimate = cullis_heritability(object, t), se = NA_real_, conf.low = NA_real_,
      conf.high = NA_real_, row.names = "H2"
    ))
  }
  for (one in object$random) refuse_classes(one)
  starts <- component_starts(object)
  single <- vapply(object$cnms, identical, NA, "(Intercept)")
  if (!all(single)) {
    ferrolmm_abort(
      paste0("The variance of (", object$random[[which(!single)[[1L]]]]$label,
             ") depends on its covariates: there is no one heritability."), "argument",
      i = "vpredict() takes any function of the variances; repeatability() a mean over the rows."
    )
  }
  own <- component_symbol(starts[[t]] + 1L)
  total <- Reduce(function(a, b) call("+", a, b), c(
    lapply(seq_along(object$random), function(t) component_symbol(starts[[t]] + 1L)),
    list(mean_residual(object))
  ))
  share_intervals(object, "h2", call("/", own, total), level, method, ...)
}

#' Refuse a term whose variance differs by group
#' @noRd
refuse_classes <- function(term) {
  if (length(term$by) > 0L) {
    ferrolmm_abort(
      paste0("The variance of (", term_words(term), ") differs by `", by_label(term),
             "`: there is no one heritability."), "argument",
      i = "vpredict() takes any function of the variances; repeatability() a mean over the rows."
    )
  }
}

#' @rdname heritability
#' @export
repeatability <- function(object, group = NULL, adjusted = TRUE, level = 0.95,
                          method = c("delta", "profile", "boot"), ...) {
  check_lmm(object, "repeatability")
  check_dots(..., allowed = bootstrap_arguments)
  check_flag(adjusted, "adjusted")
  groups <- names(object$flist)
  if (length(groups) == 0L) need_random(object, "repeatability()")
  if (is.null(group) && length(groups) == 1L) group <- groups
  if (!is.character(group) || length(group) != 1L || !group %in% groups) {
    ferrolmm_abort(
      "`group` must be the name of a grouping factor.", "argument",
      i = paste0("They are ", quote_names(groups, Inf), ".")
    )
  }
  factor <- match(group, groups)
  random <- lapply(seq_along(object$random), function(t) mean_variance(object, t))
  own <- vapply(object$random, function(term) term$factor == factor, NA)
  add <- function(parts) Reduce(function(a, b) call("+", a, b), parts)
  total <- add(c(random, list(mean_residual(object))))
  if (!adjusted) total <- call("+", total, variance_parts(object)$fixed)
  share_intervals(object, "R", call("/", add(random[own]), total), level, method, ...)
}

#' Limits of an expression in the components, by the way of [vpredict()]
#' @noRd
share_intervals <- function(object, name, expression, level, method, ...) {
  vpredict.lmm(
    object, stats::as.formula(call("~", as.name(name), expression), baseenv()), level,
    match_choice(method, "method", c("delta", "profile", "boot")), ...
  )
}

#' The term that heritability is about
#' @noRd
heritable_term <- function(object, term) {
  if (length(object$random) == 0L) need_random(object, "heritability()")
  groups <- names(object$cnms)
  if (is.null(term)) {
    known <- which(vapply(object$random, function(one) length(one$known) > 0L, NA))
    candidates <- if (length(known) > 0L) known else seq_along(object$random)
    if (length(candidates) != 1L) {
      ferrolmm_abort(
        "`term` must say which term it is about.", "argument",
        i = paste0("The grouping factors are ", quote_names(groups, Inf), ".")
      )
    }
    t <- candidates
  } else if (is.character(term)) {
    t <- match_names(term, groups, "term", "grouping factor", vapply(object$random, function(one) {
      paste0("of (", one$label, ")")
    }, ""))
  } else {
    t <- match_numbers(term, length(groups), "term", "term")
  }
  if (length(t) != 1L) {
    ferrolmm_abort("`term` must be one term.", "argument")
  }
  if (length(object$cnms[[t]]) != 1L) {
    ferrolmm_abort(
      paste0("(", object$random[[t]]$label, ") has more than one effect."), "argument",
      i = "vpredict() takes any function of its variances."
    )
  }
  refuse_classes(object$random[[t]])
  t
}

#' 1 - v / (2 sigma_g^2), v the mean variance of differences u_i - u_j of prediction errors: 2 (tr C
#' - 1'C1 / m) / (m - 1) of their covariance matrix C. Levels of a known precision matrix that have
#' no rows, as ancestors, do not count.
#' @noRd
cullis_heritability <- function(object, t) {
  variance <- component_values(object)[[first_component(object, t)]]
  if (variance == 0) {
    ferrolmm_abort("The variance of the term is zero: the heritability is not defined.", "argument")
  }
  sizes <- vapply(object$random, function(term) {
    length(term$cnms) * nlevels(object$flist[[term$factor]])
  }, 1L)
  at <- object$rank + sum(sizes[seq_len(t - 1L)]) + levels_with_rows(object, t)
  m <- length(at)
  errors <- joint_covariance(object)[at, at, drop = FALSE]
  mean_difference <- 2 * (sum(diag(errors)) - sum(errors) / m) / (m - 1)
  1 - mean_difference / (2 * variance)
}

#' @noRd
levels_with_rows <- function(object, t) {
  factor <- object$random[[t]]$factor
  n_levels <- nlevels(object$flist[[factor]])
  if (has_members(object, factor)) {
    return(seq_len(n_levels))
  }
  which(tabulate(as.integer(object$flist[[factor]]), n_levels) > 0L)
}

#' The number of the first component of a term
#' @noRd
first_component <- function(object, t) {
  component_starts(object)[[match(t, block_terms(object$random))]] + 1L
}

#' The mean of z'Gz over the rows as an expression: a sum of cells times mean products of columns,
#' over the classes of levels where there are any
#' @noRd
mean_variance <- function(object, t) {
  term <- object$random[[t]]
  counts <- attr(own_matrix(object), "counts")
  k <- length(term$cnms)
  cells <- which(lower.tri(diag(k), diag = TRUE), arr.ind = TRUE)
  parts <- lapply(seq_len(count_classes(term)), function(class) {
    level <- class_weights(object, term, class)
    weights <- term_squares(object, t, level, counts)$squares / count_observations(object)
    start <- first_component(object, t) - 1L + (class - 1L) * nrow(cells)
    lapply(seq_len(nrow(cells)), function(c) {
      i <- cells[c, 1L]
      j <- cells[c, 2L]
      times <- weights[i, j] * if (i == j) 1 else 2
      call("*", times, component_symbol(start + cell_number(i, j, k)))
    })
  })
  Reduce(function(a, b) call("+", a, b), unlist(parts, recursive = FALSE))
}

#' The mean of the residual variances over the rows as an expression
#' @noRd
mean_residual <- function(object) {
  first <- component_starts(object)
  first <- first[[length(first)]]
  n_phi <- length(object$phi)
  sigma2 <- component_symbol(first + n_phi + 1L)
  if (!is.null(object$condensed)) {
    return(sigma2)
  }
  if (length(object$residual$scales) == 0L) {
    return(call("*", mean(residual_variances(object)), sigma2))
  }
  phi <- lapply(first + seq_len(n_phi), component_symbol)
  own <- function(...) {
    object$phi[] <- c(...)
    mean(residual_variances(object))
  }
  call("*", as.call(c(list(own), phi)), sigma2)
}
