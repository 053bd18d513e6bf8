test_that("vcov(which = \"theta\") has the standard errors of VarCorr(), and is their covariance", {
  fits <- list(
    our_twin("slope"), our_twin("crossed"),
    lmm(distance ~ age + Sex, nlme::Orthodont, residual = ~ us(ordered(age) | Subject)),
    lmm(distance ~ age + (1 | Subject), nlme::Orthodont, REML = FALSE,
        weights = nlme::varIdent(form = ~ 1 | Sex))
  )
  for (fit in fits) {
    count <- count_variance(fit)
    v <- vcov(fit, which = "theta")
    expect_identical(rownames(v), head(parameter_names(fit, FALSE), count))
    expect_identical(v, t(v))
    expect_equal(unname(sqrt(diag(v))), varcorr_uncertainty(fit)$se.sdcor, tolerance = 1e-7)
  }
})

test_that("it is the inverse of the Hessian of lme4's criterion, by differences", {
  skip_if_not_installed("lme4")
  fit <- our_twin("crossed")
  peer <- lme4_twin("crossed")
  deviance_at <- lme4::lmer(formula(peer), model.frame(peer), REML = lme4::isREML(peer),
                            devFunOnly = TRUE)
  n <- nobs(peer) - if (lme4::isREML(peer)) length(lme4::fixef(peer)) else 0
  # 2 log likelihood in standard deviations: the profiled one has sigma^2 = q / n
  criterion <- function(sd) {
    profiled <- deviance_at(head(sd, -1) / tail(sd, 1))
    q <- environment(deviance_at)$resp$wrss() + environment(deviance_at)$pp$sqrL(1)
    profiled - n * (log(2 * pi * q / n) + 1) + n * log(2 * pi * tail(sd, 1)^2) + q / tail(sd, 1)^2
  }
  at <- natural_parameters(fit)
  hessian <- stats::optimHess(at, criterion, control = list(ndeps = 1e-3 * at))
  expect_equal(unname(vcov(fit, which = "theta")), 2 * solve(hessian), tolerance = 1e-3,
               ignore_attr = TRUE)
})

test_that("variances have the covariances of Wishart matrices where the layout is complete", {
  data <- as.data.frame(nlme::Orthodont)
  data$visit <- factor(data$age)
  fit <- lmm(distance ~ visit * Sex, data, residual = ~ us(visit | Subject))
  table <- vpredict(fit)
  v <- vcov(fit, which = "theta", scale = "vcov")
  # sigma^2 is the variance of the first visit
  expect_equal(v["sigma2", "sigma2"], 2 * table$estimate[[1]]^2 / 25, tolerance = 1e-6)
  slope <- lmm(distance ~ age + (age | Subject), nlme::Orthodont)
  v <- vcov(slope, which = "theta", scale = "vcov")
  expect_identical(rownames(v), c("var_(Intercept)|Subject", "cov_age.(Intercept)|Subject",
                                  "var_age|Subject", "sigma2"))
  expect_equal(unname(sqrt(diag(v))[c(1, 3, 2, 4)]), vpredict(slope)$se, tolerance = 1e-9)
})

test_that("parameters at their boundary are NA, held ones zero", {
  e <- new.env()
  utils::data("Dyestuff2", package = "lme4", envir = e)
  fit <- suppressMessages(lmm(Yield ~ 1 + (1 | Batch), e$Dyestuff2))
  v <- vcov(fit, which = "theta")
  expect_true(all(is.na(v[1, ])) && is.finite(v[2, 2]))
  known <- lmm(Yield ~ 1 + (1 | Batch), lme4::Dyestuff, control = lmm_control(sigma = 50))
  v <- vcov(known, which = "theta")
  expect_identical(v[["sigma", "sigma"]], 0)
  expect_true(v[[1, 1]] > 0)
})

test_that("arguments of one matrix are refused with the other", {
  fit <- our_twin("slope")
  expect_snapshot(error = TRUE, {
    vcov(fit, which = "theta", full = TRUE)
    vcov(fit, scale = "vcov")
    vcov(fit, which = "phi")
  })
  v <- vcov(fit, which = "theta", correlation = TRUE)
  expect_equal(attr(v, "correlation"), stats::cov2cor(v), ignore_attr = TRUE)
})

test_that("a variance of zero has no covariance, and no warning of base R", {
  components <- list(values = c(0, 4), covariance = diag(2))
  expect_silent(gradient <- component_gradient(components, quote(sqrt(.b1) + .b2^2)))
  expect_identical(gradient[[1L]], NA_real_)
  expect_equal(gradient[[2L]], 8)
})
