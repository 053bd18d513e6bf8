# The correlation of residuals with the data at hand: groups of rows, and their positions in them.

#' @noRd
build_correlation <- function(spec, frame, random) {
  if (spec$type == "known") {
    return(build_known_rows(spec, frame))
  }
  covariates <- variable_names(spec$covariates)
  group <- variable_names(spec$group)
  if (is.null(spec$group) && length(random$terms) > 0L) {
    group <- innermost_group(random, spec$name)
  }
  correlation <- list(
    type = spec$type, name = spec$name, covariates = covariates,
    kind = position_kind(spec, frame, covariates), group = group,
    group_label = paste(group, collapse = ":"), p = spec$p, q = spec$q, nugget = spec$nugget,
    metric = spec$metric, options = spec$options, by = variable_names(spec[["by"]])
  )
  sizes <- tabulate(residual_groups(correlation, frame)$codes)
  correlation$largest <- max(sizes)
  correlation <- with_axes(with_visits(correlation, frame), spec$axes, frame)
  if (has_visits(correlation$type) && correlation$n_positions < 2L) {
    ferrolmm_abort(
      paste0("`", spec$name, "()` needs at least two visits, there is ",
             correlation$n_positions, "."),
      "residual"
    )
  }
  if (correlation$largest < 2L) {
    ferrolmm_abort(
      paste0("No group of `", spec$name, "()` has more than one row: there is no correlation."),
      "residual", x = paste0("Its groups are the levels of `", correlation$group_label, "`.")
    )
  }
  check_positions(correlation, frame)
  with_classes(correlation, frame)
}

#' The classes of groups that have covariances of their own: their labels, and how rows are matched
#' to them
#'
#' @returns correlation with `classes` and `class_key`, where there is `by`
#' @noRd
with_classes <- function(correlation, frame) {
  if (length(correlation$by) == 0L) {
    return(correlation)
  }
  found <- group_factor(correlation$by, frame)
  by <- paste(correlation$by, collapse = ":")
  if (length(found$levels) < 2L) {
    ferrolmm_abort(
      paste0("`", correlation$name, "()`: `", by, "` is \"", found$levels, "\" in all rows, ",
             "there are no covariances that differ by it."),
      "residual", i = "Leave it out, with its slash."
    )
  }
  groups <- residual_groups(correlation, frame)$codes
  largest <- tapply(tabulate(groups)[groups], found$codes, max)
  if (any(largest < 2L)) {
    ferrolmm_abort(
      paste0("`", correlation$name, "()`: no group of `", by, "` ",
             quote_names(found$levels[largest < 2L]), " has more than one row: there is no ",
             "correlation."),
      "residual", x = paste0("Its groups are the levels of `", correlation$group_label, "`."),
      i = c(
        "Name larger groups after the slash, or leave the rows of that class out.",
        paste0("Variances that differ, without a correlation: weights = varIdent(form = ~ 1 | ",
               paste(correlation$by, collapse = " * "), ").")
      )
    )
  }
  correlation$classes <- found$levels
  correlation$class_key <- found$key
  correlation
}

#' Classes of the rows of a frame, as the engine takes them; NULL where there are none
#' @noRd
residual_classes <- function(correlation, frame) {
  if (length(correlation$by) > 0L) {
    list(
      codes = match_groups(correlation$class_key, unclass(frame)[correlation$by]),
      count = length(correlation$classes)
    )
  }
}

#' Without groups in the form these are the innermost groups of the random effects, as in nlme
#' @noRd
innermost_group <- function(random, name) {
  sizes <- vapply(random$flist, nlevels, 1L)
  order <- order(-sizes)
  codes <- lapply(random$flist[order], as.integer)
  nested <- all(vapply(seq_len(length(codes) - 1L), function(k) {
    is_constant_within(codes[[k + 1L]], codes[[k]])
  }, NA))
  if (!nested) {
    ferrolmm_abort(
      paste0("`", name, "()` does not say which rows are correlated."), "residual",
      x = paste0("The grouping factors of the random effects are not nested: ",
                 quote_names(names(random$flist)), "."),
      i = paste0("Name the groups after a bar: ", name, "(form = ~ time | group).")
    )
  }
  finest <- order[[1L]]
  terms <- Filter(function(term) term$factor == finest, random$terms)
  terms[[1L]]$leaves
}

