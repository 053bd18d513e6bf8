test_that("refit() to the same response gives the same fit", {
  for (name in names(twin_calls)) {
    fit <- our_twin(name)
    same <- suppressMessages(refit(fit))
    kept <- setdiff(names(fit), "call")
    expect_equal(same[kept], fit[kept], info = name)
  }
})

test_that("refit() is the fit of the new response", {
  sleepstudy <- twin_data()$sleepstudy
  fit <- our_twin("weighted")
  sleepstudy$Reaction <- sleepstudy$Reaction^2 / 100
  anew <- lmm(Reaction ~ Days + (Days | Subject), sleepstudy, weights = w)
  again <- refit(fit, sleepstudy$Reaction)
  expect_equal(fixef(again), fixef(anew))
  expect_equal(REMLcrit(again), REMLcrit(anew))
  expect_equal(model.frame(again)[[1]], sleepstudy$Reaction)
  expect_equal(coef(refit(fit, data.frame(sim_1 = sleepstudy$Reaction))), coef(again))
})

test_that("refit() knows rows that were left out", {
  fit <- our_twin("missing")
  y <- twin_data()$sleepstudy$Reaction
  expect_equal(fixef(refit(fit, y)), fixef(refit(fit, y[-c(3, 50, 120)])))
})

test_that("a response that does not fit is an error", {
  fit <- our_twin("slope")
  expect_error(refit(fit, 1:3), "3 values", class = "ferrolmm_error_argument")
  expect_error(refit(fit, letters), "character", class = "ferrolmm_error_argument")
  expect_error(refit(fit, rep(NA_real_, 180)), "missing", class = "ferrolmm_error_argument")
  expect_error(refit(fit, list(1, 2)), "one response", class = "ferrolmm_error_argument")
})

test_that("refitML() is the ML fit", {
  expect_equal(logLik(refitML(our_twin("slope"))), logLik(our_twin("ml")))
  expect_equal(VarCorr(refitML(our_twin("slope"))), VarCorr(our_twin("ml")))
  expect_false(isREML(refitML(our_twin("slope"))))
  expect_identical(refitML(our_twin("ml")), our_twin("ml"))
})

test_that("a response for rows that `subset` or a weight of zero left out has no place", {
  d <- transform(lme4::sleepstudy, w = rep(c(1, 1, 0), 60))
  d$Days[1] <- NA
  weighted <- lmm(Reaction ~ Days + (1 | Subject), d, weights = w)
  chosen <- lmm(Reaction ~ Days + (1 | Subject), d, subset = w > 0)
  for (fit in list(weighted, chosen)) {
    expect_error(refit(fit, d$Reaction), "a weight of zero", class = "ferrolmm_error_argument")
    expect_error(
      refit(fit, cbind(d$Reaction, 1)), "119 rows of .*, or for these and the 1 left",
      class = "ferrolmm_error_argument"
    )
    new <- d$Reaction[d$w > 0] + 10
    expect_equal(fixef(refit(fit, new)), fixef(fit) + c(10, 0), tolerance = 1e-7)
    expect_equal(fixef(refit(fit, new[-1])), fixef(fit) + c(10, 0), tolerance = 1e-7)
    expect_error(
      influence(fit, d$Reaction), "Rows outside `subset`", class = "ferrolmm_error_argument"
    )
  }
})
