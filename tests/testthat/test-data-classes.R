s <- twin_data()$sleepstudy

labelled <- function(x, ...) {
  structure(x, class = c("haven_labelled_spss", "haven_labelled", "vctrs_vctr", typeof(x)), ...)
}

# The bits of 64-bit integers, as 'bit64' stores them
as_integer64 <- function(x) {
  x <- as.double(x)
  missing <- is.na(x)
  x[missing] <- 0
  words <- rbind(x %% 2^32, floor(x / 2^32))
  words <- ifelse(words >= 2^31, words - 2^32, words)
  words[, missing] <- c(0, NA)
  # -2^31 has the pattern of NA
  bytes <- writeBin(suppressWarnings(as.integer(words)), raw(), endian = "little")
  structure(readBin(bytes, "double", length(x), endian = "little"), class = "integer64")
}

test_that("64-bit integers are read as the numbers that they are", {
  x <- c(0, 1, -1, 12345678901, -2^40 - 3, NA, 2^53, -2^53, 2^31, -2^31)
  expect_identical(decode_integer64(as_integer64(x)), x)
  expect_null(decode_integer64(structure(1, class = "integer64")))
  skip_if_not_installed("bit64")
  expect_identical(decode_integer64(bit64::as.integer64(x)), x)
})

test_that("missing values that a class defines are missing, wherever a variable is used", {
  gone <- c(5L, 50L, 77L)
  with_code <- labelled(replace(as.double(s$Days), gone, 999), na_values = 999)
  with_range <- labelled(replace(as.double(s$Days), gone, 999), na_range = c(900, Inf))
  reference <- lmm(Reaction ~ Days + (Days | Subject), s[-gone, ])
  for (x in list(with_code, with_range)) {
    d <- s
    d$x <- x
    fit <- lmm(Reaction ~ x + (x | Subject), d)
    expect_equal(unname(fixef(fit)), unname(fixef(reference)))
    expect_equal(unname(fixef(lmm(Reaction ~ I(2 * x) + (x | Subject), d))),
                 unname(fixef(reference)) / 1:2)
    expect_identical(unname(which(is.na(predict(fit, d)))), gone)
    # '[' of an unknown class loses its attributes
    expect_identical(unname(is.na(predict(fit, d[4:6, ]))), c(FALSE, TRUE, FALSE))
    expect_equal(predict(fit, transform(s, x = Days))[-gone], fitted(reference))
  }
  coded <- function(values) labelled(replace(values, 7L, 999), na_values = 999)
  d <- s
  d$code <- coded(s$Reaction)
  d$two <- coded(rep(2, 180L))
  expect_identical(nobs(lmm(code ~ Days + (1 | Subject), d)), 179L)
  expect_identical(nobs(lmm(Reaction ~ Days + (1 | Subject), d, weights = two)), 179L)
  expect_identical(nobs(lmm(Reaction ~ Days + (1 | Subject), d, offset = two)), 179L)
  expect_identical(nobs(lmm(Reaction ~ Days + offset(two) + (1 | Subject), d)), 179L)
  d$g <- labelled(replace(as.double(s$Subject), 7L, 999), na_values = 999)
  grouped <- lmm(Reaction ~ Days + (1 | g), d)
  expect_identical(c(nobs(grouped), nlevels(grouped$flist$g)), c(179L, 18L))
  fit <- lmm(Reaction ~ Days + (1 | Subject), s)
  expect_error(refit(fit, d$code), "missing", class = "ferrolmm_error_argument")
  both <- structure(list(a = d$code, b = s$Reaction), class = "data.frame", row.names = 1:180)
  many <- refit(fit, both)
  expect_identical(unname(many$nobs), c(179L, 180L))
  own <- lmm(code ~ Days + (1 | Subject), d)
  expect_equal(coef(many)["a", ], fixef(own), tolerance = 1e-6)
})

test_that("it does not matter where a labelled variable is", {
  gone <- c(5L, 50L, 77L)
  y <- s$Reaction
  x <- labelled(replace(as.double(s$Days), gone, 999), na_values = 999)
  g <- as_integer64(as.integer(s$Subject))
  reference <- lmm(Reaction ~ Days + (1 | Subject), s[-gone, ])
  here <- lmm(y ~ x + (1 | g))
  expect_equal(unname(fixef(here)), unname(fixef(reference)))
  expect_equal(unname(predict(here, data.frame(x = c(1, 999), g = 3))),
               c(unname(predict(reference, data.frame(Days = 1, Subject = "310"))), NA))
  half <- lmm(y ~ I(x / 2) + (1 | factor(g)), list2env(list(y = y, x = x, g = g)))
  expect_equal(unname(fixef(half)), unname(fixef(reference)) * 1:2)
  d <- s
  d$x <- x
  expect_identical(nobs(lmm(Reaction ~ Days + (1 | Subject), d, subset = x < 5)), 89L)
  expect_identical(nobs(lmm(Reaction ~ Days + (1 | Subject), d, weights = 1 + x)), 177L)
  serial <- lmm(Reaction ~ Days, d, correlation = corAR1(form = ~ x | Subject))
  expect_identical(nobs(serial), 177L)
})

