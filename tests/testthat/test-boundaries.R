# A fit at every kind of boundary, and every method: an answer, or a classed error that says why.

boundary_data <- function() {
  set.seed(2)
  n <- 120L
  d <- data.frame(
    x = rnorm(n), z = rnorm(n), g = factor(rep(1:10, 12)), h = factor(rep(1:3, 40)),
    t = factor(rep(1:4, each = 30)), time = rep(1:4, each = 30)
  )
  d$subject <- factor(rep(1:30, 4))
  d
}

quiet_fit <- function(...) suppressWarnings(suppressMessages(lmm(...)))

noise <- function(d, seed, sd = 1) {
  set.seed(seed)
  d$y <- rnorm(nrow(d), sd = sd)
  d
}

boundary_fits <- function() {
  d <- boundary_data()
  plus <- function(seed, effect) {
    d <- noise(d, seed)
    d$y <- d$y + effect
    d
  }
  level <- function(k, root, seed) {
    set.seed(seed)
    u <- matrix(rnorm(10 * ncol(root)), 10) %*% t(root)
    u[cbind(as.integer(d$g), rep_len(seq_len(k), 120L)[as.integer(d$t)])]
  }
  flat <- cbind(rep(1, 4L))
  negative <- diag(4L) - 1 / 4
  alternate <- cbind(c(1, -1, 1, -1))
  list(
    one_zero = quiet_fit(y ~ x + (1 | g), noise(d, 3)),
    all_zero = quiet_fit(y ~ x + (x | g) + (x | h), noise(d, 12)),
    some_zero = quiet_fit(y ~ x + (x | g) + (x | h), noise(d, 3)),
    correlation_one = quiet_fit(y ~ x + (x | g) + (x | h), noise(d, 7)),
    rank_one = quiet_fit(y ~ x + (x + z | g), plus(5, (1 + d$x + d$z) * rnorm(10)[d$g])),
    cs_low = quiet_fit(y ~ x + cs(0 + t | g), plus(4, 2 * level(4, negative, 8))),
    homcs_low = quiet_fit(y ~ x + homcs(0 + t | g), plus(4, 2 * level(4, negative, 8))),
    cs_one = quiet_fit(y ~ x + cs(0 + t | g), plus(9, 2 * level(4, flat, 8))),
    ar1_one = quiet_fit(y ~ x + ar1(0 + t | g), plus(9, 2 * level(4, flat, 8))),
    ar1_minus = quiet_fit(y ~ x + ar1(0 + t | g), plus(9, 2 * level(4, alternate, 8))),
    hetar1_noise = quiet_fit(y ~ x + hetar1(0 + t | g), noise(d, 6)),
    toep_singular = quiet_fit(y ~ x + toep(0 + t | g), plus(4, 2 * level(4, negative, 8))),
    no_residual = no_residual_fit(),
    residual_cs_low = quiet_fit(
      y ~ x, plus(4, 5 * ave(noise(d, 5)$y, d$subject, FUN = function(v) v - mean(v))),
      residual = ~ cs(time | subject)
    ),
    residual_rho_one = quiet_fit(
      y ~ x, plus(4, 1e4 * rnorm(30)[d$subject]), residual = ~ ar1(time | subject)
    ),
    nugget = quiet_fit(
      y ~ x, noise(d, 21), correlation = corExp(form = ~ time | subject, nugget = TRUE)
    ),
    range_zero = quiet_fit(y ~ x, noise(d, 3), correlation = corExp(form = ~ time | subject)),
    held_zero = quiet_fit(
      y ~ x + (1 | g) + (1 | h), plus(3, rnorm(10)[d$g]),
      control = lmm_control(hold = c("h.(Intercept)" = 0))
    ),
    tied_zero = quiet_fit(
      y ~ x + (1 | g) + (1 | h), noise(d, 3),
      control = lmm_control(tie = list(c("g.(Intercept)", "h.(Intercept)")))
    )
  )
}

