# From a formula to the terms of the model, without data.
#
# A right side is a sum of fixed terms and of bar terms: (lhs | group), (lhs || group), or
# structure(lhs | group).
#
# A bar is a random-effects term only where formula operators lead to it: `I(a | b)` is a logical
# predictor, as in lm().

#' Covariance structures that can be written around a bar term, and what the engine calls them
#'
#' Adding a structure means adding a line here.
#' @noRd
covariance_structures <- c(us = "us", diag = "diag")

#' Structures of other packages, named in the error that they are not available here
#' @noRd
foreign_structures <- c(
  "cs", "homcs", "ar1", "hetar1", "toep", "homtoep", "homdiag", "ou", "exp", "gau", "mat", "rr",
  "propto", "equalto"
)

#' Read a mixed-model formula
#'
#' @param formula a two-sided formula, or a string that holds one.
#' @param data where `.` takes its columns from.
#' @param env environment of a formula that has none (a string).
#' @returns a list with `formula` (full, `.` expanded), `fixed` (response and fixed part),
#'   `frame` (response and all variables, bars replaced by `+`), `bars` (one element per bar
#'   term: `lhs`, `groups`, `double`, `structure`) and `env`.
#' @noRd
parse_formula <- function(formula, data, env) {
  formula <- as_two_sided_formula(formula, env)
  parts <- split_random(formula[[3L]])
  if (length(parts$bars) == 0L) {
    abort_no_random(formula)
  }
  bars <- lapply(parts$bars, parse_bar)
  if ("." %in% all.vars(formula[[3L]])) {
    return(parse_formula(expand_dot(formula, data), data, env))
  }
  fixed <- frame <- formula
  fixed[[3L]] <- if (is.null(parts$fixed)) 1 else parts$fixed
  frame[[3L]] <- frame_side(parts$fixed, bars)
  list(
    formula = formula, fixed = fixed, frame = frame, bars = bars,
    env = environment(formula)
  )
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
      "A model without random effects is fitted by lm(), or by nlme::gls()."
    )
  )
}

#' @noRd
is_bar <- function(x) is_call_to(x, c("|", "||"))

#' Separate the right side of a formula into its fixed part and its bar terms
#'
#' @returns list(fixed = expression or NULL, bars = list of lists with `bar` and `structure`)
#' @noRd
split_random <- function(x) {
  if (is_bar(x)) {
    abort_bare_bar(x)
  }
  if (is_call_to(x, "(")) {
    return(split_parenthesis(x))
  }
  structured <- is_call_to(x, c(names(covariance_structures), foreign_structures))
  if (structured && length(x) >= 2L && is_bar(x[[2L]])) {
    return(list(fixed = NULL, bars = list(structured_bar(x))))
  }
  if (is_call_to(x, "+") || (is_call_to(x, "-") && length(x) == 3L)) {
    return(split_sum(x))
  }
  if (contains_bar(x)) {
    abort_bar_operator(x)
  }
  list(fixed = x, bars = NULL)
}

#' @noRd
split_parenthesis <- function(x) {
  inner <- x[[2L]]
  if (is_bar(inner)) {
    return(list(fixed = NULL, bars = list(list(bar = inner, structure = "us"))))
  }
  parts <- split_random(inner)
  if (length(parts$bars) == 0L) {
    parts$fixed <- x
  }
  parts
}

#' @noRd
structured_bar <- function(x) {
  name <- as.character(x[[1L]])
  if (!name %in% names(covariance_structures)) {
    ferrolmm_abort(
      paste0("The covariance structure ", name, "() is not available."), "formula",
      x = paste0("In the term ", code_label(x), "."),
      i = paste0("Structures are ", quote_names(paste0(names(covariance_structures), "()")), ".")
    )
  }
  if (length(x) > 2L) {
    ferrolmm_abort(
      paste0("The covariance structure ", name, "() takes a term and nothing else."), "formula",
      x = paste0("In the term ", code_label(x), ".")
    )
  }
  list(bar = x[[2L]], structure = covariance_structures[[name]])
}

