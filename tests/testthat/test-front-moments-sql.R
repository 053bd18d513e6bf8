# Models on rows of a database against the same models on the rows.

skip_if_not_installed("DBI")
skip_if_not_installed("RSQLite")

databases <- function() {
  found <- list(sqlite = function() DBI::dbConnect(RSQLite::SQLite(), ":memory:"))
  folder <- Sys.getenv("FERROLMM_POSTGRES")
  if (nzchar(folder) && requireNamespace("RPostgreSQL", quietly = TRUE)) {
    found$postgres <- function() {
      DBI::dbConnect(
        RPostgreSQL::PostgreSQL(), host = folder, user = "postgres", dbname = "postgres"
      )
    }
  }
  found
}

# A table by plain SQL: names, values and missing values as they are, NaN and Inf where the database
# has them.
write_rows <- function(con, name, data, types = NULL) {
  quote <- function(x) paste0("\"", gsub("\"", "\"\"", x, fixed = TRUE), "\"")
  type_of <- function(x) {
    if (is.integer(x)) {
      "INTEGER"
    } else if (is.numeric(x) && !is.object(x)) {
      "DOUBLE PRECISION"
    } else if (is.logical(x)) {
      "BOOLEAN"
    } else if (inherits(x, "Date")) {
      "DATE"
    } else {
      "TEXT"
    }
  }
  postgres <- inherits(con, "PostgreSQLConnection")
  values <- lapply(data, function(x) {
    text <- if (is.numeric(x) && !is.object(x)) {
      number <- sprintf("%.17g", as.double(x))
      special <- !is.finite(x) & !is.na(x) | is.nan(x)
      number[special] <- if (postgres) {
        paste0("'", sub("Inf", "Infinity", x[special]), "'")
      } else {
        ifelse(is.nan(x[special]), "NULL", paste0(sign(x[special]), "e999"))
      }
      number
    } else if (is.logical(x)) {
      as.character(x)
    } else {
      paste0("'", gsub("'", "''", as.character(x), fixed = TRUE), "'")
    }
    text[is.na(x) & !is.nan(x)] <- "NULL"
    text
  })
  own <- vapply(data, type_of, "")
  own[names(types)] <- types
  ask <- function(text) DBI::dbClearResult(DBI::dbSendQuery(con, text))
  suppressWarnings(try(ask(paste("DROP TABLE IF EXISTS", quote(name))), silent = TRUE))
  columns <- paste(quote(names(data)), own, collapse = ", ")
  ask(paste0("CREATE TABLE ", quote(name), " (", columns, ")"))
  rows <- paste0("(", do.call(paste, c(unname(values), sep = ", ")), ")")
  for (part in split(rows, ceiling(seq_along(rows) / 400))) {
    ask(paste("INSERT INTO", quote(name), "VALUES", paste(part, collapse = ", ")))
  }
}

# Code that runs with another value of a name of the package
with_value <- function(name, value, code) {
  home <- topenv(environment(lmm))
  before <- get(name, home)
  set <- function(value) {
    unlockBinding(name, home)
    assign(name, value, home)
    lockBinding(name, home)
  }
  on.exit(set(before))
  set(value)
  force(code)
}

# Estimates, standard errors, degrees of freedom, criterion and names of two fits
expect_same_fit <- function(object, rows, label) {
  a <- summary(object)$coefficients
  b <- summary(rows)$coefficients
  expect_identical(rownames(a), rownames(b), label = label)
  relative <- function(x, y) max(abs(x - y) / pmax(abs(y), 1e-4))
  expect_lt(relative(object$theta, rows$theta), 1e-8, label = paste("theta,", label))
  expect_lt(relative(a[, 1L], b[, 1L]), 1e-8, label = paste("beta,", label))
  expect_lt(relative(a[, 2L], b[, 2L]), 1e-8, label = paste("se,", label))
  expect_lt(relative(a[, "df"], b[, "df"]), 1e-5, label = paste("df,", label))
  criterion <- as.numeric(logLik(rows))
  expect_lt(abs(as.numeric(logLik(object)) - criterion), 1e-6 + 1e-12 * abs(criterion),
            label = paste("criterion,", label))
  expect_equal(nobs(object), nobs(rows), label = label)
  expect_equal(lapply(ranef(object), as.matrix), lapply(ranef(rows), as.matrix),
               tolerance = 1e-7, label = paste("modes,", label))
}

