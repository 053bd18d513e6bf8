## Crossed factors, small enough to compare with the exact fit.
crossed_data <- function(n = 6000L, levels = c(400L, 300L), seed = 1L) {
  set.seed(seed)
  a <- sample(levels[[1L]], n, TRUE)
  b <- sample(levels[[2L]], n, TRUE)
  x <- rnorm(n)
  y <- 1 + 0.3 * x + 0.7 * rnorm(levels[[1L]])[a] + 0.5 * rnorm(levels[[2L]])[b] + rnorm(n)
  data.frame(y, x, a = factor(a), b = factor(b))
}

crossed_fit <- function(solver, ...) {
  lmm(y ~ x + (1 | a) + (1 | b), crossed_data(), control = lmm_control(solver = solver), ...)
}

## One level of `a` meets all 35 000 of `b`: their complement is dense, and too large to be
## factorised without being asked for.
large_data <- function(q = 35000L) {
  set.seed(2)
  a <- c(rep(1L, q), 1L + seq_len(q))
  b <- rep(seq_len(q), 2L)
  y <- 1 + rnorm(q + 1L)[a] + rnorm(q)[b] + 0.5 * rnorm(2L * q)
  data.frame(y, a, b)
}

test_that("the iterative solver comes close to the exact fit, and says how close", {
  exact <- crossed_fit("exact")
  expect_silent(own <- crossed_fit("iterative"))
  expect_identical(exact$certificate$path, "exact")
  none <- list(vectors = 0L, criterion = 0, theta = c(0, 0))
  expect_identical(exact$certificate$monte_carlo, none)
  expect_identical(own$certificate$path, "iterative")
  expect_identical(own$certificate$status, "converged")
  chance <- own$certificate$monte_carlo
  expect_identical(chance$vectors, 16L)
  expect_gt(chance$criterion, 0)
  expect_lt(abs(own$criterion - exact$criterion), 6 * chance$criterion)
  expect_true(all(abs(own$theta - exact$theta) < 6 * chance$theta))
  expect_equal(fixef(own), fixef(exact), tolerance = 1e-5)
  expect_equal(vcov(own), vcov(exact), tolerance = 1e-5)
  expect_equal(ranef(own), ranef(exact), tolerance = 1e-3, ignore_attr = TRUE)
  expect_equal(fitted(own), fitted(exact), tolerance = 1e-3)
  expect_identical(crossed_fit("iterative")$theta, own$theta)
})

test_that("degrees of freedom come from estimates too", {
  exact <- coef(summary(crossed_fit("exact")))
  own <- coef(summary(crossed_fit("iterative")))
  expect_equal(own, exact, tolerance = 1e-3)
})

test_that("estimated likelihoods warn, exact ones do not", {
  exact <- crossed_fit("exact")
  own <- crossed_fit("iterative")
  expect_silent(logLik(exact))
  expect_warning(value <- logLik(own), "Monte-Carlo", class = "ferrolmm_warning_monte_carlo")
  expect_identical(as.numeric(value), -own$criterion / 2)
  smaller <- lmm(y ~ x + (1 | a), crossed_data())
  expect_warning(anova(own, smaller), "Chisq", class = "ferrolmm_warning_monte_carlo")
  expect_silent(anova(exact, smaller))
  expect_silent(summary(own))
})

test_that("the path and its errors are shown", {
  masked <- function(lines) {
    gsub("[0-9.]+e-[0-9]+|0\\.0[0-9]+|[0-9]+ (?=evaluations)", "#", lines, perl = TRUE)
  }
  fit <- crossed_fit("iterative")
  expect_snapshot(print(summary(fit, ddf = "none"), digits = 3), transform = masked)
  expect_match(
    paste(capture.output(print(fit)), collapse = " "), "Solver: iterative, 16 random vectors"
  )
})

test_that("models that need the factor anyway are exact", {
  d <- crossed_data(600L, c(30L, 20L))
  control <- lmm_control(solver = "iterative")
  path <- function(...) lmm(..., data = d, control = control)$certificate$path
  expect_identical(path(y ~ x + (1 | a)), "exact")
  held <- lmm(y ~ x + (1 | a) + (1 | b), d,
              control = lmm_control(solver = "iterative", hold = c("a.(Intercept)" = 0.7)))
  expect_identical(held$certificate$path, "exact")
  # small enough for the factor that these need
  fit <- lmm(y ~ x + (1 | a) + (1 | b), d, control = control)
  expect_identical(fit$certificate$path, "iterative")
  expect_true(all(attr(ranef(fit, condVar = TRUE)$a, "postVar") > 0))
  expect_true(all(predict(fit, d[1:3, ], se.fit = TRUE)$se.fit > 0))
})

