# R's expressions in SQL: what is listed here means the same there, NULL standing for NA; nothing
# else is translated.
#
# A translation is list(sql, kind): "number", "text", "logical", "date" (days), "instant" (seconds).
# Every number is a double. `scope` is list(columns (named, translations of the columns of the
# source), env (of the formula), source, term (the expression as the user wrote it)).

#' An expression in SQL
#' @noRd
sql_of <- function(x, scope) {
  if (is.symbol(x) && as.character(x) %in% names(scope$columns)) {
    column <- scope$columns[[as.character(x)]]
    if (column$kind == "other") {
      refuse_sql(scope, paste0("`", as.character(x), "` is ", column$class, "."))
    }
    return(column)
  }
  if (!any(variables_of(x) %in% names(scope$columns))) {
    return(sql_constant(constant_value(x, scope), x, scope))
  }
  if (!is.call(x) || !is.symbol(x[[1L]])) {
    refuse_sql(scope)
  }
  name <- as.character(x[[1L]])
  rule <- sql_rules[[name]]
  if (is.null(rule)) {
    refuse_sql(scope, paste0("`", name, "()` is not among the functions that are translated."))
  }
  if (!identical(get0(name, scope$env, mode = "function"), get(name, asNamespace("stats")))) {
    refuse_sql(scope, paste0("`", name, "()` is not that of base R."))
  }
  rule(as.list(x)[-1L], scope, name)
}

#' A term that SQL cannot say, and the way out
#' @noRd
refuse_sql <- function(scope, why = NULL) {
  ferrolmm_abort(
    paste0("`", code_label(scope$term), "` cannot be computed in the database."), "sql",
    x = why, variable = code_label(scope$term, 500L),
    i = c(
      paste("Make it a column of the table or query; or read the rows in parts, see lmm_chunks();",
            "or all of them, with dplyr::collect() or DBI::dbReadTable()."),
      paste0("Translated are + - * / ^ ( ), comparisons, & | !, %in%, and ",
             quote_names(paste0(translated_functions(), "()"), Inf), ".")
    )
  )
}

#' @noRd
translated_functions <- function() {
  setdiff(grep("^[a-zI]", names(sql_rules), value = TRUE), "offset")
}

#' The value of an expression without columns
#' @noRd
constant_value <- function(x, scope) {
  value <- tryCatch(
    eval(x, scope$env),
    error = function(e) {
      unknown <- Filter(function(v) !exists(v, scope$env), variables_of(x))
      ferrolmm_abort(
        if (length(unknown) > 0L) {
          paste0("Variable ", quote_names(unknown),
                 " not found in the source or in the environment of the formula.")
        } else {
          paste0("`", code_label(x), "` could not be evaluated.")
        },
        "data", variable = unknown, x = if (length(unknown) == 0L) conditionMessage(e),
        i = if (length(unknown)) did_you_mean(unknown[[1L]], names(scope$columns))
      )
    }
  )
  if (is.factor(value)) as.character(value) else value
}

#' @noRd
sql_constant <- function(value, x, scope) {
  if (!is.atomic(value) || length(value) != 1L) {
    refuse_sql(scope, paste0(
      "`", code_label(x), "` is no column of the source, and ",
      if (is.atomic(value)) paste0("has ", count_of(length(value), "value"), ", not one") else
        describe_value(value), "."
    ))
  }
  kind <- column_kind(value)
  dialect <- scope$source$dialect
  sql <- switch(kind,
    number = , date = , instant = sql_number(as.double(value), dialect),
    text = if (is.na(value)) "NULL" else dialect$string(enc2utf8(value)),
    logical = if (is.na(value)) "(1 = NULL)" else if (value) "(1 = 1)" else "(1 = 0)",
    refuse_sql(scope, paste0("`", code_label(x), "` is ", describe_value(value), "."))
  )
  missing <- is.na(value) && kind == "logical"
  list(sql = sql, kind = kind, missing = missing, constant = value)
}

#' The kind of the values of a column as R has them
#' @noRd
column_kind <- function(x) {
  if (is.factor(x) || is.character(x)) {
    "text"
  } else if (is.logical(x)) {
    "logical"
  } else if (inherits(x, "Date")) {
    "date"
  } else if (inherits(x, "POSIXct")) {
    "instant"
  } else if (is.numeric(x) && (!is.object(x) || is_integer64(x))) {
    "number"
  } else {
    "other"
  }
}

#' An operand that has to be a number; TRUE is 1
#' @noRd
sql_double <- function(x, scope) {
  found <- sql_of(x, scope)
  if (found$kind == "logical") {
    return(sql_as_number(found, scope))
  }
  if (found$kind != "number") {
    refuse_sql(scope, paste0("`", code_label(x), "` is no number."))
  }
  found$sql
}

