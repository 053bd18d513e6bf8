# Designs of other sizes, for power().

#' The designs that are asked for
#'
#' @param groups names of the grouping variables; `variables` of all that the model has.
#' @returns a list of list(data, and the size of each factor by name)
#' @noRd
power_designs <- function(data, along, groups, variables) {
  row.names(data) <- NULL
  if (is.null(along)) {
    return(list(list(data = data)))
  }
  check_along(along, data, groups)
  grid <- do.call(expand.grid, c(rev(along), KEEP.OUT.ATTRS = FALSE))[names(along)]
  lapply(seq_len(nrow(grid)), function(row) {
    for (name in names(along)) {
      data <- resize_factor(data, name, grid[[name]][[row]], setdiff(groups, name), variables)
    }
    c(list(data = data), as.list(grid[row, , drop = FALSE]))
  })
}

#' @noRd
check_along <- function(along, data, groups) {
  names <- names(along)
  named <- is.list(along) && length(along) > 0L && !is.null(names) && all(nzchar(names)) &&
    !anyDuplicated(names)
  if (!named) {
    ferrolmm_abort(
      "`along` must be a list of sizes by the names of grouping factors.", "argument",
      i = "As in along = list(Subject = c(20, 40))."
    )
  }
  unknown <- setdiff(names, groups)
  if (length(unknown) > 0L) {
    ferrolmm_abort(
      paste0("`along` names no grouping factor: ", quote_names(unknown), "."), "argument",
      i = paste0("They are ", quote_names(groups, Inf),
                 ". Any other design is a data frame, `newdata`.")
    )
  }
  missing <- setdiff(names, names(data))
  if (length(missing) > 0L) {
    ferrolmm_abort(
      paste0("The data have no column ", quote_names(missing), "."), "argument",
      i = "The design can be a data frame, `newdata`."
    )
  }
  used <- setdiff(names, c("test", "power", "conf.low", "conf.high", "nsim", "failed", "data"))
  if (length(used) < length(names)) {
    ferrolmm_abort(
      paste0("`along` has a factor with the name of a column of the result: ",
             quote_names(setdiff(names, used)), "."), "argument", i = "Rename it in the data."
    )
  }
  for (name in names) {
    sizes <- along[[name]]
    if (!is.numeric(sizes) || length(sizes) == 0L || anyNA(sizes) || any(sizes < 2) ||
          any(sizes != round(sizes)) || any(sizes > 1e8)) {
      ferrolmm_abort(
        paste0("`along$", name, "` must be whole numbers of levels, 2 or more."), "argument"
      )
    }
  }
}

#' The data with `n` levels of a grouping factor
#' @noRd
resize_factor <- function(data, name, n, others, variables = names(data)) {
  column <- data[[name]]
  codes <- match(column, unique(column))
  data <- data[!is.na(column), , drop = FALSE]
  codes <- codes[!is.na(column)]
  codes <- match(codes, unique(codes))
  m <- max(codes)
  between <- intersect(names(data), setdiff(variables, c(name, others)))
  order <- order_of_levels(data[between], codes)
  # the k-th new level is a copy of the k-th in this order, again and again
  source <- order[(seq_len(n) - 1L) %% m + 1L]
  copy <- (seq_len(n) - 1L) %/% m
  rows_of <- split(seq_along(codes), codes)
  rows <- unlist(rows_of[source], use.names = FALSE)
  times <- rep.int(copy, lengths(rows_of)[source])
  nested <- Filter(function(other) {
    other %in% names(data) && is_nested(match(data[[other]], unique(data[[other]])), codes)
  }, others)
  out <- data[rows, , drop = FALSE]
  for (renamed in c(name, nested)) {
    out[[renamed]] <- copied_levels(out[[renamed]], times, data[[renamed]])
  }
  row.names(out) <- NULL
  out
}