# as many effects as rows: the optimum has no residual variance
no_residual_fit <- function(seed = 4) {
  set.seed(seed)
  d <- expand.grid(R = factor(1:8), C = factor(1:6))
  d$gen <- factor(sample(rep(1:16, 3)))
  d$x <- rnorm(48)
  e <- unlist(lapply(1:6, function(i) as.numeric(arima.sim(list(ar = 0.7), 8, sd = 0.3))))
  d$y <- 2 + rnorm(16, sd = 0.3)[d$gen] + e + rnorm(48, sd = if (seed %% 2) 0.05 else 0.3)
  d$subject <- d$C
  d$t <- d$R
  quiet_fit(y ~ x + (1 | gen) + ar1(0 + R | C), d)
}

boundary_methods <- list(
  print = function(m) capture.output(print(m)),
  summary = function(m) capture.output(print(summary(m))),
  kenward_roger = function(m) summary(m, ddf = "Kenward-Roger")$coefficients,
  anova = function(m) anova(m),
  anova_kr = function(m) anova(m, ddf = "Kenward-Roger"),
  contest = function(m) contest(m, "x = 0"),
  profile = function(m) profile(m),
  confint_wald = function(m) confint(m),
  confint_profile = function(m) confint(m, method = "profile"),
  plot_profile = function(m) plot(profile(m, "theta_")),
  predict_se = function(m) predict(m, m$frame[1:3, ], se.fit = TRUE),
  predict_confidence = function(m) predict(m, m$frame[1:3, ], interval = "confidence"),
  predict_population = function(m) {
    predict(m, m$frame[1:3, ], interval = "confidence", re.form = NA)
  },
  predict_prediction = function(m) predict(m, m$frame[1:3, ], interval = "prediction"),
  predict_new = function(m) {
    new <- m$frame[1:3, ]
    for (f in names(m$flist)) new[[f]] <- "new"
    predict(m, new, interval = "prediction", allow.new.levels = TRUE)
  },
  vcov = function(m) vcov(m),
  ranef = function(m) ranef(m, condVar = TRUE),
  varcorr = function(m) as.data.frame(VarCorr(m, se = TRUE)),
  simulate = function(m) simulate(m, 2, seed = 1),
  bootstrap = function(m) bootstrap(m, nsim = 2, seed = 1),
  refit = function(m) refit(m, m$frame[[1L]]),
  influence = function(m) cooks.distance(m),
  hatvalues = function(m) hatvalues(m),
  residuals = function(m) residuals(m, "pearson"),
  rePCA = function(m) rePCA(m),
  equations = function(m) equations(m),
  drop1 = function(m) drop1(m),
  ranova = function(m) ranova(m),
  getME = function(m) lapply(c("theta", "Lambda", "L", "b", "u", "Z"), getME, object = m),
  logLik = function(m) logLik(m)
)

test_that("every method answers at every boundary, or says why it cannot", {
  skip_on_cran()
  pdf(NULL)
  on.exit(dev.off())
  fits <- boundary_fits()
  for (fit in names(fits)) {
    for (method in names(boundary_methods)) {
      # by simulation: one is enough
      if (method == "ranova" && fit != "one_zero") next
      outcome <- tryCatch(
        suppressWarnings(suppressMessages(boundary_methods[[method]](fits[[fit]]))),
        error = identity
      )
      good <- !inherits(outcome, "error") || inherits(outcome, "ferrolmm_error") &&
        !inherits(outcome, c("ferrolmm_error_bug", "ferrolmm_error_dimension")) &&
        !inherits(outcome, c("ferrolmm_error_perfect_fit", "ferrolmm_error_numerical"))
      expect_true(good, info = paste(
        fit, method, if (!good) paste(class(outcome)[[1L]], conditionMessage(outcome))
      ))
    }
  }
})

