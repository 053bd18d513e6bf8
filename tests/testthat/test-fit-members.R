# What the methods of a fit make of rows that are members of several levels.

members_fit <- function(d = members_data(), ...) {
  lmm(y ~ x + (1 | mm(s1, s2, weights = cbind(w1, w2))) + (1 | class), d, ...)
}

#' Z of both terms, in the order of the fit, and the variances
members_parts <- function(d, fit) {
  z <- list(member_weights_of(d), model.matrix(~ 0 + class, d))
  if (fit$random[[1L]]$group == "class") z <- rev(z)
  list(z = z, v = c(vapply(VarCorr(fit), function(v) v[1L, 1L], 0), sigma(fit)^2))
}

test_that("tests of fixed effects and standard errors of parameters are those of V", {
  d <- members_data()
  fit <- members_fit(d)
  slopes <- lmm(y ~ x + (x | mm(s1, s2, weights = cbind(w1, w2))), d, weights = w1 + 0.5)
  for (fit in list(fit, slopes)) {
    brute <- brute_inference(fit)
    table <- coef(summary(fit, ddf = "Satterthwaite"))
    wanted <- c(brute$satterthwaite(c(1, 0)), brute$satterthwaite(c(0, 1)))
    expect_equal(unname(table[, "df"]), wanted, tolerance = 1e-5)
    kr <- coef(summary(fit, ddf = "Kenward-Roger"))
    expect_equal(unname(kr[, "Std. Error"]), unname(sqrt(diag(brute$adjusted))), tolerance = 1e-5)
    wanted <- c(brute$kenward_roger(c(1, 0)), brute$kenward_roger(c(0, 1)))
    expect_equal(unname(kr[, "df"]), wanted, tolerance = 1e-5)
    errors <- sqrt(diag(vcov(fit, which = "theta", scale = "vcov")))
    expect_equal(unname(errors), sqrt(diag(brute$asymptotic)), tolerance = 1e-4)
  }
})

test_that("predictions and their errors are those of V, of new levels too", {
  d <- members_data()
  fit <- members_fit(d)
  parts <- members_parts(d, fit)
  x <- cbind(1, d$x)
  brute <- dense_members(d$y, x, parts$z, parts$v)
  new <- d[c(1, 7, 9, 20), ]
  new$s2 <- c("s1", "s2", "s3", "elsewhere")
  new$w1 <- c(0.5, 1, 0.5, 0.25)
  new$w2 <- 1 - new$w1
  at <- if (fit$random[[1L]]$group == "class") 2:1 else 1:2
  levels <- colnames(parts$z[[at[[1L]]]])
  z1 <- matrix(0, 4L, length(levels), dimnames = list(NULL, levels))
  for (i in 1:4) {
    for (k in 1:2) {
      level <- new[[paste0("s", k)]][i]
      if (level %in% levels) z1[i, level] <- z1[i, level] + new[[paste0("w", k)]][i]
    }
  }
  z2 <- model.matrix(~ 0 + class, new)
  x0 <- cbind(1, new$x)
  b <- brute$b[at]
  means <- as.vector(x0 %*% brute$beta + z1 %*% b[[1L]] + z2 %*% b[[2L]])
  expect_error(predict(fit, new), class = "ferrolmm_error_newdata")
  found <- predict(fit, new, allow.new.levels = TRUE, se.fit = TRUE)
  expect_equal(unname(found$fit), means, tolerance = 1e-6)
  v <- parts$v[at]
  covariance <- v[[1L]] * z1 %*% t(parts$z[[at[[1L]]]]) + v[[2L]] * z2 %*% t(parts$z[[at[[2L]]]])
  own <- v[[1L]] * rowSums(z1^2) + v[[2L]] + v[[1L]] * c(0, 0, 0, new$w2[[4L]]^2)
  gap <- x0 - covariance %*% brute$inverse %*% x
  variances <- own - rowSums((covariance %*% brute$inverse) * covariance) +
    rowSums((gap %*% brute$vcov) * gap)
  expect_equal(unname(found$se.fit), sqrt(unname(variances)), tolerance = 1e-5)
  expect_equal(
    unname(predict(fit, new, re.form = ~ (1 | mm(s1, s2, weights = cbind(w1, w2))),
                   allow.new.levels = TRUE)),
    drop(x0 %*% brute$beta + z1 %*% b[[1L]]), tolerance = 1e-6
  )
  expect_error(
    predict(fit, new, re.form = ~ (1 | mm(s1, s2))), class = "ferrolmm_error_argument"
  )
  expect_equal(predict(fit), fitted(fit))
  expect_equal(predict(fit, d), fitted(fit), tolerance = 1e-10)
  expect_equal(predict(fit, se.fit = TRUE)$se.fit, predict(fit, d, se.fit = TRUE)$se.fit)
  population <- predict(fit, new, re.form = NA)
  expect_equal(unname(population), drop(x0 %*% brute$beta), tolerance = 1e-8)
  # a zero weight is no membership
  new$s2 <- "nowhere"
  new$w2 <- 0
  expect_length(predict(fit, new), 4L)
  new$w1 <- 0
  expect_error(predict(fit, new), class = "ferrolmm_error_newdata")
  expect_error(predict(fit, new["x"]), class = "ferrolmm_error_newdata")
})

