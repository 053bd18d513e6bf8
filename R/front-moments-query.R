# Moments of the rows of a database: its answers to a few queries.
#
# Accuracy. Sums of squares and products are taken about a centre, the mean of all rows, as a short
# constant that every parser reads alike. What is wanted, the scatter about the means of cells, is
# then the difference of two sums, with a relative error of some units of rounding (2e-16) over r,
# the share of the scatter within cells in the sum of squares about the centre. With r above 1e-5
# that is below 1e-10. Where a number has less, all is asked again, about the mean of each cell (a
# window function): then the sums are as large as the scatter, and what is left is the rounding of
# the numbers themselves. With an intercept of 1e6, levels that differ by 1e3 and residuals of 1e-3,
# r is 1e-12: the first query gives three or four digits of sigma, the second all that the numbers
# have.

#' The share of the scatter within cells below which they are asked for again
#' @noRd
least_share <- 1e-5

#' What is known of all rows before any are grouped
#'
#' @returns list(eligible, used: counts of rows; centre: of the numbers; infinite: counts by number;
#'   wrong: counts of values that are no numbers, by column; weights: range)
#' @noRd
survey_source <- function(plan) {
  dialect <- plan$source$dialect
  numbers <- sprintf("n%d", seq_along(plan$numbers))
  # squares would overflow; and where nothing is infinite, see the table of dialects
  huge <- sql_number(1e300, dialect)
  typed <- Filter(function(column) column$kind == "number", plan$columns)
  wrong <- if (!is.null(dialect$wrong_type)) {
    vapply(typed, function(column) dialect$wrong_type(column$raw), "")
  }
  what <- c(
    count_sql("e = 1", "eligible"), count_sql("u = 1", "used"),
    paste0("AVG(CASE WHEN u = 1 THEN ", numbers, " END) AS a", seq_along(numbers)),
    count_sql(paste0("u = 1 AND ABS(", numbers, ") > ", huge), paste0("i", seq_along(numbers))),
    if (plan$weighted) {
      c("MIN(w) AS least", "MAX(w) AS most")
    },
    if (length(wrong) > 0L) count_sql(wrong, paste0("t", seq_along(wrong)))
  )
  raw <- vapply(typed, `[[`, "", "raw")
  inner <- c(
    paste0("CASE WHEN ", plan$eligible, " THEN 1 ELSE 0 END AS e"),
    paste0("CASE WHEN ", plan$keep, " THEN 1 ELSE 0 END AS u"),
    paste(plan$numbers, "AS", numbers), if (plan$weighted) "w",
    if (length(wrong) > 0L) unname(raw)
  )
  answer <- ask_source(plan$source, paste0(
    "SELECT ", paste(what, collapse = ", "), " FROM (SELECT ", paste(inner, collapse = ", "),
    " FROM ", plan$values, ") AS lmm_survey"
  ))
  value <- function(name) as.double(answer[[match(tolower(name), tolower(names(answer)))]])
  several <- function(letter, n) vapply(paste0(letter, seq_len(n)), value, 0, USE.NAMES = FALSE)
  centre <- several("a", length(numbers))
  list(
    eligible = value("eligible"), used = value("used"), infinite = several("i", length(numbers)),
    centre = ifelse(is.finite(centre), signif(centre, 12L), 0),
    wrong = if (length(wrong) > 0L) stats::setNames(several("t", length(wrong)), names(wrong)),
    weights = if (plan$weighted) c(value("least"), value("most"))
  )
}

