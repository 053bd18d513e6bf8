orthodont <- function() {
  data(Orthodont, package = "nlme", envir = environment())
  d <- as.data.frame(Orthodont)
  d$visit <- factor(paste0("V", d$age), levels = paste0("V", c(8, 10, 12, 14)))
  d
}

test_that("each name of mmrm is its structure", {
  d <- orthodont()
  read <- function(formula) {
    residual <- front_end(distance ~ 1, d, residual = eval(formula))$residual
    c(residual$correlation$type, length(residual$scales))
  }
  types <- c(
    us = "us", ad = "ante", adh = "ante", toep = "toep", toeph = "toep", ar1 = "ar1", ar1h = "ar1",
    cs = "cs", csh = "cs"
  )
  for (name in names(types)) {
    formula <- stats::as.formula(paste0("~ ", name, "(visit | Subject)"))
    found <- eval(bquote(front_end(distance ~ 1, d, residual = .(formula))))$residual
    expect_identical(found$correlation$type, types[[name]])
    expect_length(found$scales, as.integer(name == "us" || endsWith(name, "h")))
  }
  found <- front_end(distance ~ 1, d, residual = ~ sp_exp(age, age^2 | Subject))
  expect_identical(found$residual$correlation$type, "exp")
  expect_identical(found$design$correlation$position, list(d$age, d$age^2))
})

test_that("kinds of parameters", {
  d <- orthodont()
  kinds <- function(...) phi_kinds(front_end(distance ~ 1, d, ...)$residual)
  expect_identical(kinds(correlation = corAR1(form = ~ 1 | Subject)), "correlation")
  expect_identical(kinds(correlation = corCAR1(form = ~ age | Subject)), "unit")
  expect_identical(
    kinds(
      correlation = corGaus(form = ~ age | Subject, nugget = TRUE),
      weights = varConstPower(form = ~ age | Sex)
    ),
    c("positive", "unit", "positive", "positive", "real", "real")
  )
})

# Our fit is nlme's: log-likelihood (ours may be higher), degrees of freedom, fixed effects, their
# standard errors, sigma
expect_same_fit <- function(ours, theirs, tolerance = 1e-5, better = FALSE) {
  difference <- as.numeric(logLik(ours)) - as.numeric(logLik(theirs))
  if (better) expect_gt(difference, -1e-6) else expect_lt(abs(difference), 1e-6)
  expect_identical(attr(logLik(ours), "df"), as.integer(attr(logLik(theirs), "df")))
  beta <- if (inherits(theirs, "gls")) stats::coef(theirs) else nlme::fixef(theirs)
  expect_equal(fixef(ours), beta, tolerance = tolerance)
  if (!better) {
    expect_equal(sigma(ours), stats::sigma(theirs), tolerance = 10 * tolerance)
    expect_equal(
      sqrt(diag(as.matrix(vcov(ours)))), sqrt(diag(as.matrix(stats::vcov(theirs)))),
      tolerance = 10 * tolerance
    )
  }
}

test_that("models without random effects are those of gls()", {
  d <- orthodont()
  gls <- nlme::gls
  f <- distance ~ age * Sex
  expect_same_fit(
    lmm(f, d, correlation = corAR1(form = ~ 1 | Subject)),
    gls(f, d, correlation = nlme::corAR1(form = ~ 1 | Subject))
  )
  expect_same_fit(
    lmm(f, d, correlation = corCAR1(form = ~ age | Subject), weights = varExp(form = ~ age | Sex)),
    gls(
      f, d, correlation = nlme::corCAR1(form = ~ age | Subject),
      weights = nlme::varExp(form = ~ age | Sex)
    )
  )
  expect_same_fit(
    lmm(f, d, residual = ~ us(visit | Subject)),
    gls(
      f, d, correlation = nlme::corSymm(form = ~ 1 | Subject),
      weights = nlme::varIdent(form = ~ 1 | visit)
    ),
    tolerance = 1e-4
  )
  expect_same_fit(
    lmm(f, d, correlation = corARMA(form = ~ 1 | Subject, p = 1, q = 1)),
    gls(f, d, correlation = nlme::corARMA(form = ~ 1 | Subject, p = 1, q = 1)), tolerance = 1e-4
  )
  expect_same_fit(
    lmm(f, d, weights = varComb(varIdent(form = ~ 1 | Sex), varFixed(~ age))),
    gls(
      f, d,
      weights = nlme::varComb(nlme::varIdent(form = ~ 1 | Sex), nlme::varFixed(~ age))
    )
  )
})