test_that("simulations have the covariances of V, and keep what they are asked to keep", {
  d <- members_data(40L, 5L)
  fit <- members_fit(d)
  parts <- members_parts(d, fit)
  v <- dense_members(d$y, cbind(1, d$x), parts$z, parts$v)$v
  draws <- as.matrix(simulate(fit, 4000L, seed = 1L))
  expect_lt(max(abs(cov(t(draws)) - v)), 6 * max(diag(v)) / sqrt(4000))
  set.seed(3)
  kept <- as.matrix(simulate(fit, 2000L, seed = 2L, re.form = NULL))
  expect_lt(max(abs(rowMeans(kept) - fitted(fit))), 5 * sigma(fit) / sqrt(2000))
  new <- d[1:3, ]
  new$s1 <- c("a", "a", "b")
  new$s2 <- c("a", "b", "b")
  new$w1 <- new$w2 <- 0.5
  draws <- as.matrix(simulate(fit, 4000L, seed = 1L, newdata = new))
  s2 <- parts$v[[if (fit$random[[1L]]$group == "class") 2L else 1L]]
  other <- parts$v[[if (fit$random[[1L]]$group == "class") 1L else 2L]]
  z <- rbind(c(1, 0), c(0.5, 0.5), c(0, 1))
  wanted <- s2 * tcrossprod(z) + other * outer(new$class, new$class, `==`) + diag(sigma(fit)^2, 3L)
  expect_lt(max(abs(cov(t(draws)) - wanted)), 6 * max(diag(wanted)) / sqrt(4000))
  kept <- as.matrix(simulate(fit, 4000L, seed = 1L, newdata = new, re.form = NULL,
                             allow.new.levels = TRUE))
  wanted <- s2 * tcrossprod(z) + diag(sigma(fit)^2, 3L)
  expect_lt(max(abs(cov(t(kept)) - wanted)), 6 * max(diag(wanted)) / sqrt(4000))
})

test_that("profiles, intervals and likelihood ratios go along the dense criterion", {
  d <- members_data(80L, 7L)
  fit <- lmm(y ~ x + (1 | mm(s1, s2, weights = cbind(w1, w2))), d)
  z <- list(member_weights_of(d))
  x <- cbind(1, d$x)
  limits <- confint(fit, parm = "theta_", method = "profile")
  at <- function(v) dense_members(d$y, x, z, v)$criterion
  for (end in limits[1L, ]) {
    rest <- optimize(function(s) at(c(end^2, s^2)), c(0.2, 3), tol = 1e-10)$objective
    expect_equal(rest - fit$criterion, qchisq(0.95, 1), tolerance = 1e-3)
  }
  table <- ranova(fit)
  expect_true(any(table$Pr..Chisq. < 0.05, na.rm = TRUE) || any(unlist(table) < 0.05, na.rm = TRUE))
  ml <- lmm(y ~ x + (1 | mm(s1, s2, weights = cbind(w1, w2))), d, REML = FALSE)
  expect_s3_class(anova(update(ml, . ~ . - x), ml), "anova")
  boot <- bootstrap(fit, nsim = 20L, seed = 1L)
  expect_false(anyNA(as.data.frame(boot)))
})

