trial_visits <- function(subjects = levels(nlme::Orthodont$Subject)) {
  data <- as.data.frame(nlme::Orthodont)
  data$visit <- factor(data$age)
  data <- data[data$Subject %in% subjects, ]
  data$Subject <- factor(data$Subject, ordered = FALSE)
  data
}

test_that("the first structure is taken, without a word, where it is sound", {
  data <- trial_visits()
  expect_no_message(
    fit <- lmm_fallback(distance ~ Sex * visit, data, residual = ~ us(visit | Subject))
  )
  same <- lmm(distance ~ Sex * visit, data, residual = ~ us(visit | Subject))
  expect_identical(fit$phi, same$phi)
  expect_identical(fit$call, same$call)
  expect_equal(logLik(update(fit, REML = FALSE)), logLik(update(same, REML = FALSE)))
})

test_that("otherwise the next one, and a message says why", {
  few <- trial_visits(c("M01", "M02", "F01", "F02"))
  said <- NULL
  fit <- withCallingHandlers(
    lmm_fallback(distance ~ Sex + age, few, residual = ~ us(visit | Subject), REML = FALSE),
    ferrolmm_message_fallback = function(m) {
      said <<- conditionMessage(m)
      invokeRestart("muffleMessage")
    }
  )
  expect_match(said, "The covariance structure is")
  expect_match(said, "us():", fixed = TRUE)
  expect_identical(fit$certificate$status, "converged")
  expect_false(fit$REML)
  expect_false(identical(deparse(fit$call$residual[[2L]][[1L]]), "us"))
  # arguments reach lmm() as they were written
  w <- rep(1:2, length.out = nrow(few))
  weighted <- suppressMessages(
    lmm_fallback(distance ~ age, few, ~ us(visit | Subject), c("us", "cs"), weights = w)
  )
  expect_identical(weighted$prior.weights, as.double(w))
})

test_that("wrong use and hopeless data are errors", {
  data <- trial_visits()
  two <- data[data$visit %in% c("8", "10") & data$Subject %in% c("M01", "M02"), ]
  expect_error(
    suppressMessages(lmm_fallback(distance ~ Sex * visit, two, residual = ~ us(visit | Subject))),
    class = "ferrolmm_error"
  )
  expect_snapshot(error = TRUE, {
    lmm_fallback(distance ~ visit, data)
    lmm_fallback(distance ~ visit, data, residual = ~ visit | Subject)
    lmm_fallback(distance ~ visit, data, residual = ~ us(visit | Subject), structures = "un")
    lmm_fallback(distance ~ visit, data, residual = ~ us(visit | Subject), structures = 1)
    lmm_fallback(distance ~ visit, data, residual = ~ us(visit | Subject), family = "x")
    lmm_fallback(distance ~ visit_nr, data, residual = ~ us(visit | Subject))
  })
})

test_that("arguments come through the dots of another function as they do in lmm()", {
  data <- trial_visits()
  wrapper <- function(d, ...) {
    lmm_fallback(distance ~ Sex, d, ...)
  }
  fit <- wrapper(data, residual = ~ us(visit | Subject), weights = age)
  expect_identical(fit$prior.weights, data$age)
  same <- lmm(distance ~ Sex, data, residual = ~ us(visit | Subject), weights = age)
  expect_equal(logLik(fit), logLik(same))
  whole <- function(...) lmm_fallback(..., residual = ~ us(visit | Subject))
  fit <- whole(distance ~ Sex, data)
  expect_identical(fit$call$data, quote(data))
  expect_equal(logLik(update(fit, . ~ . + age)),
               logLik(lmm(distance ~ Sex + age, data, residual = ~ us(visit | Subject))))
  # what is wrong with the data is no reason to fall back
  twice <- rbind(data, data[1, ])
  expect_error(lmm_fallback(distance ~ Sex, twice, residual = ~ us(visit | Subject)),
               class = "ferrolmm_error_duplicate_position")
})
