test_that("means of the population have the standard errors and intervals of contest()", {
  d <- nlme::Orthodont
  d$age[[7L]] <- NA
  fit <- lmm(distance ~ age * Sex + (age | Subject), d, na.action = na.exclude)
  new <- expand.grid(age = c(8, 14, NA), Sex = c("Female", "Male"))
  new$Sex <- factor(new$Sex, levels(d$Sex))
  X <- model.matrix(~ age * Sex, new)
  cases <- list(
    list(ddf = "Kenward-Roger"), list(ddf = "between-within"), list(ddf = "none"),
    list(vcov = "CR2"), list(vcov = "CR0", cluster = ~ Subject, ddf = "asymptotic"),
    list(vcov = 4 * vcov(fit), ddf = "asymptotic"), list(vcov = vcov, ddf = "asymptotic")
  )
  for (case in cases) {
    predicted <- do.call(predict, c(
      list(fit, new, re.form = NA, interval = "confidence", se.fit = TRUE, level = 0.9), case
    ))
    expected <- do.call(contest, c(list(fit, X, joint = FALSE, level = 0.9), case))
    there <- !is.na(new$age)
    expect_equal(unname(predicted$se.fit[there]), expected[["Std. Error"]])
    expect_equal(unname(predicted$fit[there, ]), unname(as.matrix(
      expected[c("Estimate", "lower", "upper")]
    )))
    expect_true(all(is.na(predicted$fit[!there, ])), all(is.na(predicted$se.fit[!there])))
  }
  plain <- predict(fit, new, re.form = NA, interval = "confidence")
  tested <- contest(fit, X, joint = FALSE)
  expect_equal(unname(plain[there, "lwr"]), tested$lower, tolerance = 1e-5)
  own <- predict(fit, re.form = NA, interval = "confidence", vcov = "CR2")
  expect_identical(dim(own), c(nrow(d), 3L))
  expect_identical(unname(is.na(own[, "fit"])), is.na(d$age))
})

test_that("what is no mean of the population is refused", {
  fit <- lmm(distance ~ age + (age | Subject), nlme::Orthodont)
  refused <- function(...) expect_error(predict(fit, ...), class = "ferrolmm_error_argument")
  refused(interval = "confidence", vcov = "CR2")
  refused(interval = "prediction", re.form = NA, vcov = "CR2")
  refused(re.form = NA, vcov = "CR2")
  refused(re.form = NA, ddf = "Kenward-Roger")
  refused(re.form = NA, interval = "confidence", cluster = ~ Subject)
  refused(level = 0:1, vcov = "CR2")
  refused(re.form = NA, newparams = list(sigma = 1), vcov = "CR2")
  refused(re.form = NA, random.only = TRUE, se.fit = TRUE, vcov = "CR2")
  ml <- refitML(fit)
  expect_error(
    predict(ml, re.form = NA, interval = "confidence", ddf = "Kenward-Roger"),
    "for fits by REML", class = "ferrolmm_error_argument"
  )
  empty <- lmm(distance ~ 0 + (1 | Subject), nlme::Orthodont)
  expect_true(all(predict(empty, re.form = NA, se.fit = TRUE, vcov = "CR0")$se.fit == 0))
})

test_that("a mean without coefficients is zero for certain", {
  fit <- lmm(Reaction ~ 0 + Days + (Days | Subject), lme4::sleepstudy)
  for (ddf in c("Satterthwaite", "Kenward-Roger", "asymptotic")) {
    predicted <- predict(fit, data.frame(Days = c(0, 2)), re.form = NA, interval = "confidence",
                         se.fit = TRUE, ddf = ddf)
    expect_identical(unname(predicted$fit[1L, ]), c(0, 0, 0))
    expect_identical(predicted$se.fit[[1L]], 0)
  }
})
