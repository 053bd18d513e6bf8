# Complete blocks: the F test of treatments is exact, and its power known.
complete_blocks <- function(blocks = 8L) {
  data <- expand.grid(treatment = factor(letters[1:3]), block = factor(seq_len(blocks)))
  data$y <- sin(seq_len(nrow(data))^2)
  data
}

test_that("power is that of the noncentral F where that is exact", {
  data <- complete_blocks()
  fit <- quietly(lmm(y ~ treatment + (1 | block), data))
  effects <- c(1, 0.6, 1.1)
  parameters <- list(beta = effects, theta = 1.3, sigma = 0.9)
  means <- c(0, 0.6, 1.1)
  noncentral <- 8 * sum((means - mean(means))^2) / 0.9^2
  expected <- stats::pf(stats::qf(0.95, 2, 14), 2, 14, ncp = noncentral, lower.tail = FALSE)
  for (ddf in c("Satterthwaite", "Kenward-Roger")) {
    found <- power(fit, "treatment", nsim = 600, newparams = parameters, ddf = ddf, seed = 5,
                   level = 0.999)
    expect_true(found$conf.low < expected && expected < found$conf.high)
    expect_identical(found$failed, 0)
  }
  # one contrast: noncentral t; and a null effect rejects at the level
  single <- power(
    fit, list(one = "treatmentc = 0", null = "treatmentc = 1.1",
              both = c("treatmentb", "treatmentc")),
    nsim = 600, newparams = parameters, seed = 5, level = 0.999
  )
  t <- stats::pf(stats::qf(0.95, 1, 14), 1, 14, ncp = 8 * 1.1^2 / (2 * 0.9^2), lower.tail = FALSE)
  expect_identical(single$test, c("one", "null", "both"))
  expect_true(all(single$conf.low < c(t, 0.05, expected) & c(t, 0.05, expected) < single$conf.high))
})

test_that("p-values are those of anova() and contest() of each refit", {
  fits <- list(
    our_twin("slope"), our_twin("weighted"), our_twin("offset"), our_twin("deficient"),
    lmm(distance ~ age * Sex, nlme::Orthodont, residual = ~ ar1(1 | Subject)),
    lmm(distance ~ age * Sex + (1 | Subject), nlme::Orthodont, REML = FALSE)
  )
  for (fit in fits) {
    for (ddf in c("Satterthwaite", "Kenward-Roger")) {
      p <- suppressMessages(p_values_of_simulations(
        fit, list(test = NULL, nsim = 3L, ddf = ddf, seed = 9, threads = NULL)
      ))
      responses <- simulate(fit, 3, seed = 9)
      for (i in 1:3) {
        refitted <- suppressMessages(refit(fit, responses[[i]]))
        table <- suppressMessages(anova(refitted, ddf = ddf))
        expect_equal(p[i, ], table[colnames(p), "Pr(>F)"], tolerance = 1e-6, ignore_attr = TRUE)
      }
    }
  }
  fit <- our_twin("slope")
  p <- p_values_of_simulations(fit, list(
    test = list("Days = 9", function(m) contest(m, "Days = 9")[["Pr(>F)"]]), nsim = 3L,
    ddf = "Satterthwaite", seed = 2, threads = 1L
  ))
  expect_equal(p[, 1L], p[, 2L], tolerance = 1e-6)
})

test_that("limits are those of Clopper and Pearson", {
  expected <- stats::binom.test(7, 50)$conf.int
  expect_equal(unlist(binomial_limits(7, 50, 0.95)), as.vector(expected), ignore_attr = TRUE)
  expect_identical(binomial_limits(0, 50, 0.95)$conf.low, 0)
  expect_identical(binomial_limits(50, 50, 0.95)$conf.high, 1)
})

test_that("a formula, a design and parameters are enough", {
  plan <- expand.grid(time = 0:3, subject = 1:10)
  plan$treated <- plan$subject %% 2
  parameters <- list(beta = c(10, 1, 0, 0.5), theta = c(1, 0, 0.3), sigma = 2)
  found <- power(
    ~ time * treated + (time | subject), "time:treated", nsim = 20, newdata = plan,
    newparams = parameters, seed = 3, along = list(subject = c(10, 24))
  )
  expect_identical(found$subject, c(10, 24))
  found <- power(~ time * treated + (time | subject), "time:treated", nsim = 20, newdata = plan,
                 newparams = parameters, seed = 3)
  # the design of the same size is the plan itself
  plan$y <- 1 + sin(seq_len(nrow(plan)))
  fit <- quietly(lmm(y ~ time * treated + (time | subject), plan))
  same <- power(fit, "time:treated", nsim = 20, newparams = parameters, seed = 3)
  expect_identical(found$power[[1L]], same$power)
  structured <- power(
    y ~ time, "time", nsim = 5, newdata = plan, residual = ~ ar1(1 | subject), seed = 1,
    newparams = list(beta = c(1, 0.4), sigma = 1, phi = 0.5)
  )
  expect_identical(structured$nsim, 5L)
  expect_error(power(~ time + (1 | subject), newdata = plan), "newparams", class = "ferrolmm_error")
  expect_error(power(~ time + (1 | subject)), "newdata", class = "ferrolmm_error")
})

