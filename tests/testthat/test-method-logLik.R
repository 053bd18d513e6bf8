for_twins("logLik(), deviance(), REMLcrit() are lme4's", function(ours, theirs) {
  # lme4 2.1 has no likelihood of the other kind after na.exclude: it sums padded weights
  skip_if(is.na(deviance(theirs, REML = FALSE)), "lme4's deviance is NA")
  # without fixed effects lme4 reads memory that it never set when asked for REML
  restricted <- ours$rank > 0
  for (reml in list(NULL, FALSE, if (restricted) TRUE)) {
    likelihood <- logLik(ours, REML = reml)
    reference <- logLik(theirs, REML = reml)
    expect_equal(as.numeric(likelihood), as.numeric(reference), tolerance = 1e-9)
    expect_equal(attributes(likelihood)[c("df", "nobs", "nall")],
                 attributes(reference)[c("df", "nobs", "nall")])
  }
  expect_equal(deviance(ours), deviance(theirs, REML = FALSE), tolerance = 1e-9)
  if (restricted) {
    expect_equal(REMLcrit(ours), -2 * as.numeric(logLik(theirs, REML = TRUE)), tolerance = 1e-9)
  }
  expect_equal(AIC(ours), AIC(theirs), tolerance = 1e-9)
  expect_equal(BIC(ours), BIC(theirs), tolerance = 1e-9)
  expect_equal(df.residual(ours), df.residual(theirs))
  expect_equal(nobs(ours), nobs(theirs))
})

test_that("logLik() says which likelihood it is", {
  expect_true(attr(logLik(our_twin("slope")), "REML"))
  expect_false(attr(logLik(our_twin("slope"), REML = FALSE), "REML"))
})

test_that("deviance() of a REML fit is silent", {
  expect_silent(deviance(our_twin("slope")))
})

test_that("extractAIC() is that of the ML fit", {
  expect_equal(
    extractAIC(our_twin("slope")),
    c(6, -2 * as.numeric(logLik(our_twin("ml"))) + 12),
    tolerance = 1e-9
  )
})

test_that("sleepstudy: golden values", {
  # lme4 1.1-31, R 4.2.2, 2026-11-23: lmer(Reaction ~ Days + (Days | Subject), sleepstudy),
  # REMLcrit() and, with REML = FALSE, deviance(). The optimum is flat to 1e-9 in these digits.
  expect_equal(REMLcrit(our_twin("slope")), 1743.62827, tolerance = 1e-8)
  expect_equal(deviance(our_twin("ml")), 1751.93934, tolerance = 1e-8)
})
