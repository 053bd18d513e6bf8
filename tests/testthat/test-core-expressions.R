test_that("thousands of repeats of one term are that term", {
  ## each part was looked for in all of the sum before: a million of millions of steps
  many <- Reduce(function(sum, i) call("+", sum, quote(x)), seq_len(19999L), quote(x))
  chain <- sum_chain(many)
  expect_length(chain$sums, 19999L)
  expect_identical(chain$first, quote(x))
  expect_true(all(vapply(sum_operands(chain), identical, NA, quote(x))))
  expect_identical(split_sum(many)$fixed, many)
  d <- data.frame(y = sin(1:20), x = cos(1:20), g = rep(1:5, 4))
  formula <- stats::as.formula(paste("y ~", strrep("x + ", 5000L), "(1 | g)"))
  expect_equal(fixef(suppressMessages(lmm(formula, d))),
               fixef(suppressMessages(lmm(y ~ x + (1 | g), d))))
  ## R itself reads no more than some thousands
  formula <- stats::as.formula(paste("y ~", strrep("x + ", 30000L), "(1 | g)"))
  expect_error(lmm(formula, d), class = "ferrolmm_error_formula")
})

test_that("variables and their names are those of model.frame()", {
  expect_identical(variables_of(quote(f(b, a$x) + a:c - stats::d(b))), c("b", "a", "c"))
  f <- y ~ log(x) + I(a / b) + poly(z, 2)
  d <- data.frame(y = 1:4, x = 1:4, a = 1:4, b = 2, z = c(3, 1, 4, 2))
  frame <- stats::model.frame(f, d)
  expect_identical(variable_columns(stats::terms(frame)), names(frame))
  expect_identical(variable_names(list(quote(x), quote(`(weights)`))), c("x", "`(weights)`"))
  old <- options(scipen = 9)
  on.exit(options(old))
  expect_identical(variable_names(list(quote(x / 1e6))), "x/1e+06")
})

test_that("bars and sums are told from other calls", {
  expect_true(is_bar(quote(a | b)))
  expect_true(is_bar(quote(a || b)))
  expect_false(is_bar(quote((a | b))))
  chain <- sum_chain(quote(a + b - c))
  expect_identical(sum_operands(chain), list(quote(a), quote(b), quote(c)))
  expect_identical(sum_chain(quote(-a)), list(first = quote(-a), sums = list()))
  expect_identical(as_variable(quote(a %in% b)), quote(I(a %in% b)))
})

test_that("the parts of within_between() have names in words", {
  both <- c("within", "between")
  expect_identical(
    within_between_names("within_between(hour, doctor)", both),
    c("hour (within doctor)", "hour (between doctor)")
  )
  expect_identical(
    within_between_names("ferrolmm::within_between(new = \"mean\", g = a/b, x = log(x, 2))",
      c("within", "between_a", "between_b")),
    c("log(x, 2) (within a/b)", "log(x, 2) (between a)", "log(x, 2) (between b)")
  )
  expect_null(within_between_names("poly(x, 2)", c("1", "2")))
  expect_null(within_between_names("poly(x, 2)", both))
  expect_null(within_between_names("within_between(x, g)", NULL))
  expect_null(within_between_names("a column (of a user's)", both))
})
