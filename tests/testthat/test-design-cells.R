test_that("condensed rows have the cross-products of the design, whatever its columns are", {
  set.seed(5)
  n <- 150
  d <- data.frame(
    g = factor(sample(8, n, TRUE)), f = factor(sample(3, n, TRUE)), f1 = rnorm(n), y = rnorm(n),
    `odd name` = rnorm(n, 2), check.names = FALSE
  )
  for (formula in list(
    y ~ f * f1 + `odd name` + (f1 | g), y ~ 0 + f:f1 + I(f1^2) + (0 + f | g),
    y ~ poly(f1, 2) * f + f1:`odd name` + (1 | g), y ~ 1 + (f1 * f | g)
  )) {
    fit <- suppressMessages(suppressWarnings(lmm(formula, lmm_moments(formula, d))))
    rows <- suppressMessages(suppressWarnings(lmm(formula, d)))
    x <- own_matrix(fit)
    expect_equal(
      crossprod(x * sqrt(attr(x, "counts"))), crossprod(own_matrix(rows)), ignore_attr = TRUE
    )
    expect_identical(colnames(x), colnames(own_matrix(rows)))
    w <- fit$condensed$weights
    z <- do.call(cbind, own_term_columns(fit, fit$random[[1L]]))
    of_rows <- columns_matrix(own_term_columns(rows, rows$random[[1L]]), n)
    for (level in 1:8) {
      here <- own_factor(fit, 1L) == level
      there <- rows$flist[[1L]] == level
      expect_equal(crossprod(z[here, ] * sqrt(w[here])), crossprod(of_rows[there, ]))
    }
  }
})

test_that("a number has one name, in whatever order its variables come", {
  expect_identical(number_id(c("x", "z"), c("1", "2")), number_id(c("z", "x"), c("2", "1")))
  expect_false(number_id("x:z", "1") == number_id(c("x", "z"), c("1", "1")))
  expect_identical(number_label(number_id(c("z", "x"), 1:2)), "x:z")
})
