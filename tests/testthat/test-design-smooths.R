d <- smooth_data_of()

models <- list(
  tp = y ~ f + s(x) + (1 | g),
  cr = y ~ f + s(x, bs = "cr") + (1 | g),
  ps = y ~ f + s(x, bs = "ps") + (1 | g),
  cc = y ~ f + s(x, bs = "cc") + (1 | g),
  ts = y ~ f + s(x, bs = "ts", k = 7) + (1 | g),
  k3 = y ~ s(x, k = 3) + (1 | g),
  m1 = y ~ s(x, m = 1) + (1 | g),
  ds = y ~ s(x, bs = "ds") + (1 | g),
  gp = y ~ s(x, bs = "gp") + (1 | g),
  two = y ~ f + s(x) + s(z, k = 5) + (1 | g),
  of_two = y ~ s(x, z) + (1 | g),
  by_factor = y ~ f + s(x, by = f) + (1 | g),
  by_number = y ~ s(x, k = 5) + s(x, by = u, k = 5) + (1 | g),
  fs = y ~ s(x, f, bs = "fs", k = 5) + (1 | g),
  re = y ~ s(x) + s(f, bs = "re") + (1 | g),
  without_bars = y ~ f + s(x),
  no_intercept = y ~ 0 + f + s(x) + (1 | g),
  expression = y ~ s(log(x + 1)) + (1 | g)
)
models$expression <- y ~ s(I(log(x + 1))) + (1 | g)

test_that("fits are those of gam() by REML: criterion, sigma, fitted values, edf", {
  for (name in names(models)) {
    fit <- suppressMessages(lmm(models[[name]], d))
    twin <- gam_twin(models[[name]], d)
    expect_equal(REMLcrit(fit), 2 * as.numeric(twin$gcv.ubre), tolerance = 1e-6, label = name)
    expect_equal(sigma(fit), sqrt(twin$sig2), tolerance = 1e-5, label = name)
    expect_equal(
      unname(fitted(fit)), unname(as.vector(fitted(twin))), tolerance = 1e-5, label = name
    )
    labels <- rownames(smooths(fit))
    expect_equal(
      smooths(fit)$edf, unname(summary(twin)$s.table[labels, "edf"]), tolerance = 5e-4,
      label = name
    )
  }
})

test_that("fits with penalties at infinity are those of gam() up to its limit for them", {
  for (formula in c(
    y ~ t2(x, z) + (1 | g), y ~ s(x) + s(x, f, bs = "fs", k = 5) + (1 | g)
  )) {
    fit <- suppressMessages(lmm(formula, d))
    twin <- gam_twin(formula, d)
    # ours is not above theirs
    expect_lt(REMLcrit(fit), 2 * as.numeric(twin$gcv.ubre) + 1e-6)
    expect_equal(REMLcrit(fit), 2 * as.numeric(twin$gcv.ubre), tolerance = 1e-5)
    expect_equal(unname(fitted(fit)), unname(as.vector(fitted(twin))), tolerance = 1e-3)
  }
  # nested smooths: gam() of 'mgcv' 1.8-41 ends at another optimum, which is higher
  formula <- y ~ s(x) + s(z) + t2(x, z) + (1 | g)
  fit <- suppressMessages(lmm(formula, d))
  expect_equal(REMLcrit(fit), dense_criterion(fit), tolerance = 1e-8)
  expect_lt(REMLcrit(fit), 2 * as.numeric(gam_twin(formula, d)$gcv.ubre) + 1e-6)
})

test_that("ML, weights, offset, subset and missing values are as in gam()", {
  formula <- y ~ f + s(x) + (1 | g)
  fit <- lmm(formula, d, REML = FALSE)
  twin <- gam_twin(formula, d, "ML")
  expect_equal(deviance(fit), 2 * as.numeric(twin$gcv.ubre), tolerance = 1e-7)
  expect_equal(unname(fitted(fit)), unname(as.vector(fitted(twin))), tolerance = 1e-5)
  other <- d
  other$x[3] <- NA
  formula <- y ~ s(x) + offset(z) + (1 | g)
  fit <- lmm(formula, other, weights = w, subset = f != "a")
  twin <- mgcv::gam(
    y ~ s(x) + offset(z) + s(g, bs = "re"), data = other, method = "REML", weights = w,
    subset = f != "a"
  )
  expect_equal(REMLcrit(fit), dense_criterion(fit), tolerance = 1e-8)
  expect_equal(unname(fitted(fit)), unname(as.vector(fitted(twin))), tolerance = 1e-5)
  expect_equal(as.numeric(smooths(fit)$edf), unname(summary(twin)$s.table["s(x)", "edf"]),
               tolerance = 1e-4)
  whole <- lmm(formula, other, na.action = na.exclude)
  expect_identical(unname(which(is.na(fitted(whole)))), 3L)
})