#' @noRd
sql_as_number <- function(found, scope) {
  if (found$kind != "logical") {
    return(found$sql)
  }
  dialect <- scope$source$dialect
  if (isTRUE(found$missing)) {
    return(sql_number(NA, dialect))
  }
  paste0("CASE WHEN ", found$sql, " THEN ", sql_number(1, dialect), " WHEN NOT (", found$sql,
         ") THEN ", sql_number(0, dialect), " END")
}

#' @noRd
sql_logical <- function(x, scope) {
  found <- sql_of(x, scope)
  if (found$kind != "logical") {
    refuse_sql(scope, paste0("`", code_label(x), "` is not TRUE or FALSE."))
  }
  found$sql
}

#' @noRd
number_sql <- function(...) list(sql = paste0("(", ..., ")"), kind = "number")

#' @noRd
logical_sql <- function(...) list(sql = paste0("(", ..., ")"), kind = "logical")

#' The arguments of a call by name, those of `names`, in that order
#' @noRd
sql_arguments <- function(args, names, scope, least = length(names)) {
  given <- names(args)
  if (is.null(given)) given <- rep.int("", length(args))
  free <- setdiff(names, given)
  given[!nzchar(given)] <- free[seq_len(sum(!nzchar(given)))]
  if (anyNA(given) || !all(given %in% names) || anyDuplicated(given) || length(args) < least) {
    refuse_sql(scope, "It has other arguments than are translated.")
  }
  stats::setNames(args, given)
}

#' A function of one number
#' @param write a function of its SQL and the scope.
#' @noRd
sql_unary <- function(write) {
  function(args, scope, name) {
    x <- sql_arguments(args, "x", scope)[[1L]]
    number_sql(write(paste0("(", sql_double(x, scope), ")"), scope))
  }
}

#' @noRd
sql_sum <- function(args, scope, name) {
  if (length(args) == 1L) {
    return(number_sql(if (name == "-") "-", "(", sql_double(args[[1L]], scope), ")"))
  }
  number_sql(sql_double(args[[1L]], scope), " ", name, " ", sql_double(args[[2L]], scope))
}

#' Division of doubles; by zero it is infinite or missing, as in R, where databases have an error or
#' NULL
#' @noRd
sql_quotient <- function(args, scope, name) {
  a <- paste0("(", sql_double(args[[1L]], scope), ")")
  divisor <- sql_of(args[[2L]], scope)
  b <- paste0("(", sql_as_number_or_refuse(divisor, args[[2L]], scope), ")")
  if (is.numeric(divisor$constant) && isTRUE(divisor$constant != 0)) {
    return(number_sql(a, " / ", b))
  }
  dialect <- scope$source$dialect
  zero <- sql_number(0, dialect)
  number_sql(
    "CASE WHEN ", b, " <> ", zero, " THEN ", a, " / ", b, " WHEN ", b, " = ", zero, " AND ", a,
    " > ", zero, " THEN ", dialect$infinity, " WHEN ", b, " = ", zero, " AND ", a, " < ", zero,
    " THEN -", dialect$infinity, " END"
  )
}

#' @noRd
sql_as_number_or_refuse <- function(found, x, scope) {
  if (!found$kind %in% c("number", "logical")) {
    refuse_sql(scope, paste0("`", code_label(x), "` is no number."))
  }
  sql_as_number(found, scope)
}

#' A power: small whole ones as products, others guarded where databases have errors
#' @noRd
sql_power <- function(args, scope, name) {
  base <- paste0("(", sql_double(args[[1L]], scope), ")")
  power <- sql_of(args[[2L]], scope)
  p <- paste0("(", sql_as_number_or_refuse(power, args[[2L]], scope), ")")
  if (isTRUE(power$constant %in% 1:4)) {
    return(number_sql(paste(rep.int(base, power$constant), collapse = " * ")))
  }
  dialect <- scope$source$dialect
  zero <- sql_number(0, dialect)
  one <- sql_number(1, dialect)
  # 1^NA and NA^0 are 1 in R
  number_sql(
    "CASE WHEN ", p, " = ", zero, " OR ", base, " = ", one, " THEN ", one, " WHEN ", base, " > ",
    zero, " OR ", base, " < ", zero, " AND ", p, " = ROUND(", p, ") THEN POWER(", base, ", ", p,
    ") WHEN ", base, " = ", zero, " AND ", p, " > ", zero, " THEN ", zero, " WHEN ", base, " = ",
    zero, " AND ", p, " < ", zero, " THEN ", dialect$infinity, " END"
  )
}