visits <- function(n = 3000L) {
  set.seed(20)
  d <- data.frame(
    g = sample(sprintf("s%02d", 1:40), n, TRUE), h = sample(1:12, n, TRUE),
    f = sample(c("b", "a", "c"), n, TRUE), x = rnorm(n, 3), z = runif(n), w = runif(n, 0.5, 2),
    year = sample(2001:2004, n, TRUE)
  )
  g <- as.integer(factor(d$g))
  d$y <- 1 + d$x + 0.5 * (d$f == "b") + rnorm(40)[g] + rnorm(40, sd = 0.3)[g] * d$x +
    rnorm(12)[d$h] + rnorm(n)
  d$y[5] <- d$x[c(17, 100)] <- d$z[4] <- NA
  d$f[20] <- d$g[31] <- NA
  d$w[c(30, 5)] <- 0
  d$w[40] <- NA
  d
}

test_that("models on a table are those on its rows", {
  models <- list(
    slope = list(y ~ x + f + (x | g)),
    crossed = list(y ~ x + f + (1 | g) + (1 | h), weights = quote(w)),
    nested = list(log(abs(y) + 1) ~ I(x^2) + f:z + (f == "a") + factor(year) + (1 | g / f),
                  subset = quote(z > 0.2 & h != 3)),
    offsets = list(y ~ x * z + (0 + z | g) + (1 | year), offset = quote(x / 2)),
    own_offset = list(y ~ x + offset(log(w + 1) * 2) + (1 | g)),
    words = list(y ~ ifelse(z > 0.5, "hi", "lo") + I(exp(-x)) + (1 | g)),
    contrasts = list(y ~ x * f + (x || g), contrasts = list(f = "contr.sum")),
    likelihood = list(y ~ year + (1 | g) + (1 | factor(h)), REML = FALSE),
    cut = list(y ~ cut(h, c(0, 4, 8, 12)) + (1 | g)),
    interaction = list(y ~ x + (1 | interaction(g, f)) + (1 | I(h > 3))),
    functions = list(y ~ I(x / 2L) + log10(z + 1) + sqrt(w) + I(2^z) + (1 | g)),
    factor_slope = list(y ~ f + (f | h)),
    order = list(y ~ (f < "b") + (1 | g)),
    missing = list(I(ifelse(is.na(y), 0, y)) ~ x + is.na(z) + (1 | g),
                   subset = quote(f %in% c("a", "c") | is.na(f)))
  )
  for (database in names(databases())) {
    con <- databases()[[database]]()
    write_rows(con, "visits", visits())
    rows <- DBI::dbReadTable(con, "visits")
    source <- lmm_source(con, "visits")
    for (name in names(models)) {
      model <- models[[name]]
      names(model)[[1L]] <- "formula"
      expect_same_fit(
        suppressMessages(do.call(lmm, c(model, list(data = source)))),
        suppressMessages(do.call(lmm, c(model, list(data = rows)))), paste(name, database)
      )
    }
    DBI::dbDisconnect(con)
  }
})

test_that("lazy tables, queries and tables in schemas are data", {
  skip_if_not_installed("dbplyr")
  skip_if_not_installed("dplyr")
  con <- databases()$sqlite()
  withr_close <- function() DBI::dbDisconnect(con)
  on.exit(withr_close())
  write_rows(con, "visits", visits())
  rows <- lmm(y ~ x + (1 | g), visits(), subset = x > 2)
  lazy <- dplyr::filter(dplyr::tbl(con, "visits"), x > 2)
  expect_same_fit(lmm(y ~ x + (1 | g), lazy), rows, "lazy table")
  expect_same_fit(lmm(y ~ x + (1 | g), lmm_moments(y ~ x + f + (1 | g), lazy)),
                  lmm(y ~ x + (1 | g), visits(), subset = x > 2 & !is.na(f)), "moments")
  query <- lmm_source(con, " select * from visits where x > 2 -- so far\n;")
  expect_same_fit(lmm(y ~ x + (1 | g), query), rows, "query")
  schema <- lmm_source(con, DBI::Id(schema = "main", table = "visits"))
  expect_same_fit(lmm(y ~ x + (1 | g), schema, subset = x > 2), rows, "schema")
  expect_output(print(query), "Rows that stay in a database (dialect sqlite)", fixed = TRUE)
  expect_output(print(schema), "main.visits", fixed = TRUE)
})

