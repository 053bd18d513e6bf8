#' Profile the likelihood
#'
#' How the criterion rises as one parameter moves away from its estimate and all others are fitted
#' again. The profile of a parameter is kept as `zeta`, the signed root of the change in the
#' criterion: if the estimate were normally distributed with a known variance it would be a straight
#' line.
#'
#' @details
#' Standard deviations, correlations and sigma are profiled in the criterion that was fitted: REML
#' for a fit by REML (where 'lme4' fits by ML first). Fixed effects have a likelihood only under ML:
#' those of a fit by REML are profiled around the ML fit of the same model, as in 'lme4'. Use
#' `refitML()` first to have all parameters profiled in one criterion.
#'
#' A profile of a fixed effect ends, with a warning, where the next point has no optimum because the
#' other parameters do not converge. A fit that is not an optimum itself has no such profile.
#'
#' Parameters that are held, and a known sigma (see [lmm_control()]), stay where they are and are
#' left out; those that are tied move together.
#'
#' Where a standard deviation can go to zero, or a correlation to 1 or -1, before `zeta` reaches the
#' cutoff, the profile ends at that point, and so does the confidence interval. The profile of a
#' correlation keeps to the path from the estimate: where the criterion rises by more than leaving
#' out one of its two variances costs, any correlation would do with that variance at zero. A
#' correlation with an effect whose variance is estimated as zero has no profile, and its limits are
#' `NA`.
#'
#' @param fitted A model fitted by [lmm()].
#' @param which The parameters: `"theta_"` (standard deviations, correlations and sigma), `"beta_"`
#'   (fixed effects), names (with or without `signames`), or numbers in the order of the variance
#'   parameters, sigma, and the fixed effects. By default all.
#' @param alphamax The profile goes as far as needed for joint confidence regions of level
#'   `1 - alphamax` of all parameters.
#' @param signames Names `.sig01`, `.sig02`, ..., `.sigma` as in 'lme4' (`TRUE`), or
#'   `sd_(Intercept)|Subject` and so on?
#' @param cutoff The largest absolute `zeta`, instead of `alphamax`.
#' @param ... Not used; any other argument is an error.
#' @returns A data frame of class `profile.lmm`: `.zeta`; a column for each parameter of the model,
#'   its value when `.par`, a factor, is the one that moves. There are methods for [confint()],
#'   [plot()], [print()] and [as.data.frame()].
#' @references
#' Bates, D. M. and Watts, D. G. (1988). *Nonlinear Regression Analysis and Its Applications*.
#' Wiley.
#' @seealso [plot.profile.lmm()], [confint.lmm()]
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' profiled <- profile(fit, "theta_")
#' confint(profiled)
#' plot(profiled)
#' @importFrom stats profile
#' @export
profile.lmm <- function(fitted, which = NULL, alphamax = 0.01, signames = TRUE, cutoff = NULL,
                        ...) {
  check_dots(...)
  check_flag(signames, "signames")
  chosen <- match_parameters(which, fitted)
  cutoff <- profile_cutoff(cutoff, alphamax, count_variance(fitted) + fitted$rank)
  profile_of(fitted, chosen, cutoff, signames)
}

#' Profiles of parameters by number
#'
#' @param coefficients find the fixed effects along the profiles of variance parameters?
#'   Intervals do not need them.
#' @noRd
profile_of <- function(object, chosen, cutoff, signames, coefficients = TRUE) {
  require_maximum(object, "A profile")
  if (identical(object$certificate$status, "not-settled")) {
    ferrolmm_abort(
      paste0("There is nothing to profile: the fitted values that the variance function ",
             "depends on did not settle."), "argument",
      i = "Use a variable as covariate: varPower(form = ~ x)."
    )
  }
  n_variance <- count_variance(object)
  paths <- c(
    profile_variance(object, chosen[chosen <= n_variance], cutoff, coefficients),
    profile_fixed(object, chosen[chosen > n_variance] - n_variance, cutoff)
  )
  moved <- lengths(paths) > 0L
  if (!any(moved)) {
    ferrolmm_abort(
      "There is nothing to profile: none of the parameters that were asked for can move.",
      "argument",
      i = paste("Parameters that are held stay where they are, and the correlations of an effect",
                "whose variance is zero mean nothing.")
    )
  }
  new_profile(
    paths[moved], chosen[moved], column_names(parameter_names(object, signames)), object, cutoff,
    signames
  )
}

#' Positions of the parameters that `which` asks for, sorted; aliased ones are left out
#' @noRd
match_parameters <- function(which, object) {
  old <- parameter_names(object, TRUE)
  n_variance <- count_variance(object)
  identified <- c(seq_len(n_variance), n_variance + unname(kept_columns(object)))
  if (is.null(which)) {
    return(identified)
  }
  if (is.character(which)) {
    groups <- list(theta_ = seq_len(n_variance), beta_ = seq_along(old)[-seq_len(n_variance)])
    chosen <- c(
      groups[names(groups) %in% which],
      match_either(
        setdiff(which, names(groups)), old, parameter_names(object, FALSE), "which",
        parameter_details(object)
      )
    )
    return(intersect(identified, unlist(chosen)))
  }
  intersect(identified, match_numbers(which, length(old), "which", "parameter"))
}

