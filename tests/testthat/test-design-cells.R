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

test_that("a model has a table for each kind of pair of terms", {
  set.seed(1)
  d <- data.frame(
    g = gl(5, 40), h = rep(gl(4, 10), 5), f = rep(c("a", "b"), 100), x = rnorm(200), y = rnorm(200)
  )
  plan <- function(formula) {
    tables <- lmm_moments(formula, d, gather = "tables")$plan
    found <- lapply(tables, function(table) ncol(table$products))
    names(found) <- vapply(tables, function(table) paste(table$keys, collapse = "+"), "")
    found[order(names(found))]
  }
  # 1; x, y and their products; the pair needs counts alone
  found <- plan(y ~ x + (1 | g) + (1 | h))
  expect_named(found, c("", "g", "g+h", "h"))
  expect_identical(unlist(found, use.names = FALSE), c(6L, 3L, 1L, 3L))
  # slopes by a factor, and a factor of the fixed part within each group
  expect_named(plan(y ~ x * f + (x | g) + (f | h)), c("f", "f+g", "f+g+h", "f+h"))
  expect_named(plan(y ~ f + (1 | g / h)), c("f", "f+g", "f+g+h", "g+h"))
})
