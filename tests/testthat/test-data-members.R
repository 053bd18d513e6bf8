# Compressed rows of weights.

test_that("sums over levels are products with the matrix of weights", {
  weights <- rbind(c(0.5, 0.5), c(1, 0), c(0.25, 0.75), c(0, 0))
  rows <- weight_matrix(list(c(1L, 2L, 3L, NA), c(1L, 3L, 2L, 1L)), weights, 3L)
  w <- rbind(c(1, 0, 0), c(0, 1, 0), c(0, 0.75, 0.25), c(0, 0, 0))
  expect_equal(as.matrix(rows), t(w))
  members <- compressed_rows(rows)
  expect_identical(members$start, c(0L, 1L, 2L, 4L, 4L))
  expect_identical(members$level, c(1L, 2L, 2L, 3L))
  values <- matrix(as.double(1:6), 3L)
  expect_equal(of_levels(values, members), w %*% values)
  expect_equal(squared_weights(members), rowSums(w^2))
  expect_equal(as.matrix(members_matrix(members, 3L)), t(w))
  codes <- c(3L, NA, 1L)
  expect_equal(of_levels(values, codes), rbind(values[3L, ], 0, values[1L, ]))
  single <- single_members(c(3L, 0L, 1L))
  expect_equal(as.matrix(members_matrix(single, 3L)), cbind(c(0, 0, 1), 0, c(1, 0, 0)))
})