test_that("what cannot be factorised is estimated, and says what cannot be had", {
  d <- large_data()
  expect_message(
    fit <- lmm(y ~ 1 + (1 | a) + (1 | b), d), "conjugate gradients",
    class = "ferrolmm_message_solver"
  )
  expect_identical(fit$certificate$path, "iterative")
  expect_identical(fit$certificate$status, "converged")
  expect_lt(max(abs(fit$theta - 2)), 0.1)
  expect_true(is.finite(coef(summary(fit))[, "df"]))
  needs <- function(expr) {
    expect_error(expr, "solver = \"exact\"", class = "ferrolmm_error_factor")
  }
  needs(ranef(fit, condVar = TRUE))
  needs(predict(fit, d[1:3, ], se.fit = TRUE))
  needs(anova(fit, ddf = "Kenward-Roger"))
  needs(hatvalues(fit))
  needs(profile(fit))
})

test_that("a factor that does not fit in memory is refused before it is begun", {
  # only Linux says what memory there is
  skip_if_not(file.exists("/proc/meminfo"))
  # 1.3 TB
  d <- large_data(400000L)
  model <- function(...) lmm(y ~ 1 + (1 | a) + (1 | b), d, control = lmm_control(...))
  refused <- expect_error(model(solver = "exact"), class = "ferrolmm_error_memory")
  expect_equal(refused$details$needed, 1280)
  expect_lt(refused$details$available, 1280)
  expect_match(conditionMessage(refused), "order 400000 .* needs 1280.0 GB .* GB of memory are")
  expect_match(conditionMessage(refused), "solver = \"iterative\"", fixed = TRUE)
  # nor can what is asked for without a choice, where there is no other way
  expect_error(model(hold = c("a.(Intercept)" = 1)), class = "ferrolmm_error_memory")
})

test_that("out of time, the estimates so far are kept", {
  d <- crossed_data()
  within <- function(limit) {
    lmm(y ~ x + (1 | a) + (1 | b), d,
        control = lmm_control(solver = "iterative", time_limit = limit))
  }
  # the least time in which there is one evaluation: before it there is nothing to be kept
  limit <- 1e-6
  said <- character()
  repeat {
    fit <- tryCatch(
      withCallingHandlers(within(limit), ferrolmm_warning_convergence = function(w) {
        said <<- conditionMessage(w)
        invokeRestart("muffleWarning")
      }),
      ferrolmm_error_time_limit = function(e) NULL
    )
    if (!is.null(fit)) break
    limit <- 1.5 * limit
  }
  expect_match(said, "time limit")
  expect_identical(fit$certificate$status, "time-limit")
  expect_identical(fit$certificate$path, "iterative")
  expect_identical(fit$criterion, min(fit$certificate$trace$criterion))
  expect_match(format_certificate(fit$certificate)[1L], "NOT proved: stopped at the time limit")
})

test_that("an iterative fit shows how far it is, whatever thread it works on", {
  skip_on_cran()
  old <- options(ferrolmm.progress = 0)
  on.exit(options(old))
  line <- "lmm\\(\\): [0-9]+ s, ([0-9]+) evaluations?, criterion [0-9.]+, scaled gradient [0-9.e-]+"
  # the second one takes long enough for the line to be written several times, from another thread
  for (size in list(list(6000L, c(400L, 300L)), list(200000L, c(60000L, 50000L)))) {
    d <- crossed_data(size[[1L]], size[[2L]])
    text <- shown_on_stderr(
      fit <- lmm(y ~ x + (1 | a) + (1 | b), d, control = lmm_control(solver = "iterative"))
    )
    expect_identical(fit$certificate$path, "iterative")
    lines <- strsplit(text, "\n")[[1L]]
    lines <- lines[nzchar(trimws(lines))]
    expect_true(all(grepl(paste0(line, "|lmm\\(\\): [0-9]+ s, preparing"), lines)))
    counts <- as.integer(sub(paste0(".*", line, ".*"), "\\1", grep(line, lines, value = TRUE)))
    # the first one may be over before anything is shown
    if (size[[1L]] > 1e5) expect_gt(length(counts), 0L)
    expect_false(is.unsorted(counts))
    expect_lte(max(counts, 0L), fit$certificate$evaluations)
    # and leaves nothing behind
    expect_match(text, "(^|\n)[ \n]*$")
  }
})
