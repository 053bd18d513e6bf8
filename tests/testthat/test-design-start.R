test_that("start is checked against theta", {
  d <- data.frame(y = sin(1:40), x = cos(1:40), g = rep(1:5, 8))
  random <- front_end(y ~ x + (x | g), d)$random
  expect_identical(check_start(c(1, 0, 2L), random), c(1, 0, 2))
  expect_identical(check_start(list(theta = c(1, -0.5, 2)), random), c(1, -0.5, 2))
  expect_null(check_start(NULL, random))
  bad <- function(start, pattern) {
    expect_error(check_start(start, random), pattern, class = "ferrolmm_error_start")
  }
  bad(1:2, "length 2, theta has length 3")
  bad(1:2, "`g.\\(Intercept\\)`, `g.x.\\(Intercept\\)`, `g.x`")
  bad(c(1, NA, 1), "finite")
  bad("1", "numeric")
  bad(list(fixef = 1), "`fixef`")
  bad(c(-1, 0, 1), "negative for `g.\\(Intercept\\)`")
})
