test_that("S3 generics are told from plain functions", {
  expect_true(is_s3_generic("update", asNamespace("stats")))
  expect_false(is_s3_generic("lm", asNamespace("stats")))
  expect_false(is_s3_generic("no such thing", asNamespace("stats")))
})

test_that("an S4 generic with an S3 default is an S3 generic, as isSingular() in lme4 2.0", {
  home <- new.env(parent = globalenv())
  home$shape <- function(x, ...) UseMethod("shape")
  methods::setGeneric("shape", where = home)
  expect_true(is_s3_generic("shape", home))
})

test_that("an action runs at once when the package is loaded", {
  ran <- FALSE
  when_loaded("stats", function() ran <<- TRUE)
  expect_true(ran)
})
