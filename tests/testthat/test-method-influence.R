for (name in c("slope", "ml", "crossed", "shared_factor", "weighted", "offset", "deficient",
               "double_bar")) {
  test_that(paste0("deletion at given theta is generalised least squares on the rest: ", name), {
    fit <- our_twin(name)
    model <- dense_model(fit)
    found <- influence(fit, update = "none")
    for (i in c(1, 7, 55, 90)) {
      rest <- dense_gls(model, -i, fit$REML)
      expect_equal(unname(found$coefficients[i, ]), rest$beta)
      expect_equal(found$sigma[[i]], rest$sigma)
      expect_equal(matrix(found$vcov_unscaled[, , i], model$p), rest$unscaled)
    }
    # closed form from the leverages
    expect_equal(dfbeta(fit), dfbeta(found))
    expect_equal(dfbetas(fit), dfbetas(found))
    expect_equal(cooks.distance(fit), cooks.distance(found))
    # and the externally studentised residual
    hat <- hatvalues(fit)
    expect_equal(
      rstudent(fit), residuals(fit, "pearson") / (found$sigma * sqrt(1 - hat))
    )
  })
}

test_that("groups are deleted whole", {
  fit <- our_twin("slope")
  model <- dense_model(fit)
  found <- influence(fit, "Subject", update = "none")
  expect_identical(rownames(found$coefficients), levels(fit$flist$Subject))
  expect_identical(found$size, rep(10L, 18))
  for (g in c("308", "335")) {
    rest <- dense_gls(model, fit$flist$Subject != g)
    expect_equal(unname(found$coefficients[g, ]), rest$beta)
    expect_equal(found$sigma[[g]], rest$sigma)
  }
  # any vector will do
  same <- influence(fit, as.character(fit$flist$Subject), update = "none")
  expect_equal(same$coefficients, found$coefficients)
  fit <- our_twin("shared_factor")
  expect_identical(nrow(influence(fit, "replicate:recipe", update = "none")$coefficients), 45L)
})

correlations <- function(fit, groups) {
  one <- as.data.frame(influence(fit, groups))
  exact <- as.data.frame(influence(fit, groups, update = "exact"))
  vapply(setdiff(names(one), c("deleted", "size")), function(column) {
    stats::cor(one[[column]], exact[[column]])
  }, 0)
}

test_that("one step is close to the exact refit", {
  slope <- our_twin("slope")
  crossed <- our_twin("crossed")
  expect_gt(min(correlations(slope, NULL)), 0.999)
  expect_gt(min(correlations(slope, "Subject")), 0.99)
  expect_gt(min(correlations(crossed, NULL)), 0.999)
  expect_gt(min(correlations(crossed, "plate")), 0.99)
  expect_gt(min(correlations(crossed, "sample")), 0.99)
})

test_that("the exact refit is lmm() on the rest", {
  data <- twin_data()
  expect_refit <- function(fit, groups, data, values) {
    found <- influence(fit, groups, update = "exact")
    for (value in values) {
      rest <- suppressMessages(lmm(formula(fit), data[data[[groups]] != value, ]))
      expect_equal(
        unname(found$coefficients[value, ]), fixef(rest), tolerance = 1e-6,
        ignore_attr = TRUE
      )
      expect_equal(found$sigma[[value]], sigma(rest), tolerance = 1e-6)
      expect_equal(unname(found$theta[value, ]), unname(rest$theta), tolerance = 1e-4)
      expect_equal(found$criterion[[value]], rest$criterion)
    }
  }
  expect_refit(our_twin("slope"), "Subject", data$sleepstudy, c("308", "335", "372"))
  expect_refit(our_twin("crossed"), "sample", data$Penicillin, c("A", "F"))
  expect_refit(our_twin("crossed"), "plate", data$Penicillin, c("a", "p"))
})

