## Crossed, nested, with slopes, weighted and by ML: n of at most 100.
small_fits <- function() {
  set.seed(11)
  crossed <- expand.grid(a = factor(1:6), b = factor(1:5), rep = 1:3)
  crossed$x <- rnorm(nrow(crossed))
  crossed$f <- factor(sample(c("u", "v", "w"), nrow(crossed), TRUE))
  crossed$y <- rnorm(6)[crossed$a] + rnorm(5)[crossed$b] + 0.3 * crossed$x + rnorm(nrow(crossed))
  crossed$w <- runif(nrow(crossed), 0.5, 2)
  nested <- expand.grid(obs = 1:3, class = factor(1:4), school = factor(1:8))
  nested$x <- rnorm(nrow(nested))
  nested$treated <- factor(ifelse(as.integer(nested$school) > 4, "yes", "no"))
  nested$y <- rnorm(8)[nested$school] + rnorm(32)[nested$school:nested$class] +
    (0.5 + rnorm(8, 0, 0.6)[nested$school]) * nested$x + rnorm(nrow(nested))
  list(
    crossed = lmm(y ~ x + f + (1 | a) + (1 | b), crossed),
    weighted = lmm(y ~ x * f + offset(x / 2) + (1 | a) + (1 | b), crossed, weights = w),
    ml = lmm(y ~ x + f + (1 | a) + (1 | b), crossed, REML = FALSE),
    nested = lmm(y ~ x + treated + (1 | school / class), nested),
    slope = lmm(y ~ x * treated + (x | school) + (1 | school:class), nested)
  )
}

test_that("Satterthwaite's degrees of freedom are those of an n x n computation", {
  for (fit in small_fits()) {
    brute <- brute_inference(fit)
    ours <- ddf_for(fit, "Satterthwaite")
    L <- rbind(diag(fit$rank), 1, c(1, -1, numeric(fit$rank - 2L)))
    expected <- apply(L, 1L, brute$satterthwaite)
    expect_equal(ours$single(L), expected, tolerance = 1e-5)
  }
})

test_that("Kenward-Roger's variances and degrees of freedom are those of an n x n computation", {
  fits <- small_fits()
  for (fit in fits[names(fits) != "ml"]) {
    brute <- brute_inference(fit)
    ours <- ddf_for(fit, "Kenward-Roger")
    expect_equal(unname(ours$variance), unname(brute$adjusted), tolerance = 1e-7)
    L <- rbind(diag(fit$rank), 1, c(1, -1, numeric(fit$rank - 2L)))
    expect_equal(ours$single(L), apply(L, 1L, brute$kenward_roger), tolerance = 1e-7)
  }
})

test_that("Kenward-Roger is right at n = 300, crossed and nested", {
  set.seed(300)
  crossed <- data.frame(a = gl(30, 10), b = factor(sample(25, 300, TRUE)), x = rnorm(300))
  crossed$y <- rnorm(30)[crossed$a] + rnorm(25)[crossed$b] + rnorm(300)
  nested <- data.frame(g = gl(10, 30), h = gl(50, 6), x = rnorm(300))
  nested$y <- rnorm(10)[nested$g] + rnorm(50)[nested$h] + rnorm(300)
  fits <- list(lmm(y ~ x + (1 | a) + (1 | b), crossed), lmm(y ~ x + (1 | g / h), nested))
  for (fit in fits) {
    brute <- brute_inference(fit)
    ours <- ddf_for(fit, "Kenward-Roger")
    expect_equal(unname(ours$variance), unname(brute$adjusted), tolerance = 1e-7)
    expect_equal(ours$single(diag(2)), apply(diag(2), 1L, brute$kenward_roger), tolerance = 1e-7)
  }
})

lmertest_twin <- function(name) {
  suppressMessages(lmerTest::as_lmerModLmerTest(lme4_twin(name)))
}

# Twins whose models lmerTest can handle at a given theta
tested_twins <- setdiff(names(twin_calls), "no_fixed")

