# Robust covariance matrices of pseudo-likelihoods.

test_that("standard errors are those of the clusters' scores by differences", {
  d <- survey_data(5, 10)
  fit <- lmm(y ~ x + (1 | school), d, REML = FALSE, weights = sampling_weights(w1, school = w2))
  # in (beta, tau^2, sigma^2), the closed form of each school
  value <- function(psi) {
    vapply(split(d, d$school), function(own) {
      e <- own$y - psi[1] - psi[2] * own$x
      a <- sum(own$w1) / psi[4]
      b <- sum(own$w1 * e) / psi[4]
      own$w2[[1]] * (-0.5 * sum(own$w1) * log(2 * pi * psi[4]) - 0.5 * sum(own$w1 * e^2) / psi[4] -
                       0.5 * log(1 + psi[3] * a) + 0.5 * b^2 * psi[3] / (1 + psi[3] * a))
    }, 0)
  }
  psi <- c(fixef(fit), VarCorr(fit)$school[1, 1], sigma(fit)^2)
  expect_equal(sum(value(psi)), -fit$criterion / 2, tolerance = 1e-10)
  step <- 1e-4
  move <- function(a, by) replace(psi, a, psi[a] + by * step)
  scores <- vapply(1:4, function(a) {
    (value(move(a, 1)) - value(move(a, -1))) / (2 * step)
  }, double(nlevels(d$school)))
  total <- function(psi) sum(value(psi))
  hessian <- outer(1:4, 1:4, Vectorize(function(a, b) {
    both <- function(x, y) {
      at <- psi
      at[a] <- at[a] + x * 1e-3
      at[b] <- at[b] + y * 1e-3
      total(at)
    }
    (both(1, 1) - both(1, -1) - both(-1, 1) + both(-1, -1)) / 4e-6
  }))
  k <- nlevels(d$school)
  robust <- solve(hessian, crossprod(scores)) %*% solve(hessian) * k / (k - 1)
  expect_equal(vcov(fit), robust[1:2, 1:2], tolerance = 1e-5, ignore_attr = TRUE)
  expect_equal(vcov(fit, which = "theta", scale = "vcov"), robust[3:4, 3:4], tolerance = 1e-4,
               ignore_attr = TRUE)
  table <- coef(summary(fit))
  expect_equal(table[, "Std. Error"], sqrt(diag(vcov(fit))))
  expect_equal(unname(table[, "df"]), rep(k - 1, 2))
  expect_equal(unname(table[, "Pr(>|t|)"]),
               unname(2 * pt(-abs(table[, "t value"]), k - 1)))
  z <- coef(summary(fit, ddf = "asymptotic"))
  expect_equal(z[, "z value"], table[, "t value"])
  limits <- confint(fit)["x", ]
  expect_equal(unname(limits), fixef(fit)[["x"]] +
                 c(-1, 1) * qt(0.975, k - 1) * sqrt(vcov(fit)["x", "x"]))
  expect_equal(anova(fit)["x", "F value"], table["x", "t value"]^2)
  expect_equal(contest(fit, "x = 0", joint = FALSE)[["t value"]], table["x", "t value"])
  at <- data.frame(x = c(0, 2))
  means <- predict(fit, at, re.form = NA, se.fit = TRUE)
  l <- cbind(1, at$x)
  expect_equal(unname(means$se.fit), sqrt(diag(l %*% vcov(fit) %*% t(l))))
})

test_that("a variance of zero leaves robust standard errors", {
  d <- survey_data(11)
  d$y <- d$y - ave(d$y, d$school)
  fit <- suppressMessages(lmm(y ~ x + (1 | school), d, REML = FALSE,
                              weights = sampling_weights(school = w2)))
  expect_true(isSingular(fit))
  x <- cbind(1, d$x)
  e <- d$y - x %*% fixef(fit)
  bread <- solve(crossprod(x, d$w2 * x))
  k <- nlevels(d$school)
  meat <- crossprod(rowsum(x * drop(d$w2 * e), d$school)) * k / (k - 1)
  expect_equal(vcov(fit), bread %*% meat %*% bread, tolerance = 1e-6, ignore_attr = TRUE)
  expect_true(is.na(vcov(fit, which = "theta")[1, 1]))
})