test_that("deleting a row is fitting without it", {
  d <- members_data(60L, 6L)
  fit <- members_fit(d)
  found <- influence(fit, update = "exact")
  for (i in c(1L, 17L)) {
    anew <- members_fit(d[-i, ])
    expect_equal(found$coefficients[i, ], fixef(anew), tolerance = 1e-6, ignore_attr = TRUE)
    expect_equal(found$criterion[[i]], anew$criterion, tolerance = 1e-8)
  }
  class <- influence(fit, groups = "class", update = "exact")
  anew <- members_fit(droplevels(d[d$class != "2", ]))
  expect_equal(class$criterion[["2"]], anew$criterion, tolerance = 1e-8)
  expect_error(influence(fit, groups = names(fit$flist)[[which(lengths(fit$members) > 0L)]]),
               class = "ferrolmm_error_argument")
})

test_that("matrices are those of the definition", {
  d <- members_data()
  fit <- members_fit(d)
  parts <- members_parts(d, fit)
  z <- do.call(cbind, parts$z)
  expect_equal(as.matrix(getME(fit, "Z")), z, ignore_attr = TRUE)
  expect_equal(as.matrix(getME(fit, "Zt")), t(z), ignore_attr = TRUE)
  expect_equal(as.matrix(model.matrix(fit, type = "random")), z, ignore_attr = TRUE)
  wanted <- mean(rowSums(parts$z[[1L]]^2)) * parts$v[[1L]] +
    mean(rowSums(parts$z[[2L]]^2)) * parts$v[[2L]]
  expect_equal(sum(variance_parts(fit)$random), unname(wanted), tolerance = 1e-8)
  slopes <- lmm(y ~ x + (x | mm(s1, s2, weights = cbind(w1, w2))), d)
  zt <- member_weights_of(d)
  both <- zt[, rep(seq_len(ncol(zt)), each = 2L)] *
    cbind(1, d$x)[, rep(1:2, ncol(zt))]
  expect_equal(as.matrix(getME(slopes, "Z")), both, ignore_attr = TRUE)
  expect_invisible(image(fit))
  expect_identical(
    sum(image(fit, terms = which(lengths(fit$members[vapply(fit$random, `[[`, 1L, "factor")]) > 0L)
    )$cells[[1L]]), sum(member_weights_of(d) != 0)
  )
})

test_that("many responses, refits and updates have the fits of each", {
  d <- members_data()
  fit <- members_fit(d)
  d$y2 <- d$y + rnorm(nrow(d))
  other <- lmm(y2 ~ x + (1 | mm(s1, s2, weights = cbind(w1, w2))) + (1 | class), d)
  expect_equal(refit(fit, d$y2)$criterion, other$criterion, tolerance = 1e-8)
  many <- refit(fit, cbind(a = d$y, b = d$y2))
  expect_equal(unname(coef(many)[2L, ]), unname(fixef(other)), tolerance = 1e-6)
  smaller <- update(fit, . ~ . - (1 | class))
  expect_length(smaller$random, 1L)
  expect_identical(smaller$random[[1L]]$group, "mm(s1, s2)")
  none <- update(fit, . ~ . - (1 | mm(s1, s2, weights = cbind(w1, w2))))
  expect_identical(none$random[[1L]]$group, "class")
  back <- unserialize(serialize(fit, NULL))
  expect_equal(predict(back, d[1:3, ]), predict(fit, d[1:3, ]))
})

