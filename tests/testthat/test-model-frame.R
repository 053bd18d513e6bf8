d <- data.frame(
  y = c(2.5, 3.1, 4.7, 1.2, 5.5, 3.3, 2.2, 4.1), x = c(1, 2, 3, 4, 5, 6, 7, 9),
  g = factor(c("a", "a", "b", "b", "c", "c", "d", "d"), levels = c("a", "b", "c", "d", "unused")),
  h = rep(c("u", "v"), 4L), w = c(1, 2, 1, 2, 1, 2, 1, 2)
)
row.names(d) <- paste0("row", 1:8)
frame_of <- function(formula, data = NULL, ..., na.action = stats::na.omit) {
  given <- lapply(substitute(list(...))[-1L], function(e) list(expr = e, force = function() NULL))
  model <- parse_formula(formula, data, parent.frame())
  build_frame(model, data, as.list(given), na.action, parent.frame())
}

test_that("the frame is that of model.frame() on all variables", {
  ours <- frame_of(y ~ poly(x, 2) + (x | g), d)
  theirs <- stats::model.frame(y ~ poly(x, 2) + x + g, d, drop.unused.levels = TRUE)
  expect_identical(names(ours), names(theirs))
  expect_identical(row.names(ours), row.names(theirs))
  expect_equal(ours, theirs, ignore_attr = TRUE)
  for (part in c("predvars", "dataClasses", "variables")) {
    expect_equal(attr(attr(ours, "terms"), part), attr(attr(theirs, "terms"), part))
  }
  expect_identical(levels(ours$g), c("a", "b", "c", "d"))
})

test_that("automatic row names stay compact", {
  plain <- d
  row.names(plain) <- NULL
  frame <- frame_of(y ~ x + (1 | g), plain)
  expect_lt(.row_names_info(frame), 0L)
})

test_that("tibble, data.table, list, environment and no data give the same frame", {
  reference <- frame_of(y ~ x + (1 | g), d)
  same <- function(data) {
    expect_equal(frame_of(y ~ x + (1 | g), data), reference, ignore_attr = TRUE)
  }
  same(as.list(d))
  same(list2env(d))
  same(structure(d, class = c("groupedData", "data.frame")))
  y <- d$y
  x <- d$x
  g <- d$g
  expect_equal(frame_of(y ~ x + (1 | g)), reference, ignore_attr = TRUE)
  skip_if_not_installed("tibble")
  same(tibble::as_tibble(d))
  skip_if_not_installed("data.table")
  same(data.table::as.data.table(d))
})

test_that("subset, zero weights and missing values drop the same rows as lm() would", {
  some <- d
  some$x[2] <- NA
  some$w[5] <- 0
  frame <- frame_of(y ~ x + (1 | g), some, weights = w, subset = y > 2)
  expect_identical(row.names(frame), paste0("row", c(1, 3, 6, 7, 8)))
  expect_identical(names(attr(frame, "na.action")), "row2")
  expect_s3_class(attr(frame, "na.action"), "omit")
  zero <- frame_of(y ~ x + (1 | g), some, weights = w)
  by_subset <- frame_of(y ~ x + (1 | g), some, weights = w, subset = w > 0)
  expect_identical(zero, by_subset)
  exclude <- frame_of(y ~ x + (1 | g), some, na.action = stats::na.exclude)
  expect_s3_class(attr(exclude, "na.action"), "exclude")
  reference <- stats::model.frame(y ~ x + g, some, na.action = stats::na.exclude)
  expect_identical(attr(exclude, "na.action"), attr(reference, "na.action"))
})

test_that("a missing weight or offset is a missing value", {
  some <- d
  some$w[3] <- NA
  expect_identical(nrow(frame_of(y ~ x + (1 | g), some, weights = w)), 7L)
  expect_identical(nrow(frame_of(y ~ x + (1 | g), some, offset = w)), 7L)
})

test_that("subset takes logical, numeric and character values", {
  rows <- function(subset) {
    value <- subset
    row.names(frame_of(y ~ x + (1 | g), d, subset = value))
  }
  expect_identical(rows(d$x < 5), paste0("row", 1:4))
  expect_identical(rows(-(1:2)), paste0("row", 3:8))
  expect_identical(rows(c("row8", "row1", "row3")), c("row8", "row1", "row3"))
  expect_identical(rows(c(NA, rep(TRUE, 7))), paste0("row", 2:8))
  expect_identical(rows(c(1, 1, 4, 5)), c("row1", "row1.1", "row4", "row5"))
})

test_that("a na.action of the user's own is called", {
  some <- d
  some$x[2] <- NA
  calls <- new.env()
  calls$count <- 0L
  own <- function(object, ...) {
    calls$count <- calls$count + 1L
    stats::na.omit(object)
  }
  expect_identical(nrow(frame_of(y ~ x + (1 | g), some, na.action = own)), 7L)
  expect_identical(calls$count, 1L)
  expect_error(
    frame_of(y ~ x + (1 | g), some, na.action = identity), "`x`: 1 missing value",
    class = "ferrolmm_error_missing"
  )
})

test_that("variables come from the data, then from the formula's environment", {
  make <- function() {
    z <- 8:1
    x <- "not this one"
    y ~ x + z + (1 | g)
  }
  frame <- frame_of(make(), d)
  expect_identical(frame$z, 8:1)
  expect_identical(frame$x, d$x)
})

test_that("weights are found in the data, at the formula, and at the call", {
  wrapped <- function(formula, data, weights) lmm_frame(formula, data, weights = weights)
  lmm_frame <- function(formula, data, weights) {
    given <- list(weights = list(expr = substitute(weights), force = function() weights))
    model <- parse_formula(formula, data, parent.frame())
    build_frame(model, data, given, stats::na.omit, parent.frame())
  }
  elsewhere <- as.formula("y ~ x + (1 | g)", env = globalenv())
  expect_identical(wrapped(elsewhere, d, weights = d$w)[["(weights)"]], d$w)
  expect_identical(lmm_frame(elsewhere, d, weights = w)[["(weights)"]], d$w)
  dots <- function(...) lmm_frame(elsewhere, d, ...)
  local_weights <- d$w * 2
  expect_identical(dots(weights = local_weights)[["(weights)"]], d$w * 2)
})

test_that("character variables become factors, factors lose unused levels", {
  frame <- frame_of(y ~ h + (1 | g), d)
  expect_identical(frame$h, factor(d$h))
  some <- d
  stats::contrasts(some$g) <- "contr.sum"
  expect_identical(attr(frame_of(y ~ g + (1 | h), some)$g, "contrasts"), "contr.sum")
  expect_identical(levels(frame_of(y ~ x + (1 | g), d, subset = x > 2)$g), c("b", "c", "d"))
})

test_that("sums that overflow are not taken for infinite values", {
  some <- d
  some$x <- c(1e308, 1.5e308, 1, 2, 3, 4, 5, 6)
  expect_identical(frame_of(y ~ x + (1 | g), some)$x, some$x)
})

test_that("infinite values count only in the rows that are used, and not in groups", {
  some <- d
  some$x[1] <- -Inf
  expect_error(frame_of(y ~ x + (1 | g), some), "`x`.*-Inf in row \"row1\"",
               class = "ferrolmm_error_not_finite")
  expect_identical(nrow(frame_of(y ~ x + (1 | g), some, subset = x > 0)), 7L)
  some$y[1] <- NA
  expect_identical(nrow(frame_of(y ~ x + (1 | g), some)), 7L)
  some <- d
  some$k <- rep(c(1, Inf), 4)
  expect_identical(front_end(y ~ x + (1 | k), some)$random$flist$k, factor(some$k))
})
