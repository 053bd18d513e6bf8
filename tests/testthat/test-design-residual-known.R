# Berkey et al. (1998), Statistics in Medicine, 17, 2537-2550: two outcomes of five trials
trials <- data.frame(
  trial = gl(5, 2), outcome = gl(2, 1, 10, c("PD", "AL")),
  y = c(0.47, -0.32, 0.20, -0.60, 0.40, -0.12, 0.26, -0.31, 0.56, -0.39)
)
blocks <- list(
  matrix(c(0.0075, 0.0030, 0.0030, 0.0077), 2), matrix(c(0.0057, 0.0009, 0.0009, 0.0008), 2),
  matrix(c(0.0021, 0.0007, 0.0007, 0.0014), 2), matrix(c(0.0029, 0.0009, 0.0009, 0.0015), 2),
  matrix(c(0.0148, 0.0072, 0.0072, 0.0304), 2)
)
V <- as.matrix(Matrix::bdiag(blocks))
known_sigma <- lmm_control(sigma = 1)
berkey <- function(...) {
  lmm(y ~ 0 + outcome + (0 + outcome | trial), trials, REML = FALSE, control = known_sigma, ...)
}

# Covariances of many forms: connected rows far apart in the data, of different variances
scattered <- function(groups = 12L, seed = 5L) {
  set.seed(seed)
  n <- 4L * groups
  d <- data.frame(g = gl(groups, 4L), x = stats::rnorm(n), h = gl(6L, 1L, n))
  set <- sample(rep_len(c(seq_len(groups), seq_len(groups), 100L + seq_len(n)), n))
  root <- matrix(stats::rnorm(n * n), n)
  v <- (tcrossprod(root) + diag(n)) * outer(set, set, `==`)
  scale <- exp(stats::rnorm(n))
  v <- v * outer(scale, scale) / n
  d$y <- 1 + d$x + stats::rnorm(groups)[d$g] + drop(t(chol(v)) %*% stats::rnorm(n))
  list(d = d, v = v, sets = set)
}

# -2 log (restricted) likelihood of V, dense, sigma^2 profiled out or known
dense_deviance <- function(y, x, v, reml, sigma = NULL) {
  root <- chol(v)
  x <- backsolve(root, x, transpose = TRUE)
  y <- backsolve(root, y, transpose = TRUE)
  q <- qr(x)
  rss <- sum(qr.resid(q, y)^2)
  m <- length(y) - if (reml) ncol(x) else 0
  spread <- if (is.null(sigma)) m * (1 + log(2 * pi * rss / m)) else
    m * log(2 * pi * sigma^2) + rss / sigma^2
  spread + 2 * sum(log(diag(root))) + if (reml) 2 * sum(log(abs(diag(qr.R(q))))) else 0
}

test_that("the criterion is that of a dense matrix, with sigma known or not, and at its minimum", {
  s <- scattered()
  z <- stats::model.matrix(~ 0 + g, s$d)
  for (reml in c(TRUE, FALSE)) for (sigma in list(NULL, 1)) {
    fit <- lmm(y ~ x + (1 | g), s$d, REML = reml, residual = ~ known(s$v),
               control = lmm_control(sigma = sigma))
    at <- function(theta) {
      v <- s$v + theta^2 * tcrossprod(z)
      dense_deviance(s$d$y, cbind(1, s$d$x), v, reml, sigma)
    }
    expect_equal(as.numeric(-2 * logLik(fit)), at(fit$theta), tolerance = 1e-10)
    best <- stats::optimize(at, c(0, 10), tol = 1e-9)
    expect_equal(best$objective, at(fit$theta), tolerance = 1e-9)
    expect_equal(fit$theta[[1L]], best$minimum, tolerance = 1e-4)
    expect_length(fit$phi, 0L)
    v <- s$v + fit$theta[[1L]]^2 * tcrossprod(z)
    covariance <- solve(crossprod(cbind(1, s$d$x), solve(v, cbind(1, s$d$x)))) * sigma(fit)^2
    expect_equal(unname(as.matrix(vcov(fit))), unname(covariance), tolerance = 1e-8)
  }
})

