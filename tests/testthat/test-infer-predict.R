for (name in setdiff(names(twin_calls), "missing")) {
  test_that(paste0("standard errors are Henderson's, densely: ", name), {
    fit <- our_twin(name)
    model <- dense_model(fit)
    variance <- rowSums((model$t %*% model$inverse) * model$t)
    expect_equal(unname(predict(fit, se.fit = TRUE)$se.fit), sigma(fit) * sqrt(variance))
    x <- model$t
    x[, model$p + seq_len(ncol(model$lambda))] <- 0
    expect_equal(
      unname(predict(fit, se.fit = TRUE, re.form = NA)$se.fit),
      sigma(fit) * sqrt(rowSums((x %*% model$inverse) * x))
    )
    z <- model$t
    z[, seq_len(model$p)] <- 0
    expect_equal(
      unname(predict(fit, se.fit = TRUE, random.only = TRUE)$se.fit),
      sigma(fit) * sqrt(rowSums((z %*% model$inverse) * z))
    )
    data <- list2env(twin_data())
    rows <- eval(twin_calls[[name]][[3]], data)[c(2, 11, 60), ]
    if (name != "no_fixed") {
      expect_equal(
        unname(predict(fit, rows, se.fit = TRUE)$se.fit),
        sigma(fit) * sqrt(variance[c(2, 11, 60)])
      )
    }
  })
}

test_that("some of the random effects have standard errors of their own", {
  fit <- our_twin("slope")
  joint <- vcov(fit, full = TRUE)
  new <- data.frame(Days = 3, Subject = "309")
  found <- predict(fit, new, re.form = ~ (0 + Days | Subject), se.fit = TRUE)
  weights <- numeric(nrow(joint))
  names(weights) <- rownames(joint)
  weights[c("(Intercept)", "Days", "Subject.309.Days")] <- c(1, 3, 3)
  expect_equal(found$se.fit[[1]]^2, drop(weights %*% joint %*% weights))
  crossed <- our_twin("crossed")
  joint <- vcov(crossed, full = TRUE)
  found <- predict(
    crossed, data.frame(sample = "B"), re.form = ~ (1 | sample), se.fit = TRUE
  )
  pair <- c("(Intercept)", "sample.B.(Intercept)")
  expect_equal(found$se.fit[[1]]^2, sum(joint[pair, pair]))
})

test_that("a new level varies with G, a known one does not", {
  fit <- our_twin("slope")
  new <- data.frame(Days = 1, Subject = c("308", "new", NA))
  found <- predict(fit, new, allow.new.levels = TRUE, se.fit = TRUE)
  expect_equal(found$se.fit[[1]], 10.54338, tolerance = 1e-5)
  expect_equal(found$se.fit[[2]], 26.692, tolerance = 1e-4)
  expect_identical(found$se.fit[[3]], found$se.fit[[2]])
  z <- c(1, 1)
  g <- unclass(VarCorr(fit)$Subject)[1:2, 1:2]
  expect_equal(
    found$se.fit[[2]]^2, drop(z %*% vcov(fit) %*% z + z %*% g %*% z), ignore_attr = TRUE
  )
  population <- predict(fit, new[1, ], re.form = NA, se.fit = TRUE)
  expect_equal(population$se.fit[[1]], 6.787, tolerance = 1e-4)
  # one factor known, the other one new: the known one's uncertainty and the new one's variance
  crossed <- our_twin("crossed")
  new <- data.frame(plate = "new", sample = "A")
  expect_equal(
    predict(crossed, new, allow.new.levels = TRUE, se.fit = TRUE)$se.fit[[1]]^2,
    predict(crossed, new, re.form = ~ (1 | sample), se.fit = TRUE)$se.fit[[1]]^2 +
      VarCorr(crossed)$plate[1]
  )
})