# Scores of clusters by dense matrices: g, h, d and the covariances of scores, for districts
dense_scores <- function(d, effects, levels, theta_of) {
  total <- d$w1 * d$w2 * d$w3
  z <- do.call(cbind, lapply(names(levels), function(name) {
    own <- stats::model.matrix(~ 0 + factor(d[[name]], unique(d[[name]])))
    do.call(cbind, lapply(seq_len(ncol(effects[[name]])), function(c) own * effects[[name]][, c]))
  }))
  variance <- function(weighted) {
    out <- diag(if (weighted) 1 / total else rep(1, nrow(d)))
    for (name in names(levels)) {
      own <- effects[[name]] %*% theta_of[[name]]
      count <- if (weighted) levels[[name]] else rep(1, nrow(d))
      out <- out + tcrossprod(own) * outer(d[[name]], d[[name]], "==") / count
    }
    out
  }
  x <- stats::model.matrix(~ x + z, d)
  inverse <- solve(variance(TRUE))
  root <- t(chol(solve(t(x) %*% inverse %*% x)))
  a <- t(root) %*% t(x) %*% inverse
  clusters <- split(seq_len(nrow(d)), d$district)
  v <- variance(FALSE)
  sums <- lapply(clusters, function(own) {
    list(h = a[, own] %*% x[own, ] %*% root, d = a[, own] %*% v[own, own] %*% t(a[, own]),
         a = a[, own], own = own)
  })
  list(root = root, sums = sums, total = Reduce(`+`, lapply(sums, `[[`, "d")))
}

# a predictor of districts is a multiple of the intercept within one: what is zero stays
symmetric_power <- function(a, power) {
  e <- eigen(a, symmetric = TRUE)
  kept <- e$values > 1e-10 * e$values[[1L]]
  vectors <- e$vectors[, kept, drop = FALSE]
  vectors %*% (e$values[kept]^power * t(vectors))
}

test_that("CR2 and its degrees of freedom are those of dense matrices", {
  d <- survey_data(4, 9)
  d$z <- rnorm(9)[d$district]
  theta <- function(fit, name) t(chol(VarCorr(fit)[[name]] / sigma(fit)^2))
  check <- function(fit, dense) {
    e <- d$y - stats::model.matrix(~ x + z, d) %*% fixef(fit)
    total <- dense$total
    covariance <- function(i, j) {
      a <- dense$sums[[i]]
      b <- dense$sums[[j]]
      (i == j) * a$d - a$d %*% b$h - a$h %*% b$d + a$h %*% total %*% b$h
    }
    adjust <- lapply(seq_along(dense$sums), function(j) {
      own <- dense$sums[[j]]
      up <- symmetric_power(own$d, 0.5)
      down <- symmetric_power(own$d, -0.5)
      f <- up %*% symmetric_power(down %*% covariance(j, j) %*% down, -0.5) %*% down
      # what makes the estimate unbiased
      expect_equal(f %*% covariance(j, j) %*% t(f), own$d, tolerance = 1e-8,
                   ignore_attr = TRUE)
      f
    })
    scores <- mapply(function(own, f) f %*% own$a %*% e[own$own], dense$sums, adjust)
    wanted <- dense$root %*% tcrossprod(scores) %*% t(dense$root)
    expect_equal(vcov(fit, type = "CR2"), wanted, tolerance = 1e-6, ignore_attr = TRUE)
    found <- coef(summary(fit, vcov = "CR2"))
    expect_equal(found[, "Std. Error"], sqrt(diag(wanted)), tolerance = 1e-6, ignore_attr = TRUE)
    k <- length(dense$sums)
    pairs <- expand.grid(i = seq_len(k), j = seq_len(k))
    of <- function(L) {
      own <- Map(function(i, j) {
        l <- L %*% dense$root
        l %*% adjust[[i]] %*% covariance(i, j) %*% t(adjust[[j]]) %*% t(l)
      }, pairs$i, pairs$j)
      omega <- Reduce(`+`, own[pairs$i == pairs$j])
      half <- symmetric_power(omega, -0.5)
      own <- lapply(own, function(p) half %*% p %*% half)
      q <- nrow(L)
      q * (q + 1) / sum(vapply(own, function(p) sum(diag(p))^2 + sum(p * t(p)), 0))
    }
    single <- vapply(1:3, function(i) of(diag(3)[i, , drop = FALSE]), 0)
    expect_equal(unname(found[, "df"]), single, tolerance = 1e-5)
    both <- contest(fit, c("x", "z"), vcov = "CR2", joint = TRUE)
    eta <- of(diag(3)[2:3, ])
    expect_equal(both[["DenDF"]], eta - 1, tolerance = 1e-5)
    wald <- drop(t(fixef(fit)[2:3]) %*% solve(wanted[2:3, 2:3], fixef(fit)[2:3]))
    expect_equal(both[["F value"]], wald * (eta - 1) / (2 * eta), tolerance = 1e-5)
    jackknife <- mapply(function(own) solve(diag(3) - own$h, own$a %*% e[own$own]), dense$sums)
    expect_equal(vcov(fit, type = "CR3"),
                 dense$root %*% tcrossprod(jackknife) %*% t(dense$root), tolerance = 1e-6,
                 ignore_attr = TRUE)
  }
  nested <- lmm(y ~ x + z + (1 | district / school), d, REML = FALSE, weights = sampling_weights(
    w1, `school:district` = w2, district = w3, information = "fixed"
  ))
  ones <- matrix(1, nrow(d), 1)
  check(nested, dense_scores(
    d, list(school = ones, district = ones), list(school = d$w2 * d$w3, district = d$w3),
    list(school = theta(nested, "school:district"), district = theta(nested, "district"))
  ))
  d$w2 <- 1
  slope <- suppressMessages(lmm(y ~ x + z + (x | district), d, REML = FALSE, weights =
                                  sampling_weights(w1, district = w3, information = "fixed")))
  skip_if(isSingular(slope))
  check(slope, dense_scores(
    d, list(district = cbind(1, d$x)), list(district = d$w3),
    list(district = theta(slope, "district"))
  ))
})

