test_that("arguments and formula can be changed", {
  sleepstudy <- twin_data()$sleepstudy
  fit <- lmm(Reaction ~ Days + (Days | Subject), sleepstudy)
  expect_false(update(fit, REML = FALSE)$REML)
  smaller <- update(fit, . ~ . - (Days | Subject) + (1 | Subject))
  expect_identical(formula(smaller), Reaction ~ Days + (1 | Subject), ignore_attr = TRUE)
  expect_identical(nobs(update(fit, subset = Days > 2)), 126L)
  weighted <- update(fit, weights = w)
  expect_null(update(weighted, weights = NULL)$prior.weights)
  expect_identical(
    update(fit, REML = FALSE, evaluate = FALSE),
    quote(lmm(formula = Reaction ~ Days + (Days | Subject), data = sleepstudy, REML = FALSE)),
    ignore_formula_env = TRUE, ignore_attr = TRUE
  )
})

test_that("a formula in a variable, data in a function", {
  form <- Reaction ~ Days + (1 | Subject)
  fit_in_function <- function(d) {
    part <- d[d$Days < 8, ]
    lmm(form, part)
  }
  update_in_function <- function(d) {
    fit <- fit_in_function(d)
    part <- d[d$Days < 8, ]
    update(fit, . ~ . + I(Days^2))
  }
  expect_named(fixef(update_in_function(twin_data()$sleepstudy)),
               c("(Intercept)", "Days", "I(Days^2)"))

  closed <- function(d) lmm(Reaction ~ Days + (1 | Subject), d)
  fit <- closed(twin_data()$sleepstudy)
  d <- "not the data"
  expect_false(update(fit, REML = FALSE)$REML)
  other <- twin_data()$sleepstudy[1:100, ]
  expect_identical(nobs(update(fit, data = other)), 100L)
})

test_that("drop1() and step() work through update()", {
  sleepstudy <- twin_data()$sleepstudy
  fit <- lmm(Reaction ~ Days + (1 | Subject), sleepstudy, REML = FALSE)
  table <- drop1(fit, test = "none")
  expect_identical(rownames(table), c("<none>", "Days"))
  expect_equal(table$AIC[[1]], AIC(fit))
  expect_named(fixef(step(fit, trace = 0)), c("(Intercept)", "Days"))
})

test_that("a part of a double bar can be taken away; arguments need names", {
  sleepstudy <- twin_data()$sleepstudy
  fit <- lmm(Reaction ~ Days + (Days || Subject), sleepstudy)
  smaller <- update(fit, . ~ . - (0 + Days | Subject))
  expect_equal(smaller$criterion, lmm(Reaction ~ Days + (1 | Subject), sleepstudy)$criterion)
  expect_error(update(fit, . ~ ., sleepstudy), "no name", class = "ferrolmm_error_argument")
})
