d <- smooth_data_of()

test_that("wrong uses of smooths say what to write instead", {
  says <- function(formula, words) {
    error <- expect_error(lmm(formula, d), class = "ferrolmm_error_formula")
    expect_match(conditionMessage(error), words, fixed = TRUE)
  }
  says(y ~ (s(x) | g), "bs = \"fs\"")
  says(y ~ (1 | s(g)), "cannot stand in a bar")
  says(y ~ te(x, z) + (1 | g), "t2()")
  says(y ~ ti(x, z) + (1 | g), "t2()")
  says(y ~ s(x):f + (1 | g), "s(x, by = f)")
  says(y ~ s(x) * f + (1 | g), "s(x, by = f)")
  says(y ~ log(s(x)) + (1 | g), "only be added")
  says(y ~ z - s(x) + (1 | g), "only be added")
  says(y ~ s(x) + s(x) + (1 | g), "twice")
  says(y ~ s(x, sp = 1) + (1 | g), "`sp`")
  says(y ~ s(x, id = 1) + (1 | g), "`id`")
  says(y ~ s(x, fx = TRUE) + (1 | g), "splines::ns(x, df)")
  says(y ~ s(x, kk = 4) + (1 | g), "Did you mean `k`?")
  says(y ~ t2(x, z, full = TRUE) + (1 | g), "`full`")
  says(y ~ s() + (1 | g), "names no variable")
  says(y ~ s(k = 3) + (1 | g), "names no variable")
  says(y ~ s(x * 2) + (1 | g), "s(I(x * 2))")
  says(y ~ s(.) + (1 | g), "of variables")
  says(y ~ s(x, ) + (1 | g), "empty")
})

test_that("what has no rows has no smooths", {
  expect_error(lmm_moments(y ~ s(x) + (1 | g), d), class = "ferrolmm_error_formula")
  expect_error(lmList(y ~ s(x) | g, d), class = "ferrolmm_error_formula")
})

test_that("smooths are found in parentheses and by their full name, and `s` can be a variable", {
  fit <- lmm(y ~ s(x, k = 5) + z + (1 | g), d)
  expect_equal(REMLcrit(lmm(y ~ (s(x, k = 5) + z) + (1 | g), d)), REMLcrit(fit))
  expect_equal(REMLcrit(lmm(y ~ mgcv::s(x, k = 5) + z + (1 | g), d)), REMLcrit(fit))
  expect_equal(REMLcrit(lmm("y ~ z + s(x, k = 5) + (1 | g)", d)), REMLcrit(fit))
  d$s <- d$x
  expect_identical(names(fixef(lmm(y ~ s + (1 | g), d))), c("(Intercept)", "s"))
  parts <- split_smooths(quote(a - b + (s(x) + d) - 1))
  expect_identical(parts$parametric, quote(a - b + d - 1))
  expect_identical(parts$smooths, list(quote(s(x))))
})

test_that("update() adds smooths and takes them away", {
  fit <- lmm(y ~ f + s(x, k = 5) + (1 | g), d)
  expect_identical(
    deparse1(formula(update(fit, . ~ . - s(x, k = 5)))), "y ~ f + (1 | g)"
  )
  more <- update(fit, . ~ . + s(z, k = 4))
  expect_identical(rownames(smooths(more)), c("s(x)", "s(z)"))
  expect_equal(REMLcrit(more), REMLcrit(lmm(y ~ f + s(x, k = 5) + s(z, k = 4) + (1 | g), d)))
})
