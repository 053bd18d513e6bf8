# Smooth terms of a formula, s(x) and t2(x, z), taken from the sum that they stand in.

#' Functions of 'mgcv' that make smooth terms
#' @noRd
smooth_words <- c("s", "t2", "te", "ti")

#' Is it a call to one of them, with or without `mgcv::`?
#' @noRd
is_smooth <- function(x) {
  is_call_to(x, smooth_words) || is_qualified_smooth(x)
}

#' @noRd
is_qualified_smooth <- function(x) {
  is.call(x) && is_call_to(x[[1L]], c("::", ":::")) && identical(x[[1L]][[2L]], quote(mgcv)) &&
    as.character(x[[1L]][[3L]]) %in% smooth_words
}

#' Is there such a call anywhere in an expression?
#' @noRd
contains_smooth <- function(x) {
  if (!any(smooth_words %in% all.names(x))) {
    return(FALSE)
  }
  # sums are as deep as they are long
  left <- list(x)
  while (length(left) > 0L) {
    x <- left[[length(left)]]
    left[[length(left)]] <- NULL
    if (is_smooth(x)) {
      return(TRUE)
    }
    if (is.call(x)) {
      parts <- as.list(x)
      left <- c(left, parts[vapply(parts, is.call, NA)])
    }
  }
  FALSE
}

#' The smooth terms of the fixed part of a formula
#'
#' @param allowed can the model have any?
#' @returns as [split_smooths()]
#' @noRd
find_smooths <- function(x, allowed) {
  if (is.null(x) || !contains_smooth(x)) {
    return(list(parametric = x, smooths = list(), side = x))
  }
  found <- split_smooths(x)
  if (length(found$smooths) == 0L) {
    return(list(parametric = x, smooths = list(), side = x))
  }
  if (!allowed) {
    ferrolmm_abort(
      paste0("Smooth terms such as ", code_label(found$smooths[[1L]]), " are for lmm() with the ",
             "rows of the data."), "formula"
    )
  }
  found
}

#' Separate the fixed part of a formula into its smooth terms and the rest
#'
#' @param x the fixed part, an expression or NULL.
#' @returns list(parametric, an expression or NULL; smooths, list of calls, without `mgcv::`; side,
#'   the fixed part with these calls)
#' @noRd
split_smooths <- function(x) {
  chain <- sum_chain(x)
  smooths <- list()
  parametric <- side <- NULL
  join <- function(sum, at, part) {
    if (is.null(sum) && is_call_to(at, "-")) return(call("-", part))
    if (is.null(sum)) part else call(if (is.null(at)) "+" else as.character(at[[1L]]), sum, part)
  }
  operands <- sum_operands(chain)
  for (k in seq_along(operands)) {
    part <- operands[[k]]
    at <- if (k > 1L) chain$sums[[k - 1L]]
    minus <- is_call_to(at, "-")
    while (is_call_to(part, "(") && contains_smooth(part)) part <- part[[2L]]
    if (length(sum_chain(part)$sums) > 0L && contains_smooth(part) && !minus) {
      inner <- split_smooths(part)
      smooths <- c(smooths, inner$smooths)
      if (!is.null(inner$parametric)) parametric <- join(parametric, at, inner$parametric)
      side <- join(side, at, inner$side)
    } else if (is_smooth(part) && !minus) {
      if (is_qualified_smooth(part)) part[[1L]] <- part[[1L]][[3L]]
      check_smooth_call(part)
      smooths <- c(smooths, list(part))
      side <- join(side, at, part)
    } else {
      if (contains_smooth(part)) abort_smooth_operator(part, minus)
      parametric <- join(parametric, at, part)
      side <- join(side, at, part)
    }
  }
  twice <- which(duplicated(lapply(smooths, deparse_call)))
  if (length(twice) > 0L) {
    ferrolmm_abort(
      paste0("The smooth ", code_label(smooths[[twice[[1L]]]]), " is in the formula twice."),
      "formula", i = "Leave one of them out."
    )
  }
  list(parametric = parametric, smooths = smooths, side = side)
}

