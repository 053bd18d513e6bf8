# Imputations of a data set with gaps, made by hand: the packages only have to pool
imputations <- function(m = 4L) {
  d <- as.data.frame(nlme::Orthodont)
  d$Subject <- factor(as.character(d$Subject))
  gone <- seq(3L, nrow(d), by = 9L)
  set.seed(2)
  lapply(seq_len(m), function(i) {
    d$distance[gone] <- d$distance[gone] + rnorm(length(gone), sd = 1.5)
    d$w <- seq(0.5, 2, length.out = nrow(d))
    d
  })
}

# lme4's fit at the estimates of ours
as_lmer_at <- function(data, fit, formula, reml) {
  lme4::lmer(formula, data, REML = reml, start = unname(fit$theta), control = lme4::lmerControl(
    optimizer = NULL, calc.derivs = FALSE, check.conv.singular = "ignore"
  ))
}

fits_of <- function(data, f, formula, ...) {
  lapply(data, function(d) suppressMessages(f(formula, d, ...)))
}

test_that("'mitml' pools and compares as it does lmer()", {
  skip_if_not_installed("mitml")
  skip_if_not_installed("lme4")
  data <- imputations()
  full <- distance ~ age * Sex + (age | Subject)
  small <- distance ~ age + (age | Subject)
  for (reml in c(TRUE, FALSE)) {
    ours <- fits_of(data, lmm, full, REML = reml)
    ours0 <- fits_of(data, lmm, small, REML = reml)
    theirs <- Map(as_lmer_at, data, ours, MoreArgs = list(formula = full, reml = reml))
    theirs0 <- Map(as_lmer_at, data, ours0, MoreArgs = list(formula = small, reml = reml))
    pooled <- mitml::testEstimates(ours, extra.pars = TRUE, df.com = 100)
    expected <- mitml::testEstimates(theirs, extra.pars = TRUE, df.com = 100)
    expect_equal(pooled$estimates, expected$estimates, tolerance = 1e-6)
    expect_equal(pooled$extra.pars, expected$extra.pars, tolerance = 1e-6)
    for (method in c("D1", "D2")) {
      expect_equal(
        mitml::testModels(ours, ours0, method)$test,
        mitml::testModels(theirs, theirs0, method)$test, tolerance = 1e-6
      )
    }
  }
  # likelihood ratios: of fits by ML, so that nothing is fitted again by another optimiser
  expect_equal(
    mitml::testModels(ours, ours0, "D2", use = "likelihood")$test,
    mitml::testModels(theirs, theirs0, "D2", use = "likelihood")$test, tolerance = 1e-6
  )
  # 'mitml' fits again, by calls that it has to find
  fitted <- suppressWarnings(lapply(data, function(d) {
    lme4::lmer(distance ~ age * Sex + (age | Subject), d, REML = FALSE,
               control = lme4::lmerControl("bobyqa", optCtrl = list(rhoend = 1e-9)))
  }))
  fitted0 <- suppressWarnings(lapply(data, function(d) {
    lme4::lmer(distance ~ age + (age | Subject), d, REML = FALSE,
               control = lme4::lmerControl("bobyqa", optCtrl = list(rhoend = 1e-9)))
  }))
  for (method in c("D3", "D4")) {
    expect_equal(
      mitml::testModels(ours, ours0, method)$test,
      suppressWarnings(mitml::testModels(fitted, fitted0, method))$test, tolerance = 1e-4
    )
  }
  # a fit by REML is fitted again by ML
  restricted <- fits_of(data, lmm, full)
  restricted0 <- fits_of(data, lmm, small)
  expect_equal(
    mitml::testModels(restricted, restricted0, "D3")$test,
    mitml::testModels(ours, ours0, "D3")$test, tolerance = 1e-6
  )
})

