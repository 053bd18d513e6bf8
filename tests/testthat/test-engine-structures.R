test_that("structures are asked for once, and say what they need", {
  expect_identical(structures(), structures())
  expect_true(exists("all", asked, inherits = FALSE))
  expect_named(structures(), c("correlations", "random", "scales"))
  # those of today: others may come
  spatial <- c("exp", "gaus", "lin", "ratio", "spher", "matern0.5", "matern1.5", "matern2.5")
  kinds <- structures()$correlations[
    c("us", "toep", "ante", "ar1", "car1", "arma", "cs", spatial)
  ]
  of <- function(flag) {
    names(kinds)[vapply(kinds, function(kind) isTRUE(kind[[flag]]), NA)]
  }
  at <- function(field) vapply(kinds, `[[`, "", field)
  expect_setequal(of("effects"), c("cs", "ar1", "toep"))
  expect_identical(of("has_orders"), "arma")
  expect_setequal(setdiff(names(kinds), of("order_matters")), c("cs", "us"))
  expect_setequal(of("nugget"), spatial)
  expect_setequal(names(which(at("position") == "points")), spatial)
  expect_identical(names(which(at("position") == "none")), "cs")
  expect_setequal(names(which(at("position") == "visits")), c("us", "toep", "ante"))
  expect_identical(
    at("each")[c("us", "toep", "ante", "ar1")],
    c(us = "pair", toep = "lag", ante = "neighbours", ar1 = "none")
  )
  expect_identical(names(Filter(function(kind) kind$factor, structures()$random)), c("us", "rr"))
  expect_identical(
    names(Filter(function(kind) !kind$correlated, structures()$random)), "diag"
  )
  expect_identical(names(Filter(function(kind) !kind$zero, structures()$scales)), "power")
  expect_identical(names(Filter(function(kind) kind$reference, structures()$scales)), "ident")
  expect_identical(scale_kind("constpower")$parameters, c("const", "power"))
})

test_that("parameters have bounds that depend on the size", {
  for (k in c(2L, 3L, 7L)) {
    cs <- effects_parameters("cs", k)
    expect_identical(cs[c("names", "lower", "upper")], list(names = "rho", lower = -1 / (k - 1),
                                                             upper = 1))
    expect_length(effects_parameters("toep", k)$names, k - 1L)
  }
  of <- function(type, ...) {
    engine_correlation_parameters(list(type = type, largest = 5L, nugget = FALSE, ...))
  }
  expect_identical(of("cs")$lower, -0.25)
  expect_identical(of("car1")$kinds, "unit")
  expect_identical(of("arma", p = 1, q = 1)$kinds, c("real", "real"))
  spatial <- engine_correlation_parameters(list(type = "gaus", largest = 5L, nugget = TRUE))
  expect_identical(spatial$names, c("range", "nugget"))
  expect_identical(spatial$kinds, c("positive", "unit"))
})

test_that("more parameters than are wanted are counted only", {
  many <- list(type = "us", n_positions = 100000L, largest = 5L)
  found <- engine_correlation_parameters(many, 10L)
  expect_identical(found$count, 100000 * 99999 / 2)
  expect_null(found$names)
})

test_that("correlations of effects are those of the definitions, at their ends too", {
  lag <- abs(outer(1:4, 1:4, `-`))
  expect_equal(engine_effects_correlation("ar1", -0.6, 4), (-0.6)^lag, tolerance = 1e-14)
  expect_equal(engine_effects_correlation("ar1", 1, 4), matrix(1, 4, 4), tolerance = 1e-14)
  expect_equal(engine_effects_correlation("toep", c(0.5, 0.2, -0.1), 4),
               stats::toeplitz(c(1, 0.5, 0.2, -0.1)), tolerance = 1e-14)
  cs <- matrix(-1 / 3, 4, 4)
  diag(cs) <- 1
  expect_equal(engine_effects_correlation("cs", -1 / 3, 4), cs, tolerance = 1e-14)
  for (bad in list(list("ar1", 1.1), list("cs", -0.4), list("ar1", c(0.1, 0.2)), list("cs", NA))) {
    expect_error(
      engine_effects_correlation(bad[[1L]], bad[[2L]], 4), class = "ferrolmm_error_dimension"
    )
  }
})

test_that("standard deviations are those of the definitions", {
  v <- c(-2, 0, 0.5, 3)
  stratum <- c(1L, 2L, 1L, 2L)
  one <- function(type, par, ...) {
    engine_scale_values(list(list(type = type, ...)), par, 4L)
  }
  strata <- list(stratum = stratum, n_strata = 2L)
  expect_equal(one("ident", 0.3, stratum = stratum, n_strata = 2L), c(1, 0.3, 1, 0.3))
  expect_equal(one("exp", c(0.2, -1), covariate = v, stratum = stratum, n_strata = 2L),
               exp(c(0.2, -1)[stratum] * v))
  # where the covariate is zero
  expect_equal(one("power", 0.7, covariate = v), abs(v)^0.7)
  expect_equal(one("power", -0.7, covariate = v), abs(v)^-0.7)
  expect_equal(one("power", 0, covariate = v), rep(1, 4))
  for (power in c(0.7, 0, -0.7)) {
    expect_equal(one("constpower", c(0.4, power), covariate = v), 0.4 + abs(v)^power)
    expect_equal(one("constprop", c(0.4, exp(power)), covariate = v),
                 sqrt(0.4^2 + exp(2 * power) * v^2))
  }
  expect_equal(
    engine_scale_values(
      list(c(list(type = "ident"), strata), list(type = "exp", covariate = v)), c(2, 0.1), 4L
    ),
    c(1, 2)[stratum] * exp(0.1 * v)
  )
  expect_error(one("ident", -1, stratum = stratum, n_strata = 2L),
               class = "ferrolmm_error_residual_start")
  expect_error(one("exp", numeric(), covariate = v), class = "ferrolmm_error_residual_start")
})
