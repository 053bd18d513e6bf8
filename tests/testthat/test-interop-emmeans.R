test_that("estimated marginal means are those of the same model by lme4", {
  skip_if_not_installed("emmeans")
  skip_if_not_installed("lmerTest")
  skip_if_not_installed("pbkrtest")
  ours <- our_twin("shared_factor")
  theirs <- suppressMessages(lmerTest::as_lmerModLmerTest(lme4_twin("shared_factor")))
  for (mode in c("satterthwaite", "kenward-roger", "asymptotic")) {
    means <- as.data.frame(suppressMessages(emmeans::emmeans(ours, "recipe", mode = mode)))
    reference <- as.data.frame(suppressMessages(
      emmeans::emmeans(theirs, "recipe", mode = mode, data = twin_data()$cake)
    ))
    expect_equal(means, reference, tolerance = 1e-4, ignore_attr = TRUE, info = mode)
  }
})

test_that("aliased coefficients: means that cannot be estimated are not", {
  skip_if_not_installed("emmeans")
  data <- twin_data()$cake
  data <- data[!(data$recipe == "B" & data$temperature == "205"), ]
  fit <- suppressMessages(lmm(angle ~ recipe * temperature + (1 | replicate), data))
  means <- as.data.frame(suppressMessages(emmeans::emmeans(fit, c("recipe", "temperature"))))
  empty <- means$recipe == "B" & means$temperature == "205"
  expect_true(is.na(means$emmean[empty]))
  expect_true(all(is.finite(means$df[!empty])))
  linear <- lm(angle ~ recipe * temperature, data)
  cells <- as.data.frame(suppressMessages(emmeans::emmeans(linear, c("recipe", "temperature"))))
  expect_equal(means$emmean, cells$emmean, tolerance = 1e-6)
})

test_that("transformations, trends, weights and another covariance matrix are understood", {
  skip_if_not_installed("emmeans")
  data <- twin_data()$sleepstudy
  fit <- lmm(log(Reaction) ~ poly(Days, 2) * late + (1 | Subject), data, weights = w)
  shown <- suppressMessages(as.data.frame(emmeans::emmeans(fit, "late", type = "response")))
  expect_true(all(shown$response > 100))
  slopes <- emmeans::emtrends(our_twin("slope"), ~1, var = "Days")
  expect_equal(as.data.frame(slopes)$Days.trend, fixef(our_twin("slope"))[["Days"]])
  means <- suppressMessages(as.data.frame(emmeans::emmeans(fit, "late")))
  wide <- suppressMessages(as.data.frame(emmeans::emmeans(fit, "late", vcov. = 4 * vcov(fit))))
  expect_equal(wide$SE, 2 * means$SE)
})

test_that("in a reference grid groups are average ones, whatever the grouping factor is", {
  skip_if_not_installed("emmeans")
  set.seed(8)
  # 13 groups: the mean of their numbers, 7, is one of them
  d <- data.frame(group = rep(1:13, each = 12), sex = factor(rep(c("f", "m"), 78)))
  level <- rnorm(13, 12, 2)
  d$x <- level[d$group] + rnorm(156)
  d$y <- 2 + level[d$group] - 0.8 * (d$x - level[d$group]) + (d$sex == "m") + rnorm(156)
  d$named <- factor(letters[d$group])
  fit <- lmm(y ~ sex + within_between(x, group) + (1 | group), d)
  means <- as.data.frame(emmeans::emmeans(fit, "sex"))
  row <- rbind(c(1, 0, 0, mean(d$x)), c(1, 1, 0, mean(d$x)))
  expect_equal(means$emmean, drop(row %*% fixef(fit)))
  expect_equal(means$SE, unname(sqrt(diag(row %*% as.matrix(vcov(fit)) %*% t(row)))))
  slopes <- as.data.frame(emmeans::emtrends(fit, "sex", var = "x"))
  expect_equal(slopes$x.trend, rep(fixef(fit)[["x (within group)"]], 2L))
  named <- lmm(y ~ sex + within_between(x, named) + (1 | named), d)
  expect_equal(as.data.frame(emmeans::emmeans(named, "sex")), means, ignore_attr = TRUE)
})