test_that("what needs one level for each row is refused", {
  d <- members_data()
  fit <- members_fit(d)
  refused <- function(expr) expect_error(expr, class = "ferrolmm_error_argument")
  refused(vcov(fit, type = "CR2"))
  refused(summary(fit, ddf = "containment"))
  refused(summary(fit, ddf = "between-within"))
  refused(summary(fit, ddf = "inner-outer"))
  refused(getME(fit, "flist"))
  refused(nlme::getGroups(fit))
  refused(nlme::getVarCov(fit, type = "marginal", individuals = 1L))
  refused(predict(fit, level = 1L))
  refused(pooling(fit))
  refused(power(fit, "x", along = list(class = 12L), nsim = 2L))
  refused(nlme::lmList(fit))
  refused(ranef(fit, augFrame = TRUE))
  refused(equations(fit, style = "matrix"))
  skip_if_not_installed("lme4")
  refused(as_lmerMod(fit))
})

test_that("printed output, equations and pictures name the members", {
  d <- members_data()
  fit <- members_fit(d)
  expect_snapshot({
    print(fit)
    equations(fit)
    equations(lmm(y ~ x + (x | mm(s1, s2)), transform(d, s2 = ifelse(s2 == "none", "s1", s2))),
              format = "latex")
  })
})

test_that("new rows with a weight that is missing have no prediction", {
  set.seed(1)
  d <- data.frame(
    x = rnorm(60), g1 = sample(letters[1:6], 60, TRUE), g2 = sample(letters[1:6], 60, TRUE),
    w = runif(60)
  )
  d$u <- 1 - d$w
  d$y <- 2 * rnorm(6)[match(d$g1, letters)] + rnorm(60)
  for (scale in c(TRUE, FALSE)) {
    formula <- eval(bquote(y ~ x + (1 | mm(g1, g2, weights = cbind(w, u), scale = .(scale)))))
    fit <- lmm(formula, d)
    new <- d[1:3, ]
    new$w[[2L]] <- NA
    predicted <- predict(fit, new, se.fit = TRUE)
    expect_identical(unname(is.na(predicted$fit)), c(FALSE, TRUE, FALSE))
    expect_identical(unname(is.na(predicted$se.fit)), c(FALSE, TRUE, FALSE))
    expect_equal(predicted$fit[-2L], predict(fit, d[c(1L, 3L), ]))
    expect_true(all(is.na(simulate(fit, 2, newdata = new)[2L, ])))
    expect_true(all(is.na(predict(fit, new, interval = "prediction")[2L, ])))
  }
})

test_that("the columns of a matrix in newdata are those of the fit by name", {
  set.seed(2)
  Z <- matrix(rnorm(200), 40, 5, dimnames = list(NULL, letters[1:5]))
  d <- data.frame(y = drop(Z %*% rnorm(5)) + rnorm(40))
  d$Z <- Z
  fit <- lmm(y ~ 1 + (1 | mm(Z)), d)
  new <- d[1:3, ]
  new$Z <- new$Z[, 5:1]
  expect_equal(predict(fit, new), predict(fit, d[1:3, ]))
  colnames(new$Z)[[1L]] <- "zz"
  expect_error(predict(fit, new), "no levels of the fit: `zz`", class = "ferrolmm_error_newdata")
  new <- d[1:3, ]
  new$Z[2L, 1L] <- NA
  expect_identical(unname(is.na(predict(fit, new, se.fit = TRUE)$se.fit)), c(FALSE, TRUE, FALSE))
  new$Z[2L, 1L] <- Inf
  expect_error(predict(fit, new), "infinite", class = "ferrolmm_error_newdata")
  expect_error(
    lmm(y ~ 1 + (1 | mm(f1:a, f2:a)), d), "not the interaction f1:a",
    class = "ferrolmm_error_formula"
  )
})
