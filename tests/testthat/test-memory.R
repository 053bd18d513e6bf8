test_that("an allocation of R that fails is an error of this package, other errors stay", {
  expect_error(with_memory(double(2^50)), class = "ferrolmm_error_memory")
  expect_error(with_memory(double(2^50)), "cannot allocate", class = "ferrolmm_error_memory")
  expect_error(with_memory(stop("another")), "^another$")
  expect_identical(with_memory(1 + 1), 2)
  own <- tryCatch(ferrolmm_abort("cannot allocate vector of size 1 Gb", "data"), error = identity)
  expect_false(is_allocation(own))
})

test_that("methods and fits that are asked for more than there is say so", {
  fit <- lmm(distance ~ age + (1 | Subject), nlme::Orthodont)
  expect_error(simulate(fit, 1e15), class = "ferrolmm_error")
  expect_error(
    lmm(distance ~ age + (1 | Subject), nlme::Orthodont, subset = double(2^50)),
    class = "ferrolmm_error"
  )
})