#' @noRd
split_sum <- function(x) {
  minus <- is_call_to(x, "-")
  if (length(x) == 2L) {
    return(split_random(x[[2L]]))
  }
  if (minus && contains_bar(x[[3L]])) {
    abort_bar_operator(x)
  }
  left <- split_random(x[[2L]])
  right <- if (minus) list(fixed = x[[3L]], bars = NULL) else split_random(x[[3L]])
  fixed <- if (is.null(right$fixed)) {
    left$fixed
  } else if (is.null(left$fixed)) {
    if (minus) call("-", right$fixed) else right$fixed
  } else if (identical(left$fixed, x[[2L]]) && identical(right$fixed, x[[3L]])) {
    x
  } else {
    call(as.character(x[[1L]]), left$fixed, right$fixed)
  }
  list(fixed = fixed, bars = c(left$bars, right$bars))
}

#' Does a bar term hide in `x`, below formula operators?
#' @noRd
contains_bar <- function(x) {
  if (is_bar(x)) {
    return(TRUE)
  }
  if (!is_call_to(x, c("(", "+", "-", "*", ":", "/", "^", "%in%", names(covariance_structures)))) {
    return(FALSE)
  }
  for (part in as.list(x)[-1L]) {
    if (contains_bar(part)) {
      return(TRUE)
    }
  }
  FALSE
}

#' @noRd
abort_bare_bar <- function(x) {
  ferrolmm_abort(
    "A random-effects term must be in parentheses.", "formula",
    x = paste0(
      "In ", code_label(x), " the bar `|` takes everything to its left as random effects."
    ),
    i = paste0(
      "Write (", code_label(rightmost(x[[2L]])), " | ", code_label(x[[3L]]),
      ") in parentheses."
    )
  )
}

#' @noRd
rightmost <- function(x) if (is_call_to(x, "+") && length(x) == 3L) x[[3L]] else x

#' @noRd
abort_bar_operator <- function(x) {
  ferrolmm_abort(
    "A random-effects term can only be added to the formula, with `+`.", "formula",
    x = paste0("It is combined with something else in ", code_label(x), "."),
    i = "To let the effect of x vary between the levels of g, write (x | g)."
  )
}

#' One bar term: its left side, its grouping factors (several for `a/b`), its structure
#' @noRd
parse_bar <- function(term) {
  bar <- term$bar
  lhs <- bar[[2L]]
  double <- identical(bar[[1L]], quote(`||`))
  if (contains_bar(lhs) || contains_bar(bar[[3L]])) {
    ferrolmm_abort(
      paste0("Two bars in one random-effects term: (", code_label(bar), ")."), "formula",
      i = "A term has one bar, with one grouping factor on its right: (1 | g) + (1 | h)."
    )
  }
  if (double && term$structure != "us") {
    ferrolmm_abort(
      paste0("`||` cannot be used inside a covariance structure: ", code_label(bar), "."),
      "formula"
    )
  }
  check_lhs(lhs, bar)
  list(
    lhs = lhs, double = double, structure = term$structure,
    groups = expand_group(bar[[3L]], bar)
  )
}

#' @noRd
check_lhs <- function(lhs, bar) {
  if (is.symbol(lhs) && !identical(lhs, quote(.))) {
    return(invisible())
  }
  if (!is.language(lhs) && !(is.numeric(lhs) && lhs %in% c(0, 1))) {
    ferrolmm_abort(
      paste0("The left side of (", code_label(bar), ") must be 1 or variables, not ",
             code_label(lhs), "."),
      "formula", i = "Write (1 | g) for a random intercept."
    )
  }
  if ("." %in% all.vars(lhs)) {
    ferrolmm_abort(
      paste0("`.` cannot be used in a random-effects term: (", code_label(bar), ")."), "formula",
      i = "Name the variables whose effects vary."
    )
  }
  if ("offset" %in% all.names(lhs)) {
    ferrolmm_abort(
      paste0("offset() cannot be used in a random-effects term: (", code_label(bar), ")."),
      "formula", i = "Put it in the fixed part of the formula."
    )
  }
}

