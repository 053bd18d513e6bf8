#' Simulate responses from a fitted model
#'
#' @details
#' Random effects are drawn anew from their estimated distribution, residuals with variance
#' \eqn{\sigma^2 / w}, or with the covariance matrix that the residual structure gives (rows of
#' `newdata` are correlated among each other, not with the rows of the fit). With `re.form` (or
#' `use.u = TRUE`) random effects are kept at their conditional modes instead: `NULL`, all of them;
#' `~ (1 | g)`, only these, while the others are drawn. Simulations from one seed do not depend on
#' `nsim`: the first column is always the same. Rows of `newdata` whose mean cannot be estimated are
#' `NA`, with a warning, see [predict.lmm()].
#'
#' @param object A model fitted by [lmm()].
#' @param nsim Number of simulations.
#' @param seed A seed for [set.seed()]; the generator's state is restored afterwards. `NULL`
#'   continues from the current state.
#' @param use.u Keep the random effects of the fit? The same as `re.form = NULL`.
#' @param re.form The random effects to keep: `NA` or `~0`, none; `NULL`, all; a formula, as for
#'   [predict.lmm()].
#' @param newdata A data frame to simulate for. By default the rows of the fit.
#' @param allow.new.levels For levels that the fit has not seen, where random effects are kept: draw
#'   them (`TRUE`) or raise an error (`FALSE`)? Levels of effects that are drawn anyway may be new.
#' @param na.action What to do with missing values in `newdata`.
#' @param weights Prior weights for `newdata`: one number, or one for each row. 1 by default.
#' @param newparams Other parameters to simulate with, as for [predict.lmm()].
#' @param ... Not used; any other argument is an error.
#' @returns A data frame with a column for each simulation, and the attribute `seed`.
#' @seealso [bootstrap()], [predict.lmm()]
#' @examples
#' data(Orthodont, package = "nlme")
#' fit <- lmm(distance ~ age + (age | Subject), Orthodont)
#' responses <- simulate(fit, nsim = 2, seed = 1)
#' head(responses)
#' fixef(refit(fit, responses[[1]]))
#' @importFrom stats simulate
#' @export
simulate.lmm <- function(object, nsim = 1, seed = NULL, use.u = FALSE, re.form = NA,
                         newdata = NULL, allow.new.levels = FALSE, na.action = stats::na.pass,
                         weights = NULL, newparams = NULL, ...) {
  check_dots(..., hints = c(
    family = "lmm() is for normal responses.",
    offset = "An offset of other rows is a column of `newdata`."
  ))
  check_simulate(nsim, use.u, missing(re.form))
  check_flag(allow.new.levels, "allow.new.levels")
  na_action <- check_na_function(na.action)
  if (!is.null(newparams)) {
    require_bounds(object, "`newparams`")
    object <- with_parameters(object, newparams)
  }
  state <- random_state(seed)
  if (!is.null(state$before)) {
    on.exit(assign(".Random.seed", state$before, envir = globalenv()))
  }
  kept <- select_random(object, if (use.u) NULL else re.form)
  rows <- if (is.null(newdata)) {
    training_rows(object, kept, NULL)
  } else {
    simulation_rows(object, newdata, kept, allow.new.levels, na_action)
  }
  means <- predicted_values(object, rows, kept, random_only = FALSE)
  if (is_nobound(object)) {
    if (length(kept) > 0L || !is.null(newdata) || !is.null(weights)) {
      abort_nobound("simulate() but for the rows of the fit and all of their random effects")
    }
    drawn <- list()
    noise <- marginal_drawer(object)
  } else {
    drawn <- drawn_terms(object, rows, kept)
    noise <- noise_drawer(object, rows, weights, means)
  }
  require_room(
    # and what R keeps for each column besides its numbers
    nsim * (length(means) + 16),
    paste0(count_of(nsim, "simulation"), " of ", count_of(length(means), "row")),
    "Simulate fewer at a time; with a `seed` for each part they can be made again."
  )
  columns <- with_memory(lapply(seq_len(nsim), function(i) {
    values <- means
    for (term in drawn) {
      values <- values + draw_term(object$sigma, term)
    }
    stats::napredict(rows$omitted, values + noise())
  }))
  names(columns) <- paste0("sim_", seq_len(nsim))
  all_names <- names(stats::napredict(rows$omitted, stats::setNames(means, rows$names)))
  structure(columns, class = "data.frame", row.names = all_names, seed = state$seed)
}