#' How rows are positioned in their group: by their "order", the "level" of a variable, whole
#' numbers ("number"), multiples of a "step", or "coordinates"; known(V) has "rows" of V, a product
#' "axes" with a kind each
#' @noRd
position_kind <- function(spec, frame, covariates) {
  kind <- correlation_kind(spec$type)
  if (kind$position %in% c("none", "product")) {
    return(if (kind$position == "none") "none" else "axes")
  }
  if (length(covariates) == 0L) {
    return("order")
  }
  values <- lapply(covariates, function(name) frame[[name]])
  if (kind$position != "points") {
    check_one_column(values[[1L]], covariates, paste0("`", spec$name, "()`"))
  }
  categorical <- vapply(values, function(x) is.factor(x) || is.character(x), NA)
  if (kind$position %in% c("times", "points")) {
    if (any(categorical)) {
      ferrolmm_abort(
        paste0("`", spec$name, "()` needs numbers, `", covariates[categorical][[1L]],
               "` is a factor."),
        "residual", i = "Use the times or coordinates themselves."
      )
    }
    return("coordinates")
  }
  if (kind$order_matters && is_text_column(frame, covariates)) {
    ferrolmm_abort(
      paste0("`", spec$name, "()` needs visits in an order, and `", covariates,
             "` is of class character."),
      "residual", variable = covariates,
      x = "Sorted as text, \"10\" comes before \"2\".",
      i = paste0("Make it a factor, with the levels in their order in time, or a number.")
    )
  }
  if (categorical[[1L]] || !kind$by_lag) {
    return("level")
  }
  if (inherits(values[[1L]], "POSIXct") && kind$position == "whole") {
    ferrolmm_abort(
      paste0("`", spec$name, "()` counts times in whole numbers, and `", covariates,
             "` is of class POSIXct, whose numbers are seconds."),
      "residual", variable = covariates,
      i = "Say in which unit: as.Date() for days, or difftime(t, start, units = \"hours\")."
    )
  }
  if (kind$position == "visits") "step" else "number"
}

#' The visits of a structure: their labels in order, and how rows are matched to them
#'
#' Where correlations depend on the lag, the visits of a factor are its levels from the first that
#' occurs to the last, including those that no row has: 1, 2 and 4 are 1, 2 and 3 apart. Numbers are
#' taken as they are for AR(1), and in units of their largest common step for a Toeplitz matrix. For
#' the other structures the lag has no meaning, and visits without rows no parameters.
#' @returns correlation with `visits` and `n_positions` where they are enumerated, and `key` (kind
#'   "level"), `origin` and `step` (kind "step"), or `origin` (kind "number")
#' @noRd
with_visits <- function(correlation, frame) {
  if (correlation$kind == "order" && has_visits(correlation$type)) {
    correlation$visits <- as.character(seq_len(correlation$largest))
  } else if (correlation$kind == "level") {
    coded <- code_variable(visit_column(correlation, frame), correlation$covariates)
    correlation$key <- coded$key
    correlation$visits <- coded$levels
  } else if (correlation$kind == "step") {
    correlation <- with_steps(correlation, frame)
  } else if (correlation$kind == "number") {
    # only differences matter: counted from the first, they are small numbers
    correlation$origin <- round(min(as.double(frame[[correlation$covariates]])))
  }
  if (!is.null(correlation$visits)) {
    correlation$n_positions <- length(correlation$visits)
  }
  if (correlation_kind(correlation$type)$each == "lag") {
    check_lags(correlation, frame)
  }
  correlation
}

#' The axes of a product: each is a correlation of its own, by one variable
#'
#' @returns correlation with `axes`, where there are any
#' @noRd
with_axes <- function(correlation, axes, frame) {
  if (length(axes) == 0L) {
    return(correlation)
  }
  shared <- correlation[c("group", "group_label", "largest")]
  correlation$axes <- Map(function(axis, covariate) {
    kind <- if (is_exchangeable(axis$type)) "level" else position_kind(axis, frame, covariate)
    axis <- with_visits(
      c(list(type = axis$type, name = axis$name, covariates = covariate, kind = kind,
             nugget = FALSE), shared),
      frame
    )
    if (length(unique(frame[[covariate]])) < 2L) {
      ferrolmm_abort(
        paste0("`", axis$name, "(", covariate, ")`: `", covariate, "` has one value: there is no ",
               "correlation along it."),
        "residual"
      )
    }
    if (kind == "number") {
      check_whole_times(axis, frame)
    }
    axis
  }, unname(axes), correlation$covariates)
  names(correlation$axes) <- NULL
  correlation
}

