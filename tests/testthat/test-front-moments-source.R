# What may stand for the rows of a database, and what may go wrong while they are read.

skip_if_not_installed("DBI")
skip_if_not_installed("RSQLite")

test_that("lazy tables, queries and tables in schemas are data", {
  skip_if_not_installed("dbplyr")
  skip_if_not_installed("dplyr")
  engine <- databases()$sqlite
  con <- engine$open()
  withr_close <- function() DBI::dbDisconnect(con)
  on.exit(withr_close())
  write_rows(engine, con, "visits", visits())
  rows <- lmm(y ~ x + (1 | g), visits(), subset = x > 2)
  lazy <- dplyr::filter(dplyr::tbl(con, "visits"), x > 2)
  expect_same_model(lmm(y ~ x + (1 | g), lazy), rows, "lazy table")
  expect_same_model(lmm(y ~ x + (1 | g), lmm_moments(y ~ x + f + (1 | g), lazy)),
                    lmm(y ~ x + (1 | g), visits(), subset = x > 2 & !is.na(f)), "moments")
  query <- lmm_source(con, " select * from visits where x > 2 -- so far\n;")
  expect_same_model(lmm(y ~ x + (1 | g), query), rows, "query")
  schema <- lmm_source(con, DBI::Id(schema = "main", table = "visits"))
  expect_same_model(lmm(y ~ x + (1 | g), schema, subset = x > 2), rows, "schema")
  expect_output(print(query), "Rows that stay in a database (dialect sqlite)", fixed = TRUE)
  expect_output(print(schema), "main.visits", fixed = TRUE)
})

test_that("texts of a fixed length, decimals and large integers are those of the driver", {
  set.seed(6)
  d <- data.frame(k = sample(20L, 500, TRUE), pad = sample(c("a", "bb", "c"), 500, TRUE),
                  dec = round(runif(500), 3), sm = sample(3L, 500, TRUE), y = rnorm(500))
  for (database in names(databases())) {
    engine <- databases()[[database]]
    con <- engine$open()
    types <- c(k = "BIGINT", pad = "CHAR(4)", dec = "NUMERIC(10, 3)", sm = "SMALLINT")
    write_rows(engine, con, "t", d, types)
    source <- engine_source(engine, con, "t")
    rows <- suppressWarnings(read_rows(engine, con, "t"))
    if (database == "postgres") expect_identical(unique(nchar(rows$pad)), 4L)
    one <- rows$pad[d$pad == "a"][[1L]]
    for (form in c(
      y ~ pad + dec + (1 | k), y ~ (pad == one) + dec + (1 | k), y ~ dec + (1 | sm:pad)
    )) {
      expect_same_model(suppressMessages(lmm(form, source)), suppressMessages(lmm(form, rows)),
                        paste(deparse(form), database))
    }
    # the driver of PostgreSQL writes lines of its own
    utils::capture.output(type = "message", {
      error <- tryCatch(
        suppressWarnings(lmm(y ~ dec + (1 | k), engine_source(engine, con, "nowhere"))),
        error = identity
      )
    })
    expect_s3_class(error, "ferrolmm_error_source")
    expect_match(conditionMessage(error), "nowhere", label = database)
    # not the places in the driver's code
    expect_no_match(conditionMessage(error), "\n\\s+at ")
    DBI::dbDisconnect(con)
  }
})

test_that("levels of an ENUM keep their order", {
  for (database in intersect(c("duckdb", "duckdb_package"), names(databases()))) {
    engine <- databases()[[database]]
    con <- engine$open()
    write_rows(engine, con, "visits", visits(600), c(f = "ENUM('it''s', 'c', 'a', 'b')"))
    fit <- lmm(y ~ x + f + (1 | g), engine_source(engine, con, "visits"))
    rows <- read_rows(engine, con, "visits")
    expect_identical(levels(rows$f), c("it's", "c", "a", "b"))
    expect_same_model(fit, lmm(y ~ x + f + (1 | g), rows), database)
    expect_identical(names(fixef(fit)), c("(Intercept)", "x", "fa", "fb"))
    DBI::dbDisconnect(con)
  }
  skip_if(!any(c("duckdb", "duckdb_package") %in% names(databases())), "no DuckDB")
})

