for_twins("rePCA() is lme4's", function(ours, theirs) {
  components <- rePCA(ours)
  reference <- lme4::rePCA(theirs)
  expect_named(components, names(reference))
  for (group in names(components)) {
    expect_equal(components[[group]]$sdev, reference[[group]]$sdev, tolerance = 1e-6)
    expect_equal(abs(components[[group]]$rotation), abs(reference[[group]]$rotation),
                 tolerance = 1e-6)
  }
})

test_that("without random effects there are no components", {
  data(Orthodont, package = "nlme", envir = environment())
  fit <- lmm(distance ~ age, Orthodont, residual = ~ cs(age | Subject))
  expect_silent(components <- rePCA(fit))
  expect_s3_class(components, "prcomplist")
  expect_length(components, 0L)
})
