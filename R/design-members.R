# Multiple membership: rows that belong to several levels of a grouping factor, (1 | mm(g1, g2)).
#
# Row i has z_i' sum_j w_ij b_j in the place of z_i' b_j: its row of Z is that of a grouping factor,
# spread over its levels by weights (Browne, Goldstein and Rasbash, 2001, Statistical Modelling 1,
# 103-124). With one effect a level, the weights are any matrix Z: mm(Z). R/data-members.R says how
# they are kept.

# Formula ------------------------------------------------------------------------------------------

#' The grouping part mm(g1, g2, ..., weights =, scale =) of a bar
#'
#' @returns as an element of what [expand_group()] returns, with `members`, list(weights, an
#'   expression or NULL; scale; label)
#' @noRd
member_group <- function(x, bar) {
  arguments <- as.list(x)[-1L]
  named <- names(arguments)
  if (is.null(named)) named <- rep_len("", length(arguments))
  check_member_arguments(arguments, named, bar)
  variables <- arguments[named == ""]
  for (variable in variables) {
    if (!is.language(variable) || "." %in% all.vars(variable)) {
      ferrolmm_abort(
        paste0("mm() takes variables, not ", code_label(variable), "."), "formula",
        x = paste0("In the term (", code_label(bar), ").")
      )
    }
    if (is_call_to(variable, c(":", "/", "*", "%in%"))) {
      ferrolmm_abort(
        paste0("mm() takes variables, not the interaction ", code_label(variable), "."), "formula",
        x = paste0("In the term (", code_label(bar), ")."),
        i = "Write interaction(f, g), or a column that has its levels."
      )
    }
  }
  leaves <- lapply(variables, as_variable)
  scale <- if ("scale" %in% named) arguments$scale else TRUE
  list(
    name = paste0("mm(", paste(vapply(leaves, formula_label, ""), collapse = ", "), ")"),
    expr = x, leaves = leaves,
    members = list(weights = arguments$weights, scale = scale, label = code_label(x, 500L))
  )
}

#' @noRd
check_member_arguments <- function(arguments, named, bar) {
  known <- c("weights", "scale")
  unknown <- setdiff(named, c("", known))
  empty <- vapply(arguments, is_missing_argument, NA)
  if (length(unknown) > 0L || anyDuplicated(named[named != ""]) || any(empty)) {
    ferrolmm_abort(
      paste0("mm() takes variables, and the arguments ", quote_names(known), " by name."),
      "formula", x = paste0("In the term (", code_label(bar), ")."),
      i = if (length(unknown)) did_you_mean(unknown[[1L]], known)
    )
  }
  if (all(named != "")) {
    ferrolmm_abort(
      "mm() needs the variables that say which levels a row belongs to.", "formula",
      x = paste0("In the term (", code_label(bar), ")."),
      i = "As in (1 | mm(school1, school2)); a matrix Z of one's own is (1 | mm(Z))."
    )
  }
  scale <- if ("scale" %in% named) arguments$scale else TRUE
  if (!is.logical(scale) || length(scale) != 1L || is.na(scale)) {
    ferrolmm_abort(
      "`scale` of mm() must be TRUE or FALSE.", "formula",
      x = paste0("In the term (", code_label(bar), ").")
    )
  }
}

#' Refuse what a grouping factor of several members cannot be part of
#' @noRd
refuse_members <- function(groups, what, bar) {
  if (any(lengths(lapply(groups, `[[`, "members")) > 0L)) {
    ferrolmm_abort(
      paste0("mm() cannot be combined with ", what, "."), "formula",
      x = paste0("In the term (", code_label(bar), ")."),
      i = "A weight for each member can be any variable: (1 | mm(g1, g2, weights = cbind(w1, w2)))."
    )
  }
}

#' What tells a grouping factor of a formula from others: its variables, and what mm() makes of them
#' @noRd
identity_of_group <- function(group) c(variable_names(group$leaves), group$members$label)