test_that("a crossed design of its own: one step against refits by lmm()", {
  set.seed(42)
  data <- expand.grid(item = factor(1:12), person = factor(1:20))
  data <- data[sample(nrow(data), 180), ]
  data$x <- rnorm(180)
  data$y <- data$x + rnorm(12)[data$item] + rnorm(20)[data$person] + rnorm(180)
  fit <- lmm(y ~ x + (1 | item) + (1 | person), data)
  one <- influence(fit, "item")
  refits <- lapply(levels(data$item), function(g) {
    lmm(y ~ x + (1 | item) + (1 | person), data[data$item != g, ])
  })
  beta <- t(vapply(refits, fixef, numeric(2)))
  theta <- t(vapply(refits, function(fit) unname(getME(fit, "theta")), numeric(2)))
  for (j in 1:2) {
    expect_gt(cor(one$coefficients[, j], beta[, j]), 0.999)
    expect_gt(cor(one$theta[, j], theta[, j]), 0.99)
  }
  expect_gt(cor(one$sigma, vapply(refits, sigma, 0)), 0.99)
})

test_that("lme4's refits say the same", {
  skip_if_not_installed("lme4")
  data <- twin_data()$sleepstudy
  theirs <- lme4::lmer(Reaction ~ Days + (Days | Subject), data)
  theirs <- suppressMessages(suppressWarnings(
    stats::influence(theirs, groups = "Subject", data = data)
  ))
  ours <- influence(our_twin("slope"), "Subject", update = "exact")
  expect_equal(unname(dfbeta(ours)), -unname(stats::dfbeta(theirs)), tolerance = 1e-3)
})

test_that("Cook's distance, MDFFITS and the covariance ratio are what they are", {
  fit <- our_twin("slope")
  found <- influence(fit, "Subject")
  table <- as.data.frame(found)
  change <- fixef(fit) - found$coefficients[2, ]
  covariance <- found$sigma[[2]]^2 * found$vcov_unscaled[, , 2]
  expect_equal(table$cooks.distance[2], sum(change * solve(vcov(fit), change)) / 2)
  expect_equal(table$mdffits[2], sum(change * solve(covariance, change)) / 2)
  expect_equal(table$covratio[2], det(covariance) / det(vcov(fit)))
  expect_equal(
    unlist(table[2, c("dfbetas.(Intercept)", "dfbetas.Days")], use.names = FALSE),
    unname(change / sqrt(diag(covariance)))
  )
  expect_identical(rownames(as.data.frame(found, row.names = table$deleted)), table$deleted)
})

test_that("data that were an argument of a function are not looked up", {
  fit_it <- function(d) lmm(Reaction ~ Days + (1 | Subject), d)
  fit <- fit_it(twin_data()$sleepstudy)
  expect_s3_class(influence(fit, "Subject", update = "exact"), "influence.lmm")
})

test_that("a group that alone determines an effect leaves NA", {
  data <- twin_data()$sleepstudy
  data$first <- as.numeric(data$Subject == "308")
  fit <- lmm(Reaction ~ Days + first + (Days || Subject), data)
  found <- influence(fit, "Subject")
  expect_true(all(is.na(found$coefficients["308", ])))
  expect_false(anyNA(found$coefficients[-1, ]))
  expect_true(is.na(cooks.distance(found)[["308"]]))
  expect_identical(nrow(as.data.frame(found)), 18L)
})

test_that("na.exclude pads the deletion of single rows", {
  fit <- our_twin("missing")
  expect_length(cooks.distance(fit), 180)
  expect_identical(dim(dfbetas(fit)), c(180L, 2L))
  expect_identical(unname(which(is.na(rstudent(fit)))), c(3L, 50L, 120L))
})

test_that("the result does not depend on the number of threads", {
  one <- influence(lmm(
    Reaction ~ Days + (Days | Subject), twin_data()$sleepstudy,
    control = lmm_control(threads = 1)
  ))
  two <- influence(lmm(
    Reaction ~ Days + (Days | Subject), twin_data()$sleepstudy,
    control = lmm_control(threads = 2)
  ))
  expect_identical(one$theta, two$theta)
  expect_identical(one$coefficients, two$coefficients)
})

test_that("wrong arguments are named", {
  fit <- our_twin("slope")
  expect_error(influence(fit, "subject"), "Did you mean `Subject`", class = "ferrolmm_error")
  expect_error(influence(fit, 1:3), "180", class = "ferrolmm_error_argument")
  expect_error(influence(fit, rep(1, 180)), "one level", class = "ferrolmm_error_argument")
  expect_error(influence(fit, update = "all"), "update", class = "ferrolmm_error_argument")
})

test_that("print() shows the largest", {
  expect_output(print(influence(our_twin("slope"), "Subject")), "each Subject \\(18\\)")
})