test_that("data are found beside a variance function", {
  skip_if_not_installed("emmeans")
  make <- function() {
    d <- as.data.frame(nlme::Orthodont)
    lmm(distance ~ Sex + poly(age, 2) + (1 | Subject), d, weights = varPower(form = ~ age))
  }
  fit <- make()
  means <- as.data.frame(emmeans::emmeans(fit, "Sex"))
  expect_equal(diff(means$emmean), fixef(fit)[["SexFemale"]], ignore_attr = TRUE)
})

test_that("rows of weight zero, outside the subset or with missing values are not in the grid", {
  skip_if_not_installed("emmeans")
  set.seed(1)
  d <- data.frame(
    g = factor(rep(1:12, 10)), x = rexp(120) + 0.1, w = 1, o = rnorm(120),
    f = factor(rep(c("a", "b"), 60))
  )
  d$y <- rnorm(120) + d$x + d$o + rnorm(12)[d$g]
  d$w[c(20, 33)] <- 0
  # a grid that counts them is far off
  d$x[20] <- 1000
  d$x[7] <- NA
  used <- d[d$w > 0 & !is.na(d$x), ]
  by <- c("emmean", "SE", "df")
  means <- function(fit, ...) {
    as.data.frame(suppressMessages(emmeans::emmeans(fit, ~f, ...)))[by]
  }
  for (formula in list(
    y ~ x + f + (1 | g), y ~ x + f + offset(o) + (1 | g), y ~ log(x) + f + (1 | g),
    y ~ log(x) + f + offset(o) + (1 | g)
  )) {
    right <- means(lmm(formula, used))
    weighted <- lmm(formula, d, weights = w)
    chosen <- lmm(formula, d, subset = w > 0)
    expect_equal(means(weighted), right)
    expect_equal(means(chosen), right)
    expect_equal(means(weighted, data = d), right)
    expect_equal(means(chosen, data = d), right)
    expect_equal(means(lmm(formula, d, weights = w, subset = seq_len(120))), right)
    # emmeans 1.8.4: emtrends() of a formula with an offset fails for any model, lm() too
    if (!"offset" %in% all.names(formula)) {
      slopes <- as.data.frame(emmeans::emtrends(weighted, "f", var = "x"))
      expect_equal(slopes, as.data.frame(emmeans::emtrends(lmm(formula, used), "f", var = "x")))
    }
  }
  weighted <- lmm(y ~ x + f + offset(o) + (1 | g), d, weights = w)
  expect_error(
    emmeans::emmeans(weighted, ~f, data = d[1:50, ]), "the model 117", class = "ferrolmm_error_data"
  )
})

test_that("modes of other classes of models mean what they can", {
  skip_if_not_installed("emmeans")
  fit <- our_twin("factor_slope")
  df_of <- function(...) as.data.frame(emmeans::emmeans(fit, "late", ...))$df
  for (mode in c("auto", "appx-satterthwaite", "SATTERTHWAITE")) {
    expect_equal(df_of(mode = mode), df_of())
  }
  for (mode in c("link", "response", "asymp")) {
    expect_identical(df_of(mode = mode), c(Inf, Inf))
  }
  expect_equal(df_of(lmer.df = "kenward-roger"), df_of(mode = "kenward"))
  # SAS's rule, as summary() has it
  expect_identical(df_of(mode = "containment"), df_of(lmer.df = "containment"))
  expect_error(df_of(mode = "boot-satterthwaite"), class = "ferrolmm_error_argument")
})

test_that("limits of rows are those of models of lme4, where they are given", {
  skip_if_not_installed("emmeans")
  fit <- our_twin("slope")
  df_of <- function(...) summary(emmeans::emmeans(fit, ~ Days, ...))$df
  expect_equal(df_of(lmerTest.limit = 1e4, pbkrtest.limit = 1e4), df_of())
  expect_identical(df_of(lmerTest.limit = 179), Inf)
  expect_equal(df_of(lmerTest.limit = 180), df_of())
  expect_equal(df_of(mode = "kenward-roger", pbkrtest.limit = 179), df_of())
  expect_identical(df_of(mode = "kenward-roger", pbkrtest.limit = 1, lmerTest.limit = 1), Inf)
  expect_error(df_of(lmerTest.limit = "many"), class = "ferrolmm_error_argument")
})
