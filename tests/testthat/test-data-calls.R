s <- twin_data()$sleepstudy

test_that("variables of expressions are converted too", {
  d <- s
  d$day <- as.Date("2020-01-01") + d$Days
  d$f <- factor(c("b", "a", "c")[1L + d$Days %% 3L], levels = c("c", "b", "a"))
  fit <- lmm(Reaction ~ as.numeric(day - as.Date("2020-01-01")) + as.integer(f) + (1 | Subject), d)
  expect_equal(predict(fit, transform(d, f = as.character(f))), fitted(fit))
  expect_equal(predict(fit, droplevels(d[c(1, 4), ])), fitted(fit)[c(1, 4)])
  expect_error(predict(fit, transform(d, day = as.POSIXct(day))), "was Date and is POSIXct",
               class = "ferrolmm_error_newdata")
  expect_error(predict(fit, transform(d, f = day)), "was factor and is Date",
               class = "ferrolmm_error_newdata")
})
