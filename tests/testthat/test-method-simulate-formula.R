plan <- expand.grid(time = 0:4, subject = 1:30)
plan$treated <- factor(ifelse(plan$subject > 15, "yes", "no"))
params <- list(beta = c(10, 1, 0, 0.5), theta = 1.5, sigma = 2)

# Without 'lme4', whose method for formulas comes first
draw <- function(...) simulate.default(...)

test_that("simulate() of a formula draws from the model at the parameters", {
  drawn <- as.matrix(draw(~ time * treated + (1 | subject), 2000, 1, plan, params))
  X <- model.matrix(~ time * treated, plan)
  expect_equal(rowMeans(drawn), as.vector(X %*% params$beta), tolerance = 0.02, ignore_attr = TRUE)
  expect_equal(mean(apply(drawn, 1, var)), 4 * (1 + 1.5^2), tolerance = 0.02)
  within <- cor(drawn[1, ], drawn[2, ])
  expect_equal(within, 1.5^2 / (1 + 1.5^2), tolerance = 0.05)
  expect_lt(abs(cor(drawn[1, ], drawn[6, ])), 0.1)
  # a response in the formula makes no difference, nor do names
  named <- params
  named$beta <- rev(stats::setNames(params$beta, colnames(X)))
  expect_identical(
    draw(y ~ time * treated + (1 | subject), 2, 1, plan, named),
    draw(~ time * treated + (1 | subject), 2, 1, plan, params)
  )
  weighted <- as.matrix(
    draw(~ time * treated + (1 | subject), 2000, 1, plan, params, weights = 4)
  )
  expect_equal(mean(apply(weighted, 1, var)), 4 * (1 / 4 + 1.5^2), tolerance = 0.02)
})

test_that("simulations of a formula have the structure of the residuals", {
  drawn <- as.matrix(draw(
    ~ time, 2000, 1, plan, list(beta = c(0, 0), sigma = 3, phi = 0.8),
    residual = ~ ar1(time | subject)
  ))
  expect_equal(sd(drawn), 3, tolerance = 0.02)
  expect_equal(cor(drawn[1, ], drawn[3, ]), 0.64, tolerance = 0.05)
  both <- as.matrix(draw(
    ~ time + (1 | subject), 2000, 1, plan, list(beta = c(0, 0), sigma = 1, theta = 1, phi = 0.5),
    correlation = nlme::corAR1(form = ~ 1 | subject)
  ))
  expect_equal(cor(both[1, ], both[2, ]), 1.5 / 2, tolerance = 0.05)
})

test_that("what is missing is named", {
  f <- ~ time * treated + (time | subject)
  expect_error(draw(f, newdata = plan), "`beta`, `theta`", class = "ferrolmm_error_argument")
  expect_error(
    draw(f, newdata = plan, newparams = params[c("beta", "sigma")]), "subject.time.[(]Intercept",
    class = "ferrolmm_error_argument"
  )
  expect_error(draw(f, newparams = params), "newdata", class = "ferrolmm_error_newdata")
  expect_error(draw(f, newdata = plan, newparams = params, family = 1), "normal responses",
               class = "ferrolmm_error_argument")
  expect_error(draw(f, newdata = plan, newparams = params), "3 numbers",
               class = "ferrolmm_error_argument")
  expect_error(draw(1:3), "no method", class = "ferrolmm_error_argument")
})

test_that("without 'lme4' the generic finds the method", {
  output <- run_fresh(
    "library(ferrolmm)",
    "d <- data.frame(x = rep(1:5, 6), g = rep(1:6, each = 5))",
    "s <- simulate(~ x + (1 | g), newdata = d, seed = 1,",
    "  newparams = list(beta = c(1, 2), theta = 1, sigma = 1))",
    "stopifnot(nrow(s) == 30, !isNamespaceLoaded('lme4'))",
    "cat('done\\n')"
  )
  expect_match(output, "done", all = FALSE)
})
