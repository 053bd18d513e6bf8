# Bar terms of a formula, taken from the sum that they stand in.

#' Separate the right side of a formula into its fixed part and its bar terms
#'
#' @returns list(fixed = expression or NULL, bars = list of lists with `bar` and `structure`)
#' @noRd
split_random <- function(x) {
  if (!is.call(x)) {
    return(list(fixed = x, bars = NULL))
  }
  if (is_call_to(x, "+") || (is_call_to(x, "-") && length(x) == 3L)) {
    return(split_sum(x))
  }
  if (is_bar(x)) {
    # a formula that was put together from calls may have bars without parentheses
    return(split_parenthesis(call("(", x)))
  }
  if (is_call_to(x, "(")) {
    return(split_parenthesis(x))
  }
  if (is_call_to(x, "fixed") && length(x) >= 2L && is_bar(x[[2L]])) {
    return(list(fixed = NULL, bars = list(fixed_bar(x))))
  }
  structured <- is_call_to(x, c(names(covariance_structures), foreign_structures))
  if (structured && length(x) >= 2L && is_bar(x[[2L]])) {
    return(list(fixed = NULL, bars = list(structured_bar(x))))
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
    plain <- list(
      bar = inner, structure = plain_structure, hom = FALSE, known = NULL, by = NULL, call = x
    )
    return(list(fixed = NULL, bars = list(plain)))
  }
  parts <- split_random(inner)
  if (length(parts$bars) == 0L) {
    parts$fixed <- x
  }
  parts
}

#' A bar term inside a structure: us(x | g), cs(0 + x | g, hom = TRUE), us(1 | g, cov = K),
#' us(x | g, by = arm)
#' @noRd
structured_bar <- function(x) {
  name <- as.character(x[[1L]])
  if (!name %in% names(covariance_structures)) {
    abort_structure(name, x)
  }
  entry <- covariance_structures[[name]]
  arguments <- as.list(x)[-(1:2)]
  names <- names(arguments)
  if (is.null(names)) {
    names <- rep_len("", length(arguments))
  }
  with_factors <- random_kind(entry$structure)$has_factors
  known <- if (with_factors) c("k", "cov", "prec") else c("hom", "cov", "prec", "by")
  if (!all(names %in% known)) {
    unknown <- setdiff(names, c(known, ""))
    ferrolmm_abort(
      paste0("The covariance structure ", name, "() takes a term and the arguments ",
             quote_names(known), ", by name."),
      "formula",
      x = paste0("In the term ", code_label(x), "."),
      i = if (length(unknown)) did_you_mean(unknown[1L], known)
    )
  }
  if (anyDuplicated(names) || all(c("cov", "prec") %in% names)) {
    ferrolmm_abort(
      paste0(name, "() takes one of `cov` and `prec`, and each argument once."), "formula",
      x = paste0("In the term ", code_label(x), ".")
    )
  }
  kind <- intersect(c("cov", "prec"), names)
  list(
    bar = x[[2L]], structure = entry$structure,
    hom = check_homogeneous(arguments$hom, name, entry, x),
    factors = if (with_factors) check_factors(arguments[["k"]], name, x),
    known = if (length(kind)) list(kind = kind, expr = arguments[[kind]]),
    by = if ("by" %in% names(arguments)) read_by(arguments, x), call = x
  )
}

#' Fixed effects of levels: fixed(1 | g), fixed(x | g)
#' @noRd
fixed_bar <- function(x) {
  if (length(x) > 2L) {
    ferrolmm_abort(
      paste0("fixed() takes a term alone: ", code_label(x), "."), "formula",
      i = "As in fixed(1 | g): a fixed effect for each level of g."
    )
  }
  list(bar = x[[2L]], structure = "fixed", hom = FALSE, known = NULL, by = NULL, call = x)
}

#' The variables whose interaction is what covariances differ by, as `arm` or `arm:sex`
#' @noRd
read_by <- function(arguments, term) {
  # an argument that is empty cannot be the value of a variable
  if (is_missing_argument(arguments[["by"]])) {
    ferrolmm_abort(
      paste0("`by` is empty: ", code_label(term), "."), "formula",
      i = "Name the variable, as in us(1 | g, by = arm)."
    )
  }
  by <- arguments[["by"]]
  if (is.null(by)) {
    return(NULL)
  }
  if ("." %in% all.vars(by)) {
    ferrolmm_abort(
      paste0("`.` cannot be what covariances differ by: ", code_label(term), "."), "formula",
      i = "Name the variable, as in us(1 | g, by = arm)."
    )
  }
  group_leaves(by, term, "formula")
}

#' @noRd
abort_structure <- function(name, x) {
  residual <- name %in% names(residual_structures)
  ferrolmm_abort(
    paste0("The covariance structure ", name, "() is not available for random effects."), "formula",
    x = paste0("In the term ", code_label(x), "."),
    i = c(
      paste0("Structures are ", quote_names(paste0(names(covariance_structures), "()"), 12L), "."),
      if (residual) {
        paste0("A structure of the residuals is an argument: residual = ~ ", code_label(x), ".")
      }
    )
  )
}

