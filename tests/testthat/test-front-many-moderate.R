# Moderated residual variances.

test_that("the prior is that of limma", {
  # limma 3.54.1 (Debian bookworm): squeezeVar(s2, d), trigammaInverse(x)
  s2 <- c(0.647, 0.2315, 0.2913, 0.3235, 0.5453, 0.1088, 0.5905, 0.3703, 0.1517, 0.1623, 5.2621,
          1.7751)
  d <- c(4.2, 5, 5.5, 6, 4, 7.1, 5.2, 5, 3.9, 6.4, 5, 4.8)
  prior <- variance_prior(s2, d)
  expect_equal(prior$df, 3.621787217417, tolerance = 1e-9)
  expect_equal(prior$s2, 0.3954183251127, tolerance = 1e-9)
  found <- vapply(c(1e-8, 1e-3, 0.3, 2, 50, 1e8), inverse_trigamma, 0)
  expect_equal(found, c(1e8, 1000.4999166667, 3.8087190120512, 0.87666407746426, 0.14337981235286,
                        1e-4), tolerance = 1e-11)
  few <- variance_prior(c(1.1, 1.0, 0.95, 1.05, 1.02), rep(4, 5))
  expect_identical(few$df, Inf)
  expect_equal(few$s2, 1.024, tolerance = 1e-12)
  moderated <- moderate(structure(
    list(
      sigma = setNames(sqrt(s2), letters[1:12]), residual_df = d, status = rep("converged", 12),
      REML = TRUE, known_sigma = FALSE, penalised = FALSE, ddf = "Satterthwaite"
    ),
    class = "lmm_many"
  ))$moderated
  expect_equal(unname(moderated$s2_post[c(1, 11)]), c(0.53050804376087, 3.21773436711386),
               tolerance = 1e-9)
})

test_that("residual degrees of freedom are tr((I - H)'(I - H))", {
  for (name in c("slope", "ml", "crossed", "shared_factor", "factor_slope", "weighted", "deficient",
                 "missing")) {
    fit <- our_twin(name)
    many <- refit(fit, as.matrix(simulate(fit, 2, seed = 1)))
    for (i in 1:2) {
      one <- suppressMessages(refit(fit, simulate(fit, 2, seed = 1)[[i]]))
      w <- weights(one)
      w <- if (is.null(w)) rep(1, nobs(one)) else w[!is.na(w)]
      x <- as.matrix(getME(one, "X")) * sqrt(w)
      x <- x[, qr(x)$pivot[seq_len(qr(x)$rank)], drop = FALSE]
      z <- as.matrix(getME(one, "Z") %*% getME(one, "Lambda")) * sqrt(w)
      v <- diag(nrow(x)) + tcrossprod(z)
      p <- solve(v) - solve(v, x) %*% solve(crossprod(x, solve(v, x)), t(solve(v, x)))
      expect_equal(many$residual_df[[i]], sum(p^2), tolerance = 1e-6, info = paste(name, i))
    }
  }
})

test_that("the same from the full hat matrix of lme4", {
  skip_if_not_installed("lme4")
  for (name in c("slope", "crossed", "weighted")) {
    fit <- our_twin(name)
    y <- model.response(model.frame(fit))
    h <- as.matrix(hatvalues(lme4_twin(name), fullHatMatrix = TRUE))
    many <- refit(fit, cbind(y, y))
    expect_equal(many$residual_df[[1]], nobs(fit) - 2 * sum(diag(h)) + sum(h^2), tolerance = 1e-5,
                 info = name)
  }
})

test_that("a singular fit has the degrees of freedom of the model without the term", {
  data <- data.frame(g = gl(10, 6), x = rep(1:6, 10))
  set.seed(4)
  Y <- matrix(rnorm(60 * 40), 60)
  fit <- suppressMessages(lmm(y ~ x + (1 | g), cbind(data, y = Y[, 1])))
  many <- refit(fit, Y)
  at_zero <- many$theta[1, ] == 0
  expect_gt(sum(at_zero), 5)
  expect_equal(unname(many$residual_df[at_zero]), rep(58, sum(at_zero)), tolerance = 1e-8)
})

