# Which weights rows and levels have.

test_that("conditional and overall weights, scaling, names and levels without weights", {
  d <- survey_data(7)
  fit <- function(...) {
    lmm(y ~ x + (1 | district) + (1 | school), d, REML = FALSE, weights = sampling_weights(...))
  }
  same <- function(a, b) {
    expect_equal(fixef(a), fixef(b), tolerance = 1e-7)
    expect_equal(a$theta, b$theta, tolerance = 1e-6)
    expect_equal(vcov(a), vcov(b), tolerance = 1e-5)
  }
  own <- fit(d$w1, school = d$w2, district = d$w3)
  d$all <- d$w1 * d$w2 * d$w3
  d$of_school <- d$w2 * d$w3
  overall <- fit(d$all, school = d$of_school, district = d$w3, conditional = FALSE)
  same(own, overall)
  expect_equal(own$criterion, overall$criterion)
  expect_equal(weights(own), d$all)
  # a constant in the weights of districts changes nothing else
  times <- fit(d$w1, school = d$w2, district = 7 * d$w3)
  same(own, times)
  expect_equal(times$criterion, 7 * own$criterion)
  # as other programs scale them
  sums <- ave(d$w1, d$school, FUN = sum)
  size <- fit(d$w1, school = d$w2, district = d$w3, scale = "size")
  same(size, fit(d$w1 / sums * 4, school = d$w2, district = d$w3))
  squares <- ave(d$w1^2, d$school, FUN = sum)
  effective <- fit(d$w1, school = d$w2, district = d$w3, scale = "effective")
  same(effective, fit(d$w1 * sums / squares, school = d$w2, district = d$w3))
  same(fit(district = d$w3), fit(rep(1, nrow(d)), school = rep(1, nrow(d)), district = d$w3))
  # classes of schools that are numbered anew in each district
  d$class <- factor(as.integer(d$school) %% 3)
  slash <- lmm(y ~ x + (1 | district / class), d, REML = FALSE,
               weights = sampling_weights(w1, class = w2, district = w3))
  expect_equal(fixef(slash), fixef(own), tolerance = 1e-6)
})

test_that("rows without weight are left out, missing ones are missing values", {
  d <- survey_data(9)
  d$w1[c(3, 10)] <- 0
  d$w2[d$school == d$school[20]] <- 0
  w <- function(d, ...) {
    lmm(y ~ x + (1 | school), d, REML = FALSE, weights = sampling_weights(w1, school = w2), ...)
  }
  used <- droplevels(d[d$w1 > 0 & d$w2 > 0, ])
  expect_equal(fixef(w(d)), fixef(w(used)))
  expect_equal(nobs(w(d)), nrow(used))
  d <- survey_data(9)
  d$w1[5] <- NA
  expect_equal(fixef(w(d)), fixef(w(d[-5, ])))
  expect_length(w(d)$na.action, 1)
  expect_equal(fixef(w(d, subset = x > -1)), fixef(w(droplevels(d[d$x > -1 & !is.na(d$w1), ]))))
  expect_equal(vcov(update(w(d), . ~ . - x)),
               vcov(lmm(y ~ 1 + (1 | school), d, REML = FALSE,
                        weights = sampling_weights(w1, school = w2))))
})

test_that("what weights cannot be is an error that says it", {
  d <- survey_data(13)
  d$crossed <- factor(rep(1:6, length.out = nrow(d)))
  fit <- function(formula = y ~ x + (1 | school), ..., w = sampling_weights(w1, school = w2)) {
    eval(substitute(lmm(formula, d, ..., weights = w), list(w = substitute(w), formula = formula)))
  }
  refused <- function(code, class, text) {
    error <- expect_error(code, class = paste0("ferrolmm_error_", class))
    expect_match(conditionMessage(error), text, fixed = TRUE)
  }
  refused(fit(), "sampling", "`REML = FALSE`")
  d$w2[1] <- 9
  refused(fit(REML = FALSE), "weights", "`school` differ within its group \"1 1\"")
  d <- survey_data(13)
  d$crossed <- factor(rep(1:6, length.out = nrow(d)))
  refused(fit(y ~ x + (1 | school) + (1 | crossed), REML = FALSE), "sampling", "must be nested")
  refused(fit(y ~ x + (1 | school) + (1 | district) + (1 | crossed), REML = FALSE), "sampling",
          "one grouping factor or two")
  refused(fit(REML = FALSE, residual = ~ ar1(1 | school)), "sampling", "a residual structure")
  refused(fit(REML = FALSE, control = lmm_control(penalty = penalty_wishart())), "sampling",
          "a penalty")
  refused(fit(REML = FALSE, control = lmm_control(sigma = 1)), "sampling", "known `sigma`")
  refused(fit(REML = FALSE, w = sampling_weights(w1, town = w2)), "weights", "`town`")
  refused(fit(REML = FALSE, w = sampling_weights(-w1)), "weights", "negative")
  refused(fit(REML = FALSE, w = sampling_weights(w1, w2)), "weights", "named by their grouping")
  refused(fit(REML = FALSE, w = sampling_weights(w1, school = NULL)), "weights", "NULL")
  refused(sampling_weights(), "weights", "no weights")
  refused(sampling_weights(1, a = 1, a = 1), "weights", "twice")
  refused(lmm_moments(y ~ x + (1 | school), d, weights = sampling_weights(w1)), "sampling",
          "the rows themselves")
  refused(lmList(y ~ x | school, d, weights = sampling_weights(w1)), "sampling",
          "the rows themselves")
  expect_error(sampling_weights(1, scale = "sizes of"), class = "ferrolmm_error_argument")
})

test_that("what has no weights is drawn with what is around it", {
  d <- survey_data(6)
  fit <- function(weights) {
    eval(bquote(lmm(y ~ x + (1 | district / school), d, REML = FALSE, weights = .(weights))))
  }
  plain <- fit(quote(sampling_weights(district = w3)))
  overall <- fit(quote(sampling_weights(district = w3, conditional = FALSE)))
  expect_equal(overall$criterion, plain$criterion)
  expect_equal(fixef(overall), fixef(plain))
  d$both <- d$w1 * d$w3
  rows <- fit(quote(sampling_weights(w1, district = w3)))
  expect_equal(
    fit(quote(sampling_weights(both, district = w3, conditional = FALSE)))$criterion, rows$criterion
  )
  d$inner <- d$w2 * d$w3
  expect_equal(
    fit(quote(sampling_weights(school = inner, district = w3, conditional = FALSE)))$criterion,
    fit(quote(sampling_weights(school = w2, district = w3)))$criterion
  )
})