test_that("models with random effects are those of lme()", {
  d <- orthodont()
  lme <- nlme::lme
  f <- distance ~ age * Sex
  expect_same_fit(
    lmm(distance ~ age * Sex + (age | Subject), d, weights = varIdent(form = ~ 1 | Sex)),
    lme(f, d, ~ age | Subject, weights = nlme::varIdent(form = ~ 1 | Sex))
  )
  expect_same_fit(
    lmm(distance ~ age * Sex + (1 | Subject), d, correlation = corAR1()),
    lme(f, d, ~ 1 | Subject, correlation = nlme::corAR1())
  )
  data(BodyWeight, package = "nlme", envir = environment())
  rats <- as.data.frame(BodyWeight)
  expect_same_fit(
    lmm(
      weight ~ Time * Diet + (Time | Rat), rats, weights = varPower(form = ~ Time),
      correlation = corExp(form = ~ Time | Rat)
    ),
    lme(
      weight ~ Time * Diet, rats, ~ Time | Rat, weights = nlme::varPower(form = ~ Time),
      correlation = nlme::corExp(form = ~ Time | Rat)
    ),
    tolerance = 1e-4, better = TRUE
  )
  data(Ovary, package = "nlme", envir = environment())
  mares <- as.data.frame(Ovary)
  expect_same_fit(
    lmm(
      follicles ~ sin(2 * pi * Time) + cos(2 * pi * Time) + (1 | Mare), mares,
      correlation = corARMA(p = 1, q = 1)
    ),
    lme(
      follicles ~ sin(2 * pi * Time) + cos(2 * pi * Time), mares, ~ 1 | Mare,
      correlation = nlme::corARMA(p = 1, q = 1)
    ),
    tolerance = 1e-3, better = TRUE
  )
})

test_that("variances of the fitted values: a fixed point", {
  d <- orthodont()
  fit <- lmm(distance ~ age * Sex + (1 | Subject), d, weights = varPower())
  d$at <- unname(fitted(fit))
  again <- lmm(distance ~ age * Sex + (1 | Subject), d, weights = varPower(form = ~ at))
  expect_equal(logLik(again), logLik(fit), tolerance = 1e-8, ignore_attr = TRUE)
  expect_equal(unname(again$phi), unname(fit$phi), tolerance = 1e-5)
  expect_equal(unname(fitted(again)), d$at, tolerance = 1e-7)
  theirs <- nlme::lme(
    distance ~ age * Sex, d, ~ 1 | Subject, weights = nlme::varPower()
  )
  # nlme stops its turns earlier
  expect_equal(as.numeric(logLik(fit)), as.numeric(logLik(theirs)), tolerance = 1e-5)
  expect_equal(fit$frame[["(fitted)"]], d$at, tolerance = 1e-7)
  expect_error(
    lmm(I(distance - mean(distance)) ~ 0 + (1 | Subject), d, weights = varExp(form = ~ resid(.))),
    "resid", class = "ferrolmm_error_residual"
  )
})

test_that("order of rows, missing visits and single rows do not matter", {
  d <- orthodont()
  set.seed(7)
  fit <- lmm(distance ~ age, d, residual = ~ ar1(visit | Subject))
  shuffled <- lmm(distance ~ age, d[sample(nrow(d)), ], residual = ~ ar1(visit | Subject))
  expect_equal(logLik(fit), logLik(shuffled), tolerance = 1e-9)
  expect_equal(fit$phi, shuffled$phi, tolerance = 1e-6)
  holes <- d[-c(2, 7, 8, 9, 14, 15, 30), ]
  ours <- lmm(distance ~ age, holes, residual = ~ us(visit | Subject))
  theirs <- nlme::gls(
    distance ~ age, holes, correlation = nlme::corSymm(form = ~ as.integer(visit) | Subject),
    weights = nlme::varIdent(form = ~ 1 | visit)
  )
  expect_same_fit(ours, theirs, tolerance = 1e-4)
  expect_silent(validate_lmm(ours))
})