#' The grouping factors that the right side of a bar stands for
#'
#' `a/b` is b:a and a; `a*b` is a, b and a:b; `b %in% a` is b:a.
#' @returns a list; each element has `name` (as lme4 prints it), `expr` and `leaves` (the
#'   expressions whose interaction it is)
#' @noRd
expand_group <- function(x, bar) {
  if (is.symbol(x)) {
    return(list(list(name = as.character(x), expr = x, leaves = list(x))))
  }
  if (!is.call(x)) {
    ferrolmm_abort(
      paste0("The grouping factor of (", code_label(bar), ") must be a variable, not ",
             code_label(x), "."),
      "formula", i = "Write the name of the grouping variable on the right of the bar."
    )
  }
  if (is_call_to(x, "(")) {
    return(expand_group(x[[2L]], bar))
  }
  if (is_call_to(x, c("+", "-", "^"))) {
    abort_group_operator(x, bar)
  }
  nested <- is_call_to(x, "%in%") && is.symbol(x[[3L]])
  if (is_call_to(x, c("/", "*", ":")) || nested) {
    return(expand_group_pair(x, bar))
  }
  list(list(name = code_label(x, 500L), expr = x, leaves = list(as_variable(x))))
}

#' @noRd
expand_group_pair <- function(x, bar) {
  left <- expand_group(x[[2L]], bar)
  right <- expand_group(x[[3L]], bar)
  operator <- as.character(x[[1L]])
  if (operator == "/") {
    return(c(lapply(right, interact_groups, left[[1L]]), left))
  }
  if (length(left) != 1L || length(right) != 1L) {
    abort_group_operator(x, bar)
  }
  crossed <- interact_groups(left[[1L]], right[[1L]])
  if (operator == "*") c(left, right, list(crossed)) else list(crossed)
}

#' @noRd
interact_groups <- function(a, b) {
  expr <- call(":", a$expr, b$expr)
  list(name = code_label(expr, 500L), expr = expr, leaves = unique(c(a$leaves, b$leaves)))
}

#' @noRd
abort_group_operator <- function(x, bar) {
  ferrolmm_abort(
    paste0("The grouping factor of (", code_label(bar), ") cannot be read."), "formula",
    x = paste0("`", code_label(x), "` is no grouping factor."),
    i = c(
      "Two crossed grouping factors are two terms: (1 | a) + (1 | b).",
      "Nested ones are (1 | a/b), their interaction is (1 | a:b)."
    )
  )
}

#' `x %in% c("a", "b")` as one variable: terms() would read `%in%` as a formula operator
#' @noRd
as_variable <- function(x) if (is_call_to(x, "%in%")) call("I", x) else x

#' terms() of a formula without bars; what R cannot read is the user's formula
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

#' Right side of the formula whose variables are all that the model needs
#'
#' Of `a/b` the coarsest factor comes first, so that the variables keep the order of the formula.
#' @noRd
frame_side <- function(fixed, bars) {
  side <- if (is.null(fixed)) 1 else fixed
  for (bar in bars) {
    if (!is.numeric(bar$lhs)) {
      side <- call("+", side, call("(", bar$lhs))
    }
    for (group in rev(bar$groups)) {
      for (leaf in group$leaves) side <- call("+", side, leaf)
    }
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
  columns <- lapply(setdiff(names(data), taken), as.name)
  side <- if (length(columns)) Reduce(function(a, b) call("+", a, b), columns) else 1
  side <- call("(", side)
  formula[[3L]] <- do.call(substitute, list(formula[[3L]], list(. = side)))
  formula
}
