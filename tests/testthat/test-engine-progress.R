test_that("a long fit shows how far it is, where somebody looks", {
  old <- options(ferrolmm.progress = NULL)
  on.exit(options(old))
  expect_identical(progress_after(lmm_control(verbose = 1)), 2)
  expect_identical(progress_after(lmm_control()), if (interactive()) 2)
  options(ferrolmm.progress = FALSE)
  expect_null(progress_after(lmm_control(verbose = 1)))
  shown <- function() shown_on_stderr(lmm(distance ~ age + (age | Subject), nlme::Orthodont))
  expect_identical(shown(), "")
  options(ferrolmm.progress = 0)
  text <- shown()
  expect_match(text, "lmm\\(\\): 0 s, [0-9]+ evaluations?, criterion [0-9.]+, scaled gradient")
  # and leaves nothing behind
  expect_match(text, "\n[ \n]*$")
  # where lines cannot be written over, one for each step
  lines <- strsplit(
    shown_on_stderr(lmm(distance ~ age + (age | Subject), nlme::Orthodont), dynamic = FALSE), "\n"
  )[[1L]]
  expect_match(lines, "lmm\\(\\): 0 s, (preparing|[0-9]+ evaluations?, criterion [0-9.]+, scaled)")
  expect_false(anyDuplicated(lines) > 0L)
})

test_that("a progress bar that fails is no reason to end a fit", {
  display <- progress_display(0)
  expect_error(progress_line("no number"))
  expect_identical(shown_on_stderr(expect_null(display$show("no number"))), "")
  display$done()
  expect_identical(
    progress_line(c(3.2, 2, 17.25, 1e-3)),
    "lmm(): 3 s, 2 evaluations, criterion 17.250, scaled gradient 1.0e-03"
  )
  expect_identical(progress_line(c(3.2, 0, NaN, NaN)), "lmm(): 3 s, preparing")
})
