# Data with closed forms: effects of four visits on 27 children, and Tipping and Bishop's (1999,
# JRSS B 61) maximum of the likelihood of k factors beside errors with one variance.
teeth <- within(nlme::Orthodont, visit <- factor(age))

test_that("rr() has the closed form of probabilistic principal components", {
  y <- with(teeth, tapply(distance, list(visit, as.character(Subject)), mean))
  n <- ncol(y)
  values <- eigen(tcrossprod(y - rowMeans(y)) / n)$values
  for (k in 1:2) {
    noise <- mean(values[-seq_len(k)])
    expected <- n * (4 * log(2 * pi) + sum(log(values[seq_len(k)])) + (4 - k) * log(noise) + 4)
    formula <- as.formula(bquote(distance ~ 0 + visit + rr(0 + visit | Subject, k = .(k))))
    fit <- lmm(formula, teeth, REML = FALSE)
    expect_equal(deviance(fit), expected, tolerance = 1e-10)
    expect_equal(sigma(fit)^2, noise, tolerance = 1e-6)
    expect_identical(fit$certificate$status, "converged")
    expect_false(isSingular(fit))
    expect_equal(
      eigen(VarCorr(fit)[[1]])$values, c(values[seq_len(k)] - noise, double(4 - k)),
      tolerance = 1e-6
    )
  }
})

test_that("rr() agrees with 'glmmTMB'", {
  # glmmTMB 1.1.5 (Debian bookworm), R 4.2: distance ~ age * Sex + rr(0 + visit | Subject, d = k)
  expected <- list(
    list(k = 1, reml = FALSE, value = 426.482961859, sigma = 1.3480951221, age = 0.782859570927),
    list(k = 2, reml = FALSE, value = 423.614226623, sigma = 1.20656341975, age = 0.806469509009),
    list(k = 1, reml = TRUE, value = 431.790538577, sigma = 1.36652849364, age = 0.782897720228),
    list(k = 2, reml = TRUE, value = 428.809286365, sigma = 1.2208325426, age = 0.808456232614)
  )
  for (own in expected) {
    formula <- as.formula(bquote(distance ~ age * Sex + rr(0 + visit | Subject, k = .(own$k))))
    fit <- lmm(formula, teeth, REML = own$reml)
    expect_equal(as.numeric(-2 * logLik(fit)), own$value, tolerance = 1e-8)
    expect_equal(sigma(fit), own$sigma, tolerance = 1e-4)
    expect_equal(fixef(fit)[["age"]], own$age, tolerance = 1e-4)
  }
})

# rows of n people with exactly this covariance matrix (divisor n)
exactly <- function(covariance, n) {
  k <- nrow(covariance)
  set.seed(1)
  z <- qr.Q(qr(scale(matrix(rnorm(k * n), n), scale = FALSE))) * sqrt(n)
  tests <- colnames(covariance)
  data.frame(
    y = c(z %*% chol(covariance)), test = factor(rep(tests, each = n), levels = tests),
    id = factor(rep(seq_len(n), k))
  )
}

# six tests of 112 people
abilities <- function() exactly(ability.cov$cov, ability.cov$n.obs)

test_that("fa() has the optimum of factanal()", {
  d <- abilities()
  n <- ability.cov$n.obs
  for (k in 1:2) {
    reference <- factanal(
      covmat = ability.cov$cov, factors = k, n.obs = n, rotation = "none",
      control = list(nstart = 10, opt = list(factr = 1e3))
    )
    expected <- n * (6 * log(2 * pi) + c(determinant(ability.cov$cov)$modulus) + 6 +
                       reference$criteria[["objective"]])
    formula <- as.formula(bquote(y ~ 0 + test + fa(0 + test | id, k = .(k))))
    # what is left is a part of the specific variances
    fit <- lmm(formula, d, REML = FALSE, control = lmm_control(sigma = 0.1))
    expect_equal(deviance(fit), expected, tolerance = 1e-9)
    expect_identical(fit$certificate$status, "converged")
    g <- matrix(VarCorr(fit)[[1]], 6) + diag(0.01, 6)
    unique <- factor_loadings(fit)[[1]]$specific + 0.01
    expect_equal(unname(unique / diag(g)), unname(reference$uniquenesses), tolerance = 1e-3)
  }
})

