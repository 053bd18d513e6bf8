# Moments of rows, and the fits of them, against the fits of the rows.

moments_data <- function(n = 800L) {
  set.seed(20)
  d <- data.frame(
    g = factor(sample(40, n, TRUE)), h = sample(letters[1:6], n, TRUE),
    f = factor(sample(c("a", "b", "c"), n, TRUE), levels = c("c", "a", "b", "unused")),
    x = rnorm(n, 3), z = runif(n), w = runif(n, 0.5, 2), o = rnorm(n)
  )
  d$y <- 1e3 + d$x + as.integer(d$f) * d$x / 5 + rnorm(40)[d$g] + rnorm(40)[d$g] * d$x / 2 +
    rnorm(6)[factor(d$h)] + rnorm(n)
  d
}

moments_formulas <- list(
  y ~ x * f + z + (x | g), y ~ x * f + I(x^2) + x:z + h + (x || g),
  y ~ f + (1 | g) + (1 | h), y ~ f + (0 + f || g), y ~ poly(x, 2) + scale(z) + h + (1 | g),
  log(y) ~ log(x + 10) + (1 | h / g), y ~ 0 + f + x + (1 | g:h), y ~ (z > 0.5) * x + (1 | g)
)

test_that("moments give the fit of the rows", {
  d <- moments_data()
  for (formula in moments_formulas) {
    rows <- suppressMessages(lmm(formula, d))
    moments <- lmm_moments(formula, d)
    for (reml in c(TRUE, FALSE)) {
      expect_same_fit(
        suppressMessages(lmm(formula, d, REML = reml)),
        suppressMessages(lmm(formula, moments, REML = reml))
      )
    }
    expect_identical(names(fixef(suppressMessages(lmm(formula, moments)))), names(fixef(rows)))
    expect_identical(sum(moments$cells$counts), as.double(nrow(d)))
  }
})

test_that("weights, offsets, subsets and missing values are those of lmm()", {
  d <- moments_data()
  d$x[c(3, 50)] <- NA
  d$y[7] <- NaN
  d$w[20:30] <- 0
  formula <- y ~ x * f + offset(o) + (x | g)
  rows <- lmm(formula, d, weights = w, subset = z > 0.1, offset = 2 * o)
  moments <- lmm_moments(formula, d, weights = w, subset = z > 0.1, offset = 2 * o)
  expect_same_fit(rows, lmm(formula, moments))
  expect_identical(moments$omitted, length(rows$na.action) + 0)
  expect_output(print(moments), "left out because of missing values")
  # contrasts are decided when the model is fitted
  expect_same_fit(
    lmm(y ~ x * f + (1 | g), d, contrasts = list(f = "contr.sum")),
    lmm(y ~ x * f + (1 | g), lmm_moments(y ~ x * f + (1 | g), d),
        contrasts = list(f = "contr.sum"))
  )
})

test_that("any split of the rows gives the same fit, in any order", {
  d <- moments_data(300L)
  formula <- y ~ x * f + h + (x | g)
  whole <- lmm(formula, d)
  for (seed in 1:6) {
    set.seed(seed)
    parts <- split(d, sample(seed + 1L, nrow(d), TRUE))
    # levels as each part would have them
    parts <- lapply(parts, function(part) {
      part$g <- if (seed %% 2 == 0) as.character(part$g) else part$g
      part
    })
    sites <- lapply(parts, function(part) lmm_moments(formula, part))
    expect_same_fit(whole, lmm(formula, do.call(c, unname(sites))))
    expect_same_fit(whole, lmm(formula, lmm_chunks(unname(parts))))
  }
  # one row after the other
  expect_same_fit(whole, lmm(formula, lmm_chunks(split(d, seq_len(nrow(d))))))
})

