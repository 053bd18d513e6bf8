test_that("constraints by name become constraints by position", {
  control <- lmm_control(hold = c(b = 2, z = 5), tie = list(c("a", "d")))
  names <- c("a", "b", "c", "d")
  resolved <- resolve_constraints(control, names)
  expect_identical(resolved$hold, c(NA, 2, NA, NA))
  expect_identical(resolved$tie, c(1L, 2L, 3L, 1L))
  expect_identical(resolve_constraints(resolved, names), resolved)
  expect_identical(count_free(control, names), 2L)
  expect_identical(count_free(control, names, c(FALSE, FALSE, TRUE, FALSE)), 1L)
  expect_identical(count_free(lmm_control(), names), 4L)
  plain <- resolve_constraints(lmm_control(), names)
  expect_null(plain$hold)
  expect_null(plain$tie)
  expect_error(check_constraints(control, names), "`z`", class = "ferrolmm_error_argument")
  expect_error(
    check_constraints(lmm_control(hold = c(a = 1), tie = list(c("a", "b"))), names),
    "held and tied", class = "ferrolmm_error_argument"
  )
  expect_error(
    check_constraints(lmm_control(hold = c(a = 1)), c("a", "a")), "more than one",
    class = "ferrolmm_error_argument"
  )
})

test_that("a held parameter has its value wherever the start is", {
  s <- lme4::sleepstudy
  holding <- function(...) lmm_control(hold = c(...))
  fit <- function(...) suppressMessages(lmm(Reaction ~ Days + (Days || Subject), s, ...))
  control <- holding("Subject.(Intercept)" = 0.9)
  away <- fit(start = c(0.3, 1), control = control)
  expect_identical(away$theta[[1L]], 0.9)
  expect_equal(away$criterion, fit(control = control)$criterion, tolerance = 1e-10)
  ar1 <- function(...) lmm(Reaction ~ Days, s, residual = ~ ar1(Days | Subject), ...)
  control <- holding(residual.rho = 0.5)
  away <- ar1(start = list(phi = 0.3), control = control)
  expect_equal(away$phi[[1L]], 0.5)
  expect_equal(away$criterion, ar1(control = control)$criterion, tolerance = 1e-10)
})

test_that("values that no parameter can have are not held", {
  s <- lme4::sleepstudy
  holding <- function(...) lmm_control(hold = c(...))
  class <- "ferrolmm_error_restriction"
  expect_error(
    lmm(Reaction ~ Days + (1 | Subject), s, control = holding("Subject.(Intercept)" = -1)),
    "not negative", class = class
  )
  expect_error(
    lmm(Reaction ~ Days, s, residual = ~ ar1(Days | Subject), control = holding(residual.rho = 2)),
    "between -1 and 1", class = class
  )
  expect_error(
    lmm(Reaction ~ Days + cs(0 + factor(Days > 4) | Subject), s,
        control = holding(Subject.rho = 1.5)),
    "between -1 and 1", class = class
  )
  expect_error(
    lmm(Reaction ~ Days, s, correlation = nlme::corCAR1(form = ~ Days | Subject),
        control = holding(residual.rho = -0.5)),
    "between 0 and 1", class = class
  )
  # an entry of a covariance factor below its diagonal has any sign
  fit <- lmm(Reaction ~ Days + (Days | Subject), s,
             control = holding("Subject.Days.(Intercept)" = -0.1))
  expect_identical(fit$theta[[2L]], -0.1)
})
