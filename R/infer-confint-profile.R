#' @param object What `profile()` returned.
#' @param parm The parameters, as `which`; by default all that were profiled.
#' @param level The confidence level.
#' @rdname profile.lmm
#' @importFrom stats confint
#' @export
confint.profile.lmm <- function(object, parm = NULL, level = 0.95, ...) {
  check_dots(...)
  check_level(level)
  paths <- profile_paths(object)
  names <- names(paths)
  if (!is.null(parm)) {
    paths <- paths[match_profiled(parm, object, names)]
  }
  ends <- attr(object, "ends")
  numbers <- match(names(paths), names(object)) - 1L
  limits <- vapply(seq_along(paths), function(i) {
    profile_limits(paths[[i]], stats::qnorm((1 + level) / 2), ends[numbers[[i]], ])
  }, c(0, 0))
  limits <- matrix(
    limits, ncol = 2L, byrow = TRUE, dimnames = list(names(paths), percent_names(level))
  )
  short <- rowSums(is.na(limits)) > 0
  if (any(short)) {
    ferrolmm_warn(
      paste0("The profile of ", quote_names(rownames(limits)[short]), " does not reach the level ",
             format(level), "."),
      "profile",
      i = "Profile further with a larger `cutoff`; limits that are NA were not found."
    )
  }
  limits
}

#' Which of the profiled parameters are meant
#' @noRd
match_profiled <- function(parm, object, names) {
  known <- attr(object, "parameters")
  moved <- match(names, names(object)) - 1L
  groups <- list(
    theta_ = moved[moved <= attr(object, "n_variance")],
    beta_ = moved[moved > attr(object, "n_variance")]
  )
  wanted <- if (is.character(parm)) {
    c(
      unlist(groups[names(groups) %in% parm]),
      match_either(
        setdiff(parm, names(groups)), known$old, known$new, "parm", known$details
      )
    )
  } else {
    match_numbers(parm, length(known$old), "parm", "parameter")
  }
  found <- match(wanted, moved)
  if (anyNA(found)) {
    ferrolmm_abort(
      "`parm` names a parameter that was not profiled.", "argument",
      i = paste0("Profiled are ", quote_names(names, 10L), ".")
    )
  }
  sort(unique(found))
}

#' Where zeta is -target and target
#'
#' A path that ends at the boundary before that has its limit there; where a path stops short of the
#' boundary nothing is known.
#' @noRd
profile_limits <- function(path, target, ends) {
  rising <- rising_path(path)
  value <- rising$value
  zeta <- rising$zeta
  curve <- interpolate_path(rising)
  limit <- function(goal, farthest, last, end) {
    if (abs(farthest) < abs(goal) || sign(farthest) != sign(goal)) {
      return(if (last == end) end else NA_real_)
    }
    inside <- value[findInterval(goal, zeta, all.inside = TRUE) + 0:1]
    stats::uniroot(
      function(v) curve(v) - goal, inside, tol = max(1e-9 * abs(inside), 1e-300)
    )$root
  }
  n <- length(path$value)
  c(
    limit(-target, zeta[[1L]], path$value[[1L]], ends[[1L]]),
    limit(target, zeta[[length(zeta)]], path$value[[n]], ends[[2L]])
  )
}

#' The points of a path where |zeta| is larger than at all points closer to the estimate
#'
#' The sides are those of the estimate, not of the sign of zeta, which is also zero where a refit
#' found a criterion as low as that of the estimate.
#' @noRd
rising_path <- function(path) {
  n <- length(path$zeta)
  center <- max(which(abs(path$zeta) == min(abs(path$zeta))))
  outwards <- function(points, sign) {
    size <- sign * path$zeta[points]
    points[size > cummax(c(0, size))[seq_along(size)]]
  }
  below <- rev(seq_len(center - 1L))
  above <- seq_len(n)[-seq_len(center)]
  kept <- c(rev(outwards(below, -1)), center, outwards(above, 1))
  list(value = path$value[kept], zeta = path$zeta[kept])
}

#' zeta as a monotone function of the value
#' @noRd
interpolate_path <- function(path) {
  if (length(path$value) > 2L) {
    return(stats::splinefun(path$value, path$zeta, method = "hyman"))
  }
  function(v) if (length(path$value) == 2L) stats::approx(path$value, path$zeta, v)$y else NA_real_
}

#' Profile confidence intervals, for confint(): a row for each parameter, NA for those not wanted
#' @noRd
profile_confidence <- function(object, level, wanted) {
  limits <- matrix(NA_real_, length(parameter_names(object, TRUE)), 2L)
  chosen <- match_parameters(wanted, object)
  if (length(chosen) > 0L) {
    # paths end there, so that hardly anything is interpolated
    cutoff <- stats::qnorm((1 + level) / 2)
    profiled <- profile_of(object, chosen, cutoff, signames = FALSE, coefficients = FALSE)
    moved <- match(levels(profiled[[".par"]]), names(profiled)) - 1L
    limits[moved, ] <- confint.profile.lmm(profiled, level = level)
  }
  limits
}
