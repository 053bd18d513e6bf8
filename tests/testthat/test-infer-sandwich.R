expect_dense <- function(fit, cluster = NULL, info = NULL) {
  codes <- independent_clusters(fit, cluster)$codes
  p <- fit$rank
  joint <- diag(p)[seq_len(min(p, 3L)), , drop = FALSE]
  joint[1L, p] <- -1
  for (type in c("CR0", "CR2", "CR3", "Empirical-Bias-Reduced")) {
    label <- paste(info, type)
    dense <- dense_sandwich(fit, codes, type)
    expect_equal(
      vcov(fit, type = type, cluster = cluster), dense$variance, tolerance = 1e-8,
      ignore_attr = TRUE, info = label
    )
    table <- coef(summary(fit, vcov = type, cluster = cluster))
    table <- table[!is.na(table[, "Estimate"]), , drop = FALSE]
    expect_equal(
      unname(table[, "Std. Error"]), sqrt(diag(dense$variance)), tolerance = 1e-8, info = label
    )
    expect_equal(
      unname(table[, "df"]), vapply(seq_len(p), function(j) dense$ddf(diag(p)[j, ]), 0),
      tolerance = 1e-8, info = label
    )
    found <- contest(fit, joint, vcov = type, cluster = cluster)
    eta <- dense$eta(joint)
    q <- nrow(joint)
    estimate <- joint %*% fixef(fit)
    wald <- sum(estimate * solve(joint %*% dense$variance %*% t(joint), estimate))
    expect_equal(found$DenDF, eta - q + 1, tolerance = 1e-7, info = label)
    expect_equal(
      found[["F value"]], wald / q * (eta - q + 1) / eta, tolerance = 1e-7, info = label
    )
  }
}

test_that("estimates and degrees of freedom are those of dense matrices", {
  d <- trial_in_districts()
  d$same <- 2 * d$x
  gaps <- d
  gaps$x[c(3L, 9L)] <- NA
  gaps$y[17L] <- NA
  fits <- suppressMessages(list(
    intercept = lmm(y ~ arm * visit + x + (1 | id), d),
    slope = lmm(y ~ arm * visit + x + (visit || id), d, weights = w, REML = FALSE),
    nested = lmm(y ~ visit + x + (1 | district / id), d),
    raters = lmm(y ~ arm * visit + x + (1 | id) + (1 | rater), d),
    aliased = lmm(y ~ arm * visit + x + same + (1 | id), d),
    missing = lmm(y ~ arm * visit + x + (1 | id), gaps, weights = w, na.action = na.exclude),
    structured = lmm(y ~ arm * visit + x + cs(visit | id), d),
    by_arm = lmm(y ~ arm * visit + x + us(visit | id, by = arm), d)
  ))
  for (name in names(fits)) expect_dense(fits[[name]], info = name)
  # wider than the default
  expect_dense(fits$intercept, ~ district, info = "district")
  expect_dense(fits$raters, "district", info = "raters by district")
  # few clusters
  third <- as.integer(d$id) %% 3L
  expect_equal(
    vcov(fits$intercept, type = "CR2", cluster = third),
    dense_sandwich(fits$intercept, third, "CR2")$variance, tolerance = 1e-7, ignore_attr = TRUE
  )
})

test_that("residual structures are in them", {
  d <- trial_in_districts()
  fits <- suppressMessages(list(
    ar1 = lmm(y ~ arm * visit + x, d, residual = ~ ar1(visit | id)),
    us = lmm(y ~ arm * v, d, residual = ~ us(v | id)),
    both = lmm(y ~ arm + x + (1 | district), d, residual = ~ ar1h(v | id), weights = w),
    ident = lmm(y ~ arm * visit + x + (1 | id), d, weights = nlme::varIdent(form = ~ 1 | visit)),
    power = lmm(y ~ arm * visit + x + (1 | id), d, weights = nlme::varPower(form = ~ visit)),
    independent = lmm(y ~ arm * visit + x, d, weights = nlme::varPower(form = ~ visit))
  ))
  for (name in names(fits)) expect_dense(fits[[name]], info = name)
})

