# The model as equations: what varies at which level, and which symbol stands for what.
# R/equations-format.R turns the description into text or LaTeX.

#' Write a model down as equations
#'
#' Shows what a fitted model says, in one of three styles: level by level, as one equation, or as
#' matrices with all their dimensions.
#'
#' * `"levels"`: the equations of Raudenbush and Bryk. At level 1 the response depends on predictors
#'   that vary within groups, with coefficients that carry the index of the group; at level 2 each
#'   of these coefficients is a population value plus predictors that are constant within groups
#'   plus, where the model has one, a random effect. Nested factors (at most five) give one level
#'   each; crossed factors share level 2. Which predictor belongs to which level is seen from the
#'   data: a predictor that never varies within a group belongs to the group.
#' * `"mixed"`: the same with the upper levels substituted into the first.
#' * `"matrix"`: \eqn{y = X\beta + Zu + \epsilon} with the size of every matrix for all of the data
#'   and for one group, and the distributions of \eqn{u} and \eqn{\epsilon}: `G`, its structure and
#'   the number of its distinct elements, and `R`.
#'
#' A residual structure is written below the distributions: variance functions \eqn{d} and the
#' correlation of two rows of a group. The matrix style shows `R` of the largest group.
#'
#' Each column of a factor's contrasts is a predictor of its own, under the name that its
#' coefficient has.
#'
#' @param object A model fitted by [lmm()].
#' @param style How to write the model: `"levels"`, `"mixed"` or `"matrix"`.
#' @param format `"text"` or `"latex"` (an `align*` environment of 'amsmath').
#' @param values Write estimates in place of the symbols of coefficients and variances?
#' @param group For the matrix style: the group whose matrices are described, as a position or name
#'   of a level of the (coarsest nested, else first) grouping factor.
#' @param digits The number of significant digits of estimates.
#' @returns An object of class `lmm_equations`: a list with `style`, `format`, `lines` (what
#'   `print()` shows), `symbols` (a data frame of `symbol`, `kind` (`"fixed"` or `"random"`),
#'   `group`, `name` of the coefficient or random effect, and `estimate`: the coefficient or the
#'   variance) and, for the matrix style, `dimensions` (a data frame of sizes for all data and for
#'   one group).
#' @references
#' Raudenbush, S. W. and Bryk, A. S. (2002). *Hierarchical linear models*, 2nd edition. Sage.
#' @examples
#' fit <- lmm(mobility ~ Age + Married + Sex + WBC + RBC + (1 | doctor), doctors)
#' equations(fit)
#' equations(fit, "mixed", values = TRUE)
#' equations(fit, "matrix", group = "3")
#'
#' ## Sex of a child is constant over time: it belongs to level 2.
#' data(Orthodont, package = "nlme")
#' growth <- lmm(distance ~ age * Sex + (age | Subject), Orthodont)
#' equations(growth)
#' equations(growth, "mixed", format = "latex")
#' @export
equations <- function(object, style = c("levels", "mixed", "matrix"),
                      format = c("text", "latex"), values = FALSE, group = 1L, digits = 4L, ...) {
  check_dots(...)
  check_lmm(object, "equations")
  style <- match_choice(style, "style", c("levels", "mixed", "matrix"))
  format <- match_choice(format, "format", c("text", "latex"))
  check_flag(values, "values")
  check_digits(digits)
  if (!missing(group) && style != "matrix") {
    ferrolmm_abort("`group` is for style = \"matrix\".", "argument")
  }
  pen <- equation_pen(format, values, digits)
  model <- describe_model(object)
  lines <- switch(style,
    levels = level_lines(model, pen),
    mixed = mixed_lines(model, pen),
    matrix = NULL
  )
  result <- list(style = style, format = format)
  if (style == "matrix") {
    sizes <- matrix_sizes(object, model, group)
    result$dimensions <- sizes$table
    lines <- matrix_lines(object, model, sizes, pen)
  }
  if (format == "latex") {
    last <- length(lines)
    lines[[last]] <- sub(" \\\\\\\\$", "", lines[[last]])
    lines <- c("\\begin{align*}", lines, "\\end{align*}")
  }
  result$lines <- lines
  result$symbols <- model_symbols(model, equation_pen(format, FALSE, digits))
  structure(result, class = "lmm_equations")
}

