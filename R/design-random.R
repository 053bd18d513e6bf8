# Random-effects terms: grouping factors as integer codes, basis columns as vectors.
#
# Z is never formed. Term t of the model has a grouping factor with J levels and k basis columns;
# row i of its Z holds the k values of row i in the columns of its level.

#' Everything that follows from the random part of the formula
#'
#' Terms are in the order of lme4: as written (`||` split into columns, then `/` into factors),
#' and if the numbers of levels do not already decrease, in reversed increasing order of them.
#' @returns list(terms, flist, cnms, nl, Gp, lower, theta_names, precision, keys, members, design);
#'   see [describe_term()]
#' @noRd
build_random <- function(model, frame, spec, control) {
  n <- .row_names_info(frame, 2L)
  groups <- name_groups(mark_partitions(code_groups(model$bars, frame, control)))
  if (!is.null(spec)) refuse_member_residuals(groups)
  terms <- list()
  for (bar in model$bars) {
    terms <- c(terms, expand_bar(bar, groups, frame))
  }
  terms <- drop_duplicate_terms(terms, groups, frame)
  lapply(terms, check_structure)
  nl <- vapply(terms, function(term) groups[[term$key]]$n_levels, 0L)
  order <- term_order(nl)
  terms <- terms[order]
  nl <- nl[order]
  keys <- vapply(terms, function(term) term$key, "")
  check_terms_identified(terms, groups[keys], frame, spec, control)
  assemble_random(terms, nl, keys, groups)
}

#' lme4's order of terms
#' @noRd
term_order <- function(nl) {
  if (any(diff(nl) > 0L)) rev(order(nl)) else seq_along(nl)
}

#' @noRd
assemble_random <- function(terms, nl, keys, groups) {
  distinct <- unique(keys)
  index <- match(keys, distinct)
  flist <- lapply(groups[distinct], function(group) group$factor)
  names(flist) <- vapply(groups[distinct], function(group) group$name, "")
  attr(flist, "assign") <- index
  precision <- lapply(unname(groups[distinct]), function(group) group$precision)
  keys_of_levels <- lapply(unname(groups[distinct]), function(group) group$key)
  members <- lapply(unname(groups[distinct]), function(group) group$members)
  columns <- lapply(terms, function(term) term$values)
  for (t in seq_along(terms)) {
    terms[[t]]$factor <- index[t]
    terms[[t]]$group <- names(flist)[index[t]]
    terms[[t]]$values <- terms[[t]]$key <- terms[[t]]$partition <- NULL
  }
  cnms <- lapply(terms, function(term) term$cnms)
  names(cnms) <- vapply(terms, function(term) term$group, "")
  list(
    terms = terms, flist = flist, cnms = cnms, nl = nl,
    Gp = c(0L, as.integer(cumsum(lengths(cnms) * nl))),
    lower = as.double(unlist(lapply(terms, term_lower))),
    theta_names = as.character(unlist(lapply(terms, term_theta_names))),
    precision = precision, keys = keys_of_levels,
    members = if (any(lengths(members) > 0L)) members,
    design = list(
      factors = engine_factors(flist, precision, members, TRUE),
      terms = engine_terms(terms, columns)
    )
  )
}

#' Grouping factors as the engine takes them
#'
#' @param precision list parallel to `flist` of list(start, row, value), NULL for independent
#'   levels.
#' @param members list parallel to `flist` of list(start, level, weight), NULL where rows have one
#'   level each; or NULL for none of them.
#' @param in_place hand over the factor itself: the engine reads its codes where they are
#' @noRd
engine_factors <- function(flist, precision, members, in_place) {
  lapply(seq_along(flist), function(f) {
    factor <- flist[[f]]
    own <- if (!is.null(members)) members[[f]]
    codes <- if (!is.null(own)) integer() else if (in_place) factor else as.integer(factor)
    list(
      codes = codes, members = own, n_levels = length(attr(factor, "levels")),
      precision = precision[[f]]
    )
  })
}

