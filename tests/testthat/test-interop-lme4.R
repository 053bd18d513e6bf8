skip_if_not_installed("lme4")

converted <- function(name) as_lmerMod(our_twin(name))

for (name in setdiff(names(twin_calls), "no_fixed")) {
  test_that(paste("as_lmerMod() is the object of lme4 at our estimates:", name), {
    ours <- our_twin(name)
    made <- converted(name)
    theirs <- lme4_twin(name)
    expect_s4_class(made, "lmerMod")
    for (slot in c("flist", "cnms", "Gp", "theta", "beta", "u", "lower")) {
      expect_equal(slot(made, slot), slot(theirs, slot), tolerance = 1e-8, info = slot)
    }
    expect_equal(made@devcomp$cmp, theirs@devcomp$cmp, tolerance = 1e-10)
    expect_identical(made@devcomp$dims, theirs@devcomp$dims)
    expect_identical(made@frame, theirs@frame, ignore_attr = TRUE)
    expect_equal(made@resp$weights, theirs@resp$weights)
    expect_equal(made@resp$offset, theirs@resp$offset)
    # and those of the fit
    expect_equal(lme4::fixef(made), fixef(ours), tolerance = 1e-7)
    expect_equal(as.matrix(vcov(made)), vcov(ours), tolerance = 1e-6, ignore_attr = TRUE)
    expect_equal(sigma(made), sigma(ours), tolerance = 1e-8)
    expect_equal(as.numeric(logLik(made)), as.numeric(logLik(ours)), tolerance = 1e-8)
    expect_equal(attr(logLik(made), "df"), attr(logLik(ours), "df"))
    expect_equal(unname(fitted(made)), unname(fitted(ours)), tolerance = 1e-7)
    expect_equal(residuals(made), residuals(ours), tolerance = 1e-6, ignore_attr = TRUE)
  })
}

test_that("profile, bootstrap, refit and update of 'lme4' work on the result", {
  fit <- our_twin("ml")
  made <- as_lmerMod(fit)
  # in lme4 2 the correlations come last
  limits <- suppressMessages(confint(made))
  own <- confint(fit, method = "profile")
  expect_equal(sort(limits[, 1L]), sort(own[, 1L]), tolerance = 1e-3, ignore_attr = TRUE)
  expect_equal(sort(limits[, 2L]), sort(own[, 2L]), tolerance = 1e-3, ignore_attr = TRUE)
  set.seed(1)
  boot <- lme4::bootMer(made, lme4::fixef, nsim = 3)
  expect_equal(boot$t0, fixef(fit), tolerance = 1e-7)
  expect_false(anyNA(boot$t))
  # fitted from where lme4 starts, by its optimiser
  again <- lme4::refit(made, fit$frame$Reaction)
  expect_equal(as.numeric(logLik(again)), as.numeric(logLik(fit)), tolerance = 1e-6)
  smaller <- update(made, . ~ . - Days)
  expect_equal(
    as.numeric(logLik(smaller)), as.numeric(logLik(update(fit, . ~ . - Days))), tolerance = 1e-6
  )
  expect_identical(getCall(made)[[1L]], quote(lme4::lmer))
  expect_equal(anova(made, smaller)$Chisq[[2L]], anova(fit, update(fit, . ~ . - Days))$Chisq[[2L]],
               tolerance = 1e-4)
})

test_that("with test = TRUE the result has the tests of 'lmerTest' and 'pbkrtest'", {
  skip_if_not_installed("lmerTest")
  skip_if_not_installed("pbkrtest")
  fit <- our_twin("factor_slope")
  made <- as_lmerMod(fit, test = TRUE)
  expect_s4_class(made, "lmerModLmerTest")
  expect_equal(coef(summary(made)), coef(summary(fit)), tolerance = 1e-4)
  expect_equal(as.data.frame(anova(made)), as.data.frame(anova(fit)), tolerance = 1e-4,
               ignore_attr = TRUE)
  expect_equal(
    as.data.frame(anova(made, ddf = "Kenward-Roger")),
    as.data.frame(anova(fit, ddf = "Kenward-Roger")), tolerance = 1e-4, ignore_attr = TRUE
  )
  expect_equal(
    as.matrix(pbkrtest::vcovAdj(as_lmerMod(fit))), vcov(fit, adjusted = TRUE), tolerance = 1e-5,
    ignore_attr = TRUE
  )
})