test_that("a variance of zero, and known matrices of families, are no exception", {
  d <- trial_in_districts()
  set.seed(3)
  d$flat <- rnorm(nrow(d)) - ave(d$y, d$id) * 0 + rep_len(c(-1, 1), nrow(d))
  flat <- suppressMessages(lmm(flat ~ arm * visit + (1 | id), d))
  expect_true(isSingular(flat))
  expect_dense(flat, info = "zero")
  K <- 0.5 * (outer(0:23 %/% 4, 0:23 %/% 4, "==") + diag(24))
  dimnames(K) <- rep(list(levels(d$id)), 2L)
  for (fit in list(
    lmm(y ~ arm * visit + x + us(1 | id, cov = K), d),
    suppressMessages(lmm(y ~ arm * visit + us(visit | id, cov = K), d, weights = w))
  )) {
    expect_identical(independent_clusters(fit)$count, 6L)
    expect_dense(fit, info = "known")
    expect_equal(
      vcov(fit, type = "CR2"), vcov(fit, type = "CR2", cluster = ~ family), tolerance = 1e-12
    )
    expect_error(
      vcov(fit, type = "CR2", cluster = ~ id), "known covariance matrix",
      class = "ferrolmm_error_argument"
    )
  }
})

test_that("variances twelve orders of magnitude apart keep their digits", {
  set.seed(2)
  d <- data.frame(id = factor(c(rep(1:20, each = 5L), 21:30)), x = rnorm(110))
  d$y <- 1e6 * rnorm(30)[d$id] + rnorm(110)
  fit <- lmm(y ~ x + (1 | id), d)
  # V_j^-1 of a random intercept in closed form, without large numbers that cancel
  ratio <- fit$theta^2
  r <- drop(d$y - cbind(1, d$x) %*% fixef(fit))
  parts <- lapply(split(seq_len(110), d$id), function(i) {
    x <- cbind(1, d$x[i])
    mean <- colMeans(x)
    inner <- sweep(x, 2L, mean)
    weight <- length(i) / (1 + length(i) * ratio)
    list(
      score = crossprod(inner, r[i] - mean(r[i])) + weight * mean * mean(r[i]),
      information = crossprod(inner) + weight * tcrossprod(mean)
    )
  })
  information <- Reduce(`+`, lapply(parts, `[[`, "information"))
  scores <- vapply(parts, `[[`, numeric(2), "score")
  wanted <- tcrossprod(solve(information, scores, tol = 1e-30))
  expect_equal(vcov(fit, type = "CR0"), wanted, tolerance = 1e-9, ignore_attr = TRUE)
})

test_that("large clusters are replaced by few rows, of each residual variance", {
  set.seed(11)
  n <- 640L
  d <- data.frame(g = factor(rep(1:5, c(300L, 200L, 100L, 39L, 1L))), x = rnorm(n), t = rnorm(n),
                  half = rep_len(c("a", "b"), n))
  d$y <- d$x + rnorm(5)[d$g] * (1 + d$t) + rnorm(n) * ifelse(d$half == "a", 1, 2)
  expect_dense(suppressMessages(lmm(y ~ x + t + (t | g), d)), info = "one variance")
  expect_dense(
    suppressMessages(lmm(y ~ x + t + (1 | g), d, weights = nlme::varIdent(form = ~ 1 | half))),
    info = "two variances"
  )
})