#' @param x What `equations()` returned.
#' @param ... Not used.
#' @rdname equations
#' @export
print.lmm_equations <- function(x, ...) {
  check_dots(...)
  cat(x$lines, sep = "\n")
  invisible(x)
}

#' @rdname equations
#' @export
as.character.lmm_equations <- function(x, ...) {
  check_dots(...)
  x$lines
}

# What varies at which level -----------------------------------------------------------------------

#' The model as its equations see it
#'
#' @returns list(response, n, groups, nested, fixed, random, offset, weighted, dropped). `groups`: a
#'   data frame of `name`, `levels`, `level` (2, 3, ... from fine to coarse; all 2 where they are
#'   not nested), `index` (a letter) and `letter` (of its random effects), in that order. `fixed`
#'   and `random`: lists of effects, see [fixed_effects_of()] and [random_effects_of()].
#' @noRd
describe_model <- function(object) {
  groups <- describe_groups(object)
  model <- list(
    response = names(object$frame)[[1L]], n = nobs.lmm(object), groups = groups$table,
    nested = groups$nested, offset = offset_labels(object),
    weighted = !is.null(object$prior.weights),
    dropped = names(object$coefficients)[is.na(object$coefficients)], sigma = object$sigma,
    residual = object$residual, phi = object$phi, object = object
  )
  levels <- top_level(model)
  if (levels > 6L) {
    ferrolmm_abort("equations() can write up to five nested grouping factors.", "argument")
  }
  model$fixed <- fixed_effects_of(object, groups)
  model$random <- random_effects_of(object, groups)
  number_effects(model)
}

#' Grouping factors from fine to coarse, and whether each is nested in the next
#' @noRd
describe_groups <- function(object) {
  sizes <- ngrps.lmm(object)
  order <- order(-sizes)
  codes <- lapply(unname(object$flist)[order], as.integer)
  nested <- all(vapply(seq_len(max(length(codes) - 1L, 0L)), function(k) {
    is_constant_within(codes[[k + 1L]], codes[[k]])
  }, NA))
  level <- if (nested) seq_along(codes) + 1L else rep.int(2L, length(codes))
  effect_letters <- c("u", "r", "v", "w", "s", "t")
  letter <- if (nested) {
    rev(effect_letters[seq_along(codes)])
  } else {
    rep_len(c("u", "v", "w", "s", "t", "r"), length(codes))
  }
  table <- data.frame(
    name = names(object$flist)[order], levels = unname(sizes[order]), level = level,
    index = rep_len(c("j", "k", "l", "m", "n", "o", "p"), length(codes)),
    letter = letter, factor = order
  )
  list(table = table, codes = codes, nested = nested)
}

#' Does `x` have one value in each group?
#' @noRd
is_constant_within <- function(x, codes) {
  all(x == x[match(codes, codes)])
}

#' @noRd
offset_labels <- function(object) {
  labels <- variable_columns(object$terms)[attr(object$terms, "offset")]
  argument <- if (!is.null(object$call$offset)) code_label(object$call$offset)
  c(labels, argument)
}

#' The fixed effects that were estimated: list of list(name, estimate, parts)
#'
#' `parts`: the predictors whose product is the column of X, see [column_parts()].
#' @noRd
fixed_effects_of <- function(object, groups) {
  columns <- column_parts(object$terms, object$frame, object$contrasts, groups)
  effects <- Map(
    function(parts, name, estimate) list(name = name, estimate = estimate, parts = parts),
    columns, names(object$coefficients), unname(object$coefficients)
  )
  unname(effects[!is.na(object$coefficients)])
}

#' The random effects of one level of each grouping factor: list of list(name, group (row of the
#' table of groups), term, position, parts, structure, estimate (variance), covariance (with all
#' effects of the term))
#' @noRd
random_effects_of <- function(object, groups) {
  effects <- list()
  covariances <- VarCorr.lmm(object)
  for (g in seq_len(nrow(groups$table))) {
    for (t in terms_of_factor(object, groups$table$factor[[g]])) {
      term <- object$random[[t]]
      parts <- bar_parts(term, object$frame, groups)
      covariance <- covariances[[t]]
      for (k in seq_along(term$cnms)) {
        effects[[length(effects) + 1L]] <- list(
          name = term$cnms[[k]], group = g, term = t, position = k, parts = parts[[k]],
          structure = term$structure, estimate = covariance[[k, k]], covariance = covariance[k, ],
          term_structure = if (is_structured(term)) {
            list(
              structure = term$structure, hom = isTRUE(term$hom), count = count_theta(term),
              words = describe_structure(term)
            )
          }
        )
      }
    }
  }
  effects
}

