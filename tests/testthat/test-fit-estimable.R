# A two-way layout with an empty cell, and a predictor that is a combination of two others.

empty_cell <- function(reverse = FALSE) {
  set.seed(11)
  d <- expand.grid(a = c("a1", "a2", "a3"), b = c("b1", "b2", "b3"), rep = 1:6)
  d$g <- factor(d$rep)
  d$x <- rnorm(54)
  d$v <- rnorm(54)
  d$z <- d$x + 2 * d$v
  d$y <- rnorm(54) + as.integer(factor(d$a)) * as.integer(factor(d$b)) + d$x +
    rnorm(6)[d$g]
  d$a <- factor(d$a, levels = c("a1", "a2", "a3")[if (reverse) 3:1 else 1:3])
  d$b <- factor(d$b, levels = c("b1", "b2", "b3")[if (reverse) 3:1 else 1:3])
  d[!(d$a == "a2" & d$b == "b3"), ]
}

cells <- expand.grid(a = c("a1", "a2", "a3"), b = c("b1", "b2", "b3"))

fit_cells <- function(...) {
  suppressMessages(lmm(y ~ a * b + (1 | g), empty_cell(...)))
}

test_that("an empty cell is NA with one warning, the others do not depend on the order of levels", {
  fit <- fit_cells()
  other <- fit_cells(reverse = TRUE)
  expect_warning(here <- predict(fit, cells, re.form = NA), class = "ferrolmm_warning_estimable")
  expect_warning(there <- predict(other, cells, re.form = NA), class = "ferrolmm_warning_estimable")
  lost <- cells$a == "a2" & cells$b == "b3"
  expect_identical(unname(is.na(here)), lost)
  expect_equal(here, there, tolerance = 1e-8)
  expect_snapshot(said(predict(fit, cells[lost, ], re.form = NA)))
  expect_silent(predict(fit, cells[!lost, ], re.form = NA))
  expect_silent(predict(fit, cells[lost, ], re.form = NA, random.only = TRUE))
})

test_that("standard errors, intervals and simulations of it are NA too", {
  fit <- fit_cells()
  other <- fit_cells(reverse = TRUE)
  lost <- cells$a == "a2" & cells$b == "b3"
  ask <- function(fit) {
    suppressWarnings(predict(
      fit, cells, re.form = NA, se.fit = TRUE, interval = "prediction"
    ))
  }
  here <- ask(fit)
  expect_identical(unname(is.na(here$se.fit)), lost)
  expect_identical(unname(is.na(here$fit[, "upr"])), lost)
  expect_equal(here, ask(other), tolerance = 1e-6)
  new <- cbind(cells, g = factor(rep(1:6, length.out = 9)))
  expect_warning(
    drawn <- simulate(fit, 2, seed = 1, newdata = new), class = "ferrolmm_warning_estimable"
  )
  expect_identical(is.na(drawn$sim_2), lost)
})

test_that("numeric predictors: rows that keep the dependence can be predicted, others not", {
  d <- empty_cell()
  new <- data.frame(x = c(1, 2), v = c(1, 1), z = c(3, 5))
  orders <- list(y ~ x + v + z + (1 | g), y ~ z + v + x + (1 | g), y ~ z + x + v + (1 | g))
  values <- lapply(orders, function(formula) {
    fit <- suppressMessages(lmm(formula, d))
    expect_warning(found <- predict(fit, new, re.form = NA), class = "ferrolmm_warning_estimable")
    found
  })
  expect_identical(unname(is.na(values[[1L]])), c(FALSE, TRUE))
  expect_equal(values[[1L]], values[[2L]], tolerance = 1e-8)
  expect_equal(values[[1L]], values[[3L]], tolerance = 1e-8)
  plain <- lmm(y ~ x + v + (1 | g), d)
  expect_equal(values[[1L]][1L], predict(plain, new[1L, ], re.form = NA), tolerance = 1e-8)
})

test_that("units of the predictors decide nothing", {
  d <- empty_cell()
  d$x <- 1e7 * d$x
  d$z <- d$x + 2e7 * d$v
  new <- data.frame(x = 1e7 * c(1, 2), v = c(1, 1), z = 1e7 * c(3, 5))
  fit <- suppressMessages(lmm(y ~ x + v + z + (1 | g), d))
  expect_identical(
    unname(is.na(suppressWarnings(predict(fit, new, re.form = NA)))), c(FALSE, TRUE)
  )
})

test_that("rows with missing values are not counted as rows without an estimate", {
  fit <- fit_cells()
  expect_silent(found <- predict(fit, data.frame(a = NA, b = "b1"), re.form = NA))
  expect_true(is.na(found))
})

test_that("contest() and emmeans() use the same space", {
  fit <- fit_cells()
  cell <- function(a, b) {
    drop(model.matrix(~ a * b, data.frame(
      a = factor(a, levels(fit$frame$a)), b = factor(b, levels(fit$frame$b))
    )))
  }
  expect_error(contest(fit, cell("a2", "b3")), "cannot be estimated",
               class = "ferrolmm_error_argument")
  sure <- contest(fit, cell("a3", "b3"), joint = FALSE)
  expect_equal(sure$Estimate, unname(predict(fit, cells[9L, ], re.form = NA)))
  skip_if_not_installed("emmeans")
  means <- as.data.frame(suppressMessages(emmeans::emmeans(fit, c("a", "b"))))
  expect_identical(is.na(means$emmean), cells$a == "a2" & cells$b == "b3")
})

test_that("a bootstrap of predictions keeps what can be estimated", {
  fit <- fit_cells()
  boot <- suppressWarnings(bootstrap(
    fit, function(m) predict(m, cells, re.form = NA), nsim = 3, seed = 1
  ))
  expect_identical(unname(colSums(is.na(boot$t)) == 3), cells$a == "a2" & cells$b == "b3")
})
