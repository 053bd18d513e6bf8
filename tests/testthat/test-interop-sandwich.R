test_that("sandwiches of clusters are those of 'clubSandwich'", {
  skip_if_not_installed("sandwich")
  skip_if_not_installed("clubSandwich")
  d <- as.data.frame(nlme::Orthodont)
  d$visit <- factor(d$age)
  gaps <- d[-c(2, 9, 40), ]
  for (fit in list(
    lmm(distance ~ age * Sex + (age | Subject), gaps, weights = age),
    lmm(distance ~ age * Sex + (1 | Subject), gaps,
        correlation = nlme::corAR1(form = ~ 1 | Subject)),
    lmm(distance ~ Sex + visit, gaps, residual = ~ us(visit | Subject))
  )) {
    scores <- sandwich::estfun(fit)
    expect_identical(dim(scores), c(nobs(fit), length(fixef(fit))))
    # the estimating equations hold
    expect_lt(max(abs(colSums(scores)) / sqrt(colSums(scores^2))), 1e-6)
    expect_equal(sandwich::bread(fit), nobs(fit) * vcov(fit))
    wanted <- as.matrix(clubSandwich::vcovCR(fit, type = "CR0"))
    clusters <- length(unique(gaps$Subject))
    for (found in list(
      sandwich::sandwich(fit), sandwich::vcovCL(fit, cadjust = FALSE, type = "HC0"),
      sandwich::vcovCL(fit, cluster = gaps$Subject, cadjust = FALSE, type = "HC0"),
      sandwich::vcovCL(fit, cluster = gaps$Subject, type = "HC0") * (clusters - 1) / clusters
    )) {
      expect_equal(unname(found), unname(wanted), tolerance = 1e-8, ignore_attr = TRUE)
    }
  }
})

test_that("a model with a diagonal covariance matrix has the sandwich of gls()", {
  skip_if_not_installed("sandwich")
  d <- as.data.frame(nlme::Orthodont)
  fit <- lmm(distance ~ age + Sex, d, residual = ~ cs(1 | Subject))
  v <- nlme::getVarCov(nlme::gls(
    distance ~ age + Sex, d, correlation = nlme::corCompSymm(form = ~ 1 | Subject)
  ))
  x <- stats::model.matrix(~ age + Sex, d)
  inverse <- solve(matrix(v, 4L))
  r <- drop(d$distance - x %*% fixef(fit))
  scores <- t(vapply(split(seq_len(nrow(d)), d$Subject), function(at) {
    drop(t(x[at, ]) %*% inverse %*% r[at])
  }, numeric(3)))
  bread <- solve(Reduce(`+`, lapply(split(seq_len(nrow(d)), d$Subject), function(at) {
    t(x[at, ]) %*% inverse %*% x[at, ]
  })))
  expect_equal(
    sandwich::sandwich(fit), bread %*% crossprod(scores) %*% bread, tolerance = 1e-5,
    ignore_attr = TRUE
  )
})

test_that("estimates by single rows, and of crossed factors, are refused", {
  skip_if_not_installed("sandwich")
  fit <- our_twin("slope")
  for (f in list(sandwich::vcovHC, sandwich::vcovHAC, sandwich::vcovBS)) {
    expect_error(f(fit), "vcovCL", class = "ferrolmm_error_argument")
  }
  expect_error(sandwich::estfun(our_twin("crossed")), class = "ferrolmm_error_argument")
})