test_that("groups of correlated residuals are deleted as a fit without them has it", {
  data <- as.data.frame(nlme::Orthodont)
  data$Subject <- factor(data$Subject, ordered = FALSE)
  fit <- lmm(distance ~ age + Sex, data, correlation = nlme::corAR1(form = ~ 1 | Subject))
  found <- influence(fit, groups = "Subject", update = "exact")
  fit_phi <- function(fit) fit$phi[[1L]]
  none <- influence(fit, groups = "Subject", update = "none")
  step <- influence(fit, groups = "Subject")
  for (subject in c("M01", "F10")) {
    without <- update(fit, subset = Subject != subject)
    expect_equal(found$coefficients[subject, ], fixef(without), tolerance = 1e-5)
    expect_equal(found$phi[[subject, 1L]], fit_phi(without), tolerance = 1e-4)
  }
  expect_gt(cor(cooks.distance(found), cooks.distance(step)), 0.99)
  expect_gt(cor(cooks.distance(found), cooks.distance(none)), 0.95)
  variances <- lmm(distance ~ age + (1 | Subject), data, weights = nlme::varIdent(form = ~ 1 | Sex))
  exact <- influence(variances, update = "exact")
  expect_gt(cor(cooks.distance(influence(variances)), cooks.distance(exact)), 0.99)
})

test_that("rows of levels with a known covariance are deleted as least squares has it", {
  set.seed(4)
  m <- 7L
  K <- 0.5^abs(outer(seq_len(m), seq_len(m), `-`))
  dimnames(K) <- list(letters[seq_len(m)], letters[seq_len(m)])
  d <- data.frame(id = rep(letters[seq_len(m)], each = 3L), x = rnorm(21), h = gl(4, 1, 21))
  d$y <- 1 + d$x + drop(t(chol(K)) %*% rnorm(m))[match(d$id, letters)] + rnorm(21, sd = 0.5)
  deleted_densely <- function(fit, rows, v) {
    x <- cbind(1, d$x)[-rows, ]
    v <- v[-rows, -rows]
    drop(solve(crossprod(x, solve(v, x)), crossprod(x, solve(v, d$y[-rows]))))
  }
  genetic <- function(theta) theta^2 * K[d$id, d$id]
  one <- lmm(y ~ x + us(1 | id, cov = K), d)
  two <- lmm(y ~ x + us(1 | id, cov = K) + (1 | h), d)
  three <- lmm(y ~ x + us(1 | id, prec = solve(K)) + (1 | id), d)
  v <- list(
    diag(21) + genetic(one$theta),
    diag(21) + genetic(two$theta[["id.(Intercept)"]]) +
      two$theta[["h.(Intercept)"]]^2 * outer(d$h, d$h, `==`),
    diag(21) + genetic(three$theta[[1L]]) + three$theta[[2L]]^2 * outer(d$id, d$id, `==`)
  )
  fits <- list(one, two, three)
  for (i in seq_along(fits)) {
    found <- influence(fits[[i]], update = "none")
    for (row in c(1L, 11L)) {
      expect_equal(
        unname(found$coefficients[row, ]), deleted_densely(fits[[i]], row, v[[i]]),
        tolerance = 1e-8
      )
    }
    groups <- influence(fits[[i]], "id", update = "none")
    expect_equal(
      unname(groups$coefficients["c", ]), deleted_densely(fits[[i]], which(d$id == "c"), v[[i]]),
      tolerance = 1e-8
    )
  }
})

test_that("units of the predictors do not matter to the table of changes", {
  d <- data.frame(
    y = c(1.2, 3.1, 2.2, 5.4, 3.3, 8.1, 4.4, 6.2), x = c(1, 4, 2, 3, 6, 5, 9, 7), g = gl(4, 2)
  )
  d$far <- 1e9 * d$x + 1e12
  near <- as.data.frame(influence(lmm(y ~ x + (1 | g), d), update = "none"))
  far <- as.data.frame(influence(lmm(y ~ far + (1 | g), d), update = "none"))
  expect_equal(far$mdffits, near$mdffits, tolerance = 1e-5)
})