test_that("t tests are lmerTest's", {
  skip_if_not_installed("lmerTest")
  for (name in tested_twins) {
    theirs <- coef(summary(lmertest_twin(name)))
    ours <- coef(summary(our_twin(name)))
    ours <- ours[!is.na(ours[, "Estimate"]), , drop = FALSE]
    expect_identical(dimnames(ours), dimnames(theirs), info = name)
    expect_equal(ours[, c(1, 2, 4)], theirs[, c(1, 2, 4)], tolerance = 1e-6, info = name)
    expect_equal(ours[, "df"], theirs[, "df"], tolerance = 1e-4, info = name)
    expect_equal(ours[, 5], theirs[, 5], tolerance = 1e-3, info = name)
  }
})

test_that("Kenward and Roger's t tests are pbkrtest's", {
  skip_if_not_installed("lmerTest")
  skip_if_not_installed("pbkrtest")
  # pbkrtest takes all weights as one: the n x n computation above has them
  for (name in setdiff(tested_twins, c("ml", "weighted"))) {
    theirs <- coef(summary(lmertest_twin(name), ddf = "Kenward-Roger"))
    ours <- coef(summary(our_twin(name), ddf = "Kenward-Roger"))
    ours <- ours[!is.na(ours[, "Estimate"]), , drop = FALSE]
    expect_equal(ours[, 1:4], theirs[, 1:4], tolerance = 1e-6, info = name)
  }
})

test_that("joint tests of several rows are lmerTest's", {
  skip_if_not_installed("lmerTest")
  skip_if_not_installed("pbkrtest")
  columns <- c("Sum Sq", "Mean Sq", "NumDF", "DenDF", "F value", "Pr(>F)")
  for (name in c("slope", "shared_factor", "weighted", "poly", "deficient")) {
    theirs <- lmertest_twin(name)
    ours <- our_twin(name)
    L <- diag(length(lme4::fixef(theirs)))[-1L, , drop = FALSE]
    for (ddf in c("Satterthwaite", if (name != "weighted") "Kenward-Roger")) {
      expect_equal(
        unlist(contest(ours, L, ddf = ddf)[columns]),
        unlist(lmerTest::contestMD(theirs, L, ddf = ddf)[columns]),
        tolerance = 2e-5, info = paste(name, ddf)
      )
    }
  }
})

test_that("a variance at zero does no harm", {
  set.seed(3)
  data <- data.frame(g = gl(8, 5), x = rnorm(40), y = rnorm(40))
  data$x <- data$x - ave(data$x, data$g)
  data$y <- data$x + data$y - ave(data$y, data$g)
  fit <- suppressMessages(lmm(y ~ x + (1 | g), data))
  expect_true(isSingular(fit))
  table <- coef(summary(fit))
  expect_true(all(is.finite(table)))
  linear <- coef(summary(lm(y ~ x, data)))
  expect_equal(table[, c(1, 2, 4)], linear[, 1:3], tolerance = 1e-7)
  expect_equal(unname(table[, "df"]), c(38, 38), tolerance = 1e-6)
  expect_true(all(is.finite(coef(summary(fit, ddf = "Kenward-Roger")))))
})

test_that("a boundary fit has pbkrtest's Kenward-Roger tests", {
  skip_if_not_installed("lme4")
  skip_if_not_installed("pbkrtest")
  set.seed(4)
  data <- data.frame(g = gl(8, 5), h = gl(5, 1, 40), x = rnorm(40))
  data$y <- rnorm(40) + data$x + rnorm(5)[data$h]
  data$y <- data$y - ave(data$y, data$g)
  fit <- suppressMessages(lmm(y ~ x + (1 | g) + (1 | h), data))
  expect_true(isSingular(fit))
  theirs <- suppressMessages(lme4::lmer(
    y ~ x + (1 | g) + (1 | h), data, start = unname(fit$theta),
    control = lme4::lmerControl(optimizer = NULL, calc.derivs = FALSE)
  ))
  expect_equal(
    unname(vcov(fit, adjusted = TRUE)), unname(as.matrix(pbkrtest::vcovAdj(theirs))),
    tolerance = 1e-6, ignore_attr = TRUE
  )
  expect_equal(
    ddf_for(fit, "Kenward-Roger")$single(rbind(c(0, 1))),
    pbkrtest::get_Lb_ddf(theirs, c(0, 1)), tolerance = 1e-5
  )
})