#' A logarithm: missing of negative numbers, infinite of zero
#'
#' @param whole of powers of the base log(x) / log(base) may be off by the last digit: take what is
#'   as near to a whole number for it, so that log10(1000) >= 3?
#' @noRd
sql_log <- function(x, scope, base = exp(1), whole = FALSE) {
  dialect <- scope$source$dialect
  zero <- sql_number(0, dialect)
  value <- paste0(log_function(scope), "(", x, ")")
  if (base != exp(1)) {
    value <- paste0("(", value, " / ", sql_number(log(base), dialect), ")")
  }
  if (whole) {
    value <- paste0(
      "CASE WHEN ABS(", value, " - ROUND(", value, ")) < ", sql_number(2e-15, dialect), " * ABS(",
      value, ") THEN ROUND(", value, ") ELSE ", value, " END"
    )
  }
  paste0(
    "CASE WHEN ", x, " > ", zero, " THEN ", value, " WHEN ", x, " = ", zero, " THEN ",
    if (base > 1) "-", dialect$infinity, " END"
  )
}

#' The name of the natural logarithm
#' @noRd
log_function <- function(scope) {
  names <- scope$source$dialect$log
  if (length(names) == 1L) {
    return(names)
  }
  for (name in names) {
    value <- tryCatch(
      ask_source(scope$source, paste0("SELECT ", name, "(2e0) AS v"))[[1L]],
      ferrolmm_error_source = function(e) NA
    )
    if (isTRUE(abs(value - log(2)) < 1e-12)) {
      return(name)
    }
  }
  refuse_sql(scope, "This connection has no logarithm; in SQLite an extension has it.")
}

#' log(x), log(x, base)
#' @noRd
sql_logarithm <- function(args, scope, name) {
  args <- sql_arguments(args, c("x", "base"), scope, 1L)
  base <- if (is.null(args$base)) exp(1) else constant_base(args$base, scope)
  number_sql(sql_log(paste0("(", sql_double(args$x, scope), ")"), scope, base))
}

#' @noRd
constant_base <- function(x, scope) {
  base <- if (!any(variables_of(x) %in% names(scope$columns))) constant_value(x, scope)
  if (!is.numeric(base) || length(base) != 1L || !isTRUE(base > 0 && base != 1)) {
    refuse_sql(scope, "The base of a logarithm has to be a number that is not a column.")
  }
  base
}

#' log2(), log10()
#' @noRd
sql_log_to <- function(base) sql_unary(function(x, scope) sql_log(x, scope, base, whole = TRUE))

#' @noRd
sql_comparison <- function(args, scope, name) {
  a <- sql_of(args[[1L]], scope)
  b <- sql_of(args[[2L]], scope)
  kinds <- c(a$kind, b$kind)
  operator <- c(`==` = "=", `!=` = "<>", `<` = "<", `>` = ">", `<=` = "<=", `>=` = ">=")[[name]]
  if (all(kinds %in% c("number", "logical")) && any(kinds == "number") ||
        all(kinds == "logical")) {
    a$sql <- sql_as_number(a, scope)
    b$sql <- sql_as_number(b, scope)
  } else if (all(kinds == "text")) {
    if (!name %in% c("==", "!=")) {
      refuse_sql(scope, "The order of texts is another one in each database.")
    }
  } else if (setequal(kinds, c("date", "text"))) {
    a <- as_date_constant(a, args[[1L]], scope)
    b <- as_date_constant(b, args[[2L]], scope)
  } else if (kinds[[1L]] != kinds[[2L]]) {
    refuse_sql(scope, paste0("It compares ", quote_kinds(kinds), "."))
  }
  logical_sql("(", a$sql, ") ", operator, " (", b$sql, ")")
}

#' In `day > "2020-01-31"` the text is a date
#' @noRd
as_date_constant <- function(found, x, scope) {
  if (found$kind == "date") {
    return(found)
  }
  date <- if (is.character(found$constant)) {
    tryCatch(as.Date(found$constant), error = function(e) NULL)
  }
  if (is.null(date)) {
    refuse_sql(scope, paste0("`", code_label(x), "` is no date."))
  }
  sql_constant(date, x, scope)
}

#' @noRd
kind_words <- c(
  number = "a number", text = "text", logical = "TRUE or FALSE", date = "a date",
  instant = "a point in time", other = "something else"
)

#' @noRd
quote_kinds <- function(kinds) paste(kind_words[kinds], collapse = " with ")

#' @noRd
sql_junction <- function(args, scope, name) {
  logical_sql(
    sql_logical(args[[1L]], scope), if (name == "&") " AND " else " OR ",
    sql_logical(args[[2L]], scope)
  )
}

