# Names are for people: what a model gives does not depend on them.

hostile <- list(
  collide = c(z = "f1", x = "f0", k = "fk", w = "k", o = "off"),
  coincide = c(k = "f", f = "fA", x = "fB", z = "fC", g = "a", h = "b", o = "a:b"),
  code = c(x = "log(z)", f = "a:b", k = "k+1", g = "g/h", h = "1|h", y = "I(y)", z = "z*2"),
  own = c(
    x = "(Intercept)", f = "(weights)", k = "(fitted)", g = "Residual", h = ".sig01", y = "T",
    z = "if", w = ".n"
  ),
  inside = c(x = ".zeta", f = ".par", k = "sigma", g = "residual", h = "rho", z = "criterion"),
  quoted = c(x = "x\"q", f = "it's", k = "{k}", g = "g{x}", h = "50%s", y = "y`b", z = "b\\s"),
  foreign = c(x = "gr\u00f6\u00dfe", f = "\u0444", g = "\u540d\u524d", h = "\u00f1", z = "z z"),
  arguments = c(x = "object", f = "data", k = "weights", g = "newdata", h = "row.names", z = "n")
)

# what 'emmeans' itself makes of a name is its own
own_methods <- name_walk[setdiff(names(name_walk), "emmeans")]

expect_same_numbers <- function(formula, maps, methods = own_methods, ...) {
  fit <- suppressMessages(lmm(formula, names_data(), ...))
  plain <- walk_methods(fit, names_data(), methods = methods)
  expect_identical(names(plain)[vapply(plain, is.character, NA)], character())
  for (map in names(maps)) {
    data <- names_data(maps[[map]])
    fit <- suppressMessages(lmm(rename_formula(formula, maps[[map]]), data, ...))
    found <- walk_methods(fit, data, maps[[map]], methods)
    for (method in names(plain)) {
      expect_equal(found[[method]], plain[[method]], tolerance = 1e-8, label = paste(map, method))
    }
  }
}

test_that("every method gives the same numbers under any names", {
  quick <- own_methods[c(
    "fixef", "theta", "ranef", "coef", "varcorr", "anova", "drop1", "ranova", "wald", "predict",
    "getME", "contest", "pooling", "equations"
  )]
  expect_same_numbers(
    y ~ f * k + x + z + offset(o) + (f + z | g) + (1 | h), hostile[c("collide", "own")], quick
  )
  skip_on_cran()
  expect_same_numbers(y ~ f * k + x + z + offset(o) + (f + z | g) + (1 | h), hostile)
})

test_that("terms on one factor whose effects have the same names", {
  skip_on_cran()
  expect_same_numbers(
    y ~ f + z + (f | g) + (0 + z | g), hostile[c("collide", "coincide")]
  )
  expect_same_numbers(y ~ f + k + x + (f + x || g), hostile[c("collide", "code")])
  expect_same_numbers(y ~ x + k + (1 | h / k) + (0 + f | g), hostile[c("coincide", "code")])
  expect_same_numbers(
    y ~ 0 + f + poly(x, 2) + I(z^2) + log(w) + (0 + f + z | g), hostile[c("collide", "quoted")]
  )
})

test_that("emmeans of terms whose columns have the same names", {
  skip_if_not_installed("emmeans")
  formula <- y ~ f * k + z + (f + z | g)
  marginal <- name_walk["emmeans"]
  plain <- walk_methods(lmm(formula, names_data()), names_data(), methods = marginal)
  for (map in hostile[c("collide", "code", "foreign")]) {
    fit <- lmm(rename_formula(formula, map), names_data(map))
    expect_equal(
      walk_methods(fit, names_data(map), map, marginal), plain, tolerance = 1e-8
    )
  }
})

