# A model in SQL: which of its variables tell cells apart, which are numbers, which rows count.
#
# Three levels of queries: columns as they are (r1, r2, ...) and in the form that is computed with
# (c1, ...); from these the model's variables (v1, ... numbers, y the response less its offset, w
# weights, s whether `subset` holds, g1, ... what tells cells apart); from these what is asked.

#' The model in SQL
#'
#' @returns a list: `values` (SQL of the variables, what follows FROM), `keep` and `eligible`
#'   (conditions: rows that are used; those but for missing values), `numbers` (SQL of the moments'
#'   numbers), `groups` (what tells cells apart, see [plan_groups()]), `missing` (by variable, SQL
#'   that is true where it is missing), `weighted`, `columns`, `sample` (model frame of some rows),
#'   `moments` (those of the sample), `variables` (see [plan_variable()])
#' @param through names of columns that the variables have beside them, as o1, o2, ..., and their
#'   offset as f0.
#' @noRd
plan_source <- function(model, source, columns, given, caller, through = NULL) {
  used <- used_columns(model, given, columns)
  sample <- read_sample(source, used)
  scope <- list(
    columns = scope_columns(sample), env = model$env, source = source, term = NULL
  )
  variables <- plan_variables(model, scope, sample)
  arguments <- plan_arguments(given, scope, caller)
  plan <- write_plan(source, scope, variables, arguments, sample, through)
  plan$sample <- check_sample(plan, model, given, caller)
  plan$moments <- start_moments(model, plan$sample)
  check_roles(plan, model)
  plan$numbers <- vapply(plan$moments$numbers, sql_of_number, "", plan, USE.NAMES = FALSE)
  plan
}

#' Names of the columns
#' @noRd
source_columns <- function(source) {
  one <- ask_source(source, source$dialect$first(paste("SELECT * FROM", source$rows), 1L))
  if (nrow(one) == 0L) {
    ferrolmm_abort("There is no data: the source has 0 rows.", "data")
  }
  names(one)
}

#' Columns that the model uses
#' @noRd
used_columns <- function(model, given, columns) {
  expressions <- as.list(attr(formula_terms(model$frame), "variables"))[-1L]
  expressions <- c(expressions, lapply(given[lengths(given) > 0L], `[[`, "expr"))
  used <- intersect(columns, unique(unlist(lapply(expressions, variables_of))))
  twice <- intersect(used, columns[duplicated(columns)])
  if (length(twice) > 0L) {
    ferrolmm_abort(
      paste0("The source has duplicate columns called ", quote_names(twice), "."), "data",
      i = "Rename or remove all but one in a query."
    )
  }
  used
}

#' Some rows of some columns, as R has them; of a column that is missing in all of these, others
#' @noRd
read_sample <- function(source, used) {
  if (length(used) == 0L) {
    ferrolmm_abort("The formula has no column of the source.", "data")
  }
  from <- function(names, where = "", n = sample_rows) {
    source$dialect$first(
      paste0("SELECT ", paste(source$dialect$name(names), collapse = ", "), " FROM ", source$rows,
             where), n
    )
  }
  sample <- ask_source(source, from(used))
  names(sample) <- used
  for (name in used[vapply(sample, function(x) all(is.na(x)), NA)]) {
    present <- ask_source(
      source, from(name, paste(" WHERE", source$dialect$name(name), "IS NOT NULL"), 1L)
    )[[1L]]
    if (length(present) > 0L) sample[[name]] <- rep_len(present[NA_integer_], nrow(sample))
  }
  sample
}

#' Columns as translations: list(sql, kind, raw, class, padded)
#' @noRd
scope_columns <- function(sample) {
  Map(function(x, k) {
    list(
      sql = paste0("c", k), raw = paste0("r", k), kind = column_kind(x), class = describe_value(x),
      padded = is_padded(x)
    )
  }, sample, seq_along(sample))
}

#' Are there texts of one length, some with blanks at the end?
#' @noRd
is_padded <- function(x) {
  x <- if (is.character(x)) x[!is.na(x)]
  length(x) > 0L && any(endsWith(x, " ")) && length(unique(nchar(x))) == 1L
}

#' The variables of the model frame, see [plan_variable()]
#' @noRd
plan_variables <- function(model, scope, sample) {
  terms <- formula_terms(model$frame)
  expressions <- as.list(attr(terms, "variables"))[-1L]
  names <- variable_names(expressions)
  roles <- rep.int("predictor", length(names))
  roles[names %in% leaf_names(model$bars)] <- "group"
  roles[attr(terms, "offset")] <- "offset"
  roles[[1L]] <- "response"
  stats::setNames(Map(function(x, role) {
    scope$term <- x
    plan_variable(x, role, scope, sample)
  }, expressions, roles), names)
}

