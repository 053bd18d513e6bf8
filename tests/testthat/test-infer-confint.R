test_that("Wald intervals of fixed effects use t with the degrees of freedom", {
  fit <- our_twin("slope")
  ci <- confint(fit)
  expect_identical(rownames(ci), c(".sig01", ".sig02", ".sig03", ".sigma", "(Intercept)", "Days"))
  expect_identical(colnames(ci), c("2.5 %", "97.5 %"))
  table <- coef(summary(fit))
  half <- qt(0.975, table[, "df"]) * table[, "Std. Error"]
  expect_equal(unname(ci[5:6, ]), unname(cbind(table[, 1] - half, table[, 1] + half)))
  z <- confint(fit, "Days", level = 0.9, ddf = "asymptotic")
  expect_identical(dimnames(z), list("Days", c("5 %", "95 %")))
  expect_equal(z[2] - z[1], 2 * qnorm(0.95) * table[2, 2])
})

test_that("intervals of standard deviations and correlations are on their scales", {
  fit <- our_twin("slope")
  ci <- confint(fit, "theta_", oldNames = FALSE)
  expect_identical(rownames(ci), c(
    "sd_(Intercept)|Subject", "cor_Days.(Intercept)|Subject", "sd_Days|Subject", "sigma"
  ))
  sd <- attr(VarCorr(fit)$Subject, "stddev")
  expect_equal(sqrt(ci[c(1, 3), 1] * ci[c(1, 3), 2]), sd, ignore_attr = TRUE)
  rho <- attr(VarCorr(fit)$Subject, "correlation")[2, 1]
  expect_equal(mean(atanh(ci[2, ])), atanh(rho))
})

test_that("names are lme4's, whatever the terms", {
  skip_if_not_installed("lme4")
  for (name in c("slope", "double_bar", "crossed", "factor_slope", "poly")) {
    theirs <- suppressWarnings(confint(lme4_twin(name), method = "Wald", oldNames = FALSE))
    names <- rownames(confint(our_twin(name), oldNames = FALSE))
    if (utils::packageVersion("lme4") < "2.0") {
      expect_identical(names, rownames(theirs))
    } else {
      # lme4 2.x puts the standard deviations of a term before its correlations
      expect_setequal(names, rownames(theirs))
    }
    theirs <- suppressWarnings(confint(lme4_twin(name), method = "Wald"))
    ours <- confint(our_twin(name), ddf = "asymptotic")
    expect_identical(dimnames(ours), dimnames(theirs))
    fixed <- names(fixef(our_twin(name)))
    expect_equal(ours[fixed, ], theirs[fixed, ], tolerance = 1e-6)
  }
})

test_that("parameters are chosen by name and position", {
  fit <- our_twin("slope")
  whole <- confint(fit)
  expect_identical(confint(fit, "beta_"), whole[5:6, ])
  expect_identical(confint(fit, c(".sigma", "Days")), whole[c(4, 6), ])
  expect_identical(confint(fit, 6:5), whole[6:5, ])
  expect_error(confint(fit, "Dais"), class = "ferrolmm_error_argument")
  expect_error(confint(fit, 9), class = "ferrolmm_error_argument")
  expect_error(confint(fit, method = "magic"), class = "ferrolmm_error_argument")
  expect_error(confint(fit, level = 2), class = "ferrolmm_error_argument")
})

test_that("aliased coefficients have no limits", {
  ci <- confint(our_twin("deficient"), "beta_")
  expect_identical(unname(is.na(ci[, 1])), c(FALSE, FALSE, TRUE, FALSE))
})

test_that("a model without fixed effects has intervals of the rest", {
  ci <- confint(our_twin("no_fixed"))
  expect_identical(rownames(ci), c(".sig01", ".sigma"))
  expect_true(all(is.finite(ci)))
})

test_that("parameters at their boundary have no limits", {
  set.seed(3)
  data <- data.frame(g = gl(8, 5), x = rnorm(40), y = rnorm(40))
  data$y <- data$y - ave(data$y, data$g)
  fit <- suppressMessages(lmm(y ~ x + (1 | g), data))
  ci <- confint(fit, "theta_")
  expect_true(all(is.na(ci[".sig01", ])))
  expect_true(all(is.finite(ci[".sigma", ])))
})

test_that("a parameter at an edge of its range has no Wald limits", {
  kinds <- c("correlation", "positive", "unit", "real")
  limits <- parameter_limits(c(-1, 0, 1, 2), rep(0.1, 4L), kinds, 0.95)
  expect_true(all(is.na(limits[1:3, ])))
  expect_false(any(is.nan(limits)))
  expect_equal(limits[4L, ], 2 + c(-0.1, 0.1) * qnorm(0.975))
  # rounding may carry a value beyond the edge
  over <- c(1 + 2^-52, -1e-17, 1 + 2^-52)
  expect_no_warning(limits <- parameter_limits(over, rep(0.1, 3L), kinds[1:3], 0.95))
  expect_true(all(is.na(limits)) && !any(is.nan(limits)))
})

test_that("a test without degrees of freedom has no interval", {
  set.seed(1)
  d <- data.frame(g = gl(3, 6), a = factor(rep(c("x", "y", "z"), each = 6)), t = rnorm(18))
  d$y <- rnorm(18) + rnorm(3)[d$g]
  fit <- lmm(y ~ a + t + (1 | g), d, control = lmm_control(hold = c("g.(Intercept)" = 1)))
  limits <- suppressWarnings(confint(fit, "beta_", ddf = "between-within"))
  expect_identical(unname(is.na(limits[, 1L])), c(TRUE, TRUE, TRUE, FALSE))
  # where a method has none at all, the normal quantile
  expect_true(all(is.finite(confint(fit, "beta_", ddf = "none"))))
})
