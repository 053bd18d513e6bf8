data(Orthodont, package = "nlme")
growth <- lmm(distance ~ age * Sex + (age | Subject), Orthodont)

test_that("complete pooling and aggregation are those of lm()", {
  both <- pooling(growth)
  expect_equal(both$coefficients$complete, unname(coef(lm(distance ~ age * Sex, Orthodont))))
  fit <- lmm(mobility ~ Age + Sex + (1 | doctor), doctors)
  means <- aggregate(cbind(mobility, Age, Sex) ~ doctor, doctors, mean)
  alone <- lm(mobility ~ Age + Sex, means)
  both <- pooling(fit)
  expect_equal(both$coefficients$aggregate, unname(coef(alone)))
  expect_equal(both$std.error$aggregate, unname(coef(summary(alone))[, 2]))
  expect_equal(both$coefficients$mixed, unname(fixef(fit)))
  expect_equal(both$std.error$mixed, unname(sqrt(diag(as.matrix(vcov(fit))))))
})

test_that("with a random intercept, the partial estimate is the weighted mean", {
  for (fit in list(lmm(mobility ~ Age + Sex + (1 | doctor), doctors),
                   lmm(distance ~ age + (1 | Subject), Orthodont))) {
    d <- pooling(fit)$groups
    expect_equal(d$partial, d$population + d$reliability * (d$alone - d$population))
    g <- VarCorr(fit)[[1]][1]
    expect_equal(d$reliability, g / (g + sigma(fit)^2 / d$n))
  }
})

test_that("partially pooled values are those of coef(), alone those of lmList()", {
  fit <- lmm(distance ~ age + (age | Subject), Orthodont)
  both <- pooling(fit)
  wide <- matrix(both$groups$partial, 27)
  expect_equal(wide, as.matrix(coef(fit)$Subject), ignore_attr = TRUE)
  expect_equal(matrix(both$groups$alone, 27), both$units$coefficients, ignore_attr = TRUE)
  expect_identical(as.data.frame(both), both$coefficients)
  expect_identical(as.data.frame(both, what = "groups"), both$groups)
  expect_output(print(both), "27 groups of 4 rows")
})

test_that("crossed factors are taken one at a time", {
  skip_if_not_installed("lme4")
  fit <- lmm(diameter ~ 1 + (1 | plate) + (1 | sample), lme4::Penicillin)
  d <- pooling(fit, "sample")$groups
  expect_identical(nrow(d), 6L)
  expect_equal(d$partial, coef(fit)$sample[[1]])
  expect_equal(d$partial, d$population + d$reliability * (d$alone - d$population))
  expect_error(pooling(fit, "batch"), class = "ferrolmm_error_argument")
})

test_that("what is constant on average has no coefficient in the aggregate", {
  fit <- lmm(mobility ~ within_between(Age, doctor) + (1 | doctor), doctors)
  means <- stats::aggregate(cbind(mobility, Age) ~ doctor, doctors, mean)
  found <- pooling(fit)$coefficients$aggregate
  expect_true(is.na(found[[2]]))
  expect_equal(found[-2], unname(coef(lm(mobility ~ Age, means))))
})

test_that("pictures are drawn and leave par() alone", {
  grDevices::pdf(NULL)
  on.exit(grDevices::dev.off())
  before <- graphics::par("mar", "las", "mfrow", "oma")
  both <- pooling(growth)
  expect_identical(plot(both), both)
  plot(both, terms = "age", labels = FALSE)
  plot(both, "lines")
  plot(both, "lines", terms = "age:SexFemale")
  plot(pooling(lmm(mobility ~ Age + (1 | doctor), doctors)))
  expect_identical(graphics::par("mar", "las", "mfrow", "oma"), before)
  expect_error(plot(both, terms = "SexFemale"), class = "ferrolmm_error_argument")
  expect_error(plot(both, "lines", terms = "SexFemale"), class = "ferrolmm_error_argument")
  expect_error(plot(both, "circles"), class = "ferrolmm_error_argument")
})

test_that("levels of a known precision matrix that have no rows are no groups", {
  set.seed(6)
  id <- letters[1:8]
  Q <- diag(1.5, 8L) - 0.4 * (abs(outer(1:8, 1:8, `-`)) == 1)
  dimnames(Q) <- list(id, id)
  seen <- c("a", "c", "d", "f", "h")
  d <- data.frame(id = rep(seen, each = 4L), x = rnorm(20))
  d$y <- 1 + d$x + rnorm(5)[match(d$id, seen)] + rnorm(20, sd = 0.3)
  known <- lmm(y ~ x + us(1 | id, prec = Q), d)
  plain <- lmm(y ~ x + (1 | id), d)
  ours <- pooling(known)
  theirs <- pooling(plain)
  columns <- c("complete", "aggregate", "unit", "unit_sd")
  expect_equal(ours$coefficients[columns], theirs$coefficients[columns])
  expect_identical(rownames(coef(lmList(known))), seen)
  expect_equal(coef(lmList(known)), coef(lmList(plain)))
  expect_identical(as.data.frame(ours, what = "groups")$n, c(4L, 0L, 4L, 4L, 0L, 4L, 0L, 4L))
  grDevices::pdf(NULL)
  on.exit(grDevices::dev.off())
  expect_no_warning(plot(ours, "lines"))
  expect_length(mixed_slopes(ours, "x"), length(seen))
  slopes <- pooling(lmm(y ~ x + diag(x | id, prec = Q), d))
  expect_length(mixed_slopes(slopes, "x"), length(seen))
})

test_that("names of groups have the room that they need", {
  oats <- as.data.frame(nlme::Oats)
  found <- pooling(lmm(yield ~ nitro + (1 | Block / Variety), oats))
  moves <- moves_one(found, "(Intercept)")
  expect_false(moves$sizes)
  grDevices::pdf(NULL, 4, 3)
  on.exit(grDevices::dev.off())
  before <- graphics::par("mar", "mgp")
  expect_identical(plot(found), found)
  expect_identical(graphics::par("mar", "mgp"), before)
})

test_that("equal sizes are jittered without order", {
  n <- c(2, rep(5, 40), 9)
  apart <- spread_within(n)
  expect_identical(apart[c(1, 42)], c(2, 9))
  expect_identical(round(apart), n)
  expect_lt(abs(cor(apart[2:41], 1:40)), 0.2)
})

test_that("lines are drawn along a number before the codes of a factor", {
  fit <- lmm(yield ~ Variety + nitro + (1 | Block), nlme::Oats)
  found <- pooling(fit)
  expect_identical(line_term(found, NULL), "nitro")
  drawn <- lines_picture(found, "nitro")
  expect_identical(drawn$note, "the groups have equal means: no slope")
  expect_false(drawn$coded)
  expect_true(lines_picture(found, "VarietyVictory")$coded)
  mixed <- drawn$lines[drawn$lines$panel == "mixed model", ]
  expect_equal(diff(mixed$y) / diff(mixed$x), fixef(fit)[["nitro"]])
  skip_if_not_installed("ggplot2")
  expect_no_warning(ggplot2::ggplot_build(autoplot(found, "lines")))
  expect_s3_class(autoplot(found, "shrinkage", terms = "(Intercept)"), "ggplot")
})