test_that("the likelihood at other parameters is that of the normal distribution", {
  skip_if_not_installed("mitml")
  data <- imputations(2L)
  d <- data[[1L]]
  d$visit <- factor(d$age)
  density <- function(fit, beta) {
    V <- as.matrix(getME(fit, "R"))
    if (length(fit$theta) > 0L) {
      Z <- as.matrix(getME(fit, "Z"))
      L <- as.matrix(getME(fit, "Lambda"))
      V <- V + sigma(fit)^2 * tcrossprod(Z %*% L)
    }
    r <- fit$frame[[1L]] - (if (is.null(fit$offset)) 0 else fit$offset) -
      as.vector(model.matrix(fit) %*% beta)
    -(length(r) * log(2 * pi) + as.numeric(determinant(V)$modulus) + sum(r * solve(V, r))) / 2
  }
  fits <- list(
    lmm(distance ~ age * Sex + (age | Subject), d, weights = w, offset = age / 10, REML = FALSE),
    suppressMessages(lmm(distance ~ age + cs(age | Subject), d)),
    lmm(distance ~ age * Sex, d, residual = ~ us(visit | Subject)),
    lmm(distance ~ age + (1 | Subject), d, correlation = nlme::corAR1(form = ~ 1 | Subject),
        weights = nlme::varIdent(form = ~ 1 | Sex))
  )
  for (fit in fits) {
    moved_data <- transform(d, distance = distance + rnorm(nrow(d)))
    elsewhere <- suppressMessages(update(fit, data = moved_data))
    given <- .getArgsLL.lmm(elsewhere)$parameters
    moved <- elsewhere
    moved$frame[[1L]] <- fit$frame[[1L]]
    expect_equal(
      as.numeric(.getUserLL.lmm(fit, given)), density(moved, elsewhere$beta), tolerance = 1e-8
    )
    # sigma is estimated otherwise by REML
    full <- refitML(fit)
    expect_equal(
      as.numeric(.getUserLL.lmm(full, .getArgsLL.lmm(full)$parameters)), as.numeric(logLik(full)),
      tolerance = 1e-10
    )
  }
})

test_that("'mitml' compares models with residual structures", {
  skip_if_not_installed("mitml")
  data <- lapply(imputations(), function(d) {
    d$visit <- factor(d$age)
    d
  })
  full <- fits_of(data, lmm, distance ~ age * Sex, residual = ~ us(visit | Subject))
  small <- fits_of(data, lmm, distance ~ age, residual = ~ us(visit | Subject))
  tests <- lapply(c("D1", "D2", "D3", "D4"), function(method) {
    mitml::testModels(full, small, method)$test
  })
  for (test in tests) {
    expect_identical(unname(test[, "df1"]), 2)
  }
  # with m copies of one data set nothing is lost, and all are the complete test over its df
  one <- refitML(full[[1L]])
  one0 <- refitML(small[[1L]])
  same <- rep(list(one), 3L)
  same0 <- rep(list(one0), 3L)
  ratio <- 2 * as.numeric(logLik(one) - logLik(one0))
  for (method in c("D3", "D4")) {
    expect_equal(unname(mitml::testModels(same, same0, method)$test[, "F.value"]), ratio / 2,
                 tolerance = 1e-6)
  }
  extra <- mitml::testEstimates(full, extra.pars = TRUE)$extra.pars
  expect_equal(extra["residual.cor(2,1)", 1L],
               mean(vapply(full, function(fit) fit$phi[["residual.cor(2,1)"]], 0)))
  # groups cannot be renamed where they mean something by themselves
  levels <- levels(data[[1L]]$Subject)
  K <- diag(27) + 0.1
  dimnames(K) <- list(levels, levels)
  known <- lmm(distance ~ age + us(1 | Subject, cov = K), data[[1L]])
  expect_error(.updateStackedLL.lmm(known, data), "D3", class = "ferrolmm_error_known")
  nested <- lmm(distance ~ Sex + (age | Sex:Subject), data[[1L]])
  expect_error(.updateStackedLL.lmm(nested, data), "predictor", class = "ferrolmm_error_grouping")
})

test_that("'mice' pools fits, and its D1 and D2 compare them", {
  skip_if_not_installed("mice")
  skip_if_not_installed("broom.mixed")
  library(broom.mixed)
  gaps <- as.data.frame(nlme::Orthodont)
  gaps$Subject <- as.integer(gaps$Subject)
  gaps$distance[seq(3L, 108L, by = 9L)] <- NA
  imputed <- mice::mice(gaps, m = 3L, maxit = 1L, seed = 1L, printFlag = FALSE)
  ours <- with(imputed, lmm(distance ~ age * Sex + (1 | Subject)))
  theirs <- with(imputed, lme4::lmer(distance ~ age * Sex + (1 | Subject)))
  expect_equal(
    summary(mice::pool(ours))[-1L], summary(mice::pool(theirs))[-1L], tolerance = 1e-4,
    ignore_attr = TRUE
  )
  skip_if_not_installed("mitml")
  ours0 <- with(imputed, lmm(distance ~ age + (1 | Subject)))
  theirs0 <- with(imputed, lme4::lmer(distance ~ age + (1 | Subject)))
  expect_equal(mice::D1(ours, ours0)$result, mice::D1(theirs, theirs0)$result, tolerance = 1e-4)
  expect_equal(mice::D2(ours, ours0)$result, mice::D2(theirs, theirs0)$result, tolerance = 1e-4)
  expect_error(mice::D3(ours, ours0))
})