test_that("without random effects it is generalised least squares", {
  s <- scattered()
  x <- cbind(1, s$d$x)
  fit <- lmm(y ~ x, s$d, residual = ~ known(s$v))
  w <- solve(s$v)
  expect_equal(unname(fixef(fit)), drop(solve(t(x) %*% w %*% x, t(x) %*% w %*% s$d$y)))
  expect_equal(as.numeric(-2 * logLik(fit)), dense_deviance(s$d$y, x, s$v, TRUE))
})

test_that("each form of the matrix is the same model", {
  fits <- list(
    berkey(residual = ~ known(V)), berkey(residual = ~ known(blocks)),
    berkey(residual = known(V)), berkey(residual = ~ known(Matrix::bdiag(blocks))),
    berkey(residual = ~ known(Matrix::Matrix(V, sparse = FALSE))),
    berkey(residual = ~ known(Matrix::forceSymmetric(Matrix::bdiag(blocks)))),
    {
      f <- ~ known(V)
      berkey(residual = f)
    }
  )
  for (fit in fits) {
    expect_equal(as.numeric(logLik(fit)), 5.840656885, tolerance = 1e-8)
  }
  # known variances alone are those of varFixed(), as a vector, a diagonal matrix or numbers
  trials$v <- diag(V)
  fixed <- lmm(y ~ outcome + (1 | trial), trials, weights = nlme::varFixed(~ v))
  for (fit in list(
    lmm(y ~ outcome + (1 | trial), trials, residual = ~ known(v)),
    lmm(y ~ outcome + (1 | trial), trials, residual = ~ known(diag(v))),
    lmm(y ~ outcome + (1 | trial), trials, residual = ~ known(as.list(v))),
    lmm(y ~ outcome + (1 | trial), trials, residual = ~ known(Matrix::Diagonal(x = v)))
  )) {
    expect_equal(logLik(fit), logLik(fixed))
    expect_equal(vcov(fit), vcov(fixed))
    expect_equal(residuals(fit, "normalized"), residuals(fixed, "normalized"))
  }
})

test_that("numbers are those of 'metafor'", {
  skip_if_not_installed("metafor")
  skip_if_not_installed("metadat")
  compare <- function(ours, theirs) {
    expect_equal(as.numeric(logLik(ours)), as.numeric(logLik(theirs)), tolerance = 1e-6)
    expect_equal(unname(fixef(ours)), unname(drop(coef(theirs))), tolerance = 1e-4)
    expect_equal(unname(sqrt(diag(vcov(ours)))), theirs$se, tolerance = 1e-4)
  }
  trials$outcome <- stats::relevel(trials$outcome, "AL")
  for (method in c("ML", "REML")) {
    theirs <- metafor::rma.mv(
      y, V, mods = ~ 0 + outcome, random = ~ outcome | trial, struct = "UN", data = trials,
      method = method
    )
    ours <- lmm(y ~ 0 + outcome + (0 + outcome | trial), trials, REML = method == "REML",
                residual = ~ known(V), control = known_sigma)
    # its restricted likelihood is without log|X'X|
    if (method == "ML") compare(ours, theirs)
    covariance <- VarCorr(ours)$trial
    expect_equal(unname(diag(covariance)), theirs$tau2, tolerance = 1e-3)
    expect_equal(attr(covariance, "correlation")[1L, 2L], theirs$rho, tolerance = 1e-3)
  }
  # correlated effects of a study
  d <- getExportedValue("metadat", "dat.assink2016")
  sampling <- metafor::vcalc(vi, cluster = study, obs = esid, data = d, rho = 0.6)
  theirs <- metafor::rma.mv(yi, sampling, random = ~ 1 | study / esid, data = d, method = "ML")
  ours <- lmm(yi ~ 1 + (1 | study / esid), d, REML = FALSE, residual = ~ known(sampling),
              control = known_sigma)
  compare(ours, theirs)
  expect_equal(unname(unlist(VarCorr(ours)))[2:1], theirs$sigma2, tolerance = 1e-3)
  # independent ones
  d <- getExportedValue("metadat", "dat.konstantopoulos2011")
  theirs <- metafor::rma.mv(yi, vi, random = ~ 1 | district / study, data = d, method = "ML")
  ours <- lmm(yi ~ 1 + (1 | district / study), d, REML = FALSE, residual = ~ known(vi),
              control = known_sigma)
  compare(ours, theirs)
})

