test_that("simulations without an optimum are counted, and without half of them is no p-value", {
  statistics <- seq(0, 5, length.out = 100)
  share <- function(found) (1 + count_reaching(4.9, found)) / (1 + length(found))
  expect_silent(p <- p_of_optima(statistics, share, "`x`"))
  expect_equal(p, 3 / 101)
  expect_warning(
    p <- p_of_optima(replace(statistics, 1:10, NA), share, "`x`"),
    "In the test of `x`, the fits to 10 of 100 simulated responses",
    class = "ferrolmm_warning_convergence"
  )
  expect_equal(p, 3 / 91)
  expect_warning(
    p <- p_of_optima(replace(statistics, 1:60, NA), share, "`x`"), "by simulation is NA"
  )
  expect_identical(p, NA_real_)
})

test_that("what is equal up to rounding is reached", {
  expect_identical(count_reaching(2, c(1, 2 - 1e-12, 2, 3)), 3L)
})
