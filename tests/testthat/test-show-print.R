test_that("fits print as lme4's", {
  local_reproducible_output(width = 80)
  expect_snapshot({
    print(our_twin("slope"), digits = 3)
    print(our_twin("ml"), digits = 3)
    print(our_twin("crossed"), digits = 3, ranef.comp = c("Variance", "Std.Dev."))
    print(our_twin("deficient"), digits = 3)
    print(our_twin("no_fixed"), digits = 3)
  })
})

test_that("print() returns its argument invisibly", {
  fit <- our_twin("slope")
  output <- capture.output(returned <- withVisible(print(fit)))
  expect_false(returned$visible)
  expect_identical(returned$value, fit)
})

test_that("a singular fit says what is at the boundary", {
  local_reproducible_output(width = 80)
  skip_if_not_installed("lme4")
  utils::data("Dyestuff2", package = "lme4", envir = environment())
  fit <- suppressMessages(lmm(Yield ~ 1 + (1 | Batch), Dyestuff2))
  output <- capture.output(print(fit))
  expect_match(output, "boundary", all = FALSE)
  expect_match(output, "variance of `(Intercept)` for group `Batch`", fixed = TRUE, all = FALSE)
})