test_that("types are those of 'clubSandwich'", {
  skip_if_not_installed("clubSandwich")
  d <- trial_in_districts()
  for (fit in suppressMessages(list(
    lmm(y ~ arm * visit + x + (visit | id), d, weights = w),
    lmm(y ~ arm * v, d, residual = ~ cs(v | id), REML = FALSE)
  ))) {
    L <- diag(fit$rank)[2:4, ]
    for (type in c("CR0", "CR1", "CR1p", "CR1S", "CR2", "CR3")) {
      theirs <- clubSandwich::vcovCR(fit, type = type)
      expect_equal(
        vcov(fit, type = type), as.matrix(theirs), tolerance = 1e-8, ignore_attr = TRUE, info = type
      )
      table <- coef(summary(fit, vcov = type))
      expect_equal(
        unname(table[, "df"]), clubSandwich::coef_test(fit, theirs)$df_Satt, tolerance = 1e-8,
        info = type
      )
      expect_equal(
        unlist(contest(fit, L, vcov = type)[c("F value", "DenDF")]),
        unlist(clubSandwich::Wald_test(fit, L, theirs)[c("Fstat", "df_denom")]),
        tolerance = 1e-8, ignore_attr = TRUE, info = type
      )
    }
  }
})

test_that("models of 'lme4' and 'nlme' at the same parameters have the same", {
  skip_if_not_installed("clubSandwich")
  skip_if_not_installed("lme4")
  d <- trial_in_districts()
  fit <- lmm(y ~ arm * visit + x + (1 | district) + (1 | id), d)
  theirs <- suppressMessages(lme4::lmer(y ~ arm * visit + x + (1 | district) + (1 | id), d))
  for (type in c("CR0", "CR1", "CR2", "CR3")) {
    robust <- clubSandwich::vcovCR(theirs, type = type)
    expect_equal(
      vcov(fit, type = type, cluster = ~ district), as.matrix(robust), tolerance = 1e-3,
      ignore_attr = TRUE, info = type
    )
    expect_equal(
      unname(coef(summary(fit, vcov = type, cluster = ~ district))[, "df"]),
      clubSandwich::coef_test(theirs, robust)$df_Satt, tolerance = 1e-3, info = type
    )
  }
  ar1 <- lmm(y ~ arm * visit + x, d, residual = ~ ar1(visit | id))
  gls <- nlme::gls(y ~ arm * visit + x, d, correlation = nlme::corAR1(form = ~ visit | id))
  robust <- clubSandwich::vcovCR(gls, type = "CR2")
  expect_equal(vcov(ar1, type = "CR2"), as.matrix(robust), tolerance = 1e-4, ignore_attr = TRUE)
  expect_equal(
    unname(coef(summary(ar1, vcov = "CR2"))[, "df"]),
    clubSandwich::coef_test(gls, robust)$df_Satt, tolerance = 1e-4
  )
})

test_that("Orthodont has the numbers of 'clubSandwich'", {
  # clubSandwich 0.5.8, of nlme::lme(distance ~ age * Sex, random = ~ age | Subject)
  fit <- lmm(distance ~ age * Sex + (age | Subject), as.data.frame(nlme::Orthodont))
  expect_equal(
    unname(sqrt(diag(vcov(fit, type = "CR0")))), c(1.171481, 0.098348, 1.377785, 0.116867),
    tolerance = 1e-6
  )
  expect_equal(
    unname(round(coef(summary(fit, vcov = "CR2"))[, "df"], 1L)), c(15, 15, 21.7, 21.7)
  )
})

