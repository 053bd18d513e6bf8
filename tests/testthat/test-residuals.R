for_twins("residuals() and fitted() are lme4's", function(ours, theirs) {
  for (type in c("response", "pearson", "working", "deviance")) {
    expect_equal(residuals(ours, type = type), residuals(theirs, type = type), tolerance = 1e-7)
    expect_equal(
      residuals(ours, type = type, scaled = TRUE),
      residuals(theirs, type = type, scaled = TRUE),
      tolerance = 1e-7
    )
  }
  expect_equal(residuals(ours, "scaled"), residuals(ours, "pearson") / sigma(ours))
  expect_equal(fitted(ours), fitted(theirs), tolerance = 1e-7)
})

test_that("na.exclude puts the rows back", {
  fit <- our_twin("missing")
  expect_length(residuals(fit), 180)
  expect_identical(unname(which(is.na(fitted(fit)))), c(3L, 50L, 120L))
  expect_identical(nobs(fit), 177L)
})

test_that("an unknown type is an error", {
  expect_error(residuals(our_twin("slope"), type = "partial"), "type|arg")
})
