test_that("replicates are the fits of simulated responses, whatever the threads", {
  fit <- our_twin("weighted")
  one <- bootstrap(fit, 20, seed = 4, threads = 1)
  two <- bootstrap(fit, 20, seed = 4, threads = 2)
  expect_identical(one$t, two$t)
  responses <- simulate(fit, 20, seed = 4)
  for (i in c(1, 20)) {
    again <- suppressMessages(refit(fit, responses[[i]]))
    expect_equal(
      unname(one$t[i, ]),
      c(as.data.frame(VarCorr(again), order = "lower.tri")$sdcor, unname(fixef(again)),
        REMLcrit(again)),
      tolerance = 1e-6
    )
  }
  expect_equal(unname(one$t0[c("Days", "criterion")]), c(fixef(fit)[["Days"]], REMLcrit(fit)))
})

test_that("replicates do not depend on how they are divided into batches", {
  fit <- our_twin("crossed")
  set.seed(1)
  whole <- simulate_batches(fit, 7, identity)
  set.seed(1)
  parts <- simulate_batches(fit, 7, identity, size = 3L)
  expect_identical(vapply(parts, ncol, 1L), c(3L, 3L, 1L))
  expect_equal(unname(do.call(cbind, parts)), unname(whole[[1]]))
})

test_that("the generator's state is restored after a seed, and goes on without one", {
  fit <- our_twin("crossed")
  set.seed(10)
  before <- .Random.seed
  bootstrap(fit, 2, seed = 1)
  expect_identical(.Random.seed, before)
  first <- bootstrap(fit, 2)
  second <- bootstrap(fit, 2)
  expect_false(identical(first$t, second$t))
  set.seed(10)
  expect_identical(bootstrap(fit, 2)$t, first$t)
  seeded <- bootstrap(fit, 2, seed = 1)
  kinds <- RNGkind("Wichmann-Hill")
  on.exit(RNGkind(kinds[[1]]))
  expect_false(identical(bootstrap(fit, 2, seed = 1)$t, seeded$t))
})

test_that("standard errors and intervals are those of the model", {
  fit <- our_twin("crossed")
  replicates <- bootstrap(fit, 600, seed = 1)
  table <- summary(replicates)
  expect_equal(table["(Intercept)", "se"], sqrt(vcov(fit)[[1]]), tolerance = 0.1)
  wald <- fixef(fit) + c(-1, 1) * qnorm(0.975) * sqrt(vcov(fit)[[1]])
  for (interval in c("perc", "basic", "norm")) {
    limits <- confint(replicates, "(Intercept)", interval = interval)
    expect_equal(unname(limits[1, ]), wald, tolerance = 0.01, info = interval)
  }
  expect_identical(rownames(confint(replicates)), c(".sig01", ".sig02", ".sigma", "(Intercept)"))
  # basic is perc mirrored at the estimate
  expect_equal(
    unname(confint(replicates, ".sigma", interval = "basic")[1, ]),
    2 * sigma(fit) - rev(unname(confint(replicates, ".sigma")[1, ]))
  )
  kept <- bootstrap(fit, 200, seed = 1, use.u = TRUE)
  expect_lt(summary(kept)["(Intercept)", "se"], 0.2 * table["(Intercept)", "se"])
})

test_that("boot::boot.ci() takes the result", {
  skip_if_not_installed("boot")
  replicates <- bootstrap(our_twin("crossed"), 199, seed = 2)
  theirs <- boot::boot.ci(replicates, index = 3, type = c("perc", "norm", "basic"))
  expect_equal(theirs$percent[4:5], unname(confint(replicates, ".sigma")[1, ]))
  expect_equal(theirs$basic[4:5], unname(confint(replicates, ".sigma", interval = "basic")[1, ]))
})

test_that("a statistic of one's own; failures are NA and counted", {
  fit <- our_twin("crossed")
  own <- bootstrap(fit, 10, FUN = function(m) c(s = sigma(m)), seed = 1)
  expect_equal(own$t[, "s"], bootstrap(fit, 10, seed = 1)$t[, ".sigma"])
  calls <- 0
  moody <- bootstrap(fit, 6, FUN = function(m) {
    calls <<- calls + 1
    if (calls %% 3 == 0) stop("not in the mood")
    fixef(m)
  }, seed = 1)
  expect_identical(sum(is.na(moody$t)), 2L)
  expect_identical(summary(moody)$used, 4)
  expect_output(print(moody), "2 failed.*not in the mood")
  expect_error(bootstrap(fit, 2, FUN = function(m) "a"), "numeric",
               class = "ferrolmm_error_argument")
  calls <- 0
  expect_error(
    bootstrap(fit, 2, FUN = function(m) {
      calls <<- calls + 1
      if (calls > 1) stop("never again")
      1
    }),
    "every replicate", class = "ferrolmm_error_argument"
  )
})

test_that("replicates at the boundary are counted, rows with missing values are no matter", {
  e <- new.env()
  utils::data("Pastes", package = "lme4", envir = e)
  replicates <- bootstrap(lmm(strength ~ 1 + (1 | batch / cask), e$Pastes), 50, seed = 1)
  expect_gt(sum(replicates$status == "singular"), 2)
  expect_output(print(replicates), "at the boundary, 0 failed")
  expect_false(anyNA(replicates$t))
  expect_identical(dim(bootstrap(our_twin("missing"), 3, seed = 1)$t), c(3L, 7L))
  expect_identical(
    colnames(bootstrap(our_twin("deficient"), 3, seed = 1)$t),
    c(".sig01", ".sigma", "(Intercept)", "Days", "latelate", "criterion")
  )
  expect_named(as.data.frame(replicates), names(replicates$t0))
})

test_that("bad arguments", {
  fit <- our_twin("crossed")
  expect_error(bootstrap(fit, 0), "nsim", class = "ferrolmm_error_argument")
  expect_error(bootstrap(fit, 5, type = "semiparametric"), "type",
               class = "ferrolmm_error_argument")
  expect_error(bootstrap(fit, 5, FUN = 1), "FUN", class = "ferrolmm_error_argument")
  expect_error(bootstrap(fit, 5, use.u = NA), "use.u", class = "ferrolmm_error_argument")
  expect_error(bootstrap(fit, 5, parallel = "snow"), "`parallel`",
               class = "ferrolmm_error_argument")
  expect_error(confint(bootstrap(fit, 5, seed = 1), "Days"), "names no statistic",
               class = "ferrolmm_error_argument")
})
