for_twins("estimates, statistics and residual degrees of freedom", function(ours, theirs) {
  skip_if_not_installed("insight")
  skip_if(ours$rank == 0L)
  expect_equal(insight::get_parameters(ours), insight::get_parameters(theirs), tolerance = 1e-6)
  expect_equal(insight::get_statistic(ours), insight::get_statistic(theirs), tolerance = 1e-6)
  expect_equal(insight::get_df(ours), insight::get_df(theirs))
  expect_equal(insight::get_df(ours, "wald"), insight::get_df(theirs, "wald"))
  expect_equal(insight::get_df(ours, "model"), insight::get_df(theirs, "model"))
  expect_equal(insight::n_parameters(ours), insight::n_parameters(theirs))
  expect_equal(
    insight::n_parameters(ours, effects = "random"),
    insight::n_parameters(theirs, effects = "random")
  )
  expect_equal(insight::get_varcov(ours), insight::get_varcov(theirs), tolerance = 1e-6)
  expect_equal(as.numeric(insight::get_sigma(ours)), as.numeric(insight::get_sigma(theirs)))
  expect_equal(insight::get_intercept(ours), insight::get_intercept(theirs), tolerance = 1e-6)
})

for_twins("random effects and likelihoods", function(ours, theirs) {
  skip_if_not_installed("insight")
  expect_equal(
    insight::get_parameters(ours, effects = "random"),
    unclass(insight::get_parameters(theirs, effects = "random")),
    tolerance = 1e-5, ignore_attr = TRUE
  )
  # without fixed effects the restricted likelihood of lme4 is another number each time
  for (reml in c(TRUE[ours$rank > 0L], FALSE)) {
    wanted <- as.numeric(stats::logLik(theirs, REML = reml))
    # lme4 2.0 knows only the one that was maximised
    if (is.na(wanted)) next
    expect_equal(
      as.numeric(insight::get_loglikelihood(ours, REML = reml)), wanted, tolerance = 1e-7
    )
  }
})

test_that("degrees of freedom by Satterthwaite and Kenward-Roger are those of 'lmerTest'", {
  skip_if_not_installed("insight")
  skip_if_not_installed("lmerTest")
  skip_if_not_installed("pbkrtest")
  d <- twin_data()$sleepstudy[-(1:7), ]
  fit <- lmm(Reaction ~ Days + (Days | Subject), d)
  theirs <- lmerTest::lmer(Reaction ~ Days + (Days | Subject), d)
  # those of 'lmerTest' differentiate numerically
  expect_equal(
    insight::get_df(fit, "satterthwaite"),
    coef(summary(theirs))[, "df"], tolerance = 1e-4
  )
  expect_equal(
    as.numeric(insight::get_df(fit, "kenward")),
    unname(coef(summary(theirs, ddf = "Kenward-Roger"))[, "df"]), tolerance = 1e-4
  )
  expect_equal(
    attr(insight::get_df(fit, "kr"), "se"),
    unname(coef(summary(theirs, ddf = "Kenward-Roger"))[, "Std. Error"]), tolerance = 1e-4
  )
  rows <- insight::get_df(fit, "satterthwaite", df_per_obs = TRUE, data = d[1:3, ])
  expect_equal(
    rows[[2L]],
    lmerTest::contestMD(theirs, matrix(c(1, d$Days[[2L]]), 1L))$DenDF, tolerance = 1e-4
  )
  expect_equal(
    sqrt(diag(insight::get_varcov(fit, vcov = "kenward-roger"))),
    attr(insight::get_df(fit, "kr"), "se"), ignore_attr = TRUE
  )
  expect_identical(insight::get_df(fit, "normal"), Inf)
  expect_error(insight::get_df(fit, "bayes"), class = "ferrolmm_error_argument")
})

test_that("a likelihood is that of the response on its own scale where that is asked for", {
  skip_if_not_installed("insight")
  skip_if_not_installed("lme4")
  d <- twin_data()$sleepstudy
  fit <- lmm(log(Reaction) ~ Days + (1 | Subject), d, REML = FALSE)
  plain <- insight::get_loglikelihood(fit)
  whole <- insight::get_loglikelihood(fit, check_response = TRUE)
  # the density of exp(y) has the factor 1 / exp(y)
  expect_equal(as.numeric(whole), as.numeric(plain) - sum(log(d$Reaction)), tolerance = 1e-8)
  expect_identical(class(plain), c("logLik", "lmm"))
})

test_that("repeated measures without random effects have the numbers of gls()", {
  skip_if_not_installed("insight")
  d <- as.data.frame(nlme::Orthodont)
  d$visit <- factor(d$age)
  fit <- lmm(distance ~ Sex * age, d, residual = ~ us(visit | Subject))
  theirs <- nlme::gls(
    distance ~ Sex * age, d, nlme::corSymm(form = ~ 1 | Subject),
    nlme::varIdent(form = ~ 1 | visit)
  )
  expect_equal(insight::get_parameters(fit), insight::get_parameters(theirs), tolerance = 1e-4)
  expect_equal(insight::get_statistic(fit)$Statistic, insight::get_statistic(theirs)$Statistic,
               tolerance = 1e-4)
  expect_equal(insight::get_varcov(fit), insight::get_varcov(theirs), tolerance = 1e-3)
  expect_equal(as.numeric(insight::get_loglikelihood(fit)), as.numeric(logLik(theirs)),
               tolerance = 1e-7)
  # balanced: 27 subjects less two means
  expect_equal(unname(insight::get_df(fit, "satterthwaite")), rep(25, 4), tolerance = 1e-6)
})