test_that("moderated tests are those of dream", {
  # the formulas of variancePartition 1.39.4 (Hoffman & Roussos 2021): t = estimate / (SE / sigma) /
  # sqrt(s2.post) on df.Satterthwaite + df.prior degrees of freedom
  data <- data.frame(donor = gl(8, 4), x = rep(0:1, 16))
  set.seed(1)
  s <- sqrt(4 / rchisq(60, 4))
  Y <- vapply(1:60, function(i) s[[i]] * (rnorm(8)[data$donor] + rnorm(32)), double(32))
  fit <- suppressMessages(lmm(y ~ x + (1 | donor), cbind(data, y = Y[, 1])))
  many <- refit(fit, Y)
  moderated <- moderate(many)
  prior <- moderated$moderated
  expect_true(is.finite(prior$df_prior))
  d <- many$residual_df
  post <- (prior$df_prior * prior$s2_prior + d * many$sigma^2) / (prior$df_prior + d)
  expect_equal(prior$s2_post, post)
  table <- top_table(moderated, "x", n = Inf, sort = "none")
  t <- many$coefficients["x", ] / (many$se["x", ] / many$sigma) / sqrt(post)
  df <- many$df["x", ] + prior$df_prior
  expect_equal(table$moderated.statistic, unname(t))
  expect_equal(table$moderated.df, unname(df))
  expect_equal(table$moderated.p.value, unname(2 * pt(-abs(t), df)))
  expect_equal(table$p.adjusted, p.adjust(table$moderated.p.value, "BH"))
  sorted <- top_table(moderated, "x", n = Inf)
  expect_false(is.unsorted(sorted$moderated.p.value))
  expect_output(print(moderated), "moderated: prior")
})

test_that("what cannot be moderated is refused", {
  fit <- our_twin("slope")
  Y <- as.matrix(simulate(fit, 3, seed = 1))
  expect_error(moderate(refit(our_twin("ml"), Y)), "REML", class = "ferrolmm_error_argument")
  expect_error(moderate(refit(fit, Y, ddf = "none")), "degrees", class = "ferrolmm_error_argument")
  expect_error(moderate(fit), "many responses", class = "ferrolmm_error_argument")
  Y[, 2:3] <- NA
  expect_error(moderate(refit(fit, Y)), "there are 1", class = "ferrolmm_error_argument")
  known <- refit(fit, Y[, c(1, 1)], control = lmm_control(sigma = 20))
  expect_error(moderate(known), "sigma is known", class = "ferrolmm_error_argument")
})

test_that("moderated p-values are uniform under the null hypothesis", {
  skip_on_cran()
  # 1500 responses of 24 rows; variances vary by an inverse chi-squared on 6 degrees of freedom
  data <- data.frame(donor = gl(8, 3), x = rep(c(-1, 0, 1), 8))
  set.seed(20)
  m <- 1500L
  s <- sqrt(6 / rchisq(m, 6))
  Y <- vapply(seq_len(m), function(i) s[[i]] * (rnorm(8)[data$donor] + rnorm(24)), double(24))
  fit <- suppressMessages(lmm(y ~ x + (1 | donor), cbind(data, y = Y[, 1])))
  moderated <- moderate(refit(fit, Y))
  expect_gt(moderated$moderated$df_prior, 3.5)
  expect_lt(moderated$moderated$df_prior, 10)
  expect_equal(moderated$moderated$s2_prior, 1, tolerance = 0.1)
  p <- top_table(moderated, "x", n = Inf)$moderated.p.value
  expect_gt(suppressWarnings(ks.test(p, "punif"))$p.value, 0.01)
  expect_lt(abs(mean(p < 0.05) - 0.05), 3 * sqrt(0.05 * 0.95 / m))
})

test_that("residual degrees of freedom beside a known precision matrix, with missing values", {
  set.seed(6)
  q <- 12L
  k <- 0.5^abs(outer(1:q, 1:q, "-"))
  precision <- `dimnames<-`(solve(k), list(1:q, 1:q))
  data <- data.frame(animal = factor(rep(1:q, 5)), herd = gl(6, 10), x = rnorm(60))
  data$y <- data$x + rnorm(q)[data$animal] + rnorm(6)[data$herd] + rnorm(60)
  fit <- lmm(y ~ x + us(1 | animal, prec = precision) + (1 | herd), data)
  Y <- as.matrix(simulate(fit, 2, seed = 1))
  Y[c(1, 13, 25, 37, 49, 2), 2] <- NA # animal 1 has no row left
  many <- refit(fit, Y)
  for (i in 1:2) {
    kept <- is.finite(Y[, i])
    rows <- transform(data, y = Y[, i])[kept, ]
    one <- lmm(y ~ x + us(1 | animal, prec = precision) + (1 | herd), rows)
    expect_equal(many$criterion[[i]], one$criterion, tolerance = 1e-9)
    expect_equal(unname(many$se[, i]), unname(sqrt(diag(vcov(one)))), tolerance = 1e-5)
    z <- model.matrix(~ 0 + animal, rows)
    h <- model.matrix(~ 0 + herd, rows)
    theta <- many$theta[, i]
    v <- diag(nrow(rows)) + theta[[1]]^2 * z %*% k %*% t(z) + theta[[2]]^2 * tcrossprod(h)
    x <- cbind(1, rows$x)
    p <- solve(v) - solve(v, x) %*% solve(crossprod(x, solve(v, x)), t(solve(v, x)))
    expect_equal(many$residual_df[[i]], sum(p^2), tolerance = 1e-6)
  }
})