#' @noRd
check_simulate <- function(nsim, use_u, default_re) {
  check_count(nsim, "nsim", 1L)
  check_flag(use_u, "use.u")
  if (use_u && !default_re) {
    ferrolmm_abort("`use.u` and `re.form` cannot both be given.", "argument")
  }
}

#' Set the generator like stats::simulate()
#'
#' @returns list(seed = the attribute of the result, before = the state to restore, NULL for none)
#' @noRd
random_state <- function(seed) {
  whole <- is.null(seed) || is.numeric(seed) && length(seed) == 1L && !is.na(seed) &&
    abs(seed) <= .Machine$integer.max
  if (!whole) {
    ferrolmm_abort(
      paste0("`seed` must be a whole number or NULL", describe_given(seed), "."), "argument"
    )
  }
  if (!exists(".Random.seed", envir = globalenv(), inherits = FALSE)) {
    stats::runif(1)
  }
  before <- get(".Random.seed", envir = globalenv())
  if (is.null(seed)) {
    return(list(seed = before))
  }
  set.seed(seed)
  list(seed = structure(seed, kind = as.list(RNGkind())), before = before)
}

#' New rows; the grouping factors of random effects that are drawn must be among their columns
#' @noRd
simulation_rows <- function(object, newdata, kept, allow_new_levels, na_action) {
  need_known_rows(
    object, "A simulation of new rows", "Fit the model with their covariances, or simulate its own."
  )
  rows <- new_rows(object, newdata, kept, FALSE, allow_new_levels, na_action)
  used <- check_newdata(newdata)
  if (length(rows$omitted) > 0L) {
    used <- used[-rows$omitted, , drop = FALSE]
  }
  columns <- c(
    prediction_columns(object, object$random, FALSE), residual_columns(object$residual),
    class_columns(object, object$random, used)
  )
  rows$frame <- structure(
    new_frame(object, used, unique(columns)), row.names = seq_along(rows$names)
  )
  rows
}

#' Random effects to draw: list(factors = T of each class of levels, classes (of all levels, NULL
#' where there are none), columns, codes of levels, n_levels, active)
#'
#' Of a term that is kept, only unknown levels are drawn (`active` rows).
#' @noRd
drawn_terms <- function(object, rows, kept) {
  factors <- term_factors(unname(object$theta), object$random)
  kept_term <- vapply(kept, `[[`, 1L, "term")
  drawn <- lapply(seq_along(object$random), function(t) {
    term <- object$random[[t]]
    at <- match(t, kept_term)
    known <- if (!is.na(at)) rows$codes[[at]]
    if (!is.na(at)) {
      check_whole_term(kept[[at]], term)
      if (if (is.list(known)) all(known$unknown == 0) else !anyNA(known)) {
        return(NULL)
      }
    }
    if (!is.null(term$members)) {
      return(drawn_members(object, term, rows, factors[[t]], !is.na(at)))
    }
    codes <- simulation_codes(object, term, rows)
    covariance <- level_covariance(object, term$factor)
    n_levels <- max(codes, nrow(covariance), 0L)
    list(
      factors = factors[[t]], classes = drawn_classes(object, term, rows, codes, n_levels),
      columns = term_columns(term, rows$frame), codes = codes, n_levels = n_levels,
      active = if (is.na(at)) 1 else is.na(known), root = known_root(covariance)
    )
  })
  drawn[lengths(drawn) > 0L]
}

#' The random effects of mm() to draw; where the known ones are kept, those of unknown levels alone
#' @noRd
drawn_members <- function(object, term, rows, factors, kept) {
  members <- if (rows$fitted) {
    own_codes(object, term$factor)
  } else {
    new_members(object, term, rows$frame, TRUE, extended = TRUE)
  }
  n_known <- nlevels(object$flist[[term$factor]])
  if (kept) members$weight[members$level <= n_known] <- 0
  list(
    factors = factors, classes = NULL, columns = term_columns(term, rows$frame), codes = members,
    n_levels = max(members$level, n_known), active = 1, root = NULL
  )
}

