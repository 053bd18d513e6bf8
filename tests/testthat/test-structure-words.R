test_that("each structure of the engine has its words, and each word its structure", {
  known <- structures()
  expect_setequal(names(structure_words), c(names(known$correlations), names(known$random)))
  expect_setequal(names(scale_words), names(known$scales))
  for (type in names(structure_words)) {
    expect_type(structure_words[[type]]$words, "character")
    expect_identical(is.null(structure_words[[type]]$random), is.null(known$random[[type]]))
    is_residual <- !is.null(known$correlations[[type]])
    expect_identical(is.function(structure_words[[type]]$formula), is_residual)
  }
  for (type in names(scale_words)) {
    expect_identical(is.function(scale_words[[type]]$equation), scale_kind(type)$covariate)
  }
})

test_that("names that users write lead to structures", {
  expect_identical(covariance_structures$hetar1, list(structure = "ar1", hom = FALSE))
  # those of today: others may come
  has <- function(all, some) expect_identical(setdiff(some, names(all)), character())
  has(
    covariance_structures,
    c("us", "diag", "homdiag", "cs", "homcs", "ar1", "hetar1", "toep", "homtoep")
  )
  for (entry in covariance_structures) {
    expect_true(random_kind(entry$structure)$homogeneous || !entry$hom)
  }
  has(
    residual_structures,
    c("us", "ad", "adh", "toep", "toeph", "ar1", "ar1h", "cs", "csh", "sp_exp", "sp_gau",
      "sp_matern")
  )
  expect_identical(residual_structures$adh$type, "ante")
  expect_true(residual_structures$adh$by_visit)
  expect_identical(residual_structures$sp_matern$type[[1L]], "matern1.5")
  expect_identical(sort(residual_structures$sp_matern$nu), c(0.5, 1.5, 2.5))
  expect_identical(nlme_correlations[["corNatural"]], "us")
  expect_identical(nlme_variances[["varConstPower"]], "constpower")
  expect_true(all(c("corAR1", "varPower", "varFixed") %in% constructor_names))
})
