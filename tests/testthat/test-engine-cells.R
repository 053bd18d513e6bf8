test_that("cells have the counts, means and scatter of their rows, in any number of parts", {
  set.seed(1)
  n <- 200L
  codes <- sample(7L, n, TRUE)
  values <- list(rnorm(n, 1e4), runif(n), rnorm(n))
  weights <- runif(n, 0.1, 3)
  for (parts in list(list(1:n), split(1:n, rep(1:3, length.out = n)), as.list(1:n))) {
    cells <- empty_cells(3L)
    for (rows in parts) {
      cells <- engine_cells_with_rows(
        cells, 7L, codes[rows], lapply(values, `[`, rows), weights[rows]
      )
    }
    for (cell in 1:7) {
      own <- codes == cell
      w <- weights[own]
      v <- vapply(values, `[`, double(sum(own)), own)
      mean <- colSums(w * v) / sum(w)
      off <- v - rep(mean, each = nrow(v))
      scatter <- crossprod(off * sqrt(w))
      expect_identical(cells$counts[[cell]], as.double(sum(own)))
      expect_equal(cells$weights[[cell]], sum(w))
      expect_equal(cells$log_weights[[cell]], sum(log(w)))
      expect_equal(cells$means[, cell], mean, tolerance = 1e-12)
      expect_equal(cells$scatter[, cell], t(scatter)[upper.tri(scatter, TRUE)], tolerance = 1e-9)
    }
  }
})

test_that("cells of two sets add up, and give condensed rows", {
  set.seed(2)
  values <- list(rnorm(60, 5), rnorm(60))
  codes <- rep(1:3, 20)
  whole <- engine_cells_with_rows(empty_cells(2L), 3L, codes, values, NULL)
  first <- engine_cells_with_rows(
    empty_cells(2L), 2L, codes[codes < 3], lapply(values, `[`, codes < 3), NULL
  )
  last <- engine_cells_with_rows(
    empty_cells(2L), 1L, codes[codes == 3] - 2L, lapply(values, `[`, codes == 3), NULL
  )
  both <- engine_cells_with_cells(first, 3L, last, 3L)
  expect_equal(both, whole)
  rows <- engine_condensed_rows(whole, c(1L, 2L))
  expect_identical(sum(rows$stands_for$counts), 60)
  expect_identical(sum(rows$one), 3)
  expect_identical(sum(pmax(rows$own, 1)), 60)
  expect_equal(
    crossprod(rows$values * sqrt(rows$weights)), crossprod(do.call(cbind, values)),
    ignore_attr = TRUE
  )
  expect_error(
    engine_cells_with_rows(empty_cells(1L), 1L, 2L, list(1), NULL),
    class = "ferrolmm_error_dimension"
  )
})

test_that("tables have sums of twice the digits, whatever the centre", {
  products <- matrix(c(0L, 0L, 1L, 0L, 1L, 1L), 2L)
  x <- 1e6 + c(1, 2, 3, 5) / 64
  table <- engine_table_with_rows(
    empty_table(data.frame(k = 1:2), products), 2L, c(1L, 2L, 1L, 2L), list(x), NULL
  )
  expect_identical(table$counts, c(2, 2))
  expect_identical(table$sums[3L, ], c(x[[1L]] + x[[3L]], x[[2L]] + x[[4L]]))
  about <- engine_table_shift(table, -1e6)
  expect_identical(about$sums[5L, ], c(1 + 9, 4 + 25) / 64^2)
  expect_identical(engine_table_shift(about, 1e6)$sums, table$sums)
  expect_identical(
    engine_table_fold(about, 3L, NULL, 1L, c(1, -1), NULL), c((10 - 29) / 64^2, 0)
  )
  whole <- engine_table_with(empty_table(data.frame(), products), 1L, table, c(1L, 1L))
  expect_identical(whole$sums[c(1L, 3L)], c(4, sum(x)))
  # y - 2 x of columns x, z and a response
  set.seed(3)
  rows <- matrix(rnorm(30), 10)
  gram <- rbind(as.vector(crossprod(rows)), 0)
  moved <- move_column(list(xx = gram, p = 2L, factors = list()), 1L, 2)
  expect_equal(
    matrix(moved$xx, 2L)[1L, ],
    as.vector(crossprod(cbind(rows[, 2L], rows[, 3L] - 2 * rows[, 1L]))), tolerance = 1e-13
  )
})
