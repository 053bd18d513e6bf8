## What a fit must not do to the R session around it. The tests that fork, interrupt or start afresh
## do so in a child process, with a time limit, so that a failure cannot take this one with it.

## The fields that the engine computes.
numbers_of <- function(fit) {
  fit[c("theta", "coefficients", "u", "b", "sigma", "rx", "vcov_unscaled", "fitted.values",
        "residuals", "criterion", "devcomp", "certificate")]
}

test_that("a panic in Rust is an R error, and the session lives on", {
  condition <- expect_error(engine_value(rs_self_test_panic()), class = "ferrolmm_error_bug")
  expect_match(conditionMessage(condition), "report")
  fit <- lmm(mobility ~ Age + (1 | doctor), doctors)
  expect_identical(fit$certificate$status, "converged")
})

test_that("one, two and four threads give the same bits", {
  n <- 20000L
  set.seed(1)
  d <- data.frame(x = rnorm(n), a = sample.int(300L, n, TRUE), b = sample.int(200L, n, TRUE))
  d$y <- d$x + rnorm(300)[d$a] + rnorm(300)[d$a] * d$x + rnorm(200)[d$b] + rnorm(n)
  fits <- lapply(c(1L, 2L, 4L), function(threads) {
    lmm(y ~ x + (x | a) + (1 | b), d, control = lmm_control(threads = threads))
  })
  expect_identical(numbers_of(fits[[2]]), numbers_of(fits[[1]]))
  expect_identical(numbers_of(fits[[3]]), numbers_of(fits[[1]]))
})

