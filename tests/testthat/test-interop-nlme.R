# The same models by nlme::lme() and gls() are the reference.

data(Orthodont, Ovary, package = "nlme")
twins <- nlme_twins()
growth <- twins$growth
slopes <- twins$slopes
lme_slopes <- twins$lme_slopes
nested <- twins$nested

test_that("lme4 and ggplot2 fortify a fit by its data", {
  skip_if_not_installed("lme4")
  skip_if_not_installed("ggplot2")
  theirs <- lme4::lmer(distance ~ age + (age | Subject), growth)
  expect_equal(
    as.data.frame(lme4::fortify.merMod(slopes)), as.data.frame(lme4::fortify.merMod(theirs)),
    tolerance = 1e-4, ignore_attr = TRUE
  )
})

test_that("intervals are those of lme() and gls()", {
  ours <- intervals(slopes, ddf = "asymptotic")
  theirs <- nlme::intervals(lme_slopes)
  expect_s3_class(ours, "intervals.lme")
  expect_identical(rownames(ours$reStruct$Subject), rownames(theirs$reStruct$Subject))
  # nlme differentiates numerically
  expect_equal(ours$reStruct$Subject, theirs$reStruct$Subject, tolerance = 2e-3)
  expect_same(ours$sigma, theirs$sigma, tolerance = 1e-3)
  expect_equal(ours$fixed[, "est."], theirs$fixed[, "est."], tolerance = 1e-6)
  half <- qnorm(0.975) * sqrt(diag(lme_slopes$varFix))
  expect_equal(ours$fixed[, "upper"] - ours$fixed[, "est."], half, tolerance = 1e-5)
  expect_equal(
    unname(intervals(slopes)$fixed[, c(1, 3)]), unname(confint(slopes, "beta_")), tolerance = 1e-12
  )
  expect_named(intervals(slopes, which = "fixed"), "fixed")
  expect_named(intervals(slopes, which = "var-cov"), c("reStruct", "sigma"))
  expect_match(capture.output(print(ours)), "Level: Subject", all = FALSE)
  expect_named(intervals(nested)$reStruct, c("Variety:Block", "Block"), ignore.order = TRUE)

  ours <- lmm(
    distance ~ age, Orthodont, correlation = corAR1(form = ~ 1 | Subject),
    weights = varIdent(form = ~ 1 | Sex)
  )
  theirs <- nlme::intervals(gls(
    distance ~ age, Orthodont, correlation = nlme::corAR1(form = ~ 1 | Subject),
    weights = nlme::varIdent(form = ~ 1 | Sex)
  ))
  table <- intervals(ours)$residual
  expect_equal(table[1, ], theirs$corStruct[1, ], tolerance = 2e-3)
  expect_equal(intervals(ours)$sigma, theirs$sigma, tolerance = 2e-3, ignore_attr = TRUE)
  flat <- transform(growth, distance = distance - ave(distance, Subject))
  singular <- suppressMessages(lmm(distance ~ age + (1 | Subject), flat))
  expect_equal(unname(unlist(intervals(singular)$reStruct$Subject)), c(NA, 0, NA))
})

test_that("intervals() knows gls()'s word for the fixed effects", {
  fit <- lmm(distance ~ age + (1 | Subject), nlme::Orthodont)
  found <- intervals(fit, which = "coef")
  expect_named(found, "coef")
  expect_identical(found$coef, intervals(fit, which = "fixed")$fixed)
  expect_output(print(found), "Fixed effects")
})

test_that("ACF() is that of lme() and gls()", {
  ovary <- as.data.frame(Ovary)
  # where levels are not in the order of the data, nlme takes rows of gls() for others
  ovary$Mare <- factor(as.character(ovary$Mare), unique(as.character(ovary$Mare)))
  form <- follicles ~ sin(2 * pi * Time) + cos(2 * pi * Time)
  ours <- lmm(follicles ~ sin(2 * pi * Time) + cos(2 * pi * Time) + (1 | Mare), ovary)
  theirs <- lme(form, ovary, random = ~ 1 | Mare)
  expect_equal(ACF(ours), nlme::ACF(theirs), tolerance = 1e-5)
  expect_equal(
    ACF(ours, maxLag = 3, resType = "response"),
    nlme::ACF(theirs, maxLag = 3, resType = "response"), tolerance = 1e-5
  )
  ours <- lmm(form, ovary, correlation = corAR1(form = ~ 1 | Mare))
  theirs <- gls(form, ovary, correlation = nlme::corAR1(form = ~ 1 | Mare))
  for (type in c("pearson", "normalized")) {
    expect_equal(ACF(ours, resType = type), nlme::ACF(theirs, resType = type), tolerance = 1e-4)
  }
  expect_s3_class(plot(ACF(ours), alpha = 0.05), "trellis")
  # a model without groups takes them from the formula
  plain <- lmm(form, ovary, weights = varIdent(form = ~ 1 | Mare))
  theirs <- gls(form, ovary, weights = nlme::varIdent(form = ~ 1 | Mare))
  expect_equal(
    ACF(plain, form = ~ 1 | Mare), nlme::ACF(theirs, form = ~ 1 | Mare), tolerance = 1e-4
  )
  # by hand, one group in the order of a variable
  d <- data.frame(y = c(1, 4, 2, 7, 5, 3), t = c(2, 1, 3, 6, 5, 4), g = "a")
  fit <- lmm(y ~ 1, d, correlation = corAR1(form = ~ t | g))
  r <- unname(residuals(fit))[order(d$t)]
  expect_equal(ACF(fit)$ACF[[2]], mean(r[-1] * r[-6]) / mean(r^2))
  expect_error(ACF(fit, maxLag = -1), class = "ferrolmm_error_argument")
  expect_error(ACF(ours, form = ~nobody), "nobody", class = "ferrolmm_error_argument")
})