#' @noRd
bar_parts <- function(term, frame, groups) {
  if (is.numeric(term$lhs)) {
    return(list(list()))
  }
  terms <- stats::terms.formula(as.call(list(quote(`~`), term$lhs)))
  column_parts(terms, frame, term$contrasts, groups)[term$columns]
}

#' The predictors of which each column of a model matrix is the product: in the order and with the
#' coding of [design_columns()]
#' @returns a list by column of lists of list(label, key (what it is, see [variable_keys()]), level,
#'   group)
#' @noRd
column_parts <- function(terms, frame, contrasts, groups) {
  columns <- if (attr(terms, "intercept") == 1L) list(list()) else list()
  pattern <- attr(terms, "factors")
  if (length(pattern) == 0L) {
    return(columns)
  }
  variables <- variable_names(as.list(attr(terms, "variables"))[-1L])
  response <- attr(terms, "response")
  used <- contrasts_in_use(variables, response, frame, contrasts)
  labels <- rownames(pattern)
  if (attr(terms, "intercept") == 0L) {
    pattern <- code_first_factor_fully(pattern, variables, response, frame)
  }
  for (j in seq_len(ncol(pattern))) {
    block <- list(list())
    for (i in which(pattern[, j] > 0L)) {
      variable <- .subset2(frame, variables[[i]])
      coded <- code_predictor(variable, labels[[i]], pattern[i, j], used$matrices[[variables[i]]])
      parts <- Map(
        function(values, label, key) c(list(label = label, key = key), part_level(values, groups)),
        lapply(coded$columns, column_values), coded$names,
        variable_keys(coded$columns, match(variables[[i]], names(frame)))
      )
      block <- unlist(
        lapply(parts, function(part) lapply(block, function(before) c(before, list(part)))),
        recursive = FALSE
      )
    }
    columns <- c(columns, unname(block))
  }
  columns
}

#' The level at which a predictor varies: that of the coarsest factor within which it is constant
#' @noRd
part_level <- function(values, groups) {
  for (g in rev(seq_along(groups$codes))) {
    if (is_constant_within(values, groups$codes[[g]])) {
      return(list(level = groups$table$level[[g]], group = g))
    }
  }
  list(level = 1L, group = 0L)
}

# Numbering ---------------------------------------------------------------------------------------

#' Number the coefficients of all levels and name the random effects
#'
#' `keys` of an effect: for each level, the predictors of that level in it ("" for none), by what
#' they are, since two can have one name. Effects with the same keys up to a level share the
#' coefficient of that level, and a coefficient's digits are the places of its keys among those
#' seen; the intercept has 0.
#' @noRd
number_effects <- function(model) {
  levels <- top_level(model)
  keys_of <- function(parts) {
    vapply(seq_len(levels), function(l) {
      paste(sort(vapply(parts_at(parts, l), `[[`, "", "key"), method = "radix"), collapse = ":")
    }, "")
  }
  for (kind in c("fixed", "random")) {
    model[[kind]] <- lapply(model[[kind]], function(effect) {
      effect$keys <- keys_of(effect$parts)
      effect
    })
  }
  ## A random effect lives at the level of its factor; predictors from there up multiply it.
  model$random <- lapply(model$random, function(effect) {
    effect$level <- model$groups$level[[effect$group]]
    effect
  })
  model$places <- coefficient_places(model, levels)
  digits <- vapply(model$random, function(effect) {
    below <- seq_len(effect$level - 1L)
    number <- coefficient_digits(model, effect$keys[below])
    above <- paste(effect$keys[-below], collapse = "")
    if (nzchar(above)) paste0(number, "*", above) else number
  }, "")
  model$random <- Map(
    function(effect, sub) {
      effect$sub <- sub
      effect
    },
    model$random, unique_digits(digits, vapply(model$random, `[[`, 1L, "group"))
  )
  model
}

#' @noRd
parts_at <- function(parts, level) {
  parts[vapply(parts, function(part) part$level == level, NA)]
}