test_that("subset and missing values take the matrix along", {
  s <- scattered()
  d <- s$d
  d$y[c(3, 17)] <- NA
  keep <- setdiff(which(d$x < 1), c(3, 17))
  v <- s$v
  # rows that are not in use need no covariances
  v[3, ] <- v[, 3] <- NA
  fit <- lmm(y ~ x + (1 | g), d, subset = x < 1, residual = ~ known(v))
  part <- s$v[keep, keep]
  small <- lmm(y ~ x + (1 | g), d[keep, ], residual = ~ known(part))
  expect_equal(logLik(fit), logLik(small))
  expect_equal(fixef(fit), fixef(small))
  expect_equal(fixef(update(lmm(y ~ x + (1 | g), d, residual = ~ known(s$v)), subset = x < 1)),
               fixef(fit))
  # in another order
  order <- sample(nrow(s$d))
  fit <- lmm(y ~ x + (1 | g), s$d, residual = ~ known(s$v))
  turned <- lmm(y ~ x + (1 | g), s$d, subset = order, residual = ~ known(s$v))
  expect_equal(fixef(turned), fixef(fit))
  expect_equal(unname(residuals(turned)), unname(residuals(fit)[order]))
})

test_that("rows that the matrix connects are groups, found without a dense matrix", {
  n <- 20000L
  d <- data.frame(x = seq_len(n) / n, y = sin(seq_len(n)^2), pair = rep(seq_len(n / 2L), 2L))
  v <- Matrix::sparseMatrix(
    i = c(seq_len(n), seq_len(n / 2L)), j = c(seq_len(n), n / 2L + seq_len(n / 2L)),
    x = rep(c(1, 0.4), c(n, n / 2L)), symmetric = TRUE
  )
  fit <- lmm(y ~ x, d, residual = ~ known(v))
  same <- lmm(y ~ x, d, correlation = nlme::corCompSymm(0.4, ~ 1 | pair, fixed = TRUE))
  expect_equal(logLik(fit)[[1L]], logLik(same)[[1L]])
  expect_equal(vcov(fit), vcov(same))
  expect_identical(max(fit$residual$correlation$component), n %/% 2L)
})

test_that("what is said of the model", {
  fit <- berkey(residual = ~ known(V))
  expect_snapshot({
    print(fit)
    summary(fit)
    equations(fit)
  })
  latex <- paste(equations(fit, format = "latex"), collapse = " ")
  expect_match(latex, "that of known", fixed = TRUE)
})