#' @noRd
abort_smooth_operator <- function(x, minus) {
  ferrolmm_abort(
    paste0("A smooth term can only be added to the formula, with `+`: ",
           if (minus) "- ", code_label(x), "."), "formula",
    i = c(
      "A curve for each level of a factor f: s(x, by = f) + f.",
      "A smooth coefficient of a number z: s(x, by = z)."
    )
  )
}

#' Smooths inside bars: a curve for each level of a grouping factor has a word of its own
#' @noRd
refuse_smooths_in_bars <- function(bars) {
  for (bar in bars) {
    if (!contains_smooth(bar$call)) next
    ferrolmm_abort(
      paste0("A smooth term cannot stand in a bar: ", code_label(bar$call), "."), "formula",
      i = paste0("A random curve for each level of a factor g: s(x, g, bs = \"fs\"), with g a ",
                 "factor in `data`.")
    )
  }
}

#' Arguments that a smooth of a mixed model cannot have
#' @noRd
check_smooth_call <- function(x) {
  word <- as.character(x[[1L]])
  if (word %in% c("te", "ti")) {
    ferrolmm_abort(
      paste0("The smooth ", code_label(x), " has no form as a mixed model: its penalties overlap."),
      "formula", i = paste0("A tensor product with separable penalties is t2(), with the same ",
                            "arguments.")
    )
  }
  arguments <- as.list(x)[-1L]
  named <- if (is.null(names(arguments))) rep_len("", length(arguments)) else names(arguments)
  if (any(vapply(arguments, is_missing_argument, NA))) {
    ferrolmm_abort(paste0("An argument of ", code_label(x), " is empty."), "formula")
  }
  if (all(named != "")) {
    ferrolmm_abort(
      paste0(code_label(x), " names no variable to be smooth in."), "formula", i = "As in s(x)."
    )
  }
  refused <- c(
    sp = "Smoothing parameters are estimated, as ratios of variances.",
    id = "Smooths that share a smoothing parameter are not available.",
    fx = "Without a penalty it is a regression spline: splines::ns(x, df).",
    full = "t2() has the penalties of the mixed model.", np = "Leave it out."
  )
  given <- intersect(named, names(refused))
  if (length(given) > 0L) {
    ferrolmm_abort(
      paste0("The smooth ", code_label(x), " cannot have the argument `", given[[1L]], "`."),
      "formula", i = refused[[given[[1L]]]]
    )
  }
  known <- setdiff(names(formals(if (word == "s") mgcv::s else mgcv::t2)), "...")
  unknown <- setdiff(named, c("", known))
  if (length(unknown) > 0L) {
    ferrolmm_abort(
      paste0("The smooth ", code_label(x), " has an argument `", unknown[[1L]], "`, which ", word,
             "() does not know."),
      "formula", i = did_you_mean(unknown[[1L]], setdiff(known, names(refused)))
    )
  }
  for (variable in smooth_variables(x)) {
    if (is_call_to(variable, c("+", "-", "*", "/", "^", ":", "|", "||", "%in%", "~"))) {
      ferrolmm_abort(
        paste0("Smooths are of variables, not of ", code_label(variable), ": ", code_label(x), "."),
        "formula", i = paste0("Arithmetic goes into I(), as in s(I(", code_label(variable), ")).")
      )
    }
    if (!is.language(variable) || "." %in% all.vars(variable)) {
      ferrolmm_abort(
        paste0("Smooths are of variables, not of ", code_label(variable), ": ", code_label(x), "."),
        "formula", i = "Name the variable, as in s(x)."
      )
    }
  }
}

#' The variables of a smooth as expressions: what it is smooth in, and `by`
#' @noRd
smooth_variables <- function(x) {
  arguments <- as.list(x)[-1L]
  named <- if (is.null(names(arguments))) rep_len("", length(arguments)) else names(arguments)
  c(arguments[named == ""], arguments[named == "by"])
}