test_that("an ML fit is tested by Kenward-Roger after a refit by REML", {
  fit <- our_twin("ml")
  expect_message(
    table <- coef(summary(fit, ddf = "Kenward-Roger")), class = "ferrolmm_message_refit"
  )
  expect_equal(table, coef(summary(our_twin("slope"), ddf = "Kenward-Roger")), tolerance = 1e-6)
})

test_that("methods are known by the start of their names, in any case", {
  expect_identical(match_ddf(names(ddf_methods)), "Satterthwaite")
  expect_identical(match_ddf("kenward-roger"), "Kenward-Roger")
  expect_identical(match_ddf("Asym"), "asymptotic")
  expect_identical(match_ddf("lme4"), "none")
  expect_error(match_ddf("bayes"), class = "ferrolmm_error_argument")
  expect_error(match_ddf(NA), class = "ferrolmm_error_argument")
  expect_error(match_ddf(c("none", "asymptotic")), class = "ferrolmm_error_argument")
  expect_error(summary(our_twin("slope"), ddf = 3), "`ddf` must be one of")
})

test_that("pooled degrees of freedom are those of Fai and Cornelius", {
  expect_equal(pooled_ddf(7), 7)
  expect_equal(pooled_ddf(c(7, 7)), 7)
  e <- 10 / 8 + 20 / 18
  expect_equal(pooled_ddf(c(10, 20)), 2 * e / (e - 2))
  expect_equal(pooled_ddf(c(10, 1.5)), 2)
  expect_equal(pooled_ddf(c(Inf, Inf)), Inf)
  expect_equal(pooled_ddf(c(10, Inf)), 2 * (10 / 8 + 1) / (10 / 8 - 1))
})

test_that("Kenward and Roger's F is exact for one mean of a balanced design", {
  # A balanced one-way layout: F of three means equal, 2 and 9 degrees of freedom
  set.seed(8)
  data <- data.frame(batch = gl(12, 4), treatment = gl(3, 16))
  data$y <- rnorm(12, 0, 2)[data$batch] + rnorm(48)
  fit <- lmm(y ~ treatment + (1 | batch), data)
  means <- aggregate(y ~ batch + treatment, data, mean)
  expected <- anova(lm(y ~ treatment, means))
  for (ddf in c("Satterthwaite", "Kenward-Roger")) {
    table <- anova(fit, ddf = ddf)
    expect_equal(table$DenDF, 9, tolerance = 1e-6)
    expect_equal(table[["F value"]], expected[["F value"]][1], tolerance = 1e-7)
  }
})

test_that("negative degrees of freedom of a joint test by Kenward and Roger are told, and NA", {
  d <- data.frame(
    x1 = c(0.77, 0.58, -1.28, 0.36, 0.09, 0.27, 0.72, 0.25, -0.59),
    x2 = c(2.75, 1.96, 1.88, 0.89, 0.25, 0, 2.95, -0.93, 2.57), t = c(1, 2, 1, 3, 2, 3, 4, 4, 5),
    h = c(1, 1, 1, 1, 1, 1, 1, 2, 1),
    y = c(-1.01, -1.47, 0.34, -1.87, -3.29, -1.33, -1.25, -2.92, 0.46)
  )
  fit <- suppressMessages(lmm(y ~ x1 + x2 + (t || h), d))
  # pbkrtest::KRmodcomp() 0.5.2 has ddf -0.69 and p NaN
  expect_warning(
    found <- contest(fit, cbind(1, diag(2)), ddf = "Kenward-Roger-linear"),
    class = "ferrolmm_warning_kenward_roger"
  )
  expect_true(is.na(found[["Pr(>F)"]]))
  expect_false(is.nan(found[["Pr(>F)"]]))
})

test_that("a joint test whose covariance matrix is rounding only names that", {
  expect_error(
    wald_statistic(diag(2), c(1, 1), matrix(c(1, 1 + 1e-15, 1 + 1e-15, 1), 2L)),
    class = "ferrolmm_error_numerical"
  )
})