test_that("parts in a database and in memory are moments of one model", {
  con <- databases()$sqlite()
  on.exit(DBI::dbDisconnect(con))
  d <- visits()
  write_rows(con, "visits", d)
  form <- y ~ x + f + (x | g)
  here <- lmm_moments(form, d, subset = h <= 5)
  there <- lmm_moments(form, lmm_source(con, "visits"), subset = h > 5)
  both <- c(here, there)
  expect_same_fit(lmm(form, both), lmm(form, d), "both")
  expect_equal(both$omitted, lmm_moments(form, d)$omitted)
  expect_error(lmm_moments(form, lmm_source(con, "visits"), min_cell = 1000), class =
                 "ferrolmm_error_moments")
})

test_that("levels and residuals may differ by many orders of magnitude", {
  set.seed(4)
  g <- rep(1:40, each = 25)
  x <- 1e5 + rnorm(1000)
  y <- 1e6 + rnorm(40, sd = 1e3)[g] + 0.5 * (x - 1e5) + rnorm(1000, sd = 1e-3)
  d <- data.frame(g, x, y, w = runif(1000, 0.5, 2))
  for (database in names(databases())) {
    con <- databases()[[database]]()
    write_rows(con, "far", d)
    source <- lmm_source(con, "far")
    rows <- suppressWarnings(lmm(y ~ x + (1 | g), DBI::dbReadTable(con, "far")))
    fit <- suppressWarnings(lmm(y ~ x + (1 | g), source))
    expect_lt(abs(sigma(fit) / sigma(rows) - 1), 1e-6)
    expect_lt(abs(fixef(fit)[["x"]] - fixef(rows)[["x"]]), 1e-9)
    weighted <- suppressWarnings(lmm(y ~ x + (1 | g), source, weights = w))
    by_rows <- suppressWarnings(lmm(y ~ x + (1 | g), d, weights = w))
    expect_lt(abs(sigma(weighted) / sigma(by_rows) - 1), 1e-6)
    # the first query alone has lost sigma
    once <- with_value("least_share", 0, {
      tryCatch(suppressWarnings(sigma(lmm(y ~ x + (1 | g), source))), error = function(e) NA)
    })
    expect_false(isTRUE(abs(once / sigma(rows) - 1) < 1e-6))
    DBI::dbDisconnect(con)
  }
})

test_that("names and levels may be anything", {
  set.seed(2)
  n <- 400
  levels <- c("a", "A", "a ", "'; DROP TABLE t; --", "x\"y", "\\", "%s", "\u00e9", "")
  d <- data.frame(sample(levels, n, TRUE), sample(1:20, n, TRUE), rnorm(n), rnorm(n))
  names(d) <- c("select", "the \"group\"", "x 'y'", "order")
  form <- order ~ `x 'y'` + select + (1 | `the "group"`)
  other <- order ~ (select == "'; DROP TABLE t; --") + (select == "\\") + (select == "a ") +
    (1 | `the "group"`)
  for (database in names(databases())) {
    con <- databases()[[database]]()
    write_rows(con, "a \"table\"; --", d)
    source <- lmm_source(con, "a \"table\"; --")
    fit <- suppressMessages(lmm(form, source))
    expect_same_fit(fit, suppressMessages(lmm(form, d)), database)
    expect_same_fit(suppressMessages(lmm(other, source)), suppressMessages(lmm(other, d)), database)
    expect_setequal(levels(fit$frame$select), levels)
    expect_setequal(names(d), source_columns(source))
    DBI::dbDisconnect(con)
  }
  # a collation that takes levels for the same
  con <- databases()$sqlite()
  on.exit(DBI::dbDisconnect(con))
  write_rows(con, "t", d, c(select = "TEXT COLLATE NOCASE"))
  expect_same_fit(suppressMessages(lmm(form, lmm_source(con, "t"))), suppressMessages(lmm(form, d)),
                  "collation")
})

