test_that("tables are lmerTest's, with the p-value at the boundary beside", {
  skip_if_not_installed("lmerTest")
  data <- twin_data()
  check <- function(formula, data, ...) {
    ours <- as.data.frame(suppressMessages(ranova(lmm(formula, data), ...)))
    theirs <- suppressWarnings(suppressMessages(eval(bquote(lmerTest::lmer(.(formula), .(data))))))
    reference <- as.data.frame(suppressMessages(lmerTest::ranova(theirs, ...)))
    expect_named(ours, c(names(reference), "Pr(>Chibarsq)", "Pr(>LRT)"))
    expect_identical(rownames(ours), rownames(reference))
    expect_equal(ours[c("npar", "Df")], reference[c("npar", "Df")], ignore_attr = TRUE)
    expect_equal(ours[c("logLik", "AIC")], reference[c("logLik", "AIC")], tolerance = 1e-7)
    expect_equal(ours$LRT, reference$LRT, tolerance = 1e-4)
    tested <- -1L
    expect_true(all(ours[["Pr(>Chibarsq)"]][tested] < ours[["Pr(>Chisq)"]][tested]))
  }
  check(Reaction ~ Days + (Days | Subject), data$sleepstudy)
  check(Reaction ~ Days + (Days | Subject), data$sleepstudy, reduce.terms = FALSE)
  check(Reaction ~ Days + (1 | Subject), data$sleepstudy)
  check(diameter ~ 1 + (1 | plate) + (1 | sample), data$Penicillin)
  check(Reaction ~ late + (0 + late | Subject), data$sleepstudy)
})

test_that("double bars are taken one by one; factors leave together", {
  data <- twin_data()$sleepstudy
  double <- ranova(our_twin("double_bar"))
  expect_identical(rownames(double), c("<none>", "(1 | Subject)", "(0 + Days | Subject)"))
  expect_identical(double$Df, c(NA, 1, 1))
  expect_equal(double[["Pr(>Chibarsq)"]][-1], double[["Pr(>Chisq)"]][-1] / 2)
  two <- suppressMessages(ranova(lmm(Reaction ~ Days + (Days + late | Subject), data)))
  expect_identical(
    rownames(two)[-1],
    c("Days in (Days + late | Subject)", "late in (Days + late | Subject)")
  )
  expect_identical(two$Df, c(NA, 3, 3))
})

test_that("the model without random effects is the linear model", {
  data <- twin_data()$sleepstudy
  for (reml in c(TRUE, FALSE)) {
    fit <- lmm(Reaction ~ Days + offset(2 * Days) + (1 | Subject), data, weights = w, REML = reml)
    linear <- lm(Reaction ~ Days + offset(2 * Days), data, weights = w)
    expect_equal(ranova(fit)$logLik[2], as.numeric(logLik(linear, REML = reml)))
  }
  fit <- our_twin("no_fixed")
  linear <- lm(Reaction ~ 0, transform(twin_data()$sleepstudy, Reaction = Reaction - 300))
  expect_equal(ranova(fit)$logLik[2], as.numeric(logLik(linear)))
  expect_equal(
    ranova(our_twin("deficient"))$logLik[2],
    as.numeric(logLik(lm(Reaction ~ Days + late, twin_data()$sleepstudy), REML = TRUE))
  )
})

test_that("mixtures are those of Stram and Lee", {
  reduction <- function(kept, dropped, structure = "us") {
    list(kept = kept, dropped = dropped, structure = structure, classes = 1L)
  }
  tail <- function(x, df) pchisq(x, df, lower.tail = FALSE)
  expect_equal(mixture_p(2, reduction(0, 1)), tail(2, 1) / 2)
  expect_equal(mixture_p(2, reduction(1, 1)), tail(2, 1) / 2 + tail(2, 2) / 2)
  expect_equal(mixture_p(2, reduction(2, 1)), tail(2, 2) / 2 + tail(2, 3) / 2)
  expect_equal(mixture_p(2, reduction(1, 2, "diag")), tail(2, 1) / 2 + tail(2, 2) / 4)
  expect_equal(mixture_p(0, reduction(0, 1)), 1)
  expect_equal(mixture_p(5, reduction(0, 4)), tail(5, 9) / 2 + tail(5, 10) / 2)
})

test_that("weights are those of projections on the cone", {
  set.seed(9)
  for (d in 1:3) {
    size <- d * (d + 1) / 2
    ratios <- replicate(20000, {
      m <- diag(rnorm(d), d)
      m[lower.tri(m)] <- rnorm(d * (d - 1) / 2, 0, sqrt(1 / 2))
      m[upper.tri(m)] <- t(m)[upper.tri(m)]
      sum(pmax(eigen(m, symmetric = TRUE, only.values = TRUE)$values, 0)^2)
    })
    expect_equal(sum(cone_weights(d)), 1)
    reduction <- list(kept = 0, dropped = d, structure = "us", classes = 1L)
    for (x in c(0.5, 1, 3, 6)) {
      expect_lt(abs(mean(ratios > x) - mixture_p(x, reduction)), 0.015)
    }
  }
})

test_that("what is no model is refused", {
  expect_error(ranova(1))
})
