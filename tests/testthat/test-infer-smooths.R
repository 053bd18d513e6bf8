d <- smooth_data_of()

test_that("edf, Ref.df, F and p-values are those of summary() of a gam", {
  weak <- d
  set.seed(5)
  weak$y <- 0.25 * weak$y + rnorm(nrow(weak), sd = 0.8)
  formulas <- list(
    y ~ f + s(x) + (1 | g), y ~ s(x, bs = "cr") + s(z, k = 5) + (1 | g),
    y ~ f + s(x, by = f) + (1 | g), y ~ s(x, bs = "cc") + (1 | g),
    y ~ s(x, bs = "ts") + (1 | g), y ~ s(x, f, bs = "fs", k = 4) + (1 | g),
    y ~ s(x) + s(g, bs = "re"), y ~ s(x)
  )
  for (formula in formulas) {
    for (data in list(d, weak)) {
      fit <- suppressMessages(lmm(formula, data))
      # a penalty at infinity: gam() stops on the way there
      if (isSingular(fit, 1e-3)) next
      ours <- smooths(fit)
      theirs <- summary(gam_twin(formula, data))$s.table[rownames(ours), , drop = FALSE]
      expect_equal(as.matrix(ours), theirs, ignore_attr = TRUE, tolerance = 1e-3,
                   label = deparse1(formula))
    }
  }
})

test_that("the test of t2() is that of its coefficients with their covariance", {
  # summary() of 'mgcv' 1.8-41 takes R of the fit, which is in other coordinates than coef() there
  formula <- y ~ t2(x, z) + (1 | g)
  fit <- suppressMessages(lmm(formula, d))
  twin <- gam_twin(formula, d)
  at <- seq.int(twin$smooth[[1]]$first.para, twin$smooth[[1]]$last.para)
  v <- twin$Vp[at, at]
  r <- qr.R(qr(model.matrix(twin)[, at], tol = 0))
  f <- drop(r %*% coef(twin)[at])
  parts <- eigen(r %*% v %*% t(r), symmetric = TRUE)
  rank <- sum(twin$edf1[at])
  a <- drop(crossprod(parts$vectors, f)) / sqrt(parts$values) *
    ifelse(parts$vectors[1, ] < 0, -1, 1)
  k <- floor(rank)
  v <- rank - k
  statistic <- sum(a[seq_len(k)]^2) + v * a[k + 1]^2 + 2 * sqrt(v * (1 - v) / 2) * a[k] * a[k + 1]
  expect_equal(smooths(fit)$Ref.df, rank, tolerance = 1e-3)
  expect_equal(smooths(fit)$F, statistic / rank, tolerance = 1e-3)
})

test_that("p-values under the null are as small as they say", {
  skip_on_cran()
  set.seed(11)
  p <- replicate(60, {
    x <- runif(80)
    smooths(suppressMessages(lmm(rnorm(80) ~ s(x, k = 6))))[["Pr(>F)"]]
  })
  expect_gt(stats::binom.test(sum(p < 0.1), 60, 0.1)$p.value, 0.001)
})

test_that("a smooth of zero variance has its straight line alone", {
  set.seed(2)
  line <- data.frame(x = runif(100), g = gl(10, 10))
  line$y <- line$x + rnorm(10)[line$g] + rnorm(100)
  line$y <- line$y + 0 * line$x
  fit <- suppressMessages(lmm(y ~ s(x) + (1 | g), line))
  if (fit$theta[["s(x).smooth"]] == 0) {
    expect_equal(smooths(fit)$edf, 1)
    expect_equal(smooths(fit)$Ref.df, 1)
  }
  expect_no_message(lmm(y ~ s(x) + (1 | g), line), class = "ferrolmm_message_singular")
})

test_that("smooths() prints, and says that there are none", {
  fit <- lmm(y ~ f + s(x) + (1 | g), d)
  expect_output(print(smooths(fit)), "edf Ref.df")
  none <- smooths(lmm(y ~ x + (1 | g), d))
  expect_identical(dim(none), c(0L, 4L))
  expect_output(print(none), "No smooth terms")
  expect_error(smooths(lm(y ~ x, d)), class = "ferrolmm_error_argument")
})