test_that("the generator is left as it was, and a seed repeats", {
  fit <- our_twin("slope")
  set.seed(1)
  before <- .Random.seed
  first <- power(fit, "Days", nsim = 5, seed = 3)
  expect_identical(.Random.seed, before)
  expect_identical(first, power(fit, "Days", nsim = 5, seed = 3, threads = 1))
})

test_that("replicates without a p-value count as not rejecting", {
  fit <- our_twin("slope")
  count <- 0
  sometimes <- function(m) {
    count <<- count + 1
    if (count %% 2 == 0) stop("no") else 0
  }
  found <- power(fit, list(function(m) NA_real_, sometimes, function(m) 0), nsim = 4, seed = 1)
  expect_identical(found$power, c(0, 0.5, 1))
  expect_identical(found$failed, c(4, 2, 0))
  expect_error(power(fit, function(m) "a", nsim = 2), "p-value", class = "ferrolmm_error")
  expect_error(power(fit, function(m) 2, nsim = 2), "p-value", class = "ferrolmm_error")
  expect_error(power(fit, function(m) stop("typo"), nsim = 2), "typo",
               class = "ferrolmm_error_test")
})

test_that("what cannot be meant is an error", {
  fit <- our_twin("slope")
  expect_snapshot(error = TRUE, {
    power(fit, "Dais")
    power(lmm(distance ~ age + Sex + (1 | Subject), nlme::Orthodont), c("age", "Sex"))
    power(fit, list())
    power(fit, c(0, 0))
    power(fit, ddf = "none")
    power(fit, along = c(Subject = 3))
    power(fit, along = list(Days = 3))
    power(fit, along = list(Subject = 1.5))
    power(fit, newparams = list(beta = 1))
    power(fit, alpha = 5)
    power(fit, fixef = 1)
    power("text")
  })
  expect_error(power(our_twin("deficient"), "I(2 * Days)", nsim = 2), "no coefficient",
               class = "ferrolmm_error")
  expect_s3_class(power(0.5), "link-glm")
})

test_that("power() prints a table", {
  fit <- lmm(distance ~ age * Sex + (1 | Subject), nlme::Orthodont)
  found <- power(fit, nsim = 20, seed = 1, along = list(Subject = c(9, 18)))
  expect_snapshot(found)
  expect_named(as.data.frame(found), c("test", "Subject", "power", "conf.low", "conf.high", "nsim",
                                       "failed"))
})

# The model that a function of `test` sees
seen_by_test <- function(fit, ...) {
  seen <- NULL
  power(fit, function(m) {
    seen <<- m
    0.5
  }, nsim = 1, seed = 1, ...)
  seen
}

test_that("variances stay with their factors when another has more levels", {
  set.seed(1)
  d <- expand.grid(subj = factor(1:16), item = factor(1:20))
  d$cond <- as.integer(d$item) %% 2
  d$y <- 0.45 * d$cond + rnorm(16, 0, 2)[d$subj] + rnorm(20, 0, 0.3)[d$item] + rnorm(320)
  fit <- lmm(y ~ cond + (1 | subj) + (1 | item), d)
  expect_identical(names(fit$cnms), c("item", "subj"))
  larger <- seen_by_test(fit, along = list(subj = 60))
  expect_identical(names(larger$cnms), c("subj", "item"))
  variances <- vapply(VarCorr(larger), as.vector, 0)
  expect_gt(variances[["subj"]], 5 * variances[["item"]])
})

test_that("bases, levels, contrasts and strata are those of the fit on any design", {
  set.seed(2)
  d <- expand.grid(t = 1:4, id = 1:60)
  d$arm <- factor(c("placebo", "low", "high")[d$id %% 3 + 1], levels = c("placebo", "low", "high"))
  d$y <- c(0, 1, 4)[d$arm] + 0.5 * d$t + rnorm(60, 0, 0.3)[d$id] + rnorm(240, 0, 0.3)
  fit <- lmm(y ~ arm + poly(t, 1) + (1 | id), d)
  as_text <- transform(d, arm = as.character(arm), t = 3 * t)
  means <- tapply(seen_by_test(fit, newdata = as_text)$frame[[1]], as_text$arm, mean)
  # the slope of t goes on, 0.5 at each of 3, 6, 9, 12
  expect_equal(as.vector(means[c("placebo", "low", "high")]), c(0, 1, 4) + 0.5 * 7.5,
               tolerance = 0.1)
  expect_error(power(fit, "arm", newdata = transform(d, arm = "none"), nsim = 2), "none",
               class = "ferrolmm_error_newdata")
  by_sex <- lmm(distance ~ Sex + (1 | Subject), nlme::Orthodont,
                weights = nlme::varIdent(form = ~ 1 | Sex))
  turned <- as.data.frame(nlme::Orthodont)
  turned <- turned[order(turned$Sex, decreasing = TRUE), ]
  # the stratum of the first row is the reference
  turned <- rbind(turned, transform(turned, Subject = paste0(Subject, "b")))
  ratio <- seen_by_test(by_sex, newdata = turned)$phi
  expect_named(ratio, sub("Female", "Male", names(by_sex$phi)))
  expect_equal(unname(1 / ratio), unname(by_sex$phi), tolerance = 0.35)
})