test_that("as many factors as covariances need lead to the unstructured optimum", {
  d <- abilities()
  known <- lmm_control(sigma = 0.1)
  fa <- lmm(y ~ 0 + test + fa(0 + test | id, k = 3), d, REML = FALSE, control = known)
  # the maximum over all covariance matrices is at that of the data
  expected <- 112 * (6 * log(2 * pi) + c(determinant(ability.cov$cov)$modulus) + 6)
  expect_equal(deviance(fa), expected, tolerance = 1e-10)
})

test_that("Heywood's case is an optimum on the boundary", {
  # r12 r13 / r23 is above 1: the first effect would need a negative specific variance
  s <- matrix(c(1, 0.8, 0.7, 0.8, 1, 0.5, 0.7, 0.5, 1), 3, dimnames = list(NULL, c("a", "b", "c")))
  d <- exactly(s, 60)
  known <- lmm_control(sigma = 0.1)
  expect_message(
    fit <- lmm(y ~ 0 + test + fa(0 + test | id, k = 1), d, REML = FALSE, control = known),
    "Heywood case: the specific variance of `testa`", class = "ferrolmm_message_singular"
  )
  criterion <- function(x) {
    v <- tcrossprod(x[1:3]) + diag(x[4:6]^2 + 0.01)
    60 * (3 * log(2 * pi) + c(determinant(v)$modulus) + sum(diag(solve(v, s))))
  }
  set.seed(1)
  tries <- replicate(20, {
    stats::optim(runif(6), criterion, method = "BFGS", control = list(reltol = 1e-14, maxit = 1e3))
  }, simplify = FALSE)
  best <- tries[[which.min(vapply(tries, `[[`, 0, "value"))]]
  expect_equal(deviance(fit), best$value, tolerance = 1e-9)
  own <- factor_loadings(fit)$id
  expect_identical(own$specific[[1]], 0)
  expect_equal(unname(own$specific), best$par[4:6]^2, tolerance = 1e-4)
  expect_identical(fit$certificate$status, "singular")
  expect_true(isSingular(fit))
  # the derivative with respect to the variance of zero, by differences
  up <- replace(best$par, 4, 1e-3)
  expect_gt(fit$certificate$multipliers, 0)
  expect_gt(criterion(up), best$value)
  expect_output(print(fit), "Heywood case")
  expect_output(print(factor_loadings(fit)), "Heywood case")
})

test_that("methods agree with what theta means", {
  d <- abilities()
  fit <- lmm(y ~ 0 + test + fa(0 + test | id, k = 1), d, control = lmm_control(sigma = 1))
  # V from its definition
  g <- matrix(VarCorr(fit)[[1]], 6)
  lambda <- getME(fit, "Lambda")
  first <- as.matrix(Matrix::tcrossprod(lambda))[1:6, 1:6]
  expect_equal(first, g, ignore_attr = TRUE, tolerance = 1e-8)
  centred <- matrix(d$y, ncol = 6) - rep(fixef(fit), each = 112)
  expected <- centred %*% solve(g + diag(6), g)
  expect_equal(as.matrix(ranef(fit)$id), expected, ignore_attr = TRUE, tolerance = 1e-6)
  expect_equal(fitted(fit), predict(fit, d), ignore_attr = TRUE)
  set.seed(2)
  again <- refit(fit, simulate(fit, 1)[[1L]])
  expect_s3_class(again, "lmm")
  expect_identical(attr(logLik(fit), "df"), 6L + 12L)
  two <- update(fit, . ~ . - fa(0 + test | id, k = 1) + fa(0 + test | id, k = 2))
  expect_identical(two$random[[1]]$factors, 2L)
  compared <- anova(fit, two)
  expect_true(all(is.na(compared[["Pr(>Chisq)"]])))
  expect_match(attr(compared, "heading")[[1]], "no chi-squared")
  expect_true(all(is.finite(anova(fit, ddf = "Kenward-Roger2")[["Pr(>F)"]])))
  errors <- as.data.frame(VarCorr(fit, se = TRUE))$se.vcov
  expect_true(all(is.finite(errors[-length(errors)])))
})

