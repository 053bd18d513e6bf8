# Moments by tables of the rows of a database.

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

each_database <- function(data, f) {
  for (connect in databases()) {
    con <- connect()
    if (DBI::dbExistsTable(con, "pairs")) DBI::dbRemoveTable(con, "pairs")
    DBI::dbWriteTable(con, "pairs", data, row.names = FALSE)
    f(lmm_source(con, "pairs"), con)
    DBI::dbRemoveTable(con, "pairs")
    DBI::dbDisconnect(con)
  }
}

crossed <- function(n = 800L) {
  set.seed(12)
  d <- data.frame(
    g = sprintf("g%02d", sample(30, n, TRUE)), h = sample(12L, n, TRUE),
    k = sample(letters[1:6], n, TRUE), f = sample(c("a", "b", "c"), n, TRUE),
    x = round(rnorm(n, 3), 4), z = round(runif(n), 5), w = runif(n, 0.5, 2)
  )
  d$y <- 50 + d$x * (1 + rnorm(30)[factor(d$g)] / 2) + 2 * (d$f == "b") + rnorm(30)[factor(d$g)] +
    rnorm(12)[d$h] + rnorm(6)[factor(d$k)] + rnorm(n)
  d
}

exactly <- lmm_control(tolerance = 1e-20)

test_that("a database gives the tables of the rows", {
  d <- crossed()
  d$x[5:9] <- NA
  each_database(d, function(source, con) {
    for (formula in list(
      y ~ x + f + (1 | g) + (1 | h) + (1 | k), y ~ x * f + I(x^2) + (x | g) + (1 | h) + (z || k),
      y ~ f + log(z + 1) + (1 | g / k), y ~ x + (z > 0.5) + factor(h) + (f | k) + (1 | g)
    )) {
      moments <- lmm_moments(formula, source, gather = "tables")
      expect_identical(moments$digits, sum_digits)
      expect_same_fit(
        suppressMessages(lmm(formula, d, control = exactly)),
        suppressMessages(lmm(formula, moments, control = exactly))
      )
    }
    formula <- y ~ x + f + (1 | g) + (1 | h)
    moments <- lmm_moments(
      formula, source, weights = w, subset = z > 0.1, offset = 2 * z, gather = "tables"
    )
    expect_same_fit(
      lmm(formula, d, weights = w, subset = z > 0.1, offset = 2 * z, control = exactly),
      lmm(formula, moments, control = exactly)
    )
    expect_identical(moments$omitted, 5)
    # parts of two places
    first <- lmm_moments(formula, d[1:300, ], gather = "tables")
    rest <- d[301:800, ]
    DBI::dbWriteTable(con, "rest_of_pairs", rest, row.names = FALSE)
    second <- lmm_moments(formula, lmm_source(con, "rest_of_pairs"), gather = "tables")
    DBI::dbRemoveTable(con, "rest_of_pairs")
    expect_same_fit(
      lmm(formula, d, control = exactly), lmm(formula, c(first, second), control = exactly)
    )
  })
})

test_that("sums in pieces keep the digits of small residuals", {
  set.seed(8)
  n <- 4000
  d <- data.frame(g = sample(40L, n, TRUE), h = sample(20L, n, TRUE), k = sample(9L, n, TRUE))
  d$x <- rnorm(n, 1e5)
  d$w <- runif(n, 1, 2)
  d$y <- 1e6 + 1e3 * rnorm(40)[d$g] + 1e3 * rnorm(20)[d$h] + 1e3 * rnorm(9)[d$k] +
    2 * (d$x - 1e5) + 1e-3 * rnorm(n)
  formula <- y ~ x + (1 | g) + (1 | h) + (1 | k)
  rows <- lmm(formula, d)
  each_database(d, function(source, con) {
    moments <- lmm_moments(formula, source, gather = "tables")
    expect_lt(moments$digits, 1e-20)
    fit <- lmm(formula, moments)
    expect_equal(sigma(fit), sigma(rows), tolerance = 1e-6)
    expect_equal(fixef(fit)[["x"]], fixef(rows)[["x"]], tolerance = 1e-9)
    expect_error(
      lmm_moments(formula, source, weights = w, gather = "tables"), "lmm_chunks",
      class = "ferrolmm_error_moments"
    )
    # a model whose residuals are larger needs no more digits, and its moments do not tell this one
    coarse <- lmm_moments(y ~ x + (1 | g), source, gather = "tables")
    expect_identical(coarse$digits, sum_digits)
  })
})

test_that("nearly dependent columns are asked for in pieces", {
  d <- crossed()
  d$t <- 2000 + d$h / 100
  d$y <- d$y + d$t
  formula <- y ~ t + I(t^2) + (1 | g) + (1 | k)
  rows <- suppressMessages(lmm(formula, d))
  each_database(d, function(source, con) {
    moments <- suppressMessages(lmm_moments(formula, source, gather = "tables"))
    expect_lt(moments$digits, sum_digits)
    fit <- suppressMessages(lmm(formula, moments))
    expect_identical(is.na(fit$coefficients), is.na(rows$coefficients))
    expect_equal(fit$criterion, rows$criterion, tolerance = 1e-9)
  })
})

test_that("cells or tables: what is smaller", {
  before <- change_constant("many_cells", 100)
  on.exit(change_constant("many_cells", before))
  d <- crossed(3000L)
  each_database(d, function(source, con) {
    expect_message(
      fit <- lmm(y ~ x + (1 | g) + (1 | h) + (1 | k), source), "by pairs of terms, in 7 tables",
      class = "ferrolmm_message_cells"
    )
    expect_same_fit(lmm(y ~ x + (1 | g) + (1 | h) + (1 | k), d), fit, 1e-5)
    # no table would be smaller than the cells
    expect_message(
      moments <- lmm_moments(y ~ x + (1 | g:h:k), source), "rows in",
      class = "ferrolmm_message_cells"
    )
    expect_null(moments$tables)
  })
})