test_that("strings without an encoding are refused", {
  d <- s
  d$g <- as.character(d$Subject)
  d$g[d$g == "308"] <- "\xff\xfe"
  Encoding(d$g) <- "bytes"
  expect_error(lmm(Reaction ~ Days + (1 | g), d), "marked as bytes", class = "ferrolmm_error_data")
})

test_that("'haven' itself: tagged missing values, and functions that need the class", {
  skip_if_not_installed("haven")
  d <- s
  d$x <- haven::labelled(as.double(d$Days))
  d$x[c(3, 9)] <- haven::tagged_na("a", "b")
  expect_identical(nobs(lmm(Reaction ~ x + (1 | Subject), d)), 178L)
  d$g <- haven::labelled(as.double(d$Subject), stats::setNames(1:18, levels(d$Subject)))
  fit <- lmm(Reaction ~ Days + (1 | haven::as_factor(g)), d)
  expect_identical(levels(fit$flist[[1L]]), levels(s$Subject))
  expect_equal(predict(fit, d), fitted(lmm(Reaction ~ Days + (1 | Subject), s)))
})

test_that("64-bit integers are numbers wherever a variable is used", {
  d <- s
  d$x <- as_integer64(replace(1000 * d$Days, 7L, NA))
  d$y <- as_integer64(round(d$Reaction))
  d$w <- as_integer64(rep(1:3, 60L))
  d$g <- as_integer64(1e10 + as.integer(d$Subject))
  reference <- lmm(round(Reaction) ~ I(1000 * Days) + (Days | Subject), s[-7L, ],
                   weights = rep(1:3, 60L)[-7L])
  fit <- lmm(y ~ x + (I(x / 1000) | g), d, weights = w)
  expect_equal(unname(fixef(fit)), unname(fixef(reference)))
  expect_equal(predict(fit, transform(d, x = 1000 * Days, g = 1e10 + as.integer(Subject)))[-7L],
               fitted(reference))
  expect_equal(predict(fit, d)[-7L], fitted(reference))
  plain <- lmm(Reaction ~ Days + (1 | Subject), s)
  expect_equal(fixef(refit(plain, d$y)), fixef(refit(plain, round(s$Reaction))))
  columns <- structure(list(a = d$y, b = s$Reaction), class = "data.frame", row.names = 1:180)
  expect_equal(coef(refit(plain, columns)),
               coef(refit(plain, cbind(a = round(s$Reaction), b = s$Reaction))))
  w <- rep(1:3, 60L)
  expect_equal(simulate(plain, newdata = s, weights = d$w, seed = 1),
               simulate(plain, newdata = s, weights = w, seed = 1))
  expect_equal(predict(plain, s, weights = d$w, interval = "prediction"),
               predict(plain, s, weights = w, interval = "prediction"))
  expect_identical(nrow(influence(plain, d$w)$coefficients), 3L)
  expect_equal(predict(plain, transform(s, Days = as_integer64(Days))), fitted(plain))
  huge <- structure(rep(1.5, 180L), class = "integer64")
  expect_error(refit(plain, huge), "integer64", class = "ferrolmm_error_argument")
})

# What a column of new data of another class gives: the fitted values, or an error of both classes
new_column_of <- function(fitted, new) {
  d <- s
  d$v <- fitted
  fit <- suppressMessages(lmm(Reaction ~ v + (1 | Subject), d))
  d$v <- new
  list(fit = fit, new = d)
}

expect_converted <- function(fitted, ...) {
  for (new in list(...)) {
    found <- new_column_of(fitted, new)
    expect_equal(unname(predict(found$fit, found$new)), unname(fitted(found$fit)))
  }
}

expect_refused <- function(fitted, new, classes) {
  found <- new_column_of(fitted, new)
  expect_error(predict(found$fit, found$new), classes, class = "ferrolmm_error_newdata")
  expect_error(simulate(found$fit, newdata = found$new), classes, class = "ferrolmm_error_newdata")
}