test_that("text among numbers, tables that change and wrong arithmetic do not pass", {
  engine <- databases()$sqlite
  con <- engine$open()
  on.exit(DBI::dbDisconnect(con))
  d <- visits(1500)
  write_rows(engine, con, "visits", d)
  source <- lmm_source(con, "visits")
  cells <- gather_tables
  changing <- function(gather, survey, plan) {
    DBI::dbExecute(con, "DELETE FROM visits WHERE rowid = 1000")
    cells(gather, survey, plan)
  }
  expect_error(with_value("gather_tables", changing, lmm(y ~ x + (1 | g), source)),
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
    engine <- databases()[[database]]
    con <- engine$open()
    d <- visits(1500)
    d$id <- seq_len(nrow(d))
    d$g[40] <- "it's \\ new"
    write_rows(engine, con, "visits", d)
    source <- engine_source(engine, con, "visits")
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


test_that("a connection that ends and a table that changes are errors", {
  for (database in names(databases())) {
    engine <- databases()[[database]]
    cells <- gather_tables
    con <- engine$open()
    between <- function(event) {
      write_rows(engine, con, "visits", visits(600))
      source <- engine_source(engine, con, "visits")
      happens <- function(gather, survey, plan) {
        event(con)
        cells(gather, survey, plan)
      }
      suppressWarnings(with_value("gather_tables", happens, lmm(y ~ x + (1 | g), source)))
    }
    expect_error(
      between(function(con) do_query(con, "INSERT INTO visits SELECT * FROM visits")),
      "changed while it was read", class = "ferrolmm_error_source", label = database
    )
    expect_error(between(engine$drop), "could not answer a query", class = "ferrolmm_error_source",
                 label = database)
    try(suppressWarnings(DBI::dbDisconnect(con)), silent = TRUE)
  }
})

test_that("what may not be read is an error, what may be read is enough", {
  form <- y ~ x + (1 | g)
  expect_denied <- function(engine, con, said) {
    denied <- tryCatch(suppressWarnings(lmm(form, engine_source(engine, con, "visits"))),
                       error = identity)
    expect_s3_class(denied, "ferrolmm_error_source")
    expect_match(conditionMessage(denied), said, ignore.case = TRUE)
    columns <- engine_source(engine, con, "SELECT y, x, g FROM visits")
    expect_same_model(lmm(form, columns), lmm(form, visits(600)), said)
  }
  engine <- databases()$postgres
  if (!is.null(engine)) {
    con <- engine$open()
    write_rows(engine, con, "visits", visits(600))
    suppressWarnings(try(do_query(con, "CREATE ROLE reader"), silent = TRUE))
    do_query(con, "GRANT SELECT (y, x, g) ON visits TO reader")
    do_query(con, "SET ROLE reader")
    expect_denied(engine, con, "permission denied")
    DBI::dbDisconnect(con)
  }
  engine <- databases()$mariadb
  if (!is.null(engine)) {
    con <- engine$open()
    write_rows(engine, con, "visits", visits(600))
    do_query(con, "CREATE USER IF NOT EXISTS reader@localhost")
    do_query(con, "GRANT SELECT (y, x, g) ON ferrolmm.visits TO reader@localhost")
    reader <- engine$open(user = "reader")
    expect_denied(engine, reader, "denied to user")
    DBI::dbDisconnect(reader)
    DBI::dbDisconnect(con)
  }
  skip_if(length(intersect(c("postgres", "mariadb"), names(databases()))) == 0L, "no such server")
})

test_that("Ctrl-C ends what the database computes", {
  able <- Filter(function(engine) isTRUE(engine$interrupts), databases())
  skip_if(length(able) == 0L, "no database whose driver hears of interrupts")
  for (database in names(able)) {
    found <- interrupted_works(
      c(
        paste0("for (file in ", deparse1(normalizePath(c(
          test_path("helper-elsewhere.R"), test_path("helper-databases.R"),
          test_path("helper-duckdb.R"), test_path("helper-jdbc.R")
        ))), ") source(file, chdir = TRUE)"),
        paste0("engine <- databases()[['", database, "']]"),
        "con <- engine$open()",
        "write_rows(engine, con, 'visits', visits(600))",
        "many <- 'SELECT a.g, a.x, b.y FROM visits a CROSS JOIN visits b CROSS JOIN visits c'",
        "source <- engine_source(engine, con, many)"
      ),
      list(model = "lmm(y ~ x + (1 | g), source)",
           # another query is answered at once: nothing runs any more
           after = "stopifnot(DBI::dbGetQuery(con, 'SELECT COUNT(*) AS n FROM visits')$n == 600)"),
      c(3, 4)
    )
    skip_if(is.null(found), "no signal reaches a child process here")
    expect_identical(found$ended, rep("interrupt", 4L), label = database)
  }
})