test_that("texts of a fixed length, decimals and large integers are those of the driver", {
  open <- databases()$postgres
  skip_if(is.null(open), "no PostgreSQL server")
  con <- open()
  on.exit(DBI::dbDisconnect(con))
  set.seed(6)
  d <- data.frame(k = sample(20L, 500, TRUE), pad = sample(c("a", "bb", "c"), 500, TRUE),
                  dec = round(runif(500), 3), sm = sample(3L, 500, TRUE), y = rnorm(500))
  write_rows(con, "t", d, c(k = "BIGINT", pad = "CHAR(4)", dec = "NUMERIC(10, 3)", sm = "SMALLINT"))
  rows <- DBI::dbReadTable(con, "t")
  expect_identical(unique(nchar(rows$pad)), 4L)
  for (form in c(
    y ~ pad + dec + (1 | k), y ~ (pad == "a   ") + dec + (1 | k), y ~ dec + (1 | sm:pad)
  )) {
    expect_same_fit(suppressMessages(lmm(form, lmm_source(con, "t"))),
                    suppressMessages(lmm(form, rows)), deparse(form))
  }
  error <- tryCatch(lmm(y ~ dec + (1 | k), lmm_source(con, "nowhere")), error = identity)
  expect_match(conditionMessage(error), "relation \"nowhere\" does not exist")
})

test_that("missing, infinite, huge and dated values are those of R", {
  set.seed(3)
  n <- 600
  d <- data.frame(
    g = sample(c(0.1 + 0.2, 0.3, 1e10, -2), n, TRUE),
    day = as.Date("2020-02-27") + sample(0:9, n, TRUE), x = rnorm(n),
    big = sample(c(2147483647L, 2000000000L, 1L), n, TRUE), y = rnorm(n),
    yes = sample(c(TRUE, FALSE, NA), n, TRUE), k = sample(1:30, n, TRUE)
  )
  d$y <- d$y + rnorm(30)[d$k] + as.numeric(d$day - as.Date("2020-03-01")) / 5
  d$x[1:10] <- NaN
  d$x[11:12] <- NA
  for (database in names(databases())) {
    con <- databases()[[database]]()
    if (database == "sqlite") {
      DBI::dbDisconnect(con)
      con <- DBI::dbConnect(RSQLite::SQLite(), ":memory:", extended_types = TRUE)
    }
    write_rows(con, "t", d)
    source <- lmm_source(con, "t")
    rows <- DBI::dbReadTable(con, "t")
    # R's integers overflow, those of a database that computes in doubles do not
    rows$big <- as.double(rows$big)
    for (form in c(
      y ~ x + I(big * big / 1e18) + (1 | k), y ~ day + (1 | k), y ~ factor(day) + (1 | k),
      y ~ x + (day > "2020-03-01") + (1 | k), y ~ x + (1 | day), y ~ yes + x + (1 | k),
      y ~ x + (1 | g:k), y ~ I(yes * x) + (1 | k)
    )) {
      expect_same_fit(
        suppressMessages(lmm(form, source)), suppressMessages(lmm(form, rows)),
        paste(deparse(form), database)
      )
    }
    expect_error(lmm(y ~ x + (1 | k), source, na.action = na.fail), "`x`: 12 missing values",
                 class = "ferrolmm_error_missing")
    d$x[599] <- Inf
    write_rows(con, "t", d)
    expect_error(lmm(y ~ x + (1 | k), source), "`x` is not finite", class =
                   "ferrolmm_error_not_finite")
    expect_s3_class(lmm(y ~ x + (1 | k), source, subset = x < Inf), "lmm")
    d$x[599] <- 0
    DBI::dbDisconnect(con)
  }
})