#' What becomes of a variable
#'
#' @returns list(role, expression, and one of `number` (SQL), `text` or `logical` (SQL of a key),
#'   `raw` (a column that is a key), `from` (columns of which R computes the key))
#' @noRd
plan_variable <- function(x, role, scope, sample) {
  found <- list(role = role, expression = x)
  if (is.symbol(x) && as.character(x) %in% names(scope$columns) && role != "response") {
    column <- scope$columns[[as.character(x)]]
    if (role == "group" || column$kind %in% c("text", "logical")) {
      return(c(found, raw = as.character(x)))
    }
  }
  said <- tryCatch(sql_of(x, scope), ferrolmm_error_sql = identity)
  if (role %in% c("response", "offset")) {
    if (inherits(said, "condition")) stop(said)
    if (!said$kind %in% c("number", "logical")) {
      ferrolmm_abort(
        paste0("The ", role, " `", code_label(x), "` must be numeric, it is ",
               kind_words[[said$kind]], "."),
        role
      )
    }
    return(c(found, number = sql_as_number(said, scope)))
  }
  if (inherits(said, "condition") || role == "group" && !said$kind %in% c("text", "logical")) {
    return(c(found, list(from = columns_of_key(x, role, said, scope, sample))))
  }
  if (said$kind %in% c("text", "logical")) {
    return(c(found, stats::setNames(list(said$sql), said$kind)))
  }
  c(found, number = said$sql)
}

#' Columns of which R computes a variable that tells cells apart, as factor(year)
#' @param said the error that it cannot be said in SQL, raised where R cannot do it either.
#' @noRd
columns_of_key <- function(x, role, said, scope, sample) {
  columns <- intersect(variables_of(x), names(scope$columns))
  value <- tryCatch(
    suppressWarnings(evaluate_variables(list(x), sample, scope$env)[[1L]]),
    error = function(e) NULL
  )
  groups <- is.atomic(value) && is.null(dim(value)) && length(value) == nrow(sample) &&
    (role == "group" || is_categorical(value) || is.character(value))
  if (!groups || length(columns) == 0L) {
    if (inherits(said, "condition")) stop(said)
    refuse_sql(scope, "It does not tell rows apart.")
  }
  columns
}

#' `weights`, `offset` and `subset` in SQL, those given
#' @noRd
plan_arguments <- function(given, scope, caller) {
  found <- list()
  for (role in c("weights", "offset", "subset")) {
    argument <- given[[role]]
    if (is.null(argument) || is.null(argument$expr)) next
    scope$term <- argument$expr
    if (!any(variables_of(argument$expr) %in% names(scope$columns))) {
      value <- argument$value()
      if (is.null(value)) next
      if (role != "subset" || !isTRUE(value)) {
        ferrolmm_abort(
          paste0("`", role, "` has no column of the source."), role,
          i = paste("The rows of a table have no order: what differs between them is an",
                    "expression of its columns.")
        )
      }
      next
    }
    said <- tryCatch(sql_of(argument$expr, scope), ferrolmm_error_data = function(e) {
      scope$env <- caller
      sql_of(argument$expr, scope)
    })
    if (role == "subset") {
      if (said$kind != "logical") refuse_sql(scope, "`subset` has to be TRUE or FALSE of each row.")
      found$subset <- said$sql
    } else {
      if (said$kind != "number") refuse_sql(scope, paste0("`", role, "` has to be a number."))
      found[[role]] <- said$sql
    }
  }
  found
}

#' Columns that tell cells apart
#'
#' @returns list of list(sql, kind ("raw", "text", "logical"), name (of the column, or of the
#'   variable), strict (missing values leave a row out))
#' @noRd
plan_groups <- function(variables, scope) {
  groups <- list()
  for (name in names(variables)) {
    variable <- variables[[name]]
    for (kind in intersect(c("text", "logical"), names(variable))) {
      sql <- variable[[kind]]
      if (kind == "logical") sql <- flag_sql(sql)
      groups[[name]] <- list(sql = sql, kind = kind, name = name, strict = TRUE)
    }
    for (column in c(variable$raw, variable$from)) {
      # factor(x) of a missing value is missing: other functions may make a level of it
      strict <- !is.null(variable$raw) || is_plain_factor(variable$expression)
      key <- paste0("\r", column)
      strict <- strict || isTRUE(groups[[key]]$strict)
      own <- scope$columns[[column]]
      groups[[key]] <- list(
        sql = if (own$kind == "text" && !is_levels(own)) own$sql else own$raw, kind = "raw",
        name = column, strict = strict, clean = own$sql
      )
    }
  }
  unname(groups)
}

#' Does R see a column as a factor (an ENUM of DuckDB)?
#' @noRd
is_levels <- function(column) grepl("factor", column$class, fixed = TRUE)

#' factor(x) of a column
#' @noRd
is_plain_factor <- function(x) {
  is_call_to(x, c("factor", "as.factor", "ordered")) && length(x) == 2L && is.symbol(x[[2L]])
}