test_that("the residual variance may be zero: the optimum is that of a dense criterion", {
  fit <- no_residual_fit()
  expect_identical(fit$certificate$status, "singular")
  expect_true(fit$certificate$residual_zero)
  d <- fit$frame
  X <- model.matrix(~ x, d)
  gen <- tcrossprod(model.matrix(~ 0 + gen, d))
  lag <- abs(outer(as.integer(d$R), as.integer(d$R), "-"))
  same <- outer(d$C, d$C, "==")
  dense <- function(p) {
    V <- exp(2 * p[1]) * gen + exp(2 * p[2]) * tanh(p[3])^lag * same
    L <- tryCatch(chol(V), error = function(e) NULL)
    if (is.null(L)) {
      return(1e10)
    }
    q <- qr(backsolve(L, X, transpose = TRUE))
    r <- qr.resid(q, backsolve(L, d$y, transpose = TRUE))
    2 * sum(log(diag(L))) + 2 * sum(log(abs(diag(qr.R(q))))) + sum(r^2) +
      (nrow(d) - 2) * log(2 * pi)
  }
  best <- optim(c(-1, -1, 0.8), dense, method = "BFGS", control = list(reltol = 1e-14))
  expect_equal(fit$criterion, best$value, tolerance = 1e-7)
  expect_equal(fit$theta[[1]] * fit$sigma, exp(best$par[1]), tolerance = 1e-3)
  errors <- as.data.frame(VarCorr(fit, se = TRUE))
  expect_true(is.na(errors$se.sdcor[errors$grp == "Residual"]))
  expect_message(
    lmm(y ~ x + (1 | gen) + ar1(0 + R | C), d), "residual variance is estimated as zero",
    class = "ferrolmm_message_singular"
  )
})

test_that("random effects that reproduce the response are a perfect fit still", {
  d <- data.frame(g = factor(rep(1:10, 3)))
  d$y <- rnorm(10)[d$g]
  expect_error(lmm(y ~ 1 + (1 | g), d), class = "ferrolmm_error_perfect_fit")
})

test_that("profiles end where a variance or correlation does", {
  fit <- quiet_fit(y ~ x + (x | g) + (x | h), noise(boundary_data(), 7))
  limits <- suppressWarnings(confint(fit, method = "profile", parm = "theta_"))
  sd <- c(1, 3, 4, 6)
  expect_identical(unname(limits[sd, 1L]), numeric(4L))
  expect_true(all(is.finite(limits[sd, 2L])))
  # a correlation of two effects that vary may be anything here, another one means nothing
  estimate <- c(VarCorr(fit)$g[2, 1], VarCorr(fit)$h[2, 1])
  expect_identical(unname(is.na(limits[c(2, 5), 1L])), estimate == 0)
  expect_true(all(abs(limits[c(2, 5), ]) <= 1, na.rm = TRUE))
  zero <- quiet_fit(y ~ x + (1 + x | g), transform(boundary_data(), y = resid(lm(z ~ g * x))))
  expect_identical(unname(zero$theta), numeric(3L))
  limits <- suppressWarnings(confint(zero, method = "profile", parm = "theta_"))
  expect_identical(unname(limits[c(1, 3), 1L]), c(0, 0))
  expect_true(all(is.na(limits[2L, ])) && all(is.finite(limits[c(1, 3), 2L])))
  expect_error(profile(zero, ".sig02"), "can move", class = "ferrolmm_error_argument")
})

test_that("a level whose two rows are the same beside levels of one row is a perfect fit", {
  d <- data.frame(
    g = factor(c(1, 1:6)),
    y = c(91.289570528862484, 91.289570528862484, 1.0665652520346318, 53.158523907554667,
          -31.068346741533652, -8.2979508389015191, -13.143686468562242)
  )
  # the deviance falls without bound: sigma tells the only difference within a level, zero
  deviance <- function(sigma) {
    V <- diag(sigma^2, 7L) + 43^2 * outer(d$g, d$g, `==`)
    e <- d$y - sum(solve(V, d$y)) / sum(solve(V))
    as.vector(determinant(V)$modulus) + sum(e * solve(V, e))
  }
  expect_lt(deviance(1e-5), deviance(1e-4) - 4)
  for (reml in c(TRUE, FALSE)) {
    expect_error(lmm(y ~ 1 + (1 | g), d, REML = reml), class = "ferrolmm_error_perfect_fit")
  }
})

