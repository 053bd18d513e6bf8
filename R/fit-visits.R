# Residual covariances by visit: what an MMRM estimates, whatever the visits that a group lacks.

#' The covariance matrices of the residuals of one group, a row and a column for each visit
#'
#' Of a row of weight 1, where there are prior weights. Standard deviations may differ between
#' strata, as those of varIdent(form = ~ 1 | arm): then there is a matrix for each stratum.
#' @param sigma the residual standard deviation.
#' @returns a list of matrices with the names of the visits, named by stratum (one without a name
#'   where there are no strata), with the attribute `complete`: can all parameters be read from
#'   them? NULL where rows have no visits, or the standard deviation at a
#'   visit depends on something else
#' @noRd
visit_covariances <- function(object, sigma = object$sigma) {
  residual <- object$residual
  if (is.null(residual$correlation) || length(residual$fixed) > 0L || has_known_rows(residual)) {
    return(NULL)
  }
  design <- training_design(object)
  visits <- fit_visits(residual, design, object$frame)
  if (is.null(visits)) {
    return(NULL)
  }
  strata <- visit_strata(residual$scales, visits$name, object$frame)
  sd <- sigma * if (length(residual$scales)) {
    scale_values(residual, object$phi, design, count_rows(object))
  } else {
    rep.int(1, count_rows(object))
  }
  classes <- design$correlation$classes$codes
  par <- split_phi(residual, object$phi)$correlation
  matrices <- lapply(split(seq_along(sd), strata), function(rows) {
    by_visit <- visit_deviations(sd[rows], visits$codes[rows], length(visits$labels))
    if (!is.null(by_visit)) {
      class <- if (is.null(classes)) 1L else classes[[rows[[1L]]]]
      correlation <- position_correlation(
        residual$correlation, class_parameters(residual$correlation, par, class), visits$position,
        length(visits$labels)
      )
      seen <- !is.na(by_visit)
      value <- correlation * outer(by_visit, by_visit)
      dimnames(value) <- list(visits$labels, visits$labels)
      value[seen, seen, drop = FALSE]
    }
  })
  if (!any(vapply(matrices, is.null, NA))) {
    structure(matrices, complete = is_read_from_visits(residual))
  }
}

#' Can all parameters of a residual structure be read from the covariance matrix of the visits?
#' @noRd
is_read_from_visits <- function(residual) {
  covariate <- vapply(residual$scales, function(s) scale_kind(s$type)$covariate, NA)
  correlation_kind(residual$correlation$type)$each %in% c("pair", "neighbours") && !any(covariate)
}

#' The visits of the rows of a fit: labels, positions as the engine takes them, and the visit of
#' each row
#'
#' Where positions make no difference, as under compound symmetry, these are the levels of a
#' variable of which standard deviations depend, if no group has two rows of one level.
#' @noRd
fit_visits <- function(residual, design, frame) {
  correlation <- residual$correlation
  if (correlation$kind == "none") {
    name <- setdiff(unlist(lapply(residual$scales, `[[`, "stratum")), correlation$by)
    if (length(name) != 1L) {
      return(NULL)
    }
    coded <- code_variable(frame[[name]], name)
    codes <- as.integer(coded$codes)
    if (anyDuplicated(cbind(design$groups$codes, codes))) {
      return(NULL)
    }
    return(list(name = name, labels = coded$levels, position = NULL, codes = codes))
  }
  at <- design$correlation$position
  if (is.list(at) || !is.integer(at)) {
    return(NULL)
  }
  position <- sort(unique(at))
  labels <- if (!is.null(correlation$visits)) {
    correlation$visits[position]
  } else if (correlation$kind == "number") {
    format(correlation$origin + position, trim = TRUE, digits = 15L)
  } else {
    as.character(position)
  }
  list(
    name = correlation$covariates, labels = labels, position = position,
    codes = match(at, position)
  )
}

#' The stratum of each row, of variance functions that have other strata than the visits
#' @noRd
visit_strata <- function(scales, visit, frame) {
  names <- setdiff(unlist(lapply(scales, `[[`, "stratum")), visit)
  if (length(names) == 0L) {
    return(factor(rep.int("", nrow(frame))))
  }
  strata <- group_factor(names, frame)
  factor(strata$levels[strata$codes], levels = strata$levels)
}

#' The standard deviation at each visit, NA for visits without rows; NULL where it is not the same
#' for all rows of a visit
#' @noRd
visit_deviations <- function(sd, codes, n) {
  first <- sd[match(seq_len(n), codes)]
  if (isTRUE(all(abs(sd - first[codes]) <= 1e-12 * first[codes]))) first
}

#' Groups of residuals that are no grouping factor of the random effects: their number, and the most
#' rows that one of them has
#' @noRd
residual_subjects <- function(object) {
  correlation <- object$residual$correlation
  if (is.null(correlation) || length(correlation$group) == 0L) {
    return(NULL)
  }
  list(
    name = correlation$group_label,
    count = length(residual_groups(correlation, object$frame)$levels),
    most = correlation$largest
  )
}
