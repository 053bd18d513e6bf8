for_twins("R2, ICC and criteria", function(ours, theirs) {
  skip_if_not_installed("performance")
  skip_if(ours$rank == 0L)
  for (estimator in c("ML", "REML")) {
    wanted <- AIC(logLik(theirs, REML = estimator == "REML"))
    # lme4 2.1 has no likelihood of a fit with na.exclude
    skip_if(is.na(wanted))
    expect_equal(
      performance::performance_aic(ours, estimator = estimator), wanted, tolerance = 1e-7
    )
    expect_equal(
      performance::performance_aicc(ours, estimator = estimator),
      performance::performance_aicc(theirs, estimator = estimator), tolerance = 1e-7
    )
  }
  expect_equal(
    unname(unlist(performance::r2(ours))), unname(rev(r_squared(ours)))
  )
  expect_equal(performance::icc(ours)$ICC_adjusted, utils::tail(intraclass(ours)$adjusted, 1L))
  expect_equal(
    performance::performance_rmse(ours), performance::performance_rmse(theirs), tolerance = 1e-5
  )
  mine <- performance::model_performance(ours)
  expect_equal(mine$Sigma, sigma(ours))
  expect_equal(mine$R2_conditional, r_squared(ours)[["conditional"]])
  expect_identical(
    performance::check_singularity(ours), isSingular(ours, tol = 1e-5)
  )
})

test_that("R2 and ICC are those of the model of lmer()", {
  skip_if_not_installed("performance")
  skip_if_not_installed("lme4")
  for (name in c("slope", "ml", "crossed", "missing")) {
    ours <- our_twin(name)
    theirs <- lme4_twin(name)
    expect_equal(
      unname(unlist(performance::r2(ours))), unname(unlist(performance::r2(theirs))),
      tolerance = 1e-5
    )
    expect_equal(performance::icc(ours), performance::icc(theirs), tolerance = 1e-5)
    expect_equal(
      as.list(performance::model_performance(ours)),
      as.list(performance::model_performance(theirs)), tolerance = 1e-5
    )
  }
  d <- twin_data()$sleepstudy
  one <- lmm(Reaction ~ Days + (1 | Subject), d)
  other <- lme4::lmer(Reaction ~ Days + (1 | Subject), d)
  expect_equal(
    as.data.frame(performance::icc(one, by_group = TRUE)),
    as.data.frame(performance::icc(other, by_group = TRUE)), tolerance = 1e-5
  )
  expect_equal(
    as.data.frame(performance::r2(one, by_group = TRUE)),
    as.data.frame(performance::r2_nakagawa(other, by_group = TRUE)), tolerance = 1e-5
  )
})

test_that("limits of R2 are quantiles of the parametric bootstrap", {
  skip_if_not_installed("performance")
  fit <- our_twin("slope")
  set.seed(5)
  mine <- performance::r2(fit, ci = 0.8, iterations = 25)
  set.seed(5)
  draws <- bootstrap(fit, 25, r_squared)$t
  expect_equal(
    unname(mine$R2_marginal[-1L]), unname(stats::quantile(draws[, 1L], c(0.1, 0.9)))
  )
  expect_output(print(mine), "Marginal R2")
})

test_that("checks look at what they say", {
  skip_if_not_installed("performance")
  skip_if_not_installed("lme4")
  ours <- our_twin("slope")
  theirs <- lme4_twin("slope")
  expect_equal(
    as.numeric(performance::check_normality(ours, effects = "random")),
    as.numeric(performance::check_normality(theirs, effects = "random")), tolerance = 1e-4
  )
  expect_equal(
    as.numeric(performance::check_normality(ours)), stats::shapiro.test(rstudent(ours))$p.value
  )
  expect_equal(
    as.numeric(performance::check_autocorrelation(ours)) < 0.05,
    as.numeric(performance::check_autocorrelation(theirs)) < 0.05
  )
  two <- lmm(Reaction ~ Days * late + (1 | Subject), twin_data()$sleepstudy)
  other <- lme4::lmer(Reaction ~ Days * late + (1 | Subject), twin_data()$sleepstudy)
  expect_equal(
    suppressWarnings(performance::check_collinearity(two)$VIF),
    suppressWarnings(performance::check_collinearity(other)$VIF), tolerance = 1e-4
  )
  expect_true(as.vector(performance::check_convergence(ours)))
  # current versions need the package that draws
  skip_if(packageVersion("performance") > "0.12" && !rlang::is_installed("see"))
  expect_s3_class(suppressMessages(performance::check_model(ours)), "check_model")
})