#' The keys that occur at each level below the same keys of the levels before, in order
#' @noRd
coefficient_places <- function(model, levels) {
  places <- list()
  for (effect in c(model$fixed, model$random)) {
    reach <- if (is.null(effect$level)) levels else effect$level - 1L
    for (l in seq_len(reach)) {
      parent <- paste(c(l, effect$keys[seq_len(l - 1L)]), collapse = "\r")
      places[[parent]] <- unique(c(places[[parent]], effect$keys[[l]]))
    }
  }
  lapply(places, function(keys) c(keys[!nzchar(keys)], keys[nzchar(keys)]))
}

#' Digits of the coefficient with these keys: "10", or "10,1" where a number has two digits
#' @noRd
coefficient_digits <- function(model, keys) {
  digits <- vapply(seq_along(keys), function(l) {
    seen <- model$places[[paste(c(l, keys[seq_len(l - 1L)]), collapse = "\r")]]
    match(keys[[l]], seen) - if ("" %in% seen) 1L else 0L
  }, 1L)
  wide <- any(unlist(lapply(model$places, length)) > 10L)
  paste(digits, collapse = if (wide) "," else "")
}

#' Random effects that multiply a predictor of their own level get a number of their own
#' @noRd
unique_digits <- function(digits, group) {
  base <- sub("\\*.*$", "", digits)
  for (key in unique(paste(base, group))) {
    same <- which(paste(base, group) == key)
    if (length(same) > 1L) {
      base[same[-1L]] <- paste0(base[same[-1L]], letter_numbers(length(same) - 1L))
    }
  }
  base
}

#' "a", ..., "z", "aa", "ab", ...
#' @noRd
letter_numbers <- function(n) {
  numbers <- letters
  while (length(numbers) < n) {
    numbers <- c(letters, paste0(rep(numbers, each = 26L), letters))
  }
  numbers[seq_len(n)]
}

#' Table of the symbols and what they stand for
#' @noRd
model_symbols <- function(model, pen) {
  last <- top_level(model)
  table <- function(effects, kind, symbol, group) {
    data.frame(
      symbol = vapply(effects, symbol, ""), kind = rep.int(kind, length(effects)),
      group = vapply(effects, group, ""), name = vapply(effects, `[[`, "", "name"),
      estimate = vapply(effects, `[[`, 0, "estimate")
    )
  }
  rbind(
    table(
      model$fixed, "fixed", function(effect) coefficient_symbol(model, effect$keys, last, pen),
      function(effect) ""
    ),
    table(
      model$random, "random", function(effect) random_symbol(model, effect, pen),
      function(effect) model$groups$name[[effect$group]]
    )
  )
}

# Sizes -------------------------------------------------------------------------------------------

#' Sizes of all matrices, for all rows and for the rows of one group
#' @noRd
matrix_sizes <- function(object, model, group) {
  if (nrow(model$groups) == 0L) {
    return(list(table = data.frame(
      symbol = c("y", "X", "beta", "epsilon", "R"),
      rows = c(model$n, model$n, object$rank, model$n, model$n),
      columns = c(1, object$rank, 1, 1, model$n)
    )))
  }
  g <- if (model$nested) nrow(model$groups) else which(model$groups$factor == 1L)
  factor <- object$flist[[model$groups$factor[[g]]]]
  level <- if (length(group) == 1L) image_levels(group, factor, model$groups$name[[g]])
  if (length(level) != 1L) {
    ferrolmm_abort("`group` must be one level, by position or by name.", "argument")
  }
  rows <- which(as.integer(factor) == level)
  effects <- vapply(object$random, function(term) length(term$cnms), 1L)
  occurring <- vapply(object$random, function(term) {
    length(unique(as.integer(object$flist[[term$factor]])[rows]))
  }, 1L)
  q <- object$Gp[[length(object$Gp)]]
  n <- c(model$n, length(rows))
  columns <- c(q, sum(effects * occurring))
  table <- data.frame(
    symbol = c("y", "X", "beta", "Z", "u", "epsilon", "G", "R"),
    rows = c(n[[1L]], n[[1L]], object$rank, n[[1L]], q, n[[1L]], q, n[[1L]]),
    columns = c(1, object$rank, 1, q, 1, 1, q, n[[1L]]),
    group_rows = c(
      n[[2L]], n[[2L]], object$rank, n[[2L]], columns[[2L]], n[[2L]], columns[[2L]], n[[2L]]
    ),
    group_columns = c(1, object$rank, 1, columns[[2L]], 1, 1, columns[[2L]], n[[2L]])
  )
  list(
    table = table, group = g, level = levels(factor)[[level]], occurring = occurring,
    effects = effects
  )
}