#' The class of each of the levels that are drawn; NULL where there are none
#' @noRd
drawn_classes <- function(object, term, rows, codes, n_levels) {
  if (is.null(term$class_of)) {
    return(NULL)
  }
  # the number of a level that is in no row takes any
  classes <- c(term$class_of, rep.int(1L, max(n_levels - length(term$class_of), 0L)))
  new <- which(codes > length(term$class_of))
  if (length(new) > 0L) {
    classes[codes[new]] <- row_classes(object, term, rows, new)
  }
  classes[seq_len(n_levels)]
}

#' @noRd
check_whole_term <- function(part, term) {
  if (length(part$effects) < length(term$cnms)) {
    ferrolmm_abort(
      paste0("`re.form` keeps only some of the effects of (", term$label, ")."), "argument",
      i = "Keep all of them, or none: they are correlated."
    )
  }
}

#' Codes of a term's levels in the rows, new levels and missing ones included
#' @noRd
simulation_codes <- function(object, term, rows) {
  if (rows$fitted) {
    return(as.integer(object$flist[[term$factor]]))
  }
  codes <- new_codes(object, term, rows$frame, allow_new_levels = TRUE)
  n_known <- nlevels(object$flist[[term$factor]])
  missing <- missing_rows(rows$frame, term$leaves)
  unseen <- which(is.na(codes) & !missing)
  if (length(unseen)) {
    columns <- lapply(unclass(rows$frame)[term$leaves], function(x) plain_values(x)[unseen])
    codes[unseen] <- n_known + group_factor(term$leaves, columns)$codes
  }
  # a missing level counts as a level of its own
  unnamed <- which(is.na(codes))
  codes[unnamed] <- max(n_known, codes, na.rm = TRUE) + seq_along(unnamed)
  codes
}

#' A function that draws residuals of the rows
#' @noRd
noise_drawer <- function(object, rows, weights, means) {
  n <- length(rows$names)
  deviation <- object$sigma * sqrt(noise_variances(object, rows, weights, means))
  if (!has_correlation(object)) {
    return(function() deviation * stats::rnorm(n))
  }
  design <- residual_design(object$residual, frame_with_fitted(object, rows, means))
  check_new_positions(object, rows, design)
  color <- function(z) {
    tryCatch(
      correlation_times(object, design, z, "color"),
      ferrolmm_error_residual_start = function(error) {
        abort_impossible_group(object, rows, design, error)
      }
    )
  }
  function() deviation * drop(color(stats::rnorm(n)))
}

#' The group of new rows that cannot have the residual correlation of the fit
#' @noRd
abort_impossible_group <- function(object, rows, design, error) {
  correlation <- object$residual$correlation
  of_rows <- function(x, at) if (is.list(x)) lapply(x, `[`, at) else x[at]
  is_impossible <- function(at) {
    design$groups <- list(codes = rep.int(1L, length(at)), n_levels = 1L)
    if (!is.null(design$correlation$position)) {
      design$correlation$position <- of_rows(design$correlation$position, at)
    }
    if (!is.null(design$correlation$classes)) {
      design$correlation$classes$codes <- design$correlation$classes$codes[at]
    }
    tryCatch(
      is.null(correlation_times(object, design, numeric(length(at)), "color")),
      ferrolmm_error_residual_start = function(e) TRUE
    )
  }
  at <- Find(is_impossible, split(seq_along(design$groups$codes), design$groups$codes))
  if (is.null(at)) {
    rlang::cnd_signal(error)
  }
  groups <- residual_groups(correlation, rows$frame)
  ferrolmm_abort(
    paste0("The ", count_of(length(at), "row"), " of ",
           group_label(correlation, groups, design$groups$codes[[at[[1L]]]]),
           " cannot have the residual correlation of the fit."),
    if (rows$fitted) "residual" else "newdata", x = impossible_correlation(object)
  )
}

#' One draw of a term's contribution to the rows
#' @noRd
draw_term <- function(sigma, term) {
  k <- nrow(term$factors[[1L]])
  z <- matrix(stats::rnorm(k * term$n_levels), k)
  if (!is.null(term$root)) {
    known <- seq_len(ncol(term$root))
    z[, known] <- z[, known, drop = FALSE] %*% term$root
  }
  b <- sigma * times_factors(term$factors, term$classes, z)
  effects <- of_levels(t(b), term$codes)
  values <- numeric(nrow(effects))
  for (j in seq_len(k)) {
    effect <- effects[, j]
    values <- values + if (is.null(term$columns[[j]])) effect else effect * term$columns[[j]]
  }
  if (is.list(term$codes)) values[term$codes$missing] <- NA
  values * term$active
}