#' A condition as 1, 0 or NULL
#' @noRd
flag_sql <- function(condition) {
  paste0("CASE WHEN ", condition, " THEN 1 WHEN NOT (", condition, ") THEN 0 END")
}

#' The levels of queries up to the model's variables
#' @noRd
write_plan <- function(source, scope, variables, arguments, sample, through) {
  dialect <- source$dialect
  columns <- scope$columns
  raw <- vapply(columns, `[[`, "", "raw")
  named <- function(sql, names) paste0(sql, " AS ", names, collapse = ", ")
  quoted <- dialect$name(names(sample))
  clean <- vapply(seq_along(columns), function(k) clean_sql(quoted[[k]], columns[[k]], dialect), "")
  beside <- sprintf("o%d", seq_along(through))
  rows <- paste0(
    "(SELECT ", paste(c(
      named(quoted, raw), named(clean, vapply(columns, `[[`, "", "sql")),
      if (length(through) > 0L) named(dialect$name(through), beside)
    ), collapse = ", "), " FROM ", source$rows, ") AS lmm_columns"
  )
  role <- vapply(variables, `[[`, "", "role")
  response <- variables[[which(role == "response")]]$number
  offsets <- c(vapply(variables[role == "offset"], `[[`, "", "number"), arguments$offset)
  offsets <- paste0("(", offsets, ")", recycle0 = TRUE)
  y <- paste(c(paste0("(", response, ")"), offsets), collapse = " - ")
  number <- Filter(function(v) v$role == "predictor" && !is.null(v$number), variables)
  groups <- plan_groups(variables, scope)
  sql <- c(
    vapply(number, `[[`, "", "number"), y, arguments$weights,
    if (!is.null(arguments$subset)) flag_sql(arguments$subset),
    vapply(groups, `[[`, "", "sql"),
    if (length(through) > 0L) paste(c(sql_number(0, dialect), offsets), collapse = " + ")
  )
  v <- sprintf("v%d", seq_along(number))
  g <- sprintf("g%d", seq_along(groups))
  names <- c(v, "y", if (!is.null(arguments$weights)) "w", if (!is.null(arguments$subset)) "s", g,
             if (length(through) > 0L) "f0")
  strict <- vapply(groups, `[[`, NA, "strict")
  own_clean <- unlist(lapply(groups[strict], `[[`, "clean"))
  clean_groups <- unlist(lapply(groups, `[[`, "clean"))
  passed <- unique(c(unname(raw), own_clean, if (length(through) > 0L) c(clean_groups, beside)))
  # what is missing, by variable
  missing <- stats::setNames(
    paste(c(v, "y"), "IS NULL"), c(names(number), names(variables)[role == "response"])
  )
  of_groups <- paste(vapply(which(strict), function(k) {
    if (is.null(groups[[k]]$clean)) g[[k]] else groups[[k]]$clean
  }, ""), "IS NULL")
  names(of_groups) <- vapply(groups[strict], `[[`, "", "name")
  missing <- c(missing, of_groups[any(strict)], if (!is.null(arguments$weights)) {
    c(`(weights)` = "w IS NULL")
  })
  eligible <- c("1 = 1", if (!is.null(arguments$subset)) "s = 1",
                if (!is.null(arguments$weights)) "(w IS NULL OR w <> 0)")
  list(
    source = source, columns = columns, variables = variables, groups = groups,
    prototypes = lapply(sample, function(x) x[0L]),
    values = paste0(
      "(SELECT ", paste(passed, collapse = ", "), ", ", named(sql, names), " FROM ", rows,
      ") AS lmm_values"
    ),
    number_names = stats::setNames(v, names(number)), group_names = g,
    weighted = !is.null(arguments$weights), missing = missing,
    eligible = paste(eligible, collapse = " AND "),
    keep = paste(c(eligible, paste0("NOT (", missing, ")")), collapse = " AND ")
  )
}

#' A column in the form that is computed with; one that only tells cells apart may be of any type
#' @param quoted its name; `column` its translation, see [scope_columns()].
#' @noRd
clean_sql <- function(quoted, column, dialect) {
  switch(column$kind,
    number = dialect$finite(dialect$double(quoted)),
    text = if (column$padded && !is.null(dialect$padded)) {
      dialect$padded(quoted)
    } else {
      dialect$text(quoted)
    },
    date = if (is.null(dialect$days)) quoted else dialect$days(quoted),
    instant = if (is.null(dialect$seconds)) quoted else dialect$seconds(quoted),
    quoted
  )
}

#' A number of the moments, from its id: a product of variables
#' @noRd
sql_of_number <- function(id, plan) {
  if (identical(id, plan$moments$numbers[[length(plan$moments$numbers)]])) {
    return("y")
  }
  parts <- strsplit(strsplit(id, "\n", fixed = TRUE)[[1L]], "\r", fixed = TRUE)
  paste(plan$number_names[vapply(parts, `[[`, "", 1L)], collapse = " * ")
}
