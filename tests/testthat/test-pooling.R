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
