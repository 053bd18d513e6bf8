# Moments by tables, and the fits of them, against the fits of the rows.

tables_data <- function(n = 900L) {
  set.seed(31)
  d <- data.frame(
    g = factor(sample(30, n, TRUE)), h = sample(letters[1:8], n, TRUE), k = sample(12L, n, TRUE),
    f = factor(sample(c("a", "b", "c"), n, TRUE), levels = c("c", "a", "b", "unused")),
    s = sample(c(TRUE, FALSE), n, TRUE), x = rnorm(n, 3), z = runif(n), w = runif(n, 0.5, 2),
    o = rnorm(n)
  )
  d$y <- 1e3 + d$x + as.integer(d$f) * d$x / 5 + rnorm(30)[d$g] + rnorm(30)[d$g] * d$x / 2 +
    rnorm(8)[factor(d$h)] + 0.5 * rnorm(12)[d$k] + 0.4 * rnorm(8)[factor(d$h)] * d$z + rnorm(n)
  d
}

tables_of <- function(formula, data, ...) lmm_moments(formula, data, ..., gather = "tables")

tables_formulas <- list(
  y ~ x + f + (1 | g) + (1 | h) + (1 | k), y ~ x * f + z + (x | g) + (z | h) + (1 | k),
  y ~ x * f + I(x^2) + x:z + h + (x || g) + (1 | k), y ~ f + (0 + f | g) + (1 | h / k),
  y ~ poly(x, 2) + scale(z) + s + (1 | g), log(y) ~ log(x + 10) + (s | k) + (1 | g:h),
  y ~ 0 + f + x + (1 | g) + (0 + x | g) + (1 | h), y ~ (z > 0.5) * x + f:s + (1 | g) + (1 | k)
)

exactly <- lmm_control(tolerance = 1e-20)

test_that("tables give the fit of the rows", {
  d <- tables_data()
  for (formula in tables_formulas) {
    moments <- tables_of(formula, d)
    for (reml in c(TRUE, FALSE)) {
      expect_same_fit(
        suppressMessages(lmm(formula, d, REML = reml, control = exactly)),
        suppressMessages(lmm(formula, moments, REML = reml, control = exactly))
      )
    }
  }
})

test_that("weights, offsets, subsets, missing values and contrasts are those of lmm()", {
  d <- tables_data()
  d$x[c(3, 50)] <- NA
  d$y[7] <- NaN
  d$w[20:30] <- 0
  formula <- y ~ x * f + offset(o) + (x | g) + (1 | h)
  rows <- lmm(formula, d, weights = w, subset = z > 0.1, offset = 2 * o, control = exactly)
  moments <- tables_of(formula, d, weights = w, subset = z > 0.1, offset = 2 * o)
  expect_same_fit(rows, lmm(formula, moments, control = exactly))
  expect_identical(moments$omitted, length(rows$na.action) + 0)
  contrasts <- list(f = "contr.sum")
  smaller <- y ~ f + offset(o) + (1 | h)
  expect_same_fit(
    lmm(smaller, d, weights = w, subset = z > 0.1 & !is.na(x), offset = 2 * o,
        contrasts = contrasts, control = exactly),
    lmm(smaller, moments, contrasts = contrasts, control = exactly)
  )
})

test_that("any split of the rows gives the same fit, in any order, of any kind", {
  d <- tables_data(400L)
  formula <- y ~ x * f + (x | g) + (1 | h) + (1 | k)
  whole <- lmm(formula, d, control = exactly)
  for (seed in 1:4) {
    set.seed(seed)
    parts <- split(d, sample(seed + 1L, nrow(d), TRUE))
    parts <- lapply(parts, function(part) {
      part$g <- if (seed %% 2 == 0) as.character(part$g) else droplevels(part$g)
      part
    })
    kinds <- rep_len(c("tables", if (seed > 2) "cells"), length(parts))
    sites <- Map(function(part, kind) lmm_moments(formula, part, gather = kind), parts, kinds)
    both <- do.call(c, unname(sites))
    expect_false(is.null(both$tables))
    expect_same_fit(whole, lmm(formula, both, control = exactly))
    chunks <- lmm_chunks(unname(parts))
    expect_same_fit(whole, lmm(formula, tables_of(formula, chunks), control = exactly))
  }
  # cells become tables where there are too many
  before <- change_constant("many_cells", 100)
  on.exit(change_constant("many_cells", before))
  found <- lmm_moments(formula, lmm_chunks(split(d, rep(1:8, each = 50))))
  expect_false(is.null(found$tables))
  expect_same_fit(whole, lmm(formula, found, control = exactly))
  expect_false(is.null(lmm_moments(formula, d)$tables))
})

