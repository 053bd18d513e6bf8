# How the constructors of nlme are written in a call.

s <- lme4::sleepstudy

test_that("a formula in the place of values is an error that says where it belongs", {
  expect_snapshot(error = TRUE, {
    lmm(Reaction ~ Days, s, weights = varExp(~Days))
    lmm(Reaction ~ Days, s, weights = nlme::varIdent(~ 1 | Subject))
    lmm(Reaction ~ Days, s, correlation = corAR1(~ 1 | Subject))
    lmm(Reaction ~ Days, s, correlation = corCompSymm(~Days))
  })
  made_before <- nlme::varExp(~Days)
  expect_error(
    lmm(Reaction ~ Days, s, weights = made_before), "must be numbers",
    class = "ferrolmm_error_residual"
  )
})

test_that("constructors that a wrapper passes on are those of nlme, or an error says so", {
  skip_if("package:nlme" %in% search())
  by_name <- function(w, ...) lmm(Reaction ~ Days + (1 | Subject), s, weights = w, ...)
  by_dots <- function(...) lmm(Reaction ~ Days + (1 | Subject), s, ...)
  expect_no_warning(
    expect_error(by_name(varExp(form = ~Days)), "nlme::varExp", class = "ferrolmm_error_residual")
  )
  expect_error(
    (function(co) lmm(Reaction ~ Days, s, correlation = co))(corAR1(form = ~ 1 | Subject)),
    "nlme::corAR1", class = "ferrolmm_error_residual"
  )
  direct <- lmm(Reaction ~ Days + (1 | Subject), s, weights = varExp(form = ~Days))
  for (fit in list(by_name(nlme::varExp(form = ~Days)), by_dots(weights = varExp(form = ~Days)))) {
    expect_equal(logLik(fit), logLik(direct))
    expect_equal(fit$phi, direct$phi)
  }
})
