# Variance parameters that are held at a value or tied to each other, by name and by position.

#' Are the names in `hold` and `tie` those of parameters?
#' @noRd
check_constraints <- function(control, names) {
  for (role in c("hold", "tie")) {
    given <- if (role == "hold") names(control$hold) else unlist(control$tie)
    unknown <- setdiff(given, names)
    if (length(unknown) > 0L) {
      ferrolmm_abort(
        paste0("`", role, "` names no parameter of the model: ", quote_names(unknown), "."),
        "argument",
        i = c(
          did_you_mean(unknown[[1L]], names),
          if (length(names)) paste0("Its parameters are ", quote_names(names, 12L), ".") else
            "The model has no variance parameter beside sigma."
        )
      )
    }
    twice <- intersect(given, names[duplicated(names)])
    if (length(twice) > 0L) {
      ferrolmm_abort(
        paste0("`", role, "`: more than one parameter is called ", quote_names(twice), "."),
        "argument"
      )
    }
  }
  both <- intersect(names(control$hold), unlist(control$tie))
  if (length(both) > 0L) {
    ferrolmm_abort(
      paste0("A parameter cannot be held and tied: ", quote_names(both), "."), "argument",
      i = "Hold all parameters of the set at the value."
    )
  }
}

#' Are the values in `hold` possible ones?
#' @param names,lower,upper of theta and phi.
#' @noRd
check_held_values <- function(control, names, lower, upper) {
  at <- match(names(control$hold), names)
  wrong <- which(control$hold < lower[at] | control$hold > upper[at])
  if (length(wrong) == 0L) {
    return(invisible())
  }
  first <- wrong[[1L]]
  ends <- c(lower[at[[first]]], upper[at[[first]]])
  ferrolmm_abort(
    paste0("`hold` has an impossible value for ", quote_names(names(control$hold)[[first]]), ": ",
           format(control$hold[[first]]), "."),
    "restriction",
    x = if (ends[[2L]] < Inf) {
      paste0("It is between ", format(ends[[1L]]), " and ", format(ends[[2L]]), ".")
    } else {
      "It is a standard deviation, a ratio of such or a range, and not negative."
    }
  )
}

#' A start with the parameters that are held at their values: they start nowhere else
#' @noRd
start_at_held <- function(start, control, names) {
  at <- match(names(control$hold), names)
  if (!is.null(start)) start[at] <- control$hold
  start
}

#' `hold` and `tie` by position, as the engine takes them; names that are not in the model are left
#' out
#'
#' @param names of theta and phi.
#' @noRd
resolve_constraints <- function(control, names) {
  if (isTRUE(control$resolved) || (is.null(control$hold) && is.null(control$tie))) {
    return(control)
  }
  at <- match(names, names(control$hold))
  hold <- if (any(!is.na(at))) unname(control$hold)[at]
  tie <- NULL
  if (length(control$tie) > 0L) {
    tie <- seq_along(names)
    for (set in control$tie) {
      own <- which(names %in% set)
      tie[own] <- own[1L]
    }
    if (!anyDuplicated(tie)) {
      tie <- NULL
    }
  }
  control["hold"] <- list(hold)
  control["tie"] <- list(tie)
  control$resolved <- TRUE
  control
}

#' The control of a fit by position: constraints, and penalties term by term
#'
#' @param random list(terms, theta_names) of the random part.
#' @noRd
resolve_control <- function(control, random, residual_names) {
  control <- resolve_penalties(control, random$terms)
  resolve_constraints(control, c(random$theta_names, residual_names))
}

#' How many of the parameters with these names the constraints leave free
#' @noRd
count_free <- function(control, names, held = logical(length(names))) {
  resolved <- resolve_constraints(control, names)
  if (!is.null(resolved$hold)) {
    held <- held | !is.na(resolved$hold)
  }
  sets <- if (is.null(resolved$tie)) seq_along(names) else resolved$tie
  length(unique(sets[!held]))
}