test_that("residuals, simulations and refits know the covariances", {
  s <- scattered()
  fit <- lmm(y ~ x + (1 | g), s$d, residual = ~ known(s$v), control = known_sigma)
  # sqrt of the covariance of each: normalised residuals are e'V^-1e
  e <- residuals(fit)
  expect_equal(sum(residuals(fit, "normalized")^2), drop(crossprod(e, solve(s$v, e))))
  expect_equal(unname(residuals(fit, "pearson")), unname(e / sqrt(diag(s$v))))
  set.seed(1)
  draws <- as.matrix(simulate(fit, 4000L, use.u = TRUE)) - fitted(fit)
  c <- stats::cov2cor(s$v)
  expect_lt(max(abs(stats::cov2cor(tcrossprod(draws)) - c)), 0.1)
  again <- refit(fit, s$d$y)
  expect_equal(again$theta, fit$theta)
  twice <- refit(fit, 2 * s$d$y - 1)
  expect_equal(fixef(twice), fixef(update(fit, I(2 * y - 1) ~ .)), ignore_attr = TRUE)
  file <- tempfile()
  saveRDS(fit, file)
  read <- readRDS(file)
  expect_equal(predict(read, interval = "prediction"), predict(fit, interval = "prediction"))
  many <- refit(fit, cbind(a = s$d$y, b = rev(s$d$y)))
  expect_equal(unname(many$theta[, "a"]), unname(fit$theta))
  expect_equal(unname(many$coefficients[, "b"]), unname(fixef(refit(fit, rev(s$d$y)))))
  expect_true(all(is.finite(bootstrap(fit, nsim = 20, seed = 2)$t)))
})

test_that("influence and sandwich errors take whole sets of connected rows", {
  s <- scattered()
  fit <- lmm(y ~ x, s$d, residual = ~ known(s$v), REML = FALSE)
  component <- fit$residual$correlation$component
  dropped <- which(component == component[[1L]])
  expect_gt(length(dropped), 1L)
  found <- influence(fit, groups = component)
  without <- lmm(y ~ x, s$d, residual = ~ known(s$v), subset = -dropped, REML = FALSE)
  expect_equal(unname(found$coefficients[1L, ]), unname(fixef(without)), tolerance = 1e-8)
  expect_error(influence(fit), class = "ferrolmm_error_residual")
  # a sandwich by hand
  x <- cbind(1, s$d$x)
  w <- solve(s$v)
  bread <- solve(t(x) %*% w %*% x)
  scores <- rowsum((w %*% (s$d$y - x %*% fixef(fit)))[, 1L] * x, component)
  expect_equal(unname(vcov(fit, type = "CR0")), unname(bread %*% crossprod(scores) %*% bread))
  expect_equal(vcov(fit, type = "CR0", cluster = component), vcov(fit, type = "CR0"))
  expect_error(vcov(fit, type = "CR0", cluster = seq_along(component)),
               class = "ferrolmm_error_argument")
})

test_that("degrees of freedom are those of rows that are made independent by hand", {
  s <- scattered()
  for (effect in c(2, 0)) {
    d <- s$d
    d$y <- d$y + effect * stats::rnorm(nlevels(d$g))[d$g]
    root <- t(chol(as.matrix(s$v)))
    X <- forwardsolve(root, stats::model.matrix(~ x, d))
    own <- data.frame(y = forwardsolve(root, d$y), one = X[, 1L], x = X[, 2L])
    own$Z <- forwardsolve(root, stats::model.matrix(~ 0 + g, d))
    for (sigma in list(NULL, 1)) {
      control <- lmm_control(sigma = sigma)
      fit <- suppressMessages(
        lmm(y ~ x + (1 | g), d, residual = ~ known(s$v), control = control)
      )
      same <- suppressMessages(lmm(y ~ 0 + one + x + (1 | mm(Z)), own, control = control))
      for (ddf in c("Satterthwaite", "Kenward-Roger", "Kenward-Roger2")) {
        tests <- function(fit) as.matrix(contest(fit, diag(2), joint = FALSE, ddf = ddf))
        expect_equal(tests(fit), tests(same), tolerance = 1e-5)
      }
    }
  }
})

