## Every method that may take long, in one table: what the tests of Ctrl-C and of time limits walk
## over. `fit` and `small` are models of `d`, `fixed` has one term less.
long_methods <- c(
  lmm = "lmm(y ~ x + (x | a) + (1 | b), d)",
  lmm_variances = "lmm(y ~ x + (1 | a), d, weights = varPower(form = ~ v))",
  lmm_fitted = "lmm(y ~ x + (1 | a), d, weights = varPower())",
  lmm_correlation = "lmm(y ~ x, d, correlation = corARMA(form = ~ t | a, p = 1, q = 1))",
  lmm_known = "lmm(y ~ x + us(1 | b, cov = K) + (1 | a), d)",
  lmm_levels = "lmm(y ~ factor(a) + (1 | b), d)",
  summary_known = "summary(known)",
  summary_known_kr = "summary(known, ddf = 'Kenward-Roger')",
  simulate_known = "simulate(known, 20)",
  lmm_us = "lmm(y ~ x, d, residual = ~ us(visit | a))",
  refit = "refit(fit, rev(d$y))",
  refit_many = "refit(fit, responses)",
  update = "update(fit, . ~ . - x)",
  profile = "profile(fit)",
  confint_profile = "confint(fit, method = 'profile')",
  confint_boot = "confint(fit, method = 'boot', nsim = 500)",
  bootstrap = "bootstrap(fit, nsim = 500)",
  bootstrap_function = "bootstrap(fit, nsim = 500, FUN = fixef)",
  pb_test = "pb_test(fit, small, nsim = 500)",
  ranova = "ranova(fit, nsim = 500)",
  influence = "influence(fit, groups = 'a')",
  influence_rows = "influence(fit, update = 'exact')",
  lmList = "lmList(fit)",
  pooling = "pooling(fit)",
  summary_kr = "summary(fit, ddf = 'Kenward-Roger')",
  anova_kr = "anova(fit, ddf = 'Kenward-Roger')",
  summary = "summary(fit)",
  drop1 = "drop1(fit)",
  predict_se = "predict(fit, se.fit = TRUE)",
  predict_interval = "predict(fit, interval = 'prediction')",
  simulate = "simulate(fit, 200)",
  hatvalues = "hatvalues(fit)",
  ranef = "ranef(fit, condVar = TRUE)",
  plot = "{ pdf(NULL); print(plot(profile(fit))); dev.off() }"
)

long_setup <- "
  set.seed(1)
  n <- 3000L
  d <- data.frame(x = rnorm(n), v = runif(n, 1, 3), a = rep(1:300, each = 10), t = rep(1:10, 300),
                  b = sample.int(200L, n, TRUE))
  d$visit <- factor(d$t)
  d$y <- 10 + d$x + rnorm(300)[d$a] + 0.3 * rnorm(300)[d$a] * d$x + rnorm(200)[d$b] + d$v * rnorm(n)
  responses <- matrix(rnorm(n * 500), n) + d$y
  fit <- lmm(y ~ x + (x | a) + (1 | b), d)
  small <- lmm(y ~ 1 + (x | a) + (1 | b), d)
  K <- diag(200) + 0.2
  dimnames(K) <- list(1:200, 1:200)
  known <- lmm(y ~ x + us(1 | b, cov = K) + (1 | a), d)
"

test_that("Ctrl-C ends every method soon", {
  skip_on_cran()
  skip_on_os("windows")
  found <- interrupted_works(long_setup, long_methods, 0.2)
  if (is.null(found)) skip("SIGINT is ignored by all processes started from here")
  expect_identical(found$work, names(long_methods))
  expect_identical(unique(found$ended), "interrupt", info = found$work[found$ended != "interrupt"])
})

