test_that("what a user names is found, or the nearest name is told", {
  known <- c("(Intercept)", "age", "Sex")
  expect_identical(match_names(c("Sex", "age"), known, "parm", "coefficient"), 3:2)
  error <- tryCatch(match_names("agee", known, "parm", "coefficient"), error = identity)
  expect_s3_class(error, "ferrolmm_error_argument")
  expect_match(conditionMessage(error), "`parm` names no coefficient of the model: `agee`")
  expect_match(conditionMessage(error), "Did you mean `age`?", fixed = TRUE)
  expect_error(match_names("a", character(), "parm", "term"), "There are none")
})

test_that("a name that fits more than one is refused, and the candidates are told apart", {
  error <- tryCatch(
    match_names("f1", c("x", "f1", "f1"), "parm", "coefficient", c("", "of `f`", "of `f1`")),
    error = identity
  )
  expect_s3_class(error, "ferrolmm_error_argument")
  expect_identical(error$candidates, 2:3)
  expect_match(conditionMessage(error), "Number 3: `f1`, of `f1`", fixed = TRUE)
  expect_identical(match_names("x", c("x", "f1", "f1"), "parm", "coefficient"), 1L)
  expect_identical(distinct_names(c("a", "b", "a")), c("a", "b", "a.1"))
})