test_that("known variances of rows are weights to the method of Kenward and Roger", {
  set.seed(3)
  d <- data.frame(g = gl(10, 6), x = rnorm(60), v = runif(60, 0.2, 3))
  for (size in c(1, 0)) {
    d$y <- 1 + d$x + size * rnorm(10)[d$g] + rnorm(60, sd = sqrt(d$v))
    fit <- suppressMessages(lmm(y ~ x + (x | g), d, residual = ~ known(v)))
    same <- suppressMessages(lmm(y ~ x + (x | g), d, weights = 1 / v))
    tests <- function(fit) as.matrix(contest(fit, diag(2), joint = FALSE, ddf = "Kenward-Roger"))
    expect_equal(tests(fit), tests(same), tolerance = 1e-5)
  }
})

test_that("the paragraph of a report and getVarCov() have the matrix", {
  fit <- berkey(residual = ~ known(V))
  expect_match(paste(paragraph_residuals(fit)), "those of a known matrix, known(V)", fixed = TRUE)
  expect_equal(unname(getVarCov(fit, "1", type = "conditional")[[1L]]), blocks[[1L]],
               tolerance = 1e-10)
  expect_equal(unname(as.matrix(getVarCov(fit, "5", type = "marginal")[[1L]])),
               unname(blocks[[5L]] + VarCorr(fit)$trial[1:2, 1:2]), tolerance = 1e-10)
})

test_that("new rows have no covariances", {
  fit <- berkey(residual = ~ known(V))
  new <- data.frame(trial = factor(1), outcome = factor("AL", c("PD", "AL")))
  expect_equal(predict(fit, new)[[1L]], predict(fit)[[2L]])
  inside <- predict(fit, new, interval = "confidence")
  expect_error(predict(fit, new, interval = "prediction"), class = "ferrolmm_error_newdata")
  outside <- predict(fit, new, interval = "prediction", weights = 1 / 0.01)
  expect_gt(outside[, "upr"], inside[, "upr"])
  expect_error(simulate(fit, newdata = new), class = "ferrolmm_error_newdata")
  expect_error(predict(fit, new, residual.cor = TRUE), class = "ferrolmm_error_newdata")
  expect_equal(
    unname(predict(fit, interval = "prediction")[, "fit"]), unname(fitted(fit))
  )
})

test_that("wrong matrices are refused, and say why", {
  refused <- function(v, pattern, ...) {
    expect_error(berkey(residual = ~ known(v), ...), pattern, class = "ferrolmm_error_known")
  }
  refused(V[-1, -1], "9 rows, the data have 10")
  refused(V[, -1], "must be square")
  refused("V", "must be a covariance matrix")
  refused(replace(V, 2, 0.001), "rows 1 and 2 have two covariances")
  refused(replace(V, c(2, 11), 0.02), "is not positive definite")
  refused(replace(V, 1, 0), "variance of row 1 is 0")
  refused(replace(V, 1, NA), "missing or infinite for rows 1 and 1")
  refused(list(V, "a"), "must be a covariance matrix")
  named <- trials
  row.names(named) <- letters[1:10]
  other <- V
  dimnames(other) <- list(letters[10:1], letters[10:1])
  expect_error(lmm(y ~ outcome + (1 | trial), named, residual = ~ known(other)), "row names",
               class = "ferrolmm_error_known")
  dimnames(other) <- list(letters[1:10], letters[1:10])
  expect_no_error(lmm(y ~ outcome + (1 | trial), named, residual = ~ known(other)))
  expect_error(berkey(residual = ~ known(no_such_matrix)), "could not be evaluated",
               class = "ferrolmm_error_known")
  expect_error(berkey(residual = ~ known(V, 2)), "cannot be read",
               class = "ferrolmm_error_residual")
  expect_error(berkey(residual = ~ known(V | trial)), "cannot be read",
               class = "ferrolmm_error_residual")
  expect_error(berkey(residual = ~ known(V), weights = rep(2, 10)), "weights",
               class = "ferrolmm_error_residual")
  expect_error(berkey(residual = ~ known(V), subset = c(1:10, 1L)), "more than once",
               class = "ferrolmm_error_known")
  expect_error(as_lmerMod(berkey(residual = ~ known(V))), class = "ferrolmm_error_residual")
})