test_that("expressions are computed as by R, whatever the values", {
  values <- c(NA, -1e9, -2, -1, -0.5, 0, 0.1, 1, 2, 3, 1000, 1e9)
  d <- expand.grid(x = values, z = values)
  d$s <- rep_len(c("a", "b", NA, "it's", "\\"), nrow(d))
  d$i <- rep_len(c(7L, -7L, 0L, NA), nrow(d))
  limit <- 0.1
  expressions <- expression(
    x + z, x - z, -x, +x, x * 1e-5, x / z, x / 0, x / 4, i / 2L, (x), I(x), x^2, x^-1, x^0.5, 2^i,
    (x / 1000)^i, log(x), log(x, 3), log(x, base = limit), log2(x), log10(x), log1p(x), exp(i),
    exp(x), sqrt(x), abs(x), x > z, x >= limit, x < 0.1, x <= z, x == z, x != z, x > 0 & z > 0,
    x > 0 | z > 0, !(x > 0), (x > 0) == (z > 0), x %in% c(1, 2, NA), x %in% 0.1,
    s == "a", s != "it's", s == "\\", s %in% c("a", "\\", "it's"), s %in% character(),
    is.na(x), is.na(s), ifelse(x > 0, x, -z), ifelse(x > 0, 1, NA), ifelse(x > 0, s, "none"),
    ifelse(is.na(x), 0, x),
    as.numeric(x > 0), (x > 0) + 1, limit * 2, log10(i * i * 1000) >= 3, ifelse(i > 0, TRUE, NA)
  )
  for (database in names(databases())) {
    con <- databases()[[database]]()
    write_rows(con, "t", d)
    source <- lmm_source(con, "t")
    scope <- list(
      columns = scope_columns(read_sample(source, names(d))), env = environment(), source = source
    )
    inner <- paste0(
      "(SELECT ", paste(vapply(names(d), function(name) {
        clean_sql(source$dialect$name(name), scope$columns[[name]], source$dialect)
      }, ""), "AS", vapply(scope$columns, `[[`, "", "sql"), collapse = ", "), " FROM ", source$rows,
      ") AS q"
    )
    for (x in as.list(expressions)) {
      scope$term <- x
      said <- sql_of(x, scope)
      sql <- if (said$kind == "logical") flag_sql(said$sql) else said$sql
      found <- ask_source(source, paste("SELECT", sql, "AS v FROM", inner))$v
      r <- suppressWarnings(eval(x, d))
      if (length(r) == 1L) r <- rep(r, nrow(d))
      label <- paste(deparse(x), database)
      expect_identical(is.na(found), is.na(r), label = label)
      if (is.character(r)) {
        expect_identical(found, r, label = label)
      } else {
        found <- as.double(found)
        finite <- is.finite(r)
        expected <- ifelse(is.nan(r), NA, as.double(r))
        expect_identical(found[!finite], expected[!finite], label = label)
        error <- abs(found - r)[finite] / pmax(abs(r[finite]), 1e-300)
        expect_lt(max(0, error), 1e-12, label = label)
      }
    }
    DBI::dbDisconnect(con)
  }
})