test_that("every test takes the same matrix", {
  fit <- lmm(distance ~ age * Sex + (age | Subject), as.data.frame(nlme::Orthodont))
  v <- vcov(fit, type = "CR2")
  table <- coef(summary(fit, vcov = "CR2"))
  expect_equal(vcov(summary(fit, vcov = "CR2")), v)
  half <- qt(0.975, table[, "df"]) * table[, "Std. Error"]
  expect_equal(
    unname(confint(fit, "beta_", vcov = "CR2")), unname(cbind(-half, half) + table[, "Estimate"])
  )
  rows <- contest(fit, diag(4), joint = FALSE, vcov = "CR2")
  expect_equal(rows$df, unname(table[, "df"]))
  expect_equal(rows[["Std. Error"]], unname(table[, "Std. Error"]))
  anova <- anova(fit, vcov = "CR2")
  expect_equal(anova["age:Sex", "F value"], table[4L, "t value"]^2)
  expect_equal(anova["age:Sex", "DenDF"], table[[4L, "df"]])
  expect_equal(
    anova(fit, Terms = "age:Sex", vcov = "CR2")[["F value"]], anova["age:Sex", "F value"]
  )
  expect_equal(drop1(fit, vcov = "CR2")[["F value"]], anova["age:Sex", "F value"])
  # a joint test does not depend on how it is written
  L <- rbind(c(0, 1, 0, 0), c(0, 0, 1, 2))
  expect_equal(
    contest(fit, L, vcov = "CR2"), contest(fit, rbind(L[1L, ] + 3 * L[2L, ], L[2L, ]), vcov = "CR2")
  )
  expect_equal(
    contest(fit, L, vcov = "CR2"), contest(fit, rbind(L, L[1L, ] - L[2L, ]), vcov = "CR2")
  )
  # normal approximation, and none
  z <- coef(summary(fit, vcov = "CR2", ddf = "asymptotic"))
  expect_identical(colnames(z)[3:4], c("z value", "Pr(>|z|)"))
  expect_equal(z[, "Std. Error"], table[, "Std. Error"])
  expect_identical(ncol(coef(summary(fit, vcov = "CR2", ddf = "none"))), 3L)
  estimate <- L %*% fixef(fit)
  expect_equal(
    contest(fit, L, vcov = "CR2", ddf = "asymptotic")[["F value"]],
    sum(estimate * solve(L %*% v %*% t(L), estimate)) / 2
  )
  # a matrix, and a function
  for (given in list(v, function(x) vcov(x, type = "CR2"))) {
    expect_equal(coef(summary(fit, vcov = given, ddf = "asymptotic")), z)
  }
  expect_snapshot({
    print(anova(fit, vcov = "CR2", cluster = ~ Subject))
    cat(utils::head(utils::capture.output(print(summary(fit, vcov = "CR3"))), 3L), sep = "\n")
    cat(utils::head(utils::capture.output(
      print(summary(fit, vcov = v, ddf = "none"))
    ), 2L), sep = "\n")
  })
})

test_that("other names are understood, and other packages take types", {
  fit <- lmm(distance ~ age * Sex + (age | Subject), as.data.frame(nlme::Orthodont))
  expect_identical(vcov(fit, type = "empirical"), vcov(fit, type = "CR0"))
  expect_identical(vcov(fit, type = "Empirical-Jackknife"), vcov(fit, type = "CR3"))
  expect_equal(
    vcov(fit, type = "CR1", complete = TRUE, correlation = TRUE),
    structure(vcov(fit, type = "CR0") * 27 / 26,
              correlation = stats::cov2cor(vcov(fit, type = "CR0")))
  )
  skip_if_not_installed("emmeans")
  grid <- summary(emmeans::emmeans(
    fit, ~ Sex, vcov. = "CR2", cluster = ~ Subject, at = list(age = 8)
  ))
  L <- rbind(c(1, 8, 0, 0), c(1, 8, 1, 8))
  rows <- contest(fit, L, joint = FALSE, vcov = "CR2")
  expect_equal(grid$SE, rows[["Std. Error"]])
  expect_equal(grid$df, rows$df)
  expect_match(attr(grid, "mesg"), "CR2 covariance matrix of 27 clusters", all = FALSE)
  slopes <- summary(emmeans::emtrends(fit, "Sex", var = "age", vcov. = "CR3"))
  expect_equal(
    slopes$df, contest(fit, rbind(c(0, 1, 0, 0), c(0, 1, 0, 1)), joint = FALSE, vcov = "CR3")$df
  )
  skip_if_not_installed("lmtest")
  expect_equal(
    unclass(lmtest::coeftest(fit, vcov. = "CR2"))[, 1:5], coef(summary(fit, vcov = "CR2")),
    ignore_attr = TRUE
  )
})