test_that("'merTools' and 'arm' take the result", {
  skip_if_not_installed("merTools")
  skip_if_not_installed("arm")
  fit <- our_twin("slope")
  made <- as_lmerMod(fit)
  set.seed(1)
  effects <- suppressWarnings(merTools::REsim(made, n.sims = 50))
  expect_identical(nrow(effects), 36L)
  # of 50 simulations: within some standard errors of what they are simulated from
  fixed <- merTools::FEsim(made, n.sims = 50)
  expect_lt(max(abs(fixed$mean - fixef(fit)) / coef(summary(fit))[, 2L]), 1)
  interval <- suppressWarnings(merTools::predictInterval(made, fit$frame[1:3, ], n.sims = 100))
  expect_true(all(interval$lwr < fitted(fit)[1:3] & fitted(fit)[1:3] < interval$upr))
  expect_output(arm::display(made), "Days")
  expect_equal(arm::se.fixef(made), coef(summary(fit))[, 2L], tolerance = 1e-6)
  expect_equal(arm::se.ranef(made)$Subject[, 1L],
               as.data.frame(ranef(fit))$condsd[1:18], tolerance = 1e-6, ignore_attr = TRUE)
  expect_identical(dim(arm::sim(made, n.sims = 5)@fixef), c(5L, 2L))
})

test_that("the data are found wherever the fit was made, and of any kind", {
  make <- function(n) {
    own <- data.frame(y = rnorm(n), `the day` = rep(1:4, length.out = n), check.names = FALSE)
    own$g <- rep(letters[1:6], each = 4, length.out = n)
    shift <- 2
    lmm(y ~ I(`the day` + shift) + (1 | g), own, weights = `the day`, subset = `the day` > 1)
  }
  set.seed(3)
  fit <- suppressMessages(make(48L))
  made <- as_lmerMod(fit)
  expect_equal(as.numeric(logLik(made)), as.numeric(logLik(fit)))
  expect_equal(as.numeric(logLik(suppressMessages(update(made, REML = FALSE)))),
               as.numeric(logLik(suppressMessages(refitML(fit)))), tolerance = 1e-6)
  skip_if_not_installed("tibble")
  d <- tibble::as_tibble(lme4::sleepstudy)
  d$late <- d$Days > 4
  fit <- lmm(Reaction ~ splines::ns(Days, 2) + late + us(1 | Subject), d)
  expect_equal(unname(lme4::fixef(as_lmerMod(fit))), unname(fixef(fit)), tolerance = 1e-7)
  # contrasts of the day of the fit
  before <- options(contrasts = c("contr.sum", "contr.poly"))
  fit <- lmm(Reaction ~ factor(Days) + (1 | Subject), d)
  options(before)
  expect_equal(unname(lme4::fixef(as_lmerMod(fit))), unname(fixef(fit)), tolerance = 1e-7)
})

test_that("rows of weight zero are left out by a subset", {
  d <- lme4::sleepstudy
  d$w <- rep(c(1, 2, 0), 60)
  fit <- lmm(Reaction ~ Days + (1 | Subject), d, weights = w)
  made <- as_lmerMod(fit)
  expect_equal(as.numeric(logLik(made)), as.numeric(logLik(fit)))
  expect_identical(nobs(made), nobs(fit))
  fit <- lmm(Reaction ~ Days + (1 | Subject), d, weights = w, subset = Days > 1)
  expect_error(as_lmerMod(fit), "weight zero", class = "ferrolmm_error_weights")
})

test_that("what 'lme4' has not is an error that names it", {
  d <- lme4::sleepstudy
  expect_error(
    as_lmerMod(lmm(Reaction ~ Days, d, residual = ~ ar1(1 | Subject))), "residuals",
    class = "ferrolmm_error_residual"
  )
  expect_error(
    as_lmerMod(lmm(Reaction ~ Days + cs(Days | Subject), d)), "compound symmetry",
    class = "ferrolmm_error_argument"
  )
  levels <- levels(d$Subject)
  K <- diag(18) + 0.1
  dimnames(K) <- list(levels, levels)
  expect_error(as_lmerMod(lmm(Reaction ~ Days + us(1 | Subject, cov = K), d)), "known matrix",
               class = "ferrolmm_error_known")
  expect_error(
    as_lmerMod(lmm(Reaction ~ Days + (1 | Subject), d, control = lmm_control(sigma = 30))),
    "sigma", class = "ferrolmm_error_restriction"
  )
  expect_error(
    as_lmerMod(lmm(Reaction ~ Days + (1 | Subject), d,
                   control = lmm_control(hold = c("Subject.(Intercept)" = 1)))),
    "held", class = "ferrolmm_error_restriction"
  )
  fit <- lmm(Reaction ~ Days + (1 | Subject), d)
  d$Reaction[[1L]] <- 0
  expect_error(as_lmerMod(fit), "response", class = "ferrolmm_error_data")
  rm(d)
  expect_error(as_lmerMod(fit), "data", class = "ferrolmm_error_data")
})