test_that("a row that alone determines an effect has no deletion, without a warning", {
  d <- data.frame(
    y = c(1.2, 3.1, 2.2, 5.4, 3.3, 8.1, 4.4, 6.2), f = factor(c("a", rep(c("b", "c"), 3:4))),
    g = gl(2, 1, 8)
  )
  fit <- suppressMessages(lmm(y ~ f + (1 | g), d))
  expect_no_warning({
    betas <- dfbetas(fit)
    marginal <- residuals(fit, "std_marginal")
    student <- rstudent(fit)
  })
  expect_true(all(is.na(betas[1L, ])))
  expect_false(anyNA(betas[-1L, ]))
  expect_true(is.na(student[[1L]]))
  expect_false(anyNA(student[-1L]))
})

test_that("a known sigma stays known without a row", {
  fit <- suppressMessages(lmm(
    distance ~ age + (1 | Subject), nlme::Orthodont, control = lmm_control(sigma = 2)
  ))
  expect_equal(rstudent(fit), rstandard(fit))
})

test_that("groups can be deleted where a residual correlation is perfect", {
  # found by dev/fuzz, seed 16793: a step of the refit has residuals of no group left to it
  d <- data.frame(
    y = c(-6.507, -7.79, -4.674, -1.274, -2.397, -3.521, -3.737, -0.2405, 0.6391, 1.893, -4.992,
          -2.733, -2.191, -1.926),
    z = rep(c(-1.378, -0.2657, 0.4896, -0.09839, 0.8026, -0.6594, -0.1406), each = 2L),
    x = c(-1.171, -0.2182, 0.1382, 0.2703, -0.2737, -1.218, 0.5729, -1.805, -0.5733, -1.588,
          -0.3738, 1.826, 1.299, -0.3551),
    t = factor(c(1, 2, 2, 1, 2, 1, 1, 2, 2, 1, 2, 1, 2, 1)), g = factor(rep(1:7, each = 2L))
  )
  fit <- suppressWarnings(suppressMessages(
    lmm(y ~ z + (1 | g) + (0 + x | g), d, residual = ~ adh(t | g))
  ))
  deleted <- suppressWarnings(influence(fit, groups = "g", update = "exact"))
  expect_true(all(is.finite(deleted$coefficients)))
})

test_that("many levels that are alike: the estimates without some rows, by brute force", {
  set.seed(4)
  sizes <- rep(c(2L, 3L), 170)
  d <- data.frame(g = rep(seq_along(sizes), sizes), t = sequence(sizes) - 1)
  d$x <- rnorm(nrow(d))
  d$w <- c(1, 2)[1 + d$g %% 2]
  d$y <- d$x + rnorm(340)[d$g] + 0.5 * rnorm(340)[d$g] * d$t + rnorm(nrow(d))
  # REML at given theta, from the covariance matrix of the rows that are left
  dense <- function(fit, t, keep, z) {
    rows <- d[keep, ]
    z <- z[keep, , drop = FALSE]
    relative <- matrix(0, ncol(z), ncol(z))
    relative[lower.tri(relative, TRUE)] <- t
    v <- (z %*% tcrossprod(relative) %*% t(z)) * outer(rows$g, rows$g, "==")
    root <- chol(v + diag(1 / if (is.null(fit$prior.weights)) rep(1, nrow(rows)) else rows$w))
    x <- backsolve(root, cbind(1, rows$x), transpose = TRUE)
    linear <- lm.fit(x, backsolve(root, rows$y, transpose = TRUE))
    df <- nrow(rows) - 2
    squares <- sum(linear$residuals^2)
    list(
      beta = unname(linear$coefficients), sigma = sqrt(squares / df),
      criterion = 2 * sum(log(diag(root))) + 2 * sum(log(abs(diag(qr.R(linear$qr))))) +
        df * (1 + log(2 * pi * squares / df))
    )
  }
  fits <- list(
    list(fit = lmm(y ~ x + (1 | g), d), z = cbind(rep(1, nrow(d)))),
    list(fit = lmm(y ~ x + (1 | g), d, weights = w), z = cbind(rep(1, nrow(d)))),
    list(fit = lmm(y ~ x + (t | g), d), z = cbind(1, d$t))
  )
  pairs <- paste("pair", (d$g + 1) %/% 2)
  for (model in fits) {
    for (update in c("none", "one-step")) {
      for (groups in list(d$g, seq_len(nrow(d)), pairs)) {
        without <- influence(model$fit, groups, update = update)
        largest <- order(cooks.distance(without), decreasing = TRUE)[c(1, 2)]
        for (i in c(1L, 100L, largest)) {
          keep <- as.character(groups) != rownames(without$theta)[[i]]
          right <- dense(model$fit, without$theta[i, ], keep, model$z)
          expect_equal(unname(without$coefficients[i, ]), right$beta, tolerance = 1e-8)
          expect_equal(without$sigma[[i]], right$sigma, tolerance = 1e-8)
          expect_equal(without$criterion[[i]], right$criterion, tolerance = 1e-9)
        }
      }
    }
    # a step goes nearly all of the way
    exact <- influence(model$fit, pairs, update = "exact")
    step <- influence(model$fit, pairs)
    moved <- abs(exact$theta - rep(model$fit$theta, each = nrow(exact$theta)))
    expect_true(all(abs(step$theta - exact$theta) <= 0.05 * moved + 1e-4))
  }
})