test_that("a factor's level and a number of the same name are two effects", {
  set.seed(14)
  d <- twin_data()$sleepstudy
  d$f <- factor(rep(0:1, 90))
  d$f1 <- rnorm(180)
  d$Reaction <- d$Reaction + rep(rnorm(18, sd = 60), each = 10) * d$f1
  expect_silent(
    both <- suppressMessages(lmm(Reaction ~ 1 + (f | Subject) + (0 + f1 | Subject), d))
  )
  # lme4 fits the same model where the number has another name
  d$u <- d$f1
  renamed <- suppressMessages(
    lme4::lmer(Reaction ~ 1 + (f | Subject) + (0 + u | Subject), d)
  )
  expect_equal(c(logLik(both)), c(logLik(renamed)), tolerance = 1e-6)
  # a term that is there twice is still dropped, however it is written
  expect_warning(
    suppressMessages(lmm(Reaction ~ 1 + (f | Subject) + (1 | Subject), d)),
    class = "ferrolmm_warning_duplicate_term"
  )
})

test_that("an ambiguous name is an error that lists what it may be", {
  d <- names_data(c(z = "f1"))
  fit <- lmm(y ~ f + f1 + (1 | g), d)
  expect_error(confint(fit, "f1"), "2 parameters are called `f1`",
               class = "ferrolmm_error_argument")
  expect_error(confint(fit, "f1", method = "profile"), "ambiguous")
  expect_error(profile(fit, "f1"), "ambiguous")
  expect_error(contest(fit, "f1 = 0"), "Number 2.*of the term `f`")
  expect_error(contest(fit, c(f1 = 1)), "ambiguous")
  expect_error(confint(bootstrap(fit, 3, seed = 1), "f1"), "ambiguous")
  expect_error(plot(influence(fit), "f1"), "ambiguous")
  expect_equal(contest(fit, diag(3)[3, ])[["Pr(>F)"]], coef(summary(fit))[3, "Pr(>|t|)"])
  expect_equal(contest(fit, c("(Intercept)" = 1, f1 = 0, f1 = 0)), contest(fit, c(1, 0, 0)))
  expect_identical(nrow(confint(fit, 5)), 1L)
  expect_error(
    lmm(y ~ f + f1 + (f | g) + (0 + f1 | g), d, control = lmm_control(hold = c("g.f1" = 1))),
    "more than one parameter"
  )
})

test_that("hypotheses in words read names of any kind", {
  d <- names_data(c(x = "the day", f = "is = it", z = "z*2"))
  fit <- lmm(y ~ `the day` + `is = it` + `z*2` + (1 | g), d)
  by_number <- function(j) contest(fit, diag(4)[j, ])
  expect_equal(contest(fit, "`the day` = 0"), by_number(2), ignore_attr = TRUE)
  expect_equal(contest(fit, "the day"), by_number(2), ignore_attr = TRUE)
  expect_equal(contest(fit, "`is = it`1 = 0"), by_number(3), ignore_attr = TRUE)
  expect_equal(contest(fit, "2 * `z*2` = 0"), by_number(4), ignore_attr = TRUE)
})

test_that("a column that is called as an expression of the model is refused", {
  d <- names_data(c(o = "log(w)"))
  expect_error(
    lmm(y ~ log(w) + `log(w)` + (1 | g), d), "Two variables", class = "ferrolmm_error_data"
  )
})

test_that("a variable called as an interaction is a factor of its own", {
  d <- names_data(c(k = "g:h"))
  fit <- suppressMessages(lmm(y ~ x + (1 | g:h) + (1 | `g:h`), d))
  expect_named(getME(fit, "flist"), c("g:h", "`g:h`"), ignore.order = TRUE)
  plain <- suppressMessages(lmm(y ~ x + (1 | g:h) + (1 | k), names_data()))
  expect_equal(unname(fit$theta), unname(plain$theta))
  expect_equal(
    predict(fit, re.form = ~ (1 | `g:h`)), predict(plain, re.form = ~ (1 | k))
  )
})

test_that("a reduced model keeps what is held by place, not by name", {
  d <- names_data()
  control <- lmm_control(hold = c("g.z" = 0.5))
  fit <- suppressMessages(lmm(y ~ f + (x | h) + (0 + z | g), d, control = control))
  table <- suppressMessages(ranova(fit, distribution = "limit"))
  reduced <- lmm(y ~ f + (1 | h) + (0 + z | g), d, control = control)
  expect_equal(table["x in (x | h)", "logLik"], c(logLik(reduced)), tolerance = 1e-7)
  expect_equal(table["x in (x | h)", "npar"], attr(logLik(reduced), "df"))
})
