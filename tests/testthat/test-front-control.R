test_that("options are checked once", {
  control <- lmm_control(max_evaluations = 50, tolerance = 1e-5, threads = 1, verbose = TRUE)
  expect_s3_class(control, "lmm_control")
  expect_identical(
    unclass(control),
    list(
      max_evaluations = 50L, tolerance = 1e-5, threads = 1L, verbose = 1L,
      time_limit = NULL, solver = "auto", sigma = NULL, hold = NULL, tie = NULL, penalty = NULL,
      not_identified = "stop", starts = NULL, options = NULL, nobound = FALSE
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
