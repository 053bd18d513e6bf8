test_that("penalties are given for all terms, by grouping factor or by position", {
  data(Pastes, package = "lme4", envir = environment())
  formula <- strength ~ 1 + (1 | batch) + (1 | sample)
  fit <- function(penalty) lmm(formula, Pastes, control = off_zero(penalty = penalty))
  weak <- penalty_gamma(1.2)
  by_name <- fit(list(batch = weak))
  by_place <- fit(list(NULL, weak))
  expect_identical(names(by_name$cnms), c("sample", "batch"))
  expect_equal(by_name$theta, by_place$theta)
  none <- quietly(lmm(formula, Pastes))
  expect_equal(fit(list(NULL, NULL))$theta, none$theta, tolerance = 1e-6)
  wrong <- function(penalty, pattern) {
    expect_error(fit(penalty), pattern, class = "ferrolmm_error_argument")
  }
  wrong(list(Batch = weak), "no grouping factor.*Batch")
  wrong(list(weak), "1 element for 2 random-effects terms")
  wrong(penalty_wishart(df = 2), "must be more than 2")
  wrong(penalty_wishart(df = 4, scale = diag(2)), "must be 1 x 1")
  wrong(penalty_gamma(rate = 1, relative = FALSE), "has no `rate` where sigma is estimated")
  wrong(penalty_inverse_gamma(1, 1, relative = FALSE), "has no `scale`")
  expect_error(
    lmm(strength ~ cask, Pastes, residual = ~ cs(1 | batch), control = off_zero(penalty = weak)),
    "the model has none", class = "ferrolmm_error_argument"
  )
  expect_error(
    lmm(Reaction ~ Days + (Days | Subject), lme4::sleepstudy, control = off_zero(penalty = weak)),
    "penalty_wishart\\(\\)", class = "ferrolmm_error_argument"
  )
  expect_error(
    lmm(formula, Pastes, start = c(0, 1), control = off_zero(penalty = weak)), "is zero for",
    class = "ferrolmm_error_start"
  )
  expect_error(
    lmm(formula, Pastes, control = off_zero(penalty = weak, hold = c("batch.(Intercept)" = 0))),
    "is zero for", class = "ferrolmm_error_restriction"
  )
  expect_error(
    lmm(formula, Pastes, control = off_zero(penalty = penalty_gamma(100, relative = FALSE))),
    "sigma, which would be zero", class = "ferrolmm_error_penalty"
  )
})

test_that("wrong parameters of penalties are errors", {
  bad <- function(code, pattern) expect_error(code, pattern, class = "ferrolmm_error_argument")
  bad(penalty_gamma(shape = 1), "`shape` must be a number, above 1")
  bad(penalty_gamma(rate = -1), "`rate`")
  bad(penalty_gamma(of = "precision"), "`of`")
  bad(penalty_wishart(df = NA), "`df`")
  bad(penalty_wishart(scale = matrix(c(1, 2, 2, 1), 2)), "positive definite")
  bad(penalty_wishart(scale = 1:2), "square matrix")
  bad(penalty_inverse_wishart(3, Inf), "`scale`")
  bad(penalty_inverse_gamma(1, 0), "`scale`")
  bad(penalty_wishart(relative = NA), "`relative`")
  bad(penalty_wishart(posterior.scale = "sd"), "no argument `posterior.scale`")
  bad(lmm_control(penalty = "wishart"), "must be a penalty or a list")
  bad(lmm_control(penalty = list(a = penalty_gamma(), penalty_gamma())), "or have no names")
})

test_that("penalties without a default ask for their parameters", {
  needs <- function(expr, text) expect_error(expr, text, class = "ferrolmm_error_penalty")
  needs(penalty_inverse_wishart(), "needs `df` and `scale`")
  needs(penalty_inverse_wishart(3), "needs `df`")
  needs(penalty_inverse_gamma(), "needs `shape`")
})
