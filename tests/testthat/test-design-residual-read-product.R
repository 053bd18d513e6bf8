# Products of structures: us(trait):ar1(visit) | id, ar1(row):ar1(col).

power_law <- function(m, rho) rho^abs(outer(seq_len(m), seq_len(m), `-`))

## A field of plots, column within row; some of them are missing.
field <- function(rows = 8L, cols = 9L, rho = c(0.7, -0.4), nugget = 0.2, missing = 7L) {
  set.seed(11)
  d <- expand.grid(col = seq_len(cols), row = seq_len(rows))
  v <- kronecker(power_law(rows, rho[[1L]]), power_law(cols, rho[[2L]]))
  v <- (1 - nugget) * v + nugget * diag(nrow(d))
  d$x <- stats::rnorm(nrow(d))
  d$y <- 1 + 0.5 * d$x + as.vector(t(chol(v)) %*% stats::rnorm(nrow(d)))
  d[-sample(nrow(d), missing), ]
}

field_variance <- function(d) {
  function(nu) {
    c <- nu[[1L]]^abs(outer(d$row, d$row, `-`)) * nu[[2L]]^abs(outer(d$col, d$col, `-`))
    nu[[4L]] * ((1 - nu[[3L]]) * c + nu[[3L]] * diag(nrow(d)))
  }
}

## Two traits at four visits of some subjects, values missing.
traits <- function(subjects = 30L) {
  set.seed(12)
  d <- expand.grid(visit = 1:4, trait = factor(c("a", "b")), id = factor(seq_len(subjects)))
  v <- kronecker(matrix(c(1, 0.8, 0.8, 2), 2L), power_law(4L, 0.6))
  d$y <- as.vector(replicate(subjects, t(chol(v)) %*% stats::rnorm(8L)))
  d$arm <- factor(ifelse(as.integer(d$id) %% 2L, "new", "old"))
  d[-sample(nrow(d), 20L), ]
}

test_that("AR(1) x AR(1) with a nugget is the dense model, at its optimum too", {
  d <- field()
  for (reml in c(TRUE, FALSE)) {
    fit <- lmm(y ~ x, d, residual = ~ ar1(row):ar1(col, nugget = TRUE), REML = reml)
    expect_identical(
      names(fit$phi), paste0("residual.", c("row.rho", "col.rho", "nugget"))
    )
    expect_identical(fit$certificate$status, "converged")
    model <- brute_model(d$y, cbind(1, d$x), field_variance(d))
    nu <- c(unname(fit$phi), sigma(fit)^2)
    criterion <- if (reml) REMLcrit(fit) else deviance(fit)
    expect_equal(brute_structures_criterion(model, nu, reml), criterion, tolerance = 1e-10)
    expect_lt(max(abs(brute_gradient(model, nu, reml))), 1e-3)
    lowest <- stats::optim(c(0, 0, 0.5, 1), function(q) {
      if (any(abs(q[1:2]) >= 1) || q[[3L]] <= 0 || q[[3L]] >= 1 || q[[4L]] <= 0) return(1e9)
      brute_structures_criterion(model, q, reml)
    }, control = list(reltol = 1e-12, maxit = 3000L))$value
    expect_lt(criterion, lowest + 1e-6)
  }
})

test_that("a negative correlation on either axis is found, with and without a nugget", {
  for (rho in list(c(-0.6, 0.7), c(0.6, -0.7), c(-0.6, -0.6), c(0.8, 0.8))) {
    d <- field(rho = rho, nugget = 0)
    fit <- lmm(y ~ x, d, residual = ~ ar1(row):ar1(col))
    expect_lt(max(abs(fit$phi - rho)), 0.25)
  }
})

test_that("Satterthwaite and Kenward-Roger are those of the dense model", {
  d <- traits()
  fit <- lmm(y ~ trait * visit, d, residual = ~ us(trait):ar1(visit) | id)
  expect_identical(
    names(fit$phi), paste0("residual.", c("trait.cor(2,1)", "visit.rho", "sd.ratio b"))
  )
  x <- stats::model.matrix(~ trait * visit, d)
  same <- outer(d$id, d$id, `==`)
  variance <- function(nu) {
    between <- outer(d$trait, d$trait, `==`)
    sd <- ifelse(d$trait == "a", 1, nu[[3L]])
    c <- ifelse(between, 1, nu[[1L]]) * nu[[2L]]^abs(outer(d$visit, d$visit, `-`))
    nu[[4L]] * same * c * outer(sd, sd)
  }
  model <- brute_model(d$y, x, variance)
  nu <- c(unname(fit$phi), sigma(fit)^2)
  dense <- brute_structure_inference(model, nu)
  expect_equal(brute_structures_criterion(model, nu), REMLcrit(fit), tolerance = 1e-10)
  expect_equal(unname(sqrt(diag(vcov(fit)))), unname(sqrt(diag(dense$phi))), tolerance = 1e-7)
  expect_equal(
    getVarCov(fit, "2", type = "conditional")[[1L]], variance(nu)[d$id == "2", d$id == "2"],
    tolerance = 1e-8, ignore_attr = TRUE
  )
  for (l in list(c(0, 1, 0, 0), c(0, 0, 0, 1))) {
    ours <- contest(fit, l, joint = FALSE, ddf = "Satterthwaite")
    expect_equal(ours$df, dense$satterthwaite(l), tolerance = 1e-4)
    kenward <- contest(fit, l, ddf = "Kenward-Roger")
    expect_equal(kenward$DenDF, dense$kenward_roger(t(l))[["df"]], tolerance = 1e-4)
  }
})