test_that("Variogram() is that of lme() and gls()", {
  weights <- as.data.frame(nlme::BodyWeight)
  weights$Rat <- factor(as.character(weights$Rat))
  ours <- lmm(weight ~ Time * Diet + (Time | Rat), weights)
  theirs <- lme(weight ~ Time * Diet, weights, random = ~ Time | Rat)
  frame <- function(x) as.data.frame(unclass(x)[c("variog", "dist", "n.pairs")])
  for (robust in c(FALSE, TRUE)) {
    a <- frame(Variogram(ours, form = ~Time, robust = robust, nint = 40))
    b <- frame(nlme::Variogram(theirs, form = ~Time, robust = robust, nint = 40))
    expect_equal(a, b, tolerance = 1e-4, ignore_attr = TRUE)
  }
  # with classes nlme leaves the pairs at the smallest distance out of the first one
  a <- frame(Variogram(ours, form = ~Time, nint = 10))
  b <- frame(nlme::Variogram(theirs, form = ~Time, nint = 10))
  expect_equal(a[-1, ], b[-1, ], tolerance = 1e-4, ignore_attr = TRUE)
  expect_identical(sum(a$n.pairs), nrow(Variogram(ours, form = ~Time, collapse = "none")))
  a <- Variogram(ours, form = ~Time, collapse = "none", maxDist = 20)
  b <- nlme::Variogram(theirs, form = ~Time, collapse = "none", maxDist = 20)
  expect_equal(a$variog, b$variog, tolerance = 1e-4)
  expect_error(Variogram(ours, form = ~Time, data = weights), class = "ferrolmm_error_argument")

  ours <- lmm(
    weight ~ Time * Diet, weights, correlation = corExp(form = ~ Time | Rat, nugget = FALSE)
  )
  theirs <- gls(
    weight ~ Time * Diet, weights, correlation = nlme::corExp(form = ~ Time | Rat)
  )
  a <- Variogram(ours, nint = 40)
  b <- nlme::Variogram(theirs, nint = 40)
  expect_equal(a$variog, b$variog, tolerance = 1e-2)
  expect_equal(
    as.data.frame(attr(a, "modelVariog")), as.data.frame(attr(b, "modelVariog")), tolerance = 1e-2
  )
  expect_s3_class(plot(a), "trellis")
})

test_that("augPred() and comparePred() are those of lme()", {
  ours <- augPred(slopes, ~age, level = 0:1, length.out = 5)
  theirs <- nlme::augPred(lme_slopes, ~age, level = 0:1, length.out = 5)
  expect_equal(
    lapply(ours, as.vector), lapply(as.data.frame(theirs), as.vector), tolerance = 1e-5
  )
  expect_identical(levels(ours$.groups), levels(theirs$.groups))
  expect_identical(attr(ours, "labels"), attr(theirs, "labels"))
  expect_s3_class(plot(ours), "trellis")
  grouped <- lmm(distance ~ age * Sex + (age | Subject), Orthodont)
  expect_identical(attr(augPred(grouped), "units"), list(x = "(yr)", y = "(mm)"))
  expect_error(augPred(slopes), "primary", class = "ferrolmm_error_argument")
  expect_error(augPred(slopes, ~aeg), "age", class = "ferrolmm_error_argument")

  simple <- update(slopes, . ~ age + (1 | Subject))
  both <- comparePred(slopes, simple, ~age, length.out = 3)
  theirs <- nlme::comparePred(
    lme_slopes, lme(distance ~ age, growth, random = ~ 1 | Subject), ~age, length.out = 3
  )
  expect_identical(levels(both$.type), c("slopes", "simple", "original"))
  expect_same(both$distance, theirs$distance, tolerance = 1e-5)
  expect_equal(comparePred(slopes, lme_slopes, ~age, length.out = 3)$distance[109:189],
               comparePred(slopes, slopes, ~age, length.out = 3)$distance[109:189])
  marginal <- lmm(distance ~ age * Sex, growth, correlation = corAR1(form = ~ 1 | Subject))
  curves <- augPred(marginal, "age", length.out = 2)
  m01 <- curves[curves$.groups == "M01" & curves$.type == "predicted", ]
  expect_equal(
    m01$distance, unname(predict(marginal, data.frame(age = c(8, 14), Sex = "Male")))
  )
})

test_that("ggplot2 draws autocorrelations, semivariograms and curves", {
  skip_if_not_installed("ggplot2")
  fit <- lmm(follicles ~ sin(2 * pi * Time) + (1 | Mare), Ovary)
  found <- ACF(fit, maxLag = 6)
  built <- ggplot2::ggplot_build(autoplot(found, alpha = 0.05))
  expect_equal(built$data[[2]]$y, found$ACF)
  expect_equal(built$data[[3]]$y, qnorm(0.975) / sqrt(attr(found, "n.used")))
  expect_equal(built$data[[4]]$y, -built$data[[3]]$y)
  built <- ggplot2::ggplot_build(autoplot(Variogram(fit, form = ~Time)))
  expect_equal(built$data[[1]]$y, Variogram(fit, form = ~Time)$variog)
  picture <- autoplot(augPred(slopes, ~age, level = 0:1))
  expect_no_warning(built <- ggplot2::ggplot_build(picture))
  expect_equal(nrow(built$data[[1]]), 108)
  expect_equal(nlevels(built$data[[1]]$PANEL), 27)
})
