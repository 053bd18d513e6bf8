orthodont <- function() {
  data(Orthodont, package = "nlme", envir = environment())
  as.data.frame(Orthodont)
}

test_that("getVarCov() and normalized residuals are nlme's", {
  d <- orthodont()
  ours <- lmm(distance ~ age * Sex, d, residual = ~ us(age | Subject))
  theirs <- nlme::gls(
    distance ~ age * Sex, d, correlation = nlme::corSymm(form = ~ 1 | Subject),
    weights = nlme::varIdent(form = ~ 1 | age)
  )
  expect_equal(
    unname(nlme::getVarCov(ours, "M01")[[1L]]), unclass(nlme::getVarCov(theirs, "M01")),
    tolerance = 1e-4, ignore_attr = TRUE
  )
  expect_equal(
    unname(residuals(ours, "normalized")), as.numeric(residuals(theirs, "normalized")),
    tolerance = 1e-4
  )
  expect_equal(
    unname(residuals(ours, "scaled")), as.numeric(residuals(theirs, "pearson")), tolerance = 1e-4
  )
  mixed <- lmm(
    distance ~ age + (age | Subject), d, correlation = corAR1(form = ~ 1 | Subject),
    weights = varIdent(form = ~ 1 | Sex)
  )
  lme <- nlme::lme(
    distance ~ age, d, ~ age | Subject, correlation = nlme::corAR1(form = ~ 1 | Subject),
    weights = nlme::varIdent(form = ~ 1 | Sex)
  )
  for (type in c("conditional", "marginal")) {
    v <- nlme::getVarCov(mixed, "F01", type = type)[[1L]]
    w <- nlme::getVarCov(lme, "F01", type = type)[[1L]]
    expect_equal(unname(v), unname(as.matrix(w)), tolerance = 1e-3, ignore_attr = TRUE)
  }
  expect_equal(
    nlme::getVarCov(mixed), unclass(nlme::getVarCov(lme)), tolerance = 1e-3, ignore_attr = TRUE
  )
  expect_equal(
    unname(residuals(mixed, "normalized")), as.numeric(residuals(lme, type = "normalized")),
    tolerance = 1e-3
  )
  whole <- getME(mixed, "R")
  rows <- which(d$Subject == "F01")
  expect_equal(
    unname(as.matrix(whole[rows, rows])),
    unname(nlme::getVarCov(mixed, "F01", type = "conditional")[[1L]])
  )
  expect_error(
    nlme::getVarCov(ours, "nobody"), "no level", class = "ferrolmm_error_argument"
  )
  expect_error(
    nlme::getVarCov(ours, type = "random.effects"), "no random effects",
    class = "ferrolmm_error_argument"
  )
})
