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