#' Positions of parameters by either of their names
#' @noRd
match_either <- function(given, old, new, argument, details) {
  # a parameter whose two names are the same is listed once
  at <- match(given, old)
  other <- is.na(at) & given %in% new
  match_names(given[!other], old, argument, "parameter", details)
  check_unambiguous(given[other], new, argument, "parameter", details)
  both <- !other & given %in% new & match(given, new) != at
  if (any(both)) {
    check_unambiguous(
      given[both], c(old, new), argument, "parameter", rep.int(details, 2L)
    )
  }
  at[other] <- match(given[other], new)
  at
}

#' @noRd
profile_cutoff <- function(cutoff, alphamax, n_parameters) {
  if (is.null(cutoff)) {
    if (!is.numeric(alphamax) || length(alphamax) != 1L || is.na(alphamax) || alphamax <= 0 ||
          alphamax >= 1) {
      ferrolmm_abort("`alphamax` must be a number between 0 and 1.", "argument")
    }
    return(sqrt(stats::qchisq(1 - alphamax, n_parameters)))
  }
  if (!is.numeric(cutoff) || length(cutoff) != 1L || !is.finite(cutoff) || cutoff <= 0) {
    ferrolmm_abort("`cutoff` must be a positive number.", "argument")
  }
  as.double(cutoff)
}

#' @noRd
new_profile <- function(paths, chosen, names, object, cutoff, signames) {
  lengths <- vapply(paths, function(path) length(path$zeta), 1L)
  parameters <- do.call(cbind, lapply(paths, `[[`, "parameters"))
  values <- c(
    list(.zeta = unlist(lapply(paths, `[[`, "zeta"))),
    lapply(stats::setNames(seq_along(names), names), function(i) parameters[i, ]),
    list(.par = factor(rep.int(names[chosen], lengths), levels = names[chosen]))
  )
  structure(
    values,
    class = c("profile.lmm", "data.frame"), row.names = seq_len(sum(lengths)),
    cutoff = cutoff, REML = object$REML, signames = signames,
    parameters = list(
      old = parameter_names(object, TRUE), new = parameter_names(object, FALSE),
      details = parameter_details(object)
    ),
    n_variance = count_variance(object),
    ends = profile_ends(object)
  )
}

#' Names of the columns of a profile: distinct, and none of those that a profile has itself
#' @noRd
column_names <- function(names) {
  make.unique(c(".zeta", ".par", names))[-(1:2)]
}

#' The boundary of each parameter
#' @noRd
profile_ends <- function(object) {
  ends <- variance_ends(object)
  ends[nrow(ends), 1L] <- 0
  p <- length(object$coefficients)
  cbind(lower = c(ends[, 1L], rep.int(-Inf, p)), upper = c(ends[, 2L], rep.int(Inf, p)))
}

#' @param x What `profile()` returned.
#' @param row.names,optional Not used; arguments of the generic.
#' @rdname profile.lmm
#' @export
as.data.frame.profile.lmm <- function(x, row.names = NULL, optional = FALSE, ...) {
  check_dots(..., allowed = "stringsAsFactors")
  table <- structure(
    lapply(stats::setNames(seq_along(names(x)), names(x)), function(i) x[[i]]),
    class = "data.frame", row.names = seq_along(x[[".zeta"]])
  )
  # as in 'lme4': the value of the parameter that the row moves
  table$.focal <- numeric(nrow(table))
  for (name in levels(x[[".par"]])) {
    rows <- which(x[[".par"]] == name)
    table$.focal[rows] <- x[[name]][rows]
  }
  finish_table(table, row.names, ...)
}

#' @param digits The number of significant digits to print.
#' @rdname profile.lmm
#' @export
print.profile.lmm <- function(x, digits = 4L, ...) {
  check_dots(...)
  check_digits(digits)
  cat("Profile of ", describe_profile(x), "\n\n", sep = "")
  paths <- profile_paths(x)
  table <- data.frame(
    points = vapply(paths, function(path) length(path$zeta), 1L),
    from = vapply(paths, function(path) path$value[[1L]], 1),
    estimate = vapply(paths, function(path) path$value[path$zeta == 0][1L], 1),
    to = vapply(paths, function(path) path$value[[length(path$value)]], 1),
    "zeta from" = vapply(paths, function(path) path$zeta[[1L]], 1),
    "zeta to" = vapply(paths, function(path) path$zeta[[length(path$zeta)]], 1),
    row.names = readable_names(x)[match(names(paths), names(x)) - 1L], check.names = FALSE
  )
  print(table, digits = digits)
  invisible(x)
}

#' Names of the parameters of a profile that say what they are, distinct
#' @noRd
readable_names <- function(x) make.unique(attr(x, "parameters")$new)

#' @noRd
describe_profile <- function(x) {
  moved <- match(levels(x[[".par"]]), names(x)) - 1L
  variance <- any(moved <= attr(x, "n_variance"))
  fixed <- any(moved > attr(x, "n_variance"))
  if (!attr(x, "REML")) {
    "the deviance (ML)"
  } else if (variance && fixed) {
    "the REML criterion; fixed effects: of the deviance (ML)"
  } else if (variance) {
    "the REML criterion"
  } else {
    "the deviance (ML)"
  }
}

#' Value and zeta of each parameter that was profiled
#' @noRd
profile_paths <- function(x) {
  by <- split(seq_along(x[[".zeta"]]), x[[".par"]], drop = TRUE)
  lapply(stats::setNames(names(by), names(by)), function(name) {
    list(value = x[[name]][by[[name]]], zeta = x[[".zeta"]][by[[name]]])
  })
}