test_that("what SQL cannot say is an error that names it", {
  con <- databases()$sqlite()
  on.exit(DBI::dbDisconnect(con))
  write_rows(con, "visits", visits())
  source <- lmm_source(con, "visits")
  outside <- 1:3
  sqrt <- function(x) 0
  for (form in c(
    y ~ poly(x, 2) + (1 | g), y ~ scale(x) + (1 | g), y ~ I(x - mean(x)) + (1 | g),
    y ~ I(x %% 2) + (1 | g), y ~ I(x + outside) + (1 | g), y ~ sqrt(w) + (1 | g),
    y ~ cut(x, 3) + (1 | g),
    y ~ I(f * 2) + (1 | g), y ~ log(x, z) + (1 | g), cbind(y, x) ~ z + (1 | g)
  )) {
    error <- tryCatch(lmm(form, source), error = identity)
    expect_s3_class(error, "ferrolmm_error_sql")
    expect_match(conditionMessage(error), "cannot be computed|all rows at once")
  }
  expect_error(lmm(y ~ xx + (1 | g), source), "`xx` not found", class = "ferrolmm_error_data")
  expect_error(lmm(f ~ x + (1 | g), source), "must be numeric", class = "ferrolmm_error_response")
  expect_error(lmm(y ~ x + (1 | g), source, weights = -w), "negative", class =
                 "ferrolmm_error_weights")
  expect_error(lmm(y ~ x + (1 | g), source, weights = 1:3000), "no column", class =
                 "ferrolmm_error_weights")
  expect_error(lmm(y ~ x + (1 | g), source, subset = 1:10), class = "ferrolmm_error_subset")
  expect_error(lmm(y ~ x + (1 | g), source, subset = x > 1e6), "No row is left", class =
                 "ferrolmm_error_subset")
  expect_error(lmm(y ~ x + (1 | g), source, subset = h), class = "ferrolmm_error_sql")
  expect_error(lmm(y ~ x + (1 | g), source, residual = ~ ar1(1 | g)), class =
                 "ferrolmm_error_needs_rows")
  expect_error(lmm(y ~ x + (1 | g), lmm_source(con, "nowhere")), "nowhere", class =
                 "ferrolmm_error_source")
  expect_error(lmm(y ~ x + (1 | g), source, na.action = function(x) x), "na.omit", class =
                 "ferrolmm_error_argument")
  expect_error(lmm_source(1, "visits"), "connection", class = "ferrolmm_error_argument")
  expect_error(lmm_source(con), "needs a connection", class = "ferrolmm_error_argument")
  expect_error(lmm_source(con, 1), "name of a table", class = "ferrolmm_error_argument")
  expect_error(lmm_source(con, "visits", dialect = "oracle"), "one of", class =
                 "ferrolmm_error_argument")
  expect_error(lmm_source(con, "visits", dialekt = "sqlite"), class = "ferrolmm_error_argument")
  write_rows(con, "none", visits(200))
  DBI::dbExecute(con, "DELETE FROM none")
  expect_error(lmm(y ~ x + (1 | g), lmm_source(con, "none")), "0 rows", class =
                 "ferrolmm_error_data")
})

test_that("text among numbers, tables that change and wrong arithmetic do not pass", {
  con <- databases()$sqlite()
  on.exit(DBI::dbDisconnect(con))
  d <- visits(1500)
  write_rows(con, "visits", d)
  source <- lmm_source(con, "visits")
  cells <- check_cells
  changing <- function(survey, plan) {
    DBI::dbExecute(con, "DELETE FROM visits WHERE rowid = 1000")
    cells(survey, plan)
  }
  expect_error(with_value("check_cells", changing, lmm(y ~ x + (1 | g), source)),
               "changed while it was read", class = "ferrolmm_error_source")
  # databases in which LOG is another logarithm, and a condition another one
  expect_error(
    with_value("log_function", function(scope) "LOG10", lmm(y ~ log(w + 1) + (1 | g), source)),
    "computes another", class = "ferrolmm_error_source"
  )
  always <- c(sql_rules, list())
  always$`>` <- function(args, scope, name) logical_sql("1 = 1")
  expect_error(with_value("sql_rules", always, lmm(y ~ x + (1 | g), source, subset = x > 3)),
               "uses rows that R leaves out", class = "ferrolmm_error_source")
  expect_error(with_value("sql_rules", always, lmm(y ~ (x > 3) + (1 | g), source)),
               "in a sample of the rows", class = "ferrolmm_error_source")
  DBI::dbExecute(con, "UPDATE visits SET x = 'NA' WHERE rowid = 1400")
  expect_error(lmm(y ~ x + (1 | g), source), "`x` has text in 1 row", class = "ferrolmm_error_data")
})

