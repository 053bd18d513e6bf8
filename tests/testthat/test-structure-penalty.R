# Fits with penalised covariances against direct optimisation, closed forms, blme and published
# values.

eight_schools <- data.frame(
  school = LETTERS[1:8], y = c(28, 8, -3, 7, -1, 1, 18, 12), se = c(15, 10, 16, 11, 9, 11, 10, 18)
)

test_that("eight schools: a variance that is zero by maximum likelihood is not", {
  formula <- y ~ 1 + (1 | school)
  plain <- quietly(lmm(formula, eight_schools, REML = FALSE, weights = 1 / se^2,
                       control = off_zero(sigma = 1)))
  expect_identical(unname(plain$theta), 0)
  fit <- lmm(formula, eight_schools, REML = FALSE, weights = 1 / se^2,
             control = off_zero(sigma = 1, penalty = penalty_gamma(shape = 2)))
  expect_identical(fit$certificate$status, "converged")
  # sigma is known: one function of one variable
  criterion <- function(tau) {
    v <- eight_schools$se^2 + tau^2
    m <- sum(eight_schools$y / v) / sum(1 / v)
    sum(log(2 * pi * v) + (eight_schools$y - m)^2 / v) - 2 * log(tau)
  }
  best <- stats::optimize(criterion, c(0.1, 50), tol = 1e-10)
  expect_equal(unname(fit$theta), best$minimum, tolerance = 1e-5)
  expect_equal(fit$criterion + fit$devcomp$cmp[["penalty"]], best$objective, tolerance = 1e-10)
  # relative and absolute are the same where sigma is 1
  absolute <- update(fit, control = off_zero(
    sigma = 1, penalty = penalty_gamma(shape = 2, relative = FALSE)
  ))
  expect_equal(absolute$theta, fit$theta, tolerance = 1e-8)
})

test_that("a balanced one-way layout has the closed form", {
  # REML of a classes of n: with lambda = 1 + n g, g the relative variance, a penalty -2 c log g:
  # (a - 1) log lambda + a (n - 1) log s2 + (a - 1) log s2 + (SSW + SSB / lambda) / s2 - 2 c log g
  data(Dyestuff2, package = "lme4", envir = environment())
  d <- Dyestuff2
  a <- 6
  n <- 5
  means <- tapply(d$Yield, d$Batch, mean)
  between <- n * sum((means - mean(d$Yield))^2)
  within <- sum((d$Yield - means[d$Batch])^2)
  at <- function(g, power) {
    lambda <- 1 + n * g
    (a - 1) * log(lambda) + (a * n - 1) * log(within + between / lambda) - power * log(g)
  }
  best <- stats::optimize(at, c(1e-3, 10), power = 1.5, tol = 1e-12)$minimum
  fit <- lmm(Yield ~ 1 + (1 | Batch), d, control = off_zero(penalty = penalty_wishart()))
  expect_equal(unname(fit$theta)^2, best, tolerance = 1e-6)
  expect_equal(
    fit$sigma^2, (within + between / (1 + n * best)) / (a * n - 1), tolerance = 1e-6
  )
  # absolute covariances: -1.5 log(s2 g), so that s2 = RSS / (N - 1 - 1.5)
  at <- function(g) {
    lambda <- 1 + n * g
    (a - 1) * log(lambda) + (a * n - 1 - 1.5) * log(within + between / lambda) - 1.5 * log(g)
  }
  best <- stats::optimize(at, c(1e-3, 10), tol = 1e-12)$minimum
  fit <- lmm(Yield ~ 1 + (1 | Batch), d,
             control = off_zero(penalty = penalty_wishart(relative = FALSE)))
  expect_equal(unname(fit$theta)^2, best, tolerance = 1e-6)
  expect_equal(
    fit$sigma^2, (within + between / (1 + n * best)) / (a * n - 1 - 1.5), tolerance = 1e-6
  )
  expect_equal(as.numeric(logLik(fit)), -fit$criterion / 2)
  dense <- dense_penalised(fit, function(theta, s2) 0)
  expect_equal(fit$criterion, dense(fit$theta, fit$sigma^2), tolerance = 1e-10)
  expect_equal(deviance(fit), dense(fit$theta, fit$sigma^2, FALSE), tolerance = 1e-10)
})

test_that("fits are those of blme 1.0-5", {
  skip_if_not_installed("lme4")
  # blmer(Reaction ~ Days + (Days | Subject), sleepstudy), whose default is a Wishart density
  fit <- lmm(Reaction ~ Days + (Days | Subject), lme4::sleepstudy,
             control = off_zero(penalty = penalty_wishart()))
  # it warns that it has not converged: there the criterion is the same, and here it is lower
  there <- c(1.000951923823633, 0.000696577637905, 0.250072569177045)
  at <- dense_penalised(fit, function(theta, s2) -3 * log(theta[[1L]] * theta[[3L]]))
  expect_equal(at(there, 25.3955131523^2), 1743.76658439 + 4.15515796651, tolerance = 1e-9)
  expect_equal(fit$criterion + fit$devcomp$cmp[["penalty"]], at(unname(fit$theta), fit$sigma^2))
  expect_lt(fit$criterion + fit$devcomp$cmp[["penalty"]], 1743.76658439 + 4.15515796651 - 1e-3)
  # blmer(Yield ~ 1 + (1 | Batch), Dyestuff2, cov.prior = , REML = ): theta and logLik
  dyestuff <- list(
    list(penalty_gamma(), TRUE, 0.410557799386, -81.7349957199),
    list(penalty_gamma(), FALSE, 0.348106606884, -82.2565043251),
    list(penalty_gamma(2, 0.5), TRUE, 0.294160364192, -81.3497731681),
    list(penalty_gamma(2, 0.5, "variance"), FALSE, 0.397632671949, -82.4782986282)
  )
  for (case in dyestuff) {
    fit <- lmm(Yield ~ 1 + (1 | Batch), lme4::Dyestuff2, REML = case[[2L]],
               control = off_zero(penalty = case[[1L]]))
    expect_equal(unname(fit$theta), case[[3L]], tolerance = 1e-4)
    expect_equal(as.numeric(logLik(fit)), case[[4L]], tolerance = 1e-5)
  }
})