test_that("update(), refit(), simulate() keep the structure", {
  d <- orthodont()
  fit <- lmm(distance ~ age * Sex, d, residual = ~ us(visit | Subject))
  smaller <- update(fit, residual = ~ cs(visit | Subject))
  expect_identical(names(smaller$phi), "residual.rho")
  table <- anova(smaller, fit)
  expect_identical(table$Df[[2L]], 8L, ignore_attr = TRUE)
  again <- refit(fit, d$distance)
  expect_equal(again$phi, fit$phi, tolerance = 1e-6)
  moved <- refit(fit, d$distance + 10)
  expect_equal(moved$phi, fit$phi, tolerance = 1e-5)
  responses <- simulate(fit, nsim = 400, seed = 3)
  rows <- which(d$Subject == "M01")
  expect_equal(
    unname(stats::cov(t(as.matrix(responses[rows, ])))),
    unname(nlme::getVarCov(fit, "M01")[[1L]]), tolerance = 0.15
  )
  expect_error(cooks.distance(fit), "correlated", class = "ferrolmm_error_residual")
  expect_error(hatvalues(fit), "correlated", class = "ferrolmm_error_residual")
  expect_error(influence(fit), "whole groups", ignore.case = TRUE,
               class = "ferrolmm_error_residual")
})

test_that("nlme need not be attached, and structures can come from variables", {
  d <- orthodont()
  structure <- nlme::corAR1(form = ~ 1 | Subject)
  f <- function(how) lmm(distance ~ age, d, correlation = how)
  expect_equal(f(structure)$phi, lmm(distance ~ age, d, correlation = structure)$phi)
  v <- nlme::varIdent(form = ~ 1 | Sex)
  expect_identical(
    names(lmm(distance ~ age, d, weights = v)$phi), "residual.sd.ratio Female"
  )
  shape <- ~ cs(visit | Subject)
  expect_identical(names(lmm(distance ~ age, d, residual = shape)$phi), "residual.rho")
  expect_null(lmm(distance ~ (1 | Subject), d, correlation = NULL, residual = NULL)$residual)
})

test_that("intervals of the parameters are nlme's", {
  d <- orthodont()
  ours <- lmm(distance ~ age * Sex, d, residual = ~ us(age | Subject))
  theirs <- nlme::intervals(nlme::gls(
    distance ~ age * Sex, d, correlation = nlme::corSymm(form = ~ 1 | Subject),
    weights = nlme::varIdent(form = ~ 1 | age)
  ))
  expected <- rbind(theirs$corStruct, theirs$varStruct)[, c("lower", "upper")]
  expected <- rbind(expected, theirs$sigma[c("lower", "upper")])
  # nlme's Hessian is a finite difference
  expect_equal(
    unname(confint(ours, "theta_", oldNames = FALSE)), unname(expected), tolerance = 5e-3
  )
  shown <- summary(ours)$residual
  expect_identical(rownames(shown), sub("residual.", "", names(ours$phi), fixed = TRUE))
  expect_equal(unname(shown[, 1L]), unname(ours$phi))
  # these parameters can all be read from the covariance matrix of the visits
  expect_output(print(summary(ours)), "Residual covariance:")
  expect_no_match(capture.output(print(summary(ours))), "sd.ratio", fixed = TRUE)
  serial <- lmm(distance ~ age, d, residual = ~ ar1h(age | Subject))
  expect_output(print(summary(serial)), "sd.ratio 10")
  table <- attr(VarCorr(ours, se = TRUE), "residual")
  expect_equal(table$std.error, unname(shown[, "Std. Error"]))
})

test_that("profiles, bootstrap and many responses have phi", {
  d <- orthodont()
  fit <- lmm(distance ~ age * Sex + (1 | Subject), d, weights = varIdent(form = ~ 1 | Sex))
  wald <- confint(fit, "theta_", oldNames = FALSE)
  profiled <- confint(fit, "theta_", method = "profile", oldNames = FALSE)
  expect_identical(rownames(profiled), rownames(wald))
  expect_equal(profiled, wald, tolerance = 0.1)
  # where zeta is the normal quantile the criterion has risen by its square
  at <- profiled["residual.sd.ratio Female", 2L]
  held <- update(fit, control = lmm_control(hold = c("residual.sd.ratio Female" = at)))
  expect_equal(held$criterion - fit$criterion, stats::qnorm(0.975)^2, tolerance = 1e-3)
  replicates <- bootstrap(fit, 20, seed = 1)
  expect_true("residual.sd.ratio Female" %in% names(replicates$t0))
  responses <- simulate(fit, 3, seed = 2)
  many <- refit(fit, responses)
  expect_equal(
    many$phi[, 2L], refit(fit, responses[[2L]])$phi, tolerance = 1e-4, ignore_attr = TRUE
  )
  expect_true("residual.sd.ratio Female" %in% rownames(many$sdcor))
})

