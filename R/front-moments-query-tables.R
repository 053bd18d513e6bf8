# Tables of the rows of a database, see R/front-moments-tables.R: a query for each.
#
# Accuracy. Sums of doubles have rounding errors of some 1e-16 of the squares about the centre, and
# the residual sum of squares is what the model leaves of these. Where that is a share below 1e-5
# (found by a fit with variances so large that random effects are free), all is asked again in
# pieces: z = z1 + z2, with z1 a multiple of a power of two, so coarse that sums of products z1 z1
# are whole numbers of that unit below 2^53, and exact whatever their order (as the splittings of
# Ozaki et al., 2012, Numerical Algorithms 59, 95-118). What is left, z1 z2 and z2 z2, is smaller by
# 2^-b and 2^-2b, b the bits of z1, and so are its errors; three pieces give 2^-2b. A table agrees
# with the others to that, as all are of the same pieces.

#' Rounding errors of sums about a centre, relative to the sum of squares
#' @noRd
sum_digits <- 1e-15

#' Tables of the rows of a source
#' @noRd
source_tables <- function(plan, survey, control, caller) {
  if (leaves_out_later(plan)) {
    lost <- vapply(plan$groups, function(group) !group$strict, NA)
    ferrolmm_abort(
      paste0("What R computes from ", quote_names(vapply(plan$groups[lost], `[[`, "", "name")),
             " may leave out rows, of which tables of pairs do not tell."),
      "moments", i = "Make it a column, or a query of lmm_source() that leaves these rows out."
    )
  }
  split <- list(pieces = 1L, units = NULL, digits = sum_digits)
  found <- ask_tables(plan, survey, split, control)
  share <- least_share_of(found, control, caller)
  if (share < 1e10 * split$digits) {
    if (plan$weighted) {
      ferrolmm_abort(
        paste0("The residuals are too small against the response, or columns of X too nearly ",
               "dependent, for weighted sums of a database: what is left is a share of ",
               signif(share, 2L), "."),
        "moments",
        i = "Read the rows in parts, lmm_chunks(DBI::dbSendQuery(...)): that keeps all digits."
      )
    }
    range <- largest_numbers(plan, survey)
    for (pieces in 2:3) {
      split <- split_numbers(range, survey, pieces, found)
      found <- ask_tables(plan, survey, split, control)
      share <- least_share_of(found, control, caller)
      if (share > 1e10 * split$digits) break
    }
  }
  found
}

#' Units of the pieces of each number
#'
#' @param range the largest value of each number about its centre.
#' @returns list(pieces, units (a matrix with a row for each but the last piece), digits)
#' @noRd
split_numbers <- function(range, survey, pieces, moments) {
  bits <- floor((53 - log2(max(survey$used, 2))) / 2)
  top <- ceiling(log2(pmax(range, .Machine$double.xmin)))
  units <- outer(seq_len(pieces - 1L), top, function(piece, top) 2^(top - bits * piece))
  response <- number_summary(moments, moments$numbers[[length(moments$numbers)]])$sd
  wide <- max(range[[length(range)]] / response, 1)^2
  list(pieces = pieces, units = units, digits = sum_digits * wide * 2^(-bits * (pieces - 1L)))
}

#' @noRd
largest_numbers <- function(plan, survey) {
  centred <- centred_numbers(plan, survey)
  answer <- ask_source(plan$source, paste0(
    "SELECT ", paste0("MAX(ABS(", centred, "))", collapse = ", "), " FROM ", plan$values,
    " WHERE ", plan$keep
  ))
  as.double(unlist(answer, use.names = FALSE))
}

#' @noRd
centred_numbers <- function(plan, survey) {
  paste0(
    "((", plan$numbers, ") - ", vapply(survey$centre, sql_number, "", plan$source$dialect), ")"
  )
}

#' All tables
#' @noRd
ask_tables <- function(plan, survey, split, control) {
  moments <- as_empty_tables(plan$moments)
  moments$tables <- lapply(moments$tables, function(table) {
    require_time_to_fit(control)
    table <- ask_table(table, plan, survey, split)
    check_unchanged(sum(table$counts), survey$used)
    table
  })
  moments$digits <- split$digits
  moments$omitted <- survey$eligible - survey$used
  moments
}

#' Which columns of the query tell the cells of a table apart
#' @noRd
groups_of_table <- function(table, plan) {
  names <- vapply(plan$groups, `[[`, "", "name")
  raw <- vapply(plan$groups, function(group) group$kind == "raw", NA)
  unique(unlist(lapply(names(table$keys), function(name) {
    variable <- plan$variables[[name]]
    columns <- c(variable$raw, variable$from)
    if (is.null(columns)) which(names == name & !raw) else which(raw & names %in% columns)
  })))
}

