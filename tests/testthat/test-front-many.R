test_that("many responses are the fits of each", {
  for (name in c("weighted", "offset", "deficient", "crossed", "missing")) {
    fit <- our_twin(name)
    responses <- simulate(fit, 4, seed = 3)
    many <- refit(fit, responses)
    expect_s3_class(many, "lmm_many")
    for (i in c(1, 4)) {
      one <- suppressMessages(refit(fit, responses[[i]]))
      info <- paste(name, i)
      kept <- !is.na(many$coefficients[, i])
      expect_equal(unname(fixef(one)), unname(many$coefficients[kept, i]), tolerance = 1e-8,
                   info = info)
      expect_equal(unname(many$theta[, i]), unname(one$theta), tolerance = 1e-6, info = info)
      expect_equal(many$sigma[[i]], sigma(one), info = info)
      expect_equal(many$criterion[[i]], one$criterion, info = info)
      expect_equal(
        unname(many$sdcor[, i]), as.data.frame(VarCorr(one), order = "lower.tri")$sdcor,
        tolerance = 1e-6, info = info
      )
      expect_equal(
        unname(many$se[kept, i]), unname(sqrt(diag(vcov(one)))),
        tolerance = 1e-6, info = info
      )
      expect_identical(many$status[[i]], one$certificate$status, info = info)
    }
  }
})

test_that("t tests by Satterthwaite's method", {
  fit <- our_twin("slope")
  responses <- simulate(fit, 3, seed = 1)
  many <- refit(fit, as.matrix(responses))
  one <- refit(fit, responses[[2]])
  pieces <- engine_inference(engine_satterthwaite, one)
  v <- diag(vcov(one))
  gradient <- apply(array(pieces$vcov_gradient, c(2, 2, 4)), 3, diag)
  expect_equal(
    unname(many$df[, 2]), unname(2 * v^2 / rowSums((gradient %*% pieces$covariance) * gradient)),
    tolerance = 1e-5
  )
  expect_equal(many$statistic[, 2], fixef(one) / sqrt(v), tolerance = 1e-6)
  expect_equal(many$p.value[, 2], 2 * pt(-abs(many$statistic[, 2]), many$df[, 2]))
  expect_true(all(is.na(refit(fit, responses, ddf = "none")$df)))
})

# Data of two crossed factors, small enough that levels disappear with missing values
many_data <- function(seed, n = 60L) {
  set.seed(seed)
  data <- data.frame(
    x = rnorm(n), arm = factor(sample(c("a", "b", "c"), n, TRUE)),
    donor = factor(sample(12L, n, TRUE)), batch = factor(sample(5L, n, TRUE))
  )
  effects <- rnorm(12L)[data$donor] + 0.5 * rnorm(5L)[data$batch]
  data$y <- 1 + data$x + effects + rnorm(n)
  data
}

# The rows of a response by lmm(), with weights in `w`
single_fit <- function(formula, data, y, w = NULL) {
  data$y <- y
  data$w <- if (is.null(w)) rep(1, nrow(data)) else w
  kept <- is.finite(y) & data$w > 0
  call <- if (is.null(w)) {
    bquote(lmm(.(formula), data[kept, , drop = FALSE]))
  } else {
    bquote(lmm(.(formula), data[kept, , drop = FALSE], weights = w))
  }
  tryCatch(suppressWarnings(suppressMessages(eval(call))), ferrolmm_error = identity)
}

# Is response i what the fit `one` says?
expect_single <- function(many, i, one, info, tolerance = 1e-6) {
  same <- function(a, b, scale = pmax(abs(b), 1e-3)) {
    expect_lt(max(abs(unname(a) - unname(b)) / scale), tolerance, label = info)
  }
  same(many$criterion[[i]], one$criterion)
  same(many$sigma[[i]], one$sigma)
  same(many$coefficients[, i], fixef(one), max(abs(fixef(one))))
  same(many$se[, i], sqrt(diag(vcov(one))))
  expect_lt(max(abs(many$theta[, i] - one$theta)), 1e-4, label = info)
  same(many$df[, i], coef(summary(one))[, "df"], 100 * coef(summary(one))[, "df"])
  expect_identical(many$nobs[[i]], nobs(one), info = info)
}

