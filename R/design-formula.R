# From a formula to the terms of the model, without data.
#
# A right side is a sum of fixed terms and of bar terms: (lhs | group), (lhs || group), or
# structure(lhs | group).
#
# A bar is a random-effects term only where formula operators lead to it: `I(a | b)` is a logical
# predictor, as in lm().

#' Read a mixed-model formula
#'
#' @param formula a two-sided formula, or a string that holds one.
#' @param data where `.` takes its columns from.
#' @param env environment of a formula that has none (a string).
#' @param residual what [read_residual()] returns: the variables of the residual structure become
#'   part of the frame, and the formula needs no random effects. NULL for independent residuals.
#' @param smooths can the model have smooth terms?
#' @returns a list with `formula` (full, `.` expanded), `fixed` (response and fixed part, the calls
#'   of smooths among them), `frame` (response and all variables, bars and smooths replaced by `+`),
#'   `bars` (one element per bar term: `lhs`, `groups`, `double`, `structure`, `hom`, `known`, `by`,
#'   `call`), `eliminated` (the same of fixed effects of levels), `smooths` (the calls),
#'   `parametric` (the fixed part without them) and `env`.
#' @noRd
parse_formula <- function(formula, data, env, residual = NULL, smooths = FALSE) {
  formula <- as_two_sided_formula(formula, env)
  check_depth(formula)
  formula[[3L]] <- bar_in_parentheses(formula[[3L]])
  parts <- split_random(formula[[3L]])
  refuse_smooths_in_bars(parts$bars)
  found <- find_smooths(parts$fixed, smooths)
  if (length(parts$bars) == 0L && is.null(residual) && length(found$smooths) == 0L) {
    abort_no_random(formula)
  }
  all_bars <- lapply(parts$bars, parse_bar)
  is_fixed <- vapply(all_bars, function(bar) bar$structure == "fixed", NA)
  for (bar in all_bars[is_fixed]) refuse_members(bar$groups, "fixed()", bar$call[[2L]])
  bars <- all_bars[!is_fixed]
  if ("." %in% all.vars(formula[[3L]])) {
    return(parse_formula(expand_dot(formula, data), data, env, residual, smooths))
  }
  fixed <- frame <- parametric <- formula
  fixed[[3L]] <- if (is.null(found$side)) 1 else found$side
  parametric[[3L]] <- if (is.null(found$parametric)) 1 else found$parametric
  frame[[3L]] <- frame_side(
    found$parametric, all_bars,
    c(residual$variables, unlist(lapply(found$smooths, smooth_variables), recursive = FALSE))
  )
  list(
    formula = formula, fixed = fixed, frame = frame, bars = bars,
    eliminated = all_bars[is_fixed], smooths = found$smooths, parametric = parametric,
    env = environment(formula)
  )
}

#' How deeply calls of a formula may be nested: R itself runs out of stack at a few hundred
#' @noRd
deepest <- 100L

#' Refuse calls that are nested too deeply, however long sums are
#' @noRd
check_depth <- function(formula) {
  # a nested call has a name of its own
  if (length(all.names(formula)) <= deepest) {
    return(invisible())
  }
  level <- as.list(formula)[-1L]
  for (depth in seq_len(deepest)) {
    level <- unlist(lapply(level, operands), recursive = FALSE)
    if (length(level) == 0L) {
      return(invisible())
    }
  }
  ferrolmm_abort(
    paste0("`formula` has more than ", deepest, " calls inside each other."), "formula",
    i = "Compute such a variable in `data`, and leave out parentheses that make no difference."
  )
}

#' Calls among the operands of a sum, or of any other call
#' @noRd
operands <- function(x) {
  chain <- sum_chain(x)
  is_sum <- length(chain$sums) > 0L
  Filter(is.call, if (is_sum) sum_operands(chain) else if (is.call(x)) as.list(x)[-1L])
}