#' The `hom` argument of a structure, which has to be TRUE or FALSE as it is written
#' @noRd
check_homogeneous <- function(hom, name, entry, term) {
  if (is.null(hom)) {
    return(entry$hom)
  }
  if (is.symbol(hom) && as.character(hom) %in% c("T", "F")) {
    hom <- as.character(hom) == "T"
  }
  if (!is.logical(hom) || length(hom) != 1L || is.na(hom)) {
    ferrolmm_abort(
      paste0("`hom` of ", name, "() must be TRUE or FALSE."), "formula",
      x = paste0("In the term ", code_label(term), ".")
    )
  }
  named <- startsWith(name, "hom") || startsWith(name, "het")
  free <- !random_kind(entry$structure)$homogeneous
  if (free && hom || named && hom != entry$hom) {
    ferrolmm_abort(
      if (named) {
        paste0("`hom = ", hom, "` contradicts the name of ", name, "().")
      } else {
        paste0(name, "() cannot be homogeneous: it has a variance for each effect.")
      },
      "formula", x = paste0("In the term ", code_label(term), "."),
      i = "One variance and one correlation for all effects: cs(x | g, hom = TRUE)."
    )
  }
  hom
}

#' The number of factors of rr() and fa(), a whole number as it is written
#' @noRd
check_factors <- function(k, name, term) {
  if (!is.numeric(k) || length(k) != 1L || !is.finite(k) || k < 1 || k != round(k)) {
    ferrolmm_abort(
      paste0("`k` of ", name, "(), the number of factors, must be a whole number of at least 1, ",
             "as it is written."),
      "formula", x = paste0("In the term ", code_label(term), "."),
      i = paste0("Two factors: ", name, "(0 + x | g, k = 2).")
    )
  }
  as.integer(min(k, .Machine$integer.max))
}

#' The parts of a sum, from its leftmost operand on
#'
#' Sums are as deep as they are long, and may have thousands of terms: no function calls itself once
#' per term.
#' @noRd
split_sum <- function(x) {
  chain <- sum_chain(x)
  parts <- split_random(chain$first)
  bars <- list(parts$bars)
  fixed <- parts$fixed
  # is the fixed part so far exactly as the formula has it?
  whole <- identical(fixed, chain$first)
  for (at in chain$sums) {
    if (length(at) == 2L) {
      whole <- FALSE
      next
    }
    minus <- is_call_to(at, "-")
    if (minus && contains_bar(at[[3L]])) {
      abort_bar_operator(at)
    }
    right <- if (minus) list(fixed = at[[3L]], bars = NULL) else split_random(at[[3L]])
    if (length(right$bars)) bars[length(bars) + 1L] <- list(right$bars)
    if (is.null(right$fixed)) {
      whole <- FALSE
    } else if (is.null(fixed)) {
      whole <- FALSE
      fixed <- if (minus) call("-", right$fixed) else right$fixed
    } else {
      whole <- whole && identical(right$fixed, at[[3L]])
      fixed <- if (whole) at else call(as.character(at[[1L]]), fixed, right$fixed)
    }
  }
  list(fixed = fixed, bars = do.call(c, bars))
}

#' @noRd
abort_bar_operator <- function(x) {
  ferrolmm_abort(
    "A random-effects term can only be added to the formula, with `+`.", "formula",
    x = paste0("It is combined with something else in ", code_label(x), "."),
    i = "To let the effect of x vary between the levels of g, write (x | g)."
  )
}

#' One bar term: its left side, its grouping factors (several for `a/b`), its structure, what
#' covariances differ by
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
  if (double && term$structure != plain_structure) {
    ferrolmm_abort(
      paste0("`||` cannot be used inside a covariance structure: ", code_label(bar), "."),
      "formula"
    )
  }
  check_lhs(lhs, bar)
  groups <- expand_group(bar[[3L]], bar)
  if (!is.null(term$known)) refuse_members(groups, paste0("`", term$known$kind, " =`"), bar)
  if (!is.null(term$by)) refuse_members(groups, "`by =`", bar)
  if (!is.null(term$known) && length(groups) > 1L) {
    ferrolmm_abort(
      paste0("A term with `", term$known$kind, "` needs one grouping factor, ",
             code_label(bar[[3L]]), " stands for ", length(groups), "."),
      "formula", x = paste0("In the term ", code_label(term$call), ".")
    )
  }
  list(
    lhs = lhs, double = double, structure = term$structure, hom = term$hom,
    factors = term$factors, known = term$known, by = term$by, groups = groups, call = term$call
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
#'   expressions whose interaction it is), that of mm() also `members`, see [member_group()]
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
  if (is_call_to(x, "mm")) {
    return(list(member_group(x, bar)))
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
  refuse_members(c(left, right), paste0("`", operator, "`"), bar)
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
    x = paste0("`", code_label(x), "` is not a grouping factor."),
    i = c(
      "Two crossed grouping factors are two terms: (1 | a) + (1 | b).",
      "Nested ones are (1 | a/b), their interaction is (1 | a:b)."
    )
  )
}

#' Does a bar term hide in `x`, below formula operators?
#' @noRd
contains_bar <- function(x) {
  operators <- c(bar_operators, names(covariance_structures), "fixed")
  left <- list(x)
  while (length(left) > 0L) {
    x <- left[[length(left)]]
    left[[length(left)]] <- NULL
    if (is_bar(x)) {
      return(TRUE)
    }
    if (is_call_to(x, operators)) {
      left <- c(left, as.list(x)[-1L])
    }
  }
  FALSE
}

#' Operators below which a bar term is looked for, besides the structures
#' @noRd
bar_operators <- c("(", "+", "-", "*", ":", "/", "^", "%in%")