test_that("levels are matched by value, whatever class or name they have", {
  set.seed(3)
  n <- 240
  d <- data.frame(
    `a b` = sample(c("x:y", "x", "it's", "\u00e4", ""), n, TRUE),
    day = as.Date("2024-01-01") + sample(8, n, TRUE), `f` = sample(c(TRUE, FALSE), n, TRUE),
    id = sample(c(1, 2.5, 1e5), n, TRUE), check.names = FALSE
  )
  d$ordered <- factor(sample(c("low", "mid", "high"), n, TRUE), c("low", "mid", "high"),
                      ordered = TRUE)
  d$hole <- addNA(factor(sample(c("p", "q", NA), n, TRUE)))
  d$y <- rnorm(n) + d$id / 1e5
  formulas <- list(
    y ~ f + (1 | `a b`), y ~ ordered + (1 | day), y ~ hole + (1 | id:day), y ~ id + (1 | day),
    y ~ `a b` + f + (1 | day)
  )
  for (formula in formulas) {
    rows <- suppressMessages(lmm(formula, d))
    parts <- split(d, rep(1:3, length.out = n))
    sites <- do.call(c, lapply(unname(parts), function(part) lmm_moments(formula, part)))
    fit <- suppressMessages(lmm(formula, sites))
    expect_equal(fixef(fit), fixef(rows), tolerance = 1e-7)
    expect_equal(rows$criterion, fit$criterion, tolerance = 1e-10)
    expect_equal(ranef(fit), ranef(rows), tolerance = 1e-5, ignore_attr = TRUE)
    expect_equal(
      predict(fit, d[1:9, ]), unname(predict(rows, d[1:9, ])), ignore_attr = TRUE, tolerance = 1e-6
    )
  }
})

test_that("a response far from zero leaves the digits of its residuals", {
  set.seed(8)
  n <- 5000
  g <- factor(sample(50, n, TRUE))
  x <- rnorm(n, 1e5)
  d <- data.frame(g, x, y = 1e6 + 1e3 * rnorm(50)[g] + 2 * (x - 1e5) + 1e-3 * rnorm(n))
  rows <- lmm(y ~ x + (1 | g), d)
  fit <- lmm(y ~ x + (1 | g), lmm_moments(y ~ x + (1 | g), d))
  expect_equal(sigma(fit), sigma(rows), tolerance = 1e-6)
  expect_equal(fixef(fit)[["x"]], fixef(rows)[["x"]], tolerance = 1e-9)
})

test_that("functions of the data need bases that are the same in each chunk", {
  d <- moments_data()
  formula <- y ~ poly(x, 2) + scale(z) + (1 | g)
  rows <- lmm(formula, d)
  parts <- unname(split(d, rep(1:5, length.out = nrow(d))))
  # a list can be read twice
  expect_same_fit(rows, lmm(formula, lmm_chunks(parts)))
  expect_same_fit(rows, lmm(formula, lmm_chunks(parts, bases = d)))
  at <- 0
  once <- function() {
    at <<- at + 1
    if (at <= length(parts)) parts[[at]]
  }
  expect_error(lmm(formula, lmm_chunks(once)), class = "ferrolmm_error_moments")
  at <- 0
  expect_same_fit(rows, lmm(formula, lmm_chunks(once, bases = d)))
  one <- lmm_moments(formula, parts[[1L]])
  expect_error(c(one, lmm_moments(formula, parts[[2L]])), "other coefficients",
               class = "ferrolmm_error_moments")
  for (term in c("I(x - mean(x))", "ave(x, g)", "cumsum(x)", "rank(x)", "cut(x, 3)", "rev(x)")) {
    of_others <- stats::reformulate(c(term, "(1 | g)"), "y")
    expect_error(lmm(of_others, lmm_chunks(parts)), class = "ferrolmm_error_moments")
    expect_error(
      lmm(of_others, lmm_chunks(split(d, seq_len(nrow(d))))), class = "ferrolmm_error_moments"
    )
  }
  # the means of groups are those of all rows where these are read before
  expect_same_fit(
    lmm(y ~ within_between(x, g) + (1 | g), d),
    lmm(y ~ within_between(x, g) + (1 | g), lmm_chunks(parts))
  )
})

test_that("files are read in chunks", {
  d <- moments_data(500L)
  d$count <- c(seq_len(300L), 300 + seq_len(200) / 3)
  file <- tempfile(fileext = ".csv")
  on.exit(unlink(file))
  utils::write.csv(d, file, row.names = FALSE)
  rows <- lmm(y ~ x + count + f + (1 | g), utils::read.csv(file))
  for (size in c(7L, 100L, 250L, 499L, 500L, 501L)) {
    chunks <- lmm_chunks(file, rows = size)
    expect_equal(
      fixef(lmm(y ~ x + count + f + (1 | g), chunks)), fixef(rows), tolerance = 1e-9
    )
  }
  expect_output(print(lmm_chunks(file)), "csv")
  expect_error(lmm_chunks("nowhere.csv"), class = "ferrolmm_error_argument")
  expect_error(lmm_chunks(d), class = "ferrolmm_error_argument")
  expect_error(lmm_chunks(list(d, 1)), class = "ferrolmm_error_argument")
  expect_error(lmm(y ~ x + (1 | g), lmm_chunks(function() 1)), class = "ferrolmm_error_data")
  expect_error(lmm(y ~ x + (1 | g), lmm_chunks(function() NULL)), class = "ferrolmm_error_data")
  expect_error(lmm(y ~ x + (1 | g), lmm_chunks(function() stop("gone"))), "gone",
               class = "ferrolmm_error_data")
})

