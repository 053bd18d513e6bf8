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

test_that("what an expression makes of whole numbers does not depend on how they are stored", {
  d <- s
  d$g <- 100000L * (d$Days %/% 3L)
  stored <- list(integer = d, double = transform(d, g = as.double(g)),
                 text = transform(d, g = sprintf("%d", g)))
  for (formula in c(
    Reaction ~ factor(g) + (1 | Subject), Reaction ~ as.factor(g) + (1 | Subject),
    Reaction ~ Days + (1 | Subject) + (1 | factor(g)), Reaction ~ Days + (1 | as.character(g)),
    Reaction ~ Days + (1 | paste(g)), Reaction ~ Days + (0 + factor(g) | Subject),
    Reaction ~ Days + (1 | interaction(g, late)), Reaction ~ Days + (1 | Subject:factor(g)),
    Reaction ~ ordered(g) + (1 | Subject)
  )) {
    for (of_fit in stored[1:2]) {
      fit <- suppressMessages(lmm(formula, of_fit))
      for (new in stored) {
        expect_equal(predict(fit, new[c(150:120, 7L), ]), fitted(fit)[c(150:120, 7L)])
      }
      # a fraction beside them does not make them new
      mixed <- transform(stored$double, g = replace(g, 2L, 0.5))[c(2L, 12L, 17L), ]
      wrong <- tryCatch(predict(fit, mixed), ferrolmm_error_newdata = conditionMessage)
      expect_match(wrong, "new levels.*: `[^`]*0.5[^`]*`[.]")
    }
  }
  grouped <- lmm(Reaction ~ Days + (1 | factor(g)), stored$integer)
  mixed <- transform(stored$double, g = replace(g, 2L, 0.5))[c(2L, 12L, 17L), ]
  expect_equal(predict(grouped, mixed, allow.new.levels = TRUE)[-1L], fitted(grouped)[c(12L, 17L)])
  # a factor's own spelling of a number
  f <- transform(d, g = factor(c("0", "1e+05", "2e+05", "3e+05")[1L + g / 100000L]))
  spelled <- lmm(Reaction ~ as.integer(g) + (1 | Subject), f)
  expect_equal(predict(spelled, stored$double), fitted(spelled))
})