test_that("responses with missing values and weights are fits of their rows", {
  compared <- failed <- 0
  for (seed in 1:8) {
    data <- many_data(seed)
    n <- nrow(data)
    formula <- if (seed %% 2L) y ~ x + (1 | donor) + (1 | batch) else y ~ x + (x | batch)
    fit <- suppressMessages(eval(bquote(lmm(.(formula), data))))
    m <- 10L
    Y <- as.matrix(simulate(fit, m, seed = seed))
    # patterns: none missing, one that two share, few, whole levels, most, all
    Y[c(2, 7, 30), 2:3] <- NA
    for (i in 4:6) Y[sample(n, 5L * i), i] <- c(NA, NaN, Inf)[[i - 3L]]
    Y[data$batch == 2, 7] <- NA
    Y[data$batch != 2, 8] <- NA
    Y[-(1:3), 9] <- NA
    Y[, 10] <- NA
    W <- matrix(rexp(n * m) + 0.2, n)
    W[sample(length(W), 20)] <- 0
    for (weights in list(NULL, W)) {
      many <- refit(fit, Y, weights = weights)
      for (i in seq_len(m)) {
        one <- single_fit(formula, data, Y[, i], if (!is.null(weights)) weights[, i])
        info <- paste(seed, i, is.null(weights))
        if (inherits(one, "condition")) {
          failed <- failed + 1
          expect_identical(many$status[[i]], "failed", info = info)
          expect_true(nzchar(many$message[[i]]), info = info)
          expect_true(all(is.na(c(many$coefficients[, i], many$sdcor[, i], many$criterion[[i]]))))
        } else if (one$certificate$status %in% c("converged", "singular")) {
          compared <- compared + 1
          expect_single(many, i, one, info)
        }
      }
    }
  }
  expect_gt(compared, 80)
  expect_gt(failed, 20)
})

test_that("one failing response leaves the others as they are; the reason is told", {
  data <- many_data(3)
  fit <- lmm(y ~ x + (1 | donor) + (1 | batch), data)
  Y <- as.matrix(simulate(fit, 4, seed = 1))
  whole <- refit(fit, Y)
  Y[, 2] <- 7
  Y[-1, 4] <- NA
  many <- refit(fit, Y)
  expect_identical(many$status[c(2, 4)], c(sim_2 = "failed", sim_4 = "failed"))
  expect_match(many$message[[2]], "exactly")
  expect_true(nzchar(many$message[[4]]))
  expect_identical(many$coefficients[, c(1, 3)], whole$coefficients[, c(1, 3)])
  expect_output(print(many), "failed 2.*exactly")
  table <- top_table(many, "x")
  expect_identical(table$converged, c(TRUE, TRUE, FALSE, FALSE))
  expect_identical(tail(table$message, 2) != "", c(TRUE, TRUE))
})

test_that("a coefficient that the rows of a response do not determine is NA", {
  data <- many_data(5, 80L)
  fit <- lmm(y ~ arm + x + (1 | donor), data)
  Y <- as.matrix(simulate(fit, 3, seed = 1))
  Y[data$arm == "a", 1] <- NA
  Y[data$arm == "c", 2] <- NA
  many <- refit(fit, Y, contrasts = rbind(
    "b - c" = c(0, 1, -1, 0), b = c(0, 1, 0, 0), "mean b" = c(1, 1, 0, 0)
  ))
  # without arm a, its difference from b and c, and its mean, are not determined
  expect_identical(is.na(many$coefficients[, 1]),
                   c("(Intercept)" = TRUE, armb = TRUE, armc = TRUE, x = FALSE))
  rest <- transform(data, y = Y[, 1])[data$arm != "a", ]
  one <- lmm(y ~ arm + x + (1 | donor), rest)
  expect_equal(many$coefficients[["x", 1]], fixef(one)[["x"]], tolerance = 1e-7)
  expect_equal(many$se[["x", 1]], sqrt(vcov(one)["x", "x"]), tolerance = 1e-6)
  expect_equal(many$contrasts$estimate[["b - c", 1]], -fixef(one)[["armc"]], tolerance = 1e-7)
  expect_equal(many$contrasts$se[["b - c", 1]], sqrt(vcov(one)["armc", "armc"]), tolerance = 1e-6)
  expect_equal(many$contrasts$df[["b - c", 1]], coef(summary(one))["armc", "df"],
               tolerance = 1e-5)
  expect_true(is.na(many$contrasts$estimate[["b", 1]]))
  expect_equal(many$contrasts$estimate[["mean b", 1]], fixef(one)[["(Intercept)"]],
               tolerance = 1e-7)
  expect_identical(is.na(many$coefficients[, 2]),
                   c("(Intercept)" = FALSE, armb = FALSE, armc = TRUE, x = FALSE))
  expect_false(anyNA(many$contrasts$estimate[, 3]))
  # contrasts are what contest() says of a single fit
  one <- contest(refit(fit, Y[, 3]), c(0, 1, -1, 0), joint = FALSE)
  expect_equal(many$contrasts$estimate[["b - c", 3]], one[["Estimate"]], tolerance = 1e-7)
  expect_equal(many$contrasts$p.value[["b - c", 3]], one[["Pr(>|t|)"]], tolerance = 1e-5)
  table <- as.data.frame(many, effects = "contrasts")
  expect_identical(table$term[1:3], c("b - c", "b", "mean b"))
  expect_error(as.data.frame(refit(fit, Y), effects = "contrasts"), "no contrasts")
})

