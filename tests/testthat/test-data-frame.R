test_that("rows and columns go as data frames have it", {
  d <- data.frame(x = c(1, NA, 3), f = factor(c("b", "a", NA)))
  d$m <- cbind(1:3, c(1, 2, NA))
  expect_identical(missing_rows(d, c("x", "m")), c(FALSE, TRUE, TRUE))
  expect_identical(missing_rows(d, character()), logical(3))
  expect_identical(take_rows(d$m, 2L), d$m[2L, , drop = FALSE])
  expect_identical(take_rows(d$f, 3:1), d$f[3:1])
  expect_identical(set_column(d, 1L, 3:1), `[[<-`(d, 1L, value = 3:1))
  expect_identical(as_frame(list(x = 1:2), .set_row_names(2L)), data.frame(x = 1:2))
  expect_true(is_constant_within(c(5, 5, 7), c(1, 1, 2)))
  expect_false(is_constant_within(c(5, 6, 7), c(1, 1, 2)))
})

test_that("factors are R's", {
  text <- c("b", "C", "a", NA, "b")
  expect_identical(character_factor(text), factor(text))
  f <- factor(c("a", "c", "c"), levels = c("a", "b", "c", "d"))
  used <- tabulate(f, nlevels(f)) > 0L
  expect_identical(drop_levels(f, used), droplevels(f))
  contrasts(f) <- contr.sum(4)
  expect_null(attr(drop_levels(f, used), "contrasts"))
  expect_identical(spanned_levels(factor(c("d", "b")), letters), factor(c("d", "b"), letters[2:4]))
})

test_that("a damaged factor is named", {
  expect_null(check_factor(gl(2, 2), "f"))
  expect_null(factor_fault(gl(2, 2)))
  damaged <- list(
    "no levels" = structure(1:2, class = "factor"),
    "code 3 and 2 levels" = structure(1:3, levels = c("a", "b"), class = "factor")
  )
  for (fault in names(damaged)) {
    expect_error(check_factor(damaged[[fault]], "f"), fault, class = "ferrolmm_error_data")
  }
})
