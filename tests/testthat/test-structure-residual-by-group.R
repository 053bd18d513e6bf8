# Residual covariances that differ by group: us(visit | arm / subject).

dental <- function() {
  d <- as.data.frame(nlme::Orthodont)
  d$visit <- factor(d$age)
  d$id <- factor(as.character(d$Subject))
  d
}

by_group <- function(name) {
  stats::as.formula(paste0("~ ", name, "(visit | Sex / id)"), globalenv())
}

same <- function(name) stats::as.formula(paste0("~ ", name, "(visit | id)"), globalenv())

structures <- c("us", "toep", "toeph", "ad", "adh", "ar1", "ar1h", "cs", "csh")

test_that("where nothing is shared, the fit is that of each group alone", {
  d <- dental()
  # rows and whole visits of a group that are missing
  d <- d[-c(3, 18, 40, 77, 101), ]
  for (name in structures) {
    for (reml in c(TRUE, FALSE)) {
      fit <- lmm(distance ~ Sex / age, d, residual = by_group(name), REML = reml)
      parts <- lapply(split(d, d$Sex), function(own) {
        lmm(distance ~ age, own, residual = same(name), REML = reml)
      })
      label <- paste(name, reml)
      expect_identical(fit$certificate$status, "converged", label = label)
      sum <- sum(vapply(parts, `[[`, 1, "criterion"))
      expect_equal(fit$criterion, sum, tolerance = 1e-9, label = label)
      # the slopes
      own <- summary(fit)$coefficients[3:4, ]
      alone <- t(vapply(parts, function(part) summary(part)$coefficients[2L, ], double(5L)))
      expect_equal(unname(own), unname(alone), tolerance = 1e-4, label = label)
      if (reml) {
        own <- summary(fit, ddf = "Kenward-Roger")$coefficients[3:4, ]
        alone <- t(vapply(parts, function(part) {
          summary(part, ddf = "Kenward-Roger")$coefficients[2L, ]
        }, double(5L)))
        expect_equal(unname(own), unname(alone), tolerance = 1e-4, label = label)
      }
      if (name != "cs") {
        matrices <- getVarCov(fit)
        expect_named(matrices, levels(d$Sex))
        expect_equal(
          unname(matrices), unname(lapply(parts, getVarCov)), tolerance = 1e-3, label = label
        )
      }
    }
  }
})

test_that("unstructured covariances by sex have the published likelihood", {
  # -196.370733: separate ML fits of Orthodont by sex, their sum, as nlme::gls() has it
  d <- dental()
  fit <- lmm(distance ~ Sex * visit, d, residual = ~ us(visit | Sex / id), REML = FALSE)
  expect_equal(as.numeric(logLik(fit)), -196.370733, tolerance = 1e-8)
  expect_equal(attr(logLik(fit), "df"), 8 + 20)
})

test_that("with shared fixed effects the criterion is the dense one, whatever the reference", {
  d <- dental()[-c(3, 18, 40, 77, 101), ]
  d$w <- seq(0.5, 2, length.out = nrow(d))
  x <- stats::model.matrix(~ age, d)
  dense <- function(v) {
    l <- t(chol(v))
    white <- forwardsolve(l, cbind(x, d$distance))
    fit <- qr(white[, 1:2])
    rss <- sum(qr.resid(fit, white[, 3L])^2)
    (nrow(x) - 2) * log(2 * pi) + 2 * sum(log(diag(l))) + 2 * sum(log(abs(diag(qr.R(fit))))) + rss
  }
  turned <- d
  turned$Sex <- factor(d$Sex, rev(levels(d$Sex)))
  for (name in structures) {
    fit <- lmm(distance ~ age, d, residual = by_group(name), weights = w)
    rows <- seq_len(nrow(d))
    v <- residual_covariance(fit, rows)
    expect_equal(fit$criterion, dense(unname(v)), tolerance = 1e-9, label = name)
    expect_equal(
      unname(v), unname(as.matrix(whole_residual_covariance(fit))), tolerance = 1e-10, label = name
    )
    other <- lmm(distance ~ age, turned, residual = by_group(name), weights = w)
    expect_equal(other$criterion, fit$criterion, tolerance = 1e-9, label = name)
    for (ddf in c("Satterthwaite", "Kenward-Roger")) {
      expect_equal(
        summary(other, ddf = ddf)$coefficients, summary(fit, ddf = ddf)$coefficients,
        tolerance = 1e-4, label = paste(name, ddf)
      )
    }
  }
})

test_that("spatial structures differ by group too", {
  d <- dental()
  fit <- lmm(distance ~ Sex / age, d, residual = ~ sp_exp(age | Sex / id), REML = FALSE)
  parts <- vapply(split(d, d$Sex), function(own) {
    lmm(distance ~ age, own, residual = ~ sp_exp(age | id), REML = FALSE)$criterion
  }, 1)
  expect_equal(fit$criterion, sum(parts), tolerance = 1e-8)
  expect_named(fit$phi, c(
    "residual.range Male", "residual.range Female", "residual.sd.ratio Female"
  ))
})

test_that("groups of an interaction, and three classes", {
  d <- dental()
  d$class <- factor(c("a", "b", "c")[as.integer(d$id) %% 3L + 1L])
  fit <- lmm(distance ~ age, d, residual = ~ ar1(visit | class / id))
  expect_length(fit$phi, 5L)
  crossed <- lmm(distance ~ age, d, residual = ~ cs(visit | Sex:class / id))
  expect_length(crossed$phi, 11L)
  expect_identical(fit$residual$correlation$classes, levels(d$class))
  expect_identical(
    crossed$residual$correlation$classes,
    c("Male:a", "Male:b", "Male:c", "Female:a", "Female:b", "Female:c")
  )
})

