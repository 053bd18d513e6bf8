test_that("scores add up to nothing, and leverages of clusters to the identity", {
  fit <- our_twin("weighted")
  clusters <- independent_clusters(fit)
  found <- engine_inference(
    engine_sandwich, fit, clusters$codes, clusters$count, "none", TRUE
  )
  expect_equal(sigma(fit)^2 * tcrossprod(found$root), vcov(fit), ignore_attr = TRUE)
  scores <- matrix(found$scores, fit$rank)
  expect_lt(max(abs(rowSums(scores))), 1e-8 * max(abs(scores)))
  # the leverages of all clusters add up to the identity
  cross <- rowSums(matrix(found$cross, fit$rank^2))
  expect_equal(matrix(cross, fit$rank), diag(fit$rank), tolerance = 1e-10)
  expect_identical(dim(found$undetermined), c(fit$rank, 0L))
})

test_that("rows are connected through levels", {
  connected <- engine_inference(engine_connected_rows, our_twin("crossed"))
  expect_identical(connected$count, 1L)
  fit <- our_twin("slope")
  connected <- engine_inference(engine_connected_rows, fit)
  expect_identical(connected$codes, match(fit$flist[[1L]], unique(fit$flist[[1L]])))
})