#' One table
#' @noRd
ask_table <- function(table, plan, survey, split) {
  here <- groups_of_table(table, plan)
  groups <- plan$group_names[here]
  used <- setdiff(sort(unique(as.vector(table$products))), 0L)
  w <- if (plan$weighted) "w"
  z <- sprintf("z%d", used)
  from <- paste0(
    "(SELECT ", paste(c(groups, w, paste(centred_numbers(plan, survey)[used], "AS", z,
                                       recycle0 = TRUE), "1 AS k"), collapse = ", "),
    " FROM ", plan$values, " WHERE ", plan$keep, ") AS lmm_centred"
  )
  pieces <- lapply(used, function(v) sprintf("z%d", v))
  # a table without numbers has nothing to split
  for (piece in seq_len(if (length(used) > 0L) split$pieces - 1L else 0L)) {
    # (z + c) - c is the multiple of the unit next to z
    last <- vapply(pieces, function(p) p[[length(p)]], "")
    round <- vapply(1.5 * 2^52 * split$units[piece, used], sql_number, "", plan$source$dialect)
    kept <- c(groups, unlist(lapply(pieces, function(p) p[-length(p)])), "k")
    next_to <- sprintf("h%d_%d", piece, used)
    from <- paste0(
      "(SELECT ", paste(c(kept, last, paste0("(", last, " + ", round, ") - ", round, " AS ",
                                             next_to)), collapse = ", "),
      " FROM ", from, ") AS lmm_high", piece
    )
    rest <- sprintf("r%d_%d", piece, used)
    from <- paste0(
      "(SELECT ", paste(c(kept, next_to, paste(last, "-", next_to, "AS", rest)), collapse = ", "),
      " FROM ", from, ") AS lmm_rest", piece
    )
    pieces <- Map(function(p, high, rest) c(p[-length(p)], high, rest), pieces, next_to, rest)
  }
  terms <- lapply(seq_len(ncol(table$products)), function(k) {
    product_sql(table$products[, k], pieces[match(table$products[, k], used)], w)
  })
  sums <- unlist(lapply(terms, `[[`, "sql"))
  what <- c(
    groups, "COUNT(*) AS n", if (plan$weighted) sum_sql(weight_log(plan), "sl"),
    sum_sql(sums, sprintf("q%d", seq_along(sums)))
  )
  answer <- ask_source(plan$source, paste0(
    "SELECT ", paste(what, collapse = ", "), " FROM ", from,
    if (length(groups) > 0L) paste(" GROUP BY", paste(groups, collapse = ", "))
  ))
  names(answer) <- sub(".* AS ", "", what)
  table_of_answer(answer, table, plan, here, terms, survey)
}

#' The sums that add up to that of a product of two numbers, each in pieces
#' @returns list(sql, times)
#' @noRd
product_sql <- function(pair, pieces, w) {
  if (all(pair == 0L)) {
    return(list(sql = if (is.null(w)) "k" else w, times = 1))
  }
  times_w <- if (is.null(w)) "" else paste0(w, " * ")
  pieces <- pieces[pair > 0L]
  if (length(pieces) == 1L) {
    return(list(sql = paste0(times_w, pieces[[1L]]), times = rep.int(1, length(pieces[[1L]]))))
  }
  at <- expand.grid(a = seq_along(pieces[[1L]]), b = seq_along(pieces[[2L]]))
  same <- pair[[1L]] == pair[[2L]]
  if (same) at <- at[at$a <= at$b, ]
  list(
    sql = paste0(times_w, pieces[[1L]][at$a], " * ", pieces[[2L]][at$b]),
    times = if (same) ifelse(at$a < at$b, 2, 1) else rep.int(1, nrow(at))
  )
}

#' @noRd
table_of_answer <- function(answer, table, plan, here, terms, survey) {
  ends <- cumsum(lengths(lapply(terms, `[[`, "times")))
  rows <- Map(function(term, end) {
    k <- length(term$times)
    columns <- unclass(answer)[sprintf("q%d", end - k + seq_len(k))]
    matrix(engine_add_columns(columns, term$times), 2L)
  }, terms, ends)
  table$counts <- as.double(answer$n)
  table$log_weights <- if (plan$weighted) as.double(answer$sl) else double(nrow(answer))
  table$sums <- do.call(rbind, unname(rows))
  table <- engine_table_shift(table, survey$centre)
  keys <- keys_of_answer(plan, answer, names(table$keys), here)
  codes <- code_cells(keys)
  if (length(codes$first) < nrow(keys)) {
    whole <- empty_table(keys, table$products)
    table <- engine_table_with(whole, length(codes$first), table, codes$codes)
    keys <- keys[codes$first, , drop = FALSE]
  }
  table$keys <- keys
  table
}

#' The least share of a sum of squares that the model leaves: of the response with random effects
#' that are free, and of each column of X by the columns before it
#' @noRd
least_share_of <- function(moments, control, caller) {
  tryCatch(
    suppressWarnings(quietly({
      parts <- design_moments(moments$formula, moments, NULL, control, caller)
      for (t in seq_along(parts$random$terms)) {
        parts$random$design$terms[[t]][c("structure", "hom")] <- list("diag", FALSE)
      }
      scales <- unlist(scales_of_tables(parts$random$design, parts$fixed$tables))
      control[c("hold", "tie", "sigma")] <- list(NULL)
      free <- engine_fit(
        engine_model(parts$fixed, parts$random), TRUE, 1e4 / pmax(scales, 1e-300),
        control, optimize = FALSE
      )
      response <- number_summary(moments, moments$numbers[[length(moments$numbers)]])
      r <- triangle_of_tables(parts$fixed$X, parts$fixed$tables)[-1L, -1L, drop = FALSE]
      pivots <- diag(r)^2 / colSums(r^2)
      varies <- colSums(r^2) > 0
      min(free$sigma^2 / response$sd^2, pivots[varies], na.rm = TRUE)
    })),
    # what is left is nothing, or not even positive
    ferrolmm_error_perfect_fit = function(e) 0, ferrolmm_error_numerical = function(e) 0
  )
}
