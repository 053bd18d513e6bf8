# Fits by nlme::lme() are the reference.

twins <- nlme_twins()
growth <- twins$growth
slopes <- twins$slopes
nested <- twins$nested
lme_nested <- twins$lme_nested

test_that("fitted values, residuals and predictions by level are those of lme()", {
  for (level in 0:2) {
    expect_same(fitted(nested, level = level), fitted(lme_nested, level = level), tolerance = 1e-6)
    expect_same(
      predict(nested, level = level), predict(lme_nested, level = level), tolerance = 1e-6
    )
    for (type in c("response", "scaled", "normalized")) {
      theirs <- if (type == "scaled") "pearson" else type
      expect_same(
        residuals(nested, type, level = level), residuals(lme_nested, level, type = theirs),
        tolerance = 1e-5
      )
    }
  }
  expect_identical(fitted(nested, level = 2), fitted(nested))
  expect_identical(fitted(nested, level = "Block"), fitted(nested, level = 1))
  expect_equal(residuals(nested, level = 0), residuals(nested, "marginal"))
  all <- fitted(nested, level = 0:2)
  expect_named(all, c("fixed", "Block", "Variety:Block"))
  expect_same(as.matrix(all), as.matrix(fitted(lme_nested, level = 0:2)), tolerance = 1e-6)
  expect_named(residuals(slopes, level = 0:1), c("fixed", "Subject"))
})

test_that("new rows are predicted by level, with their groups", {
  new <- data.frame(nitro = c(0.1, 0.5, 0.2), Block = c("I", "III", "I"), Variety = "Victory")
  for (level in 0:2) {
    expect_same(predict(nested, new, level = level), predict(lme_nested, new, level = level),
         tolerance = 1e-6)
  }
  ours <- predict(nested, new, level = 0:2)
  theirs <- predict(lme_nested, new, level = 0:2)
  expect_named(
    ours, c("Block", "Variety:Block", "predict.fixed", "predict.Block", "predict.Variety:Block")
  )
  expect_equal(as.character(ours$Block), as.character(theirs$Block))
  expect_same(as.matrix(ours[3:5]), as.matrix(theirs[3:5]), tolerance = 1e-6)
  expect_error(predict(nested, cbind(new, a = 1)[0:1, ][c("nitro")], level = 1), "Block")
  expect_equal(
    predict(slopes, data.frame(age = 9, Subject = c("M01", "new")), level = 0:1,
            allow.new.levels = TRUE)$Subject,
    factor(c("M01", "new"), levels = c(levels(growth$Subject), "new"))
  )
  rows <- predict(slopes, level = 0:1)
  expect_identical(rows$Subject, growth$Subject)
})

test_that("`level` is that of the interval where there is one", {
  expect_error(predict(slopes, level = 0.95), "no|none", class = "ferrolmm_error_argument")
  expect_error(
    predict(slopes, interval = "confidence", level = 0), "re.form",
    class = "ferrolmm_error_argument"
  )
  expect_error(predict(slopes, level = 3), "0 \\(fixed\\), 1", class = "ferrolmm_error_argument")
  expect_error(predict(slopes, level = 1, re.form = NA), "both", class = "ferrolmm_error_argument")
  expect_error(predict(slopes, level = 0:1, se.fit = TRUE), class = "ferrolmm_error_argument")
  expect_error(fitted(slopes, level = 2), class = "ferrolmm_error_argument")
  expect_error(residuals(slopes, "std_marginal", level = 0), class = "ferrolmm_error_argument")
  expect_identical(
    predict(slopes, level = 0, se.fit = TRUE), predict(slopes, re.form = NA, se.fit = TRUE)
  )
})

test_that("crossed factors have level 0 and all of them", {
  set.seed(3)
  d <- expand.grid(a = factor(1:5), b = factor(1:8))
  d$y <- rnorm(5)[d$a] + rnorm(8)[d$b] + rnorm(40)
  fit <- lmm(y ~ 1 + (1 | a) + (1 | b), d)
  expect_identical(fitted(fit, level = 0), predict(fit, re.form = NA))
  expect_identical(fitted(fit, level = 2), fitted(fit))
  expect_error(fitted(fit, level = 1), "crossed", class = "ferrolmm_error_argument")
  expect_error(nlme::getGroupsFormula(fit), "crossed", class = "ferrolmm_error_argument")
})