#' x %in% c(...): FALSE of a missing x, unless NA is in the set
#' @noRd
sql_among <- function(args, scope, name) {
  x <- sql_of(args[[1L]], scope)
  if (any(variables_of(args[[2L]]) %in% names(scope$columns))) {
    refuse_sql(scope, "The set after %in% has a column.")
  }
  set <- constant_value(args[[2L]], scope)
  kind <- if (is.atomic(set) && !is.null(set)) column_kind(set) else "other"
  if (!identical(kind, x$kind)) {
    refuse_sql(scope, paste0("It compares ", quote_kinds(c(x$kind, kind)), "."))
  }
  values <- unique(set[!is.na(set)])
  own <- sql_as_number(x, scope)
  constants <- vapply(seq_along(values), function(k) {
    sql_as_number(sql_constant(values[[k]], args[[2L]], scope), scope)
  }, "")
  among <- if (length(constants) > 0L) {
    paste0("(", own, ") IS NOT NULL AND (", own, ") IN (", paste(constants, collapse = ", "), ")")
  } else {
    "1 = 0"
  }
  logical_sql(among, if (anyNA(set)) paste0(" OR (", own, ") IS NULL"))
}

#' @noRd
sql_missing <- function(args, scope, name) {
  logical_sql("(", sql_of(args[[1L]], scope)$sql, ") IS NULL")
}

#' @noRd
sql_choice <- function(args, scope, name) {
  args <- sql_arguments(args, c("test", "yes", "no"), scope)
  test <- sql_logical(args$test, scope)
  values <- lapply(args[c("yes", "no")], sql_of, scope)
  kinds <- vapply(values, `[[`, "", "kind")
  known <- unique(kinds[!vapply(values, function(v) isTRUE(v$missing), NA)])
  if (setequal(known, c("number", "logical"))) {
    known <- "number"
  }
  if (length(known) != 1L || !known %in% c("number", "logical", "text")) {
    refuse_sql(scope, paste0("Its values are ", quote_kinds(kinds), "."))
  }
  sql <- vapply(values, function(v) {
    if (isTRUE(v$missing) && known != "logical") {
      if (known == "number") sql_number(NA, scope$source$dialect) else "NULL"
    } else if (known == "number") {
      sql_as_number(v, scope)
    } else {
      v$sql
    }
  }, "")
  list(
    sql = paste0("(CASE WHEN ", test, " THEN ", sql[[1L]], " WHEN NOT (", test, ") THEN ",
                 sql[[2L]], " END)"),
    kind = known
  )
}

#' as.numeric(): days of a date, seconds of a point in time
#' @noRd
sql_numeric <- function(args, scope, name) {
  found <- sql_of(sql_arguments(args, "x", scope)[[1L]], scope)
  if (found$kind == "text") {
    refuse_sql(scope, "Databases read numbers from text in other ways than R.")
  }
  number_sql(sql_as_number(found, scope))
}

#' @noRd
sql_same <- function(args, scope, name) {
  found <- sql_of(args[[1L]], scope)
  list(sql = paste0("(", found$sql, ")"), kind = found$kind, missing = found$missing)
}

sql_rules <- list(
  `(` = sql_same, I = sql_same, offset = sql_same,
  `+` = sql_sum, `-` = sql_sum, `*` = sql_sum, `/` = sql_quotient, `^` = sql_power,
  `==` = sql_comparison, `!=` = sql_comparison, `<` = sql_comparison, `>` = sql_comparison,
  `<=` = sql_comparison, `>=` = sql_comparison, `&` = sql_junction, `|` = sql_junction,
  `!` = function(args, scope, name) logical_sql("NOT ", sql_logical(args[[1L]], scope)),
  `%in%` = sql_among, is.na = sql_missing, ifelse = sql_choice,
  log = sql_logarithm, log2 = sql_log_to(2), log10 = sql_log_to(10),
  # with u = 1 + x as rounded, log(u) x / (u - 1) has all digits of small x
  log1p = sql_unary(function(x, scope) {
    one <- sql_number(1, scope$source$dialect)
    u <- paste0("(", one, " + ", x, ")")
    paste0("CASE WHEN ", u, " = ", one, " THEN ", x, " ELSE (", sql_log(u, scope), ") * ", x,
           " / (", u, " - ", one, ") END")
  }),
  # beyond these bounds doubles are 0 and infinite, which is an error in some databases
  exp = sql_unary(function(x, scope) {
    dialect <- scope$source$dialect
    paste0("CASE WHEN ", x, " < ", sql_number(-745.2, dialect), " THEN ", sql_number(0, dialect),
           " WHEN ", x, " > ", sql_number(709.78, dialect), " THEN ", dialect$infinity,
           " ELSE EXP(", x, ") END")
  }),
  sqrt = sql_unary(function(x, scope) {
    paste0("CASE WHEN ", x, " >= ", sql_number(0, scope$source$dialect), " THEN SQRT(", x, ") END")
  }),
  abs = sql_unary(function(x, scope) paste0("ABS", x)),
  as.numeric = sql_numeric, as.double = sql_numeric
)