test_that("predictions, simulations and residuals use the covariance of their group", {
  d <- dental()
  fit <- lmm(distance ~ Sex * age, d, residual = ~ ar1h(visit | Sex / id))
  new <- d[d$id %in% c("M01", "F01"), ]
  last <- new[new$visit == "14", ]
  # the conditional mean of the last visit given the others, by hand
  refit <- lmm(
    distance ~ Sex * age, d[!(d$id %in% c("M01", "F01") & d$visit == "14"), ],
    residual = ~ ar1h(visit | Sex / id)
  )
  found <- predict(refit, last, residual.cor = TRUE)
  v <- getVarCov(refit)
  mean <- predict(refit, new)
  by_hand <- vapply(seq_len(nrow(last)), function(k) {
    id <- as.character(last$id[[k]])
    at <- new$id == id & new$visit != "14"
    own <- v[[as.character(last$Sex[[k]])]]
    mean[new$id == id & new$visit == "14"] +
      own[4L, 1:3] %*% solve(own[1:3, 1:3], new$distance[at] - mean[at])
  }, 1)
  expect_equal(unname(found), by_hand, tolerance = 1e-8)

  many <- simulate(fit, 4000L, seed = 1)
  for (id in c("M01", "F01")) {
    at <- which(d$id == id)
    own <- getVarCov(fit)[[if (id == "M01") "Male" else "Female"]]
    expect_equal(
      unname(stats::cov(t(as.matrix(many[at, ])))), unname(own), tolerance = 0.12
    )
  }
  alone <- simulate(fit, 3L, seed = 2, newdata = d[d$Sex == "Male", ])
  expect_equal(nrow(alone), 64L)

  white <- residuals(fit, type = "normalized")
  at <- which(d$id == "F03")
  own <- t(chol(getVarCov(fit)$Female))
  expect_equal(
    unname(white[at]), drop(forwardsolve(own, d$distance[at] - fitted(fit)[at])), tolerance = 1e-8
  )
})

test_that("a correlation of one group can be held, and profiled", {
  d <- dental()
  fit <- lmm(
    distance ~ age, d, residual = ~ ar1(visit | Sex / id),
    control = lmm_control(hold = c("residual.rho Male" = 0.4))
  )
  expect_equal(fit$phi[["residual.rho Male"]], 0.4)
  free <- lmm(distance ~ age, d, residual = ~ ar1(visit | Sex / id))
  expect_lt(free$criterion, fit$criterion)
  path <- as.data.frame(profile(free, "residual.rho Male"))
  expect_lt(min(path$.zeta), -2)
  expect_gt(max(path$.zeta), 2)
})

test_that("a test of equal covariances is that of the two fits", {
  d <- dental()
  both <- lmm(distance ~ Sex * age, d, residual = ~ us(visit | Sex / id))
  one <- lmm(distance ~ Sex * age, d, residual = ~ us(visit | id))
  table <- anova(one, both, refit = FALSE)
  expect_equal(table$Df[[2L]], 10)
  expect_equal(table$Chisq[[2L]], one$criterion - both$criterion)
})

test_that("what is printed", {
  d <- dental()
  fit <- lmm(distance ~ Sex * age, d, residual = ~ us(visit | Sex / id))
  expect_snapshot(print(fit))
  expect_snapshot(print(lmm(distance ~ age, d, residual = ~ cs(visit | Sex / id))))
  expect_snapshot(print(lmm(distance ~ age, d, residual = ~ ar1(visit | Sex / id))))
  expect_snapshot(print(equations(fit)))
  expect_snapshot(print(equations(lmm(distance ~ age, d, residual = ~ ar1(visit | Sex / id)),
                                  values = FALSE)))
  expect_match(
    paste(format(methods_paragraph(fit)), collapse = " "), "another for each Sex", fixed = TRUE
  )
})

test_that("what cannot be fitted or predicted says what to do", {
  d <- dental()
  boys <- d[d$Sex == "Male", ]
  expect_error(
    lmm(distance ~ age, boys, residual = ~ us(visit | Sex / id)), "in all rows",
    class = "ferrolmm_error_residual"
  )
  expect_error(
    lmm(distance ~ age, d, residual = ~ us(visit | Sex / age / id)), "more than one slash",
    class = "ferrolmm_error_residual"
  )
  single <- d[d$Sex == "Male" | d$visit == "8", ]
  expect_error(
    lmm(distance ~ age, single, residual = ~ us(visit | Sex / id)),
    "more than one row.*varIdent\\(form = ~ 1 \\| Sex\\)", class = "ferrolmm_error_residual"
  )
  fit <- lmm(distance ~ age, d, residual = ~ ar1(visit | Sex / id))
  unknown <- d[1:2, ]
  unknown$Sex <- factor(c("Male", "other"))
  expect_error(
    predict(fit, unknown, residual.cor = TRUE), "Levels of `Sex` are",
    class = "ferrolmm_error_newdata"
  )
  # no girl has both of two visits
  few <- d[!(d$Sex == "Female" & d$visit == ifelse(as.integer(d$id) %% 2L, "8", "14")), ]
  expect_warning(
    lmm(distance ~ age, few, residual = ~ us(visit | Sex / id)),
    "No `Sex:id` of Female has both 8 and 14", class = "ferrolmm_warning_identifiable"
  )
})
