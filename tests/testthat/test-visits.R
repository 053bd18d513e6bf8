# Lags of visits: how far apart two visits are does not depend on which others have rows, on the
# order of rows or on what the visits are called.

serial_data <- function(rows_of_visit = 1L) {
  set.seed(2)
  d <- expand.grid(row = seq_len(rows_of_visit), visit = factor(1:4), id = factor(1:40))
  d$t <- as.integer(d$visit)
  path <- function() as.vector(stats::filter(stats::rnorm(4L), 0.6, "recursive"))
  d$y <- rep(as.vector(replicate(40L, path())), each = rows_of_visit) +
    stats::rnorm(nrow(d), sd = 0.3)
  d$text <- as.character(d$visit)
  d
}

d <- serial_data()
gap <- d[d$visit != "3", ]

estimates <- function(...) {
  fit <- suppressMessages(lmm(...))
  c(unname(c(fit$phi, fit$theta)), sigma(fit), logLik(fit))
}

same_estimates <- function(reference, ...) {
  expect_equal(estimates(...), reference, tolerance = 1e-6)
}

test_that("AR(1): a factor counts by its levels, also by those without rows", {
  numbers <- estimates(y ~ 1, gap, residual = ~ ar1(t | id))
  skip_if_not_installed("nlme")
  theirs <- nlme::gls(y ~ 1, gap, correlation = nlme::corAR1(form = ~ t | id))
  expect_equal(numbers[3L], as.numeric(logLik(theirs)), tolerance = 1e-7)
  same_estimates(numbers, y ~ 1, gap, residual = ~ ar1(visit | id))
  same_estimates(numbers, y ~ 1, d, subset = visit != "3", residual = ~ ar1(visit | id))
  same_estimates(numbers, y ~ 1, gap, correlation = corAR1(form = ~ visit | id))
  same_estimates(numbers, y ~ 1, transform(d, y = replace(y, visit == "3", NA)),
                 residual = ~ ar1(visit | id))
  same_estimates(numbers, y ~ 1, gap[rev(seq_len(nrow(gap))), ], residual = ~ ar1(visit | id))
  same_estimates(numbers, y ~ 1, gap, residual = ~ ar1(factor(t, levels = 4:1) | id))
  same_estimates(numbers, y ~ 1, transform(gap, visit = factor(visit, levels = c(0:4, 9))),
                 residual = ~ ar1(visit | id))
  by_visit <- estimates(y ~ 1, gap, residual = ~ ar1h(t | id))
  same_estimates(by_visit, y ~ 1, gap, residual = ~ ar1h(visit | id))
  # closed up it is another model
  expect_false(isTRUE(all.equal(
    numbers, estimates(y ~ 1, droplevels(gap), residual = ~ ar1(visit | id)), tolerance = 1e-3
  )))
})

test_that("AR(1): numbers count as they are, in whatever class, sign and distance", {
  reference <- estimates(y ~ 1, gap, residual = ~ ar1(t | id))
  at_times <- function(times) {
    gap$t <- times
    gap
  }
  scaled <- function(times, unit = 1) {
    found <- estimates(y ~ 1, at_times(times), residual = ~ ar1(t | id))
    found[1L] <- found[1L]^unit
    expect_equal(found, reference, tolerance = 1e-5)
  }
  scaled(-gap$t)
  scaled(gap$t - 3L)
  scaled(as.Date("2020-01-01") + gap$t)
  scaled(as.difftime(gap$t, units = "weeks"))
  scaled(1900 + 100 * gap$t, 100)
  scaled(as.Date("2020-01-01") + 365 * gap$t, 365)
  scaled(gap$t * 1e6, 1e6)
  for (times in list(as.POSIXct("2020-01-01", tz = "UTC") + gap$t, gap$t / 2)) {
    expect_error(lmm(y ~ 1, at_times(times), residual = ~ ar1(t | id)), "whole numbers",
                 class = "ferrolmm_error_residual")
  }
})

