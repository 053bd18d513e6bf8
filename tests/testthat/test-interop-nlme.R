# The same models by nlme::lme() and gls() are the reference throughout.

data(Orthodont, Oats, Ovary, package = "nlme")
growth <- as.data.frame(Orthodont)
growth$Subject <- factor(as.character(growth$Subject))
oats <- as.data.frame(Oats)
oats$Block <- factor(as.character(oats$Block))
slopes <- lmm(distance ~ age + (age | Subject), growth)
nested <- lmm(yield ~ nitro + (1 | Block / Variety), oats)
# with the data in the call, as methods of nlme look for them outside of tests
lme <- function(...) do.call(nlme::lme, list(...))
gls <- function(...) do.call(nlme::gls, list(...))
lme_slopes <- lme(distance ~ age, growth, random = ~ age | Subject)
lme_nested <- lme(yield ~ nitro, oats, random = ~ 1 | Block / Variety)
same <- function(x, y, ...) expect_equal(unname(x), unname(y), ..., ignore_attr = TRUE)

test_that("fitted values, residuals and predictions by level are those of lme()", {
  for (level in 0:2) {
    same(fitted(nested, level = level), fitted(lme_nested, level = level), tolerance = 1e-6)
    same(predict(nested, level = level), predict(lme_nested, level = level), tolerance = 1e-6)
    for (type in c("response", "scaled", "normalized")) {
      theirs <- if (type == "scaled") "pearson" else type
      same(
        residuals(nested, type, level = level), residuals(lme_nested, level, type = theirs),
        tolerance = 1e-5
      )
    }
  }
  expect_identical(fitted(nested, level = 2), fitted(nested))
  expect_identical(fitted(nested, level = "Block"), fitted(nested, level = 1))
  expect_equal(residuals(nested, level = 0), residuals(nested, "marginal"))
  all <- fitted(nested, level = 0:2)
  expect_named(all, c("fixed", "Block", "Variety:Block"))
  same(as.matrix(all), as.matrix(fitted(lme_nested, level = 0:2)), tolerance = 1e-6)
  expect_named(residuals(slopes, level = 0:1), c("fixed", "Subject"))
})

test_that("new rows are predicted by level, with their groups", {
  new <- data.frame(nitro = c(0.1, 0.5, 0.2), Block = c("I", "III", "I"), Variety = "Victory")
  for (level in 0:2) {
    same(predict(nested, new, level = level), predict(lme_nested, new, level = level),
         tolerance = 1e-6)
  }
  ours <- predict(nested, new, level = 0:2)
  theirs <- predict(lme_nested, new, level = 0:2)
  expect_named(
    ours, c("Block", "Variety:Block", "predict.fixed", "predict.Block", "predict.Variety:Block")
  )
  expect_equal(as.character(ours$Block), as.character(theirs$Block))
  same(as.matrix(ours[3:5]), as.matrix(theirs[3:5]), tolerance = 1e-6)
  expect_error(predict(nested, cbind(new, a = 1)[0:1, ][c("nitro")], level = 1), "Block")
  expect_equal(
    predict(slopes, data.frame(age = 9, Subject = c("M01", "new")), level = 0:1,
            allow.new.levels = TRUE)$Subject,
    factor(c("M01", "new"), levels = c(levels(growth$Subject), "new"))
  )
  rows <- predict(slopes, level = 0:1)
  expect_identical(rows$Subject, growth$Subject)
})

test_that("`level` is that of the interval where there is one", {
  expect_error(predict(slopes, level = 0.95), "no|none", class = "ferrolmm_error_argument")
  expect_error(
    predict(slopes, interval = "confidence", level = 0), "re.form",
    class = "ferrolmm_error_argument"
  )
  expect_error(predict(slopes, level = 3), "0 \\(fixed\\), 1", class = "ferrolmm_error_argument")
  expect_error(predict(slopes, level = 1, re.form = NA), "both", class = "ferrolmm_error_argument")
  expect_error(predict(slopes, level = 0:1, se.fit = TRUE), class = "ferrolmm_error_argument")
  expect_error(fitted(slopes, level = 2), class = "ferrolmm_error_argument")
  expect_error(residuals(slopes, "std_marginal", level = 0), class = "ferrolmm_error_argument")
  expect_identical(
    predict(slopes, level = 0, se.fit = TRUE), predict(slopes, re.form = NA, se.fit = TRUE)
  )
})