test_that("a fit in a forked worker after a fit in the parent does not hang", {
  skip_on_os("windows")
  run <- rscript("
    set.seed(1)
    n <- 20000L
    d <- data.frame(x = rnorm(n), a = sample.int(300L, n, TRUE), b = sample.int(200L, n, TRUE))
    d$y <- d$x + rnorm(300)[d$a] + rnorm(300)[d$a] * d$x + rnorm(200)[d$b] + rnorm(n)
    fit <- function(i) lmm(y ~ x + (x | a) + (1 | b), d, control = lmm_control(threads = 2L))
    parent <- fit(0L)
    children <- parallel::mclapply(1:2, fit, mc.cores = 2L)
    stopifnot(
      identical(children[[1]]$theta, parent$theta), identical(children[[2]]$b, parent$b)
    )
    cat('no hang\\n')
  ")
  expect_identical(run$status, 0L)
  expect_match(readLines(run$output), "no hang", all = FALSE)
})

test_that("a fit saved in one process works in another", {
  fit <- lmm(distance ~ age * Sex + (age | Subject), nlme::Orthodont)
  answers <- function(fit) {
    # The legend of the stars has other quotes in a test
    old <- options(show.signif.stars = FALSE)
    on.exit(options(old))
    list(
      fixef = fixef(fit), vcov = vcov(fit), varcorr = as.data.frame(VarCorr(fit)),
      ranef = ranef(fit, condVar = TRUE), fitted = fitted(fit), residuals = residuals(fit),
      logLik = logLik(fit), z = getME(fit, "Z"), x = model.matrix(fit),
      lambda = getME(fit, "Lambda"),
      summary = utils::capture.output(print(summary(fit)))
    )
  }
  stored <- tempfile(fileext = ".rds")
  answered <- tempfile(fileext = ".rds")
  saveRDS(fit, stored)
  run <- rscript(
    c(
      paste("answers <-", paste(deparse(answers), collapse = "\n")),
      "files <- commandArgs(TRUE)",
      "fit <- readRDS(files[1])",
      "saveRDS(answers(fit), files[2])"
    ),
    c(stored, answered)
  )
  expect_identical(run$status, 0L, info = paste(readLines(run$output), collapse = "\n"))
  expect_equal(readRDS(answered), answers(fit))
})

test_that("an interrupt ends a fit soon, and the session lives on", {
  skip_on_cran()
  skip_on_os("windows")
  log <- tempfile(fileext = ".txt")
  ## Two crossed factors with thousands of levels: some seconds of dense algebra.
  rscript("
    log <- commandArgs(TRUE)
    tell <- function(...) cat(paste(...), '\n', sep = '', file = log, append = TRUE)
    ## Does an interrupt reach this process at all?
    deaf <- tryCatch(
      {
        tools::pskill(Sys.getpid(), tools::SIGINT)
        Sys.sleep(0.5)
        TRUE
      },
      interrupt = function(e) FALSE
    )
    set.seed(1)
    n <- 150000L
    d <- data.frame(a = sample.int(5000L, n, TRUE), b = sample.int(4500L, n, TRUE))
    d$y <- rnorm(5000)[d$a] + rnorm(4500)[d$b] + rnorm(n)
    tell('pid', if (deaf) 0L else Sys.getpid())
    ended <- tryCatch(
      suppressWarnings(lmm(y ~ 1 + (1 | a) + (1 | b), d))$certificate$status,
      interrupt = function(e) 'interrupted'
    )
    tell(ended, format(as.numeric(Sys.time()), digits = 15))
    fit <- lmm(mobility ~ Age + (1 | doctor), doctors)
    tell('alive', fit$certificate$status)
  ", log, wait = FALSE, timeout = 0)

  pid <- as.integer(sub("pid ", "", wait_for_line(log, "^pid")))
  if (pid == 0L) skip("SIGINT is ignored by all processes started from here")
  Sys.sleep(0.7)
  sent <- as.numeric(Sys.time())
  tools::pskill(pid, tools::SIGINT)
  ended <- wait_for_line(log, "[.0-9]{9}$")
  at <- as.numeric(sub("^[a-z-]+ ", "", ended))
  if (at < sent) skip("the fit was over before it could be interrupted")
  expect_match(ended, "^interrupted")
  expect_lt(at - sent, 5)
  expect_match(wait_for_line(log, "alive"), "converged")
})

test_that("memory that is not there is an error, and the session lives on", {
  skip_on_cran()
  skip_on_os(c("windows", "mac"))
  ## what R and the packages have once they are loaded, and a little more
  code <- "
    room <- as.numeric(commandArgs(TRUE)[[1]])
    set.seed(1)
    works <- list(
      crossed = function() {
        n <- 30000L
        d <- data.frame(a = sample.int(6000L, n, TRUE), b = sample.int(5000L, n, TRUE))
        d$y <- rnorm(n)
        lmm(y ~ 1 + (1 | a) + (1 | b), d, control = lmm_control(solver = 'exact'))
      },
      us = function() {
        d <- data.frame(y = rnorm(20000), v = rep(1:100, 200), i = rep(1:200, each = 100))
        lmm(y ~ 1, d, residual = ~ us(v | i))
      },
      many = function() {
        d <- data.frame(y = rnorm(1500), a = rep(1:50, 30))
        fit <- lmm(y ~ 1 + (1 | a), d)
        refit(fit, matrix(rnorm(1500 * 9000), 1500))
      }
    )
    for (name in names(works)) {
      ended <- tryCatch(
        {
          suppressMessages(works[[name]]())
          'fitted'
        },
        error = function(e) class(e)[[1]]
      )
      cat(name, ended, '\\n')
    }
    fit <- lmm(mobility ~ Age + (1 | doctor), doctors)
    cat('alive', fit$certificate$status, '\\n')
  "
  ended <- character()
  for (kilobytes in c(480000, 520000, 560000)) {
    run <- rscript(code, "0", shell = paste("ulimit -v", kilobytes), timeout = 120)
    lines <- readLines(run$output)
    expect_identical(run$status, 0L, info = paste(utils::tail(lines, 20), collapse = "\n"))
    expect_match(lines, "alive converged", all = FALSE)
    ended <- c(ended, sub("^(crossed|us|many) ([a-zA-Z_]+) *$", "\\2",
                          grep("^(crossed|us|many) ", lines, value = TRUE)))
  }
  expect_length(ended, 9L)
  ## R has errors of its own for vectors of its own
  expect_true(all(ended %in% c("ferrolmm_error_memory", "simpleError", "fitted")))
  expect_true("ferrolmm_error_memory" %in% ended)
})