#' The column of visits; where lags matter, with all levels between the first and the last in use
#' @noRd
visit_column <- function(correlation, frame) {
  x <- frame[[correlation$covariates]]
  if (!correlation_kind(correlation$type)$by_lag || !is.factor(x)) {
    return(x)
  }
  spanned_levels(x, all_levels(frame, correlation$covariates))
}

#' Numbers as positions on a grid: its step is the largest of which all distances are multiples
#' @noRd
with_steps <- function(correlation, frame) {
  name <- correlation$covariates
  times <- sort(unique(as.double(frame[[name]])))
  gaps <- diff(times)
  step <- if (length(gaps)) Reduce(common_step, gaps) else 1
  places <- (times - times[1L]) / step
  if (max(places) > 1e4 || any(abs(places - round(places)) > 1e-6)) {
    ferrolmm_abort(
      paste0("`", correlation$name, "()` has a correlation for each lag, and the distances of `",
             name, "` have no common step."),
      "residual", variable = name,
      i = paste0("Make `", name, "` a factor to count its values one by one, or use corCAR1().")
    )
  }
  correlation$origin <- times[1L]
  correlation$step <- step
  correlation$visits <- sprintf("%.15g", times[1L] + step * seq.int(0, round(max(places))))
  correlation
}

#' Euclid's algorithm, for rounded numbers
#' @noRd
common_step <- function(a, b) {
  smallest <- 1e-8 * max(a, b)
  while (b > smallest) {
    rest <- a %% b
    if (b - rest < smallest) {
      rest <- 0
    }
    a <- b
    b <- rest
  }
  a
}

#' Each lag of a Toeplitz matrix needs a pair of rows, or its correlation is not determined
#' @noRd
check_lags <- function(correlation, frame) {
  codes <- residual_groups(correlation, frame)$codes
  position <- residual_positions(correlation, frame, codes)
  distinct <- unique(data.frame(codes, position))
  seen <- logical(correlation$n_positions)
  for (rows in split(distinct$position, distinct$codes)) {
    seen[unique(abs(outer(rows, rows, `-`))) + 1L] <- TRUE
  }
  absent <- which(!seen[-1L])
  if (length(absent)) {
    ferrolmm_abort(
      paste0("`", correlation$name, "()` has a correlation for each lag, and no two rows of a `",
             correlation$group_label, "` are ", join_numbers(absent), " visits apart."),
      "residual",
      x = paste0("The visits are ", quote_names(correlation$visits, 12L), "."),
      i = paste0(
        "If ", quote_names(correlation$covariates), " should count only the visits that occur, ",
        "make it a factor of these; else use ar1(), whose correlations follow from one."
      )
    )
  }
}

#' "2, 5 and 6"
#' @noRd
join_numbers <- function(x) {
  shown <- as.character(utils::head(x, 6L))
  if (length(x) > 6L) {
    return(paste0(paste(shown, collapse = ", "), " and ", length(x) - 6L, " other numbers of"))
  }
  n <- length(shown)
  if (n == 1L) shown else paste(paste(shown[-n], collapse = ", "), "or", shown[n])
}

#' Codes of the residual groups in a frame; one group where there is no grouping variable
#' @noRd
residual_groups <- function(correlation, frame) {
  if (correlation$kind == "rows") {
    return(list(
      codes = correlation$component[known_places(correlation, frame)],
      levels = as.character(seq_len(max(correlation$component))), key = NULL
    ))
  }
  n <- .row_names_info(frame, 2L)
  if (length(correlation$group) == 0L) {
    return(list(codes = rep.int(1L, n), levels = "(all rows)", key = NULL))
  }
  group_factor(correlation$group, frame)
}

#' Positions of the rows of a frame in their groups, as the engine takes them
#' @noRd
residual_positions <- function(correlation, frame, codes) {
  switch(correlation$kind,
    none = NULL,
    axes = lapply(correlation$axes, residual_positions, frame = frame, codes = codes),
    rows = known_places(correlation, frame),
    order = {
      ordered_positions(correlation$type, stats::ave(seq_along(codes), codes, FUN = seq_along))
    },
    level = {
      name <- correlation$covariates
      match_levels(frame[[name]], correlation$key, name)
    },
    step = {
      x <- (as.double(frame[[correlation$covariates]]) - correlation$origin) / correlation$step
      place <- ifelse(abs(x - round(x)) > 1e-6, NA, round(x) + 1)
      place[which(abs(place) > largest_span)] <- NA
      as.integer(place)
    },
    number = {
      x <- counted_times(correlation, frame)
      x[which(!is_whole(x) | abs(x) > largest_span)] <- NA
      as.integer(round(x))
    },
    coordinates = {
      values <- unlist(
        lapply(correlation$covariates, function(name) coordinate_columns(frame[[name]])),
        recursive = FALSE
      )
      if (is_spatial(correlation$type)) values else values[[1L]]
    }
  )
}