test_that("Toeplitz: lags are those of the levels, or multiples of the common step", {
  reference <- estimates(y ~ 1, gap, residual = ~ toep(visit | id))
  # 1, 2, 4: each pair of visits has its own lag, as in an unstructured matrix of one variance
  gap$place <- as.integer(droplevels(gap$visit))
  symmetric <- nlme::gls(y ~ 1, gap, correlation = nlme::corSymm(form = ~ place | id))
  expect_equal(reference[5L], as.numeric(logLik(symmetric)), tolerance = 1e-6)
  for (times in list(gap$t, 10 * gap$t - 35, gap$t / 10, -gap$t,
                     as.POSIXct("2020-01-01", tz = "UTC") + 86400 * gap$t)) {
    moved <- gap
    moved$t <- times
    same_estimates(reference, y ~ 1, moved, residual = ~ toep(t | id))
  }
  same_estimates(estimates(y ~ 1, gap, residual = ~ toeph(t | id)), y ~ 1, gap,
                 residual = ~ toeph(visit | id))
  # the first and the last level that occur are the ends
  inner <- d[d$visit %in% c("2", "3"), ]
  expect_length(lmm(y ~ 1, inner, residual = ~ toep(visit | id))$phi, 1L)
  ends <- d[d$visit %in% c("1", "4"), ]
  expect_error(lmm(y ~ 1, ends, residual = ~ toep(visit | id)), "1 or 2 visits apart",
               class = "ferrolmm_error_residual")
  expect_error(lmm(y ~ 1, transform(gap, t = sqrt(t)), residual = ~ toep(t | id)), "common step",
               class = "ferrolmm_error_residual")
  expect_equal(common_step(0.3, 0.2), 0.1)
  expect_equal(common_step(84, 36), 12)
})

test_that("where lags have no meaning, visits without rows have no parameters", {
  for (structure in expression(~ us(visit | id), ~ ad(visit | id), ~ adh(visit | id),
                               ~ csh(visit | id))) {
    both <- lapply(list(gap, droplevels(gap)), function(data) {
      eval(bquote(estimates(y ~ 1, data, residual = .(structure))))
    })
    expect_equal(both[[1L]], both[[2L]])
  }
  same_estimates(estimates(y ~ 1, gap, residual = ~ us(visit | id)), y ~ 1, gap,
                 residual = ~ us(text | id))
  same_estimates(estimates(y ~ 1, gap, residual = ~ us(visit | id)), y ~ 1, gap,
                 residual = ~ us(I(t / 2) | id))
})

test_that("text has no order in time", {
  for (structure in expression(~ ar1(text | id), ~ ar1h(text | id), ~ toep(text | id),
                               ~ ad(text | id), ~ adh(text | id))) {
    expect_error(
      eval(bquote(lmm(y ~ 1, d, residual = .(structure)))), "character",
      class = "ferrolmm_error_residual"
    )
  }
  expect_error(lmm(y ~ 1, d, correlation = corARMA(form = ~ text | id, p = 1)), "character",
               class = "ferrolmm_error_residual")
  more <- serial_data(3L)
  for (term in c("ar1(0 + text | id)", "homtoep(0 + text | id)")) {
    expect_error(lmm(stats::reformulate(term, "y"), more), "character",
                 class = "ferrolmm_error_formula")
  }
})