#' Levels in an order in which kinds of levels take turns in proportion
#'
#' Kinds differ by factors, texts, flags, and numbers of few values, that are constant within the
#' levels and not another in each. The j-th of the c levels of a kind comes at (j - 1/2) / c.
#' @param data variables of the model other than groups.
#' @noRd
order_of_levels <- function(data, codes) {
  first <- match(seq_len(max(codes)), codes)
  kinds <- lapply(data, function(x) {
    if (!is.atomic(x) || !is.null(dim(x))) {
      return(NULL)
    }
    values <- match(x, unique(x))
    distinct <- length(unique(values[first]))
    few <- distinct < length(first) && (!is.numeric(x) || distinct <= 5L)
    if (few && all(values == values[first][codes])) values[first]
  })
  kinds <- kinds[lengths(kinds) > 0L]
  kind <- if (length(kinds) > 0L) {
    as.integer(interaction(kinds, drop = TRUE))
  } else {
    rep.int(1L, length(first))
  }
  place <- stats::ave(numeric(length(kind)), kind, FUN = function(x) {
    (seq_along(x) - 0.5) / length(x)
  })
  order(place, seq_along(place))
}

#' Names of levels in their copies: distinct from all others, those of copy 0 as they are
#' @noRd
copied_levels <- function(values, copy, known) {
  if (all(copy == 0L)) {
    return(values)
  }
  if (is.numeric(values) && !is.object(values)) {
    width <- diff(range(known, na.rm = TRUE)) + 1
    return(values + copy * width)
  }
  text <- as.character(values)
  pairs <- unique(data.frame(text = text, copy = copy))
  own <- unique(as.character(known))
  pairs$name <- ifelse(pairs$copy == 0L, pairs$text, paste(pairs$text, pairs$copy + 1L, sep = "_"))
  new <- pairs$copy > 0L
  pairs$name[new] <- utils::tail(make.unique(c(own, pairs$name[new]), sep = "_"), sum(new))
  key <- paste(copy, text, sep = "\r")
  name <- pairs$name[match(key, paste(pairs$copy, pairs$text, sep = "\r"))]
  if (is.factor(values)) factor(name, levels = unique(name)) else name
}

#' Variables that group rows, in the random part and in the residual structure
#' @noRd
grouping_variables <- function(object) {
  refuse_members_of(object, "`along` of power()")
  found <- character()
  visit <- function(x) {
    if (is_call_to(x, c("|", "||"))) found <<- c(found, all.vars(x[[3L]]))
    if (is.call(x)) for (part in as.list(x)[-1L]) if (!is_missing_argument(part)) visit(part)
  }
  formula <- full_formula(object)
  visit(formula[[length(formula)]])
  unique(c(found, as.character(object$residual$correlation$group)))
}

#' All variables of a model
#' @noRd
design_variables <- function(object) {
  parts <- as.list(object$call)[c("weights", "offset", "correlation", "residual")]
  unique(c(all.vars(full_formula(object)), unlist(lapply(parts, all.vars))))
}

#' The model of a fit on another design, fitted to a response that stands for any
#'
#' Factors have the levels of the fit, in its order, and its contrasts, so that coefficients mean
#' what they mean there.
#' @noRd
with_design <- function(object, data) {
  for (name in intersect(names(object$xlevels), names(data))) {
    data[[name]] <- with_levels(data[[name]], object$xlevels[[name]], name, object)
  }
  response <- make.unique(c(names(data), "response"))[[ncol(data) + 1L]]
  data[[response]] <- sin(seq_len(nrow(data))^2)
  formula <- full_formula(object)
  formula[[2L]] <- as.name(response)
  call <- object$call
  call$formula <- formula
  call[["data"]] <- data
  call <- call[!names(call) %in% c("subset", "start")]
  call$contrasts <- object$contrasts[names(object$contrasts) %in% names(data)]
  object$call <- call
  quietly(update.lmm(object))
}

#' A factor of a design with the levels of the fit
#' @noRd
with_levels <- function(values, levels, name, object) {
  if (!is.factor(values) && !is.character(values)) {
    return(values)
  }
  text <- as.character(values)
  unknown <- setdiff(text[!is.na(text)], levels)
  if (length(unknown) > 0L) {
    ferrolmm_abort(
      paste0("The factor `", name, "` of the design has levels that the fit has not: ",
             quote_names(unknown), "."), "newdata",
      i = paste0("It has ", quote_names(levels, 10L), ".")
    )
  }
  ordered <- is.ordered(object$frame[[name]])
  factor(text, levels = levels[levels %in% text], ordered = ordered)
}
