test_that("hints are near names only", {
  expect_identical(did_you_mean("Dayz", c("Reaction", "Days")), "Did you mean `Days`?")
  expect_identical(did_you_mean("days", c("Reaction", "Days")), "Did you mean `Days`?")
  expect_null(did_you_mean("zzz", c("Reaction", "Days")))
  expect_null(did_you_mean("g", c("x", "y")))
  expect_identical(did_you_mean("g", c("x", "G")), "Did you mean `G`?")
  expect_null(did_you_mean("x", character()))
})

test_that("words", {
  expect_identical(quote_names(c("a", "b")), "`a`, `b`")
  expect_identical(quote_names(letters[1:7], 2L), "`a`, `b` and 5 more")
  expect_identical(count_of(1L, "row"), "1 row")
  expect_identical(count_of(1e6, "row"), "1,000,000 rows")
  expect_identical(sentence("all is lost"), "All is lost.")
  expect_identical(nchar(code_label(str2lang(strrep("a+", 100) |> paste0("a")))), 60L)
})
