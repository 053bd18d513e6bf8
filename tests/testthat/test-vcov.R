for_twins("vcov() is lme4's, as a base matrix", function(ours, theirs) {
  reference <- as.matrix(vcov(theirs))
  names <- names(lme4::fixef(theirs))
  expect_equal(
    vcov(ours), matrix(reference, length(names), dimnames = list(names, names)),
    tolerance = 1e-7
  )
})

test_that("aliased coefficients are padded on demand", {
  fit <- our_twin("deficient")
  expect_identical(dim(vcov(fit)), c(3L, 3L))
  padded <- vcov(fit, complete = TRUE)
  expect_identical(rownames(padded), names(fit$coefficients))
  expect_true(all(is.na(padded["I(2 * Days)", ])))
  expect_equal(padded[rownames(vcov(fit)), rownames(vcov(fit))], vcov(fit))
})

test_that("correlation = adds the correlations", {
  v <- vcov(our_twin("slope"), correlation = TRUE)
  expect_equal(attr(v, "correlation"), cov2cor(vcov(our_twin("slope"))))
})

test_that("the summary has it too", {
  fit <- our_twin("slope")
  expect_identical(vcov(summary(fit)), vcov(fit))
})