#' Random-effects terms as the engine takes them
#' @noRd
engine_terms <- function(terms, columns) {
  lapply(
    seq_along(terms),
    function(t) {
      term <- terms[[t]]
      list(
        factor = term$factor, columns = columns[[t]], structure = term$structure,
        hom = isTRUE(term$hom), factors = term$factors, classes = engine_classes(term)
      )
    }
  )
}

#' The engine's view of the random part, from what a fitted object keeps
#'
#' @param in_place in the form that the engine reads without a copy, or as plain vectors?
#' @noRd
random_design <- function(terms, flist, frame, precision, members, in_place = FALSE) {
  list(
    factors = engine_factors(flist, precision, members, in_place),
    terms = engine_terms(terms, lapply(terms, term_columns, frame, coded = in_place))
  )
}

# Basis columns --------------------------------------------------------------------------------

#' The terms of one bar: one per column if it is a double bar, and one per grouping factor
#' @noRd
expand_bar <- function(bar, groups, frame) {
  levels <- lag_levels(bar, frame)
  basis <- basis_columns(bar$lhs, set_levels(frame, levels), coded = TRUE)
  basis$levels <- levels
  k <- length(basis$columns)
  if (k == 0L) {
    ferrolmm_abort(
      paste0("The random-effects term (", code_label(bar$lhs), " | ", bar$groups[[1L]]$name,
             ") has no random effects."),
      "formula", i = "Write 1 for a random intercept, or the variable whose effect varies."
    )
  }
  sets <- if (bar$double) as.list(seq_len(k)) else list(seq_len(k))
  terms <- list()
  for (set in sets) {
    for (group in bar$groups) {
      term <- describe_term(bar, basis, set, group, groups)
      terms[[length(terms) + 1L]] <- with_level_classes(term, bar, groups[[term$key]], frame)
    }
  }
  terms
}

#' One random-effects term
#'
#' @returns a list: `label` ("Days | Subject"), `group` (name of its grouping factor), `lhs` (the
#'   expression), `columns` (which columns of model.matrix(~lhs)), `factor` (index into `flist`),
#'   `cnms`, `structure`, `hom` (one variance for all effects?), `factors` (of rr() and fa(): how
#'   many), `known` (kind and label of a known
#'   matrix of the levels, or NULL), `contrasts` (of factors in `lhs`), `levels` (of those that have
#'   more than the frame's, see [lag_levels()]), `leaves` (variables whose interaction is the
#'   grouping factor); of mm() `members`, see [code_members()]; where levels have classes, what
#'   [with_level_classes()] adds; and for the time being `key`, `partition` and `values`, which are
#'   not kept.
#' @noRd
describe_term <- function(bar, basis, set, group, groups) {
  key <- group_key(group, bar$known)
  alone <- length(set) == 1L
  term <- list(
    label = paste(term_lhs_label(bar, basis, set), "|", formula_label(groups[[key]]$expr)),
    group = groups[[key]]$name, lhs = bar$lhs, columns = set, factor = 0L,
    cnms = if (is.null(group$members$smooth)) basis$names[set] else "smooth",
    structure = if (alone) plain_structure else bar$structure, hom = !alone && isTRUE(bar$hom),
    known = bar$known[c("kind", "label")],
    contrasts = basis$contrasts, levels = basis$levels, leaves = groups[[key]]$leaves,
    key = key, partition = groups[[key]]$partition, values = basis$columns[set]
  )
  # what is NULL stays out
  if (!alone) term$factors <- fewer_factors(bar, basis$names[set])
  term$members <- groups[[key]]$spec
  term
}

#' The number of factors of a term with these effects, no more than they determine
#' @noRd
fewer_factors <- function(bar, effects) {
  most <- if (!is.null(bar$factors)) largest_factors(bar$structure, length(effects))
  if (!is.null(most) && bar$factors > most) {
    ferrolmm_abort(
      paste0(bar$structure, "() with ", count_of(bar$factors, "factor"), " has more parameters ",
             "than ", count_of(length(effects), "effect"), " determine."),
      "formula", x = paste0("In the term ", code_label(bar$call), "."),
      i = if (most > 0L) {
        paste0("The largest number is k = ", most, ".")
      } else {
        "It needs at least 3 effects: us() has all covariance matrices of fewer."
      }
    )
  }
  bar$factors
}

