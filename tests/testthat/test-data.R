test_that("the doctors data are as described", {
  expect_identical(dim(doctors), c(8525L, 7L))
  expect_identical(
    names(doctors), c("mobility", "Age", "Married", "Sex", "WBC", "RBC", "doctor")
  )
  size <- as.integer(table(doctors$doctor))
  expect_length(size, 407L)
  expect_identical(range(size), c(2L, 40L))
  expect_identical(sum(size[1:10]), 252L)
  expect_false(is.unsorted(as.integer(doctors$doctor)))
  given <- as.matrix(doctors[c(1, 2, 8525), c("Age", "Married", "Sex", "WBC", "RBC")])
  expect_equal(
    unname(given),
    rbind(c(64.97, 0, 1, 6087, 4.87), c(53.92, 0, 0, 6700, 4.68), c(56.07, 0, 1, 6430, 4.73))
  )
  expect_identical(doctors$mobility[c(1, 2, 8525)], c(2L, 2L, 3L))
})

test_that("the fit of the doctors data prints the stated coefficients", {
  fit <- lmm(mobility ~ Age + Married + Sex + WBC + RBC + (1 | doctor), doctors)
  expect_identical(
    round(unname(fixef(fit)), 3), c(4.782, 0.025, 0.011, 0.012, 0, -0.009)
  )
  expect_identical(getME(fit, "q"), 407L)
  expect_lt(abs(as.data.frame(VarCorr(fit))$sdcor[1] - 0.8), 0.1)
})