test_that("new rows and simulations have the place of their visit", {
  by_level <- lmm(y ~ 1, gap, residual = ~ ar1(visit | id))
  by_number <- lmm(y ~ 1, gap, residual = ~ ar1(t | id))
  expected <- predict(by_number, transform(gap[1:4, ], t = 3), residual.cor = TRUE)
  for (visit in list(factor("3", levels = 1:4), factor("3"), "3", 3L, 3)) {
    new <- gap[1:4, c("id", "y")]
    new$visit <- rep(visit, 4L)
    expect_equal(predict(by_level, new, residual.cor = TRUE), expected, tolerance = 1e-6)
  }
  drawn <- lapply(list(by_level, by_number), simulate, newdata = d, seed = 1)
  expect_equal(drawn[[1L]], drawn[[2L]], tolerance = 1e-6)
  y <- simulate(by_level, seed = 1)[[1L]]
  expect_equal(refit(by_level, y)$phi, refit(by_number, y)$phi, tolerance = 1e-6)
  for (bad in c("7", NA)) {
    new <- transform(gap[1:2, ], visit = bad)
    expect_error(predict(by_level, new, residual.cor = TRUE), "place",
                 class = "ferrolmm_error_newdata")
  }
  for (bad in list(2.5, NA_real_, 1e10)) {
    expect_error(predict(by_number, transform(gap[1:2, ], t = bad), residual.cor = TRUE), "whole",
                 class = "ferrolmm_error_newdata")
    expect_error(simulate(by_number, newdata = transform(gap[1:2, ], t = bad)), "whole",
                 class = "ferrolmm_error_newdata")
  }
  # deletion of groups does not renumber the visits of the others
  last <- gap[gap$id == "1" | gap$visit != "2", ]
  fit <- lmm(y ~ 1, last, residual = ~ ar1(visit | id))
  found <- influence(fit, "id", update = "exact")
  without <- lmm(y ~ 1, last[last$id != "1", ], residual = ~ ar1(t | id))
  expect_equal(found$phi["1", ], unname(without$phi), tolerance = 1e-5)
  expect_equal(found$coefficients["1", ], unname(fixef(without)), tolerance = 1e-6)
})

test_that("effects in an order: a level without rows keeps its place", {
  more <- serial_data(3L)
  more <- more[more$visit != "3", ]
  fit <- lmm(y ~ 1 + ar1(0 + visit | id), more)
  # a dense evaluation of the restricted likelihood, lags by number
  dense <- function(theta) {
    lag <- abs(outer(more$t, more$t, `-`))
    v <- theta[[1L]]^2 * theta[[2L]]^lag * outer(more$id, more$id, `==`) + diag(nrow(more))
    root <- chol(v)
    x <- backsolve(root, rep(1, nrow(more)), transpose = TRUE)
    y <- backsolve(root, more$y, transpose = TRUE)
    m <- nrow(more) - 1
    rss <- sum(stats::lm.fit(cbind(x), y)$residuals^2)
    -(m * (1 + log(2 * pi * rss / m)) + 2 * sum(log(diag(root))) + log(sum(x^2))) / 2
  }
  expect_equal(as.numeric(logLik(fit)), dense(fit$theta), tolerance = 1e-9)
  best <- stats::optim(unname(fit$theta), function(p) if (abs(p[2L]) < 1) -dense(p) else 1e9)
  expect_lt(-best$value - as.numeric(logLik(fit)), 1e-5)
  expect_named(ranef(fit)$id, paste0("visit", 1:4))
  expect_equal(predict(fit, more), fitted(fit))
  expect_equal(predict(fit, droplevels(more)), fitted(fit))
  more$z <- simulate(fit, seed = 3)[[1L]]
  expect_equal(refit(fit, more$z)$theta, lmm(z ~ 1 + ar1(0 + visit | id), more)$theta)
  found <- influence(fit, "id", update = "exact")
  without <- lmm(y ~ 1 + ar1(0 + visit | id), more, subset = id != "1")
  expect_equal(found$theta["1", ], without$theta, tolerance = 1e-5)
  whole <- serial_data(3L)
  expect_equal(lmm(y ~ 1 + ar1(0 + visit | id), whole, subset = visit != "3")$theta, fit$theta)
  expect_length(lmm(y ~ 1 + homtoep(0 + visit | id), more)$theta, 4L)
  for (term in c("hetar1(0 + visit | id)", "toep(0 + visit | id)")) {
    expect_error(lmm(stats::reformulate(term, "y"), more), "variance for each level of `visit`",
                 class = "ferrolmm_error_formula")
  }
  expect_length(lmm(y ~ 1 + us(0 + visit | id), more)$theta, 6L)
})