#' The same of a term
#' @noRd
identity_of_term <- function(term) {
  own <- if (isTRUE(term$members$own)) term$members$weights
  c(term$leaves, own, term$members$label)
}

#' Columns of the frame that weigh the members of terms, or are their matrix
#' @noRd
member_columns <- function(terms) {
  unlist(lapply(terms, function(term) term$members$weights))
}

#' mm() beside a structure of residuals, which no pass over rows takes into account
#' @noRd
refuse_member_residuals <- function(groups) {
  multiple <- lengths(lapply(groups, `[[`, "members")) > 0L
  if (any(multiple)) {
    ferrolmm_abort(
      paste0("A model with ", groups[[which(multiple)[[1L]]]]$name,
             " cannot have a structure of its residuals."),
      "residual", i = "Known differences in precision are `weights`."
    )
  }
}

# Coding -------------------------------------------------------------------------------------------

#' Levels and members of mm() in the rows of a frame
#'
#' @param group what [member_group()] returns.
#' @returns as [interact_codes()], with codes that are missing, `leaves`, `members` and `spec`,
#'   what the term keeps to find those of other rows: list(weights, the column of the frame or NULL;
#'   scale; own, is it a matrix?; label)
#' @noRd
code_members <- function(group, frame) {
  if (!is.null(attr(frame, "observations"))) {
    ferrolmm_abort(
      paste0(group$name, " needs the rows of the data, and there are moments."), "needs_rows",
      i = "Fit the rows themselves."
    )
  }
  leaves <- variable_names(group$leaves)
  spec <- list(
    weights = variable_names(if (!is.null(group$members$weights)) list(group$members$weights)),
    scale = group$members$scale, own = FALSE, label = group$members$label
  )
  # of a smooth its label
  spec$smooth <- group$members$smooth
  columns <- unclass(frame)[leaves]
  if (length(leaves) == 1L && length(dim(columns[[1L]])) == 2L) {
    check_own_matrix(columns[[1L]], leaves, spec)
    spec[c("weights", "own")] <- list(leaves, TRUE)
    rows <- transposed(as_sparse(plain_matrix(columns[[1L]])))
    labels <- own_levels(columns[[1L]])
    key <- new_key("text", labels, labels, labels)
    leaves <- character()
  } else {
    coded <- Map(code_variable, columns, leaves)
    text <- all(vapply(leaves, is_text_column, NA, frame = frame))
    key <- unite_member_keys(coded, columns, leaves, text)
    codes <- Map(match_levels, columns, list(key), leaves)
    weights <- member_weights(spec, frame, length(codes), group$name)
    rows <- weight_matrix(codes, weights, length(key$labels))
    used <- which(diff(transposed(rows)@p) > 0L)
    rows <- rows[used, , drop = FALSE]
    key$values <- key$values[used]
    key$labels <- key$labels[used]
  }
  n <- ncol(rows)
  missing <- rep.int(NA_integer_, n)
  list(
    codes = missing, levels = key$labels, n_levels = length(key$labels),
    key = list(leaves = list(key), tuples = NULL),
    factor = structure(missing, levels = key$labels, class = "factor"),
    leaves = leaves, members = compressed_rows(rows), spec = spec
  )
}

#' Have rows the same levels with the same weights under the same names, in whatever order?
#' @noRd
same_members <- function(a, b) {
  if (is.null(a$members) || is.null(b$members) || !setequal(a$levels, b$levels)) {
    return(FALSE)
  }
  left <- members_matrix(a$members, a$n_levels)[match(b$levels, a$levels), , drop = FALSE]
  all((left - members_matrix(b$members, b$n_levels))@x == 0)
}