test_that("intervals are quantiles around the prediction", {
  fit <- our_twin("weighted")
  new <- data.frame(Days = c(1, 5), Subject = c("308", "309"))
  found <- predict(fit, new, se.fit = TRUE)
  normal <- predict(fit, new, interval = "confidence", ddf = "asymptotic", level = 0.9)
  expect_identical(dimnames(normal), list(c("1", "2"), c("fit", "lwr", "upr")))
  expect_equal(normal[, "upr"], found$fit + qnorm(0.95) * found$se.fit)
  expect_equal(normal[, "lwr"], found$fit - qnorm(0.95) * found$se.fit)
  wider <- predict(fit, new, interval = "prediction", ddf = "asymptotic", level = 0.9,
                   weights = c(1, 4), se.fit = TRUE)
  expect_identical(wider$se.fit, found$se.fit)
  expect_equal(
    wider$fit[, "upr"],
    found$fit + qnorm(0.95) * sqrt(found$se.fit^2 + sigma(fit)^2 / c(1, 4))
  )
  # the rows of the fit have its weights
  training <- predict(fit, interval = "prediction", ddf = "asymptotic", se.fit = TRUE)
  expect_equal(
    unname(training$fit[, "upr"]),
    unname(fitted(fit) + qnorm(0.975) *
             sqrt(training$se.fit^2 + sigma(fit)^2 / twin_data()$sleepstudy$w))
  )
  # t has longer tails, the longer the less is known
  t <- predict(fit, new, interval = "confidence", level = 0.9)
  expect_true(all(t[, "upr"] > normal[, "upr"]))
})

test_that("degrees of freedom are Satterthwaite's", {
  # a balanced design, where they are known: the mean of g groups of m has g - 1
  set.seed(7)
  data <- data.frame(g = factor(rep(1:8, each = 5)))
  data$y <- rnorm(8, sd = 3)[data$g] + rnorm(40)
  fit <- lmm(y ~ 1 + (1 | g), data)
  found <- predict(fit, data[1, , drop = FALSE], re.form = NA, interval = "confidence",
                   se.fit = TRUE)
  expect_equal(
    found$fit[[1, "upr"]], found$fit[[1, "fit"]] + qt(0.975, 7) * found$se.fit[[1]],
    tolerance = 1e-5
  )
  # a new group: Var = sigma_g^2 (1 + 1/8) + sigma^2/40, that is (9/8) MSB/5 - MSE (1/5)
  msb <- 5 * var(tapply(data$y, data$g, mean))
  mse <- sum((data$y - ave(data$y, data$g))^2) / 32
  parts <- c(msb * 9 / 40, -mse / 5)
  df <- sum(parts)^2 / sum(parts^2 / c(7, 32))
  new <- predict(fit, data.frame(g = "new"), allow.new.levels = TRUE, interval = "confidence",
                 se.fit = TRUE)
  expect_equal(new$se.fit[[1]]^2, sum(parts), tolerance = 1e-6)
  expect_equal(
    new$fit[[1, "upr"]], new$fit[[1, "fit"]] + qt(0.975, df) * new$se.fit[[1]], tolerance = 1e-5
  )
})

test_that("intervals exist where parameters are held or tied", {
  s <- lme4::sleepstudy
  held <- lmm(
    Reaction ~ Days + (1 | Subject), s, control = lmm_control(hold = c("Subject.(Intercept)" = 2))
  )
  # what is left to estimate is sigma, on n - p degrees of freedom
  found <- predict(held, re.form = NA, se.fit = TRUE, interval = "confidence")
  half <- stats::qt(0.975, nrow(s) - 2) * found$se.fit
  expect_equal(found$fit[, "upr"] - found$fit[, "fit"], half, tolerance = 1e-7)
  tied <- lmm(
    Reaction ~ Days + (Days || Subject), s,
    control = lmm_control(tie = list(c("Subject.(Intercept)", "Subject.Days")))
  )
  same <- lmm(Reaction ~ Days + homdiag(Days | Subject), s)
  for (interval in c("confidence", "prediction")) {
    expect_equal(predict(tied, s[1:3, ], interval = interval),
                 predict(same, s[1:3, ], interval = interval), tolerance = 1e-5)
  }
})

test_that("what nothing estimated is in has an interval without width", {
  data(Orthodont, package = "nlme", envir = environment())
  d <- as.data.frame(Orthodont)
  fit <- lmm(distance ~ 0 + (1 | Subject), d)
  found <- predict(fit, d[1:2, ], re.form = NA, se.fit = TRUE, interval = "confidence")
  expect_equal(unname(found$fit), matrix(0, 2, 3))
  expect_equal(unname(found$se.fit), c(0, 0))
})

