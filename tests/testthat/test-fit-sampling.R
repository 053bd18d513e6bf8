# Which functions hold for fits with sampling weights.

sampled_fit <- function() {
  d <- transform(nlme::Orthodont, w1 = ifelse(age > 10, 2, 1), w2 = ifelse(Sex == "Male", 1.5, 1))
  lmm(distance ~ age * Sex + (age | Subject), d, REML = FALSE,
      weights = sampling_weights(w1, Subject = w2, scale = "size"))
}

test_that("every function either is known to hold, or is refused by its name", {
  skip_on_cran()
  fit <- sampled_fit()
  objects <- objects_by_class()
  grDevices::pdf(NULL)
  on.exit(grDevices::dev.off())
  methods <- Filter(function(entry) identical(entry$class, "lmm"), all_functions())
  methods <- c(methods, lapply(
    c("equations", "methods_paragraph", "heritability", "repeatability", "intraclass", "r_squared",
      "pooling", "plot_within_between", "as_lmerMod", "pb_test"),
    function(name) list(name = name, package = NA, f = get(name, asNamespace("ferrolmm")))
  ))
  for (entry in methods) {
    if (!is.na(entry$package) && !requireNamespace(entry$package, quietly = TRUE)) next
    # always an error
    if (entry$name %in% passed_on) next
    holds <- entry$name %in% ferrolmm:::holds_for_sampled
    is_method <- identical(entry$class, "lmm") || entry$name == "pb_test"
    own <- if (is_method) needed(entry$name, objects)
    arguments <- c(list(fit), if (entry$name == "pb_test") own[-1L] else own)
    found <- tryCatch(
      {
        utils::capture.output(suppressMessages(suppressWarnings(do.call(entry$f, arguments))))
        NULL
      },
      error = identity
    )
    if (holds) {
      expect_null(found, label = entry$name)
    } else {
      expect_s3_class(found, "ferrolmm_error_sampling")
      # methods of 'car' are refused where they ask for residuals
      by_name <- sub("[.]lmm$", "", entry$name)
      if (!by_name %in% c("infIndexPlot", "influencePlot", "outlierTest")) {
        expect_match(conditionMessage(found), by_name, fixed = TRUE)
      }
    }
  }
})

test_that("names of functions that hold are names of functions", {
  names <- ferrolmm:::holds_for_sampled
  expect_true(all(vapply(names, exists, NA, envir = asNamespace("ferrolmm"), mode = "function")))
})

test_that("arguments that rest on the model are refused", {
  fit <- sampled_fit()
  refused <- function(code) expect_error(code, class = "ferrolmm_error_sampling")
  refused(summary(fit, ddf = "Kenward-Roger"))
  refused(summary(fit, ddf = "residual"))
  refused(summary(fit, vcov = vcov(fit)))
  refused(summary(fit, vcov = "CR2", cluster = ~ Subject))
  refused(summary(fit, vcov = "CR2", ddf = "residual"))
  refused(anova(fit, ddf = "containment"))
  refused(anova(fit, update(fit, . ~ . - age:Sex)))
  refused(anova(lmm(distance ~ age + (1 | Subject), nlme::Orthodont, REML = FALSE), fit))
  refused(confint(fit, method = "profile"))
  refused(confint(fit, method = "boot"))
  refused(vpredict(fit, ~ V1 / V2, method = "profile"))
  refused(vpredict(fit, ~ V1 / V2, method = "boot"))
  refused(vcov(fit, full = TRUE))
  refused(vcov(fit, adjusted = TRUE))
  refused(vcov(fit, type = "CR2", cluster = ~ Subject))
  refused(residuals(fit, type = "std_conditional"))
  refused(residuals(fit, type = "std_marginal"))
  refused(predict(fit, se.fit = TRUE))
  refused(predict(fit, interval = "prediction", re.form = NA))
  refused(predict(fit, newparams = list(beta = fixef(fit), theta = fit$theta, sigma = 1)))
  refused(getME(fit, "devfun"))
  refused(anova(fit, ddf = "lme4"))
  refused(AIC(fit))
  refused(BIC(fit))
  plain <- lmm(distance ~ age + (1 | Subject), nlme::Orthodont)
  expect_error(summary(plain, ddf = "clusters"), class = "ferrolmm_error_argument")
})

test_that("few clusters are said", {
  d <- transform(nlme::Orthodont, part = factor(as.integer(Subject) %% 3), w = as.integer(Subject))
  d$child <- d$Subject
  fit <- function(formula, data = d) {
    suppressMessages(lmm(formula, data, REML = FALSE, weights = sampling_weights(child = w)))
  }
  expect_warning(fit(distance ~ age * Sex + (1 | part / child)), class = "ferrolmm_warning_cluster")
  d$part <- factor("one")
  expect_error(fit(distance ~ age + (1 | part / child), d), class = "ferrolmm_error")
})

test_that("fits survive saving, and damaged ones are refused", {
  fit <- sampled_fit()
  file <- tempfile()
  on.exit(unlink(file))
  saveRDS(fit, file)
  expect_equal(vcov(readRDS(file)), vcov(fit))
  fit$sampling$weights <- fit$sampling$weights[-1]
  expect_error(summary(fit), class = "ferrolmm_error_format")
})

test_that("emmeans and emtrends have the robust standard errors", {
  skip_if_not_installed("emmeans")
  fit <- sampled_fit()
  means <- as.data.frame(emmeans::emmeans(fit, "Sex", at = list(age = 10)))
  l <- rbind(c(1, 10, 0, 0), c(1, 10, 1, 10))
  expect_equal(means$emmean, drop(l %*% fixef(fit)), ignore_attr = TRUE)
  expect_equal(means$SE, sqrt(diag(l %*% vcov(fit) %*% t(l))), ignore_attr = TRUE)
  expect_equal(means$df, c(26, 26))
  # the data are found whatever the weights are called, and rows without weight are no part of them
  d <- transform(nlme::Orthodont, w = ifelse(age > 12, 0, 1), child = Subject, part = Sex)
  fit2 <- lmm(distance ~ poly(age, 2) * Sex + (1 | part / child), d, REML = FALSE,
              weights = sampling_weights(w, `child:part` = w + 1 - w))
  grid <- as.data.frame(emmeans::emmeans(fit2, "age"))
  expect_equal(grid$age, 10)
  slopes <- as.data.frame(emmeans::emtrends(fit, "Sex", var = "age"))
  expect_equal(slopes$SE[[1]], sqrt(vcov(fit)["age", "age"]))
})

test_that("a second fit with sampling weights is refused, too", {
  fit <- sampled_fit()
  plain <- lmm(distance ~ age * Sex + (age | Subject), nlme::Orthodont, REML = FALSE)
  small <- update(fit, . ~ . - age:Sex)
  expect_error(pb_test(plain, small, nsim = 2), class = "ferrolmm_error_sampling")
  skip_if_not_installed("lmtest")
  expect_error(lmtest::lrtest(plain, fit), class = "ferrolmm_error_sampling")
})

test_that("standard errors of variances are those of vcov() wherever they are shown", {
  fit <- sampled_fit()
  errors <- sqrt(diag(vcov(fit, which = "theta")))
  expect_equal(as.data.frame(vpredict(fit))$se,
               unname(sqrt(diag(vcov(fit, which = "theta", scale = "vcov")))[c(1, 3, 2, 4)]))
  shown <- tidy(fit, effects = "ran_pars")
  if ("std.error" %in% names(shown)) {
    expect_setequal(round(shown$std.error, 8), round(unname(errors), 8))
  }
  expect_false(any(c(".hat", ".cooksd") %in% names(augment(fit))))
})