#' @noRd
term_lhs_label <- function(bar, basis, set) {
  if (!bar$double || length(basis$columns) == 1L) {
    return(formula_label(bar$lhs))
  }
  name <- basis$names[set]
  if (name == "(Intercept)") "1" else paste("0 +", name)
}

#' Columns of model.matrix(~ lhs): the variables themselves where they are plain numbers
#'
#' As in lme4 the `contrasts` argument does not apply here; contrasts of the factor itself do.
#' @returns as [design_columns()]
#' @noRd
basis_columns <- function(lhs, frame, contrasts = NULL, coded = FALSE) {
  if (is.numeric(lhs) && identical(as.double(lhs), 1)) {
    return(list(columns = list(NULL), names = "(Intercept)", assign = 0L))
  }
  terms <- stats::terms.formula(as.call(list(quote(`~`), lhs)))
  design_columns(terms, frame, contrasts, coded)
}

#' The k basis columns of a term on any frame that has its variables
#' @noRd
term_columns <- function(term, frame, coded = FALSE) {
  frame <- set_levels(frame, term$levels)
  basis_columns(term$lhs, frame, term$contrasts, coded)$columns[term$columns]
}

#' Levels of factors whose effects are ordered, including those that no row has
#'
#' In ar1() and toep(), say, visits 1, 2 and 4 are 1, 2 and 3 apart, although visit 3 has no rows:
#' it has an effect too, so its variance must be that of the others.
#' @returns list of levels by variable, NULL where there is nothing to add
#' @noRd
lag_levels <- function(bar, frame) {
  if (!random_kind(bar$structure)$order_matters || is.numeric(bar$lhs)) {
    return(NULL)
  }
  side <- paste0(bar$structure, "(", code_label(bar$lhs), " | ", bar$groups[[1L]]$name, ")")
  levels <- list()
  variables <- stats::terms.formula(as.call(list(quote(`~`), bar$lhs)))
  for (name in variable_names(as.list(attr(variables, "variables"))[-1L])) {
    if (is_text_column(frame, name)) {
      ferrolmm_abort(
        paste0("The term ", side, " needs effects in an order, and `", name,
               "` is of class character."),
        "formula", variable = name, x = "Sorted as text, \"10\" comes before \"2\".",
        i = "Make it a factor, with the levels in their order."
      )
    }
    x <- .subset2(frame, name)
    if (is.factor(x)) {
      all <- levels(spanned_levels(x, all_levels(frame, name)))
      if (length(all) > nlevels(x)) {
        levels[[name]] <- all
      }
    }
  }
  if (length(levels) && !isTRUE(bar$hom)) {
    abort_unseen_variance(side, levels, frame)
  }
  if (length(levels)) levels
}

#' @noRd
abort_unseen_variance <- function(side, levels, frame) {
  name <- names(levels)[1L]
  unseen <- setdiff(levels[[name]], base::levels(frame[[name]]))
  ferrolmm_abort(
    paste0("The term ", side, " has a variance for each level of `", name, "`, and no row has ",
           quote_names(unseen), "."),
    "formula", variable = name,
    i = c(
      "One variance for all levels: hom = TRUE.",
      paste0("If lags should count only the levels that occur: droplevels() on `", name, "`.")
    )
  )
}

#' Give factors of a frame levels that they lack
#' @noRd
set_levels <- function(frame, levels) {
  for (name in names(levels)) {
    x <- .subset2(frame, name)
    codes <- match(base::levels(x), levels[[name]])[x]
    x <- structure(codes, levels = levels[[name]], class = class(x))
    frame <- set_column(frame, match(name, names(frame)), x)
  }
  frame
}

# Grouping factors -----------------------------------------------------------------------------