test_that("a new column is converted where its meaning is certain", {
  day <- as.Date("2020-01-01") + s$Days
  time <- as.POSIXct(day)
  days <- as.difftime(s$Days, units = "days")
  hours <- days
  units(hours) <- "hours"
  expect_converted(day, structure(as.integer(day), class = c("IDate", "Date")))
  expect_converted(time, structure(time, tzone = "Asia/Tokyo"), as.POSIXlt(time))
  expect_converted(days, hours)
  expect_converted(
    s$Days, as.integer(s$Days), as_integer64(s$Days), cbind(s$Days), I(s$Days), ts(s$Days),
    labelled(as.double(s$Days)), structure(s$Days, class = "zoo"), array(s$Days, 180L)
  )
  expect_converted(scale(s$Days), as.vector(scale(s$Days)))
  squares <- cbind(a = s$Days, b = s$Days^2)
  expect_converted(squares, squares[, 2:1])
  expect_converted(I(s$Days), s$Days)
  expect_converted(ts(s$Days), s$Days)
  # classes that only note how numbers were made, as those of 'datawizard'
  noted <- structure(as.double(s$Days), class = c("noted", "numeric"), scale = 2)
  expect_converted(noted, as.double(s$Days), s$Days)
  expect_converted(as.double(s$Days), noted)
  high <- factor(s$Days > 4, labels = c("low", "high"))
  expect_converted(high, as.character(high), factor(high, c("other", "high", "low")), ordered(high))
  expect_converted(I(as.character(high)), high)
})

test_that("a new column of another kind is refused, and both classes are named", {
  day <- as.Date("2020-01-01") + s$Days
  time <- as.POSIXct(day)
  days <- as.difftime(s$Days, units = "days")
  high <- factor(s$Days > 4, labels = c("low", "high"))
  expect_refused(day, time, "was Date and is POSIXct")
  expect_refused(day, as.double(day), "was Date and is numeric")
  expect_refused(day, as.character(day), "was Date and is character")
  expect_refused(time, day, "was POSIXct and is Date")
  expect_refused(days, s$Days, "was difftime \\(days\\) and is numeric")
  expect_refused(s$Days, day, "was numeric and is Date")
  expect_refused(s$Days, as.character(s$Days), "was numeric and is character")
  expect_refused(s$Days, factor(s$Days), "was numeric and is factor")
  expect_refused(s$Days, s$Days > 4, "was numeric and is logical")
  expect_refused(s$Days, s$Days + 0i, "was numeric and is complex")
  expect_refused(s$Days, cbind(s$Days, 1), "was numeric and is matrix of 2 columns")
  expect_refused(s$Days, structure(s$Days, class = "units", units = "km"),
                 "was numeric and is units \\(km\\)")
  expect_refused(structure(s$Days, class = "units", units = "km"),
                 structure(s$Days, class = "units", units = "m"), "km.*is units \\(m\\)")
  expect_refused(high, as.integer(high), "was factor and is integer")
  expect_refused(high, s$Days > 4, "was factor and is logical")
  expect_refused(s$Days > 4, as.double(s$Days > 4), "was logical and is numeric")
  expect_refused(scale(s$Days), cbind(1, s$Days), "matrix of 1 column and is matrix of 2")
})

test_that("offsets of new data are numbers", {
  d <- transform(s, o = 1)
  fit <- lmm(Reaction ~ Days + (1 | Subject), d, offset = o)
  expect_error(predict(fit, transform(d, o = "a")), "numeric", class = "ferrolmm_error_newdata")
  expect_error(predict(fit, transform(d, o = as.Date("2020-01-01"))), "Date",
               class = "ferrolmm_error_newdata")
  d$o <- as_integer64(d$o)
  expect_equal(predict(fit, d), fitted(fit))
})

test_that("responses, weights: what is no number is refused", {
  fit <- lmm(Reaction ~ Days + (1 | Subject), s)
  day <- as.Date("2020-01-01") + s$Days
  days <- as.difftime(s$Days, units = "days")
  for (y in list(day, factor(s$Days), as.character(s$Days), s$Days + 0i, days)) {
    expect_error(refit(fit, y), class = "ferrolmm_error_argument")
    expect_error(predict(fit, s, weights = y, interval = "prediction"),
                 class = "ferrolmm_error_argument")
  }
  hours <- lmm(y ~ Days + (1 | Subject), transform(s, y = as.difftime(Reaction, units = "hours")))
  minutes <- as.difftime(60 * s$Reaction, units = "mins")
  expect_equal(fixef(refit(hours, minutes)), fixef(fit))
  d <- s
  d$surv <- structure(cbind(time = d$Days, status = 1), class = "Surv")
  expect_error(lmm(Reaction ~ surv + (1 | Subject), d), "surv", class = "ferrolmm_error_data")
})