# REML criterion, coefficients and sigma at Lambda from the mixed-model equations as dense matrices
from_dense_equations <- function(fit, rows) {
  y <- getME(fit, "y")[rows]
  X <- getME(fit, "X")[rows, , drop = FALSE]
  Z <- as.matrix((getME(fit, "Z") %*% getME(fit, "Lambda"))[rows, ])
  M <- crossprod(Z) + diag(ncol(Z))
  root <- chol(M)
  solved <- backsolve(root, crossprod(Z, cbind(X, y)), transpose = TRUE)
  A <- crossprod(cbind(X, y)) - crossprod(solved)
  p <- seq_len(ncol(X))
  beta <- solve(A[p, p], A[p, -p])
  q <- A[-p, -p] - sum(beta * A[p, -p])
  df <- length(y) - length(p)
  list(
    criterion = 2 * sum(log(diag(root))) + c(determinant(A[p, p])$modulus) +
      df * (1 + log(2 * pi * q / df)),
    beta = beta, sigma = sqrt(q / df)
  )
}

test_that("crossed factors of which each level meets many, but few of all", {
  set.seed(12)
  d <- data.frame(a = factor(rep(1:150, each = 13)), b = factor(sample(90, 1950, TRUE)))
  d$x <- rnorm(1950)
  d$y <- 1 + d$x + rnorm(150)[d$a] + rnorm(150, sd = 0.4)[d$a] * d$x +
    0.6 * rnorm(90)[d$b] + rnorm(1950)
  for (formula in list(y ~ x + (1 | a) + (1 | b), y ~ x + (x | a) + (1 | b))) {
    fit <- lmm(formula, d, control = lmm_control(threads = 1L))
    right <- from_dense_equations(fit, seq_len(nrow(d)))
    expect_equal(fit$criterion, right$criterion, tolerance = 1e-12)
    expect_equal(unname(fixef(fit)), unname(right$beta), tolerance = 1e-10)
    expect_equal(sigma(fit), right$sigma, tolerance = 1e-10)
    two <- lmm(formula, d, control = lmm_control(threads = 2L))
    expect_identical(two$theta, fit$theta)
    expect_identical(two$criterion, fit$criterion)

    # all levels but some together: sets as of a large problem
    sets <- as.character(d$b)
    sets[!sets %in% c("3", "40", "77")] <- "others"
    none <- influence(fit, groups = sets, update = "none")
    step <- influence(fit, groups = sets)
    for (level in c("3", "40", "77")) {
      rest <- which(sets != level)
      right <- from_dense_equations(fit, rest)
      expect_equal(none$criterion[[level]], right$criterion, tolerance = 1e-10)
      expect_equal(unname(none$coefficients[level, ]), unname(right$beta), tolerance = 1e-9)
      expect_equal(none$sigma[[level]], right$sigma, tolerance = 1e-9)
      refit <- lmm(formula, d[rest, ], control = lmm_control(tolerance = 1e-12))
      expect_equal(step$theta[level, ], refit$theta, tolerance = 1e-4)
      expect_equal(step$coefficients[level, ], fixef(refit), tolerance = 1e-5)
      expect_lt(abs(step$criterion[[level]] - refit$criterion), 1e-4)
    }
  }
})
