test_that("constraints by name become constraints by position", {
  control <- lmm_control(hold = c(b = 2, z = 5), tie = list(c("a", "d")))
  names <- c("a", "b", "c", "d")
  resolved <- resolve_constraints(control, names)
  expect_identical(resolved$hold, c(NA, 2, NA, NA))
  expect_identical(resolved$tie, c(1L, 2L, 3L, 1L))
  expect_identical(resolve_constraints(resolved, names), resolved)
  expect_identical(count_free(control, names), 2L)
  expect_identical(count_free(control, names, c(FALSE, FALSE, TRUE, FALSE)), 1L)
  expect_identical(count_free(lmm_control(), names), 4L)
  plain <- resolve_constraints(lmm_control(), names)
  expect_null(plain$hold)
  expect_null(plain$tie)
  expect_error(check_constraints(control, names), "`z`", class = "ferrolmm_error_argument")
  expect_error(
    check_constraints(lmm_control(hold = c(a = 1), tie = list(c("a", "b"))), names),
    "held and tied", class = "ferrolmm_error_argument"
  )
  expect_error(
    check_constraints(lmm_control(hold = c(a = 1)), c("a", "a")), "more than one",
    class = "ferrolmm_error_argument"
  )
})