#' Interactions of the same variables are the same factor, in whatever order they are written; a
#' factor with a known matrix of its levels is a separate one
#' @noRd
group_key <- function(group, known = NULL) {
  if (!is.null(group$members)) {
    return(paste("mm", group$members$label, sep = "\n"))
  }
  key <- paste(sort(variable_names(group$leaves)), collapse = "\r")
  if (is.null(known)) key else paste(key, known$kind, known$label, sep = "\n")
}

#' Code every distinct grouping factor once
#' @returns a list by key of list(name, leaves, and what [interact_codes()] returns)
#' @noRd
code_groups <- function(bars, frame, control) {
  groups <- list()
  coded <- list()
  for (bar in bars) {
    for (group in bar$groups) {
      key <- group_key(group, bar$known)
      if (is.null(groups[[key]]) && !is.null(group$members)) {
        groups[[key]] <- c(group[c("name", "expr")], code_members(group, frame))
      } else if (is.null(groups[[key]])) {
        leaves <- variable_names(group$leaves)
        known <- known_rows(frame, leaves)
        here <- if (is.null(known)) frame else frame[known, leaves, drop = FALSE]
        if (is.null(known)) {
          for (leaf in setdiff(leaves, names(coded))) {
            coded[[leaf]] <- code_variable(.subset2(frame, leaf), leaf)
          }
          crossed <- interact_codes(coded[leaves])
        } else {
          crossed <- interact_codes(lapply(stats::setNames(nm = leaves), function(leaf) {
            code_variable(.subset2(here, leaf), leaf)
          }))
        }
        if (!is.null(bar$known)) {
          crossed <- apply_known(crossed, bar$known, group$name, control)
        }
        if (!is.null(known)) crossed <- spread_codes(crossed, known, .row_names_info(frame, 2L))
        groups[[key]] <- c(
          list(name = group$name, expr = group$expr, leaves = leaves, known = bar$known$label),
          crossed
        )
      }
    }
  }
  groups
}

#' Codes of some of `n` rows, missing in the others
#' @noRd
spread_codes <- function(group, rows, n) {
  codes <- rep.int(NA_integer_, n)
  codes[rows] <- as.integer(group$codes)
  group$codes <- codes
  group$factor <- structure(codes, levels = group$levels, class = "factor")
  group
}

#' Give each factor a name of its own
#'
#' Where a factor with a known matrix and one without are on the same variables, the first is called
#' "id[A]" and the second "id"; a variable that has the name of an interaction is "`a:b`" where
#' there is also the interaction "a:b".
#' @noRd
name_groups <- function(groups) {
  names <- vapply(groups, `[[`, "", "name")
  if (!anyDuplicated(names)) {
    return(groups)
  }
  for (k in which(names %in% names[duplicated(names)])) {
    if (!is.null(groups[[k]]$known)) {
      names[[k]] <- paste0(names[[k]], "[", groups[[k]]$known, "]")
    } else if (is.symbol(groups[[k]]$expr)) {
      names[[k]] <- formula_label(groups[[k]]$expr)
    }
  }
  names <- distinct_names(names)
  for (k in seq_along(groups)) {
    groups[[k]]$name <- names[[k]]
  }
  groups
}

#' Find grouping factors that group the rows alike under another name
#'
#' Each group gets `partition`: the key of the first group that is the same up to its labels.
#' @noRd
mark_partitions <- function(groups) {
  keys <- names(groups)
  for (k in seq_along(groups)) {
    groups[[k]]$partition <- keys[k]
    for (before in seq_len(k - 1L)) {
      if (same_partition(groups[[before]], groups[[k]])) {
        groups[[k]]$partition <- groups[[before]]$partition
        break
      }
    }
  }
  groups
}