test_that("crossed factors have level 0 and all of them", {
  set.seed(3)
  d <- expand.grid(a = factor(1:5), b = factor(1:8))
  d$y <- rnorm(5)[d$a] + rnorm(8)[d$b] + rnorm(40)
  fit <- lmm(y ~ 1 + (1 | a) + (1 | b), d)
  expect_identical(fitted(fit, level = 0), predict(fit, re.form = NA))
  expect_identical(fitted(fit, level = 2), fitted(fit))
  expect_error(fitted(fit, level = 1), "crossed", class = "ferrolmm_error_argument")
  expect_error(nlme::getGroupsFormula(fit), "crossed", class = "ferrolmm_error_argument")
})

test_that("rows left out by na.exclude have their place", {
  growth$distance[c(3, 50)] <- NA
  fit <- lmm(distance ~ age + (age | Subject), growth, na.action = na.exclude)
  expect_identical(unname(which(is.na(fitted(fit, level = 0)))), c(3L, 50L))
  expect_identical(dim(residuals(fit, level = 0:1)), c(108L, 2L))
  expect_identical(nrow(predict(fit, level = 0:1)), 108L)
  expect_identical(nrow(getData(fit)), 108L)
  expect_length(getGroups(fit), 108)
  omitted <- update(fit, na.action = na.omit)
  expect_identical(row.names(getData(omitted)), row.names(growth)[-c(3, 50)])
})

test_that("data, groups and response are those that were fitted", {
  expect_identical(getData(slopes), growth)
  expect_identical(getData(lmm(distance ~ age + (1 | Subject), growth, subset = age > 8)),
                   growth[growth$age > 8, ])
  same(getResponse(slopes), nlme::getResponse(lme_slopes), tolerance = 1e-10)
  expect_identical(as.character(getGroups(slopes)), as.character(nlme::getGroups(lme_slopes)))
  expect_identical(
    as.character(getGroups(nested, level = 1)), as.character(nlme::getGroups(lme_nested, level = 1))
  )
  expect_named(getGroups(nested, level = 1:2), c("Block", "Variety:Block"))
  expect_equal(nlme::getGroupsFormula(nested), ~ Block / Variety, ignore_attr = TRUE)
  expect_identical(names(nlme::getGroupsFormula(nested, asList = TRUE)), NULL)
  expect_error(getGroups(slopes, form = ~Sex), class = "ferrolmm_error_argument")
  marginal <- lmm(distance ~ age, growth, residual = ~ us(age | Subject))
  expect_identical(as.character(getGroups(marginal)), as.character(growth$Subject))
  expect_null(getGroups(lmm(distance ~ age, growth, weights = varIdent(form = ~ 1 | Sex))))
  d <- growth
  fit <- lmm(distance ~ age + (1 | Subject), d)
  d$distance <- d$distance + 1
  expect_error(getData(fit), "changed", class = "ferrolmm_error_data")
  y <- growth$distance
  g <- growth$Subject
  expect_named(getData(lmm(y ~ 1 + (1 | g))), c("y", "g"))
  odd <- stats::setNames(growth, c("the size", "age", "the child", "Sex"))
  fit <- lmm(`the size` ~ age + (1 | `the child`), tibble::as_tibble(odd))
  expect_equal(as.data.frame(getData(fit)), odd, ignore_attr = TRUE)
  expect_equal(nlme::getGroupsFormula(fit), ~`the child`, ignore_attr = TRUE)
})

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
  same(ours$sigma, theirs$sigma, tolerance = 1e-3)
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
  same(both$distance, theirs$distance, tolerance = 1e-5)
  expect_equal(comparePred(slopes, lme_slopes, ~age, length.out = 3)$distance[109:189],
               comparePred(slopes, slopes, ~age, length.out = 3)$distance[109:189])
  marginal <- lmm(distance ~ age * Sex, growth, correlation = corAR1(form = ~ 1 | Subject))
  curves <- augPred(marginal, "age", length.out = 2)
  m01 <- curves[curves$.groups == "M01" & curves$.type == "predicted", ]
  expect_equal(
    m01$distance, unname(predict(marginal, data.frame(age = c(8, 14), Sex = "Male")))
  )
})
