orthodont <- function() {
  data(Orthodont, package = "nlme", envir = environment())
  as.data.frame(Orthodont)
}

# The best linear unbiased prediction from the covariance matrix of all rows
expect_best_prediction <- function(fit, d, held_out, z = NULL) {
  n <- nrow(d)
  known <- setdiff(seq_len(n), held_out)
  par <- split_phi(fit$residual, fit$phi)$correlation
  design <- residual_design(fit$residual, d)
  v <- matrix(0, n, n)
  for (rows in split(seq_len(n), design$groups$codes)) {
    v[rows, rows] <- position_correlation(
      fit$residual$correlation, par, take_position(design$correlation$position, rows),
      length(rows)
    )
  }
  scale <- scale_values(fit$residual, fit$phi, design, n)
  v <- v * outer(scale, scale)
  if (!is.null(z)) v <- v + unname(fit$theta)^2 * tcrossprod(z)
  x <- stats::model.matrix(stats::delete.response(terms(fit)), d)
  inverse <- solve(v[known, known])
  gain <- v[held_out, known] %*% inverse
  value <- x[held_out, ] %*% fixef(fit) + gain %*% (d$distance[known] - x[known, ] %*% fixef(fit))
  rest <- x[held_out, ] - gain %*% x[known, ]
  unscaled <- solve(t(x[known, ]) %*% inverse %*% x[known, ])
  variance <- diag(
    v[held_out, held_out] - gain %*% v[known, held_out] + rest %*% unscaled %*% t(rest)
  )
  found <- predict(fit, d[held_out, ], residual.cor = TRUE, se.fit = TRUE)
  expect_equal(unname(found$fit), as.vector(value))
  expect_equal(unname(found$se.fit), unname(sigma(fit) * sqrt(variance)))
}

test_that("new observations of known groups are predicted from their group", {
  d <- orthodont()
  held_out <- c(4, 7, 20, 33)
  expect_best_prediction(
    lmm(distance ~ age * Sex, d[-held_out, ], residual = ~ us(age | Subject)), d, held_out
  )
  expect_best_prediction(
    lmm(
      distance ~ age + (1 | Subject), d[-held_out, ], correlation = corCAR1(form = ~ age | Subject),
      weights = varIdent(form = ~ 1 | Sex)
    ),
    d, held_out, stats::model.matrix(~ 0 + Subject, d)
  )
})

test_that("groups that are new have no residuals; what makes no sense is refused", {
  d <- orthodont()
  fit <- lmm(distance ~ age, d, correlation = corAR1(form = ~ 1 | Subject))
  new <- data.frame(age = c(16, 18, 16), Subject = c("M01", "M01", "X"))
  found <- predict(fit, new, residual.cor = TRUE)
  plain <- predict(fit, new)
  last <- residuals(fit)[d$Subject == "M01"][[4L]]
  # in the order of rows the new ones follow those of the fit
  expect_equal(unname(found - plain), c(fit$phi[[1L]], fit$phi[[1L]]^2, 0) * c(last, last, 0))
  bad <- function(...) {
    expect_error(predict(fit, ...), "residual.cor", class = "ferrolmm_error_argument")
  }
  bad(residual.cor = TRUE)
  bad(new, residual.cor = TRUE, interval = "confidence")
  bad(new, residual.cor = NA)
  plain <- lmm(distance ~ age + (1 | Subject), d)
  expect_error(predict(plain, new, residual.cor = TRUE), "correlated residuals",
               class = "ferrolmm_error_argument")
  visits <- lmm(distance ~ age, d, residual = ~ us(age | Subject))
  expect_error(predict(visits, new, residual.cor = TRUE), "without a place",
               class = "ferrolmm_error_newdata")
})

test_that("weights, many groups and rows with missing values", {
  set.seed(8)
  d <- data.frame(id = factor(rep(1:40, each = 3)), visit = factor(rep(1:3, 40)))
  d$age <- stats::rnorm(120)
  d$w <- stats::runif(120) + 0.5
  d$distance <- d$age + as.vector(t(chol(0.5 + diag(3))) %*% matrix(stats::rnorm(120), 3))
  held_out <- c(2, 6, 40, 100)
  # the groups of the fit are replaced by fewer that stand for them
  fit <- lmm(distance ~ age, d[-held_out, ], residual = ~ us(visit | id))
  expect_best_prediction(fit, d, held_out)

  weighted <- lmm(
    distance ~ age + (1 | id), d[-held_out, ], weights = w,
    correlation = corAR1(form = ~ as.integer(visit) | id)
  )
  new <- d[held_out, ]
  found <- predict(weighted, new, residual.cor = TRUE, se.fit = TRUE, weights = new$w)
  rho <- weighted$phi[[1L]]
  for (k in seq_along(held_out)) {
    rows <- setdiff(which(d$id == d$id[[held_out[[k]]]]), held_out)
    lag <- function(a, b) abs(outer(as.integer(d$visit[a]), as.integer(d$visit[b]), `-`))
    e <- residuals(weighted)[as.character(rows)] * sqrt(d$w[rows])
    gain <- drop(rho^lag(held_out[[k]], rows) %*% solve(rho^lag(rows, rows), e))
    plain <- predict(weighted, new[k, ])
    expect_equal(unname(found$fit[[k]] - plain[[1L]]), gain / sqrt(new$w[[k]]))
  }
  # an observation that the fit has is known
  known <- predict(
    weighted, d[1:3, ], residual.cor = TRUE, se.fit = TRUE, weights = d$w[1:3]
  )
  expect_equal(unname(known$fit[c(1, 3)]), d$distance[c(1, 3)])
  expect_lt(max(known$se.fit[c(1, 3)]), 1e-6)

  powers <- lmm(
    distance ~ 1, transform(d, v = abs(age) + 1), weights = varPower(form = ~ v),
    correlation = corCAR1(form = ~ as.integer(visit) | id)
  )
  new <- data.frame(v = c(1, NA, 2), visit = factor(1:3), id = factor(c(1, 1, 99)))
  values <- predict(powers, new, residual.cor = TRUE, interval = "prediction")
  expect_identical(is.na(values[, "lwr"]), c(`1` = FALSE, `2` = TRUE, `3` = FALSE))
})

test_that("a new row that its group has no room for is refused", {
  fit <- negative_pairs()
  new <- data.frame(g = c("new", "3"), x = 0)
  expect_snapshot(predict(fit, new, residual.cor = TRUE), error = TRUE)
  expect_error(
    predict(fit, new, residual.cor = TRUE, interval = "prediction"),
    class = "ferrolmm_error_newdata"
  )
  expect_equal(
    predict(fit, new[1, ], residual.cor = TRUE), predict(fit, new[1, ]), ignore_attr = TRUE
  )
})
