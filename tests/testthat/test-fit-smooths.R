d <- smooth_data_of()
formula <- y ~ f + s(x) + s(z, k = 5) + (1 | g)
fit <- lmm(formula, d)
twin <- gam_twin(formula, d)
new <- data.frame(x = c(0.1, 0.5, 1.2), z = c(0.5, 0, -0.1), f = "b", g = factor(c(1, 5, 20)))

test_that("predictions are those of predict() of a gam, also outside the data", {
  ours <- predict(fit, new, se.fit = TRUE)
  theirs <- predict(twin, new, se.fit = TRUE)
  expect_equal(unname(ours$fit), as.vector(theirs$fit), tolerance = 1e-5)
  expect_equal(unname(ours$se.fit), as.vector(theirs$se.fit), tolerance = 1e-5)
})

test_that("smooths are of the population, and no random effects of bars", {
  ours <- predict(fit, new[-4], re.form = NA, se.fit = TRUE)
  theirs <- predict(twin, new, exclude = "s(g)", se.fit = TRUE)
  expect_equal(unname(ours$fit), as.vector(theirs$fit), tolerance = 1e-5)
  expect_equal(unname(ours$se.fit), as.vector(theirs$se.fit), tolerance = 1e-5)
  own <- predict(fit, new, random.only = TRUE)
  expect_equal(unname(own), ranef(fit)$g[c(1, 5, 20), 1])
  expect_equal(
    unname(predict(fit, new, re.form = ~ (1 | g))), unname(predict(fit, new)), tolerance = 1e-12
  )
  expect_equal(
    predict(fit, re.form = NA), fitted(fit) - predict(fit, random.only = TRUE), tolerance = 1e-12
  )
})

test_that("new rows: missing values, no rows, unknown levels, absent columns, intervals", {
  gaps <- new
  gaps$x[2] <- NA
  expect_identical(unname(is.na(predict(fit, gaps))), c(FALSE, TRUE, FALSE))
  expect_length(predict(fit, new[0, ]), 0L)
  expect_error(predict(fit, new[-1]), class = "ferrolmm_error_newdata")
  other <- transform(new, x = "a")
  expect_error(predict(fit, other), class = "ferrolmm_error_newdata")
  by <- lmm(y ~ f + s(x, by = f, k = 5) + (1 | g), d)
  expect_error(predict(by, transform(new, f = "q")), class = "ferrolmm_error_newdata")
  limits <- predict(fit, new, interval = "confidence", ddf = "asymptotic")
  se <- predict(fit, new, se.fit = TRUE)$se.fit
  expect_equal(unname(limits[, "upr"] - limits[, "fit"]), unname(qnorm(0.975) * se))
  expect_error(
    predict(fit, new, re.form = NA, interval = "confidence", ddf = "Kenward-Roger"),
    class = "ferrolmm_error_argument"
  )
  expect_error(predict(fit, level = 0), class = "ferrolmm_error_argument")
})

test_that("simulations keep the function and draw the rest", {
  set.seed(1)
  means <- rowMeans(simulate(fit, 2000, seed = 1))
  expect_lt(max(abs(means - predict(fit, re.form = NA))), 0.08)
  expect_equal(fixef(refit(fit, d$y + 1))[[1]], fixef(fit)[[1]] + 1, tolerance = 1e-6)
})

test_that("prints show smooths as smooths", {
  text <- capture.output(summary(fit))
  expect_match(text, "^Smooth terms:", all = FALSE)
  expect_false(any(grepl("fx1", text)))
  expect_false(any(grepl("groups:.*s\\(x\\)", text)))
  expect_output(print(fit), "effective degrees of freedom")
  expect_identical(names(ngrps(fit)), "g")
  expect_identical(rownames(anova(fit)), "f")
  expect_identical(rownames(drop1(fit)), "f")
  expect_error(drop1(fit, "s(x)"), class = "ferrolmm_error_argument")
  expect_identical(rownames(ranova(fit, distribution = "limit")), c("<none>", "(1 | g)"))
  expect_error(ranova(lmm(y ~ s(x), d)), class = "ferrolmm_error_argument")
  expect_true(all(c("s(x)", "s(z)") %in% names(VarCorr(fit))))
  expect_identical(names(report_tables(fit))[1:2], c("fixed", "smooths"))
})

test_that("functions that know nothing of smooths refuse them by name", {
  for (f in list(
    equations, coef, as_lmerMod, r_squared, bootstrap, methods_paragraph, augment, glance, tidy,
    pooling, add1, influence, cooks.distance, heritability
  )) {
    expect_error(f(fit), class = "ferrolmm_error_smooth")
  }
  expect_error(confint(fit, method = "boot"), class = "ferrolmm_error_smooth")
  expect_error(
    simulate(y ~ s(x) + (1 | g), newdata = d, newparams = list(beta = 1, theta = 1, sigma = 1)),
    class = "ferrolmm_error_formula"
  )
})

test_that("every function that is said to hold exists", {
  defined <- vapply(holds_with_smooths, exists, NA, envir = asNamespace("ferrolmm"))
  expect_identical(names(defined)[!defined], character())
})

test_that("a fit that has lost its smooths is no fit", {
  damaged <- fit
  terms <- attr(damaged$frame, "terms")
  attr(terms, "smooths") <- NULL
  attr(damaged$frame, "terms") <- terms
  expect_error(predict(damaged), class = "ferrolmm_error_format")
})

test_that("a fit that was saved predicts", {
  file <- tempfile()
  on.exit(unlink(file))
  saveRDS(fit, file)
  expect_identical(predict(readRDS(file), new), predict(fit, new))
})