test_that("what Kenward and Roger's method does not determine is NA with a warning", {
  set.seed(1)
  d <- data.frame(
    f = factor(sample(3, 24, TRUE)), k = factor(sample(2, 24, TRUE)), x = rnorm(24),
    g = factor(sample(6, 24, TRUE))
  )
  d$y <- rnorm(24) + rnorm(6)[d$g]
  # the cells are fixed and random: the likelihood does not depend on their variance
  fit <- suppressWarnings(suppressMessages(lmm(y ~ f * k * x + (x | g) + (1 | f:k), d)))
  alone <- suppressMessages(lmm(y ~ f * k * x + (x | g), d))
  told <- function(expr) {
    expect_warning(value <- expr, class = "ferrolmm_warning_kenward_roger")
    value
  }
  table <- told(coef(summary(fit, ddf = "Kenward-Roger")))
  wanted <- suppressWarnings(coef(summary(alone, ddf = "Kenward-Roger")))
  slopes <- grep("x", rownames(table))
  expect_equal(table[slopes, ], wanted[slopes, ], tolerance = 1e-4)
  expect_true(all(is.na(table[-slopes, -1L])))
  expect_false(anyNA(table[, 1L]))
  limits <- told(confint(fit, "beta_", ddf = "Kenward-Roger"))
  expect_identical(unname(is.na(limits[, 1L])), unname(is.na(table[, 2L])))
  tests <- suppressWarnings(anova(fit, ddf = "Kenward-Roger"))
  expect_identical(is.na(tests[["Pr(>F)"]]), !grepl("x", rownames(tests)))
  expect_identical(tests$NumDF, c(2L, 1L, 1L, 2L, 2L, 1L, 2L))
  expect_equal(
    tests[5:7, ], suppressWarnings(anova(alone, ddf = "Kenward-Roger"))[5:7, ], tolerance = 1e-4,
    ignore_attr = TRUE
  )
  of_f <- diag(12)[2:3, ]
  expect_true(is.na(told(contest(fit, of_f, ddf = "Kenward-Roger"))[["Pr(>F)"]]))
  main <- suppressWarnings(suppressMessages(lmm(y ~ f * k + (1 | f:k), d)))
  expect_true(is.na(told(drop1(main, ddf = "Kenward-Roger"))[["Pr(>F)"]]))
  expect_error(vcov(main, adjusted = TRUE), class = "ferrolmm_error_kenward_roger")
  skip_if_not_installed("emmeans")
  grid <- told(suppressMessages(emmeans::ref_grid(main, mode = "kenward-roger")))
  means <- suppressWarnings(as.data.frame(suppressMessages(emmeans::emmeans(grid, "f"))))
  expect_true(all(is.na(means$SE)))
})

test_that("rows with a single entry take no products, and make no difference", {
  expect_identical(single_entries(diag(3)[c(2, 1), ]), c(2L, 1L))
  expect_null(single_entries(rbind(c(1, 0), c(2, 0))))
  expect_null(single_entries(rbind(c(1, 1), c(0, 0))))
  expect_null(single_entries(rbind(c(1, 1), c(0, 1))))
  set.seed(3)
  d <- data.frame(f = factor(rep(1:12, 8)), x = rnorm(96), g = factor(sample(9, 96, TRUE)))
  d$y <- rnorm(9)[d$g] + d$x + rnorm(96)
  fit <- lmm(y ~ f + x + (x | g), d)
  inference <- satterthwaite(fit)
  L <- cbind(0, diag(c(1, 2, -3, rep(1, 8))), 0)
  ## the same hypothesis and directions by what fai_cornelius() does for any L
  directions <- eigen(L %*% vcov(fit) %*% t(L))$vectors
  rotated <- t(directions) %*% L
  expected <- mean(drop(rotated %*% fixef(fit))^2 / diag(rotated %*% vcov(fit) %*% t(rotated)))
  found <- inference$joint(L, drop(L %*% fixef(fit)))
  expect_equal(found$statistic, expected)
  expect_equal(found$dendf, pooled_ddf(inference$single(rotated)), tolerance = 1e-6)
  ## type III of main effects alone needs no model matrix
  reference <- lmerTest::lmer(y ~ f + x + (x | g), d, control = lme4::lmerControl(
    optimizer = "bobyqa", check.conv.singular = "ignore"
  ))
  expect_equal(
    as.matrix(anova(fit)), as.matrix(anova(reference)), tolerance = 1e-3, ignore_attr = TRUE
  )
})