#' @noRd
check_own_matrix <- function(z, name, spec) {
  if (!is_numeric_matrix(z)) {
    ferrolmm_abort(
      paste0("The matrix `", name, "` of mm() must be numeric, it is ", describe_value(z), "."),
      "grouping", variable = name
    )
  }
  if (length(spec$weights) > 0L) {
    ferrolmm_abort(
      paste0("mm(", name, ") has a matrix, whose entries are the weights."), "grouping",
      variable = name, i = "Leave `weights` out."
    )
  }
  values <- if (is.matrix(z)) z else z@x
  if (!all(is.finite(values))) {
    ferrolmm_abort(
      paste0("The matrix `", name, "` of mm() has values that are missing or infinite."),
      "not_finite", variable = name
    )
  }
  twice <- anyDuplicated(colnames(z))
  if (twice > 0L) {
    ferrolmm_abort(
      paste0("The matrix `", name, "` of mm() has two columns called ",
             quote_names(colnames(z)[[twice]]), "."),
      "grouping", variable = name, i = "Its column names are the levels."
    )
  }
}

#' @noRd
is_numeric_matrix <- function(z) {
  is.matrix(z) && is.numeric(z) || methods::is(z, "dMatrix")
}

#' @noRd
plain_matrix <- function(z) {
  if (is.matrix(z)) matrix(as.double(z), nrow(z), ncol(z)) else z
}

#' @noRd
own_levels <- function(z) {
  if (is.null(colnames(z))) as.character(seq_len(ncol(z))) else colnames(z)
}

#' One key for the levels of all members: labels of factors in the order in which they come, other
#' values sorted, also text that was no factor
#' @noRd
unite_member_keys <- function(coded, columns, leaves, text) {
  keys <- lapply(coded, `[[`, "key")
  kinds <- vapply(keys, `[[`, "", "kind")
  if (any(kinds != kinds[[1L]])) {
    other <- which(kinds != kinds[[1L]])[[1L]]
    ferrolmm_abort(
      paste0("The members of mm() are of different types: `", leaves[[1L]], "` is ",
             keys[[1L]]$class, ", `", leaves[[other]], "` is ", keys[[other]]$class, "."),
      "grouping", variable = leaves[[other]],
      i = "They name levels of one grouping factor: make them of one type."
    )
  }
  values <- unlist(lapply(keys, `[[`, "values"), use.names = FALSE)
  labels <- unlist(lapply(keys, `[[`, "labels"), use.names = FALSE)
  first <- which(!duplicated(values))
  if (kinds[[1L]] != "text" || text) first <- first[order(values[first])]
  new_key(kinds[[1L]], values[first], make.unique(labels[first]), columns[[1L]])
}

#' Weights of the members, a column for each: equal ones where none are given, of sum 1 in each row
#' unless scale = FALSE
#' @noRd
member_weights <- function(spec, frame, members, name, class = "grouping") {
  n <- .row_names_info(frame, 2L)
  if (length(spec$weights) == 0L) {
    return(matrix(if (spec$scale) 1 / members else 1, n, members))
  }
  weights <- .subset2(frame, spec$weights)
  if (!is.numeric(weights) || is.object(weights) || NCOL(weights) != members) {
    ferrolmm_abort(
      paste0("`weights` of ", name, " must be a numeric matrix with ",
             count_of(members, "column"), ", one for each member."),
      class, variable = spec$weights,
      x = paste0("`", spec$weights, "` is ", describe_value(weights),
                 if (is.numeric(weights)) paste0(" with ", count_of(NCOL(weights), "column")), "."),
      i = "As in mm(g1, g2, weights = cbind(w1, w2))."
    )
  }
  weights <- matrix(as.double(weights), n, members)
  if (!spec$scale) {
    return(weights)
  }
  sums <- rowSums(weights)
  bad <- which(rowSums(weights < 0) > 0 | !is.na(sums) & sums == 0)
  if (length(bad) > 0L) {
    ferrolmm_abort(
      paste0("`weights` of ", name, " cannot be scaled to a sum of 1: in row ",
             row.names(frame)[[bad[[1L]]]], " they are ",
             paste(format(weights[bad[[1L]], ], trim = TRUE), collapse = ", "), "."),
      class, variable = spec$weights,
      x = "They must not be negative, nor all zero.",
      i = "scale = FALSE takes weights as they are."
    )
  }
  weights / sums
}
