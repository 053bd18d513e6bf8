# Classes with several fields a row as levels say what plain letters say.

s <- twin_data()$sleepstudy
index <- as.integer(s$Subject)
plain <- lmm(Reaction ~ Days + (1 | Subject), s)

expect_levels <- function(g) {
  d <- s
  d$g <- g
  fit <- suppressMessages(lmm(Reaction ~ Days + (1 | g), d))
  expect_equal(logLik(fit), logLik(plain), ignore_attr = TRUE, tolerance = 1e-9)
  new <- d[c(180:91, 3L), ]
  expect_equal(unname(predict(fit, new)), unname(fitted(plain)[c(180:91, 3L)]), tolerance = 1e-7)
  expect_equal(unname(predict(fit, d[31L, ])), unname(fitted(plain)[31L]), tolerance = 1e-7)
  serial <- lmm(Reaction ~ Days, d, residual = ~ cs(1 | g))
  expect_equal(serial$phi, lmm(Reaction ~ Days, s, residual = ~ cs(1 | Subject))$phi)
  invisible(fit)
}

test_that("periods and intervals of 'lubridate' are levels by all of their parts", {
  skip_if_not_installed("lubridate")
  period <- lubridate::minutes(index) + lubridate::seconds(index %% 3L)
  fit <- expect_levels(period)
  expect_identical(levels(fit$flist$g)[1:3], c("1M 1S", "2M 2S", "3M 0S"))
  start <- as.Date("2020-01-01") + index
  interval <- lubridate::interval(start, start + 1 + index %% 3L)
  fit <- expect_levels(interval)
  # one instant, in another time zone
  d <- s
  d$g <- lubridate::interval(lubridate::int_start(interval), lubridate::int_end(interval),
                             tzone = "Asia/Tokyo")
  expect_equal(predict(fit, d), fitted(fit))
  # a duration has one part
  expect_levels(lubridate::dminutes(index))
  d$g <- period
  d$g[5L] <- lubridate::minutes(99L)
  d$g[6L] <- NA
  fit <- lmm(Reaction ~ Days + (1 | g), transform(d, g = period))
  expect_error(predict(fit, d), "new levels of the grouping factor `g`: `99M 0S`",
               class = "ferrolmm_error_newdata")
  d$g <- interval
  expect_error(predict(fit, d), "was Period and is Interval", class = "ferrolmm_error_newdata")
  # as a number: all seconds of it
  d$p <- lubridate::minutes(d$Days) + lubridate::seconds(d$Days)
  slope <- lmm(Reaction ~ p + (1 | Subject), d)
  expect_equal(fixef(slope)[["p"]] * 61, fixef(plain)[["Days"]])
  expect_equal(predict(slope, d), fitted(plain), tolerance = 1e-8)
})

test_that("any S4 class that keeps its parts by row is known by all of them", {
  here <- environment()
  methods::setClass("Pair", contains = "numeric", slots = c(second = "numeric"), where = here)
  methods::setMethod("[", "Pair", function(x, i, ...) {
    methods::new("Pair", x@.Data[i], second = x@second[i])
  }, where = here)
  on.exit(methods::removeClass("Pair", where = here), add = TRUE)
  pair <- methods::new("Pair", (index - 1) %% 3, second = (index - 1) %/% 3 / 7)
  coded <- code_variable(pair, "pair")
  expect_length(coded$levels, 18L)
  expect_identical(coded$codes[match(1:18, index)], 1:18)
  expect_identical(match_levels(pair[c(100L, 3L)], coded$key, "pair"), coded$codes[c(100L, 3L)])
  unknown <- methods::new("Pair", 1, second = 99)
  expect_identical(match_levels(unknown, coded$key, "pair"), NA_integer_)
  expect_error(match_levels(index, coded$key, "pair"), "was Pair and is integer",
               class = "ferrolmm_error_newdata")
})

test_that("parts that R cannot take row by row are an error that names the class", {
  here <- environment()
  methods::setClass("Lost", contains = "numeric", slots = c(unit = "character"), where = here)
  on.exit(methods::removeClass("Lost", where = here), add = TRUE)
  d <- s
  d$g <- methods::new("Lost", index %% 3, unit = letters[index])
  expect_error(lmm(Reaction ~ Days + (1 | g), d), "`g` cannot be used: it is of class Lost",
               class = "ferrolmm_error_grouping")
  # one unit for all is part of what a level is
  kilo <- code_variable(methods::new("Lost", index + 0, unit = "kg"), "g")
  expect_length(kilo$levels, 18L)
  expect_error(match_levels(methods::new("Lost", index + 0, unit = "lb"), kilo$key, "g"),
               "another type", class = "ferrolmm_error_newdata")
})

test_that("records that are lists, complex numbers and bytes are refused by name", {
  d <- s
  refused <- function(g, pattern) {
    d$g <- g
    expect_error(lmm(Reaction ~ Days + (1 | g), d), pattern, class = "ferrolmm_error_data")
  }
  refused(structure(rep(list(1:2), 180L), class = "record"), "it is of class record \\(a list\\)")
  refused(complex(real = index, imaginary = 1), "`g` cannot be used")
  refused(as.raw(index), "`g` cannot be used")
})