test_that("chunks without a row to use are passed over", {
  d <- moments_data(200L)
  parts <- split(d, rep(1:4, each = 50))
  parts[[2L]]$x <- NA_real_
  parts[[3L]]$z <- 0
  expect_same_fit(
    lmm(y ~ x + (1 | g), do.call(rbind, parts), subset = z > 0),
    lmm(y ~ x + (1 | g), lmm_chunks(unname(parts)), subset = z > 0)
  )
})

test_that("moments are refused where they do not have what is asked for", {
  d <- moments_data(200L)
  m <- lmm_moments(y ~ x + f + (1 | g), d)
  refused <- function(expr, class = "ferrolmm_error_moments") expect_error(expr, class = class)
  refused(lmm(z ~ x + (1 | g), m))
  refused(lmm(y ~ h + (1 | g), m))
  refused(lmm(y ~ log(x) + (1 | g), m))
  refused(lmm(y ~ x * z + (1 | g), m))
  refused(lmm(y ~ x + (1 | g), lmm_moments(y ~ x + z + (1 | g), d), weights = w),
          "ferrolmm_error_needs_rows")
  refused(lmm(y ~ x + (1 | g), m, residual = ~ ar1(z | g)), "ferrolmm_error_needs_rows")
  refused(c(m, lmm_moments(y ~ x + (1 | g), d)))
  refused(c(m, lmm_moments(z ~ x + f + (1 | g), d)))
  refused(c(m, d), "ferrolmm_error_argument")
  other <- d
  other$g <- as.integer(other$g)
  refused(c(m, lmm_moments(y ~ x + f + (1 | g), other)))
  refused(lmm_moments(y ~ x + f + (1 | g), d, min_cell = 2))
  refused(lmm_moments(y ~ x + (1 | g), d, family = "binomial"), "ferrolmm_error_argument")
  refused(lmm_moments(y ~ x + (1 | g), 1:3), "ferrolmm_error_data")
  # a product of two numbers that the formula did not have
  both <- lmm_moments(y ~ x + z + (1 | g), d)
  refused(lmm(y ~ x * z + (1 | g), both))
  # factors made of keys are known
  expect_same_fit(lmm(y ~ (f == "a") + (1 | g), d), lmm(y ~ (f == "a") + (1 | g), m))
})

test_that("moments are added to a fit, and are a plain file", {
  d <- moments_data(400L)
  formula <- y ~ x + f + (x | g)
  old <- lmm_moments(formula, d[1:300, ])
  new <- lmm_moments(formula, d[301:400, ])
  fit <- lmm(formula, old)
  expect_same_fit(lmm(formula, d), update(fit, moments = c(old, new)))
  file <- tempfile()
  on.exit(unlink(file))
  saveRDS(list(fit, new), file)
  again <- readRDS(file)
  expect_same_fit(lmm(formula, d), update(again[[1L]], moments = c(old, again[[2L]])))
  expect_snapshot(print(c(old, new)), transform = function(x) sub("[0-9]+ cells", "cells", x))
})

test_that("what follows a fit is that of the rows", {
  d <- moments_data()
  formula <- y ~ x * f + z + (x | g) + (1 | h)
  rows <- lmm(formula, d)
  fit <- lmm(formula, lmm_moments(formula, d))
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
  same(function(m) summary(m, ddf = "Kenward-Roger")$coefficients)
  for (type in list(1, 2, 3, "marginal")) same(function(m) anova(m, type = type))
  same(function(m) anova(m, update(m, . ~ . - z)))
  same(function(m) drop1(m))
  same(function(m) drop1(m, test = "Chisq"))
  same(function(m) confint(m, method = "profile", parm = "theta_"))
  same(function(m) predict(m, new, allow.new.levels = TRUE, interval = "prediction"))
  same(function(m) predict(m, new, re.form = NA, se.fit = TRUE))
  for (update in c("none", "one-step", "exact")) {
    same(function(m) influence(m, groups = "g", update = update))
  }
  same(function(m) ranef(m, condVar = TRUE))
  same(function(m) VarCorr(m, se = TRUE))
  same(function(m) ranova(m))
  same(function(m) r_squared(m))
  same(function(m) intraclass(m))
  same(function(m) intervals(m))
  same(function(m) equations(m)$lines)
  same(function(m) logLik(m, REML = FALSE))
  same(function(m) refitML(m))
  same(function(m) update(m, . ~ . - (1 | h)))
  same(function(m) tidy(m, conf.int = TRUE))
  same(function(m) glance(m))
})