test_that("parameters can be held or tied, sigma known", {
  d <- orthodont()
  held <- lmm(
    distance ~ age, d, correlation = corAR1(form = ~ 1 | Subject),
    control = lmm_control(hold = c(residual.rho = 0.5))
  )
  fixed <- lmm(
    distance ~ age, d, correlation = corAR1(0.5, form = ~ 1 | Subject, fixed = TRUE)
  )
  theirs <- nlme::gls(
    distance ~ age, d, correlation = nlme::corAR1(0.5, form = ~ 1 | Subject, fixed = TRUE)
  )
  expect_same_fit(held, theirs)
  expect_same_fit(fixed, theirs)
  expect_identical(unname(is.na(confint(held, "theta_")[, 1L])), c(TRUE, FALSE))
  expect_output(print(held), "(held)", fixed = TRUE)
  # R is known: the criterion is df (log(s^2) + sigma^2 / s^2) but for a constant
  limits <- confint(held, "theta_", method = "profile")
  expect_identical(unname(is.na(limits[, 1L])), c(TRUE, FALSE))
  ratio <- sigma(held)^2 / limits[2L, ]^2
  expect_equal(
    unname((nobs(held) - 2) * (ratio - 1 - log(ratio))), rep(stats::qnorm(0.975)^2, 2L),
    tolerance = 1e-4
  )
  known <- lmm(distance ~ age + (1 | Subject), d, control = lmm_control(sigma = 1.5))
  expect_identical(sigma(known), 1.5)
  expect_identical(attr(logLik(known), "df"), 3L)
  # a known sigma as a held parameter would be: the criterion over the other ones
  free <- lmm(distance ~ age + (1 | Subject), d)
  same <- lmm(distance ~ age + (1 | Subject), d, control = lmm_control(sigma = sigma(free)))
  expect_equal(same$theta, free$theta, tolerance = 1e-5)
  expect_equal(logLik(same), logLik(free), tolerance = 1e-9, ignore_attr = TRUE)
  expect_error(
    lmm(distance ~ age + (1 | Subject), d, control = lmm_control(hold = c(rho = 0.2))),
    "Its parameters are `Subject.(Intercept)`", fixed = TRUE, class = "ferrolmm_error_argument"
  )
})

test_that("leverages and deletions with a variance function", {
  d <- orthodont()
  fit <- lmm(distance ~ age * Sex + (1 | Subject), d, weights = varIdent(form = ~ 1 | Sex))
  r <- as.matrix(getME(fit, "R")) / sigma(fit)^2
  v <- r + unname(fit$theta)^2 * tcrossprod(as.matrix(getME(fit, "Z")))
  x <- getME(fit, "X")
  inverse <- solve(v)
  p <- inverse - inverse %*% x %*% solve(t(x) %*% inverse %*% x, t(x) %*% inverse)
  expect_equal(unname(hatvalues(fit)), unname(diag(diag(108) - r %*% p)))
  without <- lmm(
    distance ~ age * Sex + (1 | Subject), d[-5, ], weights = varIdent(form = ~ 1 | Sex),
    control = lmm_control(hold = c(fit$theta, fit$phi))
  )
  expect_equal(dfbeta(fit)[5, ], fixef(fit) - fixef(without), tolerance = 1e-6)
})

test_that("corCAR1() at zero is independence, and every method answers", {
  d <- as.data.frame(nlme::Orthodont)
  plain <- lmm(distance ~ age + (1 | Subject), d)
  edge <- lmm(distance ~ age + (1 | Subject), d, correlation = corCAR1(form = ~ age | Subject),
              control = lmm_control(hold = c(residual.rho = 0)))
  expect_equal(edge$criterion, plain$criterion)
  expect_equal(ranef(edge)$Subject, ranef(plain)$Subject, ignore_attr = TRUE)
  expect_equal(residuals(edge, "normalized"), residuals(plain, "scaled"))
})