#' @noRd
as_two_sided_formula <- function(formula, env) {
  if (is.character(formula) && length(formula) == 1L && !is.na(formula)) {
    text <- formula
    formula <- tryCatch(
      stats::as.formula(text, env = env),
      error = function(e) {
        ferrolmm_abort(
          paste0("`formula` is a string that is no formula: \"", text, "\"."), "formula",
          x = conditionMessage(e)
        )
      }
    )
  }
  if (!inherits(formula, "formula")) {
    if (!is_call_to(formula, "~")) {
      abort_not_formula(formula)
    }
    formula <- stats::as.formula(formula, env = env)
  }
  if (length(formula) != 3L) {
    ferrolmm_abort(
      "`formula` has no response: it must be two-sided.", "formula",
      i = "Write the response on the left of `~`, as in y ~ x + (1 | g)."
    )
  }
  if (is.null(environment(formula))) {
    environment(formula) <- env
  }
  formula
}

#' @noRd
abort_not_formula <- function(formula) {
  what <- if (is.data.frame(formula)) "a data frame" else paste0("of class ", class(formula)[1L])
  ferrolmm_abort(
    paste0("`formula` must be a formula, it is ", what, "."), "formula",
    i = if (is.data.frame(formula)) {
      "The arguments are lmm(formula, data): the formula comes first."
    } else {
      "Write it as in y ~ x + (1 | g)."
    }
  )
}

#' @noRd
abort_no_random <- function(formula) {
  ferrolmm_abort(
    "`formula` has no random-effects term.", "formula",
    i = c(
      "Add one in parentheses, as in (1 | g) for a random intercept of each level of g.",
      paste0(
        "A model without random effects needs a structure of its residuals, as in ",
        "residual = ~ us(visit | subject) or correlation = corAR1(form = ~ time | subject); ",
        "with independent residuals it is fitted by lm()."
      )
    )
  )
}

#' A side that is a bar as a whole is one random-effects term, with all to its left, as in lme4
#' @noRd
bar_in_parentheses <- function(side) if (is_bar(side)) call("(", side) else side

#' terms() of a formula without bars; an error that R raises is about the user's formula
#' @noRd
formula_terms <- function(formula) {
  tryCatch(
    stats::terms.formula(formula),
    error = function(e) {
      ferrolmm_abort(
        paste0("`formula` cannot be read: ", code_label(formula), "."), "formula",
        x = conditionMessage(e)
      )
    }
  )
}

#' Right side of a formula that has all variables of the model
#'
#' Of `a/b` the coarsest factor comes first, so that the variables keep the order of the formula.
#' @param others further variables, of the residual structure and of smooths.
#' @noRd
frame_side <- function(fixed, bars, others = NULL) {
  side <- if (is.null(fixed)) 1 else fixed
  for (bar in bars) {
    if (!is.numeric(bar$lhs)) {
      side <- call("+", side, call("(", bar$lhs))
    }
    for (group in rev(bar$groups)) {
      for (leaf in group$leaves) side <- call("+", side, leaf)
      weights <- group$members$weights
      if (!is.null(weights)) side <- call("+", side, weights)
    }
    for (leaf in bar$by) side <- call("+", side, leaf)
  }
  for (variable in others) {
    side <- call("+", side, variable)
  }
  side
}

#' Replace `.` by the columns of `data` that are not in the response, as lm() and lme4 do
#' @noRd
expand_dot <- function(formula, data) {
  if (!is.list(data)) {
    ferrolmm_abort(
      "`.` in `formula` needs a data frame as `data`.", "formula",
      i = "Name the predictors, or give `data`."
    )
  }
  taken <- all.vars(formula[[2L]])
  if ("." %in% names(data)) {
    ferrolmm_abort(
      "A column of `data` is called `.`, which in `formula` stands for all other columns.",
      "formula", i = "Rename the column."
    )
  }
  columns <- lapply(setdiff(names(data), taken), as.name)
  side <- if (length(columns)) Reduce(function(a, b) call("+", a, b), columns) else 1
  side <- call("(", side)
  formula[[3L]] <- do.call(substitute, list(formula[[3L]], list(. = side)))
  formula
}

#' The variables of a formula as the columns of a model frame are named
#' @noRd
all_variables <- function(formula) {
  variable_names(as.list(attr(stats::terms(formula), "variables"))[-1L])
}
