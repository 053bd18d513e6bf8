# Held values are those of the model as it is written, or an error says which can be held.

test_that("a held correlation of the residuals is the value asked for, or an error", {
  data(Orthodont, package = "nlme", envir = environment())
  d <- as.data.frame(Orthodont)
  d$agef <- factor(d$age)
  held <- function(structure, hold) {
    tryCatch(
      suppressMessages(lmm(
        distance ~ age, d, residual = structure, control = lmm_control(hold = hold)
      )),
      ferrolmm_error_restriction = identity
    )
  }
  ask <- function(structure, names) {
    for (name in names) {
      fit <- held(structure, stats::setNames(0.2, name))
      good <- inherits(fit, "ferrolmm_error_restriction") ||
        isTRUE(all.equal(fit$phi[[name]], 0.2, tolerance = 1e-10))
      expect_true(good, info = name)
    }
  }
  pairs <- paste0("residual.cor(", c("2,1", "3,1", "4,1", "3,2", "4,2", "4,3"), ")")
  ask(~ us(agef | Subject), pairs)
  ask(~ toep(agef | Subject), paste0("residual.rho", 1:3))
  # sets that determine each other can be held together
  fit <- held(~ toep(agef | Subject), c(residual.rho1 = 0.6, residual.rho2 = 0.5))
  expect_equal(unname(fit$phi[1:2]), c(0.6, 0.5), tolerance = 1e-10)
  block <- stats::setNames(c(0.6, 0.5, 0.7), pairs[c(1, 2, 4)])
  fit <- held(~ us(agef | Subject), block)
  expect_equal(fit$phi[names(block)], block, tolerance = 1e-10)
  expect_error(
    lmm(distance ~ age, d, residual = ~ us(agef | Subject),
        control = lmm_control(hold = c("residual.cor(3,2)" = 0.2))),
    "order the levels", class = "ferrolmm_error_restriction"
  )
})

test_that("so are parameters of structured random effects", {
  data(Orthodont, package = "nlme", envir = environment())
  d <- as.data.frame(Orthodont)
  d$agef <- factor(d$age)
  formula <- distance ~ age + toep(0 + agef | Subject)
  names <- names(suppressWarnings(suppressMessages(lmm(formula, d)))$theta)
  for (name in names) {
    fit <- tryCatch(
      suppressWarnings(suppressMessages(
        lmm(formula, d, control = lmm_control(hold = stats::setNames(0.3, name)))
      )),
      ferrolmm_error_restriction = identity
    )
    good <- inherits(fit, "ferrolmm_error_restriction") ||
      isTRUE(all.equal(fit$theta[[name]], 0.3, tolerance = 1e-10))
    expect_true(good, info = name)
  }
})
