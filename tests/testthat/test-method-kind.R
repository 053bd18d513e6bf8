test_that("what kind of model it is", {
  fit <- our_twin("slope")
  expect_true(isLMM(fit))
  expect_true(isREML(fit))
  expect_false(isREML(our_twin("ml")))
  expect_false(isGLMM(fit))
  expect_false(isNLMM(fit))
  expect_false(isSingular(fit))
})

test_that("isSingular() looks at ranks, and at the diagonals of the factors", {
  fit <- our_twin("slope")
  fit$theta[] <- c(1, -2, 1e-5)
  expect_true(isSingular(fit))
  expect_false(isSingular(fit, tol = 1e-5))
  fit$certificate$rank <- 1L
  expect_true(isSingular(fit, tol = 1e-5))
})

test_that("isSingular() does not depend on units", {
  data <- transform(twin_data()$sleepstudy, Days = Days * 1e6)
  expect_false(isSingular(lmm(Reaction ~ Days + (Days | Subject), data)))
})