test_that("a response far from zero leaves the digits of its residuals", {
  set.seed(8)
  n <- 5000
  d <- data.frame(g = sample(50, n, TRUE), h = sample(20, n, TRUE), k = sample(9, n, TRUE))
  d$x <- rnorm(n, 1e5)
  d$y <- 1e6 + 1e3 * rnorm(50)[d$g] + 1e3 * rnorm(20)[d$h] + 1e3 * rnorm(9)[d$k] +
    2 * (d$x - 1e5) + 1e-3 * rnorm(n)
  formula <- y ~ x + (1 | g) + (1 | h) + (1 | k)
  rows <- lmm(formula, d)
  fit <- lmm(formula, tables_of(formula, lmm_chunks(split(d, rep(1:5, each = 1000)))))
  expect_equal(sigma(fit), sigma(rows), tolerance = 1e-6)
  expect_equal(fixef(fit)[["x"]], fixef(rows)[["x"]], tolerance = 1e-9)
})

test_that("what follows a fit is that of the rows", {
  d <- tables_data()
  formula <- y ~ x * f + z + (x | g) + (1 | h) + (1 | k)
  rows <- lmm(formula, d, control = exactly)
  fit <- lmm(formula, tables_of(formula, d), control = exactly)
  new <- d[1:12, ]
  new$g <- as.character(new$g)
  new$g[3] <- "new"
  same <- function(f, tolerance = 1e-5) {
    of <- function(object) {
      found <- suppressMessages(f(object))
      if (inherits(found, "lmm")) found[c("coefficients", "theta", "criterion", "b")] else found
    }
    expect_equal(of(fit), of(rows), tolerance = tolerance, ignore_attr = TRUE)
  }
  for (ddf in c("Satterthwaite", "Kenward-Roger", "asymptotic")) {
    same(function(m) summary(m, ddf = ddf)$coefficients)
  }
  for (type in list(1, 2, 3, "marginal")) same(function(m) anova(m, type = type))
  same(function(m) anova(m, update(m, . ~ . - z)))
  same(function(m) drop1(m))
  same(function(m) drop1(m, test = "Chisq"))
  same(function(m) contest(m, diag(7)[2:3, ]))
  same(function(m) confint(m, method = "profile", parm = c("theta_", "x")))
  same(function(m) predict(m, new, allow.new.levels = TRUE, interval = "prediction"))
  same(function(m) predict(m, new, re.form = NA, se.fit = TRUE))
  same(function(m) ranef(m, condVar = TRUE))
  same(function(m) VarCorr(m, se = TRUE))
  same(function(m) ranova(m, distribution = "limit"))
  same(function(m) r_squared(m))
  same(function(m) intraclass(m))
  same(function(m) AIC(m))
  same(function(m) logLik(m, REML = FALSE))
  same(function(m) refitML(m))
  same(function(m) update(m, . ~ . - (1 | h)))
  same(function(m) tidy(m, conf.int = TRUE))
  expect_identical(ranova(fit)[["Pr(>LRT)"]][-1L] > 0, rep(TRUE, 3))
  # groups within which predictors vary are known of factors
  expect_error(equations(fit), class = "ferrolmm_error_needs_rows")
  factors <- y ~ f + (1 | g) + (1 | h)
  expect_identical(
    equations(lmm(factors, tables_of(factors, d)))$lines, equations(lmm(factors, d))$lines
  )
  # of one variance, whose null distribution needs no rows
  one <- y ~ x + (1 | h)
  expect_equal(
    ranova(lmm(one, tables_of(one, d), REML = FALSE)), ranova(lmm(one, d, REML = FALSE)),
    tolerance = 0.05, ignore_attr = TRUE
  )
})

test_that("marginal means of a fit of tables are those of the rows", {
  skip_if_not_installed("emmeans")
  d <- tables_data()
  formula <- y ~ x * f + s + (x | g) + (1 | h) + (1 | k)
  rows <- lmm(formula, d)
  fit <- lmm(formula, tables_of(formula, d))
  means <- function(m, ...) suppressMessages(as.data.frame(emmeans::emmeans(m, ...)))
  expect_equal(means(fit, "f"), means(rows, "f"), tolerance = 1e-6)
  expect_equal(
    means(fit, "f", weights = "proportional"), means(rows, "f", weights = "proportional"),
    tolerance = 1e-6
  )
  trends <- function(m) as.data.frame(emmeans::emtrends(m, "f", var = "x"))
  expect_equal(trends(fit), trends(rows), tolerance = 1e-5)
})

