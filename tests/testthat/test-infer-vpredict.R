# 8 batches of 5: in a balanced one-way layout REML has the estimates of the analysis of variance.
balanced_batches <- function() {
  set.seed(4)
  data.frame(
    batch = factor(rep(1:8, each = 5)), y = rep(rnorm(8, sd = 1.2), each = 5) + rnorm(40)
  )
}

test_that("an intraclass correlation has the standard error of the analysis of variance", {
  data <- balanced_batches()
  fit <- lmm(y ~ 1 + (1 | batch), data)
  squares <- stats::anova(stats::lm(y ~ batch, data))[["Mean Sq"]]
  a <- squares[[1]]
  e <- squares[[2]]
  # d icc / d(a, e) of (a - e) / (a + 4 e); mean squares have variance 2 ms^2 / df
  slope <- c(5 * e, -5 * a) / (a + 4 * e)^2
  expected <- sqrt(sum(slope^2 * 2 * squares^2 / c(7, 32)))
  found <- vpredict(fit, icc ~ V1 / (V1 + V2))
  expect_identical(dimnames(found), list("icc", c("estimate", "se", "conf.low", "conf.high")))
  expect_equal(found$estimate, (a - e) / (a + 4 * e), tolerance = 1e-7)
  expect_equal(found$se, expected, tolerance = 1e-6)
  # a share has its limits on the logistic scale
  half <- stats::qnorm(0.975) * found$se / (found$estimate * (1 - found$estimate))
  expect_equal(c(found$conf.low, found$conf.high),
               stats::plogis(stats::qlogis(found$estimate) + c(-half, half)), tolerance = 1e-10)
})

test_that("profile limits are where the criterion has risen, all else fitted again", {
  data <- balanced_batches()
  fit <- lmm(y ~ 1 + (1 | batch), data)
  rise <- function(icc) {
    held <- lmm_control(hold = c("batch.(Intercept)" = sqrt(icc / (1 - icc))))
    REMLcrit(lmm(y ~ 1 + (1 | batch), data, control = held)) - REMLcrit(fit)
  }
  found <- vpredict(fit, icc ~ V1 / (V1 + V2), method = "profile", level = 0.9)
  expect_equal(rise(found$conf.low), stats::qchisq(0.9, 1), tolerance = 1e-5)
  expect_equal(rise(found$conf.high), stats::qchisq(0.9, 1), tolerance = 1e-5)
  # the same by sums of variances of other forms, constants from where the formula stands
  two <- 2
  same <- vpredict(
    fit, list(~ 1 - V2 / (V1 + V2), ~ sqrt(exp(two * log((.sig01 / sqrt(.sig01^2 + sigma^2))^2)))),
    method = "profile", level = 0.9
  )
  expect_equal(same$conf.low, rep(found$conf.low, 2), tolerance = 1e-5)
  expect_equal(same$conf.high, rep(found$conf.high, 2), tolerance = 1e-5)
  expect_equal(same$se, rep(found$se, 2), tolerance = 1e-8)
})

test_that("the profile of a parameter is that of profile()", {
  fits <- list(
    our_twin("slope"),
    lmm(distance ~ age + Sex, nlme::Orthodont, residual = ~ ar1h(ordered(age) | Subject)),
    lmm(distance ~ age + ar1(0 + factor(age) | Subject), nlme::Orthodont)
  )
  for (fit in fits) {
    names <- head(parameter_names(fit, FALSE), count_variance(fit))
    formulas <- lapply(names, function(name) eval(call("~", as.name(name))))
    found <- vpredict(fit, formulas, method = "profile")
    expected <- confint(fit, "theta_", method = "profile", oldNames = FALSE)
    expect_equal(as.matrix(found[3:4]), expected, tolerance = 1e-5, ignore_attr = TRUE)
    expect_equal(found$se, varcorr_uncertainty(fit)$se.sdcor, tolerance = 1e-7)
  }
})

