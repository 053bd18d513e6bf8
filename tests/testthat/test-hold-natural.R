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

test_that("each parameter of each structure has the value it is held at, or an error names it", {
  skip_on_cran()
  data(Orthodont, package = "nlme", envir = environment())
  d <- as.data.frame(Orthodont)
  d$agef <- factor(d$age)
  d$visit <- match(d$age, sort(unique(d$age)))
  d$v <- factor(rep(c("a", "b"), length.out = nrow(d)))
  residual <- function(structure) {
    form <- stats::as.formula(sprintf("~ %s(agef | Subject)", structure))
    function(control) lmm(distance ~ age, d, residual = form, control = control)
  }
  random <- function(term) {
    formula <- stats::as.formula(paste("distance ~ age +", term))
    function(control) lmm(formula, d, control = control)
  }
  correlation <- function(structure) {
    function(control) lmm(distance ~ age, d, correlation = structure, control = control)
  }
  scale <- function(structure) {
    arguments <- list(distance ~ age + (1 | Subject), d, weights = structure)
    function(control) do.call(lmm, c(arguments, list(control = control)))
  }
  form <- ~ visit | Subject
  models <- c(
    lapply(c("us", "cs", "ar1", "toep", "csh", "toeph", "ad", "adh"), residual),
    lapply(c("cs(0 + agef | Subject)", "ar1(0 + agef | Subject)", "hetar1(0 + agef | Subject)",
             "toep(0 + agef | Subject)", "(age | Subject)", "(age || Subject)",
             "us(0 + v | Subject)", "diag(0 + v | Subject)"), random),
    lapply(list(
      nlme::corSymm(form = form), nlme::corARMA(form = form, p = 1, q = 1),
      nlme::corARMA(form = form, p = 2), nlme::corARMA(form = form, q = 2),
      nlme::corCAR1(form = form), nlme::corExp(form = form, nugget = TRUE),
      nlme::corGaus(form = form)
    ), correlation),
    lapply(list(
      nlme::varIdent(form = ~ 1 | Sex), nlme::varPower(form = ~age), nlme::varExp(form = ~age),
      nlme::varConstPower(form = ~age)
    ), scale)
  )
  quiet <- function(expr) suppressWarnings(suppressMessages(expr))
  for (model in models) {
    free <- quiet(model(lmm_control()))
    label <- code_label(free$call, 200L)
    for (name in names(c(free$theta, free$phi))) {
      for (value in c(0.2, -0.2, 0, 1, -1, 0.999, 1.5, -3)) {
        info <- paste0(label, ": ", name, " = ", value)
        control <- lmm_control(hold = stats::setNames(value, name))
        fit <- tryCatch(quiet(model(control)), error = identity)
        if (inherits(fit, "error")) {
          # no other kind of error, and none that calls it a fault of the package
          expect_s3_class(fit, "ferrolmm_error_restriction")
          expect_match(conditionMessage(fit), paste0("`", name, "`"), fixed = TRUE, info = info)
        } else {
          expect_equal(c(fit$theta, fit$phi)[[name]], value, tolerance = 1e-10, info = info)
        }
      }
    }
  }
})

test_that("a held factor entry keeps its sign, or an error says that it does not", {
  data(Orthodont, package = "nlme", envir = environment())
  d <- as.data.frame(Orthodont)
  formula <- distance ~ age + (age | Subject)
  name <- "Subject.age.(Intercept)"
  # intercepts and slopes are negatively correlated: with the other sign the optimum has none
  fit <- lmm(formula, d, control = lmm_control(hold = stats::setNames(-0.05, name)))
  expect_equal(fit$theta[[name]], -0.05, tolerance = 1e-12)
  expect_error(
    suppressMessages(lmm(formula, d, control = lmm_control(hold = stats::setNames(0.2, name)))),
    "largest where", class = "ferrolmm_error_restriction"
  )
})

test_that("a correlation is held at values that those of the start do not go with", {
  set.seed(5)
  n <- 160
  d <- data.frame(id = gl(40, 4), f = factor(rep(1:4, 40)), x = rnorm(n))
  y <- t(matrix(rnorm(n), 40) %*% chol(0.8^abs(outer(1:4, 1:4, "-"))))
  d$y <- c(y) * (1 + as.integer(d$f) / 4) + d$x
  control <- function(value) lmm_control(hold = c(residual.rho1 = value))
  for (value in c(-0.3, 0.7, 0.8, 0.95)) {
    for (residual in c(~ toep(f | id), ~ toeph(f | id))) {
      fit <- lmm(y ~ x, d, residual = residual, control = control(value))
      expect_identical(fit$phi[["residual.rho1"]], value)
      # those of AR(1) go with it at any value
      phi <- replace(fit$phi, 1:3, value^(1:3))
      given <- lmm(y ~ x, d, residual = residual, control = control(value), start = list(phi = phi))
      expect_equal(as.numeric(logLik(fit)), as.numeric(logLik(given)), tolerance = 1e-8)
    }
  }
  # of two that are held the second may be impossible beside the first
  both <- function(first, second) {
    hold <- c(residual.rho1 = first, residual.rho2 = second)
    lmm(y ~ x, d, residual = ~ toep(f | id), control = lmm_control(hold = hold))
  }
  expect_equal(unname(both(0.9, 0.85)$phi[1:2]), c(0.9, 0.85))
  expect_error(both(0.9, 0.3), class = "ferrolmm_error_restriction")
  # and one that depends on others is not said to be impossible
  expect_error(
    lmm(y ~ x, d, residual = ~ us(f | id),
        control = lmm_control(hold = c("residual.cor(3,2)" = 0.97))),
    "on its own"
  )
})