test_that("no interrupt is lost in a loop of short calls", {
  skip_on_cran()
  skip_on_os("windows")
  setup <- "fit <- lmm(Reaction ~ Days + (Days | Subject), lme4::sleepstudy)"
  set.seed(1)
  ## had one been taken and dropped, its work would go on for ever: wait_for_line() would stop
  found <- interrupted_works(
    setup,
    c(profile = "profile(fit)", refit = "refit(fit, fit$frame$Reaction)",
      interval = "predict(fit, interval = 'prediction')", summary = "summary(fit)"),
    runif(60, 0, 0.03)
  )
  if (is.null(found)) skip("SIGINT is ignored by all processes started from here")
  expect_identical(nrow(found), 240L)
  expect_identical(unique(found$ended), "interrupt")
})

test_that("the time limit of R is the error that R makes of it", {
  in_time <- function(expr) {
    setTimeLimit(elapsed = 0.3, transient = TRUE)
    on.exit(setTimeLimit())
    expr
  }
  fit <- lmm(Reaction ~ Days + (Days | Subject), lme4::sleepstudy)
  limit <- gettext("reached elapsed time limit", domain = "R")
  expect_error(in_time(repeat profile(fit)), limit)
  expect_error(in_time(repeat refit(fit, fit$frame$Reaction)), limit)
  expect_error(in_time(bootstrap(fit, 1e5)), limit)
  ## a loop that goes on after a replicate has failed does not go on after this
  expect_error(in_time(bootstrap(fit, 1e5, FUN = fixef)), limit)
  expect_error(
    in_time(bootstrap(fit, 1e5, FUN = function(fit) {
      Sys.sleep(0.1)
      fixef(fit)
    })),
    limit
  )
})

test_that("a display does not swallow the time limit of R", {
  show <- progress_display(0, fit_line)$show
  ## what it is told is evaluated inside
  expect_null(show(stop("anything else")))
  expect_error(show(stop("reached elapsed time limit")), "elapsed time limit")
})

test_that("a time limit holds for fits with variance functions", {
  soon <- lmm_control(time_limit = 1e-9)
  d <- nlme::Orthodont
  for (weights in list(
    nlme::varPower(form = ~ age), nlme::varIdent(form = ~ 1 | Sex), nlme::varPower()
  )) {
    expect_warning(
      fit <- lmm(distance ~ age + (1 | Subject), d, weights = weights, control = soon),
      "time limit", class = "ferrolmm_warning_convergence"
    )
    expect_identical(fit$certificate$status, "time-limit")
    expect_identical(fit$certificate$evaluations, 1L)
    ## which can be looked at
    expect_match(capture.output(print(summary(fit))), "time limit", all = FALSE)
  }
})

test_that("a time limit counts what comes before the first evaluation", {
  late <- function(x, seconds) {
    Sys.sleep(seconds)
    x
  }
  soon <- lmm_control(time_limit = 0.01)
  expect_error(
    lmm(distance ~ late(age, 0.6) + (1 | Subject), nlme::Orthodont, control = soon),
    class = "ferrolmm_error_time_limit"
  )
  ## a little is no reason to have nothing
  expect_warning(
    fit <- lmm(distance ~ late(age, 0.05) + (1 | Subject), nlme::Orthodont, control = soon),
    class = "ferrolmm_warning_convergence"
  )
  expect_identical(fit$certificate$status, "time-limit")
})

test_that("a time limit holds for all that one call does", {
  skip_on_cran()
  d <- data.frame(
    x = sin(1:3000), z = cos(2 * (1:3000)), a = rep(1:300, each = 10), b = 1 + (1:3000 * 7) %% 190
  )
  set.seed(1)
  d$y <- d$x + rnorm(300)[d$a] + 0.3 * rnorm(300)[d$a] * d$x + rnorm(200)[d$b] + rnorm(3000)
  limit <- lmm_control(time_limit = 1)
  fit <- lmm(y ~ x + (x | a) + (1 | b), d, control = limit)
  small <- lmm(y ~ 1 + (x | a) + (1 | b), d, control = limit)
  ## ten parameters to profile
  wide <- suppressMessages(lmm(y ~ x + z + (x + z | a) + (x | b), d, control = limit))
  profiled <- "(profile[(]|confint[(])fit(?=.*profile|[)])"
  responses <- matrix(rnorm(3000 * 2000), 3000) + d$y
  long <- c("refit_many", "profile", "confint_boot", "bootstrap", "pb_test", "ranova",
            "influence_rows", "plot")
  for (name in long) {
    work <- gsub("500", "20000", long_methods[[name]])
    work <- parse(text = sub(profiled, "\\1wide", work, perl = TRUE))
    ## without the limit each takes minutes
    expect_error(eval(work), class = "ferrolmm_error_time_limit")
  }
  expect_error(
    suppressWarnings(bootstrap(fit, nsim = 20000, FUN = fixef)), class = "ferrolmm_error_time_limit"
  )
})