test_that("components are the rows of VarCorr(), with their standard errors", {
  fits <- list(
    our_twin("slope"), our_twin("crossed"), our_twin("shared_factor"),
    lmm(distance ~ age + Sex, nlme::Orthodont, residual = ~ us(ordered(age) | Subject)),
    lmm(distance ~ age + Sex, nlme::Orthodont, residual = ~ ar1h(ordered(age) | Sex / Subject)),
    lmm(distance ~ age + (1 | Subject), nlme::Orthodont,
        weights = nlme::varIdent(form = ~ 1 | Sex)),
    lmm(distance ~ age + ar1(0 + factor(age) | Subject), nlme::Orthodont)
  )
  for (fit in fits) {
    table <- as.data.frame(VarCorr(fit, se = TRUE))
    found <- vpredict(fit)
    expect_identical(found$component, paste0("V", seq_len(nrow(table))))
    expect_equal(found[c("grp", "var1", "var2")], table[c("grp", "var1", "var2")])
    expect_equal(found$estimate, table$vcov)
    expect_equal(found$se, table$se.vcov, tolerance = 1e-7)
  }
})

test_that("correlations of visits are functions like others", {
  fit <- lmm(distance ~ age + Sex, nlme::Orthodont, residual = ~ us(ordered(age) | Subject))
  found <- vpredict(fit, r ~ V5 / sqrt(V1 * V2))
  own <- as.data.frame(VarCorr(fit, se = TRUE))[5, ]
  expect_equal(unlist(found), unlist(own[c("sdcor", "se.sdcor", "conf.low", "conf.high")]),
               tolerance = 1e-6, ignore_attr = TRUE)
})

test_that("a covariance that is no product of parameters is a function of them", {
  data <- nlme::Orthodont
  data$visit <- data$age / 2 - 3
  fit <- lmm(distance ~ age, data, correlation = nlme::corARMA(form = ~ visit | Subject, p = 2),
             weights = nlme::varIdent(form = ~ 1 | visit))
  table <- as.data.frame(VarCorr(fit, se = TRUE))
  expect_equal(vpredict(fit)$se, table$se.vcov, tolerance = 1e-5)
  row <- which(!is.na(table$var2))[[2L]]
  formula <- eval(call("~", as.name(paste0("V", row))))
  expect_snapshot(vpredict(fit, formula, method = "profile"), error = TRUE)
})

test_that("limits at a boundary are exact, and a standard error is missing with a word", {
  e <- new.env()
  utils::data("Dyestuff2", package = "lme4", envir = e)
  fit <- suppressMessages(lmm(Yield ~ 1 + (1 | Batch), e$Dyestuff2))
  expect_message(found <- vpredict(fit, h2 ~ V1 / (V1 + V2)), "boundary",
                 class = "ferrolmm_message_boundary")
  expect_identical(found$estimate, 0)
  expect_identical(found$se, NA_real_)
  profiled <- vpredict(fit, h2 ~ V1 / (V1 + V2), method = "profile")
  expect_identical(profiled$conf.low, 0)
  rise <- function(icc) {
    held <- lmm_control(hold = c("Batch.(Intercept)" = sqrt(icc / (1 - icc))))
    REMLcrit(lmm(Yield ~ 1 + (1 | Batch), e$Dyestuff2, control = held)) - REMLcrit(fit)
  }
  expect_equal(rise(profiled$conf.high), stats::qchisq(0.95, 1), tolerance = 1e-3)
})

test_that("the bootstrap has the quantiles of its replicates", {
  fit <- our_twin("slope")
  found <- vpredict(fit, list(v ~ V1, r ~ V3 / sqrt(V1 * V2)), method = "boot", nsim = 60, seed = 3)
  replicates <- bootstrap(fit, nsim = 60, seed = 3)$t
  v <- stats::quantile(replicates[, 1]^2, c(0.025, 0.975), type = 6, names = FALSE)
  r <- stats::quantile(replicates[, 2], c(0.025, 0.975), type = 6, names = FALSE)
  expect_equal(unlist(found["v", 3:4]), v, tolerance = 1e-8, ignore_attr = TRUE)
  expect_equal(unlist(found["r", 3:4]), r, tolerance = 1e-8, ignore_attr = TRUE)
  expect_equal(found["v", "se"], stats::sd(replicates[, 1]^2), tolerance = 1e-8)
})