test_that("types of robust matrices go together with the fit's own, and with unweighted fits", {
  d <- survey_data(4, 9)
  joint <- lmm(y ~ x + (1 | district), d, REML = FALSE,
               weights = sampling_weights(w1, district = w3))
  expect_equal(vcov(joint, type = "CR1"), vcov(joint), tolerance = 1e-8)
  fixed <- update(joint, weights = sampling_weights(w1, district = w3, information = "fixed"))
  expect_equal(vcov(fixed, type = "CR1"), vcov(fixed), tolerance = 1e-8)
  expect_gt(max(abs(vcov(fixed) / vcov(joint) - 1)), 1e-4)
  d$one <- 1
  equal <- lmm(y ~ x + (1 | district), d, REML = FALSE,
               weights = sampling_weights(district = one, information = "fixed"))
  plain <- lmm(y ~ x + (1 | district), d, REML = FALSE)
  for (type in c("CR0", "CR1p", "CR1S", "CR3", "Empirical-Bias-Reduced")) {
    expect_equal(vcov(equal, type = type), vcov(plain, type = type), tolerance = 1e-6)
    expect_equal(coef(summary(equal, vcov = type)), coef(summary(plain, vcov = type)),
                 tolerance = 1e-5)
  }
  # unbiased where the model is right: without weights the adjustment of mmrm
  expect_equal(vcov(equal, type = "CR2"), vcov(plain, type = "Empirical-Bias-Reduced"),
               tolerance = 1e-6)
  at <- data.frame(x = c(0, 2))
  means <- predict(joint, at, re.form = NA, se.fit = TRUE, vcov = "CR2")
  l <- cbind(1, at$x)
  expect_equal(unname(means$se.fit), sqrt(diag(l %*% vcov(joint, type = "CR2") %*% t(l))))
  expect_equal(anova(joint, vcov = "CR2")["x", "DenDF"],
               coef(summary(joint, vcov = "CR2"))[2, "df"])
  expect_lt(confint(joint, "x", vcov = "CR2")[1], confint(joint, "x")[1])
})
