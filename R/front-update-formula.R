# Changes to a formula whose bars are terms of their own, as update() reads them.
#
# stats::update.formula() treats a bar as one more fixed term, which it compares by its text: it
# does not see that (Days || Subject) contains (0 + Days | Subject), and silently leaves it. Here
# only the fixed part is left to it, and bars are added and taken away one by one.

#' A formula with the changes that another one describes
#'
#' @param old the full formula of a fit; `frame` its model frame.
#' @param new a formula, `.` standing for the old one, or a string that holds one.
#' @noRd
update_formula <- function(old, new, frame) {
  new <- tryCatch(
    stats::as.formula(new),
    error = function(e) {
      ferrolmm_abort(
        "`formula.` must be a formula such as . ~ . + x.", "formula", x = conditionMessage(e)
      )
    }
  )
  parts <- split_random(old[[3L]])
  changes <- split_changes(new[[length(new)]])
  bars <- list()
  for (change in changes$bars) {
    bars <- if (identical(change$call, quote(.))) {
      add_bars(bars, lapply(parts$bars, `[[`, "call"))
    } else if (change$sign > 0L) {
      add_bars(bars, list(change$call))
    } else {
      remove_bar(bars, change$call, frame)
    }
  }
  fixed <- old
  fixed[[3L]] <- if (is.null(parts$fixed)) 1 else parts$fixed
  new[[length(new)]] <- if (is.null(changes$fixed)) 1 else changes$fixed
  updated <- stats::update.formula(fixed, new)
  side <- updated[[3L]]
  if (identical(side, 1) && length(bars) > 0L) {
    side <- NULL
  }
  updated[[3L]] <- Reduce(function(a, b) call("+", a, b), c(if (!is.null(side)) list(side), bars))
  environment(updated) <- environment(old)
  updated
}

#' Fixed part and bars of the changes; a dot among the bars stands for those of the old formula
#'
#' @returns list(fixed = expression or NULL, bars = list of list(call, sign), in order)
#' @noRd
split_changes <- function(x, sign = 1L) {
  if (identical(x, quote(.))) {
    return(list(fixed = x, bars = if (sign > 0L) list(list(call = x, sign = sign))))
  }
  if (is_call_to(x, c("+", "-"))) {
    return(split_changed_sum(x, sign))
  }
  if (is_call_to(x, "(") && !is_bar(x[[2L]]) && contains_bar(x[[2L]])) {
    return(split_changes(x[[2L]], sign))
  }
  parts <- split_random(x)
  bars <- lapply(parts$bars, function(bar) list(call = bar$call, sign = sign))
  if (length(bars) == 0L && sign > 0L && "." %in% all.vars(x)) {
    bars <- list(list(call = quote(.), sign = sign))
  }
  list(fixed = parts$fixed, bars = bars)
}

#' The parts of a sum from its leftmost operand on, without recursion over terms
#' @noRd
split_changed_sum <- function(x, sign) {
  if (length(x) == 2L) {
    operator <- as.character(x[[1L]])
    inner <- split_changes(x[[2L]], if (operator == "-") -sign else sign)
    fixed <- if (!is.null(inner$fixed)) call(operator, inner$fixed)
    return(list(fixed = fixed, bars = inner$bars))
  }
  sums <- list()
  while (is_call_to(x, c("+", "-")) && length(x) == 3L) {
    # as in sum_chain()
    sums[length(sums) + 1L] <- list(x)
    x <- x[[2L]]
  }
  parts <- split_changes(x, sign)
  bars <- list(parts$bars)
  fixed <- parts$fixed
  for (at in rev(sums)) {
    minus <- is_call_to(at, "-")
    right <- split_changes(at[[3L]], if (minus) -sign else sign)
    if (length(right$bars)) bars[length(bars) + 1L] <- list(right$bars)
    more <- right$fixed
    if (is.null(fixed)) {
      fixed <- if (minus && !is.null(more)) call("-", more) else more
    } else if (!is.null(more)) {
      if (is_call_to(more, c("+", "-"))) more <- call("(", more)
      fixed <- call(as.character(at[[1L]]), fixed, more)
    }
  }
  list(fixed = fixed, bars = do.call(c, bars))
}

#' @noRd
add_bars <- function(bars, more) {
  for (one in more) {
    there <- vapply(bars, function(bar) identical(written_bar(bar), written_bar(one)), NA)
    if (!any(there)) bars <- c(bars, list(one))
  }
  bars
}

#' Take a bar away: a bar that is the same, or the part of one that it names
#'
#' A bar on `a/b` is a bar for each factor, and (x || g) one for each term of its left side.
#' @noRd
remove_bar <- function(bars, bar, frame) {
  wanted <- written_bar(bar)
  same <- vapply(bars, function(one) identical(written_bar(one), wanted), NA)
  if (any(same)) {
    return(bars[!same])
  }
  rest <- take_away(bars, wanted, frame)
  if (is.null(rest)) {
    rest <- bars
    for (part in bar_parts_of(wanted)) {
      rest <- if (!is.null(rest)) take_away(rest, part, frame)
    }
  }
  if (is.null(rest)) {
    ferrolmm_abort(
      paste0("`formula.` takes away ", code_label(bar), ", which the model has not."), "formula",
      i = if (length(bars)) {
        paste0("Its random-effects terms are ",
               quote_names(vapply(bars, code_label, "", USE.NAMES = FALSE)), ".")
      } else {
        "It has no random-effects term."
      }
    )
  }
  rest
}

