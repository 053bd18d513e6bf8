# Models on rows of a database against the same models on the rows.

skip_if_not_installed("DBI")
skip_if_not_installed("RSQLite")

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
    engine <- databases()[[database]]
    con <- engine$open()
    write_rows(engine, con, "visits", visits())
    rows <- read_rows(engine, con, "visits")
    source <- engine_source(engine, con, "visits")
    for (name in names(models)) {
      model <- models[[name]]
      names(model)[[1L]] <- "formula"
      expect_same_model(
        suppressMessages(do.call(lmm, c(model, list(data = source)))),
        suppressMessages(do.call(lmm, c(model, list(data = rows)))), paste(name, database)
      )
    }
    DBI::dbDisconnect(con)
  }
})

test_that("parts in a database and in memory are moments of one model", {
  engine <- databases()$sqlite
  con <- engine$open()
  on.exit(DBI::dbDisconnect(con))
  d <- visits()
  write_rows(engine, con, "visits", d)
  form <- y ~ x + f + (x | g)
  here <- lmm_moments(form, d, subset = h <= 5)
  there <- lmm_moments(form, lmm_source(con, "visits"), subset = h > 5)
  both <- c(here, there)
  expect_same_model(lmm(form, both), lmm(form, d), "both")
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
    engine <- databases()[[database]]
    con <- engine$open()
    write_rows(engine, con, "far", d)
    source <- engine_source(engine, con, "far")
    rows <- suppressWarnings(lmm(y ~ x + (1 | g), read_rows(engine, con, "far")))
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
    engine <- databases()[[database]]
    con <- engine$open()
    table <- if (engine$any_table) "a \"table\"; --" else "a_table"
    write_rows(engine, con, table, d)
    source <- engine_source(engine, con, table)
    fit <- suppressMessages(lmm(form, source))
    expect_same_model(fit, suppressMessages(lmm(form, d)), database)
    expect_same_model(suppressMessages(lmm(other, source)), suppressMessages(lmm(other, d)),
                      database)
    expect_setequal(levels(fit$frame$select), levels)
    expect_setequal(names(d), source_columns(source))
    DBI::dbDisconnect(con)
  }
  # a collation that takes levels for the same
  engine <- databases()$sqlite
  con <- engine$open()
  on.exit(DBI::dbDisconnect(con))
  write_rows(engine, con, "t", d, c(select = "TEXT COLLATE NOCASE"))
  expect_same_model(suppressMessages(lmm(form, lmm_source(con, "t"))),
                    suppressMessages(lmm(form, d)), "collation")
})

test_that("missing, infinite, huge and dated values are those of R", {
  set.seed(3)
  n <- 600
  d <- data.frame(
    g = sample(c(0.1 + 0.2, 0.3, 1e10, -2), n, TRUE),
    day = as.Date("2020-02-27") + sample(0:9, n, TRUE), x = rnorm(n),
    big = sample(c(2147483647L, 2000000000L, 1L), n, TRUE), y = rnorm(n),
    yes = sample(c(TRUE, FALSE, NA), n, TRUE), k = sample(1:30, n, TRUE),
    at = as.POSIXct("1969-12-31 23:59:58.5", tz = "UTC") + sample(c(0, 0.25, 86400, 1e9), n, TRUE)
  )
  d$y <- d$y + rnorm(30)[d$k] + as.numeric(d$day - as.Date("2020-03-01")) / 5
  d$x[1:10] <- NaN
  d$x[11:12] <- NA
  for (database in names(databases())) {
    engine <- databases()[[database]]
    con <- engine$open(extended_types = TRUE)
    write_rows(engine, con, "t", d)
    source <- engine_source(engine, con, "t")
    rows <- read_rows(engine, con, "t")
    # R's integers overflow, those of a database that computes in doubles do not
    rows$big <- as.double(rows$big)
    # some drivers have text in the place of dates
    dated <- inherits(rows$day, "Date")
    for (form in c(
      y ~ x + I(big * big / 1e18) + (1 | k), y ~ day + (1 | k), y ~ factor(day) + (1 | k),
      if (dated) y ~ x + (day > "2020-03-01") + (1 | k), y ~ x + (1 | day), y ~ yes + x + (1 | k),
      y ~ x + (1 | g:k), y ~ I(yes * x) + (1 | k), y ~ x + (1 | at),
      if (inherits(rows$at, "POSIXct")) y ~ I(as.numeric(at) / 1e8) + (1 | k)
    )) {
      expect_same_model(
        suppressMessages(lmm(form, source)), suppressMessages(lmm(form, rows)),
        paste(deparse(form), database)
      )
    }
    expect_error(lmm(y ~ x + (1 | k), source, na.action = na.fail), "`x`: 12 missing values",
                 class = "ferrolmm_error_missing")
    if (engine$infinite) {
      d$x[599] <- Inf
      write_rows(engine, con, "t", d)
      expect_error(lmm(y ~ x + (1 | k), source), "`x` is not finite", class =
                     "ferrolmm_error_not_finite")
      expect_s3_class(lmm(y ~ x + (1 | k), source, subset = x < Inf), "lmm")
      d$x[599] <- 0
    }
    expect_error(lmm(y ~ I(1 / (k - 3)) + (1 | k), source), "is not finite", class =
                   "ferrolmm_error_not_finite")
    DBI::dbDisconnect(con)
  }
})

test_that("cells are counted before they are asked for", {
  engine <- databases()$sqlite
  con <- engine$open()
  on.exit(DBI::dbDisconnect(con))
  write_rows(engine, con, "visits", visits(1000))
  source <- lmm_source(con, "visits")
  expect_error(with_value("most_cells", 100, lmm(y ~ x + (1 | factor(z)), source)),
               "nothing is gained", class = "ferrolmm_error_moments")
  expect_message(with_value("many_cells", 50, lmm(y ~ x + (1 | g:f), source)),
                 "rows in 120 cells", class = "ferrolmm_message_cells")
})
