# Multiple membership, (1 | mm(g1, g2)), and a matrix of one's own, (1 | mm(Z)).

variances_of <- function(fit) {
  c(vapply(VarCorr(fit), function(v) v[1L, 1L], 0), sigma(fit)^2)
}

test_that("criterion, estimates and modes are those of V formed n x n", {
  d <- members_data()
  z <- member_weights_of(d)
  x <- cbind(1, d$x)
  for (reml in c(TRUE, FALSE)) {
    fit <- lmm(y ~ x + (1 | mm(s1, s2, weights = cbind(w1, w2))), d, REML = reml)
    brute <- dense_members(d$y, x, list(z), variances_of(fit), reml)
    expect_equal(fit$criterion, brute$criterion, tolerance = 1e-9)
    expect_equal(unname(fixef(fit)), brute$beta, tolerance = 1e-7)
    expect_equal(unname(as.matrix(vcov(fit))), brute$vcov, tolerance = 1e-6, ignore_attr = TRUE)
    modes <- ranef(fit)[[1L]]
    expect_identical(row.names(modes), colnames(z))
    expect_equal(modes[[1L]], unname(brute$b[[1L]]), tolerance = 1e-6)
    # and the optimum is one
    at <- function(v) dense_members(d$y, x, list(z), v, reml)$criterion
    best <- optim(log(variances_of(fit)), function(v) at(exp(v)), control = list(reltol = 1e-14))
    expect_equal(fit$criterion, best$value, tolerance = 1e-7)
    # conditional variances
    s2 <- variances_of(fit)[[1L]]
    wanted <- s2 - s2^2 * diag(t(z) %*% brute$inverse %*% z)
    expect_equal(c(attr(modes, "postVar")), unname(wanted), tolerance = 1e-6)
  }
})

test_that("lme4 with Zt replaced by hand has the same fit", {
  skip_if_not_installed("lme4")
  d <- members_data()
  z <- member_weights_of(d)
  d$fake <- factor(rep_len(colnames(z), nrow(d)), colnames(z))
  design <- lme4::lFormula(y ~ x + (1 | fake) + (1 | class), d)
  term <- which(names(design$reTrms$cnms) == "fake")
  rows <- (design$reTrms$Gp[term] + 1L):design$reTrms$Gp[term + 1L]
  zt <- design$reTrms$Zt
  zt <- methods::as(rbind(
    if (term == 1L) t(z) else zt[-rows, ], if (term == 1L) zt[-rows, ] else t(z)
  ), "CsparseMatrix")
  design$reTrms$Zt <- zt
  deviance <- do.call(lme4::mkLmerDevfun, design)
  optimum <- stats::optim(
    c(1, 1), deviance, method = "L-BFGS-B", lower = 0, control = list(factr = 10)
  )
  fit <- lmm(y ~ x + (1 | mm(s1, s2, weights = cbind(w1, w2))) + (1 | class), d)
  expect_equal(fit$criterion, optimum$value, tolerance = 1e-8)
  # the same terms in the order of lme4
  at <- match(names(design$reTrms$cnms), sub("mm.*", "fake", names(fit$cnms)))
  expect_equal(deviance(unname(fit$theta)[at]), fit$criterion, tolerance = 1e-9)
})

test_that("weights are equal where none are given, and scaled unless scale = FALSE", {
  d <- members_data()
  d$s2[d$s2 == "none"] <- "s1"
  equal <- lmm(y ~ x + (1 | mm(s1, s2)), d)
  half <- matrix(0.5, nrow(d), 2L)
  expect_equal(
    as.matrix(getME(equal, "Z")), member_weights_of(d, half), ignore_attr = TRUE
  )
  double <- lmm(y ~ x + (1 | mm(s1, s2, weights = cbind(3 * w1, 3 * w2))), d)
  plain <- lmm(y ~ x + (1 | mm(s1, s2, weights = cbind(w1, w2))), d)
  expect_equal(as.matrix(getME(double, "Z")), as.matrix(getME(plain, "Z")))
  free <- lmm(y ~ x + (1 | mm(s1, s2, weights = cbind(3 * w1, 3 * w2), scale = FALSE)), d)
  expect_equal(as.matrix(getME(free, "Z")), 3 * as.matrix(getME(plain, "Z")))
  expect_equal(free$criterion, plain$criterion, tolerance = 1e-9)
  ones <- lmm(y ~ x + (1 | mm(s1, s2, scale = FALSE)), d)
  expect_equal(as.matrix(getME(ones, "Z")), 2 * as.matrix(getME(equal, "Z")))
})

test_that("with one member of weight 1 it is an ordinary grouping factor", {
  d <- members_data()
  a <- lmm(y ~ x + (x | mm(class)), d)
  b <- lmm(y ~ x + (x | class), d)
  expect_equal(a$criterion, b$criterion, tolerance = 1e-8)
  expect_equal(unname(a$theta), unname(b$theta), tolerance = 1e-4)
  expect_equal(fitted(a), fitted(b), tolerance = 1e-5)
  expect_equal(predict(a, d, se.fit = TRUE)$se.fit, predict(b, d, se.fit = TRUE)$se.fit,
               tolerance = 1e-4)
  expect_equal(r_squared(a), r_squared(b), tolerance = 1e-4)
  expect_equal(hatvalues(a), hatvalues(b), tolerance = 1e-4)
  expect_equal(residuals(a, "std_marginal"), residuals(b, "std_marginal"), tolerance = 1e-4)
  for (ddf in c("Satterthwaite", "Kenward-Roger")) {
    expect_equal(
      coef(summary(a, ddf = ddf)), coef(summary(b, ddf = ddf)), tolerance = 1e-3
    )
  }
})