test_that("models are compared, with those of lmer() among them", {
  skip_if_not_installed("performance")
  skip_if_not_installed("lme4")
  large <- our_twin("ml")
  small <- update(large, . ~ . - Days)
  theirs <- lme4_twin("ml")
  table <- suppressMessages(performance::compare_performance(large, small, theirs))
  expect_identical(table$Name, c("large", "small", "theirs"))
  expect_identical(table$Model, c("lmm", "lmm", "lmerMod"))
  expect_equal(table$AIC[[1L]], AIC(large))
  expect_equal(table$AIC[[1L]], table$AIC[[3L]], tolerance = 1e-7)
  expect_false(any(grepl("elm", unlist(table))))
  test <- performance::test_likelihoodratio(small, large)
  wanted <- anova(small, large)
  expect_equal(test$Chi2[[2L]], wanted$Chisq[[2L]])
  expect_equal(test$p[[2L]], wanted[["Pr(>Chisq)"]][[2L]])
  expect_identical(as.character(test$Name), c("small", "large"))
  skip_if_not_installed("bayestestR")
  factor <- suppressWarnings(bayestestR::bayesfactor_models(large, denominator = small))
  expect_equal(factor$log_BF[[1L]], (BIC(small) - BIC(large)) / 2)
  expect_equal(performance::test_bf(small, large)$BF[[2L]], exp((BIC(small) - BIC(large)) / 2),
               tolerance = 1e-6)
  expect_no_error(bayestestR::bayesfactor_inclusion(factor))
})

test_that("Breusch and Pagan's test does not depend on units", {
  skip_if_not_installed("performance")
  d <- twin_data()$sleepstudy
  fit <- lmm(Reaction ~ Days + (Days | Subject), d)
  found <- performance::check_heteroscedasticity(fit)
  # regression on the fitted values, by hand
  scaled <- residuals(fit)^2 / mean(residuals(fit)^2)
  line <- lm(scaled ~ fitted(fit))
  statistic <- sum((fitted(line) - 1)^2) / 2
  expect_equal(as.numeric(found), pchisq(statistic, 1, lower.tail = FALSE))
  expect_output(print(found), "p = 0.0|p < ")
  d$Reaction <- 1000 * d$Reaction
  other <- lmm(Reaction ~ Days + (Days | Subject), d)
  expect_equal(as.numeric(performance::check_heteroscedasticity(other)), as.numeric(found),
               tolerance = 1e-6)
  # and is that of 'car' where both know the model
  skip_if_not_installed("car")
  plain <- lm(Reaction ~ Days, d)
  fit <- lmm(Reaction ~ Days + (1 | Subject), d,
             control = lmm_control(hold = c("Subject.(Intercept)" = 0)))
  expect_equal(as.numeric(performance::check_heteroscedasticity(fit)), car::ncvTest(plain)$p)
})

