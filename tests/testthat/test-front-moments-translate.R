# Expressions of R in SQL, computed by databases and by R.

skip_if_not_installed("DBI")
skip_if_not_installed("RSQLite")

test_that("expressions are computed as by R, whatever the values", {
  values <- c(NA, -1e9, -2, -1, -0.5, 0, 0.1, 1, 2, 3, 1000, 1e9)
  d <- expand.grid(x = values, z = values)
  d$s <- rep_len(c("a", "b", NA, "it's", "\\"), nrow(d))
  d$i <- rep_len(c(7L, -7L, 0L, NA), nrow(d))
  d$id <- seq_len(nrow(d))
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
    engine <- databases()[[database]]
    con <- engine$open()
    write_rows(engine, con, "t", d)
    source <- engine_source(engine, con, "t")
    scope <- list(
      columns = scope_columns(read_sample(source, names(d))), env = environment(), source = source
    )
    inner <- paste0(
      "(SELECT ", paste(vapply(names(d), function(name) {
        clean_sql(source$dialect$name(name), scope$columns[[name]], source$dialect)
      }, ""), "AS", vapply(scope$columns, `[[`, "", "sql"), collapse = ", "), " FROM ", source$rows,
      ") AS q"
    )
    id <- scope$columns$id$sql
    for (x in as.list(expressions)) {
      scope$term <- x
      said <- sql_of(x, scope)
      sql <- if (said$kind == "logical") flag_sql(said$sql) else said$sql
      found <- ask_source(source, paste("SELECT", sql, "AS v,", id, "AS id FROM", inner))
      found <- found$v[order(found$id)]
      r <- suppressWarnings(eval(x, d))
      if (length(r) == 1L) r <- rep(r, nrow(d))
      label <- paste(deparse(x), database)
      expect_identical(is.na(found), is.na(r), label = label)
      if (is.character(r)) {
        expect_identical(found, r, label = label)
      } else {
        found <- as.double(found)
        # the largest number stands for the infinite one where there is none
        if (!engine$infinite) {
          found <- ifelse(abs(found) == .Machine$double.xmax, sign(found) * Inf, found)
        }
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
  engine <- databases()$sqlite
  con <- engine$open()
  on.exit(DBI::dbDisconnect(con))
  write_rows(engine, con, "visits", visits())
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
  write_rows(engine, con, "none", visits(200))
  DBI::dbExecute(con, "DELETE FROM none")
  expect_error(lmm(y ~ x + (1 | g), lmm_source(con, "none")), "0 rows", class =
                 "ferrolmm_error_data")
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