test_that("degrees of freedom and covariances are those of the same V in other words", {
  # two effects of rank 2 are unstructured, and so are three of one factor
  rr <- lmm(distance ~ age * Sex + rr(0 + age + I(age^2) | Subject, k = 2), teeth)
  us <- lmm(distance ~ age * Sex + us(0 + age + I(age^2) | Subject), teeth)
  expect_equal(deviance(rr), deviance(us), tolerance = 1e-9)
  for (ddf in c("Satterthwaite", "Kenward-Roger2")) {
    expect_equal(anova(rr, ddf = ddf)$DenDF, anova(us, ddf = ddf)$DenDF, tolerance = 1e-3)
  }
})

test_that("one factor of three effects is the unstructured matrix in all that follows", {
  s <- matrix(c(1, 0.6, 0.5, 0.6, 1, 0.5, 0.5, 0.5, 1), 3, dimnames = list(NULL, c("a", "b", "c")))
  d <- exactly(4 * s, 30)
  set.seed(3)
  d <- rbind(d, d)[-c(4, 50, 77), ]
  d$y <- d$y + rnorm(nrow(d))
  fa <- lmm(y ~ test + fa(0 + test | id, k = 1), d)
  us <- lmm(y ~ test + us(0 + test | id), d)
  expect_equal(deviance(fa), deviance(us), tolerance = 1e-9)
  expect_equal(VarCorr(fa)$id, VarCorr(us)$id, ignore_attr = TRUE, tolerance = 1e-4)
  for (ddf in c("Satterthwaite", "Kenward-Roger2")) {
    # expected information for the one, observed for the other
    expect_equal(anova(fa, ddf = ddf)$DenDF, anova(us, ddf = ddf)$DenDF, tolerance = 1e-2)
    expect_equal(vcov(fa, adjusted = "Kenward-Roger2"), vcov(us, adjusted = "Kenward-Roger2"),
                 tolerance = 1e-4)
  }
  new <- d[c(1, 40, 70), ]
  of <- function(fit) predict(fit, new, interval = "confidence", ddf = "Satterthwaite")
  expect_equal(of(fa), of(us), tolerance = 1e-3)
  error <- function(fit) as.data.frame(VarCorr(fit, se = TRUE))[1:6, "se.vcov"]
  expect_equal(error(fa), error(us), tolerance = 1e-3)
})

test_that("Satterthwaite's degrees of freedom are those of differences of V", {
  # 2 v^2 / (g'Ag) with v = Var(beta_i) of V formed n x n, g its gradient and A twice the inverse
  # Hessian of the restricted criterion in (theta, sigma), all by numDeriv 2016.8
  set.seed(11)
  d <- expand.grid(env = factor(1:3), rep = 1:3, gen = factor(1:20))
  u <- tcrossprod(matrix(rnorm(20), 20), cbind(c(1, 1.2, 0.8))) + matrix(rnorm(60, sd = 0.9), 20)
  d$y <- u[cbind(d$gen, d$env)] + rnorm(nrow(d))
  d <- d[-c(1, 30, 77, 100), ]
  rr <- lmm(y ~ env + rr(0 + env | gen, k = 1), d)
  fa <- lmm(y ~ env + fa(0 + env | gen, k = 1), d)
  expect_equal(
    unname(coef(summary(rr))[, "df"]), c(18.97440, 143.67321, 35.19797), tolerance = 1e-6
  )
  expect_equal(unname(coef(summary(fa))[, "df"]), c(19.08843, 19.43673, 19.17690), tolerance = 1e-6)
})

test_that("what does not hold is refused by name", {
  fit <- lmm(distance ~ age + rr(0 + visit | Subject, k = 1), teeth)
  refused <- list(
    function() profile(fit), function() ranova(fit), function() bootstrap(fit, 2),
    function() vpredict(fit, h ~ V1), function() confint(fit),
    function() confint(fit, parm = "beta_", method = "profile"),
    function() vcov(fit, which = "theta"), function() anova(fit, ddf = "Kenward-Roger"),
    function() equations(fit)
  )
  for (call in refused) expect_error(call(), class = "ferrolmm_error_factors")
  expect_error(profile(fit), "profile\\(\\)")
  expect_true(all(is.finite(confint(fit, parm = "beta_"))))
  for (control in list(
    lmm_control(penalty = penalty_wishart()), lmm_control(hold = c(Subject.visit8.factor1 = 1))
  )) {
    expect_error(
      lmm(distance ~ age + rr(0 + visit | Subject, k = 1), teeth, control = control),
      class = "ferrolmm_error_factors"
    )
  }
})