test_that("weights of responses are those of update(), and take the place of the fit's", {
  fit <- our_twin("weighted")
  n <- nobs(fit)
  Y <- as.matrix(simulate(fit, 2, seed = 3))
  w <- weights(fit)
  expect_equal(refit(fit, Y, weights = cbind(w, w))$criterion, refit(fit, Y)$criterion,
               tolerance = 1e-10)
  other <- refit(fit, Y, weights = matrix(1, n, 2))
  plain <- refit(our_twin("slope"), Y)
  expect_equal(other$criterion, plain$criterion, tolerance = 1e-10)
  expect_equal(other$theta, plain$theta, tolerance = 1e-6)
})

test_that("values far from 1 are no matter", {
  fit <- our_twin("crossed")
  y <- as.matrix(simulate(fit, 1, seed = 1))
  many <- refit(fit, cbind(y, 1e160 * y, 1e-160 * y))
  expect_equal(many$sigma[[2]], 1e160 * many$sigma[[1]], tolerance = 1e-7)
  expect_equal(many$coefficients[[1, 3]], 1e-160 * many$coefficients[[1, 1]], tolerance = 1e-7)
  expect_equal(many$df[[1, 2]], many$df[[1, 1]], tolerance = 1e-5)
})

test_that("a model that takes all of its rows leaves responses with missing values out", {
  fit <- lmm(distance ~ age, nlme::Orthodont, residual = ~ cs(1 | Subject))
  Y <- as.matrix(simulate(fit, 3, seed = 1))
  whole <- refit(fit, Y)
  Y[5, 2] <- NA
  expect_message(many <- refit(fit, Y), "1 response of 3", class = "ferrolmm_message_missing")
  expect_identical(many$status[[2]], "missing")
  expect_true(all(is.na(c(many$coefficients[, 2], many$sdcor[, 2], many$criterion[2]))))
  expect_identical(many$coefficients[, -2], whole$coefficients[, -2])
  expect_error(refit(fit, Y, weights = Y), "residual structure", class = "ferrolmm_error_weights")
  expect_error(moderate(many), "degrees of freedom")
})

test_that("other models that take all of their rows", {
  data <- many_data(7, 80L)
  data$z <- factor(rep_len(c("u", "v"), 12L))[data$donor]
  data$other <- factor(rev(as.integer(data$donor)), levels = 1:12)
  fits <- list(
    smooth = lmm(y ~ s(x, k = 5) + (1 | donor), data),
    members = lmm(y ~ x + (1 | mm(donor, other)), data),
    classes = suppressMessages(lmm(y ~ x + us(1 | donor, by = z), data))
  )
  for (name in names(fits)) {
    fit <- fits[[name]]
    Y <- as.matrix(simulate(fit, 2, seed = 1))
    Y[3, 2] <- NA
    expect_message(many <- refit(fit, Y), class = "ferrolmm_message_missing")
    expect_identical(unname(many$status == "missing"), c(FALSE, TRUE), info = name)
    one <- suppressMessages(refit(fit, Y[, 1]))
    expect_equal(many$criterion[[1]], one$criterion, tolerance = 1e-8, info = name)
    expect_error(refit(fit, Y, weights = abs(Y)), class = "ferrolmm_error_weights", info = name)
  }
})

test_that("no response, and a search that ends early", {
  fit <- our_twin("slope")
  Y <- as.matrix(simulate(fit, 2, seed = 1))
  expect_error(refit(fit, Y[, 0], weights = Y[, 0]), "no column", class = "ferrolmm_error_argument")
  many <- refit(fit, Y, control = lmm_control(max_evaluations = 2))
  expect_identical(unname(many$status), rep("iteration-limit", 2))
  expect_match(many$message, "out of evaluations")
  expect_true(all(is.na(top_table(many)$p.value)))
})

test_that("weights and contrasts that do not fit are errors", {
  fit <- our_twin("slope")
  Y <- as.matrix(simulate(fit, 2, seed = 1))
  W <- matrix(1, 180, 2)
  wrong <- function(weights) refit(fit, Y, weights = weights)
  expect_error(wrong(W[-1, ]), "179 rows", class = "ferrolmm_error_weights")
  expect_error(wrong(W[, 1]), "matrix", class = "ferrolmm_error_weights")
  expect_error(wrong(replace(W, 3, -1)), "`sim_1`", class = "ferrolmm_error_weights")
  expect_error(wrong(replace(W, 200, NA)), "`sim_2`", class = "ferrolmm_error_weights")
  expect_error(wrong(`colnames<-`(W, c("sim_2", "sim_1"))), "another order",
               class = "ferrolmm_error_weights")
  expect_error(refit(fit, `rownames<-`(Y, 180:1)), "another order",
               class = "ferrolmm_error_argument")
  expect_error(refit(fit, Y[, 1], weights = W[, 1]), "matrix of responses",
               class = "ferrolmm_error_argument")
  expect_error(refit(fit, Y, contrasts = 1:3), "2 coefficients", class = "ferrolmm_error_argument")
  expect_error(refit(fit, Y, contrasts = c(days = 1)), "`days`", class = "ferrolmm_error_argument")
  expect_error(refit(our_twin("deficient"), Y, contrasts = c("I(2 * Days)" = 1)),
               "does not determine", class = "ferrolmm_error_argument")
  # a weight of a value that is missing does not matter
  Y[1, 1] <- NA
  expect_identical(wrong(replace(W, 1, NA))$status[[1]], "converged")
  # one response
  expect_s3_class(refit(fit, Y[, 1, drop = FALSE], weights = W[, 1, drop = FALSE]), "lmm_many")
})