test_that("products of Kronecker form: by brute force in three axes and by class", {
  d <- traits()
  d$half <- factor(ifelse(d$visit < 3L, "early", "late"))
  d$week <- (d$visit - 1L) %% 2L
  fit <- lmm(y ~ trait, d, residual = ~ cs(trait):us(half):toep(week) | arm / id)
  expect_length(fit$phi, 9L)
  r <- residual_covariance(fit, which(d$id == "2")) / sigma(fit)^2
  own <- d[d$id == "2", ]
  rho <- class_parameters(fit$residual$correlation, unname(fit$phi)[1:6], 2L)
  c <- ifelse(outer(own$trait, own$trait, `==`), 1, rho[[1L]]) *
    ifelse(outer(own$half, own$half, `==`), 1, rho[[2L]]) *
    ifelse(outer(own$week, own$week, `==`), 1, rho[[3L]])
  expect_equal(stats::cov2cor(r), c, tolerance = 1e-10, ignore_attr = TRUE)
  one <- lmm(y ~ trait, d, residual = ~ cs(trait):us(half):toep(week) | id)
  expect_gt(as.numeric(logLik(fit)), as.numeric(logLik(one)))
})

test_that("missing plots are predicted as by kriging", {
  whole <- field(missing = 1L)
  out <- c(3L, 20L, 41L)
  d <- whole[-out, ]
  fit <- lmm(y ~ x, d, residual = ~ ar1(row):ar1(col, nugget = TRUE))
  p <- predict(fit, whole[out, ], residual.cor = TRUE)
  v <- field_variance(whole)(c(unname(fit$phi), sigma(fit)^2))
  x <- cbind(1, whole$x)
  mean <- as.vector(x %*% fixef(fit))
  kriged <- mean[out] + v[out, -out] %*% solve(v[-out, -out], d$y - mean[-out])
  expect_equal(unname(p), as.vector(kriged), tolerance = 1e-8)
  far <- transform(whole[1L, ], row = 300L)
  expect_equal(
    unname(predict(fit, far, residual.cor = TRUE)), unname(predict(fit, far)), tolerance = 1e-6
  )
})

test_that("what follows a fit takes products", {
  d <- traits()
  fit <- lmm(y ~ trait * visit, d, residual = ~ us(trait):ar1h(visit) | id)
  expect_snapshot(print(fit))
  expect_identical(describe_residual_term(fit$residual), "us(trait):ar1h(visit) | id")
  expect_snapshot(cat(equations(fit)$lines, sep = "\n"))
  draws <- as.matrix(simulate(fit, 3000L, seed = 1L))
  rows <- which(d$id == "2")
  expect_lt(
    max(abs(stats::cor(t(draws[rows, ])) - stats::cov2cor(residual_covariance(fit, rows)))), 0.08
  )
  again <- refit(fit, draws[, 1L])
  expect_false(isTRUE(all.equal(again$phi, fit$phi)))
  held <- update(fit, control = lmm_control(hold = c("residual.visit.rho" = 0.5)))
  expect_equal(held$phi[["residual.visit.rho"]], 0.5)
  expect_error(
    predict(fit, transform(d[1L, ], trait = "c"), residual.cor = TRUE),
    class = "ferrolmm_error_newdata"
  )
  shuffled <- d[sample(nrow(d)), ]
  expect_equal(
    logLik(update(fit, data = shuffled)), logLik(fit), tolerance = 1e-9, ignore_attr = TRUE
  )
  expect_lt(abs(as.numeric(logLik(update(fit, residual = ~ ar1h(visit):us(trait) | id))) -
                  as.numeric(logLik(fit))), 1e-6)
})

test_that("what is no product says what to write", {
  d <- transform(field(), f = factor(1), one = 1)
  bad <- function(pattern, residual) {
    expect_error(lmm(y ~ 1, d, residual = residual), pattern, class = "ferrolmm_error_residual")
  }
  bad("different variables", ~ ar1(row):ar1(row))
  bad("written once", ~ us(row | f):ar1(col))
  bad("cannot be a factor", ~ sp_exp(row):ar1(col))
  bad("one variable", ~ ar1(row):ar1(col, 3))
  bad("one variable", ~ us(1):ar1(col))
  bad("I\\(row \\+ col\\)", ~ ar1(row + col):ar1(col))
  bad("last factor", ~ ar1(row, nugget = TRUE):ar1(col))
  bad("one value", ~ ar1(one):ar1(col))
  bad("at most 3", ~ ar1(row):ar1(col):cs(f):us(one))
  bad("cannot be told apart", ~ us(row):us(col) | one / f)
  bad("not known", ~ arr(row):ar1(col))
  bad("whole numbers", ~ ar1(x):ar1(col))
  twice <- rbind(d, transform(d[5L, ], y = y + 0.4))
  expect_error(
    lmm(y ~ 1, twice, residual = ~ ar1(row):ar1(col)), "more than once",
    class = "ferrolmm_error_residual"
  )
  expect_no_error(lmm(y ~ x, twice, residual = ~ ar1(row):ar1(col, nugget = TRUE)))
})