#' @noRd
check_survey <- function(survey, plan, action) {
  if (any(survey$wrong > 0)) {
    name <- names(survey$wrong)[survey$wrong > 0][[1L]]
    ferrolmm_abort(
      paste0("Column `", name, "` has text in ", count_of(survey$wrong[[name]], "row"),
             ", and numbers in others."),
      "data", variable = name, i = "Make it NULL or numbers, or select the rows in a query."
    )
  }
  if (isTRUE(survey$weights[[1L]] < 0)) {
    ferrolmm_abort(
      paste0("`weights` has negative values, down to ", signif(survey$weights[[1L]], 6L), "."),
      "weights", i = "Weights are precisions: Var(y) = sigma^2 / weights."
    )
  }
  if (isTRUE(survey$weights[[2L]] > 1e300)) {
    ferrolmm_abort("`weights` is infinite (Inf) in some rows.", "weights")
  }
  if (survey$used == 0) {
    abort_no_row(plan)
  }
  if (survey$used < survey$eligible && !action %in% c("omit", "exclude")) {
    abort_missing(lapply(count_missing(plan), as.integer), action)
  }
  if (any(survey$infinite > 0)) {
    k <- which(survey$infinite > 0)[[1L]]
    name <- number_label(plan$moments$numbers[[k]])
    ferrolmm_abort(
      paste0("`", name, "` is not finite in ", count_of(survey$infinite[[k]], "row"), "."),
      "not_finite", variable = name,
      i = "Leave these rows out by `subset`, or correct the variable."
    )
  }
}

#' Counts and sums by cell
#'
#' @param about_means about the mean of each cell, a constant of the cell that is added to the
#'   answer (m1, ...), and not about the centre alone?
#' @noRd
ask_cells <- function(plan, centre, about_means) {
  m <- length(plan$numbers)
  groups <- paste(plan$group_names, collapse = ", ")
  z <- sprintf("z%d", seq_len(m))
  centred <- paste0("(", plan$numbers, ") - ", vapply(centre, sql_number, "", plan$source$dialect))
  w <- if (plan$weighted) "w"
  from <- paste0(
    "(SELECT ", paste(c(plan$group_names, w, paste(centred, "AS", z)), collapse = ", "), " FROM ",
    plan$values, " WHERE ", plan$keep, ") AS lmm_centred"
  )
  means <- NULL
  if (about_means) {
    over <- paste0(" OVER (PARTITION BY ", groups, ")")
    from <- paste0(
      "(SELECT ", paste(
        c(plan$group_names, w, z, paste0("AVG(", z, ")", over, " AS m", seq_len(m))),
        collapse = ", "
      ), " FROM ", from, ") AS lmm_means"
    )
    from <- paste0(
      "(SELECT ", paste(c(plan$group_names, w, paste0(z, " - m", seq_len(m), " AS ", z),
                          paste0("m", seq_len(m))), collapse = ", "), " FROM ", from, ") AS lmm_off"
    )
    means <- paste0("MIN(m", seq_len(m), ") AS m", seq_len(m))
  }
  pair <- triangle_pairs(m)
  times <- if (plan$weighted) "w * " else ""
  what <- c(
    plan$group_names, "COUNT(*) AS n", if (plan$weighted) {
      c(sum_sql("w", "sw"), sum_sql(weight_log(plan), "sl"))
    },
    sum_sql(paste0(times, z), paste0("s", seq_len(m))),
    sum_sql(paste0(times, z[pair[, 1L]], " * ", z[pair[, 2L]]), paste0("q", seq_len(nrow(pair)))),
    paste0("MIN(", z, ") AS l", seq_len(m)), paste0("MAX(", z, ") AS h", seq_len(m)), means
  )
  answer <- ask_source(plan$source, paste0(
    "SELECT ", paste(what, collapse = ", "), " FROM ", from, " GROUP BY ", groups
  ))
  names(answer) <- sub(".* AS ", "", what)
  answer
}

#' Log of the weights: by another name where LN is not known
#' @noRd
weight_log <- function(plan) {
  scope <- list(source = plan$source, term = quote(weights))
  paste0(log_function(scope), "(w)")
}

#' Columns of an answer that are numbered, as a matrix with a column for each cell
#' @noRd
answer_matrix <- function(answer, letter, n) {
  columns <- lapply(unclass(answer)[paste0(letter, seq_len(n))], as.double)
  matrix(unlist(columns, use.names = FALSE), nrow = n, byrow = TRUE)
}