test_that("checks of correlated residuals are of normalized ones, and rows are deleted", {
  skip_if_not_installed("performance")
  d <- as.data.frame(nlme::Orthodont)
  d$visit <- factor(d$age)
  d$distance[c(3, 50)] <- NA
  fits <- list(
    lmm(distance ~ Sex * age + (1 | Subject), d, correlation = corAR1(form = ~ 1 | Subject)),
    lmm(distance ~ Sex * age, d, residual = ~ us(visit | Subject))
  )
  for (fit in fits) {
    normalized <- residuals(fit, type = "normalized")
    line <- lm(normalized^2 / mean(normalized^2) ~ fitted(fit))
    statistic <- sum((fitted(line) - 1)^2) / 2
    expect_equal(
      as.numeric(performance::check_heteroscedasticity(fit)),
      pchisq(statistic, 1, lower.tail = FALSE)
    )
    # Cook's distances by least squares on the other rows, the covariance matrix as it is
    frame <- model.frame(fit)
    V <- matrix(0, nrow(frame), nrow(frame))
    for (subject in unique(d$Subject)) {
      rows <- which(d$Subject[match(row.names(frame), row.names(d))] == subject)
      V[rows, rows] <- as.matrix(getVarCov(fit, subject, type = "marginal")[[1L]])
    }
    X <- model.matrix(fit)
    gls <- function(keep) {
      W <- solve(V[keep, keep])
      solve(t(X[keep, ]) %*% W %*% X[keep, ], t(X[keep, ]) %*% W %*% frame$distance[keep])
    }
    expect_equal(as.vector(gls(TRUE)), unname(fixef(fit)), tolerance = 1e-6)
    some <- c(1, 20, 57, 104)
    distances <- vapply(some, function(i) {
      move <- as.vector(gls(-i)) - fixef(fit)
      sum(move * solve(vcov(fit), move)) / length(move)
    }, 0)
    found <- suppressMessages(performance::check_outliers(fit))
    expect_equal(attr(found, "data")$Distance_Cook[some], distances, tolerance = 1e-6)
    expect_length(found, nrow(frame))
    expect_gte(as.numeric(performance::check_autocorrelation(fit, nsim = 50)), 0)
    # current versions need the package that draws
    skip_if(packageVersion("performance") > "0.12" && !rlang::is_installed("see"))
    checked <- suppressMessages(suppressWarnings(performance::check_model(fit)))
    expect_s3_class(checked, "check_model")
    expect_false(any(rapply(checked, function(x) inherits(x, "elm"), how = "unlist")))
    skip_if(packageVersion("performance") > "0.12")
    expect_equal(sort(normalized), sort(checked$QQ$y), ignore_attr = TRUE)
  }
})

test_that("correlated residuals are normalized", {
  skip_if_not_installed("performance")
  d <- as.data.frame(nlme::Orthodont)
  d$visit <- factor(d$age)
  fit <- lmm(distance ~ Sex * age, d, residual = ~ us(visit | Subject))
  expect_equal(
    as.numeric(performance::check_normality(fit)),
    stats::shapiro.test(residuals(fit, type = "normalized"))$p.value
  )
  expect_output(print(performance::check_normality(fit)), "esiduals")
  expect_error(
    performance::check_normality(fit, effects = "random"), class = "ferrolmm_error_argument"
  )
  # of the correlations of the coefficients
  expect_equal(
    suppressWarnings(performance::check_collinearity(fit)$VIF),
    unname(diag(solve(cov2cor(vcov(fit)[-1L, -1L]))))
  )
  expect_equal(performance::model_performance(fit, estimator = "ML")$AIC,
               -2 * as.numeric(logLik(fit, REML = FALSE)) + 2 * attr(logLik(fit), "df"))
  expect_equal(
    unname(unlist(performance::r2(fit))), unname(rev(r_squared(fit)))
  )
})

test_that("Xu's R2 is one less the ratio of variances", {
  skip_if_not_installed("performance")
  fit <- our_twin("slope")
  expect_equal(
    unname(performance::r2_xu(fit)), 1 - stats::var(residuals(fit)) / stats::var(getME(fit, "y"))
  )
})

test_that("simulated residuals are uniform where the model holds", {
  skip_if_not_installed("performance", "0.12.0")
  skip_if_not_installed("DHARMa")
  # sleepstudy itself has outliers
  fit <- refit(our_twin("slope"), simulate(our_twin("slope"), seed = 1)[[1]])
  set.seed(1)
  expect_gt(as.numeric(suppressWarnings(performance::check_residuals(fit))), 0.01)
})

test_that("predictors that vary within groups are found as in the data", {
  skip_if_not_installed("performance")
  fit <- our_twin("slope")
  skip_if_not("check_group_variation" %in% getNamespaceExports("performance"))
  check <- elsewhere("performance", "check_group_variation")
  expect_equal(
    as.data.frame(check(fit)),
    as.data.frame(check(twin_data()$sleepstudy, select = "Days", by = "Subject")),
    ignore_attr = TRUE
  )
})
