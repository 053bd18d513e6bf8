cases <- c("slope", "ml", "double_bar", "crossed", "shared_factor", "factor_slope", "weighted",
           "offset", "deficient", "poly", "missing")

# lme4's fit at our estimates, with Satterthwaite's tests
tested_twin <- function(name) {
  suppressWarnings(suppressMessages(lmerTest::as_lmerModLmerTest(lme4_twin(name))))
}

# lme4 makes syntactic names of groups where two terms share one
named_as_ours <- function(table) {
  table$group <- sub("recipe.replicate", "recipe:replicate", table$group, fixed = TRUE)
  as.data.frame(table)
}

# correlations come after all standard deviations in lme4 2
by_term <- function(table) {
  table <- as.data.frame(table)
  table <- table[order(table$effect, table$group, table$term), ]
  row.names(table) <- NULL
  table
}

test_that("tidy() has the rows, columns and numbers of 'broom.mixed'", {
  skip_if_not_installed("broom.mixed")
  skip_if_not_installed("lmerTest")
  for (name in cases) {
    ours <- our_twin(name)
    theirs <- tested_twin(name)
    # standard errors of ran_pars are ours alone
    expect_equal(
      by_term(tidy(ours)),
      transform(
        by_term(named_as_ours(broom.mixed::tidy(theirs))), std.error = by_term(tidy(ours))$std.error
      ),
      tolerance = 1e-4, info = name
    )
    expect_equal(
      as.data.frame(tidy(ours, "fixed", conf.int = TRUE, conf.level = 0.9)),
      as.data.frame(broom.mixed::tidy(theirs, "fixed", conf.int = TRUE, conf.level = 0.9)),
      tolerance = 1e-4, info = name
    )
    expect_equal(
      as.data.frame(tidy(ours, "ran_vals", conf.int = TRUE)),
      as.data.frame(broom.mixed::tidy(theirs, "ran_vals", conf.int = TRUE)),
      tolerance = 1e-6, info = name
    )
    expect_equal(
      as.data.frame(tidy(ours, "ran_coefs")),
      as.data.frame(broom.mixed::tidy(theirs, "ran_coefs")), tolerance = 1e-6, info = name
    )
    expect_equal(
      by_term(tidy(ours, "ran_pars", scales = "vcov"))[-5L],
      by_term(named_as_ours(broom.mixed::tidy(theirs, "ran_pars", scales = "vcov"))),
      tolerance = 1e-6,
      info = name
    )
  }
})

test_that("glance() and augment() have the columns and numbers of 'broom.mixed'", {
  skip_if_not_installed("broom.mixed")
  for (name in cases) {
    ours <- our_twin(name)
    theirs <- lme4_twin(name)
    expect_equal(
      as.data.frame(glance(ours)), as.data.frame(broom.mixed::glance(theirs)), tolerance = 1e-6,
      info = name
    )
    # Cook's distance of 'lme4' is that of a model with known random effects: see test-method-
    # influence.R, where ours is compared with deleting each row
    expect_equal(
      as.data.frame(augment(ours))[c(".fitted", ".resid", ".hat", ".fixed", ".mu", ".offset",
                                     ".sqrtXwt", ".sqrtrwt", ".weights", ".wtres")],
      data.frame(
        .fitted = theirs@resp$mu, .resid = theirs@resp$y - theirs@resp$mu,
        .hat = as.vector(stats::na.omit(hatvalues(theirs))),
        .fixed = as.vector(stats::na.omit(predict(theirs, re.form = NA))), .mu = theirs@resp$mu,
        .offset = theirs@resp$offset, .sqrtXwt = as.vector(theirs@resp$sqrtXwt),
        .sqrtrwt = theirs@resp$sqrtrwt, .weights = theirs@resp$weights, .wtres = theirs@resp$wtres
      ),
      tolerance = 1e-6, info = name
    )
  }
  whole <- broom.mixed::augment(lme4_twin("slope"))
  expect_identical(lengths(augment(our_twin("slope"))), lengths(whole))
})