#' Sums of an answer as cells
#' @noRd
cells_of <- function(answer, plan, centre) {
  m <- length(plan$numbers)
  counts <- as.double(answer$n)
  weights <- if (plan$weighted) as.double(answer$sw) else counts
  pair <- triangle_pairs(m)
  sums <- answer_matrix(answer, "s", m)
  scatter <- answer_matrix(answer, "q", nrow(pair))
  over <- sums / rep(weights, each = m)
  scatter <- scatter - sums[pair[, 1L], , drop = FALSE] * over[pair[, 2L], , drop = FALSE]
  # a number that does not vary in a cell is its own mean, without rounding
  low <- answer_matrix(answer, "l", m)
  constant <- low == answer_matrix(answer, "h", m)
  over[constant] <- low[constant]
  scatter[constant[pair[, 1L], , drop = FALSE] | constant[pair[, 2L], , drop = FALSE]] <- 0
  diagonal <- pair[, 1L] == pair[, 2L]
  scatter[diagonal, ] <- pmax(scatter[diagonal, , drop = FALSE], 0)
  about <- if (is.null(answer$m1)) 0 else answer_matrix(answer, "m", m)
  list(
    m = m, counts = counts, weights = weights,
    log_weights = if (plan$weighted) as.double(answer$sl) else double(length(counts)),
    means = (over + about) + centre, scatter = scatter
  )
}

#' The share of the scatter within cells in the sum of squares, of each number that varies in cells
#' @noRd
within_share <- function(cells, answer, plan) {
  m <- cells$m
  diagonal <- cumsum(seq_len(m))
  varies <- answer_matrix(answer, "l", m) < answer_matrix(answer, "h", m)
  within <- rowSums(cells$scatter[diagonal, , drop = FALSE])
  squares <- rowSums(answer_matrix(answer, "q", m * (m + 1) / 2)[diagonal, , drop = FALSE] * varies)
  ifelse(squares > 0, within / squares, 1)
}

#' @noRd
check_unchanged <- function(now, before) {
  if (now != before) {
    ferrolmm_abort(
      paste0("The table changed while it was read: it had ", count_of(before, "row"),
             " to use, and now ", now, "."),
      "source", i = "Read it in a transaction, or a copy of it."
    )
  }
}

#' The keys of cells, from what the database groups them by
#' @param answer columns `g1`, `g2`, ...; `names` of the keys, `here` the groups that they are of.
#' @noRd
keys_of_answer <- function(plan, answer, names = base::names(plan$moments$keys),
                           here = seq_along(plan$groups)) {
  columns <- Map(function(group, name) {
    decode_group(answer[[name]], group, plan$prototypes[[group$name]])
  }, plan$groups[here], plan$group_names[here])
  names(columns) <- vapply(plan$groups[here], `[[`, "", "name")
  keys <- lapply(stats::setNames(nm = names), function(name) {
    variable <- plan$variables[[name]]
    if (is.null(variable$from)) {
      return(columns[[if (is.null(variable$raw)) name else variable$raw]])
    }
    raw <- as_frame(columns[variable$from], .set_row_names(nrow(answer)))
    value <- evaluate_variables(
      list(variable$expression), raw, environment(plan$moments$formula)
    )[[1L]]
    if (is.object(value) && !is.factor(value)) frame_values(value) else value
  })
  as_frame(keys, .set_row_names(nrow(answer)))
}

#' The moments of a source: keys from the groups, cells that have the same keys as one
#' @noRd
finish_moments <- function(plan, answer, cells, survey) {
  moments <- plan$moments
  keys <- keys_of_answer(plan, answer)
  known <- !Reduce(`|`, lapply(keys, is.na))
  keys <- keys[known, , drop = FALSE]
  attr(keys, "row.names") <- .set_row_names(sum(known))
  cells <- c(cells["m"], lapply(cells[c("counts", "weights", "log_weights")], `[`, known),
             lapply(cells[c("means", "scatter")], function(x) x[, known, drop = FALSE]))
  codes <- code_cells(keys)
  n_cells <- length(codes$first)
  if (n_cells < length(codes$codes)) {
    cells <- engine_cells_with_cells(empty_cells(cells$m), n_cells, cells, codes$codes)
    keys <- keys[codes$first, , drop = FALSE]
  }
  moments$cells <- cells
  moments$keys <- keys
  moments$omitted <- survey$eligible - sum(cells$counts)
  moments
}