test_that("fitted values and residuals are columns of a query", {
  for (database in names(databases())) {
    con <- databases()[[database]]()
    d <- visits(1500)
    d$id <- seq_len(nrow(d))
    d$g[40] <- "it's \\ new"
    write_rows(con, "visits", d)
    source <- lmm_source(con, "visits")
    for (model in list(
      list(y ~ x * f + I(z^2) + (x | g) + (1 | factor(year)), offset = quote(z / 2)),
      list(y ~ ifelse(x > 3, "high", "low") * z + (1 | g / f)),
      list(y ~ x * f + offset(z) + (0 + f | h), contrasts = list(f = "contr.sum"))
    )) {
      names(model)[[1L]] <- "formula"
      fit <- suppressMessages(do.call(lmm, c(model, list(data = source))))
      rows <- suppressMessages(do.call(lmm, c(model, list(data = d, na.action = na.exclude))))
      query <- augment(fit, data = source)
      expect_s3_class(query, "lmm_source")
      found <- ask_source(query, paste("SELECT * FROM", query$rows))
      expect_identical(names(found), c(names(d), ".fitted", ".resid", ".fixed"))
      found <- found[order(found$id), ]
      expect_equal(found$y, d$y)
      # a row without response has a fitted value, too
      known <- !is.na(d$y)
      expect_equal(found$.fitted[known], unname(fitted(rows))[known], tolerance = 1e-9)
      expect_equal(found$.resid, unname(residuals(rows)), tolerance = 1e-9)
      fixed <- unname(predict(rows, re.form = NA))
      expect_equal(found$.fixed[known], fixed[known], tolerance = 1e-9)
      without <- which(!known)
      predicted <- unname(predict(rows, newdata = d[without, ]))
      expect_equal(found$.fitted[without], predicted, tolerance = 1e-9)
    }
    expect_error(augment(rows, data = source), "has its rows", class = "ferrolmm_error_argument")
    expect_error(augment(fit, newdata = source), "`data`", class = "ferrolmm_error_argument")
    if (database == "sqlite" && requireNamespace("dbplyr", quietly = TRUE)) {
      lazy <- augment(fit, data = dplyr::tbl(con, "visits"))
      expect_s3_class(lazy, "tbl_lazy")
      expect_equal(sum(dplyr::collect(lazy)$.resid^2, na.rm = TRUE),
                   sum(residuals(rows)^2, na.rm = TRUE))
    }
    DBI::dbDisconnect(con)
  }
})

test_that("cells are counted before they are asked for", {
  con <- databases()$sqlite()
  on.exit(DBI::dbDisconnect(con))
  write_rows(con, "visits", visits(1000))
  source <- lmm_source(con, "visits")
  expect_error(with_value("most_cells", 100, lmm(y ~ x + (1 | factor(z)), source)),
               "nothing is gained", class = "ferrolmm_error_moments")
  expect_message(with_value("many_cells", 50, lmm(y ~ x + (1 | g:f), source)),
                 "rows in 120 cells", class = "ferrolmm_message_cells")
})

test_that("SQL is spelt as the dialect has it", {
  for (name in names(sql_dialects)) {
    dialect <- sql_dialects[[name]]
    for (x in c(0.1, 1 / 3, 2^53 + 2, 1e-300, 123456789, 5e-324)) {
      digits <- gsub("[^-+0-9.e]", "", sub("CAST\\(([^ ]*) .*", "\\1", sql_number(x, dialect)))
      expect_identical(as.double(digits), x)
      expect_match(digits, "e")
    }
    expect_match(sql_number(-2, dialect), "^\\(-")
  }
  expect_identical(sql_dialects$postgres$string("a'\\"), "E'a''\\\\'")
  expect_identical(sql_dialects$mariadb$string("a'\\"), "CONVERT(X'61275c' USING utf8mb4)")
  expect_identical(sql_dialects$spark$string("a'\\"), "'a\\'\\\\'")
  expect_identical(sql_dialects$sqlite$string("a'\\"), "'a''\\'")
  expect_identical(sql_dialects$spark$name("a`b"), "`a``b`")
  expect_identical(sql_dialects$duckdb$name("a\"b"), "\"a\"\"b\"")
})