test_that("augment() takes the data of the fit and new data", {
  gaps <- twin_data()$gaps
  fit <- our_twin("missing")
  used <- augment(fit)
  whole <- augment(fit, gaps)
  expect_identical(nrow(whole), nrow(gaps))
  expect_identical(which(is.na(whole$.fitted)), c(3L, 50L, 120L))
  expect_equal(whole$.resid[-c(3, 50, 120)], used$.resid)
  omitted <- augment(lmm(Reaction ~ Days + (Days | Subject), gaps), gaps)
  expect_equal(omitted$.fitted, used$.fitted)
  expect_identical(omitted$.rownames, used$.rownames)
  expect_error(augment(fit, gaps[1:100, ]), "100 rows", class = "ferrolmm_error_data")
  expect_error(augment(fit, re.form = NA), "newdata", class = "ferrolmm_error_argument")

  new <- data.frame(Days = 3:4, Subject = c("308", "new"))
  table <- augment(fit, newdata = new, allow.new.levels = TRUE, se.fit = TRUE,
                   interval = "confidence")
  expected <- predict(fit, new, allow.new.levels = TRUE, se.fit = TRUE, interval = "confidence")
  expect_equal(table$.fitted, unname(expected$fit[, "fit"]))
  expect_equal(table$.upper, unname(expected$fit[, "upr"]))
  expect_equal(table$.se.fit, unname(expected$se.fit))
  expect_equal(table$.fixed, unname(predict(fit, new, re.form = NA)))
  expect_s3_class(table, "tbl_df")
  expect_equal(augment(fit, newdata = new[1L, ])$.fitted, unname(predict(fit, new[1L, ])))
})

test_that("intervals of ran_pars are those of confint(), cell by cell", {
  fit <- our_twin("slope")
  for (method in c("Wald", "profile")) {
    table <- tidy(fit, conf.int = TRUE, conf.method = method)
    limits <- confint(fit, method = method, oldNames = FALSE)
    # fixed effects come first here, and last there
    expect_equal(
      cbind(table$conf.low, table$conf.high), unname(limits[c(5:6, 1:4), ]), tolerance = 1e-8
    )
  }
  profiled <- profile(fit)
  expect_equal(
    tidy(fit, conf.int = TRUE, conf.method = "profile", profile = profiled)$conf.low,
    unname(confint(profiled)[c(5:6, 1:4), 1L])
  )
  expect_error(
    tidy(fit, conf.int = TRUE, conf.method = "profile", profile = profile(our_twin("crossed"))),
    "of this fit", class = "ferrolmm_error_argument"
  )
  boot <- tidy(fit, conf.int = TRUE, conf.method = "boot", nsim = 20, seed = 1)
  expect_equal(
    boot$conf.high, unname(confint(fit, method = "boot", nsim = 20, seed = 1)[c(5:6, 1:4), 2L])
  )
  # limits of a variance are the squares of those of the standard deviation
  sd <- tidy(fit, "ran_pars", conf.int = TRUE)
  variance <- tidy(fit, "ran_pars", scales = "vcov", conf.int = TRUE)
  single <- c(1L, 3L, 4L)
  expect_equal(variance$conf.low[single], sd$conf.low[single]^2)
  expect_equal(variance$std.error[single], 2 * sd$estimate[single] * sd$std.error[single])
  covariance <- variance[2L, ]
  expect_equal(
    c(covariance$conf.low, covariance$conf.high),
    covariance$estimate + c(-1, 1) * qnorm(0.975) * covariance$std.error
  )
})

test_that("a correlation that follows from others has no profile of its own", {
  d <- nlme::Orthodont
  d$visit <- factor(d$age)
  fit <- lmm(distance ~ age + ar1(0 + visit | Subject), d)
  table <- tidy(fit, "ran_pars", conf.int = TRUE, conf.method = "profile")
  limits <- confint(fit, method = "profile", oldNames = FALSE)
  first <- match("cor__visit8.visit10", table$term)
  expect_equal(table$conf.low[[first]], limits["rho|Subject", 1L])
  expect_true(is.na(table$conf.low[[match("cor__visit8.visit12", table$term)]]))
})

test_that("intervals of fixed plus random effects are those of predictions", {
  fit <- our_twin("slope")
  table <- tidy(fit, "ran_coefs", conf.int = TRUE)
  new <- data.frame(Days = 0, Subject = levels(fit$flist$Subject))
  expected <- predict(fit, new, se.fit = TRUE)
  at <- table$term == "(Intercept)"
  expect_equal(table$estimate[at], unname(expected$fit))
  expect_equal(table$std.error[at], unname(expected$se.fit))
  # the slope: one more day, by the joint covariance matrix of all effects
  joint <- vcov(fit, full = TRUE)
  slope <- which(table$term == "Days")[[5L]]
  own <- c("Days", paste0("Subject.", table$level[[slope]], ".Days"))
  expect_equal(table$std.error[[slope]], sqrt(sum(joint[own, own])))
  expect_equal(table$conf.high[[slope]],
               table$estimate[[slope]] + qnorm(0.975) * table$std.error[[slope]])

  # two terms of one factor, beside effects that are random only and a dropped coefficient
  fit <- our_twin("shared_factor")
  table <- tidy(fit, "ran_coefs", conf.int = TRUE)
  joint <- vcov(fit, full = TRUE)
  row <- which(table$group == "recipe:replicate" & table$term == "temp")[[3L]]
  own <- paste0("recipe:replicate.", table$level[[row]], ".temp")
  expect_equal(table$std.error[[row]], sqrt(joint[own, own]))
})