test_that("effects many times larger than residuals are no sign that residuals vanish", {
  set.seed(3)
  levels <- 8
  size <- 5
  g <- gl(levels, size)
  x <- rnorm(levels * size)
  x <- x - ave(x, g)
  noise <- rnorm(levels, sd = 2)[g] + rnorm(levels * size)
  for (mean in c(1e2, 1e4, 1e6, 1e8)) {
    y <- mean + 0.5 * x + noise
    fit <- lmm(y ~ 0 + x + (1 | g))
    # balanced, x varies within levels alone: closed forms
    within <- lm(y - ave(y, g) ~ 0 + x)
    sigma2 <- deviance(within) / (levels * (size - 1) - 1)
    tau2 <- mean(tapply(y, g, mean)^2) - sigma2 / size
    expect_false(fit$certificate$residual_zero)
    expect_equal(sigma(fit)^2, sigma2, tolerance = 1e-6)
    expect_equal(VarCorr(fit)$g[[1L]], tau2, tolerance = 1e-6)
  }
})

test_that("rows of very large weight that effects reproduce do not make a fit perfect", {
  set.seed(7)
  n <- 60
  d <- data.frame(g = gl(15, 4), x = rnorm(n), w = 10^runif(n, -9, 9))
  d$y <- 1 + d$x + rnorm(15)[d$g] + 0.5 * d$x * rnorm(15)[d$g] + rnorm(n)
  fit <- suppressMessages(lmm(y ~ x + (x | g), d, weights = w))
  expect_false(fit$certificate$residual_zero)
  # penalised least squares by reflections, heavy rows first
  X <- model.matrix(~x, d)
  Z <- model.matrix(~ 0 + g + g:x, d)
  heavy <- order(-d$w)
  criterion <- function(theta) {
    root <- matrix(c(theta[1:2], 0, theta[[3L]]), 2L)
    A <- rbind((sqrt(d$w) * Z %*% kronecker(root, diag(15)))[heavy, ], diag(30))
    right <- rbind((sqrt(d$w) * cbind(X, d$y))[heavy, ], matrix(0, 30, 3))
    of_z <- qr(A, LAPACK = TRUE)
    rest <- qr.qty(of_z, right)[-(1:30), ]
    of_x <- qr(rest[, 1:2], LAPACK = TRUE)
    rss <- sum(qr.qty(of_x, rest[, 3L])[-(1:2)]^2)
    2 * sum(log(abs(diag(of_z$qr)))) + 2 * sum(log(abs(diag(of_x$qr)))) - sum(log(d$w)) +
      (n - 2) * (1 + log(2 * pi * rss / (n - 2)))
  }
  here <- unname(fit$theta)
  expect_equal(fit$criterion, criterion(here), tolerance = 1e-6)
  for (by in c(0.9, 1.1)) {
    expect_gt(criterion(by * here), fit$criterion)
  }
})

test_that("where residuals vanish, sigma is what theta gives", {
  fit <- no_residual_fit()
  d <- fit$frame
  lag <- abs(outer(as.integer(d$R), as.integer(d$R), "-"))
  process <- fit$theta[[3L]]^lag * outer(d$C, d$C, "==")
  V <- fit$theta[[1L]]^2 * tcrossprod(model.matrix(~ 0 + gen, d)) + fit$theta[[2L]]^2 * process +
    diag(nrow(d))
  whole <- backsolve(chol(V), cbind(model.matrix(~x, d), d$y), transpose = TRUE)
  rss <- sum(qr.resid(qr(whole[, 1:2]), whole[, 3L])^2)
  expect_equal(sigma(fit), sqrt(rss / (nrow(d) - 2)), tolerance = 1e-6)
})