test_that("fits of every family and structure are lowest by direct optimisation", {
  set.seed(17)
  d <- data.frame(
    g = factor(rep(1:7, each = 5)), h = factor(rep(1:5, 7)), x = 10 * stats::rnorm(35)
  )
  d$y <- 3 + d$x + stats::rnorm(7)[d$g] + stats::rnorm(35)
  log_det <- function(m) as.numeric(determinant(m)$modulus)
  us <- function(theta) tcrossprod(matrix(c(theta[1:2], 0, theta[3]), 2))
  s <- matrix(c(2, 0.3, 0.3, 0.5), 2)
  cases <- list(
    list(y ~ x + (x | g), penalty_wishart(df = 5, scale = s), function(theta, s2) {
      g <- us(theta)
      -2 * log_det(g) + sum(diag(solve(s, g)))
    }),
    list(y ~ x + (x | g), penalty_inverse_wishart(df = 3, scale = s), function(theta, s2) {
      g <- us(theta)
      6 * log_det(g) + sum(diag(s %*% solve(g)))
    }),
    list(y ~ x + (x || g), penalty_gamma(2, 0.5), function(theta, s2) {
      sum(-2 * log(abs(theta)) + abs(theta))
    }),
    list(y ~ x + (1 | g) + (1 | h), list(g = penalty_inverse_gamma(1, 0.2, "variance"),
                                         h = penalty_gamma(1.7, 0.3, "variance")),
         function(theta, s2) {
           v <- theta^2
           4 * log(v[[1]]) + 0.4 / v[[1]] - 1.4 * log(v[[2]]) + 0.6 * v[[2]]
         }),
    list(y ~ x + (1 | g), penalty_inverse_gamma(0.5, 0.7), function(theta, s2) {
      3 * log(abs(theta)) + 1.4 / abs(theta)
    }),
    list(y ~ x + (x || g), penalty_gamma(2, relative = FALSE), function(theta, s2) {
      sum(-log(theta^2 * s2))
    }),
    list(y ~ x + (x | g), penalty_wishart(relative = FALSE), function(theta, s2) {
      -1.5 * (log_det(us(theta)) + 2 * log(s2))
    })
  )
  for (case in cases) {
    for (reml in c(TRUE, FALSE)) {
      fit <- lmm(case[[1L]], d, REML = reml, control = off_zero(penalty = case[[2L]]))
      expect_identical(fit$certificate$status, "converged")
      at <- dense_penalised(fit, case[[3L]])
      own <- fit$criterion + fit$devcomp$cmp[["penalty"]]
      fit$theta <- unname(fit$theta)
      expect_equal(own, at(fit$theta, fit$sigma^2), tolerance = 1e-9)
      expect_equal(own, at(fit$theta), tolerance = 1e-8)
      method <- if (length(fit$theta) > 1L) "Nelder-Mead" else "BFGS"
      expect_lt(own, lowest(at, fit$theta * 1.1 + 0.01, method = method)$value + 1e-5)
    }
  }
})

test_that("structures, classes, residual structures and held parameters go with them", {
  data(Orthodont, package = "nlme", envir = environment())
  d <- as.data.frame(Orthodont)
  d$Subject <- factor(d$Subject, ordered = FALSE)
  control <- off_zero(penalty = penalty_wishart())
  check <- function(fit, penalty) {
    expect_identical(fit$certificate$status, "converged")
    expect_equal(fit$devcomp$cmp[["penalty"]], penalty, tolerance = 1e-8)
  }
  sizes <- function(fit) lapply(VarCorr(fit), function(v) log(det(v / fit$sigma^2)))
  fit <- lmm(distance ~ age + cs(I(age - 11) | Subject), d, control = control)
  expect_identical(fit$certificate$status, "converged")
  expect_equal(fit$devcomp$cmp[["penalty"]], -1.5 * sizes(fit)[[1L]], tolerance = 1e-6)
  fit <- lmm(distance ~ age + us(age | Subject, by = Sex), d, control = control)
  factors <- vapply(VarCorr(fit), function(v) log(det(v / fit$sigma^2)), 0)
  check(fit, -1.5 * sum(factors))
  fit <- lmm(distance ~ age + (1 | Subject), d, residual = ~ ar1(1 | Subject), control = control)
  check(fit, -1.5 * 2 * log(fit$theta[[1L]]))
  held <- lmm(distance ~ age + (age | Subject), d, control = off_zero(
    penalty = penalty_wishart(), hold = c("Subject.age.(Intercept)" = 0)
  ))
  check(held, -1.5 * 2 * sum(log(held$theta[c(1L, 3L)])))
})