#' Bars without a part of one of them; NULL where it is part of none
#' @noRd
take_away <- function(bars, part, frame) {
  for (i in seq_along(bars)) {
    left <- without_part(written_bar(bars[[i]]), part, frame)
    if (!is.null(left)) {
      return(c(bars[seq_len(i - 1L)], left, bars[-seq_len(i)]))
    }
  }
  NULL
}

#' The bars that `a/b` and `||` stand for
#' @noRd
bar_parts_of <- function(written) {
  by_group <- lapply(seq_along(written$groups), function(g) {
    written$groups <- written$groups[g]
    written$leaves <- written$leaves[g]
    written
  })
  if (!written$double) {
    return(by_group)
  }
  do.call(c, lapply(by_group, function(one) {
    parts <- lapply(one$labels, function(label) {
      one$intercept <- FALSE
      one$labels <- label
      one
    })
    if (one$intercept) {
      one$labels <- character()
      one$double <- FALSE
      parts <- c(list(one), parts)
    }
    parts
  }))
}

#' The meaning of a bar, however it is written
#' @noRd
written_bar <- function(call) {
  parsed <- parse_bar(split_random(call)$bars[[1L]])
  side <- if (is.numeric(parsed$lhs)) {
    list(intercept = parsed$lhs == 1, labels = character())
  } else {
    terms <- stats::terms.formula(as.call(list(quote(`~`), parsed$lhs)))
    list(
      intercept = attr(terms, "intercept") == 1L, labels = sort(attr(terms, "term.labels"))
    )
  }
  single <- side$intercept + length(side$labels) == 1L
  c(side, list(
    # a single numeric effect is the same with one bar and with two; the frame shows whether it is
    # single
    double = parsed$double && !(single && side$intercept),
    structure = parsed$structure, hom = parsed$hom, factors = parsed$factors,
    known = parsed$known,
    by = parsed$by[order(variable_names(parsed$by))],
    groups = lapply(parsed$groups, function(group) group$expr),
    leaves = lapply(parsed$groups, function(group) sort(identity_of_group(group)))
  ))
}

#' What is left of a bar without a part of it; NULL where it is not a part
#' @noRd
without_part <- function(whole, part, frame) {
  groups <- match(part$leaves, whole$leaves)
  kind <- c("structure", "hom", "factors", "known", "by")
  same <- identical(whole[kind], part[kind])
  if (!same || anyNA(groups)) {
    return(NULL)
  }
  labels <- setdiff(whole$labels, part$labels)
  intercept <- whole$intercept && !part$intercept
  within <- all(part$labels %in% whole$labels) && (whole$intercept || !part$intercept)
  complete <- within && !intercept && length(labels) == 0L
  # a part of a term with independent effects is one effect, or several independent ones
  alike <- if (complete) whole$double == part$double else whole$double && part$double
  alike <- alike || (complete || whole$double) && is_one_column(part, frame)
  if (!within || !alike) {
    return(NULL)
  }
  others <- lapply(whole$groups[-groups], function(group) {
    write_bar(whole, whole$intercept, whole$labels, group, frame)
  })
  if (complete) {
    return(others)
  }
  if (part$intercept && !all(vapply(labels, is_number, NA, frame))) {
    ferrolmm_abort(
      paste0("`formula.` takes the intercept away from a term with `||` and a factor, whose ",
             "coding depends on it."),
      "formula", i = "Take the whole term away, and add the one that is wanted."
    )
  }
  c(others, lapply(whole$groups[groups], function(group) {
    write_bar(whole, intercept, labels, group, frame)
  }))
}

#' A bar as it would be typed
#' @noRd
write_bar <- function(bar, intercept, labels, group, frame) {
  terms <- c(list(if (intercept) 1 else 0), lapply(labels, str2lang))
  if (length(labels) == 0L) {
    side <- terms[[1L]]
  } else {
    side <- Reduce(function(a, b) call("+", a, b), terms)
  }
  single <- length(labels) + intercept == 1L && all(vapply(labels, is_number, NA, frame))
  written <- call(if (bar$double && !single) "||" else "|", side, group)
  entry <- covariance_structures[[bar$structure]]
  if (bar$structure == plain_structure && is.null(bar$known) && length(bar$by) == 0L) {
    return(call("(", written))
  }
  arguments <- list(as.name(bar$structure), written)
  if (bar$hom != entry$hom) {
    arguments$hom <- bar$hom
  }
  if (!is.null(bar$factors)) {
    arguments$k <- bar$factors
  }
  if (!is.null(bar$known)) {
    arguments[[bar$known$kind]] <- bar$known$expr
  }
  if (length(bar$by) > 0L) {
    arguments$by <- Reduce(function(a, b) call(":", a, b), bar$by)
  }
  as.call(arguments)
}

#' @noRd
is_one_column <- function(bar, frame) {
  length(bar$labels) + bar$intercept == 1L && all(vapply(bar$labels, is_number, NA, frame))
}

#' Is a term a single column: do all of its variables hold one number per row?
#' @noRd
is_number <- function(label, frame) {
  variables <- variable_columns(stats::terms(stats::as.formula(paste("~", label))))
  all(vapply(variables, function(name) {
    x <- frame[[name]]
    !is.null(x) && !is_categorical(x) && NCOL(x) == 1L
  }, NA))
}