test_that("names of responses may be anything", {
  fit <- our_twin("crossed")
  Y <- as.matrix(simulate(fit, 4, seed = 1))
  colnames(Y) <- c("%s %d", "a", "a", NA)
  many <- refit(fit, Y)
  expect_identical(names(many$sigma), c("%s %d", "a", "a", "y4"))
  expect_output(print(many), "%s %d", fixed = TRUE)
  table <- top_table(many, sort = "none")
  expect_identical(table$response, c("%s %d", "a", "a", "y4"))
  expect_equal(table$estimate, unname(many$coefficients[1, ]))
  expect_identical(names(refit(fit, unname(Y))$sigma), paste0("y", 1:4))
  frame <- as.data.frame(unname(Y))
  expect_equal(unname(refit(fit, frame)$sigma), unname(many$sigma))
})

test_that("the table is sorted, filtered and adjusted", {
  data <- many_data(2)
  fit <- lmm(y ~ x + (1 | donor), data)
  Y <- as.matrix(simulate(fit, 30, seed = 2))
  many <- refit(fit, Y)
  all <- top_table(many, "x", n = Inf)
  expect_false(is.unsorted(all$p.value))
  expect_identical(all$p.adjusted, p.adjust(all$p.value, "BH"))
  expect_identical(top_table(many, n = 4), all[1:4, ])
  few <- top_table(many, "x", max_p = 0.01, adjust = "bonferroni", n = Inf)
  expect_true(all(few$p.adjusted <= 0.01))
  expect_identical(nrow(few), sum(p.adjust(all$p.value, "bonferroni") <= 0.01))
  expect_false(is.unsorted(rev(abs(top_table(many, sort = "estimate", n = Inf)$estimate))))
  expect_identical(top_table(many, sort = "none", n = Inf)$response, colnames(Y))
  expect_error(top_table(many, "z"), "`x`", class = "ferrolmm_error_argument")
  expect_error(top_table(many, max_p = 2), "0 to 1", class = "ferrolmm_error_argument")
  expect_error(top_table(fit), "many responses", class = "ferrolmm_error_argument")
})

test_that("rows that were left out may be there or not", {
  fit <- our_twin("missing")
  y <- cbind(a = twin_data()$sleepstudy$Reaction, b = twin_data()$sleepstudy$Days)
  expect_equal(refit(fit, y)$sigma, refit(fit, y[-c(3, 50, 120), ])$sigma)
})

test_that("coef(), as.data.frame() and print() of many fits", {
  fit <- our_twin("slope")
  many <- refit(fit, simulate(fit, 8, seed = 1))
  expect_identical(dim(coef(many)), c(8L, 2L))
  expect_identical(coef(many)["sim_3", "Days"], many$coefficients["Days", "sim_3"])
  table <- as.data.frame(many)
  expect_named(table, c("response", "term", "estimate", "std.error", "df", "statistic", "p.value"))
  expect_identical(table$estimate[table$response == "sim_5" & table$term == "Days"],
                   many$coefficients[["Days", "sim_5"]])
  parts <- as.data.frame(many, effects = "ran_pars")
  expect_identical(parts$term[1:4], c("sd_(Intercept)|Subject", "cor_Days.(Intercept)|Subject",
                                      "sd_Days|Subject", "sigma"))
  expect_output(print(many), "8 fits by REML.*2 more responses.*top_table")
})

test_that("responses that do not fit are errors; one column is one fit", {
  fit <- our_twin("slope")
  expect_error(refit(fit, matrix(0, 3, 2)), "3 rows", class = "ferrolmm_error_argument")
  expect_error(refit(fit, matrix("a", 180, 2)), "numeric", class = "ferrolmm_error_argument")
  expect_error(refit(fit, data.frame(a = 1:180, b = "x")), "`b`",
               class = "ferrolmm_error_argument")
  expect_s3_class(refit(fit, matrix(twin_data()$sleepstudy$Reaction)), "lmm")
})
