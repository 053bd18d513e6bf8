test_that("shares of one variance are those of the variances", {
  fit <- lmm(distance ~ age + (1 | Subject), nlme::Orthodont)
  expected <- vpredict(fit, h2 ~ V1 / (V1 + V2))
  expect_equal(heritability(fit), expected, tolerance = 1e-9)
  expect_equal(heritability(fit, "Subject", method = "profile"),
               vpredict(fit, h2 ~ V1 / (V1 + V2), method = "profile"), tolerance = 1e-9)
  expect_equal(unlist(repeatability(fit)), unlist(expected), tolerance = 1e-9)
})

test_that("repeatability is the share of intraclass(), random slopes and weights included", {
  data <- transform(lme4::sleepstudy, w = 1 + Days %% 3)
  fits <- list(
    lmm(Reaction ~ Days + (Days | Subject), data), our_twin("crossed"),
    lmm(Reaction ~ Days + (1 | Subject) + (0 + Days | Subject), data, weights = w),
    lmm(distance ~ age + (age | Subject), nlme::Orthodont,
        weights = nlme::varIdent(form = ~ 1 | Sex))
  )
  for (fit in fits) {
    shares <- intraclass(fit)
    for (group in names(fit$flist)) {
      own <- shares[shares$group == group, ]
      expect_equal(repeatability(fit, group)$estimate, own$adjusted, tolerance = 1e-10)
      found <- repeatability(fit, group, adjusted = FALSE)
      expect_equal(found$estimate, own$unadjusted, tolerance = 1e-10)
      expect_true(found$conf.low < found$estimate && found$estimate < found$conf.high)
    }
  }
})

test_that("Cullis's heritability is 1 - mean variance of differences / 2 sigma_g^2", {
  set.seed(2)
  data <- expand.grid(gen = factor(1:9), rep = factor(1:3))
  data$block <- factor((as.integer(data$gen) + as.integer(data$rep)) %% 4)
  data$y <- rnorm(9)[data$gen] + rnorm(4, sd = 0.5)[data$block] + rnorm(27, sd = 0.7)
  data <- data[-c(3, 11), ]
  fit <- lmm(y ~ rep + (1 | gen) + (1 | rep:block), data)
  at <- grep("^gen\\.", rownames(vcov(fit, full = TRUE)))
  errors <- vcov(fit, full = TRUE)[at, at]
  pairs <- which(lower.tri(errors), arr.ind = TRUE)
  differences <- apply(pairs, 1, function(p) {
    errors[p[1], p[1]] + errors[p[2], p[2]] - 2 * errors[p[1], p[2]]
  })
  expected <- 1 - mean(differences) / (2 * as.data.frame(VarCorr(fit))$vcov[[1]])
  names <- names(fit$cnms)
  expect_equal(heritability(fit, "gen", type = "cullis")$estimate,
               1 - mean(differences) / (2 * vpredict(fit)$estimate[[match("gen", names)]]))
  # balanced: that of the means of r rows
  balanced <- lmm(distance ~ factor(age) + (1 | Subject), nlme::Orthodont)
  v <- vpredict(balanced)$estimate
  expect_equal(heritability(balanced, type = "cullis")$estimate, v[[1]] / (v[[1]] + v[[2]] / 4),
               tolerance = 1e-8)
  expect_true(is.numeric(expected))
})

test_that("heritability is about the term with a known matrix", {
  set.seed(3)
  k <- outer(1:12, 1:12, function(i, j) 0.6^abs(i - j))
  dimnames(k) <- list(letters[1:12], letters[1:12])
  data <- data.frame(id = factor(rep(letters[1:12], 4)), pen = factor(rep(1:6, 8)))
  data$y <- drop(t(chol(k)) %*% rnorm(12))[data$id] + rnorm(6, sd = 0.4)[data$pen] + rnorm(48)
  fit <- lmm(y ~ 1 + us(1 | id, cov = k) + (1 | pen), data)
  v <- vpredict(fit)
  own <- v$estimate[v$grp == "id"]
  expect_equal(heritability(fit)$estimate, own / sum(v$estimate), tolerance = 1e-10)
  expect_equal(heritability(fit, "pen")$estimate, v$estimate[v$grp == "pen"] / sum(v$estimate),
               tolerance = 1e-10)
})

test_that("what has no one heritability is an error", {
  fit <- our_twin("slope")
  # the variance of a slope is none of the response
  slopes <- lmm(Reaction ~ Days + (1 | Subject) + (0 + Days | Subject), lme4::sleepstudy)
  expect_error(heritability(slopes, 1), "no one heritability", class = "ferrolmm_error_argument")
  only <- lmm(Reaction ~ Days + (0 + Days | Subject), lme4::sleepstudy)
  expect_error(heritability(only), "no one heritability", class = "ferrolmm_error_argument")
  expect_true(heritability(only, type = "cullis")$estimate < 1)
  crossed <- our_twin("crossed")
  expect_snapshot(error = TRUE, {
    heritability(fit)
    heritability(crossed)
    heritability(crossed, "unknown")
    heritability(lm(1:3 ~ 1))
    repeatability(crossed)
    repeatability(crossed, 1)
    heritability(crossed, 1, type = "cullis", level = 0.9)
    repeatability(fit, methods = "boot")
  })
})