test_that("what a cluster alone determines has no variance", {
  d <- as.data.frame(nlme::Orthodont)
  d$kind <- factor(ifelse(d$Subject == "M01", "one", as.character(d$Sex)))
  fit <- lmm(distance ~ kind + age + (1 | Subject), d)
  expect_error(vcov(fit, type = "CR2"), "`M01`", class = "ferrolmm_error_cluster")
  expect_warning(s <- summary(fit, vcov = "CR2"), class = "ferrolmm_warning_cluster")
  expect_identical(unname(is.na(coef(s)[, "Std. Error"])), c(FALSE, FALSE, TRUE, FALSE))
  expect_identical(unname(is.na(diag(vcov(s)))), c(FALSE, FALSE, TRUE, FALSE))
  # the others are those of the generalised inverse
  dense <- dense_sandwich(fit, d$Subject, "CR2")
  expect_equal(
    unname(coef(s)[-3L, "Std. Error"]), sqrt(diag(dense$variance))[-3L], tolerance = 1e-8
  )
  expect_equal(
    unname(coef(s)[-3L, "df"]), vapply(c(1L, 2L, 4L), function(j) dense$ddf(diag(4)[j, ]), 0),
    tolerance = 1e-8
  )
  for (ddf in c("asymptotic", "none")) {
    expect_warning(s <- summary(fit, vcov = "CR3", ddf = ddf), class = "ferrolmm_warning_cluster")
    expect_identical(unname(is.na(coef(s)[, "Std. Error"])), c(FALSE, FALSE, TRUE, FALSE))
  }
  expect_warning(a <- anova(fit, vcov = "CR2"), class = "ferrolmm_warning_cluster")
  expect_identical(is.na(a[["F value"]]), c(TRUE, FALSE))
  if (requireNamespace("emmeans", quietly = TRUE)) {
    expect_warning(
      g <- emmeans::emmeans(fit, ~ kind, vcov. = "CR2"), "4 tests",
      class = "ferrolmm_warning_cluster"
    )
    expect_true(all(is.na(suppressWarnings(as.data.frame(g))$SE)))
  }
  # more rows than clusters tell
  few <- lmm(distance ~ factor(age) + (1 | Subject), d[d$Subject %in% c("M01", "M02", "M03"), ])
  expect_warning(
    a <- anova(few, vcov = "CR0"), "too few clusters", class = "ferrolmm_warning_cluster"
  )
  expect_true(is.na(a[["F value"]]))
  expect_warning(anova(few, vcov = "CR0", ddf = "asymptotic"), "too few clusters")
})