test_that("what takes rows says so", {
  d <- tables_data(300L)
  formula <- y ~ x + f + (x | g) + (1 | h)
  fit <- lmm(formula, tables_of(formula, d))
  for (call in expression(
    residuals(fit), fitted(fit), predict(fit), simulate(fit), influence(fit),
    influence(fit, groups = "g"), confint(fit, method = "boot", nsim = 9), getME(fit, "X"),
    getME(fit, "Zt"), model.matrix(fit), refit(fit, d$y), plot(fit)
  )) {
    expect_error(eval(call), class = "ferrolmm_error_needs_rows")
  }
})

test_that("every method either gives what it gives for rows, or says that it takes rows", {
  d <- tables_data(300L)
  formula <- y ~ x + f + (x | g) + (1 | h)
  rows <- lmm(formula, d, control = exactly)
  fit <- lmm(formula, tables_of(formula, d), control = exactly)
  expect_methods_of_rows(fit, rows)
})

test_that("tables are refused where they do not have what is asked for", {
  d <- tables_data(300L)
  m <- tables_of(y ~ x + f + s + (1 | g) + (1 | h), d)
  refused <- function(expr, class = "ferrolmm_error_moments") expect_error(expr, class = class)
  refused(lmm(y ~ x + (f | g) + (1 | h), m))
  expect_same_fit(lmm(y ~ x + (f | g), d, control = exactly),
                  lmm(y ~ x + (f | g), m, control = exactly))
  refused(lmm(y ~ x + (x | g) + (1 | h), tables_of(y ~ x + (1 | g) + (1 | h), d)))
  refused(lmm(y ~ x + (1 | g:h:f), m))
  refused(c(m, tables_of(y ~ x + f + s + (f | g) + (1 | h), d)))
  refused(tables_of(y ~ x + (1 | g) + (1 | h), d, min_cell = 3))
  # the smallest cell that any part allows
  large <- tables_of(y ~ x + (1 | h), d[d$h != "a", ], min_cell = 5)
  small <- tables_of(y ~ x + (1 | h), d[which(d$h == "a")[1:2], ])
  refused(c(large, small))
  expect_identical(c(large, tables_of(y ~ x + (1 | h), d))$min_cell, 5L)
})

test_that("moments by tables are printed, and are a plain file", {
  d <- tables_data(400L)
  formula <- y ~ x + f + (x | g) + (1 | h)
  old <- tables_of(formula, d[1:300, ])
  new <- tables_of(formula, d[301:400, ])
  fit <- lmm(formula, old, control = exactly)
  file <- tempfile()
  on.exit(unlink(file))
  saveRDS(list(fit, new), file)
  again <- readRDS(file)
  expect_same_fit(
    lmm(formula, d, control = exactly), update(again[[1L]], moments = c(old, again[[2L]]))
  )
  expect_snapshot(print(c(old, new)))
})

test_that("ordered factors of parts are united where their orders agree", {
  expect_identical(merge_orders(c("a", "b", "d"), c("b", "c", "d", "e")), letters[1:5])
  expect_identical(merge_orders(letters[1:3], letters[2:3]), letters[1:3])
  expect_null(merge_orders(c("a", "b"), c("b", "a")))
  expect_null(merge_orders(c("a", "b"), c("a", "c")))
  d <- tables_data(400L)
  d$q <- factor(sample(c("low", "mid", "high", "top"), 400, TRUE), c("low", "mid", "high", "top"),
                ordered = TRUE)
  of <- function(formula, levels, gather) {
    part <- d[d$q %in% levels, ]
    part$q <- factor(as.character(part$q), levels, ordered = TRUE)
    lmm_moments(formula, part, gather = gather)
  }
  for (gather in c("cells", "tables")) {
    fixed <- y ~ q + (1 | g)
    both <- c(of(fixed, c("low", "high"), gather), of(fixed, c("low", "mid", "high"), gather),
              of(fixed, c("high", "top"), gather))
    twice <- rbind(d[d$q %in% c("low", "high"), ], d[d$q %in% c("low", "mid", "high"), ],
                   d[d$q %in% c("high", "top"), ])
    expect_error(lmm(fixed, both), NA)
    expect_same_fit(lmm(fixed, twice, control = exactly), lmm(fixed, both, control = exactly))
    expect_error(c(of(fixed, c("low", "high"), gather), of(fixed, c("high", "low"), gather)),
                 "one order", class = "ferrolmm_error_moments")
    # levels that only group rows are in no order
    grouping <- y ~ x + (1 | q)
    both <- c(of(grouping, c("high", "low"), gather), of(grouping, c("mid", "top"), gather))
    expect_equal(lmm(grouping, both)$criterion, lmm(grouping, d)$criterion, tolerance = 1e-9)
  }
})