test_that("every argument `ddf` has the default of the table of methods, and every method", {
  namespace <- asNamespace("ferrolmm")
  functions <- Filter(is.function, mget(ls(namespace), namespace))
  exported <- Filter(function(f) is.character(formals(f)$ddf), functions)
  ## refit() is apart: the engine has Satterthwaite's method alone for many responses
  expect_gt(length(exported), 8L)
  expect_identical(unique(unlist(lapply(exported, function(f) formals(f)$ddf))), "Satterthwaite")
  expect_identical(names(ddf_methods)[[1L]], "Satterthwaite")
  ## "clusters" is for fits with sampling weights (test-fit-sampling.R)
  of_models <- setdiff(names(ddf_methods), "clusters")
  fit <- our_twin("slope")
  L <- diag(2)
  for (method in of_models) {
    inference <- ddf_for(fit, method)
    expect_identical(inference$method, method)
    expect_length(inference$single(L), 2L)
    joint <- inference$joint(L, drop(L %*% inference$beta))
    expect_named(joint, c("statistic", "unscaled", "numdf", "dendf"), ignore.order = TRUE)
    expect_identical(match_ddf(toupper(method)), method)
    expect_match(ddf_choices(), method, fixed = TRUE)
  }
  for (method in prediction_methods()) {
    interval <- predict(fit, interval = "confidence", ddf = method)
    expect_true(all(interval[, "upr"] > interval[, "fit"]))
  }
  for (method in of_models) {
    interval <- predict(fit, interval = "confidence", ddf = method, re.form = NA)
    expect_true(all(interval[, "upr"] > interval[, "fit"]))
  }
  expect_error(predict(fit, interval = "confidence", ddf = "KR"), "for means of the population",
               class = "ferrolmm_error_argument")
})

test_that("of one variance and covariances by lag both methods are those of V linear in them", {
  # independent: n x n matrices and numerical derivatives in the entries of G (one on each diagonal)
  for (seed in 1:3) {
    set.seed(seed)
    d <- expand.grid(k = 1:3, f = gl(4, 1), g = gl(20, 1))
    d <- d[-sample(nrow(d), 12), ]
    d$x <- rnorm(nrow(d))
    G <- 2 * stats::toeplitz(c(1, 0.6, 0.3, 0.2))
    effects <- t(chol(G)) %*% matrix(rnorm(80), 4)
    d$y <- 1 + d$x / 2 + effects[cbind(d$f, d$g)] + rnorm(nrow(d))
    together <- outer(d$g, d$g, "==")
    lag <- abs(outer(as.integer(d$f), as.integer(d$f), "-"))
    model <- list(
      homtoep = brute_model(d$y, cbind(1, d$x), function(nu) {
        matrix(nu[lag + 1L], nrow(d)) * together + nu[[5L]] * diag(nrow(d))
      }),
      homcs = brute_model(d$y, cbind(1, d$x), function(nu) {
        matrix(nu[(lag > 0L) + 1L], nrow(d)) * together + nu[[3L]] * diag(nrow(d))
      })
    )
    for (word in names(model)) {
      fit <- lmm(as.formula(paste0("y ~ x + ", word, "(0 + f | g)")), d)
      expect_false(isSingular(fit))
      G <- VarCorr(fit)$g
      nu <- c(G[if (word == "homtoep") 1:4 else 1:2, 1L], sigma(fit)^2)
      brute <- brute_structure_inference(model[[word]], unname(nu))
      expect_equal(unname(as.matrix(vcov(fit))), unname(brute$phi), tolerance = 1e-8)
      ours <- ddf_for(fit, "Kenward-Roger")
      expect_equal(unname(ours$variance), unname(brute$adjusted), tolerance = 1e-6)
      wanted <- apply(diag(2L), 1L, function(l) brute$kenward_roger(t(l))[["df"]])
      expect_equal(unname(ours$single(diag(2L))), wanted, tolerance = 1e-5)
      wanted <- apply(diag(2L), 1L, brute$satterthwaite)
      expect_equal(unname(ddf_for(fit, "Satterthwaite")$single(diag(2L))), wanted, tolerance = 1e-5)
    }
  }
})