test_that("functions that are no number are said to be none", {
  fit <- our_twin("slope")
  for (method in c("delta", "profile")) {
    expect_message(
      found <- vpredict(fit, list(a ~ log(V1 - 1e6), b ~ V1), method = method), "`a`"
    )
    expect_true(all(is.na(found["a", -1L])) && is.finite(found["b", "se"]))
  }
  expect_message(
    found <- vpredict(fit, a ~ log(V1 - V1 * .sig01 / .sig01 + .sig01 - 25), method = "boot",
                      nsim = 30, seed = 1), "of 30 replicates"
  )
  expect_true(is.finite(found$se))
})

test_that("what is held or known does not vary", {
  data <- balanced_batches()
  fit <- lmm(y ~ 1 + (1 | batch), data, control = lmm_control(sigma = 1))
  found <- vpredict(fit, list(V1 ~ V1, icc ~ V1 / (V1 + V2), both ~ V1 + V2))
  expect_identical(vpredict(fit)$se[[2]], 0)
  v <- found["V1", "estimate"]
  expect_equal(found$se, found["V1", "se"] * c(1, 1 / (1 + v)^2, 1), tolerance = 1e-6)
  held <- lmm(y ~ 1 + (1 | batch), data, control = lmm_control(hold = c("batch.(Intercept)" = 0.5)))
  expect_equal(vpredict(held, icc ~ V1 / (V1 + V2))$se, 0, tolerance = 1e-8)
  expect_warning(
    still <- vpredict(held, icc ~ V1 / (V1 + V2), method = "profile"), "does not reach"
  )
  expect_true(all(is.na(still[3:4])))
})

test_that("functions are of one of four kinds, whatever the estimate", {
  fit <- our_twin("slope")
  components <- variance_components(fit)
  kind <- function(formula) read_functions(formula, components, fit)[[1L]]$kind
  expect_identical(kind(~ V1 / (V1 + V4)), "unit")
  expect_identical(kind(~ V1 + V4), "positive")
  expect_identical(kind(~ 4 * V1 / (V1 + V4)), "positive")
  expect_identical(kind(~ V3 / sqrt(V1 * V2)), "correlation")
  expect_identical(kind(~ V1 - V4), "real")
  expect_identical(kind(~ V3), "real")
  before <- globalenv()[[".Random.seed"]]
  kind(~ V3)
  expect_identical(globalenv()[[".Random.seed"]], before)
})

test_that("wrong formulas are errors that say what there is", {
  fit <- our_twin("slope")
  V9 <- 3
  expect_snapshot(error = TRUE, {
    vpredict(fit, ~ V1 / V9)
    vpredict(fit, "V1")
    vpredict(fit, list())
    vpredict(fit, h2 ~ 1 + 1)
    vpredict(fit, ~ V1 / unknown)
    vpredict(fit, ~ c(V1, V2))
    vpredict(fit, ~ cos(V1), method = "profile")
    vpredict(fit, ~ V1, nsim = 10)
    vpredict(fit, method = "profile")
    vpredict(fit, V1)
    vpredict(fit, xform = ~ V1)
  })
  twice <- lmm(Reaction ~ Days + (1 | Subject) + (0 + Days | Subject) + (1 | Subject:g),
               transform(lme4::sleepstudy, g = Days > 4))
  expect_identical(nrow(vpredict(twice)), 4L)
})

test_that("models without random effects and fits of moments have functions, too", {
  gls <- lmm(distance ~ age, nlme::Orthodont, residual = ~ cs(1 | Subject))
  expect_equal(vpredict(gls, ~ residual.rho)$se,
               attr(VarCorr(gls, se = TRUE), "residual")$std.error, tolerance = 1e-7)
  fit <- our_twin("slope")
  moments <- lmm(formula(fit), lmm_moments(formula(fit), model.frame(fit)))
  share <- ~ V1 / (V1 + V4)
  for (method in c("delta", "profile")) {
    expect_equal(vpredict(moments, share, method = method), vpredict(fit, share, method = method),
                 tolerance = 1e-5)
  }
})