test_that("parameters are held and tied beside a variance function of the fitted values", {
  s <- lme4::sleepstudy
  control <- lmm_control(hold = c(residual.power = 0.3, "Subject.Days.(Intercept)" = 0))
  fit <- lmm(Reaction ~ Days + (Days | Subject), s, weights = varPower(), control = control)
  expect_equal(fit$phi, c(residual.power = 0.3))
  expect_equal(fit$theta[["Subject.Days.(Intercept)"]], 0)
  # the same with the fitted values as a column
  s$v <- fitted(fit)
  again <- lmm(
    Reaction ~ Days + (Days | Subject), s, weights = varPower(form = ~ v), control = control
  )
  expect_equal(again$theta, fit$theta, tolerance = 1e-6)
  expect_equal(again$criterion, fit$criterion, tolerance = 1e-8)
  tied <- suppressMessages(lmm(
    Reaction ~ Days + (Days || Subject), s, weights = varPower(),
    control = lmm_control(tie = list(c("Subject.(Intercept)", "Subject.Days")))
  ))
  expect_equal(tied$theta[[1L]], tied$theta[[2L]])
  expect_length(tied$phi, 1L)
})

test_that("where the variance depends on fitted values, an end that is no start starts anew", {
  # one or two rows a group: the correlation ends at its edge
  d <- data.frame(
    g = factor(c(1, 1, 2, 3, 4, 4, 5, 6, 7, 7, 8, 8, 9, 9, 10, 11)),
    b = factor(c(1, 2, 1, 1, 1, 2, 1, 1, 1, 2, 1, 2, 1, 2, 1, 1)),
    z = c(1.273, 1.273, -0.339, 1.212, -0.952, -0.952, 0.513, -0.602, -1.808, -1.808, -2.723,
          -2.723, -0.089, -0.089, 0.405, -0.887),
    y = c(0.829, 2.108, -1.204, -1.225, 0.271, -0.902, -0.04, 2.846, 1.599, -1.307, 0.931, 3.295,
          1.793, -0.278, 0.452, 3.162)
  )
  end <- tryCatch(
    quietly(suppressWarnings(lmm(
      y ~ z + (1 | g / b), d, REML = FALSE, weights = varExp(),
      correlation = corCompSymm(form = ~ 1 | g)
    ))),
    error = identity
  )
  # a fit, or that the likelihood has no bound; not that the user's start is impossible
  expect_false(inherits(end, "ferrolmm_error_residual_start"))
})

test_that("a correlation at its end is an optimum only where the likelihood has a limit there", {
  # the residuals of the largest group sum to zero: with rho = -1 / 4 that sum has no variance
  d <- data.frame(
    g = factor(rep(1:6, c(5, 3, 3, 2, 2, 2))),
    y = c(-2.9, -0.9, 0.8, -3.5, 6.5, 0.1, 0.5, 1.1, -1.2, 1.4, -0.9, -1.1, 0.3, -0.2, -0.9, 0.3,
          0.6)
  )
  criterion <- function(rho, reml) {
    R <- rho * outer(d$g, d$g, `==`)
    diag(R) <- 1
    white <- forwardsolve(t(chol(R)), cbind(1, d$y))
    X <- white[, 1L]
    rss <- sum(stats::lm.fit(cbind(X), white[, 2L])$residuals^2)
    df <- nrow(d) - reml
    as.vector(determinant(R)$modulus) + reml * log(sum(X^2)) + df * (1 + log(2 * pi * rss / df))
  }
  fit <- expect_no_warning(lmm(y ~ 1, d, correlation = nlme::corCompSymm(form = ~ 1 | g)))
  expect_equal(fit$criterion, criterion(-0.25 + 1e-8, TRUE), tolerance = 1e-6)
  # methods come back to where the fit ended
  expect_true(all(is.finite(coef(summary(fit))[, "Std. Error"])))
  expect_no_error(predict(fit, se.fit = TRUE, re.form = NA))
  expect_lt(criterion(-0.25 + 1e-8, FALSE), criterion(-0.25 + 1e-6, FALSE) - 4)
  expect_warning(
    lmm(y ~ 1, d, correlation = nlme::corCompSymm(form = ~ 1 | g), REML = FALSE), "no bound"
  )
})
