# The model behind its equations: what varies at which level, and which symbol stands for what.

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
    weighted = !is.null(object$prior.weights) || isTRUE(object$condensed$moments$weighted),
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
  sizes <- vapply(object$flist, nlevels, 1L)
  order <- order(-sizes)
  spread <- if (!is.null(object$condensed)) spread_cells(object)
  own <- if (is.null(spread)) object$flist else object$condensed$flist
  codes <- lapply(unname(own)[order], function(f) {
    if (is.null(spread)) as.integer(f) else as.integer(f)[spread$cell]
  })
  # rows are below no single level of these, which have no predictors of their own
  multiple <- vapply(order, has_members, NA, object = object)
  codes[multiple] <- list(rep.int(1L, nobs.lmm(object)))
  nested <- !any(multiple) && all(vapply(seq_len(max(length(codes) - 1L, 0L)), function(k) {
    is_constant_within(codes[[k + 1L]], codes[[k]])
  }, NA))
  level <- if (nested) {
    seq_along(codes) + 1L
  } else {
    rep.int(if (any(multiple)) 1L else 2L, length(codes))
  }
  effect_letters <- c("u", "r", "v", "w", "s", "t")
  letter <- if (nested) {
    rev(effect_letters[seq_along(codes)])
  } else {
    # w are weights of members
    rep_len(c("u", "v", if (!any(multiple)) "w", "s", "t", "r"), length(codes))
  }
  table <- data.frame(
    name = names(object$flist)[order], levels = unname(sizes[order]), level = level,
    index = rep_len(c("j", "k", "l", "m", "n", "o", "p"), length(codes)),
    letter = letter, factor = order, multiple = multiple
  )
  list(
    table = table, codes = codes, nested = nested,
    frame = if (is.null(spread)) object$frame else spread$frame
  )
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
  columns <- column_parts(object$terms, groups$frame, object$contrasts, groups)
  effects <- Map(
    function(parts, name, estimate) list(name = name, estimate = estimate, parts = parts),
    columns, names(object$coefficients), unname(object$coefficients)
  )
  unname(effects[!is.na(object$coefficients)])
}

#' The random effects of one level of each grouping factor: list of list(name, group (row of the
#' table of groups), term, position, parts, structure, covariances (by class of the levels: with all
#' effects of the term))
#' @noRd
random_effects_of <- function(object, groups) {
  effects <- list()
  covariances <- split(unclass(VarCorr.lmm(object)), block_terms(object$random))
  for (g in seq_len(nrow(groups$table))) {
    for (t in terms_of_factor(object, groups$table$factor[[g]])) {
      term <- object$random[[t]]
      parts <- bar_parts(term, groups$frame, groups)
      for (k in seq_along(term$cnms)) {
        effects[[length(effects) + 1L]] <- list(
          name = term$cnms[[k]], group = g, term = t, position = k, parts = parts[[k]],
          structure = term$structure,
          covariances = lapply(covariances[[t]], function(v) v[k, ]),
          classes = term[["classes"]],
          term_structure = if (is_structured(term)) {
            list(
              structure = term$structure, hom = isTRUE(term$hom), count = count_block(term),
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

#' Number the coefficients of all levels and name the random effects
#'
#' `keys` of an effect: for each level, the predictors of that level in it ("" for none), by
#' identity, since two can have the same name. Effects with the same keys up to a level share the
#' coefficient of that level, and a coefficient's digits are the positions of its keys among those
#' met so far; the intercept has 0.
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
  ## A random effect belongs to the level of its factor; predictors from there upwards multiply it.
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

#' The keys that occur at each level, given the same keys at the levels before it, in order
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
  # the variance of each class of levels
  random <- unlist(lapply(model$random, function(effect) {
    Map(function(name, covariance) {
      effect$name <- name
      effect$estimate <- covariance[[effect$position]]
      effect
    }, name_classes(effect$name, effect$classes), unname(effect$covariances))
  }), recursive = FALSE)
  rbind(
    table(
      model$fixed, "fixed", function(effect) coefficient_symbol(model, effect$keys, last, pen),
      function(effect) ""
    ),
    table(
      unname(random), "random", function(effect) random_symbol(model, effect, pen),
      function(effect) model$groups$name[[effect$group]]
    )
  )
}

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
  refuse_members_of(object, "`style = \"matrix\"`")
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
