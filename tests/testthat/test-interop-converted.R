test_that("generics of 'merTools', 'arm' and 'pbkrtest' get what as_lmerMod() makes", {
  fit <- our_twin("slope")
  made <- as_lmerMod(fit)
  skip_if_not_installed("merTools")
  expect_equal(merTools::draw(fit, type = "average"), merTools::draw(made, type = "average"))
  expect_output(merTools::fastdisp(fit), "Residual")
  skip_if_not_installed("arm")
  expect_equal(arm::sigma.hat(fit), arm::sigma.hat(made))
  expect_equal(arm::extractDIC(fit), arm::extractDIC(made))
  skip_if_not_installed("pbkrtest")
  expect_equal(pbkrtest::get_SigmaG(fit)$Sigma, pbkrtest::get_SigmaG(made)$Sigma)
  L <- matrix(c(0, 1), 1)
  # it looks for the data by their name
  assign("sleepstudy", twin_data()$sleepstudy, globalenv())
  on.exit(rm("sleepstudy", envir = globalenv()))
  expect_equal(
    fixef(suppressWarnings(pbkrtest::restriction_matrix2model(fit, L))),
    fixef(suppressWarnings(pbkrtest::restriction_matrix2model(made, L)))
  )
  large <- our_twin("ml")
  small <- update(large, . ~ . - Days)
  drawn <- pbkrtest::PBrefdist(large, small, nsim = 3)
  expect_length(drawn, 3)
  expect_true(all(drawn > -1e-6))
  # what lme4 cannot represent
  other <- lmm(distance ~ age, nlme::Orthodont, residual = ~ ar1(age | Subject))
  expect_error(arm::extractDIC(other), class = "ferrolmm_error")
})
