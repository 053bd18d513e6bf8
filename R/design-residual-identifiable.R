# Random effects that a residual structure contains.

#' Warn of a random-effects term that the residual structure already contains
#'
#' Where one of the two is held there is nothing to tell apart.
#' @noRd
check_identifiable <- function(residual, frame, random, control) {
  correlation <- residual$correlation
  if (length(random$terms) == 0L || is.null(correlation) && length(residual$scales) == 0L) {
    return(invisible())
  }
  if (count_free(control, residual$names, residual$held) == 0L) {
    return(invisible())
  }
  codes <- if (!is.null(correlation)) residual_groups(correlation, frame)$codes
  for (term in random$terms) {
    if (length(term$known) || count_free(control, term_theta_names(term)) == 0L) {
      next
    }
    own <- as.integer(random$flist[[term$factor]])
    if (is.null(codes) || !is_constant_within(own, codes) || !is_constant_within(codes, own)) {
      next
    }
    why <- overlap(residual, term, frame, codes)
    if (!is.null(why)) {
      ferrolmm_warn(
        paste0("The random-effects term (", term$label, ") and the residual structure ",
               describe_residual_term(residual), " cannot be told apart."),
        "identifiable",
        x = why, i = "Leave one of them out."
      )
    }
  }
}

#' Why a term on the groups of the residual structure adds nothing to it; NULL if it does
#' @noRd
overlap <- function(residual, term, frame, codes) {
  correlation <- residual$correlation
  type <- correlation$type
  intercept <- identical(term$cnms, "(Intercept)")
  by_visit <- length(residual$scales) > 0L
  each <- correlation_kind(type)$each
  if (intercept && is_exchangeable(type) && !by_visit) {
    return(paste0("Both give every pair of rows of a `", term$group, "` the same covariance."))
  }
  if (each == "none") {
    visit_effects <- effects_by_row(term, frame, codes)
    same <- visit_effects && term$structure == type
    return(if (same) {
      paste0("Both are ", structure_words[[type]]$words, " over the rows of a `", term$group, "`.")
    })
  }
  if (intercept && each %in% c("pair", "lag")) {
    return(paste0(
      "The correlations of the residuals are free: they take up what the rows of a `", term$group,
      "` have in common."
    ))
  }
  if (each == "pair" && by_visit && constant_at_visits(term, frame, correlation)) {
    return(paste0(
      "The covariance matrix of the visits of a `", term$group,
      "` is free: it contains that of these random effects."
    ))
  }
  contains <- term$structure == type || random_kind(term$structure)$factor
  if (effects_by_row(term, frame, codes) && contains) {
    paste0("Both are covariances of the visits of a `", term$group, "`.")
  }
}

#' Are the effects of a term indicators, one for each row of a group?
#' @noRd
effects_by_row <- function(term, frame, codes) {
  if (length(term$cnms) < 2L) {
    return(FALSE)
  }
  columns <- do.call(cbind, lapply(term_columns(term, frame), function(x) if (is.null(x)) 1 else x))
  if (!all(columns %in% c(0, 1)) || any(rowSums(columns) != 1)) {
    return(FALSE)
  }
  !anyDuplicated(data.frame(codes, max.col(columns)))
}

#' Does each column of the term's basis have one value at a visit?
#' @noRd
constant_at_visits <- function(term, frame, correlation) {
  visit <- residual_positions(correlation, frame, residual_groups(correlation, frame)$codes)
  all(vapply(term_columns(term, frame), function(x) {
    is.null(x) || is_constant_within(x, visit)
  }, NA))
}
