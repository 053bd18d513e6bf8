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

test_that("a response with missing values is NA, with a message; the others are fitted", {
  fit <- our_twin("crossed")
  responses <- as.matrix(simulate(fit, 3, seed = 1))
  whole <- refit(fit, responses)
  responses[5, 2] <- NA
  expect_message(many <- refit(fit, responses), "1 response of 3",
                 class = "ferrolmm_message_missing")
  expect_identical(many$status[[2]], "missing")
  expect_true(all(is.na(c(many$coefficients[, 2], many$sdcor[, 2], many$criterion[2]))))
  expect_identical(many$coefficients[, -2], whole$coefficients[, -2])
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
  expect_output(print(many), "8 fits by REML.*2 more responses")
})

test_that("responses that do not fit are errors; one column is one fit", {
  fit <- our_twin("slope")
  expect_error(refit(fit, matrix(0, 3, 2)), "3 rows", class = "ferrolmm_error_argument")
  expect_error(refit(fit, matrix("a", 180, 2)), "numeric", class = "ferrolmm_error_argument")
  expect_error(refit(fit, data.frame(a = 1:180, b = "x")), "`b`",
               class = "ferrolmm_error_argument")
  expect_s3_class(refit(fit, matrix(twin_data()$sleepstudy$Reaction)), "lmm")
})
