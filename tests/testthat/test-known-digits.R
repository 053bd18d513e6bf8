# Known matrices that are nearly singular: the digits that are left, or an error.

# K_ij = exp(-e |i - j|): the smaller e, the less do levels differ
nearly_equal <- function(e, q = 8L) {
  k <- outer(seq_len(q), seq_len(q), function(i, j) exp(-e * abs(i - j)))
  dimnames(k) <- list(seq_len(q), seq_len(q))
  k
}

some_rows <- function() {
  set.seed(1)
  data.frame(id = rep(1:8, 8), y = stats::rnorm(64) + stats::rnorm(8)[rep(1:8, 8)])
}

# the REML criterion of y = 1 beta + Z b + e, from V formed whole
dense_criterion <- function(theta, d, k) {
  z <- outer(d$id, 1:8, `==`) + 0
  v <- theta^2 * z %*% k %*% t(z) + diag(nrow(d))
  x <- matrix(1, nrow(d))
  vx <- solve(v, x)
  information <- sum(x * vx)
  r <- d$y - sum(vx * d$y) / information
  n <- nrow(d) - 1
  as.numeric(determinant(v)$modulus) + log(information) +
    n * (1 + log(2 * pi * sum(r * solve(v, r)) / n))
}

test_that("digits are lost as 1 - R^2 of a level goes to zero, and no faster", {
  d <- some_rows()
  for (e in 10^-(3:9)) {
    k <- nearly_equal(e)
    fit <- suppressMessages(lmm(y ~ 1 + us(1 | id, cov = k), d))
    criterion <- getME(fit, "devfun")
    for (theta in c(0.5, 1, 3, 100)) {
      expect_lt(abs(criterion(theta) - dense_criterion(theta, d, k)), 1e-9 + 1e-14 / e)
    }
  }
})

test_that("few digits are told of, none are refused", {
  d <- some_rows()
  fit_with <- function(e, how) {
    k <- nearly_equal(e)
    if (how == "cov") lmm(y ~ 1 + us(1 | id, cov = k), d) else lmm(y ~ 1 + us(1 | id, prec = k), d)
  }
  expect_snapshot({
    fit <- suppressMessages(fit_with(1e-10, "cov"))
  })
  for (how in c("cov", "prec")) {
    for (e in c(1e-13, 1e-14, 1e-15, 1e-16, 0)) {
      expect_error(fit_with(e, how), "singular|definite", class = "ferrolmm_error_known")
    }
  }
})

test_that("units of levels make no difference", {
  d <- some_rows()
  k <- nearly_equal(0.1)
  unit <- 10^(-3:4)
  scaled <- k * outer(unit, unit)
  expect_no_warning(fit <- suppressMessages(lmm(y ~ 1 + us(1 | id, cov = scaled), d)))
  expect_lt(
    abs(getME(fit, "devfun")(1) - dense_criterion(1, d, scaled)), 1e-8
  )
})