test_that("a time limit reaches into an evaluation of the criterion", {
  skip_on_cran()
  set.seed(1)
  n <- 4500L
  k <- 30L
  d <- data.frame(id = rep(seq_len(n / k), each = k), v = factor(rep_len(1:k, n)), x = rnorm(n))
  d$y <- rnorm(n)
  ## nothing to return before the first evaluation; X'X of aliased columns is a library's work
  d$f <- factor(rep_len(1:1500, n))
  d$alias <- as.numeric(d$f == "7")
  soon <- lmm_control(time_limit = 0.05)
  expect_error(lmm(y ~ f + alias + (1 | v), d, control = soon), class = "ferrolmm_error_time_limit")
  ## derivatives at the only point take seconds, its value does not; they are not begun again
  fit <- NULL
  limit <- 0.05
  while (is.null(fit) && limit < 100) {
    limit <- 1.3 * limit
    fit <- tryCatch(
      suppressWarnings(
        lmm(y ~ x, d, residual = ~ us(v | id), control = lmm_control(time_limit = limit))
      ),
      ferrolmm_error_time_limit = function(e) NULL
    )
  }
  expect_identical(fit$certificate$status, "time-limit")
  expect_lt(fit$certificate$evaluations, 5L)
  expect_true(all(is.finite(c(fixef(fit), sigma(fit), logLik(fit)))))
  expect_match(capture.output(print(fit)), "time limit", all = FALSE)
  expect_output(print(fit$certificate))
})

test_that("what a method fits on its way is not taken for the optimum where time is over", {
  soon <- lmm_control(time_limit = 1e-9)
  d <- nlme::Orthodont
  fit <- lmm(distance ~ age + (age | Subject), d)
  fit$control <- soon
  refits <- suppressWarnings(
    list(refit(fit, d$distance), refitML(fit), update(fit, . ~ . + Sex, control = soon))
  )
  for (refitted in refits) {
    expect_identical(refitted$certificate$status, "time-limit")
  }
  other <- suppressWarnings(update(fit, . ~ . + Sex))
  expect_error(suppressMessages(anova(fit, other)), class = "ferrolmm_error_time_limit")
})

test_that("more parameters than rows are refused at once", {
  set.seed(1)
  n <- 72
  d <- data.frame(y = rnorm(n), x = rnorm(n), g = factor(rep(1:12, 6)), v = factor(seq_len(n)))
  refused <- function(...) {
    expect_error(lmm(...), class = "ferrolmm_error_too_many_parameters")
  }
  refused(y ~ 1 + (1 | g), d, correlation = nlme::corSymm(form = ~ x | g))
  refused(y ~ 1, d, residual = ~ us(v | g))
  refused(y ~ 1, d, weights = nlme::varIdent(form = ~ 1 | v))
  ## fixed effects, covariance parameters and sigma together
  m <- matrix(rnorm(n * 65), n)
  refused(y ~ m + (m[, 1:3] | g), d)
  expect_s3_class(suppressMessages(lmm(y ~ m[, 1:40] + (m[, 1:2] | g), d)), "lmm")
  ## no names for millions of parameters
  large <- data.frame(y = rnorm(4000), x = rnorm(4000), g = rep(1:400, 10))
  refused(y ~ 1, large, correlation = nlme::corSymm(form = ~ x | g))
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