#' Is there a one-to-one map between the levels? For most factors a few rows show that there is not.
#' @noRd
same_partition <- function(a, b) {
  if (a$n_levels != b$n_levels || !is.null(a$precision) || !is.null(b$precision)) {
    return(FALSE)
  }
  if (!is.null(a$members) || !is.null(b$members)) {
    return(same_members(a, b))
  }
  maps <- function(rows) {
    from <- as.integer(a$codes[rows])
    to <- as.integer(b$codes[rows])
    # what a table does not tell
    known <- !is.na(from) & !is.na(to)
    from <- from[known]
    to <- to[known]
    map <- integer(a$n_levels)
    map[from] <- to
    all(map[from] == to)
  }
  n <- length(a$codes)
  maps(seq_len(min(n, 100L))) && maps(seq_len(n))
}

# Checks ---------------------------------------------------------------------------------------

#' Drop a term that another one on the same grouping factor contains
#'
#' The covariance of the containing term absorbs that of the contained one, whatever it is: the
#' likelihood depends only on their sum.
#' @noRd
drop_duplicate_terms <- function(terms, groups, frame) {
  if (length(terms) < 2L || !anyDuplicated(vapply(terms, function(term) term$partition, ""))) {
    return(terms)
  }
  effects <- lapply(terms, term_keys, frame)
  drop <- logical(length(terms))
  pairs <- list()
  for (a in rev(seq_along(terms))) {
    for (b in seq_along(terms)) {
      within <- a != b && !drop[b] && !drop[a] && all(effects[[a]] %in% effects[[b]]) &&
        is_contained(terms[[a]], terms[[b]], groups, a > b)
      if (within) {
        drop[a] <- TRUE
        pairs <- c(pairs, list(terms[c(a, b)]))
      }
    }
  }
  alike <- vapply(pairs, function(pair) {
    paste(pair[[1L]]$key, term_words(pair[[1L]]), term_words(pair[[2L]]), sep = "\r")
  }, "")
  for (k in which(!duplicated(alike))) {
    warn_duplicate(pairs[[k]][[1L]], pairs[[k]][[2L]], sum(alike == alike[[k]]))
  }
  terms[!drop]
}

#' Does the covariance of one term absorb that of another, all of whose effects it has?
#'
#' Where the levels of `a` have classes, those of `b` must differ within them, if anywhere.
#' @noRd
is_contained <- function(a, b, groups, later) {
  if (a$partition != b$partition || !classes_within(b, a, groups)) {
    return(FALSE)
  }
  alike <- length(a$cnms) == length(b$cnms) && a$structure == b$structure && a$hom == b$hom &&
    identical(a$factors, b$factors)
  if (alike && classes_within(a, b, groups)) {
    return(later)
  }
  # beside factors, independent effects are the specific ones
  if (has_factors(b) && !is_factor_analytic(b)) {
    return(FALSE)
  }
  random_kind(b$structure)$factor || !random_kind(a$structure)$correlated && !b$hom ||
    length(a$cnms) == 1L && (!b$hom || length(b$cnms) == 1L)
}

#' @param times how many terms like `a` there are.
#' @noRd
warn_duplicate <- function(a, b, times) {
  same <- length(a$cnms) == length(b$cnms) && count_classes(a) == count_classes(b)
  ferrolmm_warn(
    paste0("Duplicate random-effects term: (", term_words(a), ") is ",
           if (same) "the same as (" else "part of (", term_words(b), "), and is dropped",
           if (times > 1L) paste0(", all ", times, " times"), "."),
    "duplicate_term",
    x = c(
      if (a$key != b$key) {
        paste0("`", a$group, "` and `", b$group, "` group the rows in the same way.")
      },
      "One variance would be split between two terms, which no data can identify."
    )
  )
}

#' A structure that depends on order needs ordered effects
#' @noRd
check_structure <- function(term) {
  if (random_kind(term$structure)$order_matters && "(Intercept)" %in% term$cnms) {
    ferrolmm_warn(
      paste0("The term (", term$label, ") has the structure ", term$structure,
             "() and an intercept among its effects: ", quote_names(term$cnms), "."),
      "formula",
      x = "The correlation of two effects depends on how far apart they stand in this order.",
      i = paste0("An effect for each level of a factor: ", term$structure, "(0 + time | ",
                 term$group, ").")
    )
  }
}