#' Places in the order of rows as positions, as the engine takes them
#' @noRd
ordered_positions <- function(type, place) {
  switch(correlation_kind(type)$position,
    points = list(as.double(place)), times = as.double(place), as.integer(place)
  )
}

#' The largest distance that is counted: twice that, between rows before and after the first time of
#' the fit, is an integer
#' @noRd
largest_span <- 1e9

#' Times as numbers from the first one of the fit
#' @noRd
counted_times <- function(correlation, frame) {
  origin <- correlation$origin
  as.double(frame[[correlation$covariates]]) - if (is.null(origin)) 0 else origin
}

#' @noRd
is_whole <- function(x) abs(x - round(x)) <= 1e-8

#' A coordinate, or those of a matrix with one in each column
#' @noRd
coordinate_columns <- function(x) {
  lapply(seq_len(NCOL(x)), function(j) as.double(if (is.matrix(x)) x[, j] else x))
}

#' Are positions among those of the structure?
#' @noRd
in_range <- function(position, correlation) {
  if (length(correlation$axes)) {
    return(unlist(Map(in_range, position, correlation$axes)))
  }
  n <- correlation$n_positions
  position <- unlist(position)
  if (is.null(n)) rep.int(TRUE, length(position)) else position >= 1L & position <= n
}

#' Times that are counted are whole, and not too far apart
#' @noRd
check_whole_times <- function(correlation, frame) {
  x <- as.double(frame[[correlation$covariates]])
  continuous <- paste0(
    "corCAR1(form = ~ ", correlation$covariates,
    if (length(correlation$group)) paste0(" | ", correlation$group_label), ")"
  )
  broken <- which(!is_whole(x))
  if (length(broken) > 0L) {
    ferrolmm_abort(
      paste0("`", correlation$name, "()` needs whole numbers as times, `",
             correlation$covariates, "` is ", format(x[broken[1L]], digits = 15L), " in row ",
             row.names(frame)[broken[1L]], "."),
      "residual", i = paste0("For times on a continuous scale use ", continuous, ".")
    )
  }
  if (any(abs(counted_times(correlation, frame)) > largest_span) || any(abs(x) >= 2^53)) {
    ferrolmm_abort(
      paste0("`", correlation$name, "()` counts times up to ", format(largest_span),
             " apart, and `", correlation$covariates, "` goes from ",
             format(min(x), digits = 15L), " to ", format(max(x), digits = 15L), "."),
      "residual", x = if (any(abs(x) >= 2^53)) "Beyond 2^53 numbers do not have all their digits.",
      i = c(
        "Count in a larger unit, as days in place of seconds.",
        paste0("For times on a continuous scale use ", continuous, ".")
      )
    )
  }
}

#' Positions are whole numbers where the structure counts steps, and each occurs once in a group
#' @noRd
check_positions <- function(correlation, frame) {
  if (correlation$kind == "number") {
    check_whole_times(correlation, frame)
  }
  if (correlation$kind %in% c("none", "order") || correlation$nugget) {
    return(invisible())
  }
  groups <- residual_groups(correlation, frame)
  position <- residual_positions(correlation, frame, groups$codes)
  key <- if (is.list(position)) do.call(paste, position) else position
  key <- match(key, unique(key))
  twice <- anyDuplicated(groups$codes + (key - 1) * length(groups$levels))
  if (twice > 0L) {
    values <- vapply(correlation$covariates, function(name) {
      paste0(name, " = ", toString(format(take_rows(frame[[name]], twice))))
    }, "")
    ferrolmm_abort(
      paste0("`", correlation$name, "()` needs each time once in a group: ",
             paste(values, collapse = ", "), " occurs more than once",
             if (length(correlation$group)) {
               paste0(" in `", correlation$group_label, "` ", groups$levels[groups$codes[twice]])
             }, "."),
      c("duplicate_position", "residual"),
      i = if (correlation_kind(correlation$type)$nugget) {
        "With nugget = TRUE rows at the same place are possible."
      } else if (length(correlation$group) == 0L) {
        "Name the groups after a bar: form = ~ time | subject."
      } else {
        "Add what tells these rows apart to the group, as in ~ time | subject/variable."
      }
    )
  }
}