test_that("small and large data, and the criterion by dense algebra", {
  for (n in c(50, 2000)) {
    many <- smooth_data_of(n, seed = 3)
    fit <- suppressMessages(lmm(y ~ s(x) + (1 | g), many))
    twin <- gam_twin(y ~ s(x) + (1 | g), many)
    expect_equal(REMLcrit(fit), 2 * as.numeric(twin$gcv.ubre), tolerance = 1e-7)
    expect_equal(unname(fitted(fit)), unname(as.vector(fitted(twin))), tolerance = 1e-5)
  }
  fit <- suppressMessages(lmm(y ~ s(x, by = f) + t2(x, z, k = 4) + (1 | g), d))
  expect_equal(REMLcrit(fit), dense_criterion(fit), tolerance = 1e-8)
  fit <- suppressMessages(lmm(y ~ t2(x, z, k = 4) + (1 | g), d, REML = FALSE))
  expect_equal(deviance(fit), dense_criterion(fit), tolerance = 1e-8)
})

test_that("the fit is that of lmer() on the matrices of smooth2random(), as gamm4() fits it", {
  skip_if_not_installed("lme4")
  maker <- mgcv::smoothCon(mgcv::s(x), d, absorb.cons = TRUE, scale.penalty = TRUE)[[1]]
  form <- mgcv::smooth2random(maker, "", type = 2)
  z <- form$rand[[1]]
  d$xf <- form$Xf[, 1]
  d$fake <- gl(ncol(z), 1, nrow(d))
  parts <- lme4::lFormula(y ~ xf + (1 | g) + (1 | fake), d)
  at <- which(names(parts$reTrms$cnms) == "fake")
  rows <- seq.int(parts$reTrms$Gp[at] + 1, parts$reTrms$Gp[at + 1])
  parts$reTrms$Zt[rows, ] <- Matrix::Matrix(t(unclass(z)), sparse = TRUE)
  criterion <- do.call(lme4::mkLmerDevfun, parts)
  optimum <- lme4::optimizeLmer(criterion)
  theirs <- lme4::mkMerMod(environment(criterion), optimum, parts$reTrms, fr = parts$fr)
  fit <- lmm(y ~ s(x) + (1 | g), d)
  expect_equal(REMLcrit(fit), lme4::REMLcrit(theirs), tolerance = 1e-8)
  expect_equal(unname(fitted(fit)), unname(lme4::getME(theirs, "mu")), tolerance = 1e-4)
})

test_that("knots are given by xt", {
  fit <- lmm(y ~ s(x, bs = "cc", k = 6, xt = list(knots = c(0, 1))) + (1 | g), d)
  twin <- mgcv::gam(
    y ~ s(x, bs = "cc", k = 6) + s(g, bs = "re"), data = d, method = "REML",
    knots = list(x = c(0, 1))
  )
  expect_equal(REMLcrit(fit), 2 * as.numeric(twin$gcv.ubre), tolerance = 1e-8)
  ends <- predict(fit, data.frame(x = c(0, 1)), re.form = NA)
  expect_equal(ends[[1]], ends[[2]], tolerance = 1e-8)
})

test_that("arguments are found where the formula was made", {
  fits <- function(size) lmm(y ~ s(x, k = size) + (1 | g), d)
  expect_equal(REMLcrit(fits(6)), REMLcrit(lmm(y ~ s(x, k = 6) + (1 | g), d)))
})

test_that("what a smooth cannot be built of is said", {
  d$k5 <- rep_len(1:5, nrow(d))
  d$l <- d$x > 0.5
  d$ch <- as.character(d$f)
  fail <- function(formula, class = "ferrolmm_error_smooth") {
    expect_error(lmm(formula, d), class = class)
  }
  expect_match(conditionMessage(fail(y ~ s(k5) + (1 | g))), "s(x, k = 4)", fixed = TRUE)
  expect_match(conditionMessage(fail(y ~ s(f) + (1 | g))), "by = f", fixed = TRUE)
  fail(y ~ s(l) + (1 | g))
  fail(y ~ s(ch) + (1 | g))
  fail(y ~ s(x, by = l) + (1 | g))
  fail(y ~ s(x, bs = "ad") + (1 | g))
  fail(y ~ s(x, bs = "none") + (1 | g))
  fail(y ~ s(rep(1, 200)) + (1 | g))
  fail(y ~ s(cbind(x, z)) + (1 | g))
  fail(y ~ s(x) + s(x, k = 5) + (1 | g), "ferrolmm_error_formula")
  fail(y ~ s(absent) + (1 | g), "ferrolmm_error_data")
  expect_warning(lmm(y ~ s(x, k = 2) + (1 | g), d), class = "ferrolmm_warning_smooth")
  expect_error(lmm(y ~ s(x) + (1 | g), d, residual = ~ ar1(1 | g)),
               class = "ferrolmm_error_residual")
})
