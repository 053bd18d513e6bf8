test_that("options are checked once", {
  control <- lmm_control(max_evaluations = 50, tolerance = 1e-5, threads = 1, verbose = TRUE)
  expect_s3_class(control, "lmm_control")
  expect_identical(
    unclass(control),
    list(
      max_evaluations = 50L, tolerance = 1e-5, threads = 1L, verbose = 1L,
      time_limit = NULL, solver = "auto", sigma = NULL, hold = NULL, tie = NULL,
      not_identified = "stop", starts = NULL
    )
  )
  bad <- function(pattern, ...) {
    expect_error(lmm_control(...), pattern, class = "ferrolmm_error_argument")
  }
  bad("`max_evaluations`", max_evaluations = 0)
  bad("`max_evaluations`", max_evaluations = 1.5)
  bad("`max_evaluations`", max_evaluations = NA)
  bad("`max_evaluations`", max_evaluations = Inf)
  bad("`tolerance`", tolerance = 0)
  bad("`tolerance`", tolerance = c(1e-3, 1e-4))
  bad("`threads`", threads = -1)
  bad("`threads`", threads = "all")
  bad("`verbose`", verbose = NULL)
  bad("`threads`", threads = 1e5)
  bad("`time_limit`", time_limit = 0)
  bad("`time_limit`", time_limit = "1 s")
  expect_null(lmm_control(time_limit = Inf)$time_limit)
  bad("`solver`", solver = "itertive")
  bad("`solver`", solver = NA)
  expect_identical(lmm_control(solver = "iterative")$solver, "iterative")
  bad("`sigma`", sigma = 0)
  bad("`sigma`", sigma = c(1, 2))
  bad("`hold` must name", hold = 0.3)
  bad("`hold` must name", hold = c(a = 1, a = 2))
  bad("`hold` must be numbers", hold = c(a = "1"))
  bad("`tie` must be", tie = "a")
  bad("twice", tie = list(c("a", "b"), c("b", "c")))
  expect_error(
    lmm_control(optimizer = "bobyqa"), "no argument `optimizer`", class = "ferrolmm_error_argument"
  )
})

test_that("threads: argument, option, environment variable, the engine", {
  old <- options(ferrolmm.threads = NULL)
  variables <- c("OMP_THREAD_LIMIT", "_R_CHECK_LIMIT_CORES_")
  env <- Sys.getenv(variables, NA, names = TRUE)
  on.exit({
    options(old)
    Sys.unsetenv(variables[is.na(env)])
    for (v in variables[!is.na(env)]) do.call(Sys.setenv, stats::setNames(list(env[[v]]), v))
  })
  Sys.unsetenv(variables)
  threads <- function(...) lmm_control(...)$threads
  expect_identical(threads(), 0L)
  Sys.setenv(OMP_THREAD_LIMIT = "3")
  expect_identical(threads(), 3L)
  Sys.setenv(OMP_THREAD_LIMIT = "many")
  expect_identical(threads(), 0L)
  options(ferrolmm.threads = 5)
  expect_identical(threads(), 5L)
  expect_identical(threads(threads = 7), 7L)
  Sys.setenv(`_R_CHECK_LIMIT_CORES_` = "TRUE")
  expect_identical(threads(threads = 7), 2L)
  expect_identical(threads(threads = 0), 2L)
  expect_identical(threads(threads = 1), 1L)
  Sys.setenv(`_R_CHECK_LIMIT_CORES_` = "false")
  expect_identical(threads(threads = 7), 7L)
})

test_that("options print", {
  expect_snapshot(lmm_control(threads = 2))
  expect_snapshot(lmm_control(threads = 2, tolerance = 1e-4, verbose = 1, solver = "exact"))
})

test_that("lmm() takes nothing else as control", {
  expect_error(check_control(list(tolerance = 1)), "lmm_control", class = "ferrolmm_error_argument")
  expect_error(check_control(structure(list(), class = c("lmerControl", "merControl"))),
               "leave lmerControl", class = "ferrolmm_error_argument")
})

test_that("verbose shows the way of the optimiser", {
  expect_message(
    fit <- lmm(distance ~ age + (1 | Subject), nlme::Orthodont, control = lmm_control(verbose = 1)),
    "criterion 4[0-9]+\\.[0-9]+  scaled gradient", class = "ferrolmm_message_trace"
  )
  expect_identical(fit$control$verbose, 1L)
})

test_that("constraints by name become constraints by position", {
  control <- lmm_control(hold = c(b = 2, z = 5), tie = list(c("a", "d")))
  names <- c("a", "b", "c", "d")
  resolved <- resolve_constraints(control, names)
  expect_identical(resolved$hold, c(NA, 2, NA, NA))
  expect_identical(resolved$tie, c(1L, 2L, 3L, 1L))
  expect_identical(resolve_constraints(resolved, names), resolved)
  expect_identical(count_free(control, names), 2L)
  expect_identical(count_free(control, names, c(FALSE, FALSE, TRUE, FALSE)), 1L)
  expect_identical(count_free(lmm_control(), names), 4L)
  plain <- resolve_constraints(lmm_control(), names)
  expect_null(plain$hold)
  expect_null(plain$tie)
  expect_error(check_constraints(control, names), "`z`", class = "ferrolmm_error_argument")
  expect_error(
    check_constraints(lmm_control(hold = c(a = 1), tie = list(c("a", "b"))), names),
    "held and tied", class = "ferrolmm_error_argument"
  )
  expect_error(
    check_constraints(lmm_control(hold = c(a = 1)), c("a", "a")), "more than one",
    class = "ferrolmm_error_argument"
  )
})

test_that("out of time, the best point so far is returned and said not to be the optimum", {
  # a nanosecond: over before the first evaluation is
  soon <- lmm_control(time_limit = 1e-9)
  expect_warning(
    fit <- lmm(distance ~ age + (age | Subject), nlme::Orthodont, control = soon),
    "time limit", class = "ferrolmm_warning_convergence"
  )
  expect_identical(fit$certificate$status, "time-limit")
  expect_identical(fit$certificate$evaluations, 1L)
  expect_match(format_certificate(fit$certificate)[1L], "NOT proved: stopped at the time limit")
  expect_match(paste(format(soon), collapse = "\n"), "time limit: +1e-09 s")
  best <- lmm(distance ~ age + (age | Subject), nlme::Orthodont)
  expect_gt(fit$criterion, best$criterion)
  # a limit that is not reached changes nothing
  late <- lmm(distance ~ age + (age | Subject), nlme::Orthodont,
              control = lmm_control(time_limit = 1e4))
  expect_identical(late$theta, best$theta)
  expect_identical(late$certificate, best$certificate)
})

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
