# Weights of samples: estimates, standard errors, and what is refused.

# The log pseudo-likelihood of each school with a random intercept, by numerical integration
integrated <- function(d, beta, tau, sigma) {
  vapply(split(d, d$school), function(own) {
    log_density <- function(u) {
      sum(own$w1 * dnorm(own$y, beta[[1]] + beta[[2]] * own$x + u, sigma, log = TRUE))
    }
    peak <- stats::optimize(log_density, c(-20, 20), maximum = TRUE)$objective
    inside <- function(u) vapply(u, function(v) exp(log_density(v) - peak), 0) * dnorm(u, 0, tau)
    own$w2[[1]] * (peak + log(stats::integrate(inside, -15, 15, rel.tol = 1e-11,
                                               subdivisions = 1000L)$value))
  }, 0)
}

test_that("the criterion is that of numerical integration", {
  d <- survey_data()
  fit <- lmm(y ~ x + (1 | school), d, REML = FALSE, weights = sampling_weights(w1, school = w2))
  tau <- sqrt(VarCorr(fit)$school[1, 1])
  at <- function(beta, tau, sigma) sum(integrated(d, beta, tau, sigma))
  best <- at(fixef(fit), tau, sigma(fit))
  expect_equal(-fit$criterion / 2, best, tolerance = 1e-8)
  # and it is the maximum
  expect_lt(at(fixef(fit) + c(0.05, 0), tau, sigma(fit)), best)
  expect_lt(at(fixef(fit), tau * 1.1, sigma(fit)), best)
  expect_lt(at(fixef(fit), tau, sigma(fit) * 0.95), best)
})

test_that("whole weights repeat rows, schools and districts", {
  skip_on_cran()
  d <- survey_data(3, 15, whole = TRUE)
  fit <- lmm(y ~ x + (x | district) + (1 | school), d, REML = FALSE,
             weights = sampling_weights(w1, school = w2, district = w3))
  copies <- do.call(rbind, lapply(seq_len(nrow(d)), function(i) {
    own <- d[i, ]
    all <- expand.grid(r = seq_len(own$w1), s = seq_len(own$w2), k = seq_len(own$w3))
    own <- own[rep(1, nrow(all)), ]
    own$school <- paste(own$school, all$s, all$k)
    own$district <- paste(own$district, all$k)
    own
  }))
  whole <- lmm(y ~ x + (x | district) + (1 | school), copies, REML = FALSE)
  expect_equal(-fit$criterion / 2, as.numeric(logLik(whole)), tolerance = 1e-10)
  expect_equal(fixef(fit), fixef(whole), tolerance = 1e-7)
  expect_equal(fit$theta, whole$theta, tolerance = 1e-6)
  expect_equal(sigma(fit), sigma(whole), tolerance = 1e-8)
  of <- function(fit, group, levels) as.matrix(ranef(fit)[[group]][levels, , drop = FALSE])
  own <- levels(d$school)
  expect_equal(of(fit, "school", own), of(whole, "school", paste(own, 1, 1)), tolerance = 1e-5,
               ignore_attr = TRUE)
  own <- levels(d$district)
  expect_equal(of(fit, "district", own), of(whole, "district", paste(own, 1)), tolerance = 1e-5,
               ignore_attr = TRUE)
  variances <- function(fit, group, levels) {
    modes <- ranef(fit)[[group]]
    attr(modes, "postVar")[, , match(levels, rownames(modes))]
  }
  expect_equal(variances(fit, "district", own), variances(whole, "district", paste(own, 1)),
               tolerance = 1e-5)
  own <- levels(d$school)
  expect_equal(variances(fit, "school", own), variances(whole, "school", paste(own, 1, 1)),
               tolerance = 1e-5)
  expect_equal(unname(fitted(fit)), unname(predict(whole, transform(
    d, school = paste(school, 1, 1), district = paste(district, 1)
  ))), tolerance = 1e-6)
  expect_equal(unname(residuals(fit)), d$y - unname(fitted(fit)))
})

test_that("the Hessian of the fixed effects alone gives other errors, nothing else", {
  d <- transform(lme4::sleepstudy, w = rep(c(1, 2, 1.5), 60L), v = as.integer(Subject) %% 3 + 1)
  fit <- function(...) {
    lmm(Reaction ~ Days + (Days | Subject), d, REML = FALSE,
        weights = sampling_weights(w, Subject = v, ...))
  }
  joint <- fit()
  fixed <- fit(information = "fixed")
  expect_identical(fixef(fixed), fixef(joint))
  expect_identical(vcov(fixed, which = "theta"), vcov(joint, which = "theta"))
  expect_equal(vcov(fixed), vcov(joint), tolerance = 0.2)
  expect_gt(max(abs(vcov(fixed) - vcov(joint))), 1e-6)
  expect_error(sampling_weights(w, information = "all"), class = "ferrolmm_error_argument")
})
