test_that("lists of classes inside 'insight' still have the class that fits are shown with", {
  skip_if_not_installed("insight")
  listed <- as_listed(our_twin("slope"))
  expect_true(insight::is_model(listed))
  expect_true(insight::is_model_supported(listed))
  expect_identical(insight::find_statistic(listed), "t-statistic")
  expect_true(insight::is_model(as_compared(our_twin("slope"))))
  for (package in c("insight", "parameters", "performance", "datawizard", "effectsize")) {
    if (!requireNamespace(package, quietly = TRUE)) next
    methods <- names(asNamespace(package)[[".__S3MethodsTable__."]])
    expect_identical(grep("[.]elm$", methods, value = TRUE), character())
  }
})

test_that("all methods are registered on generics that the packages have", {
  for (package in c("insight", "parameters", "performance", "datawizard", "bayestestR")) {
    skip_if_not_installed(package)
  }
  expect_identical(
    utils::getS3method("get_df", "lmm", envir = asNamespace("insight")), get_df.lmm
  )
  expect_identical(
    utils::getS3method("ci", "lmm", envir = asNamespace("bayestestR")), ci.lmm
  )
})

test_that("names of models survive a comparison", {
  first <- our_twin("slope")
  result <- call_compared(
    function(a, b, more) list(class(a), class(b), more, names(match.call())), list(first, 1),
    c("update(x, REML = FALSE)", "y"), list(more = 3)
  )
  expect_identical(result[[1L]], c("lmm", "elm"))
  expect_identical(result[[2L]], "numeric")
  expect_identical(result[[3L]], 3)
})