test_that("a matrix of one's own, dense or sparse, is Z", {
  d <- members_data()
  z <- member_weights_of(d)
  d$Z <- z
  by_names <- lmm(y ~ x + (1 | mm(s1, s2, weights = cbind(w1, w2))), d)
  dense <- lmm(y ~ x + (1 | mm(Z)), d)
  expect_equal(dense$criterion, by_names$criterion, tolerance = 1e-10)
  expect_identical(row.names(ranef(dense)[[1L]]), colnames(z))
  expect_equal(ranef(dense)[[1L]], ranef(by_names)[[1L]], ignore_attr = TRUE)
  d$Z <- Matrix::Matrix(z, sparse = TRUE)
  sparse <- lmm(y ~ x + (1 | mm(Z)), d)
  expect_equal(sparse$criterion, dense$criterion, tolerance = 1e-12)
  half <- lmm(y ~ x + (1 | mm(Z)), d, subset = seq_len(nrow(d)) %% 2L == 0L)
  expect_identical(nobs(half), nrow(d) %/% 2L)
  expect_equal(predict(sparse, d[1:5, ]), predict(by_names, d[1:5, ]), tolerance = 1e-7)
  # from the environment of the formula
  Z <- Matrix::Matrix(z, sparse = TRUE)
  d$Z <- NULL
  expect_equal(lmm(y ~ x + (1 | mm(Z)), d)$criterion, dense$criterion, tolerance = 1e-12)
  expect_error(predict(sparse, data.frame(x = 1)), class = "ferrolmm_error_newdata")
})

test_that("rows with missing members are left out, and types may be any", {
  d <- members_data()
  d$s2[d$s2 == "none"] <- "s1"
  d$s1[3L] <- NA
  fit <- lmm(y ~ x + (1 | mm(s1, s2)), d)
  expect_identical(nobs(fit), nrow(d) - 1L)
  d <- d[-3L, ]
  d$n1 <- as.integer(sub("s", "", d$s1))
  d$n2 <- as.integer(sub("s", "", d$s2))
  numbers <- lmm(y ~ x + (1 | mm(n1, n2)), d)
  expect_equal(numbers$criterion, fit$criterion, tolerance = 1e-10)
  d$f1 <- factor(d$s1)
  d$`an odd name` <- factor(d$s2)
  odd <- lmm(y ~ x + (1 | mm(f1, `an odd name`)), d)
  expect_equal(odd$criterion, fit$criterion, tolerance = 1e-10)
  expect_error(lmm(y ~ x + (1 | mm(f1, n2)), d), class = "ferrolmm_error_grouping")
})

test_that("wrong uses are errors that say what to write", {
  d <- members_data()
  d$t <- rep_len(1:6, nrow(d))
  d$bad <- -d$w1
  refused <- function(formula, class = "formula", ...) {
    expect_error(lmm(formula, d, ...), class = paste0("ferrolmm_error_", class))
  }
  refused(y ~ x + (1 | mm()))
  refused(y ~ x + (1 | mm(weights = w1)))
  refused(y ~ x + (1 | mm(s1, s2, wieghts = cbind(w1, w2))))
  refused(y ~ x + (1 | mm(s1, s2, scale = x)))
  refused(y ~ x + (1 | mm(s1, 2)))
  refused(y ~ x + (1 | class / mm(s1, s2)))
  refused(y ~ x + (1 | mm(s1, s2):class))
  refused(y ~ x + us(1 | mm(s1, s2), by = class))
  K <- diag(9)
  dimnames(K) <- rep(list(paste0("s", 1:9)), 2L)
  refused(y ~ x + us(1 | mm(s1, s2), cov = K))
  refused(y ~ x + (1 | mm(s1, s2, weights = w1)), "grouping")
  refused(y ~ x + (1 | mm(s1, s2, weights = cbind(bad, w2))), "grouping")
  refused(y ~ x + (1 | mm(s1, s2, weights = cbind(s1, w2))), "grouping")
  refused(y ~ x + (1 | mm(s1, s2)), "residual", residual = ~ ar1(t | class))
  d$Z <- member_weights_of(d)
  refused(y ~ x + (1 | mm(Z, weights = w1)), "grouping")
  d$Z[1L, 1L] <- Inf
  refused(y ~ x + (1 | mm(Z)), "not_finite")
  d$Z <- diag(nrow(d))
  refused(y ~ x + (1 | mm(Z)), "grouping")
  expect_snapshot(lmm(y ~ x + (1 | mm(s1, s2, weights = w1)), d), error = TRUE)
  expect_error(lmm_moments(y ~ x + (1 | mm(s1, s2)), d), class = "ferrolmm_error_formula")
})

test_that("the same members twice are one term", {
  d <- members_data()
  expect_warning(
    fit <- lmm(y ~ x + (1 | mm(s1, s2)) + (1 | mm(s2, s1)), d),
    class = "ferrolmm_warning_duplicate_term"
  )
  expect_length(fit$random, 1L)
})