test_that("marginal means of a fit of moments are those of the rows", {
  skip_if_not_installed("emmeans")
  d <- moments_data()
  formula <- y ~ x * f + z + (x | g)
  rows <- lmm(formula, d)
  fit <- lmm(formula, lmm_moments(formula, d))
  means <- function(m, ...) as.data.frame(emmeans::emmeans(m, ...))
  expect_equal(means(fit, "f"), means(rows, "f"), tolerance = 1e-6)
  expect_equal(
    means(fit, "f", weights = "proportional"), means(rows, "f", weights = "proportional"),
    tolerance = 1e-6
  )
  trends <- function(m) as.data.frame(emmeans::emtrends(m, "f", var = "x"))
  expect_equal(trends(fit), trends(rows), tolerance = 1e-5)
})

test_that("simulated condensed rows have the distribution of those of simulated rows", {
  d <- moments_data(300L)
  formula <- y ~ x + (1 | h)
  fit <- lmm(formula, lmm_moments(formula, d))
  set.seed(4)
  condensed <- fit$condensed
  y <- simulate_condensed(fit, 4000L, TRUE)
  x <- engine_inputs(fit)$fixed$X
  own <- condensed$own > 0
  expect_identical(sum(condensed$own) + sum(!own), 300)
  # sums of squares of the rests of the cells
  expected <- fit$sigma^2 * condensed$own[own]
  error <- sqrt(2 * condensed$own[own] / 4000) * fit$sigma^2
  expect_true(all(abs(rowMeans(y[own, ]^2) - expected) < 5 * error))
  # and the variances of the others
  deviation <- apply(y[!own, ], 1L, sd) * sqrt(condensed$weights[!own]) / fit$sigma
  expect_true(all(abs(deviation - 1) < 5 / sqrt(2 * 4000)))
  boot <- confint(fit, method = "boot", nsim = 400, seed = 1)
  wald <- confint(fit, parm = "beta_")
  expect_equal(boot["x", ], wald["x", ], tolerance = 0.05)
})

test_that("what takes rows says so, by one table", {
  d <- moments_data(200L)
  fit <- lmm(y ~ x + f + (x | g), lmm_moments(y ~ x + f + (x | g), d))
  expect_true(all(vapply(names(takes_rows), exists, NA, envir = asNamespace("ferrolmm"))))
  for (call in expression(
    residuals(fit), fitted(fit), hatvalues(fit), cooks.distance(fit), predict(fit), simulate(fit),
    augment(fit), refit(fit, d$y), plot(fit), model.frame(fit), model.matrix(fit), weights(fit),
    rstandard(fit), influence(fit), influence(fit, groups = "f"), getME(fit, "X"), getME(fit, "Zt"),
    getME(fit, "y"), getME(fit, "mu"), getME(fit, "flist"), getME(fit, "RZX"), pooling(fit),
    as_lmerMod(fit), image(fit), lmList(fit), dfbeta(fit), getData(fit), qqnorm(fit), ACF(fit)
  )) {
    expect_error(eval(call), class = "ferrolmm_error_needs_rows")
  }
  weighted <- lmm(y ~ x + f + (1 | g), lmm_moments(y ~ x + f + (1 | g), d, weights = w))
  expect_error(anova(weighted, type = 1), class = "ferrolmm_error_needs_rows")
  expect_error(r_squared(weighted), class = "ferrolmm_error_needs_rows")
  expect_equal(
    anova(weighted), anova(lmm(y ~ x + f + (1 | g), d, weights = w)), tolerance = 1e-6,
    ignore_attr = TRUE
  )
})

test_that("every method either gives what it gives for rows, or says that it takes rows", {
  d <- moments_data(200L)
  rows <- lmm(y ~ x + f + (x | g), d)
  fit <- lmm(y ~ x + f + (x | g), lmm_moments(y ~ x + f + (x | g), d))
  expect_methods_of_rows(fit, rows)
})
