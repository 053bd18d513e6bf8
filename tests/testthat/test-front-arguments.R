test_that("an argument that cannot be evaluated is kept as its error, and evaluated once", {
  count <- 0
  given <- unevaluated(quote(w), function() {
    count <<- count + 1
    stop("no w here")
  })
  expect_identical(given$expr, quote(w))
  expect_match(conditionMessage(given$value()), "no w here")
  given$value()
  expect_identical(count, 1)
})

test_that("lmm() and lmm_moments() report missing and broken arguments alike", {
  for (f in list(lmm, lmm_moments)) {
    expect_error(f(data = mtcars), "`formula` is missing", class = "ferrolmm_error_formula")
    expect_error(
      f(mpg ~ wt + (1 | cyl), stop("no such table")), "no such table", class = "ferrolmm_error_data"
    )
    expect_error(f(mpg ~ wt + (1 | cyl), mtcars, family = 1), class = "ferrolmm_error_argument")
  }
})
