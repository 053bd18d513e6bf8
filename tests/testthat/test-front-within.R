test_that("the two parts are the deviation from the group's mean and the mean", {
  parts <- with(surgery, within_between(hour, doctor))
  means <- ave(surgery$hour, surgery$doctor)
  expect_equal(as.vector(parts[, "within"]), surgery$hour - means)
  expect_equal(as.vector(parts[, "between"]), means)
  expect_identical(
    colnames(with(surgery, within_between(hour, doctor, "within"))), "within"
  )
})

test_that("slopes of opposite sign are found", {
  fit <- lmm(score ~ within_between(hour, doctor) + (1 | doctor), surgery)
  expect_lt(fixef(fit)[["hour (within doctor)"]], -0.6)
  expect_gt(fixef(fit)[["hour (between doctor)"]], 0.8)
  ## The within coefficient is that of fixed groups.
  fixed <- lm(score ~ hour + doctor, surgery)
  expect_equal(fixef(fit)[[2]], coef(fixed)[["hour"]], tolerance = 1e-8)
})

test_that("predict() uses the means of the training data", {
  fit <- lmm(score ~ within_between(hour, doctor) + (1 | doctor), surgery)
  for (rows in list(1:180, 7:9, 44)) {
    expect_equal(
      unname(predict(fit, surgery[rows, ])), unname(fitted(fit)[rows]), tolerance = 1e-10
    )
  }
  ## Labels count, not the codes of the new factor.
  new <- data.frame(hour = 11, doctor = factor("7"))
  expect_equal(
    unname(predict(fit, new)), unname(predict(fit, transform(new, doctor = "7"))), tolerance = 1e-12
  )
})

test_that("a new group is an error, or has the mean of its new rows", {
  fit <- lmm(score ~ within_between(hour, doctor) + (1 | doctor), surgery)
  new <- data.frame(hour = c(10, 14), doctor = "new")
  expect_error(predict(fit, new, re.form = NA), "new level `new`", class = "ferrolmm_error_newdata")
  fit <- lmm(score ~ within_between(hour, doctor, new = "mean") + (1 | doctor), surgery)
  expect_equal(
    unname(predict(fit, new, re.form = NA)),
    sum(fixef(fit)[c(1, 3)] * c(1, 12)) + fixef(fit)[[2]] * c(-2, 2)
  )
  fit <- lmm(score ~ within_between(hour, doctor, new = "average") + (1 | doctor), surgery)
  average <- mean(surgery$hour)
  expect_equal(
    unname(predict(fit, new, re.form = NA)),
    sum(fixef(fit)[c(1, 3)] * c(1, average)) + fixef(fit)[[2]] * (c(10, 14) - average)
  )
})

test_that("an average group of nested or crossed factors has the mean of all rows", {
  new <- data.frame(hour = 11, doctor = "new", clinic = "new", nurse = "new")
  average <- mean(surgery$hour)
  fit <- lmm(score ~ within_between(hour, clinic / doctor, new = "average") + (1 | doctor),
             surgery)
  # within, between clinics, between the doctors of a clinic
  expect_identical(names(fixef(fit))[4L], "hour (between doctor)")
  expect_equal(
    unname(predict(fit, new, re.form = NA)), sum(c(1, 11 - average, average, 0) * fixef(fit))
  )
  fit <- lmm(score ~ within_between(hour, doctor + nurse, new = "average") + (1 | doctor),
             surgery)
  expect_equal(
    unname(predict(fit, new, re.form = NA)),
    sum(c(1, 11 - average, average, average) * fixef(fit))
  )
})

test_that("nested groups give a part for each level, crossed ones the additive fit", {
  nested <- with(surgery, within_between(hour, clinic / doctor))
  expect_identical(colnames(nested), c("within", "between_clinic", "between_doctor"))
  means <- ave(surgery$hour, surgery$doctor)
  clinics <- ave(surgery$hour, surgery$clinic)
  expect_equal(as.vector(nested[, "between_clinic"]), clinics)
  expect_equal(as.vector(nested[, "between_doctor"]), means - clinics)
  expect_equal(rowSums(unclass(nested)), surgery$hour, ignore_attr = TRUE)

  crossed <- with(surgery[-(1:7), ], within_between(hour, doctor + nurse))
  fixed <- lm(hour ~ doctor + nurse, surgery[-(1:7), ])
  expect_equal(as.vector(crossed[, "within"]), unname(resid(fixed)), tolerance = 1e-8)
  expect_equal(
    as.vector(crossed[, 2] + crossed[, 3]) - mean(surgery$hour[-(1:7)]), unname(fitted(fixed)),
    tolerance = 1e-8
  )
  fit <- lmm(score ~ within_between(hour, doctor + nurse) + (1 | doctor) + (1 | nurse), surgery)
  expect_equal(unname(predict(fit, surgery[5:9, ])), unname(fitted(fit)[5:9]), tolerance = 1e-8)
})

test_that("missing values stay missing, and the rest is split", {
  d <- surgery
  d$hour[3] <- NA
  d$doctor[5] <- NA
  parts <- with(d, within_between(hour, doctor))
  expect_identical(which(is.na(parts[, 1])), c(3L, 5L))
  expect_equal(parts[1, 2], mean(d$hour[c(1, 2, 4, 6:15)]), ignore_attr = TRUE)
})

test_that("what cannot be split is refused", {
  expect_error(within_between("a", 1), class = "ferrolmm_error_predictor")
  two <- 1:2
  expect_error(within_between(1:3, two), class = "ferrolmm_error_grouping")
  d <- surgery
  expect_error(
    with(d, within_between(hour, clinic / doctor + nurse)), class = "ferrolmm_error_formula"
  )
})

test_that("a grouping factor as text is no variable of the term", {
  d <- data.frame(a = gl(6, 10), b = gl(12, 5), y = sin(1:60), x = cos(1:60) + rep(1:6, each = 10))
  for (g in c("a", "a:b", "a/b", "a + b")) {
    by_text <- model.frame(bquote(y ~ within_between(x, .(g))), d)
    by_name <- model.frame(bquote(y ~ within_between(x, .(str2lang(g)))), d)
    expect_equal(by_text[[2L]], by_name[[2L]])
    new <- model.frame(stats::delete.response(terms(by_text)), data.frame(x = c(2, 3)))[[1L]]
    expect_equal(unname(new[, 1L]), c(2, 3) - mean(d$x), ignore_attr = TRUE)
    expect_equal(rowSums(new)[[2L]] - rowSums(new)[[1L]], 1)
  }
})