test_that("intervals exist at the boundary", {
  set.seed(1)
  data <- data.frame(g = gl(6, 5), x = rnorm(30), y = rnorm(30))
  fit <- suppressMessages(lmm(y ~ x + (1 | g), data))
  expect_true(isSingular(fit))
  found <- predict(fit, data[1:3, ], interval = "prediction")
  plain <- predict(lm(y ~ x, data), data[1:3, ], interval = "prediction")
  expect_equal(unname(found), unname(plain), tolerance = 1e-4)
})

test_that("missing values and no rows, with uncertainty", {
  fit <- our_twin("slope")
  new <- data.frame(Days = c(1, NA, 3), Subject = "308")
  found <- predict(fit, new, se.fit = TRUE, interval = "confidence")
  expect_identical(unname(is.na(found$fit[, "lwr"])), c(FALSE, TRUE, FALSE))
  expect_identical(unname(is.na(found$se.fit)), c(FALSE, TRUE, FALSE))
  left <- predict(fit, new, se.fit = TRUE, interval = "prediction", na.action = na.omit,
                  weights = 1:3)
  expect_identical(rownames(left$fit), c("1", "3"))
  padded <- predict(fit, new, interval = "prediction", na.action = na.exclude)
  expect_identical(dim(padded), c(3L, 3L))
  none <- predict(fit, new[0, ], se.fit = TRUE, interval = "confidence")
  expect_identical(dim(none$fit), c(0L, 3L))
  expect_length(none$se.fit, 0)
  expect_identical(
    dim(predict(our_twin("missing"), interval = "confidence")), c(180L, 3L)
  )
})

test_that("wrong arguments of the uncertainty are named", {
  fit <- our_twin("slope")
  expect_error(predict(fit, se.fit = NA), "se.fit", class = "ferrolmm_error_argument")
  expect_error(predict(fit, interval = "both"), "interval", class = "ferrolmm_error_argument")
  expect_error(
    predict(fit, interval = "confidence", level = 95), "level", class = "ferrolmm_error_argument"
  )
  expect_error(predict(fit, level = 2), "level", class = "ferrolmm_error_argument")
  expect_error(
    predict(fit, interval = "confidence", ddf = "containment"), "ddf",
    class = "ferrolmm_error_argument"
  )
  expect_error(
    predict(fit, interval = "prediction", weights = 1:7), "weights",
    class = "ferrolmm_error_argument"
  )
  expect_error(
    predict(fit, interval = "prediction", weights = -1), "weights",
    class = "ferrolmm_error_argument"
  )
})

test_that("a new level varies as its effects do, beside a residual structure too", {
  data(Orthodont, package = "nlme", envir = environment())
  d <- as.data.frame(Orthodont)
  d$arm <- rep(letters[1:9], each = 4L, length.out = nrow(d))
  fit <- lmm(distance ~ age + cs(age | arm) + (1 | Subject), d, REML = FALSE,
             correlation = corAR1(form = ~ 1 | Subject))
  new <- data.frame(age = 10, arm = "other", Subject = "new")
  expect_no_warning(found <- predict(fit, new, allow.new.levels = TRUE, se.fit = TRUE))
  x <- c(1, 10)
  variance <- drop(x %*% vcov(fit) %*% x) + drop(x %*% VarCorr(fit)$arm %*% x) +
    as.numeric(VarCorr(fit)$Subject)
  expect_equal(unname(found$se.fit), sqrt(variance), tolerance = 1e-8)
})

test_that("an effect that is held at zero adds nothing to standard errors, however small", {
  d <- nlme::Orthodont
  fit <- lmm(distance ~ 0 + age + (1 | Subject), d, control = lmm_control(
    hold = c("Subject.(Intercept)" = 0)
  ))
  # the standard error of a mean near zero is as small as its predictor
  for (age in 10^-(1:7)) {
    new <- data.frame(age = age, Subject = "M01")
    found <- predict(fit, new, se.fit = TRUE)$se.fit
    expect_equal(found[[1L]], age * sqrt(vcov(fit)[1L]), tolerance = 1e-10)
  }
})
