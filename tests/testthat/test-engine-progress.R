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
  display <- progress_display(0, fit_line)
  expect_error(fit_line("no number"))
  expect_identical(shown_on_stderr(expect_null(display$show("no number"))), "")
  display$done()
  expect_identical(
    fit_line(c(3.2, 2, 17.25, 1e-3)),
    "lmm(): 3 s, 2 evaluations, criterion 17.250, scaled gradient 1.0e-03"
  )
  expect_identical(fit_line(c(3.2, 0, NaN, NaN)), "lmm(): 3 s, preparing")
})

test_that("profiles and deletions show how many of their parts are done", {
  old <- options(ferrolmm.progress = 0)
  on.exit(options(old))
  fit <- lmm(distance ~ age + (age | Subject), nlme::Orthodont)
  expect_match(
    shown_on_stderr(profile(fit, "theta_")),
    "profile\\(\\): [0-9]+ s, (preparing|[0-3] of 4 parameters done)"
  )
  # what is over within milliseconds shows nothing
  patients <- lmm(mobility ~ Age + (1 | doctor), doctors)
  expect_match(
    shown_on_stderr(influence(patients, groups = "doctor", update = "exact")),
    "influence\\(\\): [0-9]+ s, (preparing|[0-9]+ of 407 sets done)"
  )
  options(ferrolmm.progress = FALSE)
  expect_identical(shown_on_stderr(influence(fit, groups = "Subject")), "")
  line <- part_line("influence()", "set")
  expect_identical(
    line(c(30.2, 125, 500, NaN)), "influence(): 30 s, 125 of 500 sets done, about 91 s left"
  )
  expect_identical(line(c(2.5, 0, NaN, NaN)), "influence(): 2 s, preparing")
})