test_that("parameters of a residual structure are rows of tidy()", {
  d <- nlme::Orthodont
  d$visit <- factor(d$age)
  fit <- lmm(distance ~ age * Sex, d, residual = ~ us(visit | Subject))
  table <- tidy(fit, "ran_pars", conf.int = TRUE)
  limits <- confint(fit, "theta_")
  expect_identical(unique(table$group), "Residual")
  expect_identical(table$term[1:2], c("sd__Observation", "cor(2,1)"))
  expect_equal(table$estimate, unname(c(sigma(fit), fit$phi)))
  expect_equal(table$conf.low, unname(limits[c(".sigma", names(fit$phi)), 1L]))
  expect_identical(nrow(tidy(fit, c("ran_vals", "ran_coefs"))), 0L)
  expect_equal(
    as.matrix(tidy(fit, "fixed")[c("estimate", "std.error", "df", "statistic", "p.value")]),
    coef(summary(fit)), ignore_attr = TRUE
  )
  # leverages are not defined where residuals are correlated
  expect_false(".hat" %in% names(augment(fit)))
  uneven <- lmm(distance ~ age + (1 | Subject), d, weights = nlme::varIdent(form = ~ 1 | Sex))
  table <- augment(uneven)
  expect_equal(table$.wtres, unname(residuals(uneven, "pearson")))
  expect_true(".hat" %in% names(table))
  expect_equal(tail(tidy(uneven)$estimate, 1L), unname(uneven$phi))
})

test_that("the spellings of the arguments of 'broom.mixed' mean what they mean there", {
  fit <- our_twin("slope")
  z <- tidy(fit, "fixed", ddf.method = "asymptotic")
  expect_false("df" %in% names(z))
  expect_equal(z$p.value, 2 * pnorm(-abs(z$statistic)))
  expect_false("p.value" %in% names(tidy(fit, "fixed", ddf = "none")))
  kr <- tidy(fit, "fixed", ddf = "Kenward-Roger", conf.int = TRUE)
  expect_equal(kr$std.error, sqrt(unname(diag(vcov(fit, adjusted = TRUE)))))
  expect_equal(kr$conf.low, kr$estimate - qt(0.975, kr$df) * kr$std.error)
  odds <- tidy(fit, "fixed", exponentiate = TRUE, conf.int = TRUE)
  plain <- tidy(fit, "fixed", conf.int = TRUE)
  expect_equal(odds$conf.high, exp(plain$conf.high))
  expect_equal(odds$std.error, plain$std.error * exp(plain$estimate))
  expect_identical(tidy(fit, "ran_pars", ran_prefix = NA)$term[[2L]], "(Intercept).Days")
  expect_identical(tidy(fit, "ran_pars", ran_prefix = c("s", "r"))$term[[2L]],
                   "r__(Intercept).Days")
  expect_error(tidy(fit, "ran_modes"), "ran_vals", class = "ferrolmm_error_argument")
  expect_error(tidy(fit, scales = "vcov"), "each of `effects`", class = "ferrolmm_error_argument")
  expect_error(
    tidy(fit, "ran_vals", conf.int = TRUE, conf.method = "profile"), "no parameters",
    class = "ferrolmm_error_argument"
  )
})

test_that("tables are tibbles, and need no package", {
  output <- run_fresh(
    "library(ferrolmm)",
    "m <- lmm(distance ~ age + (age | Subject), nlme::Orthodont)",
    "print(tidy(m)); print(glance(m)); print(head(augment(m)))",
    "stopifnot(!any(c('tibble', 'broom', 'lme4') %in% loadedNamespaces()), nrow(tidy(m)) == 6)",
    "cat('done\\n')"
  )
  expect_match(output, "done", all = FALSE)
  skip_if_not_installed("tibble")
  expect_true(tibble::is_tibble(tidy(our_twin("slope"))))
})
