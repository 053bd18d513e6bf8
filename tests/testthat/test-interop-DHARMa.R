test_that("simulated residuals are those of lmer(), given the random effects", {
  skip_if_not_installed("DHARMa")
  simulated <- function(fit, ...) {
    suppressWarnings(elsewhere("DHARMa", "simulateResiduals")(fit, n = 60, seed = 4, ...))
  }
  for (name in c("slope", "crossed", "factor_slope")) {
    expect_equal(
      simulated(our_twin(name))$scaledResiduals, simulated(lme4_twin(name))$scaledResiduals
    )
  }
})

test_that("simulateREs says which random effects are new", {
  skip_if_not_installed("DHARMa")
  get <- utils::getFromNamespace("getSimulations", "DHARMa")
  fit <- our_twin("slope")
  for (type in c("normal", "refit")) {
    set.seed(2)
    given <- get(fit, 5, "conditional", type = type)
    set.seed(2)
    expect_equal(
      data.matrix(given), data.matrix(simulate(fit, 5, re.form = NULL)), ignore_attr = TRUE
    )
    set.seed(2)
    fresh <- get(fit, 5, "unconditional", type = type)
    set.seed(2)
    expect_equal(data.matrix(fresh), data.matrix(simulate(fit, 5)), ignore_attr = TRUE)
    expect_identical(is.data.frame(fresh), type == "refit")
  }
  set.seed(2)
  crossed <- our_twin("crossed")
  chosen <- get(crossed, 5, "user-specified", re.form = ~ (1 | plate))
  set.seed(2)
  expect_equal(
    chosen, data.matrix(simulate(crossed, 5, re.form = ~ (1 | plate))), ignore_attr = TRUE
  )
  expect_error(
    get(fit, 5, "conditional", re.form = NA), "user-specified", class = "ferrolmm_error_argument"
  )
})

test_that("residuals with refits, and of a residual structure, are uniform where the model holds", {
  skip_if_not_installed("DHARMa")
  simulate_residuals <- elsewhere("DHARMa", "simulateResiduals")
  refitted <- suppressWarnings(
    simulate_residuals(our_twin("slope"), n = 20, refit = TRUE, seed = 1)
  )
  expect_identical(dim(refitted$refittedFixedEffects), c(2L, 20L))
  d <- as.data.frame(nlme::Orthodont)
  d$visit <- factor(d$age)
  fit <- lmm(distance ~ Sex * visit, d, residual = ~ us(visit | Subject))
  found <- suppressWarnings(simulate_residuals(fit, n = 250, seed = 1))
  # 250 simulations leave ties
  test <- suppressWarnings(stats::ks.test(found$scaledResiduals, "punif"))
  expect_gt(test$p.value, 0.01)
})
