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

test_that("what is too large for any machine has no room, little has", {
  expect_false(engine_has_room(1e18))
  expect_false(engine_has_room(Inf))
  expect_true(engine_has_room(0))
  expect_null(require_room(1e3, "Things", "Use fewer."))
  expect_error(
    require_room(1e17, "Things", "Use fewer."), "Things do not fit.*8e\\+08 GB.*Use fewer",
    class = "ferrolmm_error_memory"
  )
})

test_that("methods whose values have a row for each observation watch over R's memory", {
  for (name in c(
    "cooks.distance.lmm", "dfbeta.lmm", "dfbetas.lmm", "hatvalues.lmm", "influence.lmm",
    "simulate.lmm"
  )) {
    expect_true("with_memory" %in% all.names(body(get(name))), info = name)
  }
})