test_that("what has no meaning is refused", {
  fit <- lmm(distance ~ age * Sex + (age | Subject), as.data.frame(nlme::Orthodont))
  argument <- "ferrolmm_error_argument"
  expect_error(vcov(fit, type = "CR9"), "CR1S.*EMPIRICAL", class = argument)
  expect_error(vcov(fit, type = 2), "`type`", class = argument)
  expect_error(vcov(fit, type = c("CR0", "CR2")), "`type`", class = argument)
  expect_error(vcov(fit, type = "CR2", adjusted = TRUE), "`adjusted`", class = argument)
  expect_error(vcov(fit, type = "CR2", full = TRUE), "`full`", class = argument)
  expect_error(vcov(fit, cluster = ~ Subject), "`type`", class = argument)
  expect_error(summary(fit, cluster = ~ Subject), "`vcov`|vcov = ", class = argument)
  expect_error(summary(fit, vcov = "CR2", ddf = "KR"), "`Satterthwaite`", class = argument)
  expect_error(summary(fit, vcov = vcov(fit)), "`asymptotic`, `none`", class = argument)
  expect_error(
    summary(fit, vcov = diag(3), ddf = "asymptotic"), "4 fixed effects", class = argument
  )
  for (wrong in list(diag(c(1, 1, -1, 1)), matrix(1:16, 4L), diag(4) / 0)) {
    expect_error(summary(fit, vcov = wrong, ddf = "none"), "no covariance matrix", class = argument)
  }
  expect_error(
    summary(fit, vcov = vcov(fit), cluster = ~ Subject, ddf = "none"), "`cluster`", class = argument
  )
  expect_error(anova(fit, fit, vcov = "CR2"), "tests of one model", class = argument)
  expect_error(anova(fit, ddf = "lme4", vcov = "CR2"), "lme4", class = argument)
  expect_error(drop1(fit, test = "Chisq", vcov = "CR2"), "F tests", class = argument)
  expect_error(confint(fit, method = "profile", vcov = "CR2"), "Wald", class = argument)
  expect_error(
    vcov(fit, type = "CR0", cluster = rep("a", 108)), "1 cluster", class = "ferrolmm_error_cluster"
  )
  expect_error(
    vcov(fit, type = "CR1p", cluster = ~ Sex), "2 clusters for 4", class = "ferrolmm_error_cluster"
  )
  moments <- lmm(
    distance ~ Sex + (1 | Subject),
    lmm_moments(distance ~ Sex + (1 | Subject), as.data.frame(nlme::Orthodont))
  )
  expect_error(vcov(moments, type = "CR0"), class = "ferrolmm_error_needs_rows")
  expect_error(summary(moments, vcov = "CR2"), class = "ferrolmm_error_needs_rows")
  d <- data.frame(g = factor(rep(1:2, c(3100L, 40L))), x = sin(1:3140))
  d$y <- cos(3 * (1:3140)) + (d$g == 2) + 2 * sin(7 * (1:3140)^2)
  d$v <- 1 + (1:3140) / 3140
  long <- suppressMessages(lmm(y ~ x + (1 | g), d, weights = nlme::varPower(form = ~ v)))
  expect_error(vcov(long, type = "CR2"), "3100", class = "ferrolmm_error_large_cluster")
  expect_true(all(is.finite(vcov(long, type = "CR3"))))
})

test_that("without fixed effects there is nothing to estimate", {
  fit <- our_twin("no_fixed")
  expect_identical(dim(vcov(fit, type = "CR2")), c(0L, 0L))
  expect_identical(nrow(coef(summary(fit, vcov = "CR2"))), 0L)
})

test_that("a formula without variables names no clusters", {
  fit <- our_twin("slope")
  expect_error(vcov(fit, type = "CR2", cluster = ~ 1), "one grouping",
               class = "ferrolmm_error_argument")
})

test_that("a matrix with names is taken by them", {
  fit <- lmm(distance ~ age * Sex + (1 | Subject), nlme::Orthodont)
  v <- vcov(fit, type = "CR2")
  expected <- coef(summary(fit, vcov = v, ddf = "asymptotic"))
  expect_identical(coef(summary(fit, vcov = v[4:1, 4:1], ddf = "asymptotic")), expected)
  expect_identical(coef(summary(fit, vcov = unname(v), ddf = "asymptotic")), expected)
  other <- v
  dimnames(other) <- list(letters[1:4], letters[1:4])
  expect_error(summary(fit, vcov = other, ddf = "asymptotic"), "names",
               class = "ferrolmm_error_argument")
  expect_error(summary(fit, vcov = function() 1, ddf = "asymptotic"), "fails",
               class = "ferrolmm_error_argument")
  # that of an aliased model, padded
  fit <- our_twin("deficient")
  expect_identical(
    coef(summary(fit, vcov = vcov(fit, complete = TRUE), ddf = "asymptotic")),
    coef(summary(fit, vcov = vcov(fit), ddf = "asymptotic"))
  )
})
